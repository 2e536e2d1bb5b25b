//! K nearest neighbours.
//!
//! An index finds the neighbours, and the vote is taken here. smartcore's `KNNClassifier` leaves three things open that are promised:
//! a customer never votes for itself, ties at the k-th distance are broken by customer_id, and rows are answered in parallel. Where none
//! of these matters the answers equal its `predict_proba`, which a test holds.
//!
//! Customers with the same features are one point of the index: trees degrade on heaps of equal points, and a query costs the same
//! however many customers stand on the spot.

use std::collections::HashMap;

use rayon::prelude::*;

use super::index::{Index, Metric};

/// How neighbours vote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Voting {
    /// How votes are weighed.
    pub weights: Weights,
    /// What is near.
    pub metric: Metric,
    /// What votes are divided by.
    pub balance: Balance,
}

/// How votes are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// All alike.
    Uniform,
    /// By 1/distance; neighbours at distance 0, if any, share all votes.
    Distance,
}

/// What votes are divided by, so that frequent labels do not win by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Nothing.
    None,
    /// The label's share of the training customers.
    Prior,
    /// The square root of that share.
    SqrtPrior,
}

/// Customers to be asked.
pub struct Knn {
    voting: Voting,
    /// Finds distinct points.
    index: Index,
    /// Customers on each distinct point, ascending by customer_id.
    members: Vec<Vec<usize>>,
    labels: Vec<usize>,
    /// What the votes for each label are divided by.
    divisors: Vec<f64>,
    /// Distinct point of each customer.
    spot: Vec<usize>,
}

/// The neighbours' answer for one customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Vote {
    /// Label code with the most weight; among equals the one with the nearest voter, then the lowest code.
    pub label: usize,
    /// Each label's share of the weight; they add up to 1.
    pub shares: Vec<f64>,
    /// The winner's share less the runner-up's.
    pub margin: f64,
    /// Distance to the k-th neighbour.
    pub novelty: f64,
}

/// A neighbour: distance and place among the customers that trained, which is also its rank by customer_id.
pub type Neighbour = (f64, usize);

/// Points that are asked for beyond those that are needed.
const BEYOND: usize = 1;

/// A distance to 41 binary digits, by which neighbours are put in order: distances that are the same on paper often differ in the last
/// bit, which is no reason to prefer one customer to another.
pub fn rounded(distance: f64) -> f64 {
    const DROPPED: u64 = 1 << 11;
    f64::from_bits((distance.to_bits() + DROPPED / 2) & !(DROPPED - 1))
}

impl Knn {
    /// Fits to customers in the order of their ids: their points, all finite and of one length, and their label codes below
    /// `n_labels`.
    ///
    /// # Errors
    /// What is said of an index that cannot be built.
    pub fn fit(voting: Voting, points: &[Vec<f64>], labels: &[usize], n_labels: usize) -> Result<Self, String> {
        let mut spots: HashMap<Vec<u64>, usize> = HashMap::with_capacity(points.len());
        let mut distinct: Vec<Vec<f64>> = Vec::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut spot = Vec::with_capacity(points.len());
        for (idx, point) in points.iter().enumerate() {
            // Zero has two signs, which mean one spot.
            let bits = point.iter().map(|x| (x + 0.0).to_bits()).collect();
            let place = *spots.entry(bits).or_insert_with(|| {
                distinct.push(point.clone());
                members.push(Vec::new());
                distinct.len() - 1
            });
            members[place].push(idx);
            spot.push(place);
        }
        let index = Index::new(voting.metric, distinct)?;
        let mut divisors = vec![1.0; n_labels];
        for (label, divisor) in divisors.iter_mut().enumerate() {
            let share = labels.iter().filter(|other| **other == label).count() as f64 / labels.len().max(1) as f64;
            match voting.balance {
                Balance::Prior if share > 0.0 => *divisor = share,
                Balance::SqrtPrior if share > 0.0 => *divisor = share.sqrt(),
                _ => {}
            }
        }
        Ok(Self { voting, index, members, labels: labels.to_vec(), divisors, spot })
    }

    /// Asks about customers at these points; each may be one of those that trained, by its place among them, and is then not among its
    /// own neighbours, of which there have to be `k` without it.
    pub fn ask(&self, queries: &[(&[f64], Option<usize>)], k: usize) -> Vec<Vote> {
        queries.par_iter().map(|(point, own)| self.vote(&self.neighbours(point, *own, k))).collect()
    }

    /// The k nearest of the customers that trained, by (distance, customer_id), nearest first, without the customer itself. Distances are
    /// put in order as [`rounded`] has them.
    pub fn neighbours(&self, point: &[f64], own: Option<usize>, k: usize) -> Vec<Neighbour> {
        // The k nearest distinct points hold the k nearest customers, but one point more makes up for the customer itself, and the
        // others mostly tell that no further point is as near as the k-th.
        let mut spots = self.index.nearest(point, k + usize::from(own.is_some()) + BEYOND);
        let own_spot = own.map(|own| self.spot[own]);
        let mut counted = 0;
        let reaches = |(_, place): &(f64, usize)| {
            counted += self.members[*place].len() - usize::from(own_spot == Some(*place));
            counted >= k
        };
        let last = spots.iter().position(reaches).unwrap_or(spots.len().saturating_sub(1));
        let radius = spots.get(last).map_or(0.0, |(distance, _)| rounded(*distance));
        let all = spots.len() == self.index.len() || spots.last().is_some_and(|far| Index::beyond(far.0, radius));
        if !all {
            spots = self.index.within(point, radius);
        }
        spots.retain(|(distance, _)| rounded(*distance) <= radius);
        let mut nearest: Vec<Neighbour> = spots
            .iter()
            .flat_map(|&(distance, place)| self.members[place].iter().map(move |&idx| (distance, idx)))
            .filter(|&(_, idx)| Some(idx) != own)
            .collect();
        nearest.sort_by(|a, b| rounded(a.0).total_cmp(&rounded(b.0)).then(a.1.cmp(&b.1)));
        nearest.truncate(k);
        nearest
    }

    /// What neighbours say, nearest first.
    pub fn vote(&self, neighbours: &[Neighbour]) -> Vote {
        let exact = neighbours.iter().any(|(distance, _)| *distance == 0.0);
        let n_labels = self.divisors.len();
        let mut weights = vec![0.0f64; n_labels];
        let mut nearest = vec![usize::MAX; n_labels];
        for (rank, &(distance, idx)) in neighbours.iter().enumerate() {
            let weight = match self.voting.weights {
                Weights::Uniform => 1.0,
                Weights::Distance if exact => f64::from(u8::from(distance == 0.0)),
                Weights::Distance => 1.0 / distance,
            };
            let label = self.labels[idx];
            weights[label] += weight;
            nearest[label] = nearest[label].min(rank);
        }
        weights.iter_mut().zip(&self.divisors).for_each(|(weight, divisor)| *weight /= divisor);
        let total: f64 = weights.iter().sum();
        let before = |a: &usize, b: &usize| {
            weights[*b].total_cmp(&weights[*a]).then(nearest[*a].cmp(&nearest[*b])).then(a.cmp(b))
        };
        let label = (0..n_labels).min_by(before).unwrap_or(0);
        let second = (0..n_labels).filter(|other| *other != label).min_by(before);
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        Vote {
            label,
            margin: shares[label] - second.map_or(0.0, |second| shares[second]),
            novelty: neighbours.last().map_or(0.0, |(distance, _)| *distance),
            shares,
        }
    }

    /// The label code of a customer that trained.
    pub fn label_of(&self, place: usize) -> usize {
        self.labels[place]
    }
}
