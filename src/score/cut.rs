//! Cut points: where one score ends and the next begins, and which side a value on the line falls.

use polars::prelude::*;

use super::{Dimension, ScoreParams};
use crate::rfm::quantile::type_7;

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
