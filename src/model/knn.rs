//! K nearest neighbours on smartcore, the one file that names it.
//!
//! smartcore's [`CoverTree`] finds the neighbours; its `KNNClassifier` is the same tree with a vote behind it. The vote is
//! taken here because three things are promised that the classifier leaves open: a customer never votes for itself, ties
//! at the k-th distance are broken by customer_id, and rows are answered in parallel. Where none of these matters the
//! answers equal `KNNClassifier::predict_proba`, which a test holds.
//!
//! Customers with the same features are one point of the tree: a cover tree degrades on heaps of equal points, and a
//! query costs the same however many customers stand on the spot.

use std::collections::HashMap;

use rayon::prelude::*;
use smartcore::algorithm::neighbour::cover_tree::CoverTree;
use smartcore::metrics::distance::Distance;

use super::{ModelError, ModelParams};

/// How votes are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// All alike.
    Uniform,
    /// By 1/distance; neighbours at distance 0, if any, share all votes.
    Distance,
}

/// A fitted model.
pub struct Knn<'a> {
    params: &'a ModelParams,
    /// Distinct points.
    tree: CoverTree<Vec<f64>, Euclidean>,
    /// The first distinct point.
    first: Vec<f64>,
    /// Customers on each distinct point, ascending by customer_id.
    members: Vec<Vec<usize>>,
    labels: Vec<usize>,
    n_labels: usize,
    /// Distinct point of each customer.
    spot: Vec<usize>,
}

/// The neighbours' answer for one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    /// Label code with the most weight; among equals the one with the nearest voter, then the lowest code.
    pub label: usize,
    /// The winner's share of the weight, 0..=1.
    pub confidence: f64,
    /// The winner's share less the runner-up's.
    pub margin: f64,
    /// Distance to the k-th neighbour.
    pub novelty: f64,
}

/// A neighbour: distance and place among the customers that trained, which is also its rank by customer_id.
pub type Neighbour = (f64, usize);

#[derive(Debug, Clone)]
struct Euclidean;

impl Distance<Vec<f64>> for Euclidean {
    fn distance(&self, a: &Vec<f64>, b: &Vec<f64>) -> f64 {
        a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
    }
}

impl<'a> Knn<'a> {
    /// Fits to customers in the order of their ids: their points in the model's space, all finite and of one length, and their label
    /// codes below `n_labels`. There are at least `k`, which the caller has checked.
    ///
    /// # Errors
    /// What smartcore says of a tree that cannot be built.
    pub fn fit(
        params: &'a ModelParams,
        points: &[Vec<f64>],
        labels: &[usize],
        n_labels: usize,
    ) -> Result<Self, ModelError> {
        let mut spots: HashMap<Vec<u64>, usize> = HashMap::with_capacity(points.len());
        let mut distinct: Vec<Vec<f64>> = Vec::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut spot = Vec::with_capacity(points.len());
        for (idx, point) in points.iter().enumerate() {
            let bits = point.iter().map(|x| x.to_bits()).collect();
            let place = *spots.entry(bits).or_insert_with(|| {
                distinct.push(point.clone());
                members.push(Vec::new());
                distinct.len() - 1
            });
            members[place].push(idx);
            spot.push(place);
        }
        let first = distinct.first().cloned().unwrap_or_default();
        let tree = CoverTree::new(distinct, Euclidean)
            .map_err(|error| ModelError::Smartcore { model: params.name.clone(), reason: error.to_string() })?;
        Ok(Self { params, tree, first, members, labels: labels.to_vec(), n_labels, spot })
    }

    /// Asks about customers at these points; each may be one of those that trained, by its place among them, and is then not among its
    /// own neighbours.
    pub fn ask(&self, queries: &[(&[f64], Option<usize>)]) -> Vec<Vote> {
        queries.par_iter().map(|(point, own)| self.vote(&self.neighbours(point, *own))).collect()
    }

    /// The k nearest of the customers that trained, by (distance, customer_id), nearest first, without the customer itself.
    pub fn neighbours(&self, point: &[f64], own: Option<usize>) -> Vec<Neighbour> {
        let point = point.to_vec();
        let k = self.params.k;
        // The k nearest distinct points hold the k nearest customers, but one point more makes up for the customer itself;
        // points beyond these at the very same distance can only matter where the boundary is tied.
        let wanted = (k + 1).min(self.members.len());
        let mut spots: Vec<(f64, usize)> = self.find(&point, wanted);
        let mut counted = 0;
        let own_spot = own.map(|own| self.spot[own]);
        for (rank, (_, place)) in spots.iter().enumerate() {
            counted += self.members[*place].len() - usize::from(own_spot == Some(*place));
            if counted >= k {
                spots.truncate(rank + 1);
                break;
            }
        }
        let radius = spots.last().map_or(0.0, |(distance, _)| *distance);
        let spots = self.within(&point, radius);
        let mut nearest: Vec<Neighbour> = spots
            .iter()
            .flat_map(|&(distance, place)| self.members[place].iter().map(move |&idx| (distance, idx)))
            .filter(|&(_, idx)| Some(idx) != own)
            .collect();
        nearest.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        nearest.truncate(k);
        nearest
    }

    /// The nearest distinct points, nearest first.
    fn find(&self, point: &Vec<f64>, wanted: usize) -> Vec<(f64, usize)> {
        if let [_] = self.members.as_slice() {
            return self.only_spot(point);
        }
        let found = self.tree.find(point, wanted).unwrap_or_default();
        let mut spots: Vec<(f64, usize)> = found.into_iter().map(|(place, distance, _)| (distance, place)).collect();
        spots.sort_by(|a, b| a.0.total_cmp(&b.0));
        spots
    }

    /// All distinct points no farther than `radius`.
    fn within(&self, point: &Vec<f64>, radius: f64) -> Vec<(f64, usize)> {
        if let [_] = self.members.as_slice() {
            return self.only_spot(point);
        }
        // The tree prunes by the triangle inequality, which rounding can break by a hair; the slack takes that in.
        let found = self.tree.find_radius(point, radius * (1.0 + 1e-9) + f64::MIN_POSITIVE).unwrap_or_default();
        let spots = found.into_iter().map(|(place, distance, _)| (distance, place));
        spots.filter(|(distance, _)| *distance <= radius).collect()
    }

    /// A cover tree of one point finds nothing, so the one point is answered here.
    fn only_spot(&self, point: &Vec<f64>) -> Vec<(f64, usize)> {
        vec![(Euclidean.distance(&self.first, point), 0)]
    }

    fn vote(&self, neighbours: &[Neighbour]) -> Vote {
        let exact = neighbours.iter().any(|(distance, _)| *distance == 0.0);
        let mut weights = vec![0.0f64; self.n_labels];
        let mut nearest = vec![usize::MAX; self.n_labels];
        for (rank, &(distance, idx)) in neighbours.iter().enumerate() {
            let weight = match self.params.weights {
                Weights::Uniform => 1.0,
                Weights::Distance if exact => f64::from(u8::from(distance == 0.0)),
                Weights::Distance => 1.0 / distance,
            };
            let label = self.labels[idx];
            weights[label] += weight;
            nearest[label] = nearest[label].min(rank);
        }
        let total: f64 = weights.iter().sum();
        let mut ranking: Vec<usize> = (0..self.n_labels).collect();
        ranking.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(nearest[a].cmp(&nearest[b])).then(a.cmp(&b)));
        let share = |rank: usize| ranking.get(rank).map_or(0.0, |&label| weights[label] / total);
        Vote {
            label: ranking[0],
            confidence: share(0),
            margin: share(0) - share(1),
            novelty: neighbours.last().map_or(0.0, |(distance, _)| *distance),
        }
    }
}
