//! K nearest neighbours.
//!
//! An index finds the neighbours, and the vote is taken here. smartcore's `KNNClassifier` leaves three things open that are promised:
//! a customer never votes for itself, ties at the k-th distance are broken by customer_id, and rows are answered in parallel. Where none
//! of these matters the answers equal its `predict_proba`, which a test holds.
//!
//! Customers with the same features are one point of the index: trees degrade on heaps of equal points, and a query costs the same
//! however many customers stand on the spot.

use rayon::prelude::*;

use super::index::{Index, Metric, Spot};
use super::points::{Distinct, Points};

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
    distinct: Distinct,
    labels: Vec<usize>,
    /// What the votes for each label are divided by.
    divisors: Vec<f64>,
    /// Distinct point of each customer.
    spot: Vec<u32>,
}

/// A customer to be asked about: where it stands, and its place among those that trained, where it is one of them.
pub type Query<'a> = (&'a [f64], Option<usize>);

/// What one query leaves for the next to write over.
#[derive(Default)]
struct Scratch {
    spots: Vec<Spot>,
    neighbours: Vec<Neighbour>,
    votes: Votes,
}

/// What the labels got.
#[derive(Default)]
pub struct Votes {
    /// Each label's share of the weight; they add up to 1.
    pub shares: Vec<f64>,
    /// Rank of the nearest voter for each label.
    nearest: Vec<usize>,
}

/// The neighbours' answer for one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    /// Label code with the most weight; among equals the one with the nearest voter, then the lowest code.
    pub label: usize,
    /// Its share of the weight.
    pub share: f64,
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
    pub fn fit(
        voting: Voting,
        points: &Points,
        labels: &[usize],
        n_labels: usize,
    ) -> Result<Self, String> {
        let distinct = points.distinct();
        let mut spot = vec![0; points.len()];
        for (place, members) in distinct.iter().enumerate() {
            members.iter().for_each(|member| spot[*member as usize] = place as u32);
        }
        let index = Index::new(
            voting.metric,
            Points::of(distinct.iter().map(|members| points.at(members[0] as usize))),
        )?;
        let mut divisors = vec![1.0; n_labels];
        for (label, divisor) in divisors.iter_mut().enumerate() {
            let share = labels.iter().filter(|other| **other == label).count() as f64
                / labels.len().max(1) as f64;
            match voting.balance {
                Balance::Prior if share > 0.0 => *divisor = share,
                Balance::SqrtPrior if share > 0.0 => *divisor = share.sqrt(),
                _ => {}
            }
        }
        Ok(Self { voting, index, distinct, labels: labels.to_vec(), divisors, spot })
    }

    /// Asks about customers at these points; each may be one of those that trained, by its place among them, and is then not among its
    /// own neighbours, of which there have to be `k` without it. Answers are made of the vote and each label's share of the weight.
    pub fn ask<'a, T: Send>(
        &self,
        queries: impl IndexedParallelIterator<Item = Query<'a>>,
        k: usize,
        make: impl Fn(Vote, &[f64]) -> T + Sync + Send,
    ) -> Vec<T> {
        let asked = |scratch: &mut Scratch, (point, own): Query<'a>| {
            self.search(point, own, k, scratch);
            let vote = self.vote(&scratch.neighbours, &mut scratch.votes);
            make(vote, &scratch.votes.shares)
        };
        queries.map_init(Scratch::default, asked).collect()
    }

    /// The k nearest of the customers that trained, by (distance, customer_id), nearest first, without the customer itself. Distances are
    /// put in order as [`rounded`] has them.
    pub fn neighbours(&self, point: &[f64], own: Option<usize>, k: usize) -> Vec<Neighbour> {
        let mut scratch = Scratch::default();
        self.search(point, own, k, &mut scratch);
        scratch.neighbours
    }

    fn search(&self, point: &[f64], own: Option<usize>, k: usize, scratch: &mut Scratch) {
        let Scratch { spots, neighbours, .. } = scratch;
        // The k nearest distinct points hold the k nearest customers, but one point more makes up for the customer itself, and the
        // others mostly tell that no further point is as near as the k-th.
        self.index.nearest(point, k + usize::from(own.is_some()) + BEYOND, spots);
        let own_spot = own.map(|own| self.spot[own]);
        let mut counted = 0;
        let reaches = |(_, place): &Spot| {
            counted += self.distinct.members(*place as usize).len()
                - usize::from(own_spot == Some(*place));
            counted >= k
        };
        let last = spots.iter().position(reaches).unwrap_or(spots.len().saturating_sub(1));
        let radius = spots.get(last).map_or(0.0, |(distance, _)| rounded(*distance));
        let all = spots.len() == self.index.len()
            || spots.last().is_some_and(|far| Index::beyond(far.0, radius));
        if !all {
            self.index.within(point, radius, spots);
        }
        neighbours.clear();
        for (distance, place) in spots.iter().filter(|(distance, _)| rounded(*distance) <= radius) {
            // No more than k of those on one spot are among the k nearest, and these are the first.
            let members =
                self.distinct.members(*place as usize).iter().map(|member| *member as usize);
            neighbours.extend(
                members
                    .filter(|member| Some(*member) != own)
                    .take(k)
                    .map(|member| (*distance, member)),
            );
        }
        neighbours
            .sort_unstable_by(|a, b| rounded(a.0).total_cmp(&rounded(b.0)).then(a.1.cmp(&b.1)));
        neighbours.truncate(k);
    }

    /// What neighbours say, nearest first; the shares of the labels stand in `votes` then.
    pub fn vote(&self, neighbours: &[Neighbour], votes: &mut Votes) -> Vote {
        let exact = neighbours.iter().any(|(distance, _)| *distance == 0.0);
        let n_labels = self.divisors.len();
        let Votes { shares: weights, nearest } = votes;
        weights.clear();
        weights.resize(n_labels, 0.0f64);
        nearest.clear();
        nearest.resize(n_labels, usize::MAX);
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
        weights.iter_mut().for_each(|weight| *weight /= total);
        Vote {
            label,
            share: weights[label],
            margin: weights[label] - second.map_or(0.0, |second| weights[second]),
            novelty: neighbours.last().map_or(0.0, |(distance, _)| *distance),
        }
    }

    /// The label code of a customer that trained.
    pub fn label_of(&self, place: usize) -> usize {
        self.labels[place]
    }
}
