//! K-nearest-neighbour classifier: smartcore's, or an exact index that stands in for it for more
//! customers than [`SMARTCORE_LIMIT`]. Customers are excluded from their own neighbours, and
//! ties at the k-th distance are broken by customer_id.

use std::ops::Range;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classifier::Classifier;
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

/// A fitted model: smartcore's classifier, and an exact index for ties and large training sets.
///
/// Customers with equal features are one point of the index: trees degrade on equal points, and a
/// query costs the same however many customers share a point.
pub struct Knn {
    voting: Voting,
    /// `None` above [`SMARTCORE_LIMIT`].
    classifier: Option<Box<Classifier>>,
    index: Index,
    /// Training customers at each point of the index.
    distinct: Distinct,
    /// Label code of each training customer.
    labels: Vec<usize>,
    /// Divisor of the votes for each label.
    divisors: Vec<f64>,
}

/// Most customers that smartcore classifies, and is trained with. Its search takes 8 to 600 µs a
/// customer at this size, the more the larger k is. Above it the exact index replaces it, which
/// takes 1 to 14 µs.
pub const SMARTCORE_LIMIT: usize = 25_000;

/// What a vote comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// `predict_proba` of smartcore's `KNNClassifier`.
    Classifier,
    /// smartcore's neighbour search, for customers that trained.
    NeighbourSearch,
    /// The exact index, for ties at the k-th neighbour and above [`SMARTCORE_LIMIT`].
    Index,
}

impl Source {
    pub fn describe(self) -> &'static str {
        match self {
            Self::Classifier => "smartcore's classifier",
            Self::NeighbourSearch => "smartcore's neighbour search",
            Self::Index => "the exact index",
        }
    }
}

/// A point to classify, and its customer's rows of the training set, which do not vote.
pub type Query<'a> = (&'a [f64], Range<usize>);

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
    pub source: Source,
}

/// Distance and training row of a neighbour. Rows are in the order of customer_id.
pub type Neighbour = (f64, usize);

/// Neighbours searched beyond k: the next one shows whether the k-th is tied.
const EXTRA: usize = 1;

/// Rounds a distance to 41 binary digits for ordering. Distances that are equal in exact arithmetic
/// often differ in the last bits.
pub fn rounded(distance: f64) -> f64 {
    const DROPPED: u64 = 1 << 11;
    f64::from_bits((distance.to_bits() + DROPPED / 2) & !(DROPPED - 1))
}

impl Knn {
    /// Fits to training customers in the order of their ids. Points must be finite, labels below
    /// `n_labels`. The error is smartcore's message.
    pub fn fit(
        voting: Voting,
        k: usize,
        points: &PointMatrix,
        labels: &[usize],
        n_labels: usize,
    ) -> Result<Self, String> {
        let mut knn = Self::exact(voting, points, labels, n_labels)?;
        // All customers are tied without an axis.
        if (1..=SMARTCORE_LIMIT).contains(&points.len()) && points.axes() > 0 {
            let classifier = Classifier::fit(voting, k, points, labels);
            knn.classifier = Some(Box::new(classifier.map_err(|error| error.to_string())?));
        }
        Ok(knn)
    }

    /// The same without smartcore.
    pub fn exact(
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
        Ok(Self { voting, classifier: None, index, distinct, labels: labels.to_vec(), divisors })
    }

    /// Classifies points in parallel, with the k of the fit. Rows of the query's own customer do
    /// not vote; at least `k` others must remain. `make` receives the vote and each label's share.
    pub fn predict<'a, T: Send>(
        &self,
        queries: impl IndexedParallelIterator<Item = Query<'a>>,
        k: usize,
        make: impl Fn(Vote, &[f64]) -> T + Sync + Send,
    ) -> Vec<T> {
        let classifier = self.classifier_for(queries.len());
        queries
            .map_init(Buffers::default, |buffers, query| {
                let vote = self.classify(classifier, query, k, buffers);
                make(vote, &buffers.votes.shares)
            })
            .collect()
    }

    /// The vote on one point with the k of the fit, each label's share, and the k nearest training
    /// customers except `own`, by ([`rounded`] distance, customer_id).
    pub fn explain(
        &self,
        point: &[f64],
        own: Range<usize>,
        k: usize,
    ) -> (Vote, Vec<f64>, Vec<Neighbour>) {
        let mut buffers = Buffers::default();
        let vote = self.classify(self.classifier_for(1), (point, own), k, &mut buffers);
        (vote, buffers.votes.shares, buffers.neighbours)
    }

    /// The neighbours alone, from the index.
    pub fn neighbours(&self, point: &[f64], own: Range<usize>, k: usize) -> Vec<Neighbour> {
        let mut buffers = Buffers::default();
        self.search((point, own), k, &mut buffers);
        buffers.neighbours
    }

    /// Whether smartcore classifies this number of customers, if they are not tied.
    pub(super) fn is_smartcore(&self, customers: usize) -> bool {
        self.classifier_for(customers).is_some()
    }

    fn classifier_for(&self, customers: usize) -> Option<&Classifier> {
        self.classifier.as_deref().filter(|_| customers <= SMARTCORE_LIMIT)
    }

    /// Whether the k-th neighbour is as near as one left out.
    pub(super) fn is_tied(&self, point: &[f64], own: Range<usize>, k: usize) -> bool {
        self.search((point, own), k, &mut Buffers::default())
    }

    /// Whether the index gives a point these shares of the votes, before they are balanced.
    pub(super) fn agrees(&self, point: &[f64], k: usize, shares: &[f64], tolerance: f64) -> bool {
        let mut buffers = Buffers::default();
        self.search((point, 0..0), k, &mut buffers);
        let own = self.vote(&buffers.neighbours, &mut buffers.votes);
        let mut theirs = Votes { shares: shares.to_vec(), ..Votes::default() };
        theirs.nearest.resize(shares.len(), usize::MAX);
        let vote = self.decide(&buffers.neighbours, &mut theirs, Source::Classifier);
        let pairs = buffers.votes.shares.iter().zip(&theirs.shares);
        vote.label == own.label && pairs.into_iter().all(|(a, b)| (a - b).abs() <= tolerance)
    }

    /// Fills the buffers with neighbours and votes. smartcore classifies unless the k-th neighbour
    /// is tied: it predicts customers that did not train, and finds the neighbours of the others.
    fn classify(
        &self,
        classifier: Option<&Classifier>,
        (point, own): Query<'_>,
        k: usize,
        buffers: &mut Buffers,
    ) -> Vote {
        let is_tied = self.search((point, own.clone()), k, buffers);
        let Buffers { hits, neighbours, votes } = buffers;
        let source = match classifier {
            Some(classifier) if !is_tied && own.is_empty() => {
                votes.clear(self.divisors.len());
                match classifier.predict(point, &mut votes.shares) {
                    Ok(()) => return self.decide(neighbours, votes, Source::Classifier),
                    // All weights are zero: the distances are infinite.
                    Err(_) => Source::Index,
                }
            }
            Some(classifier) if !is_tied => {
                // `CoverTree::find` took 70 µs for k = 5 and 505 µs for k = 51 among 23,502
                // customers. The radius of the index makes that 8 µs and 25 µs. If the index had
                // missed a neighbour, smartcore would find it within the radius.
                let radius = neighbours.last().map_or(0.0, |(distance, _)| *distance);
                classifier.within(point, radius, hits);
                neighbours.clear();
                neighbours.extend(hits.iter().map(|(distance, row)| (*distance, *row as usize)));
                neighbours.retain(|(_, row)| !own.contains(row));
                sort(neighbours);
                neighbours.truncate(k);
                Source::NeighbourSearch
            }
            _ => Source::Index,
        };
        Vote { source, ..self.vote(neighbours, votes) }
    }

    /// Finds the neighbours in the index. Returns whether the k-th is tied with one left out.
    fn search(&self, (point, own): Query<'_>, k: usize, buffers: &mut Buffers) -> bool {
        let Buffers { hits, neighbours, .. } = buffers;
        // The k nearest distinct points contain the k nearest customers, plus one for each own row.
        self.index.nearest(point, k + own.len() + EXTRA, hits);
        let mut counted = 0;
        let reaches_k = |(_, id): &PointDistance| {
            let members = self.distinct.members(*id as usize);
            let is_member = |row: &usize| members.binary_search(&(*row as u32)).is_ok();
            counted += members.len() - own.clone().filter(is_member).count();
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
            // Members ascend by customer_id, so only the first k of a point can be neighbours. One
            // more shows a tie.
            let members = self.distinct.members(*id as usize).iter().map(|row| *row as usize);
            let others = members.filter(|row| !own.contains(row)).take(k + EXTRA);
            neighbours.extend(others.map(|row| (*distance, row)));
        }
        if has_all_ties {
            // The hits are sorted by distance, and equal distances are few.
            let equal = |a: &Neighbour, b: &Neighbour| rounded(a.0) == rounded(b.0);
            neighbours.chunk_by_mut(equal).for_each(|tied| tied.sort_unstable_by_key(|one| one.1));
        } else {
            sort(neighbours);
        }
        let is_tied = neighbours.len() > k;
        neighbours.truncate(k);
        is_tied
    }

    /// Counts the votes of neighbours, nearest first. Overwrites `votes`.
    pub fn vote(&self, neighbours: &[Neighbour], votes: &mut Votes) -> Vote {
        let any_exact = neighbours.iter().any(|(distance, _)| *distance == 0.0);
        votes.clear(self.divisors.len());
        for &(distance, row) in neighbours {
            votes.shares[self.labels[row]] += match self.voting.weights {
                Weights::Uniform => 1.0,
                Weights::Distance if any_exact => f64::from(distance == 0.0),
                Weights::Distance => 1.0 / distance,
            };
        }
        self.decide(neighbours, votes, Source::Index)
    }

    /// Balances the weights of the labels in `votes`, and finds the winner.
    fn decide(&self, neighbours: &[Neighbour], votes: &mut Votes, source: Source) -> Vote {
        let Votes { shares, nearest } = votes;
        for (rank, &(_, row)) in neighbours.iter().enumerate() {
            let first = &mut nearest[self.labels[row]];
            *first = rank.min(*first);
        }
        shares.iter_mut().zip(&self.divisors).for_each(|(weight, divisor)| *weight /= divisor);
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|weight| *weight /= total);
        // Sums of the same weights in another order may differ in the last bits.
        let order = |a: &usize, b: &usize| {
            let weights = rounded(shares[*b]).total_cmp(&rounded(shares[*a]));
            weights.then(nearest[*a].cmp(&nearest[*b])).then(a.cmp(b))
        };
        let label = (0..shares.len()).min_by(order).unwrap_or(0);
        let second = (0..shares.len()).filter(|other| *other != label).min_by(order);
        Vote {
            label,
            share: shares[label],
            margin: shares[label] - second.map_or(0.0, |second| shares[second]),
            novelty: neighbours.last().map_or(0.0, |(distance, _)| *distance),
            source,
        }
    }
}

impl Votes {
    fn clear(&mut self, n_labels: usize) {
        self.shares.clear();
        self.shares.resize(n_labels, 0.0);
        self.nearest.clear();
        self.nearest.resize(n_labels, usize::MAX);
    }
}

fn sort(neighbours: &mut [Neighbour]) {
    neighbours.sort_unstable_by(|a, b| rounded(a.0).total_cmp(&rounded(b.0)).then(a.1.cmp(&b.1)));
}
