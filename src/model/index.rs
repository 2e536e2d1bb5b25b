//! Exact nearest-neighbour index over distinct points. Euclidean distances on up to 12 axes use
//! [`KdTree`], many times faster than smartcore's cover tree for the other metrics. Cosine
//! distance violates the triangle inequality, so it scans all points.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classifier::Search;
use super::kdtree::{EuclideanTree, KdTree};
use super::point_matrix::PointMatrix;

/// Distance metric.
///
/// `cosine`: 1 − cosine of the angle. The distance from and to the origin is 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    #[default]
    Euclidean,
    Manhattan,
    Cosine,
    /// p-th root of the sum of p-th powers.
    Minkowski(
        /// Exponent, at least 1.
        #[schemars(range(min = 1, max = 100))]
        f64,
    ),
}

/// Relative widening of search radii: the trees round differently from
/// [`Metric::distance_between`].
const SLACK: f64 = 1e-9;

/// Distance and id of a point.
pub(super) type PointDistance = (f64, u32);

pub(super) struct Index {
    metric: Metric,
    len: usize,
    backend: Backend,
}

enum Backend {
    Kd(Box<dyn EuclideanTree>),
    Cover(Search),
    BruteForce(PointMatrix),
}

impl Index {
    /// Builds an index over distinct points. The error is smartcore's message.
    pub(super) fn new(metric: Metric, points: PointMatrix) -> Result<Self, String> {
        let len = points.len();
        // A cover tree of one point finds nothing.
        let backend = match metric {
            _ if len < 2 => Backend::BruteForce(points),
            Metric::Cosine => Backend::BruteForce(points),
            Metric::Euclidean if let Some(tree) = kd_tree(&points) => Backend::Kd(tree),
            _ => {
                let search = Search::new(metric, &points);
                Backend::Cover(search.map_err(|error| error.to_string())?)
            }
        };
        Ok(Self { metric, len, backend })
    }

    /// Replaces `hits` with the `wanted` nearest points, nearest first.
    pub(super) fn nearest(&self, point: &[f64], wanted: usize, hits: &mut Vec<PointDistance>) {
        let wanted = wanted.min(self.len);
        hits.clear();
        if wanted > 0 {
            self.search(point, f64::INFINITY, wanted, hits);
        }
        hits.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        hits.truncate(wanted);
    }

    /// Replaces `hits` with all points within a radius. Points just beyond it may be included.
    pub(super) fn within(&self, point: &[f64], radius: f64, hits: &mut Vec<PointDistance>) {
        hits.clear();
        self.search(point, widened(radius), usize::MAX, hits);
    }

    /// Appends at least the `wanted` nearest points within a radius.
    fn search(&self, point: &[f64], radius: f64, wanted: usize, hits: &mut Vec<PointDistance>) {
        match &self.backend {
            Backend::Kd(tree) => tree.search(point, radius, wanted, hits),
            Backend::Cover(search) if wanted == usize::MAX => search.within(point, radius, hits),
            Backend::Cover(search) => search.nearest(point, wanted, hits),
            Backend::BruteForce(points) => {
                let distances =
                    points.iter().map(|other| self.metric.distance_between(other, point));
                hits.extend(distances.zip(0..));
            }
        }
    }
}

/// A radius that includes every point within `radius`, however the trees round.
pub(super) fn widened(radius: f64) -> f64 {
    radius * (1.0 + SLACK) + f64::MIN_POSITIVE
}

/// `None` if the points have more than 12 axes, or none.
fn kd_tree(points: &PointMatrix) -> Option<Box<dyn EuclideanTree>> {
    fn tree<const K: usize>(points: &PointMatrix) -> Box<dyn EuclideanTree> {
        Box::new(KdTree::<K>::new(points.values().as_chunks().0))
    }
    type Constructor = fn(&PointMatrix) -> Box<dyn EuclideanTree>;
    let constructors: [Constructor; 12] = [
        tree::<1>, tree::<2>, tree::<3>, tree::<4>, tree::<5>, tree::<6>, tree::<7>, tree::<8>,
        tree::<9>, tree::<10>, tree::<11>, tree::<12>,
    ];
    constructors.get(points.axes().checked_sub(1)?).map(|tree| tree(points))
}

impl Metric {
    pub(super) fn distance_between(self, a: &[f64], b: &[f64]) -> f64 {
        let differences = || a.iter().zip(b).map(|(x, y)| (x - y).abs());
        match self {
            Self::Euclidean => differences().map(|d| d * d).sum::<f64>().sqrt(),
            Self::Manhattan => differences().sum(),
            Self::Minkowski(p) => {
                // Scaled by the largest difference: high powers overflow.
                let largest = differences().fold(0.0, f64::max);
                if largest > 0.0 {
                    let powers = differences().map(|d| (d / largest).powf(p)).sum::<f64>();
                    largest * powers.powf(1.0 / p)
                } else {
                    0.0
                }
            }
            Self::Cosine => {
                let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                let norm = |point: &[f64]| point.iter().map(|x| x * x).sum::<f64>().sqrt();
                let norms = norm(a) * norm(b);
                // Parallel vectors have a cosine within one rounding error of 1.
                let distance = 1.0 - dot / norms;
                if norms <= 0.0 {
                    1.0
                } else if distance < 1e-15 {
                    0.0
                } else {
                    distance
                }
            }
        }
    }
}
