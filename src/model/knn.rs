//! K-nearest-neighbour classifier. Unlike smartcore's `KNNClassifier`, it excludes customers from
//! their own neighbours, breaks ties at the k-th distance by customer_id, and runs in parallel.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::index::{Index, Metric, PointDistance, widened};
use super::point_matrix::{Distinct, PointMatrix};
use super::split::label_counts;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Voting {
    pub weights: Weights,
    pub metric: Metric,
    pub balance: Balance,
}

/// How votes are weighted: all alike (`uniform`), or by 1/distance, in which case neighbours at
/// distance 0 share all votes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    Uniform,
    #[default]
    Distance,
}

/// What votes are divided by: nothing, the label's share of the training customers (`prior`), or
/// its square root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    None,
    Prior,
    SqrtPrior,
}

/// Customers with equal features are one point of the index: trees degrade on equal points, and a
/// query costs the same however many customers share a point.
pub struct Knn {
    voting: Voting,
    index: Index,
    /// Training customers at each distinct point.
    distinct: Distinct,
    /// Label code of each training customer.
    labels: Vec<usize>,
    /// Divisor of the votes for each label.
    divisors: Vec<f64>,
}

/// A point to classify, and its row in the training set if it is part of it.
pub type Query<'a> = (&'a [f64], Option<usize>);

#[derive(Default)]
struct Buffers {
    hits: Vec<PointDistance>,
    neighbours: Vec<Neighbour>,
    votes: Votes,
}

/// Votes by label code.
#[derive(Default)]
pub struct Votes {
    /// Share of the weight. The shares add up to 1.
    pub shares: Vec<f64>,
    /// Rank of the nearest voter.
    nearest: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    /// Label code with the most weight. Ties go to the nearest voter, then to the lowest code.
    pub label: usize,
    /// Its share of the weight.
    pub share: f64,
    /// The winner's share minus the runner-up's.
    pub margin: f64,
    /// Distance to the k-th neighbour.
    pub novelty: f64,
}

/// Distance and training row of a neighbour. Rows are in the order of customer_id.
pub type Neighbour = (f64, usize);

/// Distinct points searched beyond k: the next point mostly proves that there are no further ties.
const EXTRA: usize = 1;

/// Rounds a distance to 41 binary digits for ordering. Distances that are equal in exact arithmetic
/// often differ in the last bits.
pub fn rounded(distance: f64) -> f64 {
    const DROPPED: u64 = 1 << 11;
    f64::from_bits((distance.to_bits() + DROPPED / 2) & !(DROPPED - 1))
}

impl Knn {
    /// Fits to training customers in the order of their ids. Points must be finite, labels below
    /// `n_labels`. The error is the message of the index.
    pub fn fit(
        voting: Voting,
        points: &PointMatrix,
        labels: &[usize],
        n_labels: usize,
    ) -> Result<Self, String> {
        let distinct = points.distinct();
        let representatives = distinct.iter().map(|members| points.row(members[0] as usize));
        let index = Index::new(voting.metric, PointMatrix::from_rows(representatives))?;
        let divisor = |count: usize| match (voting.balance, count as f64 / labels.len() as f64) {
            (Balance::Prior, share) if share > 0.0 => share,
            (Balance::SqrtPrior, share) if share > 0.0 => share.sqrt(),
            _ => 1.0,
        };
        let divisors = label_counts(labels, n_labels).into_iter().map(divisor).collect();
        Ok(Self { voting, index, distinct, labels: labels.to_vec(), divisors })
    }

    /// Classifies points in parallel. A point of the training set is excluded from its own
    /// neighbours. At least `k` others must remain. `make` receives the vote and each label's
    /// share.
    pub fn predict<'a, T: Send>(
        &self,
        queries: impl IndexedParallelIterator<Item = Query<'a>>,
        k: usize,
        make: impl Fn(Vote, &[f64]) -> T + Sync + Send,
    ) -> Vec<T> {
        queries
            .map_init(Buffers::default, |buffers, query| {
                self.search(query, k, buffers);
                let vote = self.vote(&buffers.neighbours, &mut buffers.votes);
                make(vote, &buffers.votes.shares)
            })
            .collect()
    }

    /// The k nearest training customers except `own`, by ([`rounded`] distance, customer_id).
    pub fn neighbours(&self, point: &[f64], own: Option<usize>, k: usize) -> Vec<Neighbour> {
        let mut buffers = Buffers::default();
        self.search((point, own), k, &mut buffers);
        buffers.neighbours
    }

    fn search(&self, (point, own): Query<'_>, k: usize, buffers: &mut Buffers) {
        let Buffers { hits, neighbours, .. } = buffers;
        // The k nearest distinct points contain the k nearest customers, plus one for the query.
        self.index.nearest(point, k + usize::from(own.is_some()) + EXTRA, hits);
        let mut counted = 0;
        let reaches_k = |(_, id): &PointDistance| {
            let members = self.distinct.members(*id as usize);
            let has_own = own.is_some_and(|own| members.binary_search(&(own as u32)).is_ok());
            counted += members.len() - usize::from(has_own);
            counted >= k
        };
        let last = hits.iter().position(reaches_k).unwrap_or(hits.len().saturating_sub(1));
        let radius = hits.get(last).map_or(0.0, |(distance, _)| rounded(*distance));
        let has_all_ties = hits.len() == self.distinct.count()
            || hits.last().is_some_and(|(distance, _)| *distance > widened(radius));
        if !has_all_ties {
            self.index.within(point, radius, hits);
        }
        neighbours.clear();
        for (distance, id) in hits.iter().filter(|(distance, _)| rounded(*distance) <= radius) {
            // Members ascend by customer_id, so only the first k of a point can be neighbours.
            let members = self.distinct.members(*id as usize).iter().map(|row| *row as usize);
            let others = members.filter(|row| Some(*row) != own).take(k);
            neighbours.extend(others.map(|row| (*distance, row)));
        }
        neighbours
            .sort_unstable_by(|a, b| rounded(a.0).total_cmp(&rounded(b.0)).then(a.1.cmp(&b.1)));
        neighbours.truncate(k);
    }

    /// Counts the votes of neighbours, nearest first. Overwrites `votes`.
    pub fn vote(&self, neighbours: &[Neighbour], votes: &mut Votes) -> Vote {
        let any_exact = neighbours.iter().any(|(distance, _)| *distance == 0.0);
        let n_labels = self.divisors.len();
        let Votes { shares: weights, nearest } = votes;
        weights.clear();
        weights.resize(n_labels, 0.0f64);
        nearest.clear();
        nearest.resize(n_labels, usize::MAX);
        for (rank, &(distance, row)) in neighbours.iter().enumerate() {
            let weight = match self.voting.weights {
                Weights::Uniform => 1.0,
                Weights::Distance if any_exact => f64::from(distance == 0.0),
                Weights::Distance => 1.0 / distance,
            };
            let label = self.labels[row];
            weights[label] += weight;
            nearest[label] = nearest[label].min(rank);
        }
        weights.iter_mut().zip(&self.divisors).for_each(|(weight, divisor)| *weight /= divisor);
        let total: f64 = weights.iter().sum();
        let order = |a: &usize, b: &usize| {
            weights[*b].total_cmp(&weights[*a]).then(nearest[*a].cmp(&nearest[*b])).then(a.cmp(b))
        };
        let label = (0..n_labels).min_by(order).unwrap_or(0);
        let second = (0..n_labels).filter(|other| *other != label).min_by(order);
        weights.iter_mut().for_each(|weight| *weight /= total);
        Vote {
            label,
            share: weights[label],
            margin: weights[label] - second.map_or(0.0, |second| weights[second]),
            novelty: neighbours.last().map_or(0.0, |(distance, _)| *distance),
        }
    }
}
