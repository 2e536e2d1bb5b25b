//! Runs: adjacent rows that become one line, since every step treats them alike.
//!
//! Lines of an order follow each other, and most differ only in product, quantity and price. If
//! nothing reads the product, their ids and timestamps are parsed and judged once.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{
    CellParser, LINES_COLUMN, MONEY_COLUMN, ParsedCell, UNITS_COLUMN, value_name, with_parsed,
};
use super::{LinePlan, numbers, outcomes};
use crate::columns::{AMOUNT, MONEY, QUANTITY, UNIT_PRICE};

/// What a line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// One source row.
    Rows,
    /// Adjacent rows of a file that are equal in all columns that are read, except that their
    /// numbers may differ if their signs do not.
    Runs,
}

/// Longest run: the sum of as many numbers fits 64 bits.
const LONGEST: usize = 1_000;

/// Marks the rows of a chunk at which runs start.
pub(crate) struct RunStarts(Vec<u8>);

impl RunStarts {
    pub(crate) fn new(rows: usize) -> Self {
        let mut marks = vec![0u8; rows];
        if let Some(first) = marks.first_mut() {
            *first = 1;
        }
        Self(marks)
    }

    /// Marks rows whose cell differs from the one before. It may mark a row too many.
    pub(crate) fn mark_changes(&mut self, cells: &Column) -> PolarsResult<()> {
        // A constant column starts no run.
        if cells.as_scalar_column().is_some() {
            return Ok(());
        }
        let cells = cells.as_materialized_series().to_physical_repr().rechunk();
        if cells.null_count() > 0 {
            let is_valid = cells.is_not_null();
            let is_valid: Vec<bool> = is_valid.iter().map(|valid| valid == Some(true)).collect();
            self.mark(&is_valid);
        }
        match cells.dtype() {
            DataType::Int64 => {
                cells.i64()?.downcast_iter().for_each(|array| self.mark(array.values()))
            }
            DataType::Int32 => {
                cells.i32()?.downcast_iter().for_each(|array| self.mark(array.values()))
            }
            DataType::UInt32 => {
                cells.u32()?.downcast_iter().for_each(|array| self.mark(array.values()))
            }
            DataType::UInt8 => {
                cells.u8()?.downcast_iter().for_each(|array| self.mark(array.values()))
            }
            DataType::Float64 => {
                // Zeros of both signs have different texts.
                for slice in cells.f64()?.data_views() {
                    self.mark(&slice.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
                }
            }
            DataType::String => {
                for array in cells.str()?.downcast_iter() {
                    let views = array.views().windows(2).enumerate();
                    // Equal short strings have equal views; equal long strings may be stored twice.
                    self.mark_if(views.map(|(row, pair)| {
                        pair[0].as_u128() != pair[1].as_u128()
                            && (pair[0].is_inline()
                                || pair[1].is_inline()
                                || array.value(row) != array.value(row + 1))
                    }));
                }
            }
            dtype if dtype.is_nested() || dtype.is_object() => self.0.fill(1),
            _ => {
                let differs = cells.not_equal_missing(&cells.shift(1))?;
                self.mark_if(differs.iter().skip(1).map(|differs| differs == Some(true)));
            }
        }
        Ok(())
    }

    /// Marks rows whose value differs from the one before.
    pub(super) fn mark<T: PartialEq>(&mut self, values: &[T]) {
        let pairs = values.iter().zip(values.iter().skip(1));
        self.mark_if(pairs.map(|(before, value)| before != value));
    }

    /// Marks rows from the second on.
    fn mark_if(&mut self, conditions: impl Iterator<Item = bool>) {
        let marks = self.0.iter_mut().skip(1);
        marks.zip(conditions).for_each(|(mark, condition)| *mark |= u8::from(condition));
    }

    /// Marks a row and the one after it, which makes the row a run of its own.
    pub(super) fn separate(&mut self, row: usize) {
        self.0.iter_mut().skip(row).take(2).for_each(|mark| *mark = 1);
    }

    /// The marked rows. It tests eight rows at once because few are marked.
    pub(crate) fn rows(&self) -> Vec<IdxSize> {
        let marks = &self.0;
        let mut rows = Vec::new();
        let (eights, rest) = marks.as_chunks::<8>();
        for (eight, first) in eights.iter().zip((0..).step_by(8)) {
            let mut bits = u64::from_le_bytes(*eight);
            while bits != 0 {
                rows.push(first + bits.trailing_zeros() / 8);
                bits &= bits - 1;
            }
        }
        let first = (marks.len() - rest.len()) as IdxSize;
        rows.extend(rest.iter().zip(first..).filter(|(mark, _)| **mark == 1).map(|(_, row)| row));
        rows
    }
}

/// The runs of a chunk.
pub(super) struct Runs {
    rows: usize,
    /// First row of each run. `None` if each row is a run.
    starts: Option<IdxCa>,
}

impl Runs {
    /// Runs of one row each.
    pub(super) fn of_rows(rows: usize) -> Self {
        Self { rows, starts: None }
    }

    /// Runs that begin at the marked rows, and at others if they were too long.
    fn new(starts: &RunStarts) -> Self {
        let rows = starts.0.len();
        let marked = starts.rows();
        let mut starts = Vec::with_capacity(marked.len());
        let ends = marked.iter().skip(1).copied().chain([rows as IdxSize]);
        for (start, end) in marked.iter().copied().zip(ends) {
            starts.extend((start..end).step_by(LONGEST));
        }
        Self { rows, starts: Some(IdxCa::from_vec(PlSmallStr::EMPTY, starts)) }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.as_ref().map_or(self.rows, IdxCa::len)
    }

    /// The first row of each run.
    pub(super) fn take(&self, column: &Column) -> PolarsResult<Column> {
        match (&self.starts, column.as_scalar_column()) {
            (None, _) => Ok(column.clone()),
            (Some(starts), Some(constant)) => Ok(constant.resize(starts.len()).into_column()),
            (Some(starts), None) => column.take(starts),
        }
    }

    /// The first value of each run, of one value for each row.
    pub(super) fn first<T: Copy>(&self, values: Vec<T>) -> Vec<T> {
        match &self.starts {
            Some(starts) => starts.iter().flatten().map(|row| values[row as usize]).collect(),
            None => values,
        }
    }

    /// Start and end of each run.
    fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        let starts = self.starts.as_ref().and_then(|starts| starts.cont_slice().ok());
        let starts = starts.unwrap_or_default().iter().map(|start| *start as usize);
        starts.clone().zip(starts.skip(1).chain([self.rows]))
    }

    /// Number of rows of each run.
    fn lengths(&self) -> Column {
        let name = PlSmallStr::from_static(LINES_COLUMN);
        if self.starts.is_none() {
            return Column::new_scalar(name, Scalar::from(1u32), self.rows);
        }
        let lengths: Vec<u32> = self.ranges().map(|(start, end)| (end - start) as u32).collect();
        Column::new(name, lengths)
    }

    /// The sum of each run. Nulls are zero, unless a run is a single null.
    fn sums(&self, values: &Int64Chunked) -> PolarsResult<Int64Chunked> {
        if self.starts.is_none() {
            return Ok(values.clone());
        }
        let values = values.rechunk();
        if let Ok(slice) = values.cont_slice() {
            let sums = self.ranges().map(|(start, end)| slice[start..end].iter().sum());
            return Ok(Int64Chunked::from_vec(values.name().clone(), sums.collect()));
        }
        let sum = |(start, end): (usize, usize)| {
            let known = (start..end).filter_map(|row| values.get(row));
            known.fold(None, |sum: Option<i64>, value| Some(sum.unwrap_or(0) + value))
        };
        Ok(self.ranges().map(sum).collect::<Int64Chunked>().with_name(values.name().clone()))
    }
}

/// How the numbers of a file's rows are read.
pub(super) struct LineNumbers {
    /// The cells of quantity, unit price and amount, in the order of their faults.
    pub(super) cells: Vec<Arc<ParsedCell>>,
    /// Decimals of quantities.
    pub(super) quantity_scale: u8,
    pub(super) grain: Grain,
}

impl LineNumbers {
    pub(super) fn is_number(cell: &ParsedCell) -> bool {
        [QUANTITY, UNIT_PRICE, AMOUNT].contains(&cell.name)
    }

    /// Values and fault codes of the numbers of a chunk.
    fn parse(&self, chunk: &DataFrame) -> PolarsResult<Vec<Column>> {
        let is_function =
            |cell: &Arc<ParsedCell>| matches!(cell.parser, CellParser::Functions { .. });
        if self.cells.iter().all(is_function) {
            let parsed =
                self.cells.iter().map(|cell| cell.apply(chunk.column(&cell.source_column)?));
            return Ok(parsed.collect::<PolarsResult<Vec<_>>>()?.concat());
        }
        let names = self.cells.iter().flat_map(|cell| cell.parsed_names()).map(col);
        let plan = with_parsed(LinePlan::default(), &self.cells).select(names.collect());
        Ok(plan.apply(chunk.clone()).collect()?.columns().to_vec())
    }

    /// The runs of a chunk, and the columns of its numbers: those that `parsed` has for each row,
    /// of the first row of each run; the money of that row; and rows, units and money of each run.
    pub(super) fn runs(
        &self,
        mut starts: RunStarts,
        parsed: &[Column],
    ) -> PolarsResult<(Runs, Vec<Column>)> {
        let rows = starts.0.len();
        let value = |name: &str| {
            let name = value_name(name);
            parsed.iter().find(|column| column.name().as_str() == name)
        };
        let quantity = value(QUANTITY);
        let money = match (value(AMOUNT), quantity, value(UNIT_PRICE)) {
            (Some(amount), _, _) => amount.clone(),
            (None, Some(quantity), Some(price)) => {
                numbers::product(quantity, price, self.quantity_scale)?
            }
            _ => polars_bail!(ComputeError: "a line has no amount"),
        };
        let money = money.with_name(value_name(MONEY).into());
        let runs = if self.grain == Grain::Rows {
            Runs::of_rows(rows)
        } else {
            for column in parsed.iter().chain([&money]) {
                match column.dtype() {
                    DataType::UInt8 => separate(&mut starts, &column.is_not_null()),
                    _ => mark_signs(&mut starts, column.i64()?),
                }
            }
            separate(&mut starts, &money.is_null());
            Runs::new(&starts)
        };
        let mut columns = vec![runs.lengths()];
        for column in parsed.iter().chain([&money]) {
            columns.push(runs.take(column)?);
        }
        let units = match quantity {
            Some(quantity) => runs.sums(quantity.i64()?)?.into_column(),
            None => Column::full_null(PlSmallStr::EMPTY, runs.len(), &DataType::Int64),
        };
        columns.push(units.with_name(UNITS_COLUMN.into()));
        columns.push(runs.sums(money.i64()?)?.into_column().with_name(MONEY_COLUMN.into()));
        Ok((runs, columns))
    }

    /// Reduces a chunk of unparsed rows to its runs. `keys` are the columns in which the rows of a
    /// run are equal.
    pub(super) fn reduce(&self, chunk: &DataFrame, keys: &[String]) -> PolarsResult<DataFrame> {
        let mut starts = RunStarts::new(chunk.height());
        if self.grain == Grain::Runs {
            keys.iter().try_for_each(|key| starts.mark_changes(chunk.column(key)?))?;
        }
        let (runs, numbers) = self.runs(starts, &self.parse(chunk)?)?;
        let mut columns = Vec::with_capacity(chunk.width() + numbers.len());
        for column in chunk.columns() {
            columns.push(runs.take(column)?);
        }
        columns.extend(numbers);
        DataFrame::new(runs.len(), columns)
    }
}

/// Makes the rows for which a predicate is true runs of their own.
fn separate(starts: &mut RunStarts, predicate: &BooleanChunked) {
    outcomes::for_each_true(predicate, |row| starts.separate(row));
}

/// Marks rows where a number begins or ceases to be positive, or to be null.
fn mark_signs(starts: &mut RunStarts, numbers: &Int64Chunked) {
    if let (0, Ok(values)) = (numbers.null_count(), numbers.cont_slice()) {
        let pairs = values.iter().zip(values.iter().skip(1));
        starts.mark_if(pairs.map(|(before, value)| (*before > 0) != (*value > 0)));
    } else {
        let signs: Vec<Option<bool>> = numbers.iter().map(|n| n.map(|n| n > 0)).collect();
        starts.mark(&signs);
    }
}
