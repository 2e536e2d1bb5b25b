//! Maps source columns to the pipeline's columns and types, and marks the rows that have faults.
//!
//! Sources differ in columns and formats. Their lines have the same columns, types and fault codes.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{
    DATETIME, FAULT_COLUMN, FILE_COLUMN, LINES_COLUMN, MONEY_COLUMN, ParsedCell, ROW_COLUMN,
    TEXT_COLUMN, UNITS_COLUMN, common_type, fault_name, value_name,
};
use super::fault::{
    AMOUNT_OUT_OF_RANGE, FaultList, MONEY_OUT_OF_RANGE, NO_RATE, RECORD_FAULTS, WORKBOOK_ERROR,
};
use super::parse::{IdTypes, parsed_cells};
use super::source::FILE_NAME;
use super::{
    Format, IngestParams, LinePlan, Predicate, RejectColumns, Source, SourceFile, ids, outcomes,
    parse, workbook,
};
use crate::columns::{
    AMOUNT, CATEGORY, CURRENCY, CUSTOMER_ID, DAY, LINES, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID,
    QUANTITY, REASON, SOURCE_FILE, SOURCE_ROW, TEXT, UNIT_PRICE, UNITS,
};

/// Name under which the plan carries a source column.
pub fn carried_name(column: &str) -> String {
    format!("source.{column}")
}

/// Name under which the plan carries the unparsed cells of one of the pipeline's columns.
pub fn cell_name(column: &str) -> String {
    format!("cell.{column}")
}

/// The union of all files' columns, in the order of their first occurrence.
pub fn all_columns<'a>(files: impl Iterator<Item = &'a SourceFile>) -> Vec<String> {
    let names = files.flat_map(SourceFile::column_names);
    names.collect::<PlIndexSet<_>>().into_iter().map(str::to_owned).collect()
}

/// Names of the kept source columns in the rejects. Names that differ only in case get a number,
/// since many readers ignore case.
fn raw_names(columns: &[String]) -> impl Iterator<Item = (String, String)> {
    let mut seen = PlHashMap::new();
    columns.iter().map(move |column| {
        let n = seen.entry(column.to_lowercase()).and_modify(|n| *n += 1).or_insert(1);
        let suffix = if *n == 1 { String::new() } else { format!("_{n}") };
        (format!("raw_{column}{suffix}"), carried_name(column))
    })
}

/// A file with the parsers of its columns.
pub(super) struct ParsedFile<'a> {
    pub(super) source: &'a Source,
    pub(super) file: &'a SourceFile,
    pub(super) cells: Vec<Arc<ParsedCell>>,
}

pub(super) struct RowMapper<'a> {
    params: &'a IngestParams,
    /// All files of all sources.
    pub(super) files: Vec<ParsedFile<'a>>,
    /// All faults that the rows can have.
    pub(super) faults: FaultList,
    pub(super) carried: Vec<String>,
    /// The pipeline's columns whose unparsed cells are carried.
    cells: PlIndexSet<&'static str>,
    /// Columns that the rejects keep: name in the rejects, name in the plan.
    pub(super) kept: Vec<(String, String)>,
}

impl<'a> RowMapper<'a> {
    pub(super) fn new(params: &'a IngestParams) -> Self {
        let mut faults = FaultList::default();
        if params.sources.iter().any(|source| source.set.format == Format::Csv) {
            for reason in RECORD_FAULTS {
                faults.in_row(reason);
            }
        }
        for source in &params.sources {
            if let Some(filter) = &source.filter {
                faults.filter(filter_reason(filter));
            }
            for file in &source.set.files {
                for (name, _, reason) in error_cells(params, source, file) {
                    faults.in_cell(name, &reason);
                }
            }
        }
        let id_types = id_types(params);
        let of_source = |source: &'a Source| source.set.files.iter().map(move |f| (source, f));
        let mut files = Vec::new();
        for (source, file) in params.sources.iter().flat_map(of_source) {
            let cells = parsed_cells(params, source, file, &id_types, &mut faults);
            let cells = cells.into_iter().map(Arc::new).collect();
            files.push(ParsedFile { source, file, cells });
        }
        if params.rates.is_some() {
            faults.in_cell(CURRENCY, NO_RATE);
            faults.in_cell(CURRENCY, MONEY_OUT_OF_RANGE);
        }
        // A key of the path is part of a row only if something reads it.
        let mut all = all_columns(params.files());
        all.retain(|name| {
            let is_own = params.files().any(|file| file.columns.iter().any(|(own, _)| own == name));
            is_own || params.sources.iter().any(|source| params.reads_by_name(source, name))
        });
        let has_name = |name: &String| name == FILE_NAME && !all.contains(name);
        let name = params.inspected.iter().find(|name| has_name(name)).cloned();
        all.extend(name);
        let mut cells = PlIndexSet::default();
        let mut kept = Vec::new();
        match params.rejects {
            RejectColumns::Reasons => {}
            RejectColumns::Mapped => {
                let mapped = params.sources.iter().flat_map(|source| source.columns.mapped());
                cells.extend(mapped.map(|(name, _)| name));
                kept.extend(cells.iter().map(|name| ((*name).to_owned(), cell_name(name))));
            }
            RejectColumns::Raw => kept.extend(raw_names(&all)),
        }
        cells.extend(faults.0.iter().filter_map(|fault| fault.cell));
        if !params.reads_all_columns() {
            all.retain(|name| params.inspected.contains(name));
        }
        Self { params, files, faults, carried: all, cells, kept }
    }

    /// Columns of a file whose text is read for every row, not only for rows with a fault.
    pub(super) fn text_columns(&self, parsed: &ParsedFile<'_>) -> Vec<String> {
        let ParsedFile { source, file, .. } = parsed;
        let keeps_mapped = self.params.rejects == RejectColumns::Mapped;
        let mapped = source.columns.mapped().into_iter().filter(|_| keeps_mapped);
        let columns: PlIndexSet<&str> = mapped
            .map(|(_, column)| column)
            .chain(self.carried.iter().map(String::as_str))
            .filter(|column| file.dtype(column).is_some() && !file.is_partition(column))
            .collect();
        columns.into_iter().map(str::to_owned).collect()
    }

    /// The plan of one file's lines, from its parsed cells. All sources get the same columns in the
    /// same order, whatever is mapped.
    pub(super) fn map_rows(&self, plan: LinePlan, parsed: &ParsedFile<'_>) -> LinePlan {
        let ParsedFile { source, file, cells } = parsed;
        let mut selected =
            vec![col(FILE_COLUMN).alias(SOURCE_FILE), col(ROW_COLUMN).alias(SOURCE_ROW)];
        let value = |name: &str, dtype: DataType| {
            let is_parsed = cells.iter().any(|cell| cell.name == name);
            if is_parsed { col(value_name(name)) } else { lit(NULL).cast(dtype) }
        };
        for (name, dtype) in id_types(self.params) {
            selected.push(value(name, dtype).alias(name));
        }
        selected.push(self.params.quantity(value(QUANTITY, DataType::Int64)).alias(QUANTITY));
        for (name, dtype) in [
            (UNIT_PRICE, DataType::Int64),
            (AMOUNT, DataType::Int64),
            (ORDERED_AT, DATETIME),
            (CURRENCY, DataType::String),
        ] {
            selected.push(value(name, dtype).alias(name));
        }
        let text = match source.set.format {
            Format::Csv => col(TEXT_COLUMN),
            _ => lit(NULL).cast(DataType::String),
        };
        selected.push(text.alias(TEXT));
        selected.push(self.reason(parsed).alias(REASON));
        for name in &self.cells {
            let in_file = |source: &'a Source, file: &SourceFile| {
                file.dtype(source.columns.source_name(name)?).cloned()
            };
            let dtypes = self.files.iter().filter_map(|other| in_file(other.source, other.file));
            let dtypes: Vec<DataType> = dtypes.collect();
            let column = source.columns.source_name(name);
            let cell = typed(column, file, &common_type(dtypes.iter()));
            let error = column.filter(|column| has_errors(source, file, column));
            let cell = match error {
                // The text of an error is its only value. A computed column may have a value, too.
                Some(column) => {
                    col(workbook::error_name(column)).fill_null(cell.cast(DataType::String))
                }
                None => cell,
            };
            selected.push(cell.alias(cell_name(name)));
        }
        for name in &self.carried {
            let dtype = common_type(self.params.files().filter_map(|file| file.dtype(name)));
            selected.push(typed(Some(name), file, &dtype).alias(carried_name(name)));
        }
        selected.push(col(LINES_COLUMN).alias(LINES));
        selected.push(col(UNITS_COLUMN).alias(UNITS));
        selected.push(col(MONEY_COLUMN).alias(MONEY));
        let plan = plan.select(selected).with_column(parse::local_day(col(ORDERED_AT)).alias(DAY));
        match &source.filter {
            Some(filter) => plan.with_column(self.filtered(filter)),
            None => plan,
        }
    }

    /// The reason of each row: the filter comes before faults of single cells. A row of unknown
    /// outcome has no fault if the filter leaves it out.
    fn filtered(&self, filter: &Predicate) -> Expr {
        let code = lit(self.faults.code(&filter_reason(filter)));
        let is_false = filter.keep.clone().eq(lit(false)).fill_null(lit(false));
        let is_unknown = filter.keep.clone().is_null();
        let code = code.cast(DataType::UInt8);
        let unknown = when(is_unknown).then(code.clone()).otherwise(lit(NULL));
        let of_others = col(REASON).fill_null(unknown);
        when(is_false).then(code).otherwise(of_others).cast(DataType::UInt8).alias(REASON)
    }

    /// The code of a row's first fault: that of its record, then those of its cells.
    fn reason(&self, parsed: &ParsedFile<'_>) -> Expr {
        let ParsedFile { source, file, cells } = parsed;
        let mut codes: Vec<Expr> = Vec::new();
        if source.set.format == Format::Csv {
            let predicates = RECORD_FAULTS.iter().zip(0u8..).map(|(reason, index)| {
                (self.faults.code(reason), col(FAULT_COLUMN).eq(lit(index)))
            });
            codes.push(outcomes::first_match(predicates.collect()));
        }
        let errors = error_cells(self.params, source, file).into_iter();
        let errors = errors.map(|(_, column, reason)| {
            (self.faults.code(&reason), col(workbook::error_name(column)).is_not_null())
        });
        let errors: Vec<(u8, Expr)> = errors.collect();
        if !errors.is_empty() {
            codes.push(outcomes::first_match(errors));
        }
        for cell in cells.iter().filter(|cell| cell.can_fail()) {
            codes.push(col(fault_name(cell.name)));
            if cell.name == UNIT_PRICE {
                let value = |name| col(value_name(name));
                let is_out_of_range = value(MONEY)
                    .is_null()
                    .and(value(QUANTITY).is_not_null())
                    .and(value(UNIT_PRICE).is_not_null());
                let code = self.faults.code(AMOUNT_OUT_OF_RANGE);
                codes.push(outcomes::first_match(vec![(code, is_out_of_range)]));
            }
        }
        codes.into_iter().reduce(Expr::fill_null).unwrap_or(lit(NULL))
    }
}

/// The mapped columns of a file in which an error is a fault: ours, the source's, and the reason.
fn error_cells<'a>(
    params: &IngestParams,
    source: &'a Source,
    file: &SourceFile,
) -> Vec<(&'static str, &'a str, String)> {
    let mapped = source.columns.mapped().into_iter();
    mapped
        .filter(|(name, column)| !params.unread.contains(name) && has_errors(source, file, column))
        .map(|(name, column)| {
            let is_computed = file.computed(column).is_some();
            let reason = if is_computed { "not a number" } else { WORKBOOK_ERROR };
            (name, column, format!("{name} {reason}"))
        })
        .collect()
}

/// Whether a file has a column of errors for a column.
fn has_errors(source: &Source, file: &SourceFile, column: &str) -> bool {
    match file.computed(column) {
        Some(computed) => computed.can_fail(),
        None => source.set.format == Format::Workbook && !file.is_partition(column),
    }
}

/// The reason of rows that a source leaves out.
fn filter_reason(filter: &Predicate) -> String {
    format!("not {}", filter.sql)
}

/// The ids that are read, with the common type of all files' ids: i64 if all are whole numbers that
/// fit it, text otherwise.
fn id_types(params: &IngestParams) -> IdTypes {
    let mut types = Vec::new();
    for name in [CUSTOMER_ID, ORDER_ID, PRODUCT_ID, CATEGORY] {
        if params.unread.contains(&name) {
            continue;
        }
        let in_source = |source: &Source| {
            let column = source.columns.source_name(name).map(str::to_owned);
            let files = source.set.files.iter();
            let dtypes: Vec<DataType> =
                files.filter_map(|file| file.dtype(column.as_deref()?).cloned()).collect();
            dtypes
        };
        let dtypes: Vec<DataType> = params.sources.iter().flat_map(in_source).collect();
        let mut known = dtypes.iter().filter(|dtype| **dtype != DataType::Null).peekable();
        let is_whole = known.peek().is_some() && known.all(ids::is_whole_number);
        types.push((name, if is_whole { DataType::Int64 } else { DataType::String }));
    }
    types
}

/// A column of a file in a type; nulls if the file has no such column.
fn typed(column: Option<&str>, file: &SourceFile, target: &DataType) -> Expr {
    match column.and_then(|column| Some((column, file.dtype(column)?))) {
        Some((column, dtype)) if dtype == target => col(column),
        Some((column, _)) => col(column).cast(target.clone()),
        None => lit(NULL).cast(target.clone()),
    }
}
