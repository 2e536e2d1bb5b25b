//! Gives each source column its meaning and type, and marks the rows that cannot be given one.
//!
//! One function a column; a fault is a reason like any other, only that it comes before those of `clean`. Sources differ in
//! columns and formats; their lines have the same columns, types and fault codes.

use polars::prelude::*;

use super::text::ParsedCells;
use super::{
    Columns, Fault, Format, IngestParams, RejectColumns, Source, SourceFile, Worth, parse, rates,
    records, scan, text, verdicts,
};
use crate::columns::{
    AMOUNT, CATEGORY, CURRENCY, CUSTOMER_ID, DAY, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID,
    QUANTITY, REASON, SOURCE_FILE, SOURCE_ROW, TEXT, UNIT_PRICE,
};

/// The fault of a moment that two declared formats read differently; it fails the run, since no format can be preferred.
pub const AMBIGUOUS: &str = "ordered_at ambiguous: two declared formats read it differently";
/// The fault of money that cannot be counted with the rest; it fails the run, since a sum over currencies means nothing.
pub const FOREIGN: &str = "currency is not the pipeline's, and no rates are given";
/// The fault of a line that is worth more than can be counted.
pub const BEYOND: &str = "quantity × unit_price out of range";
/// Type of the local moment of a line.
pub(super) const DATETIME: DataType = DataType::Datetime(TimeUnit::Microseconds, None);

/// Name under which a source column is carried along.
pub fn carried_name(column: &str) -> String {
    format!("source.{column}")
}

/// Name under which the cell behind one of the pipeline's columns is carried along, as the source has it.
pub fn cell_name(column: &str) -> String {
    format!("cell.{column}")
}

/// Name under which what a cell says is held before all of a line is known.
fn value_name(column: &str) -> String {
    format!("custseg.{column}")
}

/// Name under which the code of a cell's fault is held.
fn fault_name(column: &str) -> String {
    format!("custseg.{column}.fault")
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

/// Expressions from source columns to the pipeline's.
pub(super) struct Conformer<'a> {
    pub(super) params: &'a IngestParams,
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
        let mut conformer = Self {
            params,
            faults: Vec::new(),
            carried: Vec::new(),
            cells: Vec::new(),
            kept: Vec::new(),
        };
        let of_cells = params.sources.iter().flat_map(|source| conformer.parsed(source)).flat_map(
            |(name, parsed)| {
                let beyond = Fault { reason: BEYOND.to_owned(), cell: None };
                parsed.faults.into_iter().chain((name == UNIT_PRICE).then_some(beyond))
            },
        );
        let foreign = params.rates.iter().flat_map(|_| [rates::NO_RATE, rates::BEYOND]);
        let foreign =
            foreign.map(|reason| Fault { reason: reason.to_owned(), cell: Some(CURRENCY) });
        let text = params.sources.iter().any(|source| source.set.format == Format::Csv);
        let records = records::FAULTS.iter().filter(|_| text);
        let records = records.map(|reason| Fault { reason: (*reason).to_owned(), cell: None });
        for fault in of_cells.chain(foreign).chain(records).collect::<Vec<_>>() {
            if !conformer.faults.contains(&fault) {
                conformer.faults.push(fault);
            }
        }
        let mapped = || {
            params.sources.iter().flat_map(|source| source.columns.mapped()).map(|(name, _)| name)
        };
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
                let mapped =
                    conformer.cells.iter().filter(|cell| mapped().any(|name| name == **cell));
                mapped.map(|name| ((*name).to_owned(), cell_name(name))).collect()
            }
            RejectColumns::Raw => {
                all.iter().map(|name| (format!("raw_{name}"), carried_name(name))).collect()
            }
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

    /// The cells of a file's rows, parsed: the columns that [`Self::conform`] looks at.
    pub(super) fn parse(&self, frame: LazyFrame, source: &Source) -> LazyFrame {
        frame.with_columns(
            self.made(source).into_iter().flat_map(|one| one.made).collect::<Vec<_>>(),
        )
    }

    /// What is made of the cells that may fail to parse, by source column.
    pub(super) fn made(&self, source: &Source) -> Vec<ParsedCells> {
        let mut made: Vec<ParsedCells> = Vec::new();
        for (name, parsed) in self.parsed(source) {
            let codes: Vec<u8> =
                parsed.faults.iter().map(|fault| self.code(&fault.reason)).collect();
            let exprs = [
                parsed.value.alias(value_name(name)),
                (parsed.judge)(&codes).alias(fault_name(name)),
            ];
            match made.iter_mut().find(|one| one.column == parsed.cell) {
                Some(one) => {
                    one.made.extend(exprs);
                    one.faults.push(fault_name(name));
                }
                None => made.push(ParsedCells {
                    column: parsed.cell,
                    made: exprs.into(),
                    faults: vec![fault_name(name)],
                }),
            }
        }
        made
    }

    /// Source columns whose text is wanted of every row, and not only beside a fault.
    pub(super) fn texts(&self, source: &Source) -> Vec<String> {
        let Columns { customer_id, order_id, product_id, category, currency, .. } = &source.columns;
        let read = |ours: &str, theirs: &Option<String>| {
            theirs.clone().filter(|_| !self.params.unread.contains(&ours))
        };
        let (product_id, category) = (read(PRODUCT_ID, product_id), read(CATEGORY, category));
        let of_rows = [
            Some(customer_id),
            order_id.as_ref(),
            product_id.as_ref(),
            category.as_ref(),
            currency.as_ref(),
        ];
        let kept = source
            .columns
            .mapped()
            .into_iter()
            .filter(|_| self.params.rejects == RejectColumns::Mapped);
        let names =
            of_rows.into_iter().flatten().map(String::as_str).chain(kept.map(|(_, theirs)| theirs));
        let mut texts: Vec<String> = Vec::new();
        for name in names.chain(self.carried.iter().map(String::as_str)) {
            let known = source.set.dtype(name).is_some();
            if known && !texts.iter().any(|text| text == name) {
                texts.push(name.to_owned());
            }
        }
        texts
    }

    /// The plan of one file's lines, from its parsed cells.
    pub(super) fn conform(
        &self,
        frame: LazyFrame,
        source: &Source,
        file: &SourceFile,
    ) -> LazyFrame {
        let columns = &source.columns;
        let mut selected = vec![
            col(scan::FILE_COLUMN).alias(SOURCE_FILE),
            col(text::ROW_COLUMN).alias(SOURCE_ROW),
            self.identity(CUSTOMER_ID, Some(&columns.customer_id), file),
            self.identity(ORDER_ID, columns.order_id.as_ref(), file),
        ];
        for (name, column) in [(PRODUCT_ID, &columns.product_id), (CATEGORY, &columns.category)] {
            if !self.params.unread.contains(&name) {
                selected.push(self.identity(name, column.as_ref(), file));
            }
        }
        let parsed: Vec<&str> = self.parsed(source).iter().map(|(name, _)| *name).collect();
        // Records that are none of the table's have no cells to find a fault in.
        let mut reasons: Vec<Expr> = Vec::new();
        let mut said = lit(NULL).cast(DataType::String);
        if source.set.format == Format::Csv {
            let fault = |idx: usize| col(text::FAULT_COLUMN).eq(lit(idx as u8));
            let coded = records::FAULTS
                .iter()
                .enumerate()
                .map(|(idx, words)| (self.code(words), fault(idx)));
            reasons.push(verdicts::first_of(coded.collect()));
            said = col(text::TEXT_COLUMN);
        }
        for name in &parsed {
            reasons.push(col(fault_name(name)));
            if *name == UNIT_PRICE {
                let values = [QUANTITY, UNIT_PRICE].map(|name| col(value_name(name)));
                reasons.push(parse::beyond(values, self.code(BEYOND)));
            }
        }
        // Lines of all sources have the same columns in the same order, whatever is mapped.
        for (name, dtype) in [
            (QUANTITY, DataType::Int64),
            (UNIT_PRICE, DataType::Int64),
            (AMOUNT, DataType::Int64),
            (ORDERED_AT, DATETIME),
            (CURRENCY, DataType::String),
        ] {
            let own = parsed.contains(&name).then(|| col(value_name(name)));
            selected.push(own.unwrap_or_else(|| lit(NULL).cast(dtype)).alias(name));
        }
        selected.push(said.alias(TEXT));
        let none = lit(NULL).cast(DataType::UInt8);
        selected.push(reasons.into_iter().reduce(Expr::fill_null).unwrap_or(none).alias(REASON));
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
            let files = self
                .params
                .files()
                .filter_map(|file| file.columns.iter().find(|(column, _)| column == name));
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
            .with_column(parse::day(col(ORDERED_AT)).alias(DAY))
    }

    /// Identities keep the sources' type up to the group-by, where integers are cheaper than text; floats, which pandas
    /// makes of integers with gaps, become integers again. Where sources differ, all become text.
    fn identity(&self, name: &str, column: Option<&String>, file: &SourceFile) -> Expr {
        let files = |source: &'a Source| {
            let mapped = source
                .columns
                .mapped()
                .into_iter()
                .find(|(ours, _)| *ours == name)
                .map(|(_, theirs)| theirs);
            let columns = source.set.files.iter().flat_map(|file| &file.columns);
            columns
                .filter(move |(column, _)| Some(column.as_str()) == mapped)
                .map(|(_, dtype)| dtype)
        };
        // What does not fit 64 bits with a sign is text.
        let wide = [DataType::UInt64, DataType::Int128, DataType::UInt128];
        let number =
            |dtype: &DataType| dtype.is_float() || (dtype.is_integer() && !wide.contains(dtype));
        let dtypes: Vec<&DataType> = self.params.sources.iter().flat_map(files).collect();
        let numbers = !dtypes.is_empty() && dtypes.into_iter().all(number);
        let target = if numbers { DataType::Int64 } else { DataType::String };
        let column = column.map(String::as_str);
        let own = file
            .columns
            .iter()
            .find(|(name, _)| Some(name.as_str()) == column)
            .map(|(_, dtype)| dtype);
        match (column, own) {
            (Some(column), Some(dtype)) if dtype.is_float() => {
                col(column).cast(DataType::Int64).cast(target)
            }
            _ => typed(column, file, &target),
        }
        .alias(name)
    }
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

/// Whether a column of some type is null, or text without anything in it. To make text of a number for it would cost as much
/// as to read it.
pub fn blank(column: &str, dtype: Option<&DataType>) -> Expr {
    match dtype {
        Some(DataType::String) | None => empty(col(column)),
        Some(_) => col(column).is_null(),
    }
}

/// Whether an expression looks at a column.
pub fn looks_at(expr: &Expr, column: &str) -> bool {
    expr.clone().meta().root_names().iter().any(|name| name == column)
}

/// Whether a value is null, or text without anything in it.
pub fn empty(value: Expr) -> Expr {
    value.clone().is_null().or(value.cast(DataType::String).eq(lit("")))
}
