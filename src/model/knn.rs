//! K nearest neighbours on smartcore.
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
    /// Finds distinct points; absent where there is one only, or where the distance is no metric.
    tree: Option<CoverTree<Vec<f64>, Measure>>,
    distinct: Vec<Vec<f64>>,
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

#[derive(Debug, Clone, Copy)]
struct Measure(Metric);

/// A distance to 41 binary digits, by which neighbours are put in order: distances that are the same on paper often differ in the last
/// bit, which is no reason to prefer one customer to another.
pub fn rounded(distance: f64) -> f64 {
    const DROPPED: u64 = 1 << 11;
    f64::from_bits((distance.to_bits() + DROPPED / 2) & !(DROPPED - 1))
}

impl Distance<Vec<f64>> for Measure {
    fn distance(&self, a: &Vec<f64>, b: &Vec<f64>) -> f64 {
        let differences = || a.iter().zip(b).map(|(x, y)| (x - y).abs());
        match self.0 {
            Metric::Euclidean => differences().map(|d| d * d).sum::<f64>().sqrt(),
            Metric::Manhattan => differences().sum(),
            Metric::Minkowski(p) => {
                // By the largest difference, since high powers leave the range of floats.
                let largest = differences().fold(0.0, f64::max);
                match largest > 0.0 {
                    true => largest * differences().map(|d| (d / largest).powf(p)).sum::<f64>().powf(1.0 / p),
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

impl Knn {
    /// Fits to customers in the order of their ids: their points, all finite and of one length, and their label codes below
    /// `n_labels`.
    ///
    /// # Errors
    /// What smartcore says of a tree that cannot be built.
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
        // A cover tree of one point finds nothing.
        let tree = match voting.metric == Metric::Cosine || distinct.len() < 2 {
            true => None,
            false => {
                let tree = CoverTree::new(distinct.clone(), Measure(voting.metric));
                Some(tree.map_err(|error| error.to_string())?)
            }
        };
        let mut divisors = vec![1.0; n_labels];
        for (label, divisor) in divisors.iter_mut().enumerate() {
            let share = labels.iter().filter(|other| **other == label).count() as f64 / labels.len().max(1) as f64;
            match voting.balance {
                Balance::Prior if share > 0.0 => *divisor = share,
                Balance::SqrtPrior if share > 0.0 => *divisor = share.sqrt(),
                _ => {}
            }
        }
        Ok(Self { voting, tree, distinct, members, labels: labels.to_vec(), divisors, spot })
    }

    /// Asks about customers at these points; each may be one of those that trained, by its place among them, and is then not among its
    /// own neighbours, of which there have to be `k` without it.
    pub fn ask(&self, queries: &[(&[f64], Option<usize>)], k: usize) -> Vec<Vote> {
        queries.par_iter().map(|(point, own)| self.vote(&self.neighbours(point, *own, k))).collect()
    }

    /// The k nearest of the customers that trained, by (distance, customer_id), nearest first, without the customer itself. Distances are
    /// put in order as [`rounded`] has them.
    pub fn neighbours(&self, point: &[f64], own: Option<usize>, k: usize) -> Vec<Neighbour> {
        let point = point.to_vec();
        // The k nearest distinct points hold the k nearest customers, but one point more makes up for the customer itself;
        // points beyond these at the very same distance can only matter where the boundary is tied.
        let wanted = (k + 1).min(self.members.len());
        let mut spots: Vec<(f64, usize)> = self.nearest(&point, wanted);
        let mut counted = 0;
        let own_spot = own.map(|own| self.spot[own]);
        for (rank, (_, place)) in spots.iter().enumerate() {
            counted += self.members[*place].len() - usize::from(own_spot == Some(*place));
            if counted >= k {
                spots.truncate(rank + 1);
                break;
            }
        }
        let radius = spots.last().map_or(0.0, |(distance, _)| rounded(*distance));
        let spots = self.within(&point, radius);
        let mut nearest: Vec<Neighbour> = spots
            .iter()
            .flat_map(|&(distance, place)| self.members[place].iter().map(move |&idx| (distance, idx)))
            .filter(|&(_, idx)| Some(idx) != own)
            .collect();
        nearest.sort_by(|a, b| rounded(a.0).total_cmp(&rounded(b.0)).then(a.1.cmp(&b.1)));
        nearest.truncate(k);
        nearest
    }

    /// The nearest distinct points, nearest first.
    fn nearest(&self, point: &Vec<f64>, wanted: usize) -> Vec<(f64, usize)> {
        let mut spots: Vec<(f64, usize)> = match &self.tree {
            None => self.all(point),
            Some(tree) => {
                let found = tree.find(point, wanted).unwrap_or_default();
                found.into_iter().map(|(place, distance, _)| (distance, place)).collect()
            }
        };
        spots.sort_by(|a, b| a.0.total_cmp(&b.0));
        spots.truncate(wanted);
        spots
    }

    /// All distinct points no farther than `radius`.
    fn within(&self, point: &Vec<f64>, radius: f64) -> Vec<(f64, usize)> {
        let mut spots = match &self.tree {
            None => self.all(point),
            Some(tree) => {
                // The tree prunes by the triangle inequality, which rounding can break by a hair; the slack takes that in.
                let found = tree.find_radius(point, radius * (1.0 + 1e-9) + f64::MIN_POSITIVE).unwrap_or_default();
                found.into_iter().map(|(place, distance, _)| (distance, place)).collect()
            }
        };
        spots.retain(|(distance, _)| rounded(*distance) <= radius);
        spots
    }

    /// All distinct points with their distances.
    fn all(&self, point: &Vec<f64>) -> Vec<(f64, usize)> {
        let measure = Measure(self.voting.metric);
        self.distinct.iter().enumerate().map(|(place, other)| (measure.distance(other, point), place)).collect()
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
        let mut ranking: Vec<usize> = (0..n_labels).collect();
        ranking.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(nearest[a].cmp(&nearest[b])).then(a.cmp(&b)));
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let share = |rank: usize| ranking.get(rank).map_or(0.0, |&label| shares[label]);
        Vote {
            label: ranking[0],
            margin: share(0) - share(1),
            novelty: neighbours.last().map_or(0.0, |(distance, _)| *distance),
            shares,
        }
    }

    /// The label code of a customer that trained.
    pub fn label_of(&self, place: usize) -> usize {
        self.labels[place]
    }
}
