//! Lines of one order stand together in most sources. Where they do, each run of them is summed before anything is hashed:
//! comparing a line with the one before it is much cheaper than finding its group.

use std::sync::Arc;

use polars::prelude::*;

/// What becomes of a column's values in a run, and in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    /// Added up, as 128 bits: a group's sum needs more than 64 before any line does.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

/// Groups lines by keys and folds columns; `lines` is to hold how many they are.
pub(super) fn grouped(
    frame: LazyFrame,
    keys: &[&'static str],
    lines: &'static str,
    folds: Vec<(Expr, Fold)>,
) -> PolarsResult<LazyFrame> {
    let mut selected: Vec<Expr> = keys.iter().map(|key| col(*key)).collect();
    selected.extend(folds.iter().map(|(expr, _)| expr.clone()));
    let mut frame = frame.select(selected);
    let before = frame.collect_schema()?;
    let names: Vec<PlSmallStr> = before.iter_names().skip(keys.len()).cloned().collect();
    let folds: Vec<(PlSmallStr, Fold)> = names.into_iter().zip(folds.into_iter().map(|(_, fold)| fold)).collect();
    let mut sums = vec![col(lines).sum()];
    sums.extend(folds.iter().map(|(name, fold)| match fold {
        Fold::Sum => col(name.clone()).sum(),
        Fold::Max => col(name.clone()).max(),
        Fold::Min => col(name.clone()).min(),
    }));
    let mut schema = Schema::clone(&before);
    folds.iter().filter(|(_, fold)| *fold == Fold::Sum).for_each(|(name, _)| {
        schema.with_column(name.clone(), DataType::Int128);
    });
    schema.with_column(lines.into(), DataType::UInt32);
    let schema = Arc::new(schema);
    let of_keys = keys.len();
    let summed = move |frame: DataFrame| runs(&frame, of_keys, lines, &folds);
    let schema = Arc::new(move |_: &Schema| Ok(schema.clone()));
    let frame = frame.map(summed, OptFlags::STREAMING, Some(schema), Some("RUNS"));
    Ok(frame.group_by(keys.iter().map(|key| col(*key)).collect::<Vec<_>>()).agg(sums))
}

/// One row a run of rows whose first columns are equal.
fn runs(frame: &DataFrame, keys: usize, lines: &str, folds: &[(PlSmallStr, Fold)]) -> PolarsResult<DataFrame> {
    let rows = frame.height();
    let mut begins = BooleanChunked::full(PlSmallStr::EMPTY, false, rows);
    for key in &frame.columns()[..keys] {
        // A column of one value begins nothing.
        if key.as_scalar_column().is_none() {
            let key = key.as_materialized_series();
            begins = &begins | &key.not_equal_missing(&key.shift(1))?;
        }
    }
    let mut starts: Vec<IdxSize> = Vec::new();
    starts.extend((rows > 0).then_some(0));
    let later = begins.iter().enumerate().skip(1).filter(|(_, begins)| begins.unwrap_or(true));
    starts.extend(later.map(|(row, _)| row as IdxSize));
    let ends = || starts.iter().skip(1).copied().chain([rows as IdxSize]);
    let lengths: Vec<u32> = starts.iter().zip(ends()).map(|(start, end)| end - start).collect();
    let first = IdxCa::from_vec(PlSmallStr::EMPTY, starts);
    let mut columns = frame.columns()[..keys].iter().map(|key| key.take(&first)).collect::<PolarsResult<Vec<_>>>()?;
    for (name, fold) in folds {
        columns.push(folded(frame.column(name)?, *fold, &lengths)?);
    }
    columns.push(Column::new(lines.into(), lengths));
    DataFrame::new(first.len(), columns)
}

fn folded(column: &Column, fold: Fold, lengths: &[u32]) -> PolarsResult<Column> {
    let (name, dtype) = (column.name().clone(), column.dtype());
    let physical = column.to_physical_repr();
    if fold == Fold::Sum {
        let values = physical.cast(&DataType::Int64)?;
        let mut values = values.i64()?.iter();
        let sum = |length: &u32| values.by_ref().take(*length as usize).flatten().map(i128::from).sum::<i128>();
        return Ok(Int128Chunked::from_vec(name, lengths.iter().map(sum).collect()).into_column());
    }
    match physical.dtype() {
        DataType::UInt64 => {
            let mut values = physical.u64()?.iter();
            let ends = lengths.iter().map(|length| end(&mut values, *length, fold));
            ends.collect::<UInt64Chunked>().with_name(name).into_column().cast(dtype)
        }
        _ => {
            let mut values = physical.i64()?.iter();
            let ends = lengths.iter().map(|length| end(&mut values, *length, fold));
            ends.collect::<Int64Chunked>().with_name(name).into_column().cast(dtype)
        }
    }
}

/// The largest or smallest of so many values.
fn end<T: Ord>(values: &mut impl Iterator<Item = Option<T>>, length: u32, fold: Fold) -> Option<T> {
    let run = values.by_ref().take(length as usize).flatten();
    match fold {
        Fold::Min => run.min(),
        _ => run.max(),
    }
}
