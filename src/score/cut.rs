//! Cut points: where one score ends and the next begins, and which side a value on the line falls.

use polars::prelude::*;

use super::{Dimension, DimensionParams, Method};
use crate::rfm::quantile::type_7;

/// Ascending cut points, one fewer than bins; colliding ones leave a bin empty.
#[derive(Debug, Clone, PartialEq)]
pub struct CutPoints {
    points: Vec<f64>,
    /// Whether a value equal to a cut point takes the upper bin.
    upper: bool,
}

impl CutPoints {
    /// No cut points: everybody has one score.
    pub const NONE: Self = Self { points: Vec::new(), upper: false };

    /// Cut points as they were written down, ascending.
    pub fn new(points: Vec<f64>, upper: bool) -> Self {
        Self { points, upper }
    }

    /// Whether a value equal to a cut point takes the upper bin.
    pub fn upper(&self) -> bool {
        self.upper
    }

    /// The cut points of a dimension's values, which come in any order and without NaN; no value gives no cut points. `None` for
    /// the methods that part equal values, whose bins no value could tell apart.
    pub fn of(
        params: &DimensionParams,
        dimension: Dimension,
        mut values: Vec<f64>,
    ) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let mut bins = usize::from(params.bins);
        if params.zero_apart {
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
            Method::PercentRank => by_rank(&values, bins, dimension, |ranks, n| {
                // (min rank − 1) / (n − 1) ≥ i / bins, in whole numbers.
                let (below, last) = (ranks.start, n.saturating_sub(1).max(1));
                (1..bins).filter(|i| below * bins >= i * last).count()
            }),
            Method::AverageRank => by_rank(&values, bins, dimension, |ranks, n| {
                // (average rank) / n > i / bins, twice over so that averages stay whole.
                let twice = ranks.start + 1 + ranks.end;
                (1..bins).filter(|i| twice * bins > i * 2 * n).count()
            }),
            Method::Rank | Method::RankQcut => return None,
        };
        if params.zero_apart {
            points.insert(0, 0.0);
        }
        Some(Self { points, upper: params.method == Method::RRfm })
    }

    /// Cut points that say between which values bins change, for tables; under ties both sides may hold the value.
    pub(super) fn observed(points: Vec<f64>) -> Self {
        Self { points, upper: false }
    }

    /// The cut points, ascending; −∞ where even the lowest value passes one.
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    /// The score of a value as an expression, 1 to the number of bins, u8; for recency the scale is reversed.
    pub fn score(&self, value: Expr, dimension: Dimension) -> Expr {
        let value = value.cast(DataType::Float64);
        let beyond = |point: &f64| match self.upper {
            false => value.clone().gt(lit(*point)),
            true => value.clone().gt_eq(lit(*point)),
        };
        let passed = self.points.iter().map(|point| beyond(point).cast(DataType::UInt8));
        let bin = passed.fold(lit(0u8), |sum, one| sum + one);
        match dimension.reversed() {
            true => lit(self.points.len() as u8 + 1) - bin,
            false => bin + lit(1u8),
        }
    }

    /// As [`Self::score`], of one number.
    pub fn score_of(&self, value: f64, dimension: Dimension) -> u8 {
        let beyond = |point: &&f64| if self.upper { value >= **point } else { value > **point };
        let bin = self.points.iter().filter(beyond).count() as u8;
        if dimension.reversed() { self.points.len() as u8 + 1 - bin } else { bin + 1 }
    }
}

/// The cut points of a score that goes by the ranks of equal values: `score` is given the zero-based ranks that they take from
/// the worst customer on, and says how many steps above the lowest score they stand.
fn by_rank(
    sorted: &[f64],
    bins: usize,
    dimension: Dimension,
    score: impl Fn(std::ops::Range<usize>, usize) -> usize,
) -> Vec<f64> {
    let n = sorted.len();
    let mut points = vec![f64::NEG_INFINITY; if n == 0 { 0 } else { bins - 1 }];
    let mut start = 0;
    for equal in sorted.chunk_by(|a, b| a == b) {
        let end = start + equal.len();
        let passed = match dimension.reversed() {
            true => bins - 1 - score(n - end..n - start, n),
            false => score(start..end, n),
        };
        // Every cut point that these do not pass lies at them or above.
        points[passed..].fill(equal[0]);
        start = end;
    }
    points
}
