//! Distinct points, found by how near they are; always exactly.
//!
//! Where distances are Euclidean and the axes few, a [`KdTree`] answers; it is many times faster than smartcore's [`CoverTree`], which
//! answers for the other metrics. Where a distance is no metric, all points are looked at. Which of them answers
//! does not show: distances are always told by [`Measure`], and tests hold every way to a brute force.

use smartcore::algorithm::neighbour::cover_tree::CoverTree;
use smartcore::metrics::distance::Distance;

use super::kdtree::KdTree;
use super::points::Points;

/// What is near.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// The root of the sum of squares.
    Euclidean,
    /// The sum of absolute differences.
    Manhattan,
    /// The p-th root of the sum of p-th powers, for p of at least 1.
    Minkowski(f64),
    /// One less the cosine of the angle; 1 from and to the origin. It is no metric, so that all customers are looked at.
    Cosine,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Measure(pub(super) Metric);

/// How much farther than asked is looked, relatively, since the trees round otherwise than [`Measure`].
const SLACK: f64 = 1e-9;

/// A distinct point: distance and place.
pub(super) type Spot = (f64, u32);

pub(super) struct Index {
    measure: Measure,
    points: usize,
    tree: Tree,
}

enum Tree {
    Kd(Box<dyn Kd>),
    Cover(CoverTree<Vec<f64>, Measure>),
    None(Points),
}

impl Index {
    /// Over distinct points.
    ///
    /// # Errors
    /// What smartcore says of a tree that cannot be built.
    pub(super) fn new(metric: Metric, points: Points) -> Result<Self, String> {
        let measure = Measure(metric);
        let n = points.len();
        // A cover tree of one point finds nothing.
        let tree = match metric {
            _ if n < 2 => Tree::None(points),
            Metric::Cosine => Tree::None(points),
            Metric::Euclidean if let Some(tree) = kd(&points) => Tree::Kd(tree),
            _ => {
                let points = points.iter().map(<[f64]>::to_vec).collect();
                Tree::Cover(CoverTree::new(points, measure).map_err(|error| error.to_string())?)
            }
        };
        Ok(Self { measure, points: n, tree })
    }

    /// How many points there are.
    pub(super) fn len(&self) -> usize {
        self.points
    }

    /// Puts the nearest points in place of what was found before, nearest first.
    pub(super) fn nearest(&self, point: &[f64], wanted: usize, found: &mut Vec<Spot>) {
        let wanted = wanted.min(self.len());
        found.clear();
        match &self.tree {
            _ if wanted == 0 => {}
            Tree::Kd(tree) => tree.nearest(point, wanted, found),
            Tree::Cover(tree) => covered(tree.find(&point.to_vec(), wanted), found),
            Tree::None(points) => self.measured(point, points, found),
        }
        found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        found.truncate(wanted);
    }

    /// Puts all points within a radius, and perhaps some a hair beyond it, in place of what was found before.
    pub(super) fn within(&self, point: &[f64], radius: f64, found: &mut Vec<Spot>) {
        let radius = widened(radius);
        found.clear();
        match &self.tree {
            Tree::Kd(tree) => tree.within(point, radius, found),
            Tree::Cover(tree) => covered(tree.find_radius(&point.to_vec(), radius), found),
            Tree::None(points) => self.measured(point, points, found),
        }
    }

    /// Whether a point at one distance lies beyond another for sure, however the trees round.
    pub(super) fn beyond(distance: f64, radius: f64) -> bool {
        distance > widened(radius)
    }

    fn measured(&self, point: &[f64], points: &Points, found: &mut Vec<Spot>) {
        let measured = points
            .iter()
            .zip(0..)
            .map(|(other, place)| (self.measure.between(other, point), place));
        found.extend(measured);
    }
}

/// What a cover tree found, if anything.
fn covered<T>(told: Result<Vec<(usize, f64, T)>, impl Sized>, found: &mut Vec<Spot>) {
    found.extend(told.into_iter().flatten().map(|(place, distance, _)| (distance, place as u32)));
}

/// A radius that takes in whatever may lie within, however the trees round.
fn widened(radius: f64) -> f64 {
    radius * (1.0 + SLACK) + f64::MIN_POSITIVE
}

/// A kd-tree of some number of axes.
trait Kd: Send + Sync {
    fn nearest(&self, point: &[f64], wanted: usize, found: &mut Vec<Spot>);
    fn within(&self, point: &[f64], radius: f64, found: &mut Vec<Spot>);
}

impl<const K: usize> Kd for KdTree<K> {
    fn nearest(&self, point: &[f64], wanted: usize, found: &mut Vec<Spot>) {
        let Some(point) = point.first_chunk() else { return };
        self.nearest(point, wanted, found);
        rooted(found);
    }

    fn within(&self, point: &[f64], radius: f64, found: &mut Vec<Spot>) {
        let Some(point) = point.first_chunk() else { return };
        self.within(point, widened(radius * radius), found);
        rooted(found);
    }
}

/// Makes distances of their squares, which the kd-tree sums as [`Measure`] does.
fn rooted(found: &mut [Spot]) {
    found.iter_mut().for_each(|(distance, _)| *distance = distance.sqrt());
}

/// A kd-tree, where the points have few axes.
fn kd(points: &Points) -> Option<Box<dyn Kd>> {
    fn of<const K: usize>(points: &Points) -> Option<Box<dyn Kd>> {
        let points: Option<Vec<[f64; K]>> =
            points.iter().map(|point| point.first_chunk().copied()).collect();
        Some(Box::new(KdTree::new(&points?)))
    }
    let few = match points.axes() {
        1 => of::<1> as fn(&Points) -> _,
        2 => of::<2>,
        3 => of::<3>,
        4 => of::<4>,
        5 => of::<5>,
        6 => of::<6>,
        7 => of::<7>,
        8 => of::<8>,
        9 => of::<9>,
        10 => of::<10>,
        11 => of::<11>,
        12 => of::<12>,
        _ => return None,
    };
    few(points)
}

impl Measure {
    /// The distance between two points.
    pub(super) fn between(&self, a: &[f64], b: &[f64]) -> f64 {
        let differences = || a.iter().zip(b).map(|(x, y)| (x - y).abs());
        match self.0 {
            Metric::Euclidean => differences().map(|d| d * d).sum::<f64>().sqrt(),
            Metric::Manhattan => differences().sum(),
            Metric::Minkowski(p) => {
                // By the largest difference, since high powers leave the range of floats.
                let largest = differences().fold(0.0, f64::max);
                match largest > 0.0 {
                    true => {
                        largest
                            * differences()
                                .map(|d| (d / largest).powf(p))
                                .sum::<f64>()
                                .powf(1.0 / p)
                    }
                    false => 0.0,
                }
            }
            Metric::Cosine => {
                let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                let length = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
                let lengths = length(a) * length(b);
                // Rounding takes the cosine of the same direction a hair to either side of 1.
                let apart = 1.0 - dot / lengths;
                match lengths > 0.0 {
                    true if apart < 1e-15 => 0.0,
                    true => apart,
                    false => 1.0,
                }
            }
        }
    }
}

impl Distance<Vec<f64>> for Measure {
    fn distance(&self, a: &Vec<f64>, b: &Vec<f64>) -> f64 {
        self.between(a, b)
    }
}
