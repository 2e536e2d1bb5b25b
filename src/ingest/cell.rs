//! Cells of the source: the readers' own columns, the expressions that parse one cell, and the
//! tests for empty cells and types.

use polars::prelude::*;

/// Index of the file among all files of the run; u32.
pub(super) const FILE_COLUMN: &str = "custseg.source_file";
/// Number of the row in its file, from 1 after the header; u32.
pub(super) const ROW_COLUMN: &str = "custseg.source_row";
/// Text of a bad CSV record, null for a good one.
pub(super) const TEXT_COLUMN: &str = "custseg.text";
/// Index of a bad CSV record's fault in `RECORD_FAULTS`, null for a good one; u8.
pub(super) const FAULT_COLUMN: &str = "custseg.fault";

pub(super) const DATETIME: DataType = DataType::Datetime(TimeUnit::Microseconds, None);

/// How to parse one of the pipeline's columns. Both expressions read a single cell, so equal cells
/// are parsed once.
pub(super) struct ParsedCell {
    pub(super) name: &'static str,
    pub(super) source_column: String,
    pub(super) value: Expr,
    /// The code of the cell's first fault, null if it has none.
    pub(super) fault: Expr,
}

/// The expressions that parse a source, by source column: value and fault code in turn.
pub(super) type CellExprs = PlIndexMap<String, Vec<Expr>>;

/// Whether a value is null or empty text.
pub fn is_empty(value: Expr) -> Expr {
    value.clone().is_null().or(value.cast(DataType::String).eq(lit("")))
}

/// [`is_empty`] for a column of known type. The cast of a number to text would cost as much as
/// reading it.
pub fn is_empty_cell(column: &str, dtype: Option<&DataType>) -> Expr {
    if is_text(dtype) { is_empty(col(column)) } else { col(column).is_null() }
}

/// Whether cells of this type are read as text. Columns without a type are.
pub(super) fn is_text(dtype: Option<&DataType>) -> bool {
    matches!(dtype, Some(DataType::String) | None)
}

/// Whether all values of a type are whole numbers that fit i64.
pub(super) fn fits_i64(dtype: &DataType) -> bool {
    dtype.is_integer() && ![DataType::UInt64, DataType::Int128, DataType::UInt128].contains(dtype)
}

pub fn reads_column(expr: &Expr, column: &str) -> bool {
    expr.clone().meta().root_names().iter().any(|name| name == column)
}

/// The common type of all, or text if they differ or there are none.
pub(super) fn common_type<'a>(mut dtypes: impl Iterator<Item = &'a DataType>) -> DataType {
    match dtypes.next() {
        Some(first) if dtypes.all(|other| other == first) => first.clone(),
        _ => DataType::String,
    }
}
