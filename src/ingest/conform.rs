//! Gives each source column its meaning and type, and marks the rows that cannot be given one.
//!
//! One function a column; a fault is a reason like any other, only that it comes before those of `clean`.

use polars::prelude::*;

use super::walk::{self, BadRecord};
use super::{Fault, Format, IngestParams, Numbers, RejectColumns, SourceFile, Worth, workbook};
use crate::columns::{
    AMOUNT, CUSTOMER_ID, DAY, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, REASON, SOURCE_FILE, SOURCE_ROW, TEXT,
    UNIT_PRICE,
};

/// The fault of a moment that two declared formats read differently; it fails the run, since no format can be preferred.
pub const AMBIGUOUS: &str = "ordered_at ambiguous: two declared formats read it differently";
/// Years that an order may be of; beyond them lie years of two digits and stand-ins for "never".
const YEARS: std::ops::RangeInclusive<i32> = 1900..=2199;
/// A line's money may not go beyond this many minor units: a thousand such lines still fit 64 bits.
const MONEY_LIMIT: f64 = 9e15;
/// How far a price may lie from a whole number of minor units: beyond it, the price is finer than the scale.
const MINOR_TOLERANCE: f64 = 1e-4;

/// Name under which a source column is carried along.
pub fn carried_name(column: &str) -> String {
    format!("source.{column}")
}

/// The union of all files' columns, in the order in which they first appear.
pub fn all_columns(files: &[SourceFile]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (column, _) in files.iter().flat_map(|file| &file.columns) {
        if !names.contains(column) {
            names.push(column.clone());
        }
    }
    names
}

/// A column's expression and the reasons for which it may fail.
struct Parsed {
    value: Expr,
    faults: Vec<(Fault, Expr)>,
}

/// Expressions from source columns to the pipeline's.
pub(super) struct Conformer<'a> {
    params: &'a IngestParams,
}

impl<'a> Conformer<'a> {
    pub(super) fn new(params: &'a IngestParams) -> Self {
        Self { params }
    }

    /// What the fault codes mean, in the order of their codes.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let cells = self.measures().into_iter().chain([self.moment()]).flat_map(|(_, parsed)| parsed.faults);
        let records = walk::FAULTS.iter().filter(|_| self.params.format == Format::Csv);
        let records = records.map(|reason| Fault { reason: (*reason).to_owned(), cell: None });
        cells.map(|(fault, _)| fault).chain(records).collect()
    }

    /// Source columns to carry along.
    pub(super) fn carried(&self) -> Vec<String> {
        if self.params.whole_rows || self.params.rejects == RejectColumns::Raw {
            return all_columns(&self.params.files);
        }
        let cells = self.faults().into_iter().filter_map(|fault| fault.cell);
        let kept = self.kept().into_iter().map(|(_, source)| source);
        let mut carried: Vec<String> = cells.chain(kept).chain(self.params.predicate_columns.iter().cloned()).collect();
        carried.sort();
        carried.dedup();
        carried
    }

    /// What the rejects keep: name there, and source column.
    pub(super) fn kept(&self) -> Vec<(String, String)> {
        match self.params.rejects {
            RejectColumns::Reasons => Vec::new(),
            RejectColumns::Mapped => self
                .params
                .columns
                .mapped()
                .into_iter()
                .map(|(name, source)| (name.to_owned(), source.to_owned()))
                .collect(),
            RejectColumns::Raw => {
                all_columns(&self.params.files).into_iter().map(|name| (format!("raw_{name}"), name)).collect()
            }
        }
    }

    /// Records that are none of the table's as rows of the lines: nothing is known of them but file, row, text and fault.
    pub(super) fn bad_records(&self, file: usize, bad: &[BadRecord], schema: &Schema) -> PolarsResult<DataFrame> {
        let first = (self.faults().len() - walk::FAULTS.len()) as u32;
        let columns = schema.iter_names_and_dtypes().map(|(name, dtype)| match name.as_str() {
            SOURCE_FILE => Column::new(name.clone(), vec![file as u32; bad.len()]).cast(dtype),
            SOURCE_ROW => Column::new(name.clone(), bad.iter().map(|r| r.row).collect::<Vec<_>>()).cast(dtype),
            TEXT => Ok(Column::new(name.clone(), bad.iter().map(|r| r.text.as_str()).collect::<Vec<_>>())),
            REASON => {
                Column::new(name.clone(), bad.iter().map(|r| first + r.fault as u32).collect::<Vec<_>>()).cast(dtype)
            }
            MONEY => Column::new(name.clone(), vec![0i64; bad.len()]).cast(dtype),
            _ => Ok(Column::full_null(name.clone(), bad.len(), dtype)),
        });
        DataFrame::new(bad.len(), columns.collect::<PolarsResult<_>>()?)
    }

    /// The plan of one file's lines.
    pub(super) fn conform(&self, frame: LazyFrame, file: &SourceFile, carried: &[String]) -> LazyFrame {
        let columns = &self.params.columns;
        let optional = |name: &Option<String>| match name {
            Some(name) => identity(col(name), file, name),
            None => lit(NULL).cast(DataType::String),
        };
        let mut selected = vec![
            col(SOURCE_FILE),
            col(SOURCE_ROW),
            identity(col(&columns.customer_id), file, &columns.customer_id).alias(CUSTOMER_ID),
            optional(&columns.order_id).alias(ORDER_ID),
            optional(&columns.product_id).alias(PRODUCT_ID),
        ];
        let mut faults = Vec::new();
        for (name, parsed) in self.measures().into_iter().chain([self.moment()]) {
            selected.push(parsed.value.alias(name));
            faults.extend(parsed.faults);
        }
        if self.params.columns.worth.quantity().is_none() {
            selected.push(lit(NULL).cast(DataType::Int64).alias(QUANTITY));
        }
        selected.push(lit(NULL).cast(DataType::String).alias(TEXT));
        selected.push(first_of(faults.into_iter().map(|(_, predicate)| predicate), 0).alias(REASON));
        for name in carried {
            let value = match file.columns.iter().any(|(column, _)| column == name) {
                true => col(name),
                false => lit(NULL).cast(DataType::String),
            };
            selected.push(value.alias(carried_name(name)));
        }
        let money = match &self.params.columns.worth {
            Worth::Priced { .. } => col(QUANTITY) * col(UNIT_PRICE),
            Worth::Amount { .. } => col(AMOUNT),
        };
        frame
            .select(selected)
            // A line that cannot be parsed is worth nothing, so that the ledger's money adds up.
            .with_column(when(col(REASON).is_null()).then(money).otherwise(lit(0i64)).alias(MONEY))
            .with_column(col(ORDERED_AT).dt().date().alias(DAY))
    }

    /// Quantity, price and amount, as far as they are mapped.
    fn measures(&self) -> Vec<(&'static str, Parsed)> {
        let factor = self.params.money.factor();
        match &self.params.columns.worth {
            Worth::Priced { quantity, unit_price } => {
                let mut units = self.whole_number(QUANTITY, quantity);
                let mut price = self.minor_units(UNIT_PRICE, unit_price, factor);
                let product = self.number(quantity) * self.number(unit_price) * lit(factor);
                let beyond = Fault { reason: "quantity × unit_price out of range".to_owned(), cell: None };
                price.faults.push((beyond, product.abs().gt(lit(MONEY_LIMIT))));
                units.faults.append(&mut price.faults);
                vec![(QUANTITY, units), (UNIT_PRICE, price)]
            }
            Worth::Amount { amount, quantity } => {
                let amount = (AMOUNT, self.minor_units(AMOUNT, amount, factor));
                // Beside an amount the units are a remark: a line without them is as good, one with nonsense is not.
                let units = |name: &String| {
                    let mut parsed = self.whole_number(QUANTITY, name);
                    let nonsense = |(fault, found): (Fault, Expr)| (fault, found.and(blank(col(name)).not()));
                    parsed.faults = parsed.faults.into_iter().skip(1).map(nonsense).collect();
                    (QUANTITY, parsed)
                };
                quantity.iter().map(units).chain([amount]).collect()
            }
        }
    }

    /// A cell as a float: text as it is written, without currency signs and the marks between thousands.
    fn number(&self, cell: &str) -> Expr {
        let Numbers { decimal, thousands, currency_signs } = &self.params.numbers;
        let plain = *decimal == '.' && thousands.is_none() && currency_signs.is_empty();
        if self.params.format == Format::Parquet || plain {
            return col(cell).cast(DataType::Float64);
        }
        let nothing = || lit("");
        let bare = currency_signs.iter().fold(col(cell).cast(DataType::String), |text, sign| {
            text.str().replace_all(lit(sign.as_str()), nothing(), true)
        });
        let bare = bare.str().strip_chars(lit(" \u{a0}"));
        let joined = thousands.iter().fold(bare, |text, mark| {
            // 1.50 is no number where the point parts thousands; without the mark it would be 150.
            let literal = lit(mark.to_string());
            let marked = text.clone().str().contains_literal(literal.clone());
            let [mark, point] = [*mark, *decimal].map(|mark| regex::escape(&mark.to_string()));
            let in_threes = lit(format!(r"^[+-]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?$"));
            let sound = marked.not().or(text.clone().str().contains(in_threes, true));
            when(sound).then(text.str().replace_all(literal, nothing(), true)).otherwise(lit(NULL))
        });
        let pointed = match decimal {
            '.' => joined,
            mark => joined.str().replace_all(lit(mark.to_string()), lit("."), true),
        };
        pointed.cast(DataType::Float64)
    }

    /// A whole number of units.
    fn whole_number(&self, name: &str, cell: &str) -> Parsed {
        let parsed = self.number(cell);
        let fractional = parsed.clone().round(0, RoundMode::HalfToEven).neq(parsed.clone());
        let beyond = parsed.clone().abs().gt(lit(MONEY_LIMIT));
        let wrong = parsed.clone().is_null().or(fractional).or(beyond);
        Parsed {
            value: parsed.cast(DataType::Int64),
            faults: vec![missing(name, col(cell)), (faulty(cell, &format!("{name} not a whole number")), wrong)],
        }
    }

    /// Money as a whole number of minor units: round(x · 10^scale).
    fn minor_units(&self, name: &str, cell: &str, factor: f64) -> Parsed {
        let scaled = self.number(cell) * lit(factor);
        let rounded = scaled.clone().round(0, RoundMode::HalfToEven);
        let finer = (scaled.clone() - rounded.clone()).abs().gt(lit(MINOR_TOLERANCE));
        let beyond = scaled.clone().abs().gt(lit(MONEY_LIMIT));
        let no_number = scaled.clone().is_null().or(scaled.is_nan());
        Parsed {
            value: rounded.cast(DataType::Int64),
            faults: vec![
                missing(name, col(cell)),
                (faulty(cell, &format!("{name} not a number")), no_number),
                (faulty(cell, &format!("{name} out of range or finer than money.scale")), beyond.or(finer)),
            ],
        }
    }

    /// Local time of the line.
    fn moment(&self) -> (&'static str, Parsed) {
        let name = &self.params.columns.ordered_at;
        let source = col(name);
        let datetime = DataType::Datetime(TimeUnit::Microseconds, None);
        // All files of a run have the same kind of moment: the pipeline's compile step saw to that.
        let dtype = self.params.files.iter().flat_map(|f| &f.columns).find(|(n, _)| n == name).map(|(_, d)| d);
        let mut ambiguous = None;
        let (value, missing) = match (self.params.format, dtype) {
            (Format::Csv | Format::Xlsx, _) => {
                let of_workbook = (self.params.format == Format::Xlsx).then_some(workbook::MOMENT_FORMAT);
                let formats = of_workbook.into_iter().chain(self.params.datetime_formats.iter().map(String::as_str));
                let parsed = formats.map(|format| {
                    let options =
                        StrptimeOptions { format: Some(format.into()), strict: false, exact: true, cache: true };
                    col(name).str().to_datetime(Some(TimeUnit::Microseconds), None, options, lit("raise"))
                });
                let parsed: Vec<Expr> = parsed.collect();
                let first = parsed.iter().cloned().reduce(|first, next| first.fill_null(next)).unwrap_or(lit(NULL));
                let differs = |next: &Expr| next.clone().neq(first.clone()).fill_null(lit(false));
                ambiguous = parsed.iter().skip(1).map(differs).reduce(|any, one| any.or(one));
                (first, blank(source))
            }
            (Format::Parquet, Some(DataType::Datetime(_, Some(_)))) => {
                let local = source.clone().dt().convert_time_zone(zone(self.params.timezone));
                let naive = local.dt().replace_time_zone(None, lit("raise"), NonExistent::Raise);
                (naive.cast(datetime), source.is_null())
            }
            (Format::Parquet, _) => (source.clone().cast(datetime), source.is_null()),
        };
        let wrong = value.clone().is_null();
        let (year, first, last) = (value.clone().dt().year(), YEARS.start(), YEARS.end());
        let beyond = year.clone().lt(lit(*first)).or(year.gt(lit(*last)));
        let faults = vec![
            (Fault { reason: "ordered_at missing".to_owned(), cell: None }, missing),
            (faulty(name, "ordered_at not in any declared format"), wrong),
            (faulty(name, AMBIGUOUS), ambiguous.unwrap_or(lit(false))),
            (faulty(name, &format!("ordered_at before {first} or after {last}")), beyond),
        ];
        (ORDERED_AT, Parsed { value, faults })
    }
}

/// The code of the first predicate that holds, counted from `start`; null where none does.
pub fn first_of(predicates: impl DoubleEndedIterator<Item = Expr> + ExactSizeIterator, start: usize) -> Expr {
    let none = lit(NULL).cast(DataType::UInt8);
    predicates
        .enumerate()
        .rev()
        .fold(none, |otherwise, (idx, predicate)| when(predicate).then(lit((start + idx) as u8)).otherwise(otherwise))
}

/// Identities keep the source's type up to the group-by, where integers are cheaper than text; floats, which pandas
/// makes of integers with gaps, become integers again.
fn identity(source: Expr, file: &SourceFile, name: &str) -> Expr {
    match file.columns.iter().find(|(column, _)| column == name) {
        Some((_, dtype)) if dtype.is_float() || dtype.is_integer() => source.cast(DataType::Int64),
        _ => source.cast(DataType::String),
    }
}

fn zone(timezone: chrono_tz::Tz) -> TimeZone {
    TimeZone::from_chrono(&timezone)
}

/// Null, or text without anything in it.
pub fn blank(source: Expr) -> Expr {
    source.clone().is_null().or(source.cast(DataType::String).eq(lit("")))
}

/// A fault of a cell.
fn faulty(cell: &str, reason: &str) -> Fault {
    Fault { reason: reason.to_owned(), cell: Some(cell.to_owned()) }
}

/// A cell without anything in it.
fn missing(name: &str, source: Expr) -> (Fault, Expr) {
    (Fault { reason: format!("{name} missing"), cell: None }, blank(source))
}
