//! Ids: the same id in another type or spelling is one id.
//!
//! Blanks around an id are no part of it, `17850.0` is `17850`, and null words are missing ids. Ids
//! keep the sources' type up to the group-by if all are whole numbers, since integers are cheaper
//! to group than text. Otherwise they are text.

use std::borrow::Cow;
use std::sync::Arc;

use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cell::{
    CellParser, FaultFn, NullValues, ParsedCell, fits_i64, is_text, map_texts, texts,
};
use super::fault::FaultList;
use super::outcomes::map_column;

/// Whether customer ids that differ only in case are one customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdCase {
    #[default]
    Keep,
    Lower,
}

/// What bytes without a text type are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    Utf8,
    Uuid,
}

/// How ids are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdFormat {
    pub nulls: NullValues,
    pub case: IdCase,
}

/// Largest whole number below which every f64 of an id is exact.
const EXACT_F64: f64 = 9_007_199_254_740_992.0;
/// The same for f32.
const EXACT_F32: f64 = 16_777_216.0;

impl IdFormat {
    /// An id in its one spelling; `None` if it is missing.
    pub(crate) fn text<'a>(&self, cell: &'a str) -> Option<Cow<'a, str>> {
        let text = without_zero_decimals(self.nulls.text(cell)?);
        let has_capitals = || text.chars().any(|c| !c.is_lowercase() && c.is_alphabetic());
        Some(match self.case {
            IdCase::Lower if has_capitals() => Cow::Owned(text.to_lowercase()),
            _ => Cow::Borrowed(text),
        })
    }

    /// The ids of a column as `target`: text, or i64 if [`is_whole_number`] holds for its type.
    /// Null for cells that are missing or are no id.
    fn values(&self, cells: &Column, bytes: Bytes, target: &DataType) -> PolarsResult<Column> {
        let dtype = cells.dtype();
        let ids = match dtype {
            dtype if is_text(dtype) => {
                map_texts(&texts(cells)?, |text| self.text(text)).into_column()
            }
            DataType::Binary => self.of_bytes(cells, bytes)?,
            DataType::Decimal(_, decimals) => {
                let unit = 10i128.checked_pow(u32::try_from(*decimals).unwrap_or(u32::MAX));
                let whole = |value: i128| match unit {
                    Some(unit) => (value % unit == 0).then(|| value / unit),
                    None => None,
                };
                let values = cells.to_physical_repr();
                let ids: Int128Chunked = values.i128()?.iter().map(|x| whole(x?)).collect();
                ids.into_column()
            }
            dtype if dtype.is_float() => {
                let limit = if *dtype == DataType::Float64 { EXACT_F64 } else { EXACT_F32 };
                let values = cells.cast(&DataType::Float64)?;
                // At the limit, another id may have been rounded to this one.
                let is_whole = |x: f64| x.trunc() == x && x.abs() < limit;
                let values = values.f64()?;
                if values.data_views().flatten().all(|x| is_whole(*x)) {
                    cells.cast(&DataType::Int64)?
                } else {
                    let whole = |x: f64| is_whole(x).then_some(x as i64);
                    values.iter().map(|x| whole(x?)).collect::<Int64Chunked>().into_column()
                }
            }
            _ => cells.clone(),
        };
        ids.with_name(cells.name().clone()).cast(target)
    }

    /// Bytes as text: a UUID in hexadecimal digits, otherwise UTF-8.
    fn of_bytes(&self, cells: &Column, kind: Bytes) -> PolarsResult<Column> {
        let mut ids = StringChunkedBuilder::new(cells.name().clone(), cells.len());
        for bytes in cells.binary()?.iter() {
            let uuid = bytes.filter(|_| kind == Bytes::Uuid);
            let uuid = uuid.and_then(|bytes| uuid::Uuid::from_slice(bytes).ok());
            match (uuid, bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())) {
                (Some(uuid), _) => ids.append_value(uuid.to_string()),
                (None, Some(text)) if kind == Bytes::Utf8 => ids.append_option(self.text(text)),
                _ => ids.append_null(),
            }
        }
        Ok(ids.finish().into_column())
    }

    /// Ids of any type as text.
    pub(crate) fn spelled(&self, ids: Expr, bytes: Bytes) -> Expr {
        let format = self.clone();
        map_column(ids, DataType::String, move |cells| {
            format.values(cells, bytes, &DataType::String)
        })
    }
}

/// `17850.0` as `17850`: programs write whole numbers with decimals if a column has gaps.
fn without_zero_decimals(text: &str) -> &str {
    if !text.ends_with('0') {
        return text;
    }
    match text.split_once('.') {
        Some((whole, zeros))
            if !whole.is_empty()
                && whole.bytes().all(|byte| byte.is_ascii_digit())
                && zeros.bytes().all(|byte| byte == b'0') =>
        {
            whole
        }
        _ => text,
    }
}

/// Whether ids of this type become whole numbers that fit i64.
pub(super) fn is_whole_number(dtype: &DataType) -> bool {
    dtype.is_float() || fits_i64(dtype)
}

/// A column of ids. `target` is the common type of all files' ids.
pub(super) fn id(
    name: &'static str,
    (column, dtype, bytes): (&str, &DataType, Bytes),
    (format, target): (IdFormat, DataType),
    faults: &mut FaultList,
) -> ParsedCell {
    let reason = match dtype {
        dtype if dtype.is_float() || dtype.is_decimal() => Some("not a whole number"),
        DataType::Binary => Some("not UTF-8 text"),
        _ => None,
    };
    let fault = reason.map(|reason| {
        let code = faults.in_cell(name, &format!("{name} {reason}"));
        let fault: FaultFn = Arc::new(move |cells, values| faults_of(cells, values, code));
        fault
    });
    let of_values = target.clone();
    let parser = CellParser::Functions {
        dtype: target,
        value: Arc::new(move |cells| format.values(cells, bytes, &of_values)),
        fault,
    };
    ParsedCell { name, source_column: column.to_owned(), parser }
}

/// A fault for each id without a value whose cell is neither null, NaN nor empty.
fn faults_of(cells: &Column, values: &Column, code: u8) -> PolarsResult<Column> {
    let name = cells.name().clone();
    if values.null_count() == cells.null_count() {
        return Ok(Column::full_null(name, cells.len(), &DataType::UInt8));
    }
    let has_cell = |row: usize| {
        Ok::<_, PolarsError>(match cells.get(row)? {
            AnyValue::Null => false,
            AnyValue::Float64(value) => !value.is_nan(),
            AnyValue::Float32(value) => !value.is_nan(),
            AnyValue::Binary(bytes) => std::str::from_utf8(bytes).is_err(),
            _ => true,
        })
    };
    let is_null = values.is_null();
    let codes = is_null
        .iter()
        .enumerate()
        .map(|(row, is_null)| Ok((is_null == Some(true) && has_cell(row)?).then_some(code)));
    let codes = codes.collect::<PolarsResult<UInt8Chunked>>()?;
    Ok(codes.with_name(name).into_column())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(case: IdCase) -> IdFormat {
        IdFormat { nulls: NullValues::new(&["NULL".to_owned(), "nan".to_owned()]), case }
    }

    fn text_ids(cells: &Column, bytes: Bytes) -> Vec<Option<String>> {
        let ids = format(IdCase::Keep).values(cells, bytes, &DataType::String).unwrap();
        ids.str().unwrap().iter().map(|id| id.map(str::to_owned)).collect()
    }

    #[test]
    fn spellings_of_an_id_are_one_id() {
        let keep = format(IdCase::Keep);
        for (cell, id) in [
            ("17850", Some("17850")),
            ("17850.0", Some("17850")),
            (" 17850.00 ", Some("17850")),
            ("17850.10", Some("17850.10")),
            ("A.0", Some("A.0")),
            (".0", Some(".0")),
            ("0017850", Some("0017850")),
            ("Ana", Some("Ana")),
            ("null", None),
            (" ", None),
        ] {
            assert_eq!(keep.text(cell).as_deref(), id, "{cell}");
        }
        let lower = format(IdCase::Lower);
        assert_eq!(lower.text(" ANA@Shop.Example").as_deref(), Some("ana@shop.example"));
        assert_eq!(lower.text("ÉVA").as_deref(), Some("éva"));
    }

    #[test]
    fn every_type_of_id_is_read() {
        let name = PlSmallStr::from_static("x");
        let decimal = |decimals| {
            let texts = Column::new(name.clone(), [Some("1001"), None]);
            texts.cast(&DataType::Decimal(38, decimals)).unwrap()
        };
        let some = |id: &str| Some(id.to_owned());
        for (cells, expected) in [
            (decimal(0), [some("1001"), None]),
            (decimal(2), [some("1001"), None]),
            (Column::new(name.clone(), [1.0, 1.5]), [some("1"), None]),
            (Column::new(name.clone(), [9_007_199_254_740_994.0, f64::NAN]), [None, None]),
            (Column::new(name.clone(), [1.0f32, 33_554_432.0]), [some("1"), None]),
            (Column::new(name.clone(), [u64::MAX, 1]), [some("18446744073709551615"), some("1")]),
            (Column::new(name.clone(), [&b"ana "[..], &[0xff]]), [some("ana"), None]),
            (Column::full_null(name.clone(), 2, &DataType::Null), [None, None]),
        ] {
            assert_eq!(text_ids(&cells, Bytes::Utf8), expected, "{:?}", cells.dtype());
        }
        let uuids = Column::new(name, [&[0x11u8; 16][..], &[1]]);
        let uuid = some("11111111-1111-1111-1111-111111111111");
        assert_eq!(text_ids(&uuids, Bytes::Uuid), [uuid, None]);
    }

    #[test]
    fn fractional_ids_are_faults_and_missing_ones_are_not() {
        let cells = Column::new("x".into(), [Some(1.2), None, Some(f64::NAN), Some(3.0)]);
        let values = format(IdCase::Keep).values(&cells, Bytes::Utf8, &DataType::Int64).unwrap();
        let codes = faults_of(&cells, &values, 4).unwrap();
        assert_eq!(codes.u8().unwrap().iter().collect::<Vec<_>>(), [Some(4), None, None, None]);
    }

    proptest! {
        /// The spelling of an id is final.
        #[test]
        fn spelling_is_idempotent(cell in "[ 0.9aÉ\u{a0}]{0,8}") {
            for case in [IdCase::Keep, IdCase::Lower] {
                let format = format(case);
                if let Some(id) = format.text(&cell) {
                    let again = format.text(&id).map(Cow::into_owned);
                    prop_assert_eq!(again, Some(id.into_owned()));
                }
            }
        }
    }
}
