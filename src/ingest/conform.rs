//! Gives each source column its meaning and type, and marks the rows that cannot be given one.
//!
//! One function a column; a fault is a reason like any other, only that it comes before those of `clean`.

use polars::prelude::*;

use super::{Format, IngestParams, SourceFile, Worth, workbook};
use crate::columns::{
    AMOUNT, CUSTOMER_ID, DAY, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, REASON, SOURCE_FILE, SOURCE_ROW,
    UNIT_PRICE,
};

/// A line's money may not go beyond this many minor units: a thousand such lines still fit 64 bits.
const MONEY_LIMIT: f64 = 9e15;
/// How far a price may lie from a whole number of minor units: beyond it, the price is finer than the scale.
const MINOR_TOLERANCE: f64 = 1e-4;

/// Name under which a source column is carried where whole rows are compared.
pub fn whole_row_name(column: &str) -> String {
    format!("source.{column}")
}

/// The union of all files' columns, in the order in which they first appear.
pub(super) fn whole_row_names(files: &[SourceFile]) -> Vec<String> {
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
    faults: Vec<(String, Expr)>,
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
    pub(super) fn faults(&self) -> Vec<String> {
        self.measures().into_iter().chain([self.moment()]).flat_map(|(_, parsed)| parsed.faults).map(|f| f.0).collect()
    }

    /// The plan of one file's lines.
    pub(super) fn conform(&self, frame: LazyFrame, file: &SourceFile, whole_row: &[String]) -> LazyFrame {
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
        selected.push(first_of(faults.into_iter().map(|(_, predicate)| predicate), 0).alias(REASON));
        for name in whole_row {
            let value = match file.columns.iter().any(|(column, _)| column == name) {
                true => col(name),
                false => lit(NULL).cast(DataType::String),
            };
            selected.push(value.alias(whole_row_name(name)));
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
                let mut units = whole_number(QUANTITY, col(quantity));
                let mut price = minor_units(UNIT_PRICE, col(unit_price), factor);
                let product = number(col(quantity)) * number(col(unit_price)) * lit(factor);
                let beyond = ("quantity × unit_price out of range".to_owned(), product.abs().gt(lit(MONEY_LIMIT)));
                price.faults.push(beyond);
                units.faults.append(&mut price.faults);
                vec![(QUANTITY, units), (UNIT_PRICE, price)]
            }
            Worth::Amount { amount, quantity } => {
                let amount = (AMOUNT, minor_units(AMOUNT, col(amount), factor));
                // Beside an amount the units are a remark: a line without them is as good, one with nonsense is not.
                let units = |name: &String| {
                    let mut parsed = whole_number(QUANTITY, col(name));
                    let nonsense = |(reason, fault): (String, Expr)| (reason, fault.and(blank(col(name)).not()));
                    parsed.faults = parsed.faults.into_iter().skip(1).map(nonsense).collect();
                    (QUANTITY, parsed)
                };
                quantity.iter().map(units).chain([amount]).collect()
            }
        }
    }

    /// Local time of the line.
    fn moment(&self) -> (&'static str, Parsed) {
        let name = &self.params.columns.ordered_at;
        let source = col(name);
        let datetime = DataType::Datetime(TimeUnit::Microseconds, None);
        // All files of a run have the same kind of moment: the pipeline's compile step saw to that.
        let dtype = self.params.files.iter().flat_map(|f| &f.columns).find(|(n, _)| n == name).map(|(_, d)| d);
        let (value, missing) = match (self.params.format, dtype) {
            (Format::Csv | Format::Xlsx, _) => {
                let of_workbook = (self.params.format == Format::Xlsx).then_some(workbook::MOMENT_FORMAT);
                let formats = of_workbook.into_iter().chain(self.params.datetime_formats.iter().map(String::as_str));
                let parsed = formats.map(|format| {
                    let options =
                        StrptimeOptions { format: Some(format.into()), strict: false, exact: true, cache: true };
                    col(name).str().to_datetime(Some(TimeUnit::Microseconds), None, options, lit("raise"))
                });
                (parsed.reduce(|first, next| first.fill_null(next)).unwrap_or(lit(NULL)), blank(source))
            }
            (Format::Parquet, Some(DataType::Datetime(_, Some(_)))) => {
                let local = source.clone().dt().convert_time_zone(zone(self.params.timezone));
                let naive = local.dt().replace_time_zone(None, lit("raise"), NonExistent::Raise);
                (naive.cast(datetime), source.is_null())
            }
            (Format::Parquet, _) => (source.clone().cast(datetime), source.is_null()),
        };
        let wrong = value.clone().is_null();
        let faults = vec![
            ("ordered_at missing".to_owned(), missing),
            ("ordered_at not in any declared format".to_owned(), wrong),
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

fn number(source: Expr) -> Expr {
    source.cast(DataType::Float64)
}

/// A whole number of units.
fn whole_number(name: &str, source: Expr) -> Parsed {
    let parsed = number(source.clone());
    let fractional = parsed.clone().round(0, RoundMode::HalfToEven).neq(parsed.clone());
    let beyond = parsed.clone().abs().gt(lit(MONEY_LIMIT));
    Parsed {
        value: parsed.clone().cast(DataType::Int64),
        faults: vec![
            (format!("{name} missing"), blank(source)),
            (format!("{name} not a whole number"), parsed.is_null().or(fractional).or(beyond)),
        ],
    }
}

/// Money as a whole number of minor units: round(x · 10^scale).
fn minor_units(name: &str, source: Expr, factor: f64) -> Parsed {
    let scaled = number(source.clone()) * lit(factor);
    let rounded = scaled.clone().round(0, RoundMode::HalfToEven);
    let finer = (scaled.clone() - rounded.clone()).abs().gt(lit(MINOR_TOLERANCE));
    let beyond = scaled.clone().abs().gt(lit(MONEY_LIMIT));
    Parsed {
        value: rounded.cast(DataType::Int64),
        faults: vec![
            (format!("{name} missing"), blank(source)),
            (format!("{name} not a number"), scaled.clone().is_null().or(scaled.is_nan())),
            (format!("{name} out of range or finer than money.scale"), beyond.or(finer)),
        ],
    }
}
