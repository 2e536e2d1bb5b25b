//! Parses numbers: quantities, and money in minor units. Both are exact.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{CellParser, NullValues, ParsedCell, fits_i64, is_text, texts};
use super::decimal::{
    EXACT_F64, NumberFault, decimal_of_text, scaled, scaled_f32, scaled_f64, scaled_text,
};
use super::decimal_columns;
use super::fault::{FaultList, MONEY_LIMIT, QUANTITY_LIMIT};
use super::outcomes::map_columns;
use super::source::NumberFormat;
use super::workbook;
use crate::columns::QUANTITY;

/// Decimals of quantities that may be fractional.
pub const QUANTITY_SCALE: u8 = 6;

/// How numbers of one of the pipeline's columns are read.
#[derive(Debug, Clone)]
pub(super) struct NumberParser {
    pub(super) format: NumberFormat,
    pub(super) nulls: NullValues,
    /// The numbers become whole multiples of 10^-scale.
    pub(super) scale: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct NumberCodes {
    /// `None` if a missing number is accepted.
    missing: Option<u8>,
    malformed: u8,
    out_of_range: u8,
}

impl NumberCodes {
    /// The codes for a column that may or must have a number.
    pub(super) fn new(name: &'static str, presence: Presence, faults: &mut FaultList) -> Self {
        let limit = if name == QUANTITY {
            QUANTITY_LIMIT.to_owned()
        } else {
            format!("{name} out of range or finer than money.scale")
        };
        Self {
            missing: (presence == Presence::Required).then(|| faults.missing(name)),
            malformed: faults.in_cell(name, &format!("{name} not a number")),
            out_of_range: faults.in_cell(name, &limit),
        }
    }

    fn code(self, fault: NumberFault) -> Option<u8> {
        match fault {
            NumberFault::Missing => self.missing,
            NumberFault::Malformed => Some(self.malformed),
            NumberFault::OutOfRange => Some(self.out_of_range),
        }
    }
}

impl NumberParser {
    fn text(&self, cell: &str) -> Result<i64, NumberFault> {
        let text = self.nulls.text(cell).ok_or(NumberFault::Missing)?;
        scaled_text(text, &self.format, self.scale)
    }

    fn whole(&self, value: i128) -> Result<i64, NumberFault> {
        scaled(value, 0, self.scale)
    }

    /// The value of each cell; null if the cell is missing or at fault.
    fn values(&self, cells: &Column) -> PolarsResult<Column> {
        let name = cells.name().clone();
        let values: Int64Chunked = match cells.dtype() {
            DataType::Float64 => {
                let cells = cells.f64()?;
                if let Some(values) = exact_units(cells, self.scale) {
                    return Ok(Int64Chunked::from_vec(name, values).into_column());
                }
                cells.iter().map(|x| scaled_f64(x?, self.scale).ok()).collect()
            }
            dtype if fits_i64(dtype) => {
                let factor = 10i64.pow(self.scale.into());
                let limit = MONEY_LIMIT as u64 / factor as u64;
                let cells = cells.cast(&DataType::Int64)?;
                let in_range = |slice: &[i64]| slice.iter().all(|x| x.unsigned_abs() <= limit);
                if factor == 1 && cells.i64()?.data_views().all(in_range) {
                    return Ok(cells);
                }
                let scaled = |x: i64| (x.unsigned_abs() <= limit).then(|| x * factor);
                cells.i64()?.iter().map(|x| scaled(x?)).collect()
            }
            dtype if is_text(dtype) => {
                texts(cells)?.iter().map(|cell| self.text(cell?).ok()).collect()
            }
            DataType::Decimal(_, decimals) => {
                decimal_columns::units(cells.to_physical_repr().i128()?, *decimals, self.scale)
            }
            _ => {
                let value = |row| Ok(self.cell(cells, row)?.ok());
                (0..cells.len()).map(value).collect::<PolarsResult<_>>()?
            }
        };
        Ok(values.with_name(name).into_column())
    }

    /// The value of each cell as a decimal; null if the cell is missing or no number.
    pub(super) fn decimals(&self, cells: &Column) -> PolarsResult<Column> {
        let text = |cell: &str| decimal_of_text(self.nulls.text(cell)?, &self.format);
        let decimals = if is_text(cells.dtype()) {
            // Numbers of a chunk repeat.
            let texts = texts(cells)?;
            let mut known: PlHashMap<&str, Option<i128>> = PlHashMap::new();
            let mut value = |cell| *known.entry(cell).or_insert_with(|| text(cell));
            texts.iter().map(|cell| value(cell?)).collect()
        } else {
            decimal_columns::of_numbers(cells)?
        };
        Ok(decimal_columns::decimals(decimals).with_name(cells.name().clone()))
    }

    /// The text of each cell that is no number.
    pub(super) fn malformed(&self, cells: &Column) -> PolarsResult<Column> {
        let name = cells.name().clone();
        let is_malformed = |text: &&str| {
            let text = self.nulls.text(text);
            text.is_some_and(|text| decimal_of_text(text, &self.format).is_none())
        };
        let numbers = self.decimals(cells)?;
        let cells = texts(cells)?;
        // Few cells are missing or malformed.
        let is_null = numbers.is_null();
        let mut others =
            cells.iter().zip(is_null.iter()).filter(|(_, is_null)| *is_null == Some(true));
        if !others.any(|(text, _)| text.is_some_and(|text| is_malformed(&text))) {
            return Ok(Column::full_null(name, cells.len(), &DataType::String));
        }
        let malformed: StringChunked = cells.iter().map(|text| text.filter(is_malformed)).collect();
        Ok(malformed.with_name(name).into_column())
    }

    /// One cell of any type.
    fn cell(&self, cells: &Column, row: usize) -> PolarsResult<Result<i64, NumberFault>> {
        Ok(match cells.get(row)? {
            AnyValue::Null => Err(NumberFault::Missing),
            AnyValue::String(text) => self.text(text),
            AnyValue::StringOwned(text) => self.text(&text),
            AnyValue::Float64(value) => scaled_f64(value, self.scale),
            AnyValue::Float32(value) => scaled_f32(value, self.scale),
            AnyValue::Decimal(value, _, decimals) => {
                scaled(value, -i32::try_from(decimals).unwrap_or(i32::MAX), self.scale)
            }
            value if cells.dtype().is_float() => match value.extract::<f32>() {
                Some(value) => scaled_f32(value, self.scale),
                None => Err(NumberFault::Malformed),
            },
            value if is_text(cells.dtype()) => self.text(&value.str_value()),
            value => match value.extract::<i128>() {
                Some(value) => self.whole(value),
                None => Err(NumberFault::OutOfRange),
            },
        })
    }

    /// The fault codes of cells with these values.
    fn faults(&self, cells: &Column, values: &Column, codes: NumberCodes) -> PolarsResult<Column> {
        let name = cells.name().clone();
        if values.null_count() == 0 {
            return Ok(Column::full_null(name, cells.len(), &DataType::UInt8));
        }
        let values = values.i64()?;
        let code = |(row, value): (usize, Option<i64>)| {
            let None = value else { return Ok(None) };
            Ok(self.cell(cells, row)?.err().and_then(|fault| codes.code(fault)))
        };
        let codes = values.iter().enumerate().map(code).collect::<PolarsResult<UInt8Chunked>>()?;
        Ok(codes.with_name(name).into_column())
    }
}

/// Floats in units of 10^-`scale`, if each is the float of such a decimal and none is null. Most
/// columns are, and this loop needs no branches.
fn exact_units(cells: &Float64Chunked, scale: u8) -> Option<Vec<i64>> {
    if cells.null_count() > 0 {
        return None;
    }
    let factor = 10f64.powi(scale.into());
    let mut all_exact = true;
    let mut values = Vec::with_capacity(cells.len());
    for slice in cells.data_views() {
        values.extend(slice.iter().map(|x| {
            let units = (x * factor).round_ties_even();
            all_exact &= units.abs() < EXACT_F64 && units / factor == *x;
            units as i64
        }));
    }
    all_exact.then_some(values)
}

/// A column of numbers.
pub(super) fn number(
    name: &'static str,
    column: &str,
    parser: NumberParser,
    codes: NumberCodes,
) -> ParsedCell {
    let parser = Arc::new(parser);
    let of_faults = parser.clone();
    let parser = CellParser::Functions {
        dtype: DataType::Int64,
        value: Arc::new(move |cells| parser.values(cells)),
        fault: Some(Arc::new(move |cells, values| of_faults.faults(cells, values, codes))),
    };
    ParsedCell { name, source_column: column.to_owned(), parser }
}

/// A column of numbers of a workbook, which has typed cells and cells of text.
pub(super) fn number_of_workbook(
    name: &'static str,
    column: &str,
    parser: NumberParser,
    codes: NumberCodes,
) -> ParsedCell {
    let (typed, error) = (workbook::number_name(column), workbook::error_name(column));
    let is_typed = col(typed.as_str()).is_not_null();
    let text = when(is_typed.clone()).then(lit(NULL)).otherwise(col(column)).cast(DataType::String);
    let parser = Arc::new(parser);
    let value_of = |cells: Expr| {
        let parser = parser.clone();
        map_columns(vec![cells], DataType::Int64, move |columns| parser.values(&columns[0]))
    };
    let fault_of = |cells: Expr| {
        let parser = parser.clone();
        let inputs = vec![cells.clone(), value_of(cells)];
        map_columns(inputs, DataType::UInt8, move |columns| {
            parser.faults(&columns[0], &columns[1], codes)
        })
    };
    let choose = |typed: Expr, text: Expr| when(is_typed.clone()).then(typed).otherwise(text);
    let typed = col(typed.as_str());
    let fault = choose(fault_of(typed.clone()), fault_of(text.clone()));
    // The error has a code of its own.
    let fault = when(col(error.as_str()).is_null()).then(fault).otherwise(lit(NULL));
    let value = choose(value_of(typed), value_of(text));
    let fault = fault.cast(DataType::UInt8);
    let parser = CellParser::Exprs { prepared: None, value, fault };
    ParsedCell { name, source_column: column.to_owned(), parser }
}

/// quantity · unit price in minor units, rounded half away from zero. Quantities are whole
/// multiples of 10^-`scale`, 0 or [`QUANTITY_SCALE`]. Null if a factor is null or the product
/// exceeds [`MONEY_LIMIT`].
pub(super) fn product(quantity: &Column, unit_price: &Column, scale: u8) -> PolarsResult<Column> {
    let (quantities, prices) = (quantity.i64()?, unit_price.i64()?);
    let products = if scale == 0 {
        products(quantities, prices, |quantity, price| quantity.wrapping_mul(price), 1.0)
    } else {
        products(quantities, prices, fractional_product, UNIT as f64)
    };
    Ok(products.into_column())
}

/// One unit of a quantity that may be fractional.
const UNIT: i64 = 10i64.pow(QUANTITY_SCALE as u32);

fn fractional_product(quantity: i64, price: i64) -> i64 {
    if quantity % UNIT == 0 {
        return (quantity / UNIT).wrapping_mul(price);
    }
    let product = i128::from(quantity) * i128::from(price);
    let half = i128::from(UNIT / 2) * product.signum();
    ((product + half) / i128::from(UNIT)) as i64
}

/// The products of two columns. `multiply` may overflow if the product is out of range.
fn products(
    quantities: &Int64Chunked,
    prices: &Int64Chunked,
    multiply: impl Fn(i64, i64) -> i64,
    unit: f64,
) -> Int64Chunked {
    let fits =
        |quantity: i64, price: i64| (quantity as f64 * price as f64).abs() <= MONEY_LIMIT * unit;
    if let (Ok(quantities), Ok(prices)) = (quantities.cont_slice(), prices.cont_slice())
        && quantities.len() == prices.len()
    {
        let factors = || quantities.iter().zip(prices);
        if factors().all(|(quantity, price)| fits(*quantity, *price)) {
            let values = factors().map(|(quantity, price)| multiply(*quantity, *price)).collect();
            return Int64Chunked::from_vec(PlSmallStr::EMPTY, values);
        }
    }
    let factors = quantities.iter().zip(prices.iter());
    let product = |(quantity, price): (Option<i64>, Option<i64>)| {
        let (quantity, price) = (quantity?, price?);
        fits(quantity, price).then(|| multiply(quantity, price))
    };
    factors.map(product).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser(scale: u8) -> NumberParser {
        let format = NumberFormat { decimal: '.', thousands: None, currency_signs: Vec::new() };
        NumberParser { format, nulls: NullValues::new(&["NULL".to_owned()]), scale }
    }

    fn values(cells: &Column, scale: u8) -> Vec<Option<i64>> {
        parser(scale).values(cells).unwrap().i64().unwrap().iter().collect()
    }

    #[test]
    fn every_type_of_number_is_read() {
        let name = PlSmallStr::from_static("x");
        let decimals = Column::new(name.clone(), [Some("1.50"), None, Some("0.005")]);
        let decimals = decimals.cast(&DataType::Decimal(10, 3)).unwrap();
        for (cells, expected) in [
            (Column::new(name.clone(), [Some(1.25), None, Some(0.005)]), [Some(125), None, None]),
            (
                Column::new(name.clone(), [Some(19.99f32), None, Some(0.5)]),
                [Some(1_999), None, Some(50)],
            ),
            (Column::new(name.clone(), [1i8, -1, 0]), [Some(100), Some(-100), Some(0)]),
            (Column::new(name.clone(), [1u64, u64::MAX, 0]), [Some(100), None, Some(0)]),
            (Column::new(name.clone(), ["1.5", "NULL", "x"]), [Some(150), None, None]),
            (Column::full_null(name.clone(), 3, &DataType::Null), [None; 3]),
            (decimals, [Some(150), None, None]),
        ] {
            assert_eq!(values(&cells, 2), expected, "{:?}", cells.dtype());
        }
    }

    #[test]
    fn faults_are_distinguished() {
        let mut list = FaultList::default();
        let codes = NumberCodes::new(QUANTITY, Presence::Required, &mut list);
        let cells = Column::new("x".into(), [Some("1"), Some(" "), None, Some("x"), Some("0.5")]);
        let parser = parser(0);
        let values = parser.values(&cells).unwrap();
        let faults = parser.faults(&cells, &values, codes).unwrap();
        let faults: Vec<_> = faults.u8().unwrap().iter().collect();
        assert_eq!(faults, [None, Some(0), Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn products_are_rounded_once() {
        // 0.345 kg at 9.99 is 3.44655; -0.5 at 0.01 is half a cent.
        for (quantity, price, expected) in [
            (345_000i64, 999i64, Some(345)),
            (-500_000, 1, Some(-1)),
            (2_000_000, 150, Some(300)),
            (9_000_000_000_000_000, 1_000_000_000, None),
            (1, 1, Some(0)),
        ] {
            let [quantity, price] = [quantity, price].map(|x| Column::new("x".into(), [x]));
            let product = product(&quantity, &price, QUANTITY_SCALE).unwrap();
            assert_eq!(product.i64().unwrap().get(0), expected);
        }
    }
}
