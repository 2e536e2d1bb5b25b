//! Maps source columns to the pipeline's columns and types, and marks the rows that have faults.
//!
//! Sources differ in columns and formats. Their lines have the same columns, types and fault codes.

use polars::prelude::*;

use super::cell::{
    CellExprs, DATETIME, FAULT_COLUMN, FILE_COLUMN, ROW_COLUMN, TEXT_COLUMN, common_type, fits_i64,
};
use super::fault::{
    AMOUNT_OUT_OF_RANGE, Fault, FaultList, MONEY_OUT_OF_RANGE, NO_RATE, RECORD_FAULTS,
};
use super::{
    Format, IngestParams, LineAmount, RejectColumns, Source, SourceFile, outcomes, parse,
    push_unique,
};
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
    let mut names: Vec<String> = Vec::new();
    for (column, _) in files.flat_map(|file| &file.columns) {
        if !names.contains(column) {
            names.push(column.clone());
        }
    }
    names
}

/// All faults that the rows of a run can have.
fn all_faults(params: &IngestParams) -> FaultList {
    let mut faults = FaultList::default();
    for parsed in params.sources.iter().flat_map(|source| parse::parsed_cells(params, source)) {
        parsed.faults.into_iter().for_each(|fault| faults.add(fault));
        if parsed.name == UNIT_PRICE {
            faults.add(Fault::in_row(AMOUNT_OUT_OF_RANGE));
        }
    }
    if params.rates.is_some() {
        faults.add(Fault::in_cell(CURRENCY, NO_RATE));
        faults.add(Fault::in_cell(CURRENCY, MONEY_OUT_OF_RANGE));
    }
    if params.sources.iter().any(|source| source.set.format == Format::Csv) {
        RECORD_FAULTS.iter().for_each(|reason| faults.add(Fault::in_row(reason)));
    }
    faults
}

/// Maps the rows of source files to lines.
pub(super) struct RowMapper<'a> {
    params: &'a IngestParams,
    pub(super) faults: FaultList,
    /// Source columns to carry.
    pub(super) carried: Vec<String>,
    /// The pipeline's columns whose unparsed cells are carried.
    cells: Vec<&'static str>,
    /// Columns that the rejects keep: name in the rejects, name in the plan.
    pub(super) kept: Vec<(String, String)>,
}

impl<'a> RowMapper<'a> {
    pub(super) fn new(params: &'a IngestParams) -> Self {
        let faults = all_faults(params);
        let mut cells = Vec::new();
        if params.rejects == RejectColumns::Mapped {
            let mapped = params.sources.iter().flat_map(|source| source.columns.mapped());
            mapped.for_each(|(name, _)| push_unique(&mut cells, name));
        }
        let kept_cells = cells.iter().map(|name| ((*name).to_owned(), cell_name(name))).collect();
        let faulty = faults.0.iter().filter_map(|fault| fault.cell);
        faulty.for_each(|name| push_unique(&mut cells, name));
        let all = all_columns(params.files());
        let kept = match params.rejects {
            RejectColumns::Reasons => Vec::new(),
            RejectColumns::Mapped => kept_cells,
            RejectColumns::Raw => {
                all.iter().map(|name| (format!("raw_{name}"), carried_name(name))).collect()
            }
        };
        let carried = if params.reads_all_columns() {
            all
        } else {
            all.into_iter().filter(|name| params.inspected.contains(name)).collect()
        };
        Self { params, faults, carried, cells, kept }
    }

    /// Parses the cells of a file. The result has the columns that [`Self::map_rows`] reads.
    pub(super) fn parse(&self, frame: LazyFrame, source: &Source) -> LazyFrame {
        let columns = self.cell_exprs(source).into_iter();
        frame.with_columns(columns.flat_map(|column| column.exprs).collect::<Vec<_>>())
    }

    /// The expressions that parse the cells of a source, by source column.
    pub(super) fn cell_exprs(&self, source: &Source) -> Vec<CellExprs> {
        let mut columns: Vec<CellExprs> = Vec::new();
        for parsed in parse::parsed_cells(self.params, source) {
            let codes: Vec<u8> =
                parsed.faults.iter().map(|fault| self.faults.code(&fault.reason)).collect();
            let fault_column = fault_name(parsed.name);
            let exprs = [
                parsed.value.alias(value_name(parsed.name)),
                (parsed.check)(&codes).alias(&fault_column),
            ];
            match columns.iter_mut().find(|known| known.source_column == parsed.source_column) {
                Some(column) => {
                    column.exprs.extend(exprs);
                    column.fault_columns.push(fault_column);
                }
                None => columns.push(CellExprs {
                    source_column: parsed.source_column,
                    exprs: exprs.into(),
                    fault_columns: vec![fault_column],
                }),
            }
        }
        columns
    }

    /// Columns of a file whose text is read for every row, not only for rows with a fault.
    pub(super) fn text_columns(&self, source: &Source, file: &SourceFile) -> Vec<String> {
        let is_text = |name: &str| match name {
            CUSTOMER_ID | ORDER_ID | CURRENCY => true,
            PRODUCT_ID | CATEGORY => !self.params.unread.contains(&name),
            _ => false,
        };
        let keeps_mapped = self.params.rejects == RejectColumns::Mapped;
        let mapped = source.columns.mapped().into_iter();
        let mapped = mapped.filter(|(name, _)| keeps_mapped || is_text(name));
        let mut columns: Vec<String> = Vec::new();
        for name in mapped.map(|(_, column)| column).chain(self.carried.iter().map(String::as_str))
        {
            if file.dtype(name).is_some() {
                push_unique(&mut columns, name.to_owned());
            }
        }
        columns
    }

    /// The plan of one file's lines, from its parsed cells. All sources get the same columns in the
    /// same order, whatever is mapped.
    pub(super) fn map_rows(
        &self,
        frame: LazyFrame,
        source: &Source,
        file: &SourceFile,
    ) -> LazyFrame {
        let mut selected = vec![
            col(FILE_COLUMN).alias(SOURCE_FILE),
            col(ROW_COLUMN).alias(SOURCE_ROW),
            self.identity(CUSTOMER_ID, source, file),
            self.identity(ORDER_ID, source, file),
        ];
        for name in [PRODUCT_ID, CATEGORY] {
            if !self.params.unread.contains(&name) {
                selected.push(self.identity(name, source, file));
            }
        }
        let parsed: Vec<&str> =
            parse::parsed_cells(self.params, source).iter().map(|parsed| parsed.name).collect();
        for (name, dtype) in [
            (QUANTITY, DataType::Int64),
            (UNIT_PRICE, DataType::Int64),
            (AMOUNT, DataType::Int64),
            (ORDERED_AT, DATETIME),
            (CURRENCY, DataType::String),
        ] {
            let value =
                if parsed.contains(&name) { col(value_name(name)) } else { lit(NULL).cast(dtype) };
            selected.push(value.alias(name));
        }
        let text = match source.set.format {
            Format::Csv => col(TEXT_COLUMN),
            Format::Parquet | Format::Xlsx => lit(NULL).cast(DataType::String),
        };
        selected.push(text.alias(TEXT));
        selected.push(self.reason(source, &parsed).alias(REASON));
        for name in &self.cells {
            let dtypes = self.params.sources.iter().filter_map(|source| {
                source.columns.source_name(name).and_then(|column| source.set.dtype(column))
            });
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

    /// The code of a row's first fault: that of its record, then those of its cells in the order of
    /// the `parsed` columns.
    fn reason(&self, source: &Source, parsed: &[&str]) -> Expr {
        let mut codes: Vec<Expr> = Vec::new();
        if source.set.format == Format::Csv {
            let predicates = RECORD_FAULTS.iter().zip(0u8..).map(|(reason, index)| {
                (self.faults.code(reason), col(FAULT_COLUMN).eq(lit(index)))
            });
            codes.push(outcomes::first_match(predicates.collect()));
        }
        for name in parsed {
            codes.push(col(fault_name(name)));
            if *name == UNIT_PRICE {
                let values = [QUANTITY, UNIT_PRICE].map(|name| col(value_name(name)));
                let code = self.faults.code(AMOUNT_OUT_OF_RANGE);
                codes.push(parse::amount_out_of_range(values, code));
            }
        }
        let none = || lit(NULL).cast(DataType::UInt8);
        codes.into_iter().reduce(Expr::fill_null).unwrap_or_else(none)
    }

    /// An id. It keeps the sources' type up to the group-by, where integers are cheaper than text.
    /// Floats become integers: pandas writes integer columns with gaps as floats. If the types of
    /// the sources differ, or do not fit i64, the id becomes text.
    fn identity(&self, name: &str, source: &Source, file: &SourceFile) -> Expr {
        let dtypes: Vec<&DataType> = self
            .params
            .sources
            .iter()
            .filter_map(|source| Some((source, source.columns.source_name(name)?)))
            .flat_map(|(source, column)| {
                source.set.files.iter().filter_map(move |file| file.dtype(column))
            })
            .collect();
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
