//! Gives each source column its meaning and type, and marks the rows that cannot be given one.
//!
//! One function a column; a fault is a reason like any other, only that it comes before those of `clean`. Sources differ in
//! columns and formats; their lines have the same columns, types and fault codes.

use chrono::NaiveDate;
use polars::prelude::*;

use super::numbers::{MONEY_LIMIT, minor_units, number, whole_number};
use super::walk::{self, BadRecord};
use super::{Fault, Format, IngestParams, RejectColumns, Source, SourceFile, Worth, rates, scan, workbook};
use crate::columns::{
    AMOUNT, CATEGORY, CURRENCY, CUSTOMER_ID, DAY, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, REASON,
    SOURCE_FILE, SOURCE_ROW, TEXT, UNIT_PRICE,
};

/// The fault of a moment that two declared formats read differently; it fails the run, since no format can be preferred.
pub const AMBIGUOUS: &str = "ordered_at ambiguous: two declared formats read it differently";
/// The fault of money that cannot be counted with the rest; it fails the run, since a sum over currencies means nothing.
pub const FOREIGN: &str = "currency is not the pipeline's, and no rates are given";
/// Type of the local moment of a line.
const DATETIME: DataType = DataType::Datetime(TimeUnit::Microseconds, None);
/// Years that an order may be of; beyond them lie years of two digits and stand-ins for "never".
const YEARS: std::ops::RangeInclusive<i32> = 1900..=2199;

/// Name under which a source column is carried along.
pub fn carried_name(column: &str) -> String {
    format!("source.{column}")
}

/// Name under which the cell behind one of the pipeline's columns is carried along, as the source has it.
pub fn cell_name(column: &str) -> String {
    format!("cell.{column}")
}

/// The union of all files' columns, in the order in which they first appear.
pub fn all_columns<'a>(files: impl Iterator<Item = &'a SourceFile>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (column, _) in files.flat_map(|file| &file.columns) {
        if !names.contains(column) {
            names.push(column.clone());
        }
    }
    names
}

/// A column's expression and the reasons for which it may fail.
pub(super) struct Parsed {
    pub(super) value: Expr,
    pub(super) faults: Vec<(Fault, Expr)>,
}

/// Expressions from source columns to the pipeline's.
pub(super) struct Conformer<'a> {
    params: &'a IngestParams,
    /// What the fault codes mean, in the order of their codes: the faults of all sources, each once.
    pub(super) faults: Vec<Fault>,
    /// Source columns to carry along.
    pub(super) carried: Vec<String>,
    /// The pipeline's columns whose cells are carried along.
    cells: Vec<&'static str>,
    /// What the rejects keep: name there, and column of the lines.
    pub(super) kept: Vec<(String, String)>,
}

impl<'a> Conformer<'a> {
    pub(super) fn new(params: &'a IngestParams) -> Self {
        let mut conformer =
            Self { params, faults: Vec::new(), carried: Vec::new(), cells: Vec::new(), kept: Vec::new() };
        let cells = params.sources.iter().flat_map(|source| conformer.parsed(source)).flat_map(|(_, p)| p.faults);
        let foreign = params.rates.iter().flat_map(|_| [rates::NO_RATE, rates::BEYOND]);
        let foreign = foreign.map(|reason| Fault { reason: reason.to_owned(), cell: Some(CURRENCY) });
        let walked = params.sources.iter().any(|source| source.set.format == Format::Csv);
        let records = walk::FAULTS.iter().filter(|_| walked);
        let records = records.map(|reason| Fault { reason: (*reason).to_owned(), cell: None });
        for fault in cells.map(|(fault, _)| fault).chain(foreign).chain(records).collect::<Vec<_>>() {
            if !conformer.faults.contains(&fault) {
                conformer.faults.push(fault);
            }
        }
        let mapped = || params.sources.iter().flat_map(|source| source.columns.mapped()).map(|(name, _)| name);
        let kept = mapped().filter(|_| params.rejects == RejectColumns::Mapped);
        let at_fault = conformer.faults.iter().filter_map(|fault| fault.cell);
        for name in kept.chain(at_fault) {
            if !conformer.cells.contains(&name) {
                conformer.cells.push(name);
            }
        }
        let all = all_columns(params.files());
        conformer.kept = match params.rejects {
            RejectColumns::Reasons => Vec::new(),
            RejectColumns::Mapped => {
                let mapped = conformer.cells.iter().filter(|cell| mapped().any(|name| name == **cell));
                mapped.map(|name| ((*name).to_owned(), cell_name(name))).collect()
            }
            RejectColumns::Raw => all.iter().map(|name| (format!("raw_{name}"), carried_name(name))).collect(),
        };
        conformer.carried = match params.whole_rows || params.rejects == RejectColumns::Raw {
            true => all,
            false => all.into_iter().filter(|name| params.looked_at.contains(name)).collect(),
        };
        conformer
    }

    /// Code of a fault.
    pub(super) fn code(&self, reason: &str) -> u8 {
        self.faults.iter().position(|fault| fault.reason == reason).unwrap_or_default() as u8
    }

    /// Records that are none of the table's as rows of the lines: nothing is known of them but file, row, text and fault.
    pub(super) fn bad_records(&self, file: usize, bad: &[BadRecord], schema: &Schema) -> PolarsResult<DataFrame> {
        let columns = schema.iter_names_and_dtypes().map(|(name, dtype)| match name.as_str() {
            SOURCE_FILE => Column::new(name.clone(), vec![file as u32; bad.len()]).cast(dtype),
            SOURCE_ROW => Column::new(name.clone(), bad.iter().map(|r| r.row).collect::<Vec<_>>()).cast(dtype),
            TEXT => Ok(Column::new(name.clone(), bad.iter().map(|r| r.text.as_str()).collect::<Vec<_>>())),
            REASON => {
                let codes: Vec<u32> = bad.iter().map(|r| u32::from(self.code(walk::FAULTS[r.fault]))).collect();
                Column::new(name.clone(), codes).cast(dtype)
            }
            MONEY => Column::new(name.clone(), vec![0i64; bad.len()]).cast(dtype),
            _ => Ok(Column::full_null(name.clone(), bad.len(), dtype)),
        });
        DataFrame::new(bad.len(), columns.collect::<PolarsResult<_>>()?)
    }

    /// The plan of one file's lines.
    pub(super) fn conform(&self, frame: LazyFrame, source: &Source, file: &SourceFile) -> LazyFrame {
        let columns = &source.columns;
        let mut selected = vec![
            col(scan::FILE_COLUMN).alias(SOURCE_FILE),
            col(walk::ROW_COLUMN).alias(SOURCE_ROW),
            self.identity(CUSTOMER_ID, Some(&columns.customer_id), file),
            self.identity(ORDER_ID, columns.order_id.as_ref(), file),
            self.identity(PRODUCT_ID, columns.product_id.as_ref(), file),
            self.identity(CATEGORY, columns.category.as_ref(), file),
        ];
        let mut faults = Vec::new();
        let mut parsed = self.parsed(source);
        for (_, parsed) in &mut parsed {
            let coded = |(fault, found): (Fault, Expr)| (self.code(&fault.reason), found);
            faults.extend(std::mem::take(&mut parsed.faults).into_iter().map(coded));
        }
        // Lines of all sources have the same columns in the same order, whatever is mapped.
        for (name, dtype) in [
            (QUANTITY, DataType::Int64),
            (UNIT_PRICE, DataType::Int64),
            (AMOUNT, DataType::Int64),
            (ORDERED_AT, DATETIME),
            (CURRENCY, DataType::String),
        ] {
            let own = parsed.iter().find(|(found, _)| *found == name).map(|(_, parsed)| parsed.value.clone());
            selected.push(own.unwrap_or_else(|| lit(NULL).cast(dtype)).alias(name));
        }
        selected.push(lit(NULL).cast(DataType::String).alias(TEXT));
        selected.push(first_of(faults).alias(REASON));
        let mapped = columns.mapped();
        for name in &self.cells {
            let column = mapped.iter().find(|(ours, _)| ours == name).map(|(_, theirs)| *theirs);
            let all = self.params.sources.iter().map(|source| {
                let column = source.columns.mapped().into_iter().find(|(ours, _)| ours == name);
                column.map(|(_, theirs)| (source, theirs))
            });
            let dtype = common_type(all.flatten().map(|(source, column)| source.set.dtype(column)));
            selected.push(typed(column, file, &dtype).alias(cell_name(name)));
        }
        for name in &self.carried {
            let files = self.params.files().filter_map(|file| file.columns.iter().find(|(column, _)| column == name));
            let dtype = common_type(files.map(|(_, dtype)| Some(dtype)));
            selected.push(typed(Some(name), file, &dtype).alias(carried_name(name)));
        }
        let money = match columns.worth {
            Worth::Priced { .. } => col(QUANTITY) * col(UNIT_PRICE),
            Worth::Amount { .. } => col(AMOUNT),
        };
        frame
            .select(selected)
            // A line that cannot be parsed is worth nothing, so that the ledger's money adds up.
            .with_column(when(col(REASON).is_null()).then(money).otherwise(lit(0i64)).alias(MONEY))
            .with_column(col(ORDERED_AT).dt().date().alias(DAY))
    }

    /// Identities keep the sources' type up to the group-by, where integers are cheaper than text; floats, which pandas
    /// makes of integers with gaps, become integers again. Where sources differ, all become text.
    fn identity(&self, name: &str, column: Option<&String>, file: &SourceFile) -> Expr {
        let files = |source: &'a Source| {
            let mapped = source.columns.mapped().into_iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| theirs);
            let columns = source.set.files.iter().flat_map(|file| &file.columns);
            columns.filter(move |(column, _)| Some(column.as_str()) == mapped).map(|(_, dtype)| dtype)
        };
        let number = |dtype: &DataType| dtype.is_float() || dtype.is_integer();
        let dtypes: Vec<&DataType> = self.params.sources.iter().flat_map(files).collect();
        let numbers = !dtypes.is_empty() && dtypes.into_iter().all(number);
        let target = if numbers { DataType::Int64 } else { DataType::String };
        let column = column.map(String::as_str);
        let own = file.columns.iter().find(|(name, _)| Some(name.as_str()) == column).map(|(_, dtype)| dtype);
        match (column, own) {
            (Some(column), Some(dtype)) if dtype.is_float() => col(column).cast(DataType::Int64).cast(target),
            _ => typed(column, file, &target),
        }
        .alias(name)
    }

    /// The columns of a source that may fail to parse, in the order in which their faults are told.
    fn parsed(&self, source: &Source) -> Vec<(&'static str, Parsed)> {
        let mut parsed = self.measures(source);
        parsed.push(self.moment(source));
        parsed.extend(source.columns.currency.as_ref().map(|column| (CURRENCY, self.currency(column, source))));
        parsed
    }

    /// The currency of a line's money. Without rates, money of another currency than the pipeline's cannot be counted.
    fn currency(&self, column: &str, source: &Source) -> Parsed {
        let value = col(column).cast(DataType::String).str().strip_chars(lit(NULL));
        let mut faults = vec![missing(CURRENCY, column, source)];
        if let (None, Some(own)) = (&self.params.rates, &self.params.money.currency) {
            faults.push((faulty(CURRENCY, FOREIGN), value.clone().neq(lit(own.as_str())).fill_null(lit(false))));
        }
        Parsed { value, faults }
    }

    /// Quantity, price and amount, as far as they are mapped.
    fn measures(&self, source: &Source) -> Vec<(&'static str, Parsed)> {
        let factor = self.params.money.factor();
        match &source.columns.worth {
            Worth::Priced { quantity, unit_price } => {
                let mut units = whole_number(QUANTITY, quantity, source);
                let mut price = minor_units(UNIT_PRICE, unit_price, source, factor);
                let product = number(quantity, source) * number(unit_price, source) * lit(factor);
                let beyond = Fault { reason: "quantity × unit_price out of range".to_owned(), cell: None };
                price.faults.push((beyond, product.abs().gt(lit(MONEY_LIMIT))));
                units.faults.append(&mut price.faults);
                vec![(QUANTITY, units), (UNIT_PRICE, price)]
            }
            Worth::Amount { amount, quantity } => {
                let amount = (AMOUNT, minor_units(AMOUNT, amount, source, factor));
                // Beside an amount the units are a remark: a line without them is as good, one with nonsense is not.
                let units = |name: &String| {
                    let mut parsed = whole_number(QUANTITY, name, source);
                    let nonsense =
                        |(fault, found): (Fault, Expr)| (fault, found.and(blank(name, source.set.dtype(name)).not()));
                    parsed.faults = parsed.faults.into_iter().skip(1).map(nonsense).collect();
                    (QUANTITY, parsed)
                };
                quantity.iter().map(units).chain([amount]).collect()
            }
        }
    }

    /// Local time of the line.
    fn moment(&self, from: &Source) -> (&'static str, Parsed) {
        let name = &from.columns.ordered_at;
        let source = col(name);
        // All files of a source have the same kind of moment: the pipeline's compile step saw to that.
        let dtype = from.set.dtype(name);
        let mut ambiguous = None;
        let (value, missing) = match (from.set.format, dtype) {
            (Format::Csv | Format::Xlsx, _) => {
                let of_workbook = (from.set.format == Format::Xlsx).then_some(workbook::MOMENT_FORMAT);
                let formats = of_workbook.into_iter().chain(from.set.text.datetime_formats.iter().map(String::as_str));
                let parsed = formats.map(|format| {
                    let options =
                        StrptimeOptions { format: Some(format.into()), strict: false, exact: true, cache: true };
                    col(name).str().to_datetime(Some(TimeUnit::Microseconds), None, options, lit("raise"))
                });
                let parsed: Vec<Expr> = parsed.collect();
                let first = parsed.iter().cloned().reduce(|first, next| first.fill_null(next)).unwrap_or(lit(NULL));
                let differs = |next: &Expr| next.clone().neq(first.clone()).fill_null(lit(false));
                ambiguous = parsed.iter().skip(1).map(differs).reduce(|any, one| any.or(one));
                (first, blank(name, dtype))
            }
            (Format::Parquet, Some(DataType::Datetime(_, Some(_)))) => {
                let local = source.clone().dt().convert_time_zone(zone(self.params.timezone));
                let naive = local.dt().replace_time_zone(None, lit("raise"), NonExistent::Raise);
                (naive.cast(DATETIME), source.is_null())
            }
            (Format::Parquet, _) => (source.clone().cast(DATETIME), source.is_null()),
        };
        let wrong = value.clone().is_null();
        let (first, last) = (YEARS.start(), YEARS.end());
        let new_year = |year: i32| lit(NaiveDate::from_yo_opt(year, 1).unwrap_or_default()).cast(DATETIME);
        let beyond = value.clone().lt(new_year(*first)).or(value.clone().gt_eq(new_year(last + 1)));
        let faults = vec![
            (Fault { reason: "ordered_at missing".to_owned(), cell: None }, missing),
            (faulty(ORDERED_AT, "ordered_at not in any declared format"), wrong),
            (faulty(ORDERED_AT, AMBIGUOUS), ambiguous.unwrap_or(lit(false))),
            (faulty(ORDERED_AT, &format!("ordered_at before {first} or after {last}")), beyond),
        ];
        (ORDERED_AT, Parsed { value, faults })
    }
}

/// The code of the first predicate that holds; null where none does.
pub fn first_of(predicates: Vec<(u8, Expr)>) -> Expr {
    let none = lit(NULL).cast(DataType::UInt8);
    predicates
        .into_iter()
        .rev()
        .fold(none, |otherwise, (code, predicate)| when(predicate).then(lit(code)).otherwise(otherwise))
}

/// A column of a file in a type; nulls where the file has no such column.
fn typed(column: Option<&str>, file: &SourceFile, target: &DataType) -> Expr {
    match column.and_then(|column| file.columns.iter().find(|(name, _)| name == column)) {
        Some((name, dtype)) if dtype == target => col(name),
        Some((name, _)) => col(name).cast(target.clone()),
        None => lit(NULL).cast(target.clone()),
    }
}

/// The type of all, or text where they differ.
pub(super) fn common_type<'a>(mut dtypes: impl Iterator<Item = Option<&'a DataType>>) -> DataType {
    let first = dtypes.next().flatten();
    match dtypes.all(|other| other == first) {
        true => first.cloned().unwrap_or(DataType::String),
        false => DataType::String,
    }
}

fn zone(timezone: chrono_tz::Tz) -> TimeZone {
    TimeZone::from_chrono(&timezone)
}

/// Whether a column of some type is null, or text without anything in it. To make text of a number for it would cost as much
/// as to read it.
pub fn blank(column: &str, dtype: Option<&DataType>) -> Expr {
    match dtype {
        Some(DataType::String) | None => empty(col(column)),
        Some(_) => col(column).is_null(),
    }
}

/// Whether a value is null, or text without anything in it.
pub fn empty(value: Expr) -> Expr {
    value.clone().is_null().or(value.cast(DataType::String).eq(lit("")))
}

/// A fault of a cell.
pub(super) fn faulty(cell: &'static str, reason: &str) -> Fault {
    Fault { reason: reason.to_owned(), cell: Some(cell) }
}

/// A cell without anything in it.
pub(super) fn missing(name: &str, cell: &str, source: &Source) -> (Fault, Expr) {
    (Fault { reason: format!("{name} missing"), cell: None }, blank(cell, source.set.dtype(cell)))
}
