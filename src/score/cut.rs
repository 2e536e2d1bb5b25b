//! Cut points: where one score ends and the next begins, and which side a value on the line falls.

use polars::prelude::*;

use super::{Dimension, ScoreParams};

/// How cut points are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Type-7 quantiles at i/n; a value equal to a cut point takes the lower bin.
    Quantile,
    /// As the R package rfm: type-7 quantiles plus one, in the raw unit; a value equal to a cut point takes the upper
    /// bin. Scores therefore depend on the unit of money.
    RRfm,
}

/// Ascending cut points, one fewer than bins; colliding ones leave a bin empty.
#[derive(Debug, Clone, PartialEq)]
pub struct CutPoints {
    points: Vec<f64>,
    method: Method,
}

impl CutPoints {
    /// The cut points of a dimension's values, which come in any order and without NaN; no value gives no cut points.
    pub fn of(params: &ScoreParams, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let shift = match params.method {
            Method::Quantile => 0.0,
            Method::RRfm => 1.0,
        };
        let parts = usize::from(params.bins);
        let points = (1..parts).filter_map(|i| type_7(&values, i, parts)).map(|point| point + shift).collect();
        Self { points, method: params.method }
    }

    /// The cut points, ascending.
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    /// The score of a value as an expression, 1 to the number of bins, u8; for recency the scale is reversed.
    pub fn score(&self, value: Expr, dimension: Dimension) -> Expr {
        let value = value.cast(DataType::Float64);
        let beyond = |point: &f64| match self.method {
            Method::Quantile => value.clone().gt(lit(*point)),
            Method::RRfm => value.clone().gt_eq(lit(*point)),
        };
        let passed = self.points.iter().map(|point| beyond(point).cast(DataType::UInt8));
        let bin = passed.fold(lit(0u8), |sum, one| sum + one);
        match dimension.reversed() {
            true => lit(self.points.len() as u8 + 1) - bin,
            false => bin + lit(1u8),
        }
    }
}

/// The i/n quantile by linear interpolation between order statistics (type 7 of Hyndman & Fan 1996): with N sorted
/// values, at position (N − 1)·i/n counted from 0.
///
/// The position is taken in whole numbers. In floats it can fall a hair beside the value that it means, and that value
/// would then land on the wrong side of its own cut point.
fn type_7(sorted: &[f64], i: usize, n: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let (below, rest) = (last * i / n, last * i % n);
    let lower = sorted[below];
    match rest {
        0 => Some(lower),
        _ => Some(lower + (sorted[below + 1] - lower) * (rest as f64 / n as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_7_interpolates_between_order_statistics() {
        // R: quantile(c(1, 2, 4, 8, 16), c(.2, .4, .5, .6, .8)) gives 1.8 3.2 4.0 5.6 9.6.
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        for (i, n, expected) in [(1, 5, 1.8), (2, 5, 3.2), (1, 2, 4.0), (3, 5, 5.6), (4, 5, 9.6)] {
            let found = type_7(&values, i, n).unwrap();
            assert!((found - expected).abs() < 1e-12, "{i}/{n}: {found}");
        }
        assert_eq!(type_7(&[], 1, 5), None);
        assert_eq!(type_7(&[3.5], 4, 5), Some(3.5));
    }

    #[test]
    fn a_cut_point_that_falls_on_a_value_is_that_value() {
        // For every size at which (N − 1)·i/n is whole, the quantile must be the order statistic itself.
        for size in 1..2000usize {
            let values: Vec<f64> = (0..size).map(|v| v as f64 / 3.0).collect();
            for i in 1..10 {
                if (size - 1) * i % 10 == 0 {
                    assert_eq!(type_7(&values, i, 10), Some(values[(size - 1) * i / 10]));
                }
            }
        }
    }
}
