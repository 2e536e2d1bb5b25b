//! Clouds of points, and how well they are told apart.

use rayon::prelude::*;

use crate::model::kmeans::squared;
use crate::model::points::{Distinct, Points};

/// Above this many distinct points silhouettes are those of a sample, since comparing all with all costs the square.
const EXACT_LIMIT: usize = 50_000;
/// Points of such a sample.
const SAMPLE: usize = 10_000;

/// The distinct points of one group with the customers that stand on each, column by column, so that the inner loop
/// over points runs in vector registers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cloud {
    axes: Vec<Vec<f64>>,
    weight: Vec<f64>,
}

impl Cloud {
    /// The clouds of points by the codes of their groups, of which there are `n`; `distinct` says which of the points are equal.
    pub fn all(points: &Points, distinct: &Distinct, codes: &[usize], n: usize) -> Vec<Self> {
        let empty = Self { axes: vec![Vec::new(); points.axes()], weight: Vec::new() };
        let mut clouds = vec![empty; n];
        for members in distinct.iter() {
            let point = points.at(members[0] as usize);
            // Those on one spot may be in several groups.
            for member in members {
                let cloud = &mut clouds[codes[*member as usize]];
                match cloud.weight.last_mut() {
                    Some(weight)
                        if cloud.axes.iter().zip(point).all(|(axis, x)| axis.last() == Some(x)) =>
                    {
                        *weight += 1.0;
                    }
                    _ => {
                        cloud.weight.push(1.0);
                        cloud.axes.iter_mut().zip(point).for_each(|(axis, x)| axis.push(*x));
                    }
                }
            }
        }
        clouds
    }

    /// Customers in the cloud.
    pub fn len(&self) -> usize {
        self.weight.iter().sum::<f64>() as usize
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.weight.is_empty()
    }

    fn point(&self, idx: usize) -> Vec<f64> {
        self.axes.iter().map(|axis| axis[idx]).collect()
    }

    fn centroid(&self) -> Vec<f64> {
        let n: f64 = self.weight.iter().sum();
        let mean =
            |axis: &Vec<f64>| axis.iter().zip(&self.weight).map(|(x, w)| x * w).sum::<f64>() / n;
        self.axes.iter().map(mean).collect()
    }

    /// Sum of the distances from a point to every customer of the cloud.
    fn distance_sum(&self, point: &[f64]) -> f64 {
        // Running sums side by side let the compiler keep several square roots in flight; their order is fixed, so the
        // result is the same on every machine and for any number of threads.
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
            for ((lane, square), weight) in
                lanes.iter_mut().zip(&squares).zip(&self.weight[start..start + LANES])
            {
                *lane += weight * square.sqrt();
            }
        }
        let rest = (blocks..self.weight.len()).map(|idx| {
            let square: f64 = self
                .axes
                .iter()
                .zip(point)
                .map(|(axis, x)| (axis[idx] - x) * (axis[idx] - x))
                .sum();
            self.weight[idx] * square.sqrt()
        });
        lanes.iter().sum::<f64>() + rest.sum::<f64>()
    }

    /// Sum of squared distances to the centroid.
    pub fn wcss(&self) -> f64 {
        let centroid = self.centroid();
        let of_axis = |(axis, centre): (&Vec<f64>, &f64)| -> f64 {
            axis.iter().zip(&self.weight).map(|(x, w)| (x - centre).powi(2) * w).sum()
        };
        self.axes.iter().zip(&centroid).map(of_axis).sum()
    }

    /// So many of the cloud's customers, spread evenly over its sorted points.
    fn thinned(&self, wanted: usize) -> Self {
        let n = self.len();
        let mut thin = Self { axes: vec![Vec::new(); self.axes.len()], weight: Vec::new() };
        let mut passed = 0;
        for (idx, weight) in self.weight.iter().enumerate() {
            let before = passed * wanted / n;
            passed += *weight as usize;
            let taken = passed * wanted / n - before;
            if taken > 0 {
                thin.weight.push(taken as f64);
                thin.axes.iter_mut().zip(&self.axes).for_each(|(thin, axis)| thin.push(axis[idx]));
            }
        }
        thin
    }
}

/// Silhouettes of the customers of several clouds.
///
/// The silhouette of a customer is (b − a)/max(a, b), with a the mean distance to the others of its cloud and b the
/// smallest mean distance to another cloud; 0 for a customer alone in its cloud (Rousseeuw 1987).
pub struct Silhouettes {
    /// Of each cloud: its customers, then the silhouette of every distinct point with the customers on it.
    clouds: Vec<(f64, Vec<(f64, f64)>)>,
    sampled: bool,
}

impl Silhouettes {
    /// Compares all customers with all, or, above a limit, those of a sample, stratified by cloud. `None` of fewer than two clouds.
    pub fn of(clouds: &[Cloud]) -> Option<Self> {
        if clouds.iter().filter(|cloud| !cloud.is_empty()).count() < 2 {
            return None;
        }
        let points: usize = clouds.iter().map(|cloud| cloud.weight.len()).sum();
        let sampled = points > EXACT_LIMIT;
        let n: usize = clouds.iter().map(Cloud::len).sum();
        let thinned: Vec<Cloud>;
        let compared = match sampled {
            false => clouds,
            true => {
                let wanted = |cloud: &Cloud| (cloud.len() * SAMPLE / n).max(2).min(cloud.len());
                thinned = clouds.iter().map(|cloud| cloud.thinned(wanted(cloud))).collect();
                &thinned
            }
        };
        let sizes = clouds.iter().map(|cloud| cloud.len() as f64);
        let widths = (0..compared.len()).map(|own| {
            let width = |idx: usize| {
                (width(compared, own, &compared[own].point(idx)), compared[own].weight[idx])
            };
            (0..compared[own].weight.len()).into_par_iter().map(width).collect()
        });
        Some(Self { clouds: sizes.zip(widths).collect(), sampled })
    }

    /// The mean over one cloud, or over all, and its standard error where it is of a sample.
    pub fn mean(&self, cloud: Option<usize>) -> (f64, Option<f64>) {
        let asked: Vec<&(f64, Vec<(f64, f64)>)> = self
            .clouds
            .iter()
            .enumerate()
            .filter(|(i, _)| cloud.is_none_or(|cloud| cloud == *i))
            .map(|(_, of)| of)
            .collect();
        let total: f64 = asked.iter().map(|(size, _)| size).sum();
        let (mut mean, mut variance) = (0.0, 0.0);
        for (size, widths) in asked {
            let n: f64 = widths.iter().map(|(_, weight)| weight).sum();
            if n == 0.0 {
                continue;
            }
            let own = widths.iter().map(|(width, weight)| width * weight).sum::<f64>() / n;
            let spread =
                widths.iter().map(|(width, weight)| weight * (width - own).powi(2)).sum::<f64>()
                    / (n - 1.0).max(1.0);
            mean += size / total * own;
            variance += (size / total).powi(2) * spread / n;
        }
        (mean, self.sampled.then(|| variance.sqrt()))
    }

    /// The silhouette of each of the points that the clouds were made of; `None` where these are of a sample.
    pub fn of_points(
        &self,
        clouds: &[Cloud],
        points: &Points,
        codes: &[usize],
    ) -> Option<Vec<f64>> {
        if self.sampled {
            return None;
        }
        let find = |point: &[f64], code: usize| {
            let cloud = &clouds[code];
            let order = |idx: usize| {
                let axes = cloud.axes.iter().zip(point).map(|(axis, x)| axis[idx].total_cmp(x));
                axes.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
            };
            let (mut low, mut high) = (0, cloud.weight.len());
            while low < high {
                let middle = (low + high) / 2;
                if order(middle).is_lt() { low = middle + 1 } else { high = middle }
            }
            self.clouds[code].1.get(low).map_or(0.0, |(width, _)| *width)
        };
        Some(points.iter().zip(codes).map(|(point, &code)| find(point, code)).collect())
    }
}

fn width(clouds: &[Cloud], own: usize, point: &[f64]) -> f64 {
    let size = clouds[own].weight.iter().sum::<f64>();
    if size <= 1.0 {
        return 0.0;
    }
    let a = clouds[own].distance_sum(point) / (size - 1.0);
    let others =
        clouds.iter().enumerate().filter(|(other, cloud)| *other != own && !cloud.is_empty());
    let b = others
        .map(|(_, cloud)| cloud.distance_sum(point) / cloud.weight.iter().sum::<f64>())
        .fold(f64::INFINITY, f64::min);
    let widest = a.max(b);
    if widest > 0.0 && widest.is_finite() { (b - a) / widest } else { 0.0 }
}

/// The mean over clouds of the worst ratio of the two clouds' mean distances to their centroids to the distance of these (Davies &
/// Bouldin 1979); lower is better. `None` of fewer than two clouds.
pub fn davies_bouldin(clouds: &[Cloud]) -> Option<f64> {
    let clouds: Vec<&Cloud> = clouds.iter().filter(|cloud| !cloud.is_empty()).collect();
    if clouds.len() < 2 {
        return None;
    }
    let centroids: Vec<Vec<f64>> = clouds.iter().map(|cloud| cloud.centroid()).collect();
    let scatter: Vec<f64> = clouds
        .iter()
        .zip(&centroids)
        .map(|(cloud, centroid)| cloud.distance_sum(centroid) / cloud.len() as f64)
        .collect();
    let worst = |i: usize| {
        let ratio = |j: usize| {
            let apart = squared(&centroids[i], &centroids[j]).sqrt();
            if apart > 0.0 { (scatter[i] + scatter[j]) / apart } else { f64::INFINITY }
        };
        (0..clouds.len()).filter(|j| *j != i).map(ratio).fold(0.0, f64::max)
    };
    Some((0..clouds.len()).map(worst).sum::<f64>() / clouds.len() as f64)
        .filter(|value| value.is_finite())
}

/// The variance between the clouds by that within them, each by its degrees of freedom (Caliński & Harabasz 1974); higher is better.
/// `None` of fewer than two clouds, or where nothing varies within them.
pub fn calinski_harabasz(clouds: &[Cloud]) -> Option<f64> {
    let clouds: Vec<&Cloud> = clouds.iter().filter(|cloud| !cloud.is_empty()).collect();
    let (k, n) =
        (clouds.len() as f64, clouds.iter().map(|cloud| cloud.len()).sum::<usize>() as f64);
    let within: f64 = clouds.iter().map(|cloud| cloud.wcss()).sum();
    if clouds.len() < 2 || within <= 0.0 {
        return None;
    }
    let centroids: Vec<Vec<f64>> = clouds.iter().map(|cloud| cloud.centroid()).collect();
    let sizes = clouds.iter().map(|cloud| cloud.len() as f64);
    let mut middle = vec![0.0; centroids[0].len()];
    for (centroid, size) in centroids.iter().zip(sizes.clone()) {
        middle.iter_mut().zip(centroid).for_each(|(sum, x)| *sum += x * size / n);
    }
    let between: f64 =
        centroids.iter().zip(sizes).map(|(centroid, size)| size * squared(centroid, &middle)).sum();
    Some(between / (k - 1.0) / (within / (n - k)))
}
