//! Cells of the source: the readers' own columns, missing cells, and the parsers of single cells.

use std::borrow::Cow;
use std::sync::Arc;

use polars::prelude::*;

use super::LinePlan;
use super::outcomes::map_columns;

/// Index of the file among all files of the run; u32.
pub(super) const FILE_COLUMN: &str = "custseg.source_file";
/// Number of the row in its file, from 1 after the header; u32.
pub(super) const ROW_COLUMN: &str = "custseg.source_row";
/// Text of a bad CSV record, null for a good one.
pub(super) const TEXT_COLUMN: &str = "custseg.text";
/// Index of a bad CSV record's fault in `RECORD_FAULTS`, null for a good one; u8.
pub(super) const FAULT_COLUMN: &str = "custseg.fault";

/// Number of rows of a run; u32.
pub(super) const LINES_COLUMN: &str = "custseg.lines";
/// Sum of the quantities of a run, null if none is known; i64.
pub(super) const UNITS_COLUMN: &str = "custseg.units";
/// Sum of the money of a run, null if it cannot be parsed; i64.
pub(super) const MONEY_COLUMN: &str = "custseg.money.sum";

pub(super) const DATETIME: DataType = DataType::Datetime(TimeUnit::Microseconds, None);

/// Name of the parsed value of one of the pipeline's columns.
pub(super) fn value_name(column: &str) -> String {
    format!("custseg.{column}")
}

/// Name of the fault codes of one of the pipeline's columns.
pub(super) fn fault_name(column: &str) -> String {
    format!("custseg.{column}.fault")
}

/// Texts that stand for a missing value, compared without case and without blanks around them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NullValues {
    words: Vec<String>,
    longest: usize,
}

impl NullValues {
    pub fn new(words: &[String]) -> Self {
        let words: Vec<String> = words.iter().map(|word| trimmed(word).to_owned()).collect();
        let longest = words.iter().map(String::len).max().unwrap_or(0);
        Self { words, longest }
    }

    /// The text of a cell without blanks around it; `None` if the cell is missing.
    pub(super) fn text<'a>(&self, cell: &'a str) -> Option<&'a str> {
        let text = trimmed(cell);
        let is_word = || {
            text.len() <= self.longest && self.words.iter().any(|w| w.eq_ignore_ascii_case(text))
        };
        (!text.is_empty() && !is_word()).then_some(text)
    }

    /// A column of texts without blanks around them; missing cells are null.
    pub(super) fn texts(&self, cells: &Column) -> PolarsResult<Column> {
        Ok(map_texts(&texts(cells)?, |text| self.text(text).map(Into::into)).into_column())
    }

    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// A text without the blanks around it, including no-break and zero-width spaces.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

/// Maps the texts of a column; null becomes null. Columns that would not change are returned as
/// they are, which is the common case.
pub(super) fn map_texts(
    texts: &StringChunked,
    map: impl Fn(&str) -> Option<Cow<'_, str>>,
) -> StringChunked {
    let is_unchanged = |text: &str| match map(text) {
        Some(Cow::Borrowed(mapped)) => mapped.len() == text.len(),
        _ => false,
    };
    let all_unchanged = if texts.null_count() > 0 {
        texts.iter().flatten().all(is_unchanged)
    } else {
        texts.downcast_iter().all(|array| {
            let mut previous = None;
            array.views().iter().enumerate().all(|(row, view)| {
                // Lines of an order follow each other: equal views need one test.
                let view = Some(view.as_u128());
                let is_same = view == previous;
                previous = view;
                is_same || is_unchanged(array.value(row))
            })
        })
    };
    if all_unchanged {
        return texts.clone();
    }
    let mut builder = StringChunkedBuilder::new(texts.name().clone(), texts.len());
    for text in texts.iter() {
        match text.and_then(&map) {
            Some(mapped) => builder.append_value(mapped),
            None => builder.append_null(),
        }
    }
    builder.finish()
}

/// The texts of a column of text, or of a dictionary of texts.
pub(super) fn texts(column: &Column) -> PolarsResult<StringChunked> {
    Ok(column.cast(&DataType::String)?.str()?.clone())
}

/// The value of each cell, from the cells of one source column.
pub(super) type ValueFn = Arc<dyn Fn(&Column) -> PolarsResult<Column> + Send + Sync>;
/// The fault code of each cell, from its source column and its values.
pub(super) type FaultFn = Arc<dyn Fn(&Column, &Column) -> PolarsResult<Column> + Send + Sync>;

/// How to parse the cells of one source column. The result depends on a single cell, so equal cells
/// are parsed once.
pub(super) enum CellParser {
    Functions {
        dtype: DataType,
        value: ValueFn,
        /// `None` if every cell can be parsed.
        fault: Option<FaultFn>,
    },
    /// Expressions over the source columns of a row, and over a column [`prepared_name`] that is
    /// made of the source column first.
    Exprs { prepared: Option<ValueFn>, value: Expr, fault: Expr },
}

/// Name of the column that a [`CellParser`] prepares for one of the pipeline's columns.
pub(super) fn prepared_name(column: &str) -> String {
    format!("custseg.{column}.prepared")
}

/// How to parse one of the pipeline's columns.
pub(super) struct ParsedCell {
    pub(super) name: &'static str,
    pub(super) source_column: String,
    pub(super) parser: CellParser,
}

impl ParsedCell {
    pub(super) fn can_fail(&self) -> bool {
        !matches!(self.parser, CellParser::Functions { fault: None, .. })
    }

    /// Names of the columns with the values and the fault codes.
    pub(super) fn parsed_names(&self) -> Vec<String> {
        let fault = self.can_fail().then(|| fault_name(self.name));
        [value_name(self.name)].into_iter().chain(fault).collect()
    }

    /// Parses cells, such as the distinct ones of a chunk. Returns the values and, if a cell can be
    /// at fault, the fault codes.
    pub(super) fn apply(&self, cells: &Column) -> PolarsResult<Vec<Column>> {
        let (value_name, fault_name) = (value_name(self.name), fault_name(self.name));
        match &self.parser {
            CellParser::Functions { value, fault, .. } => {
                let values = value(cells)?;
                let faults = fault.as_ref().map(|fault| fault(cells, &values)).transpose()?;
                let faults = faults.map(|faults| faults.with_name(fault_name.into()));
                Ok([values.with_name(value_name.into())].into_iter().chain(faults).collect())
            }
            CellParser::Exprs { prepared, value, fault } => {
                let exprs = [value.clone().alias(value_name), fault.clone().alias(fault_name)];
                let mut columns = vec![cells.clone()];
                if let Some(prepare) = prepared {
                    columns.push(prepare(cells)?.with_name(prepared_name(self.name).into()));
                }
                let frame = DataFrame::new(cells.len(), columns)?;
                let parsed = frame.lazy().select(exprs).collect()?;
                Ok(parsed.columns().to_vec())
            }
        }
    }

    /// The expression of the prepared column.
    fn prepared(&self) -> Option<Expr> {
        let CellParser::Exprs { prepared: Some(prepare), .. } = &self.parser else { return None };
        let prepare = prepare.clone();
        let source = vec![col(self.source_column.as_str())];
        let prepared = map_columns(source, DataType::String, move |columns| {
            once_if_constant(&columns[..1], |columns| prepare(&columns[0]))
        });
        Some(prepared.alias(prepared_name(self.name)))
    }

    /// The expressions of the value and of the fault code. The second reads the first by its name.
    fn exprs(&self) -> (Expr, Option<Expr>) {
        let source = col(self.source_column.as_str());
        let value_name = value_name(self.name);
        let (value, fault) = match &self.parser {
            CellParser::Functions { dtype, value, fault } => {
                let value = value.clone();
                let parsed = map_columns(vec![source.clone()], dtype.clone(), move |columns| {
                    once_if_constant(&columns[..1], |columns| value(&columns[0]))
                });
                let fault = fault.clone().map(|fault| {
                    let columns = vec![source, col(value_name.as_str())];
                    map_columns(columns, DataType::UInt8, move |columns| {
                        once_if_constant(columns, |columns| fault(&columns[0], &columns[1]))
                    })
                });
                (parsed, fault)
            }
            CellParser::Exprs { value, fault, .. } => (value.clone(), Some(fault.clone())),
        };
        let fault = fault.map(|fault| fault.alias(fault_name(self.name)));
        (value.alias(value_name), fault)
    }
}

/// Computes a column of equal values from one row. The values of folder keys are constants.
fn once_if_constant(
    columns: &[Column],
    compute: impl Fn(&[Column]) -> PolarsResult<Column>,
) -> PolarsResult<Column> {
    let rows = columns[0].len();
    if rows < 2 || columns.iter().any(|column| column.as_scalar_column().is_none()) {
        return compute(columns);
    }
    let first: Vec<Column> = columns.iter().map(|column| column.head(Some(1))).collect();
    Ok(compute(&first)?.new_from_index(0, rows))
}

/// Adds the values and fault codes of parsed cells to a plan that has their source columns.
pub(super) fn with_parsed(plan: LinePlan, cells: &[Arc<ParsedCell>]) -> LinePlan {
    let prepared: Vec<Expr> = cells.iter().filter_map(|cell| cell.prepared()).collect();
    let (values, faults): (Vec<Expr>, Vec<Option<Expr>>) =
        cells.iter().map(|cell| cell.exprs()).unzip();
    let faults: Vec<Expr> = faults.into_iter().flatten().collect();
    plan.with_columns(prepared).with_columns(values).with_columns(faults)
}

/// Whether a value is null or empty text.
pub fn is_empty(value: Expr) -> Expr {
    value.clone().is_null().or(value.cast(DataType::String).eq(lit("")))
}

/// [`is_empty`] for a column of known type. The cast of a number to text would cost as much as
/// reading it.
pub fn is_empty_cell(column: &str, dtype: Option<&DataType>) -> Expr {
    if matches!(dtype, Some(DataType::String) | None) {
        is_empty(col(column))
    } else {
        col(column).is_null()
    }
}

/// Whether cells of this type are parsed as text.
pub fn is_text(dtype: &DataType) -> bool {
    *dtype == DataType::String || dtype.is_categorical() || dtype.is_enum()
}

/// Whether values of this type can be shown as text. Lists, structs, durations and bytes cannot.
pub fn has_text(dtype: &DataType) -> bool {
    is_text(dtype)
        || dtype.is_primitive_numeric()
        || matches!(dtype, DataType::Decimal(..=38, _))
        || matches!(
            dtype,
            DataType::Null
                | DataType::Boolean
                | DataType::Date
                | DataType::Time
                | DataType::Datetime(_, _)
        )
}

/// Whether all values of a type are whole numbers that fit i64.
pub(super) fn fits_i64(dtype: &DataType) -> bool {
    dtype.is_integer() && ![DataType::UInt64, DataType::Int128, DataType::UInt128].contains(dtype)
}

pub fn reads_column(expr: &Expr, column: &str) -> bool {
    expr.clone().meta().root_names().iter().any(|name| name == column)
}

/// The common type of all, or text if they differ or there are none. Columns that are null
/// throughout have no type of their own.
pub(super) fn common_type<'a>(dtypes: impl Iterator<Item = &'a DataType>) -> DataType {
    let mut dtypes = dtypes.filter(|dtype| **dtype != DataType::Null);
    match dtypes.next() {
        Some(first) if dtypes.all(|other| other == first) => first.clone(),
        _ => DataType::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_null_words_are_missing() {
        let nulls = NullValues::new(&["NULL", "\\N", "nan", "N/A"].map(str::to_owned));
        for missing in ["", " ", "\u{a0}\t", "null", " NaN ", "\\N", "n/a", "\u{feff}"] {
            assert_eq!(nulls.text(missing), None, "{missing:?}");
        }
        for (cell, text) in [(" ana ", "ana"), ("\u{202f}1", "1"), ("nano", "nano"), ("N", "N")] {
            assert_eq!(nulls.text(cell), Some(text));
        }
    }
}
