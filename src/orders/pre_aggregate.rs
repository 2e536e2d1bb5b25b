//! Sums runs of adjacent lines with equal keys before the group-by. Most sources keep the lines of
//! an order together, and comparing adjacent rows is much cheaper than hashing each of them.

use std::sync::Arc;

use polars::prelude::*;

use crate::progress::ScanObserver;

/// How the values of a column are aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    /// A sum in 128 bits: the sum of a group can exceed 64 bits.
    Sum,
    Max,
    Min,
}

/// Groups lines by `keys` and aggregates columns; the column `lines` counts the lines of a group.
pub(super) fn group_lines(
    frame: LazyFrame,
    keys: &[&'static str],
    lines: &'static str,
    aggregates: Vec<(Expr, Aggregate)>,
    observer: Arc<dyn ScanObserver>,
) -> PolarsResult<LazyFrame> {
    let key_columns: Vec<Expr> = keys.iter().map(|key| col(*key)).collect();
    let (values, aggregates): (Vec<Expr>, Vec<Aggregate>) = aggregates.into_iter().unzip();
    let mut frame = frame.select([key_columns.clone(), values].concat());
    let before = frame.collect_schema()?;
    let mut schema = Schema::clone(&before);
    let mut combined = vec![col(lines).sum()];
    let mut named_aggregates = Vec::with_capacity(aggregates.len());
    for (name, aggregate) in before.iter_names().skip(keys.len()).zip(aggregates) {
        combined.push(match aggregate {
            Aggregate::Sum => col(name.clone()).sum(),
            Aggregate::Max => col(name.clone()).max(),
            Aggregate::Min => col(name.clone()).min(),
        });
        if aggregate == Aggregate::Sum {
            schema.with_column(name.clone(), DataType::Int128);
        }
        named_aggregates.push((name.clone(), aggregate));
    }
    schema.with_column(lines.into(), DataType::UInt32);
    let schema = Arc::new(schema);
    let n_keys = keys.len();
    let aggregate = move |frame: DataFrame| {
        observer.rows_read(frame.height());
        aggregate_runs(&frame, n_keys, lines, &named_aggregates)
    };
    let schema = Arc::new(move |_: &Schema| Ok(schema.clone()));
    let frame = frame.map(aggregate, OptFlags::STREAMING, Some(schema), Some("RUNS"));
    Ok(frame.group_by(key_columns).agg(combined))
}

/// One row per run of adjacent rows that are equal in the first `n_keys` columns.
fn aggregate_runs(
    frame: &DataFrame,
    n_keys: usize,
    lines: &str,
    aggregates: &[(PlSmallStr, Aggregate)],
) -> PolarsResult<DataFrame> {
    let rows = frame.height();
    let keys = &frame.columns()[..n_keys];
    let mut is_start = vec![0u8; rows];
    if let Some(first) = is_start.first_mut() {
        *first = 1;
    }
    for key in keys {
        // A constant column starts no run.
        if key.as_scalar_column().is_none() {
            mark_key_changes(&mut is_start, key.as_materialized_series())?;
        }
    }
    let starts = marked_rows(&is_start);
    let ends = starts.iter().skip(1).copied().chain([rows as IdxSize]);
    let lengths: Vec<u32> = starts.iter().zip(ends).map(|(start, end)| end - start).collect();
    let starts = IdxCa::from_vec(PlSmallStr::EMPTY, starts);
    let mut columns =
        keys.iter().map(|key| key.take(&starts)).collect::<PolarsResult<Vec<Column>>>()?;
    for (name, aggregate) in aggregates {
        columns.push(aggregate_column(frame.column(name)?, *aggregate, &lengths)?);
    }
    columns.push(Column::new(lines.into(), lengths));
    DataFrame::new(starts.len(), columns)
}

/// Marks rows whose key differs from the row before. It may mark a row too many: the group-by
/// merges such runs.
fn mark_key_changes(is_start: &mut [u8], key: &Series) -> PolarsResult<()> {
    let key = key.to_physical_repr().rechunk();
    if key.null_count() > 0 {
        let is_valid: Vec<bool> =
            key.is_not_null().iter().map(|is_valid| is_valid == Some(true)).collect();
        mark_changes(is_start, &is_valid);
    }
    match key.dtype() {
        DataType::Int64 => {
            key.i64()?.downcast_iter().for_each(|array| mark_changes(is_start, array.values()));
        }
        DataType::Int32 => {
            key.i32()?.downcast_iter().for_each(|array| mark_changes(is_start, array.values()));
        }
        DataType::UInt8 => {
            key.u8()?.downcast_iter().for_each(|array| mark_changes(is_start, array.values()));
        }
        DataType::String => {
            for array in key.str()?.downcast_iter() {
                let views = array.views().windows(2).enumerate();
                // Equal short strings have equal views; equal long strings may be stored twice.
                let differs = views.map(|(row, pair)| {
                    pair[0].as_u128() != pair[1].as_u128()
                        && (pair[0].is_inline()
                            || pair[1].is_inline()
                            || array.value(row) != array.value(row + 1))
                });
                mark_if(is_start.iter_mut().skip(1), differs);
            }
        }
        _ => {
            let differs = key.not_equal_missing(&key.shift(1))?;
            mark_if(is_start.iter_mut(), differs.iter().map(|differs| differs == Some(true)));
        }
    }
    Ok(())
}

/// Marks rows whose value differs from the row before.
fn mark_changes<T: PartialEq>(is_start: &mut [u8], values: &[T]) {
    let pairs = values.iter().zip(values.iter().skip(1));
    mark_if(is_start.iter_mut().skip(1), pairs.map(|(before, value)| before != value));
}

fn mark_if<'a>(marks: impl Iterator<Item = &'a mut u8>, conditions: impl Iterator<Item = bool>) {
    marks.zip(conditions).for_each(|(mark, condition)| *mark |= u8::from(condition));
}

/// The rows that are marked with 1. It tests eight rows at once because few are marked.
fn marked_rows(marks: &[u8]) -> Vec<IdxSize> {
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

fn aggregate_column(
    column: &Column,
    aggregate: Aggregate,
    lengths: &[u32],
) -> PolarsResult<Column> {
    let physical = column.to_physical_repr();
    let physical = physical.as_materialized_series().rechunk();
    let name = column.name().clone();
    if aggregate == Aggregate::Sum {
        let values = physical.cast(&DataType::Int64)?;
        let sum = |run: &[i64]| Some(run.iter().copied().map(i128::from).sum::<i128>());
        let sums: Int128Chunked = map_runs(values.i64()?, lengths, sum).collect();
        return Ok(sums.with_name(name).into_column());
    }
    let extremes = if physical.dtype() == &DataType::UInt64 {
        let values = map_runs(physical.u64()?, lengths, |run| extreme(run, aggregate));
        values.collect::<UInt64Chunked>().into_column()
    } else {
        let values = map_runs(physical.i64()?, lengths, |run| extreme(run, aggregate));
        values.collect::<Int64Chunked>().into_column()
    };
    extremes.with_name(name).cast(column.dtype())
}

/// Applies a function to the non-null values of each run.
fn map_runs<T: PolarsNumericType, R>(
    values: &ChunkedArray<T>,
    lengths: &[u32],
    apply: impl Fn(&[T::Native]) -> R,
) -> impl Iterator<Item = R> {
    // Most columns have no nulls, and then a run is a slice.
    let slice = values.cont_slice().ok();
    let mut start = 0;
    let mut valid = Vec::new();
    lengths.iter().map(move |length| {
        let run = start..start + *length as usize;
        start = run.end;
        if let Some(slice) = slice {
            return apply(&slice[run]);
        }
        valid.clear();
        valid.extend(run.filter_map(|row| values.get(row)));
        apply(&valid)
    })
}

/// The smallest value for `Min`, otherwise the largest.
fn extreme<T: Ord + Copy>(run: &[T], aggregate: Aggregate) -> Option<T> {
    let value = if aggregate == Aggregate::Min { run.iter().min() } else { run.iter().max() };
    value.copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers nulls, long strings, and more rows than [`marked_rows`] tests at once.
    #[test]
    fn sums_adjacent_rows_with_equal_keys() {
        let long = "an order id of more than twelve bytes";
        let mut ids = [Some(1i64); 11];
        (ids[2], ids[3], ids[10]) = (None, None, Some(3));
        ids[5..10].fill(Some(2));
        let orders = ["a", "a", "a", "b", "b", long, long, "c", "c", "c", "c"];
        let units = [1i64, 2, 3, 4, 5, 6, 7, 8, 9, -10, 11];
        let frame = df!["id" => ids, "order" => orders, "units" => units].unwrap();
        let sum_units = [("units".into(), Aggregate::Sum)];
        let runs = aggregate_runs(&frame, 2, "lines", &sum_units).unwrap();
        let ids: Vec<Option<i64>> = runs.column("id").unwrap().i64().unwrap().iter().collect();
        assert_eq!(ids, [Some(1), None, None, Some(1), Some(2), Some(2), Some(3)]);
        let sums: Vec<Option<i128>> =
            runs.column("units").unwrap().i128().unwrap().iter().collect();
        assert_eq!(sums, [3, 3, 4, 5, 13, 7, 11].map(Some));
        let lines: Vec<Option<u32>> = runs.column("lines").unwrap().u32().unwrap().iter().collect();
        assert_eq!(lines, [2, 1, 1, 1, 2, 3, 1].map(Some));
        let empty = aggregate_runs(&frame.clear(), 2, "lines", &sum_units).unwrap();
        assert_eq!(empty.height(), 0);
    }
}
