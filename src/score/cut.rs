//! Cut points: the values at which one score ends and the next begins.

use std::ops::Range;

use polars::prelude::*;

use super::{Dimension, DimensionParams, Method};
use crate::rfm::quantile::type_7;

/// Ascending cut points, one fewer than bins. Equal cut points leave a bin empty.
#[derive(Debug, Clone, PartialEq)]
pub struct CutPoints {
    /// −∞ if even the lowest value is above a cut point.
    pub points: Vec<f64>,
    /// Whether a value equal to a cut point is in the upper bin.
    pub upper: bool,
}

impl CutPoints {
    /// Cut points of a dimension from its values, in any order and without NaN. Without values, and
    /// for [`Method::Rank`] and [`Method::RankQcut`], which split equal values, there are none.
    pub(crate) fn fit(
        params: &DimensionParams,
        dimension: Dimension,
        mut values: Vec<f64>,
    ) -> Self {
        values.sort_by(f64::total_cmp);
        let mut bins = usize::from(params.bins);
        if params.separate_zeros {
            values.retain(|value| *value > 0.0);
            bins -= 1;
        }
        let quantiles = || (1..bins).filter_map(|i| type_7(&values, i, bins));
        let mut points: Vec<f64> = match &params.method {
            Method::Quantile => quantiles().collect(),
            Method::RRfm => quantiles().map(|point| point + 1.0).collect(),
            Method::Fixed(points) => points.clone(),
            Method::QcutDrop => {
                let ends = [values.first(), values.last()];
                let mut points: Vec<f64> =
                    quantiles().filter(|point| !ends.contains(&Some(point))).collect();
                points.dedup();
                points
            }
            Method::PercentRank => fit_to_ranks(&values, bins, dimension, |ranks, n| {
                // (min rank − 1) / (n − 1) ≥ i / bins, in integers.
                let last = n.saturating_sub(1).max(1);
                (1..bins).filter(|i| ranks.start * bins >= i * last).count()
            }),
            Method::AverageRank => fit_to_ranks(&values, bins, dimension, |ranks, n| {
                // (average rank) / n > i / bins, doubled so that averages are integers.
                let doubled = ranks.start + 1 + ranks.end;
                (1..bins).filter(|i| doubled * bins > i * 2 * n).count()
            }),
            Method::Rank | Method::RankQcut => Vec::new(),
        };
        if params.separate_zeros {
            points.insert(0, 0.0);
        }
        Self { points, upper: params.method == Method::RRfm }
    }

    /// The score of a dimension's value, from 1 to the number of bins. Reversed for recency.
    pub fn score_expr(&self, dimension: Dimension) -> Expr {
        let value = col(dimension.value()).cast(DataType::Float64);
        let is_above = |point: &f64| {
            let (value, point) = (value.clone(), lit(*point));
            if self.upper { value.gt_eq(point) } else { value.gt(point) }
        };
        let add = |bin: Expr, point: &f64| bin + is_above(point).cast(DataType::UInt8);
        let bin = self.points.iter().fold(lit(0u8), add);
        if dimension.reversed() { lit(self.points.len() as u8 + 1) - bin } else { bin + lit(1u8) }
    }

    /// [`Self::score_expr`] of a single value.
    pub fn score(&self, value: f64, dimension: Dimension) -> u8 {
        let is_above = |point: &&f64| if self.upper { value >= **point } else { value > **point };
        let bin = self.points.iter().filter(is_above).count() as u8;
        if dimension.reversed() { self.points.len() as u8 + 1 - bin } else { bin + 1 }
    }
}

/// Cut points that reproduce a score based on the ranks of equal values.
///
/// `steps(ranks, n)` returns the number of steps above the lowest score for zero-based ranks, which
/// start at the worst customer.
fn fit_to_ranks(
    sorted: &[f64],
    bins: usize,
    dimension: Dimension,
    steps: impl Fn(Range<usize>, usize) -> usize,
) -> Vec<f64> {
    let n = sorted.len();
    let mut points = vec![f64::NEG_INFINITY; if n == 0 { 0 } else { bins - 1 }];
    let mut start = 0;
    for equal in sorted.chunk_by(|a, b| a == b) {
        let end = start + equal.len();
        let passed = if dimension.reversed() {
            bins - 1 - steps(n - end..n - start, n)
        } else {
            steps(start..end, n)
        };
        // Every cut point that this value does not pass is at the value or above.
        points[passed..].fill(equal[0]);
        start = end;
    }
    points
}
