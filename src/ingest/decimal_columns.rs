//! Columns of decimals, the numbers of SQL expressions. Most columns have no null and few digits,
//! and are computed by loops without branches.

use polars::prelude::*;

use super::cell::fits_i64;
use super::decimal::{
    DECIMAL, decimal, decimal_of_f64, decimal_of_i64, decimal_of_micros, micros_of_f64, scaled,
    units_of_decimal,
};
use super::fault::MONEY_LIMIT;

/// The values of `compute` if no cell is null and none is `None`.
fn all_values<T: PolarsNumericType, V: Copy + Default>(
    cells: &ChunkedArray<T>,
    compute: impl Fn(T::Native) -> Option<V>,
) -> Option<Vec<V>> {
    if cells.null_count() > 0 {
        return None;
    }
    let mut has_all = true;
    let mut values = Vec::with_capacity(cells.len());
    for slice in cells.data_views() {
        values.extend(slice.iter().map(|cell| {
            let value = compute(*cell);
            has_all &= value.is_some();
            value.unwrap_or_default()
        }));
    }
    has_all.then_some(values)
}

fn of_vec(values: Vec<i128>) -> Int128Chunked {
    Int128Chunked::from_vec(PlSmallStr::EMPTY, values)
}

/// Typed numbers in units of [`DECIMAL`]; null if a number does not fit.
pub(super) fn of_numbers(cells: &Column) -> PolarsResult<Int128Chunked> {
    Ok(match cells.dtype() {
        DataType::Float64 => {
            let cells = cells.f64()?;
            match all_values(cells, |x| micros_of_f64(x).map(decimal_of_micros)) {
                Some(values) => of_vec(values),
                None => cells.iter().map(|x| decimal_of_f64(x?)).collect(),
            }
        }
        dtype if dtype.is_float() => {
            // The shortest decimal of the stored float.
            let cells = cells.cast(&DataType::String)?;
            cells.str()?.iter().map(|cell| decimal(cell?)).collect()
        }
        DataType::Decimal(_, decimals) => {
            let exponent = -i32::try_from(*decimals).unwrap_or(i32::MAX);
            let cells = cells.to_physical_repr();
            cells.i128()?.iter().map(|x| units_of_decimal(x?, exponent)).collect()
        }
        dtype if fits_i64(dtype) => {
            let cells = cells.cast(&DataType::Int64)?;
            let cells = cells.i64()?;
            match all_values(cells, |x| Some(decimal_of_i64(x))) {
                Some(values) => of_vec(values),
                None => cells.iter().map(|x| x.map(decimal_of_i64)).collect(),
            }
        }
        _ => {
            let cells = cells.cast(&DataType::Int128)?;
            cells.i128()?.iter().map(|x| units_of_decimal(x?, 0)).collect()
        }
    })
}

/// The product of two columns of [`DECIMAL`]. Polars divides each product of 256 bits, which is not
/// needed if both factors have at most six decimals.
pub(super) fn product(left: &Column, right: &Column) -> PolarsResult<Column> {
    const MICRO: i64 = 1_000_000;
    let micros = |x: i128| {
        let x = i64::try_from(x).ok()?;
        (x % MICRO == 0).then_some(x / MICRO)
    };
    let name = left.name().clone();
    if left.len() == right.len() {
        let [lefts, rights] = [left, right].map(Column::to_physical_repr);
        let (lefts, rights) =
            (all_values(lefts.i128()?, micros), all_values(rights.i128()?, micros));
        if let (Some(lefts), Some(rights)) = (lefts, rights) {
            // Two numbers of 64 bits cannot overflow 128. A check takes longer than the product.
            let product = |(x, y): (i64, i64)| i128::from(x).wrapping_mul(y.into());
            let products = lefts.into_iter().zip(rights).map(product).collect();
            return Ok(decimals(of_vec(products)).with_name(name));
        }
    }
    Ok((left * right)?.with_name(name))
}

/// Decimals of a scale as whole multiples of 10^-`scale`; null if a decimal is finer or too large.
pub(super) fn units(cells: &Int128Chunked, decimals: usize, scale: u8) -> Int64Chunked {
    let exponent = -i32::try_from(decimals).unwrap_or(i32::MAX);
    let surplus = decimals.saturating_sub(scale.into()) as u32;
    let power = 10i64.checked_pow(surplus).unwrap_or(i64::MAX);
    // Divisions of 64 bits take a fraction of the time of those of 128.
    let whole = |x: i128| {
        let x = i64::try_from(x).ok().filter(|x| surplus > 0 && x % power == 0)?;
        Some(x / power).filter(|units| units.unsigned_abs() <= MONEY_LIMIT as u64)
    };
    match all_values(cells, whole) {
        Some(values) => Int64Chunked::from_vec(PlSmallStr::EMPTY, values),
        None => cells.iter().map(|x| scaled(x?, exponent, scale).ok()).collect(),
    }
}

/// Units of [`DECIMAL`] as a column.
pub(super) fn decimals(units: Int128Chunked) -> Column {
    match DECIMAL {
        DataType::Decimal(precision, scale) => {
            units.into_decimal_unchecked(precision, scale).into_column()
        }
        _ => units.into_column(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fast and slow paths: nulls, many decimals, and large numbers take the slow one.
    #[test]
    fn products_and_units_are_exact() {
        let column = |cells: [&str; 3]| {
            let units: Int128Chunked = cells.iter().map(|cell| decimal(cell)).collect();
            decimals(units)
        };
        for (left, right, expected) in [
            (["2", "-3", "0"], ["1.5", "0.25", "7"], ["3", "-0.75", "0"]),
            (["2", "", "1"], ["1.5", "2", "0.000001"], ["3", "", "0.000001"]),
            (["0.0000001", "2", "3"], ["10", "0.5", "1"], ["0.000001", "1", "3"]),
            (["20000000", "1", "1"], ["30000000", "1", "1"], ["600000000000000", "1", "1"]),
        ] {
            let product = product(&column(left), &column(right)).unwrap();
            assert!(product.equals_missing(&column(expected)), "{product:?}");
        }
        let units = |cells, scale| {
            let cells = column(cells).to_physical_repr();
            units(cells.i128().unwrap(), 12, scale).iter().collect::<Vec<_>>()
        };
        assert_eq!(units(["1.25", "-2", "0"], 2), [Some(125), Some(-200), Some(0)]);
        assert_eq!(units(["1.255", "", "90000000000000.01"], 2), [None, None, None]);
        assert_eq!(
            units(["90000000000000", "1", "1"], 2),
            [Some(9_000_000_000_000_000), Some(100), Some(100)]
        );
    }

    #[test]
    fn typed_numbers_become_decimals() {
        let text = |column: &Column| -> Vec<Option<String>> {
            let column = decimals(of_numbers(column).unwrap()).cast(&DataType::String).unwrap();
            column.str().unwrap().iter().map(|text| text.map(str::to_owned)).collect()
        };
        let expected = |cells: [&str; 2]| cells.map(|cell| Some(format!("{cell:0<14}"))).to_vec();
        assert_eq!(text(&Column::new("x".into(), [1.5f64, 0.1])), expected(["1.5", "0.1"]));
        let noisy = text(&Column::new("x".into(), [1.5f64, 0.1 + 0.2]));
        assert_eq!(noisy[0], Some("1.500000000000".to_owned()));
        assert_eq!(text(&Column::new("x".into(), [7i32, 8])), expected(["7.", "8."]));
        let with_null = text(&Column::new("x".into(), [Some(7i64), None]));
        assert_eq!(with_null, [Some("7.000000000000".to_owned()), None]);
    }
}
