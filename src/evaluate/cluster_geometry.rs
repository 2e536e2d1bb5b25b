//! Geometry of groups of points: within-cluster sums of squares, silhouettes, and internal indices.

use std::borrow::Cow;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::lloyd::squared;
use crate::model::point_matrix::{Distinct, PointMatrix};

/// Up to this number of customers, each is compared with all others.
const MOST_COMPARED: usize = 10_000;
/// Number of customers in a sample.
const SAMPLE: usize = 5_000;

/// How silhouettes of more than 10,000 customers are computed: from a sample of 5,000 (`sample`,
/// default), or from all (`exact`). The cost is quadratic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SilhouetteMode {
    #[default]
    Sample,
    Exact,
}

/// The distinct points of one group, weighted by their customers. Stored by axis, so that the inner
/// loop over points is vectorised.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterGeometry {
    axes: Vec<Vec<f64>>,
    weight: Vec<f64>,
}

impl ClusterGeometry {
    /// The geometry of each of `n` groups. `codes` has the group of each point, `distinct` the
    /// groups of equal points.
    pub fn all(points: &PointMatrix, distinct: &Distinct, codes: &[usize], n: usize) -> Vec<Self> {
        let mut geometries = vec![Self::empty(points.axes()); n];
        for members in distinct.iter() {
            let point = points.row(members[0] as usize);
            // Equal points may be in several groups.
            for member in members {
                geometries[codes[*member as usize]].add(point);
            }
        }
        geometries
    }

    fn empty(axes: usize) -> Self {
        Self { axes: vec![Vec::new(); axes], weight: Vec::new() }
    }

    /// Adds a customer. Equal points must be added consecutively.
    fn add(&mut self, point: &[f64]) {
        match self.weight.last_mut() {
            Some(weight) if self.axes.iter().zip(point).all(|(axis, x)| axis.last() == Some(x)) => {
                *weight += 1.0;
            }
            _ => {
                self.weight.push(1.0);
                self.axes.iter_mut().zip(point).for_each(|(axis, x)| axis.push(*x));
            }
        }
    }

    pub fn len(&self) -> usize {
        self.weight.iter().sum::<f64>() as usize
    }

    pub fn is_empty(&self) -> bool {
        self.weight.is_empty()
    }

    fn point(&self, idx: usize) -> Vec<f64> {
        self.axes.iter().map(|axis| axis[idx]).collect()
    }

    fn centroid(&self) -> Vec<f64> {
        let n: f64 = self.weight.iter().sum();
        self.axes
            .iter()
            .map(|axis| axis.iter().zip(&self.weight).map(|(x, w)| x * w).sum::<f64>() / n)
            .collect()
    }

    /// Sum of the distances from a point to every customer.
    fn distance_sum(&self, point: &[f64]) -> f64 {
        // Parallel running sums let the compiler keep several square roots in flight. Their order
        // is fixed, so the result is the same on every machine and for any number of threads.
        const LANES: usize = 16;
        let blocks = self.weight.len() / LANES * LANES;
        let mut lanes = [0.0f64; LANES];
        for start in (0..blocks).step_by(LANES) {
            let mut squares = [0.0f64; LANES];
            for (axis, x) in self.axes.iter().zip(point) {
                for (square, y) in squares.iter_mut().zip(&axis[start..start + LANES]) {
                    *square += (y - x) * (y - x);
                }
            }
            let weights = &self.weight[start..start + LANES];
            for ((lane, square), weight) in lanes.iter_mut().zip(&squares).zip(weights) {
                *lane += weight * square.sqrt();
            }
        }
        let rest = (blocks..self.weight.len()).map(|idx| {
            let axes = self.axes.iter().zip(point);
            let square: f64 = axes.map(|(axis, x)| (axis[idx] - x) * (axis[idx] - x)).sum();
            self.weight[idx] * square.sqrt()
        });
        lanes.iter().sum::<f64>() + rest.sum::<f64>()
    }

    /// Sum of squared distances to the centroid.
    pub fn wcss(&self) -> f64 {
        let centroid = self.centroid();
        self.axes
            .iter()
            .zip(&centroid)
            .map(|(axis, centre)| -> f64 {
                axis.iter().zip(&self.weight).map(|(x, w)| (x - centre).powi(2) * w).sum()
            })
            .sum()
    }

    /// A sample of `wanted` customers, evenly spaced over the sorted points.
    fn sample(&self, wanted: usize) -> Self {
        let n = self.len();
        let mut sample = Self::empty(self.axes.len());
        let mut passed = 0;
        for (idx, weight) in self.weight.iter().enumerate() {
            let before = passed * wanted / n;
            passed += *weight as usize;
            let taken = passed * wanted / n - before;
            if taken > 0 {
                sample.weight.push(taken as f64);
                sample.axes.iter_mut().zip(&self.axes).for_each(|(to, axis)| to.push(axis[idx]));
            }
        }
        sample
    }

    /// Index of a point of this group.
    fn position(&self, point: &[f64]) -> usize {
        // Points are in lexicographic order, so every axis narrows the range of candidates.
        let (mut start, mut end) = (0, self.weight.len());
        for (axis, x) in self.axes.iter().zip(point) {
            end = start + axis[start..end].partition_point(|y| y <= x);
            start += axis[start..end].partition_point(|y| y < x);
        }
        start
    }
}

/// Silhouettes of the customers of several groups.
///
/// The silhouette of a customer is (b − a)/max(a, b), where a is the mean distance to the other
/// customers of the group and b the smallest mean distance to another group. It is 0 for a customer
/// alone in a group (Rousseeuw 1987).
pub struct Silhouettes {
    groups: Vec<GroupSilhouettes>,
    sampled: bool,
}

struct GroupSilhouettes {
    /// Number of customers, including those outside the sample.
    customers: f64,
    /// Silhouette and number of compared customers of each distinct point.
    points: Vec<(f64, f64)>,
}

impl Silhouettes {
    /// Compares all customers, or a stratified sample. `None` for fewer than two groups.
    pub fn of(geometries: &[ClusterGeometry], mode: SilhouetteMode) -> Option<Self> {
        non_empty(geometries)?;
        let n: usize = geometries.iter().map(ClusterGeometry::len).sum();
        let sampled = mode == SilhouetteMode::Sample && n > MOST_COMPARED;
        let size = |group: &ClusterGeometry| (group.len() * SAMPLE / n).max(2).min(group.len());
        let compared: Cow<'_, [ClusterGeometry]> = if sampled {
            geometries.iter().map(|group| group.sample(size(group))).collect()
        } else {
            Cow::Borrowed(geometries)
        };
        let group_silhouettes = |(idx, group): (usize, &ClusterGeometry)| GroupSilhouettes {
            customers: group.len() as f64,
            points: point_silhouettes(&compared, idx),
        };
        let groups = geometries.iter().enumerate().map(group_silhouettes).collect();
        Some(Self { groups, sampled })
    }

    /// The mean over one group, or over all, and its standard error if it is from a sample.
    pub fn mean(&self, group: Option<usize>) -> (f64, Option<f64>) {
        let groups = match group {
            Some(idx) => &self.groups[idx..=idx],
            None => &self.groups,
        };
        let total: f64 = groups.iter().map(|group| group.customers).sum();
        let mut mean = 0.0;
        let mut variance = 0.0;
        for GroupSilhouettes { customers, points } in groups {
            let n: f64 = points.iter().map(|(_, weight)| weight).sum();
            if n == 0.0 {
                continue;
            }
            let group_mean = points.iter().map(|(value, weight)| value * weight).sum::<f64>() / n;
            let group_variance = points
                .iter()
                .map(|(value, weight)| weight * (value - group_mean).powi(2))
                .sum::<f64>()
                / (n - 1.0).max(1.0);
            mean += customers / total * group_mean;
            variance += (customers / total).powi(2) * group_variance / n;
        }
        (mean, self.sampled.then(|| variance.sqrt()))
    }

    /// The silhouette of each point, given the geometries and codes that this was computed from.
    /// `None` if silhouettes are from a sample.
    pub fn of_points(
        &self,
        geometries: &[ClusterGeometry],
        points: &PointMatrix,
        codes: &[usize],
    ) -> Option<Vec<f64>> {
        let silhouette = |(point, code): (&[f64], &usize)| {
            let position = geometries[*code].position(point);
            self.groups[*code].points.get(position).map_or(0.0, |(value, _)| *value)
        };
        (!self.sampled).then(|| points.iter().zip(codes).map(silhouette).collect())
    }
}

/// Silhouette and weight of each distinct point of a group.
fn point_silhouettes(geometries: &[ClusterGeometry], group: usize) -> Vec<(f64, f64)> {
    let own = &geometries[group];
    let weights = own.weight.par_iter().enumerate();
    weights.map(|(i, weight)| (silhouette(geometries, group, &own.point(i)), *weight)).collect()
}

fn silhouette(geometries: &[ClusterGeometry], group: usize, point: &[f64]) -> f64 {
    let size = geometries[group].weight.iter().sum::<f64>();
    if size <= 1.0 {
        return 0.0;
    }
    let a = geometries[group].distance_sum(point) / (size - 1.0);
    let b = geometries
        .iter()
        .enumerate()
        .filter(|(other, geometry)| *other != group && !geometry.is_empty())
        .map(|(_, other)| other.distance_sum(point) / other.weight.iter().sum::<f64>())
        .fold(f64::INFINITY, f64::min);
    let larger = a.max(b);
    if larger > 0.0 && larger.is_finite() { (b - a) / larger } else { 0.0 }
}

/// The groups with customers. `None` if there are fewer than two.
fn non_empty(geometries: &[ClusterGeometry]) -> Option<Vec<&ClusterGeometry>> {
    let groups: Vec<_> = geometries.iter().filter(|geometry| !geometry.is_empty()).collect();
    (groups.len() >= 2).then_some(groups)
}

/// The Davies–Bouldin index (1979): the mean over groups of the largest ratio of the two groups'
/// mean distances to their centroids to the distance between these centroids. Lower is better.
/// `None` for fewer than two groups, or if two centroids are equal.
pub fn davies_bouldin(geometries: &[ClusterGeometry]) -> Option<f64> {
    let geometries = non_empty(geometries)?;
    let centroids: Vec<Vec<f64>> = geometries.iter().map(|geometry| geometry.centroid()).collect();
    let scatter: Vec<f64> = geometries
        .iter()
        .zip(&centroids)
        .map(|(geometry, centroid)| geometry.distance_sum(centroid) / geometry.len() as f64)
        .collect();
    let ratio = |i: usize, j: usize| {
        let distance = squared(&centroids[i], &centroids[j]).sqrt();
        if distance > 0.0 { (scatter[i] + scatter[j]) / distance } else { f64::INFINITY }
    };
    let k = geometries.len();
    let largest = |i: usize| (0..k).filter(|j| *j != i).map(|j| ratio(i, j)).fold(0.0, f64::max);
    let index = (0..k).map(largest).sum::<f64>() / k as f64;
    index.is_finite().then_some(index)
}

/// The Caliński–Harabasz index (1974): the variance between groups divided by the variance within
/// them, each by its degrees of freedom. Higher is better. `None` for fewer than two groups, or
/// without variance within them.
pub fn calinski_harabasz(geometries: &[ClusterGeometry]) -> Option<f64> {
    let geometries = non_empty(geometries)?;
    let k = geometries.len() as f64;
    let sizes: Vec<f64> = geometries.iter().map(|geometry| geometry.len() as f64).collect();
    let n: f64 = sizes.iter().sum();
    let within: f64 = geometries.iter().map(|geometry| geometry.wcss()).sum();
    if within <= 0.0 {
        return None;
    }
    let centroids: Vec<Vec<f64>> = geometries.iter().map(|geometry| geometry.centroid()).collect();
    let mut centre = vec![0.0; centroids[0].len()];
    for (centroid, size) in centroids.iter().zip(&sizes) {
        centre.iter_mut().zip(centroid).for_each(|(sum, x)| *sum += x * size / n);
    }
    let between: f64 =
        centroids.iter().zip(sizes).map(|(centroid, size)| size * squared(centroid, &centre)).sum();
    Some(between / (k - 1.0) / (within / (n - k)))
}
