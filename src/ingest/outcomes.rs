//! Outcomes of lines: the code of what is wrong with a row, null if nothing is.
//!
//! The functions work on whole columns. They cost next to nothing if no row is at fault, which is
//! the common case. Chained `when` expressions, one a fault, took a third of the scan.

use polars::prelude::*;

/// Marks rows without a fault. Codes are smaller: a pipeline has at most thirty steps, and a step
/// at most seven reasons.
const NO_FAULT: u8 = u8::MAX;

/// The fault code of every value. If no value is at fault, the column takes no memory.
pub(super) fn fault_codes<T: PolarsNumericType>(
    values: &ChunkedArray<T>,
    fault: impl Fn(Option<T::Native>) -> Option<u8>,
) -> Column {
    let all_good = |slice: &[T::Native]| slice.iter().all(|value| fault(Some(*value)).is_none());
    if values.null_count() == 0 && values.data_views().all(all_good) {
        return Column::full_null(values.name().clone(), values.len(), &DataType::UInt8);
    }
    let codes: UInt8Chunked = values.iter().map(fault).collect();
    codes.with_name(values.name().clone()).into_column()
}

/// Maps a column to one of another type. Polars runs `Expr::map` on threads of its own, which is
/// slower, so this is a `map_many` of one column.
pub fn map_column(
    value: Expr,
    dtype: DataType,
    function: impl Fn(&Column) -> PolarsResult<Column> + Send + Sync + 'static,
) -> Expr {
    map_columns(vec![value], dtype, move |columns| function(&columns[0]))
}

/// Maps columns to one, row by row, under the name of the first. Null if there are no columns.
pub(crate) fn map_columns(
    mut values: Vec<Expr>,
    dtype: DataType,
    function: impl Fn(&[Column]) -> PolarsResult<Column> + Send + Sync + 'static,
) -> Expr {
    if values.is_empty() {
        return lit(NULL).cast(dtype);
    }
    let first = values.remove(0);
    let output =
        move |_: &Schema, fields: &[Field]| Ok(Field::new(fields[0].name().clone(), dtype.clone()));
    first.map_many(move |columns: &mut [Column]| function(columns), &values, output)
}

/// The code of the first predicate that is true, null if none is.
pub fn first_match(predicates: Vec<(u8, Expr)>) -> Expr {
    let (codes, predicates): (Vec<u8>, Vec<Expr>) = predicates.into_iter().unzip();
    map_columns(predicates, DataType::UInt8, move |predicates| first_code(predicates, &codes))
}

fn first_code(predicates: &[Column], codes: &[u8]) -> PolarsResult<Column> {
    let rows = predicates.iter().map(Column::len).max().unwrap_or(0);
    let name = predicates[0].name().clone();
    let mut outcomes: Option<Vec<u8>> = None;
    // In reverse, so that the first match overwrites the later ones.
    for (predicate, code) in predicates.iter().zip(codes).rev() {
        let matches = predicate.bool()?;
        if !matches.any() {
            continue;
        }
        let outcomes = outcomes.get_or_insert_with(|| vec![NO_FAULT; rows]);
        if matches.len() < rows {
            outcomes.fill(*code);
        } else {
            for_each_true(matches, |row| outcomes[row] = *code);
        }
    }
    let Some(outcomes) = outcomes else {
        return Ok(Column::full_null(name, rows, &DataType::UInt8));
    };
    let codes = outcomes.into_iter().map(|code| (code != NO_FAULT).then_some(code));
    Ok(codes.collect::<UInt8Chunked>().with_name(name).into_column())
}

/// Calls a function with the index of every row in which a predicate is true.
pub fn for_each_true(predicate: &BooleanChunked, mut call: impl FnMut(usize)) {
    let mut offset = 0;
    for chunk in predicate.downcast_iter() {
        let mut call = |row: usize| call(offset + row);
        match chunk.validity() {
            None => chunk.values().true_idx_iter().for_each(&mut call),
            Some(valid) => (chunk.values() & valid).true_idx_iter().for_each(&mut call),
        }
        offset += chunk.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(frame: &DataFrame, expr: Expr) -> Vec<Option<u8>> {
        let selected = frame.clone().lazy().select([expr.alias("code")]).collect().unwrap();
        selected.column("code").unwrap().u8().unwrap().iter().collect()
    }

    #[test]
    fn returns_the_code_of_the_first_match() {
        let a = [Some(true), Some(false), None, Some(false)];
        let frame = df!["a" => a, "b" => [true, true, true, false]].unwrap();
        for (predicates, expected) in [
            (vec![(7, col("a")), (9, col("b"))], [Some(7), Some(9), Some(9), None]),
            (vec![(7, col("b").and(lit(false)))], [None; 4]),
            // A predicate that is the same for all rows.
            (vec![(7, col("a")), (9, lit(true))], [Some(7), Some(9), Some(9), Some(9)]),
        ] {
            assert_eq!(codes(&frame, first_match(predicates)), expected);
        }
    }

    #[test]
    fn codes_only_the_values_at_fault() {
        let fault = |x: Option<i64>| x.map_or(Some(3), |x| (x > 5).then_some(4));
        for (values, expected) in [
            (vec![Some(1), Some(5)], vec![None, None]),
            (vec![Some(1), Some(6)], vec![None, Some(4)]),
            (vec![None, Some(6), Some(2)], vec![Some(3), Some(4), None]),
        ] {
            let values: Int64Chunked = values.into_iter().collect();
            let codes = fault_codes(&values, fault);
            assert_eq!(codes.u8().unwrap().iter().collect::<Vec<_>>(), expected);
        }
    }
}
