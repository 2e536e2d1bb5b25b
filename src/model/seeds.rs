//! Seeds of K-Means by k-means++ (Arthur and Vassilvitskii 2007).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardUniform};

use super::point_matrix::PointMatrix;

/// k points. Each is drawn with a probability in proportion to the squared distance from the points
/// before it; of several draws the one that leaves the smallest distances is kept, as by
/// scikit-learn.
pub(super) fn seeds(points: &PointMatrix, axes: &[Vec<f64>], k: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || -> f64 { StandardUniform.sample(&mut random) };
    let draws = 2 + (k as f64).ln() as usize;
    let first = points.row((uniform() * points.len() as f64) as usize);
    let mut seeds = vec![first.to_vec()];
    let mut weights = vec![f64::INFINITY; points.len()];
    lower_to_distances(&mut weights, axes, first);
    while seeds.len() < k {
        let total: f64 = weights.iter().sum();
        let candidates = (0..draws).map(|_| {
            let candidate = points.row(draw(&weights, uniform() * total));
            let mut weights = weights.clone();
            lower_to_distances(&mut weights, axes, candidate);
            (weights.iter().sum::<f64>(), weights, candidate)
        });
        if let Some((_, left, candidate)) = candidates.min_by(|a, b| a.0.total_cmp(&b.0)) {
            weights = left;
            seeds.push(candidate.to_vec());
        }
    }
    seeds
}

/// Lowers each number to the squared distance from a point, of points by axis.
fn lower_to_distances(numbers: &mut [f64], axes: &[Vec<f64>], point: &[f64]) {
    let mut squares = vec![0.0; numbers.len()];
    for (axis, x) in axes.iter().zip(point) {
        squares.iter_mut().zip(axis).for_each(|(square, y)| *square += (x - y) * (x - y));
    }
    numbers.iter_mut().zip(squares).for_each(|(number, square)| *number = number.min(square));
}

/// The first index at which the sum of the weights exceeds `threshold`. Never one without weight.
fn draw(weights: &[f64], mut threshold: f64) -> usize {
    let mut drawn = 0;
    for (idx, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        drawn = idx;
        threshold -= weight;
        if threshold < 0.0 {
            break;
        }
    }
    drawn
}
