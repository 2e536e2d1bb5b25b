//! Lines of one order stand together in most sources. Where they do, each run of them is summed before anything is hashed:
//! comparing a line with the one before it is much cheaper than finding its group.

use std::sync::Arc;

use polars::prelude::*;

use crate::progress;

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
    let folds: Vec<(PlSmallStr, Fold)> =
        names.into_iter().zip(folds.into_iter().map(|(_, fold)| fold)).collect();
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
fn runs(
    frame: &DataFrame,
    keys: usize,
    lines: &str,
    folds: &[(PlSmallStr, Fold)],
) -> PolarsResult<DataFrame> {
    let rows = frame.height();
    progress::rows(rows);
    let mut begins = vec![0u8; rows];
    begins.first_mut().into_iter().for_each(|first| *first = 1);
    for key in &frame.columns()[..keys] {
        // A column of one value begins nothing.
        if key.as_scalar_column().is_none() {
            mark(&mut begins, key.as_materialized_series())?;
        }
    }
    let starts = marked(&begins);
    let ends = || starts.iter().skip(1).copied().chain([rows as IdxSize]);
    let lengths: Vec<u32> = starts.iter().zip(ends()).map(|(start, end)| end - start).collect();
    let first = IdxCa::from_vec(PlSmallStr::EMPTY, starts);
    let mut columns = frame.columns()[..keys]
        .iter()
        .map(|key| key.take(&first))
        .collect::<PolarsResult<Vec<_>>>()?;
    for (name, fold) in folds {
        columns.push(folded(frame.column(name)?, *fold, &lengths)?);
    }
    columns.push(Column::new(lines.into(), lengths));
    DataFrame::new(first.len(), columns)
}

/// Marks the rows in which a column is another than in the row before. Now and then it may mark one too many: what is equal and stands
/// apart for that is grouped later.
fn mark(begins: &mut [u8], key: &Series) -> PolarsResult<()> {
    let key = key.to_physical_repr().rechunk();
    if key.null_count() > 0 {
        let there = key.is_not_null();
        let there: Vec<bool> = there.iter().map(Option::unwrap_or_default).collect();
        mark_changes(begins, &there);
    }
    match key.dtype() {
        DataType::Int64 => {
            key.i64()?.downcast_iter().for_each(|array| mark_changes(begins, array.values()))
        }
        DataType::Int32 => {
            key.i32()?.downcast_iter().for_each(|array| mark_changes(begins, array.values()))
        }
        DataType::UInt8 => {
            key.u8()?.downcast_iter().for_each(|array| mark_changes(begins, array.values()))
        }
        DataType::String => {
            for array in key.str()?.downcast_iter() {
                let views = array.views().windows(2).enumerate();
                // Short texts are the same where their views are, long ones may stand in two places.
                let differ = views.map(|(row, pair)| {
                    pair[0].as_u128() != pair[1].as_u128()
                        && (pair[0].is_inline()
                            || pair[1].is_inline()
                            || array.value(row) != array.value(row + 1))
                });
                begins
                    .iter_mut()
                    .skip(1)
                    .zip(differ)
                    .for_each(|(begins, differs)| *begins |= u8::from(differs));
            }
        }
        _ => {
            let differ = key.not_equal_missing(&key.shift(1))?;
            let differ = differ.iter().map(Option::unwrap_or_default);
            begins
                .iter_mut()
                .zip(differ)
                .for_each(|(begins, differs)| *begins |= u8::from(differs));
        }
    }
    Ok(())
}

/// Marks the rows in which a value is another than in the row before.
fn mark_changes<T: PartialEq>(begins: &mut [u8], values: &[T]) {
    let pairs = values.iter().zip(values.iter().skip(1));
    begins
        .iter_mut()
        .skip(1)
        .zip(pairs)
        .for_each(|(begins, (before, value))| *begins |= u8::from(before != value));
}

/// The rows that are marked with 1; eight are looked at together, since few are.
fn marked(marks: &[u8]) -> Vec<IdxSize> {
    let mut rows = Vec::new();
    let (eights, rest) = marks.as_chunks::<8>();
    for (eight, first) in eights.iter().zip((0..).step_by(8)) {
        let mut left = u64::from_le_bytes(*eight);
        while left != 0 {
            rows.push(first + left.trailing_zeros() / 8);
            left &= left - 1;
        }
    }
    let first = (marks.len() - rest.len()) as IdxSize;
    rows.extend(rest.iter().zip(first..).filter(|(mark, _)| **mark == 1).map(|(_, row)| row));
    rows
}

fn folded(column: &Column, fold: Fold, lengths: &[u32]) -> PolarsResult<Column> {
    let (name, dtype) = (column.name().clone(), column.dtype());
    let physical = column.to_physical_repr();
    let physical = physical.as_materialized_series().rechunk();
    match (fold, physical.dtype()) {
        (Fold::Sum, _) => {
            let values = physical.cast(&DataType::Int64)?;
            let add = |run: &[i64]| Some(run.iter().copied().map(i128::from).sum::<i128>());
            Ok(by_run(values.i64()?, lengths, add)
                .collect::<Int128Chunked>()
                .with_name(name)
                .into_column())
        }
        (_, DataType::UInt64) => {
            let found = by_run(physical.u64()?, lengths, |run| end(run, fold));
            found.collect::<UInt64Chunked>().with_name(name).into_column().cast(dtype)
        }
        _ => {
            let found = by_run(physical.i64()?, lengths, |run| end(run, fold));
            found.collect::<Int64Chunked>().with_name(name).into_column().cast(dtype)
        }
    }
}

/// What is made of the values of each run that are there.
fn by_run<T: PolarsNumericType, R>(
    values: &ChunkedArray<T>,
    lengths: &[u32],
    fold: impl Fn(&[T::Native]) -> R,
) -> impl Iterator<Item = R> {
    // Without nulls, which is nearly always so, a run is a slice.
    let slice = values.cont_slice().ok();
    let (mut start, mut there) = (0, Vec::new());
    lengths.iter().map(move |length| {
        let run = start..start + *length as usize;
        start = run.end;
        if let Some(slice) = slice {
            return fold(&slice[run]);
        }
        there.clear();
        there.extend(run.filter_map(|row| values.get(row)));
        fold(&there)
    })
}

/// The largest or smallest of values.
fn end<T: Ord + Copy>(run: &[T], fold: Fold) -> Option<T> {
    match fold {
        Fold::Min => run.iter().min().copied(),
        _ => run.iter().max().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are summed where all keys equal those before them: nulls, long texts and more rows than are looked at together among them.
    #[test]
    fn equal_neighbours_become_one_row() {
        let long = "an order id of more than twelve bytes";
        let ids = [
            Some(1),
            Some(1),
            None,
            None,
            Some(1),
            Some(2),
            Some(2),
            Some(2),
            Some(2),
            Some(2),
            Some(3),
        ];
        let orders = ["a", "a", "a", "b", "b", long, long, "c", "c", "c", "c"];
        let frame = df!["id" => ids.map(|id: Option<i64>| id), "order" => orders, "units" => [1i64, 2, 3, 4, 5, 6, 7, 8, 9, -10, 11]].unwrap();
        let found = runs(&frame, 2, "lines", &[("units".into(), Fold::Sum)]).unwrap();
        let ids: Vec<Option<i64>> = found.column("id").unwrap().i64().unwrap().iter().collect();
        assert_eq!(ids, [Some(1), None, None, Some(1), Some(2), Some(2), Some(3)]);
        let sums: Vec<Option<i128>> =
            found.column("units").unwrap().i128().unwrap().iter().collect();
        assert_eq!(sums, [3, 3, 4, 5, 13, 7, 11].map(Some));
        let lines: Vec<Option<u32>> =
            found.column("lines").unwrap().u32().unwrap().iter().collect();
        assert_eq!(lines, [2, 1, 1, 1, 2, 3, 1].map(Some));
        assert_eq!(
            runs(&frame.clear(), 2, "lines", &[("units".into(), Fold::Sum)]).unwrap().height(),
            0
        );
    }
}
