//! Codes of what is wrong with rows, by functions that look at whole columns: where nothing is, which is nearly always so, they cost
//! next to nothing, and chains of Polars' conditions, a column a link, took a third of the scan.

use polars::prelude::*;

/// No fault. Codes are below it: a pipeline has at most thirty steps, and none more than seven reasons.
const SOUND: u8 = u8::MAX;

/// The codes of what is wrong with values, row by row. Where nothing is, the column takes no memory.
pub(super) fn coded<T: PolarsNumericType>(
    values: &ChunkedArray<T>,
    codes: &[u8],
    wrong: impl Fn(Option<T::Native>) -> Option<usize>,
) -> Column {
    let sound = |slice: &[T::Native]| slice.iter().all(|value| wrong(Some(*value)).is_none());
    if values.null_count() == 0 && values.data_views().all(sound) {
        return Column::full_null(values.name().clone(), values.len(), &DataType::UInt8);
    }
    let code = |value| wrong(value).and_then(|fault| codes.get(fault).copied());
    values.iter().map(code).collect::<UInt8Chunked>().with_name(values.name().clone()).into_column()
}

/// Codes by a function of a column; of many columns, as those of one alone are computed on threads of their own.
pub(super) fn judged(
    value: Expr,
    codes: impl Fn(&Column) -> PolarsResult<Column> + Send + Sync + 'static,
) -> Expr {
    made_of(vec![value], DataType::UInt8, move |columns| codes(&columns[0]))
}

/// A column by a function of others, row by row, under the name of the first; null where there are none.
pub fn made_of(
    mut values: Vec<Expr>,
    dtype: DataType,
    make: impl Fn(&[Column]) -> PolarsResult<Column> + Send + Sync + 'static,
) -> Expr {
    if values.is_empty() {
        return lit(NULL).cast(dtype);
    }
    let (first, made) = (values.remove(0), move |columns: &mut [Column]| make(columns));
    first.map_many(made, &values, move |_, fields| {
        Ok(Field::new(fields[0].name().clone(), dtype.clone()))
    })
}

/// The code of the first predicate that holds; null where none does.
pub fn first_of(predicates: Vec<(u8, Expr)>) -> Expr {
    let (codes, predicates): (Vec<u8>, Vec<Expr>) = predicates.into_iter().unzip();
    made_of(predicates, DataType::UInt8, move |predicates| first_code(predicates, &codes))
}

fn first_code(predicates: &[Column], codes: &[u8]) -> PolarsResult<Column> {
    let rows = predicates.iter().map(Column::len).max().unwrap_or(0);
    let name = predicates.first().map(|first| first.name().clone()).unwrap_or_default();
    let mut found: Option<Vec<u8>> = None;
    // The first comes last, and so stays.
    for (predicate, code) in predicates.iter().zip(codes).rev() {
        let holds = predicate.bool()?;
        if !holds.any() {
            continue;
        }
        let found = found.get_or_insert_with(|| vec![SOUND; rows]);
        if holds.len() < rows {
            found.fill(*code);
            continue;
        }
        each_that_holds(holds, |row| found[row] = *code);
    }
    Ok(match found {
        None => Column::full_null(name, rows, &DataType::UInt8),
        Some(found) => {
            let codes = found.into_iter().map(|code| (code != SOUND).then_some(code));
            codes.collect::<UInt8Chunked>().with_name(name).into_column()
        }
    })
}

/// Calls a function for every row in which a predicate holds.
pub fn each_that_holds(predicate: &BooleanChunked, mut call: impl FnMut(usize)) {
    let mut passed = 0;
    for chunk in predicate.downcast_iter() {
        let mut call = |row: usize| call(passed + row);
        match chunk.validity() {
            None => chunk.values().true_idx_iter().for_each(&mut call),
            Some(there) => (chunk.values() & there).true_idx_iter().for_each(&mut call),
        }
        passed += chunk.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(frame: DataFrame, expr: Expr) -> Vec<Option<u8>> {
        let found = frame.lazy().select([expr.alias("code")]).collect().unwrap();
        found.column("code").unwrap().u8().unwrap().iter().collect()
    }

    #[test]
    fn the_first_predicate_that_holds_is_told() {
        let frame = df!["a" => [Some(true), Some(false), None, Some(false)], "b" => [true, true, true, false]].unwrap();
        let told = |predicates| codes(frame.clone(), first_of(predicates));
        assert_eq!(told(vec![(7, col("a")), (9, col("b"))]), [Some(7), Some(9), Some(9), None]);
        assert_eq!(told(vec![(7, col("b").and(lit(false)))]), [None; 4]);
        // A predicate that is the same for all rows.
        assert_eq!(told(vec![(7, col("a")), (9, lit(true))]), [Some(7), Some(9), Some(9), Some(9)]);
    }

    #[test]
    fn values_are_judged_one_by_one_where_one_is_wrong() {
        let wrong = |x: Option<i64>| x.map_or(Some(0), |x| (x > 5).then_some(1));
        let of = |values: &[Option<i64>]| -> Vec<Option<u8>> {
            let values: Int64Chunked = values.iter().copied().collect();
            coded(&values, &[3, 4], wrong).u8().unwrap().iter().collect()
        };
        assert_eq!(of(&[Some(1), Some(5)]), [None, None]);
        assert_eq!(of(&[Some(1), Some(6)]), [None, Some(4)]);
        assert_eq!(of(&[None, Some(6), Some(2)]), [Some(3), Some(4), None]);
    }
}
