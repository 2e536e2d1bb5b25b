//! Maps source columns to the pipeline's columns and types, and marks the rows that have faults.
//!
//! Sources differ in columns and formats. Their lines have the same columns, types and fault codes.

use polars::prelude::*;

use super::cell::{
    CellExprs, DATETIME, FAULT_COLUMN, FILE_COLUMN, ParsedCell, ROW_COLUMN, TEXT_COLUMN,
    common_type, fits_i64,
};
use super::fault::{AMOUNT_OUT_OF_RANGE, FaultList, MONEY_OUT_OF_RANGE, NO_RATE, RECORD_FAULTS};
use super::{Format, IngestParams, LineAmount, RejectColumns, Source, SourceFile, outcomes, parse};
use crate::columns::{
    AMOUNT, CATEGORY, CURRENCY, CUSTOMER_ID, DAY, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID,
    QUANTITY, REASON, SOURCE_FILE, SOURCE_ROW, TEXT, UNIT_PRICE,
};

/// Name under which the plan carries a source column.
pub fn carried_name(column: &str) -> String {
    format!("source.{column}")
}

/// Name under which the plan carries the unparsed cells of one of the pipeline's columns.
pub fn cell_name(column: &str) -> String {
    format!("cell.{column}")
}

/// Name of the parsed value of one of the pipeline's columns.
fn value_name(column: &str) -> String {
    format!("custseg.{column}")
}

/// Name of the fault codes of one of the pipeline's columns.
fn fault_name(column: &str) -> String {
    format!("custseg.{column}.fault")
}

/// The union of all files' columns, in the order of their first occurrence.
pub fn all_columns<'a>(files: impl Iterator<Item = &'a SourceFile>) -> Vec<String> {
    let names = files.flat_map(|file| &file.columns).map(|(name, _)| name);
    names.collect::<PlIndexSet<_>>().into_iter().cloned().collect()
}

pub(super) struct ParsedSource<'a> {
    pub(super) source: &'a Source,
    cells: Vec<ParsedCell>,
}

impl ParsedSource<'_> {
    pub(super) fn exprs(&self) -> CellExprs {
        let mut columns = CellExprs::default();
        for ParsedCell { name, source_column, value, fault } in &self.cells {
            let exprs =
                [value.clone().alias(value_name(name)), fault.clone().alias(fault_name(name))];
            columns.entry(source_column.clone()).or_default().extend(exprs);
        }
        columns
    }
}

pub(super) struct RowMapper<'a> {
    params: &'a IngestParams,
    pub(super) sources: Vec<ParsedSource<'a>>,
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
        let mut parsed = |source| {
            let cells = parse::parsed_cells(params, source, &mut faults);
            ParsedSource { source, cells }
        };
        let sources = params.sources.iter().map(&mut parsed).collect();
        if params.rates.is_some() {
            faults.in_cell(CURRENCY, NO_RATE);
            faults.in_cell(CURRENCY, MONEY_OUT_OF_RANGE);
        }
        if params.sources.iter().any(|source| source.set.format == Format::Csv) {
            for reason in RECORD_FAULTS {
                faults.in_row(reason);
            }
        }
        let mut all = all_columns(params.files());
        let mut cells = PlIndexSet::default();
        let mut kept = Vec::new();
        match params.rejects {
            RejectColumns::Reasons => {}
            RejectColumns::Mapped => {
                let mapped = params.sources.iter().flat_map(|source| source.columns.mapped());
                cells.extend(mapped.map(|(name, _)| name));
                kept.extend(cells.iter().map(|name| ((*name).to_owned(), cell_name(name))));
            }
            RejectColumns::Raw => {
                kept.extend(all.iter().map(|name| (format!("raw_{name}"), carried_name(name))));
            }
        }
        cells.extend(faults.0.iter().filter_map(|fault| fault.cell));
        if !params.reads_all_columns() {
            all.retain(|name| params.inspected.contains(name));
        }
        Self { params, sources, faults, carried: all, cells, kept }
    }

    /// Columns of a file whose text is read for every row, not only for rows with a fault.
    pub(super) fn text_columns(&self, source: &Source, file: &SourceFile) -> Vec<String> {
        let is_text = |name: &str| {
            [CUSTOMER_ID, ORDER_ID, CURRENCY, PRODUCT_ID, CATEGORY].contains(&name)
                && !self.params.unread.contains(&name)
        };
        let keeps_mapped = self.params.rejects == RejectColumns::Mapped;
        let mapped = source.columns.mapped().into_iter();
        let mapped = mapped.filter(|(name, _)| keeps_mapped || is_text(name));
        let columns: PlIndexSet<&str> = mapped
            .map(|(_, column)| column)
            .chain(self.carried.iter().map(String::as_str))
            .filter(|column| file.dtype(column).is_some())
            .collect();
        columns.into_iter().map(str::to_owned).collect()
    }

    /// The plan of one file's lines, from its parsed cells. All sources get the same columns in the
    /// same order, whatever is mapped.
    pub(super) fn map_rows(
        &self,
        frame: LazyFrame,
        parsed: &ParsedSource<'_>,
        file: &SourceFile,
    ) -> LazyFrame {
        let source = parsed.source;
        let mut selected =
            vec![col(FILE_COLUMN).alias(SOURCE_FILE), col(ROW_COLUMN).alias(SOURCE_ROW)];
        for name in [CUSTOMER_ID, ORDER_ID, PRODUCT_ID, CATEGORY] {
            if !self.params.unread.contains(&name) {
                selected.push(self.identity(name, source, file));
            }
        }
        for (name, dtype) in [
            (QUANTITY, DataType::Int64),
            (UNIT_PRICE, DataType::Int64),
            (AMOUNT, DataType::Int64),
            (ORDERED_AT, DATETIME),
            (CURRENCY, DataType::String),
        ] {
            let is_parsed = parsed.cells.iter().any(|cell| cell.name == name);
            let value = if is_parsed { col(value_name(name)) } else { lit(NULL).cast(dtype) };
            selected.push(value.alias(name));
        }
        let text = match source.set.format {
            Format::Csv => col(TEXT_COLUMN),
            Format::Parquet | Format::Xlsx => lit(NULL).cast(DataType::String),
        };
        selected.push(text.alias(TEXT));
        selected.push(self.reason(parsed).alias(REASON));
        for name in &self.cells {
            let sources = self.params.sources.iter();
            let dtypes =
                sources.filter_map(|source| source.set.dtype(source.columns.source_name(name)?));
            let column = source.columns.source_name(name);
            selected.push(typed(column, file, &common_type(dtypes)).alias(cell_name(name)));
        }
        for name in &self.carried {
            let dtype = common_type(self.params.files().filter_map(|file| file.dtype(name)));
            selected.push(typed(Some(name), file, &dtype).alias(carried_name(name)));
        }
        let money = match source.columns.line_amount {
            LineAmount::Priced { .. } => col(QUANTITY) * col(UNIT_PRICE),
            LineAmount::Amount { .. } => col(AMOUNT),
        };
        frame
            .select(selected)
            // Money of a faulty line is zero, so that the ledger's money adds up.
            .with_column(when(col(REASON).is_null()).then(money).otherwise(lit(0i64)).alias(MONEY))
            .with_column(parse::local_day(col(ORDERED_AT)).alias(DAY))
    }

    /// The code of a row's first fault: that of its record, then those of its cells.
    fn reason(&self, parsed: &ParsedSource<'_>) -> Expr {
        let mut codes: Vec<Expr> = Vec::new();
        if parsed.source.set.format == Format::Csv {
            let predicates = RECORD_FAULTS.iter().zip(0u8..).map(|(reason, index)| {
                (self.faults.code(reason), col(FAULT_COLUMN).eq(lit(index)))
            });
            codes.push(outcomes::first_match(predicates.collect()));
        }
        for cell in &parsed.cells {
            codes.push(col(fault_name(cell.name)));
            if cell.name == UNIT_PRICE {
                let values = [QUANTITY, UNIT_PRICE].map(|name| col(value_name(name)));
                let code = self.faults.code(AMOUNT_OUT_OF_RANGE);
                codes.push(parse::amount_out_of_range(values, code));
            }
        }
        codes.into_iter().reduce(Expr::fill_null).unwrap_or(lit(NULL))
    }

    /// An id. It keeps the sources' type up to the group-by, where integers are cheaper than text.
    /// Floats become integers: pandas writes integer columns with gaps as floats. If the types of
    /// the sources differ, or do not fit i64, the id becomes text.
    fn identity(&self, name: &str, source: &Source, file: &SourceFile) -> Expr {
        let in_source = |source: &'a Source| {
            let column = source.columns.source_name(name);
            source.set.files.iter().filter_map(move |file| file.dtype(column?))
        };
        let dtypes: Vec<&DataType> = self.params.sources.iter().flat_map(in_source).collect();
        let is_number = |dtype: &&DataType| dtype.is_float() || fits_i64(dtype);
        let all_numbers = !dtypes.is_empty() && dtypes.iter().all(is_number);
        let target = if all_numbers { DataType::Int64 } else { DataType::String };
        let id = match source.columns.source_name(name) {
            Some(column) if file.dtype(column).is_some_and(DataType::is_float) => {
                col(column).cast(DataType::Int64).cast(target)
            }
            column => typed(column, file, &target),
        };
        id.alias(name)
    }
}

/// A column of a file in a type; nulls if the file has no such column.
fn typed(column: Option<&str>, file: &SourceFile, target: &DataType) -> Expr {
    match column.and_then(|column| Some((column, file.dtype(column)?))) {
        Some((column, dtype)) if dtype == target => col(column),
        Some((column, _)) => col(column).cast(target.clone()),
        None => lit(NULL).cast(target.clone()),
    }
}
