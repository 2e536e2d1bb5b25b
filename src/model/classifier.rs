//! smartcore's `KNNClassifier`, fitted to all training customers, with smartcore's neighbour search
//! for customers that trained: they must not vote for themselves.

use smartcore::algorithm::neighbour::KNNAlgorithmName;
use smartcore::algorithm::neighbour::cover_tree::CoverTree;
use smartcore::algorithm::neighbour::linear_search::LinearKNNSearch;
use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::metrics::distance::Distance;
use smartcore::neighbors::KNNWeightFunction;
use smartcore::neighbors::knn_classifier::{KNNClassifier, KNNClassifierParameters};

use super::index::{Metric, PointDistance, widened};
use super::knn::{Voting, Weights};
use super::point_matrix::PointMatrix;

type SmartcoreKnn = KNNClassifier<f64, u32, DenseMatrix<f64>, Vec<u32>, Metric>;

pub(super) struct Classifier {
    predictor: Predictor,
    search: Search,
}

/// A fitted `KNNClassifier`.
pub(super) struct Predictor {
    knn: SmartcoreKnn,
    /// Label code of each class of `knn`.
    classes: Vec<usize>,
}

/// A neighbour search of smartcore's.
pub(super) enum Search {
    Cover(CoverTree<Vec<f64>, Metric>),
    Linear(LinearKNNSearch<Vec<f64>, Metric>),
}

impl Search {
    pub(super) fn new(metric: Metric, points: &PointMatrix) -> Result<Self, Failed> {
        let rows = points.iter().map(<[f64]>::to_vec).collect();
        Ok(if has_tree(metric, points.len()) {
            Self::Cover(CoverTree::new(rows, metric)?)
        } else {
            Self::Linear(LinearKNNSearch::new(rows, metric)?)
        })
    }

    /// Appends the `wanted` nearest points in any order.
    pub(super) fn nearest(&self, point: &[f64], wanted: usize, hits: &mut Vec<PointDistance>) {
        let point = point.to_vec();
        append(
            hits,
            match self {
                Self::Cover(tree) => tree.find(&point, wanted),
                Self::Linear(search) => search.find(&point, wanted),
            },
        );
    }

    /// Appends all points within a radius in any order.
    pub(super) fn within(&self, point: &[f64], radius: f64, hits: &mut Vec<PointDistance>) {
        let point = point.to_vec();
        append(
            hits,
            match self {
                Self::Cover(tree) => tree.find_radius(&point, radius),
                Self::Linear(search) => search.find_radius(&point, radius),
            },
        );
    }
}

/// Row, distance and coordinates of a point.
type Found<'a> = (usize, f64, &'a Vec<f64>);

/// The searches fail if nothing is found.
fn append(hits: &mut Vec<PointDistance>, found: Result<Vec<Found<'_>>, Failed>) {
    hits.extend(found.into_iter().flatten().map(|(row, distance, _)| (distance, row as u32)));
}

impl Distance<Vec<f64>> for Metric {
    fn distance(&self, a: &Vec<f64>, b: &Vec<f64>) -> f64 {
        self.distance_between(a, b)
    }
}

/// Above this number of neighbours a linear search is faster than a cover tree, measured at 4,300
/// and at 23,502 customers.
const COVER_TREE_LIMIT: usize = 15;

/// The faster algorithm for `k` neighbours in a training set of this size.
fn algorithm(metric: Metric, k: usize, customers: usize) -> KNNAlgorithmName {
    if k > COVER_TREE_LIMIT || !has_tree(metric, customers) {
        KNNAlgorithmName::LinearSearch
    } else {
        KNNAlgorithmName::CoverTree
    }
}

/// A cover tree of one point finds nothing. Cosine distance violates the triangle inequality.
fn has_tree(metric: Metric, customers: usize) -> bool {
    customers > 1 && metric != Metric::Cosine
}

impl Classifier {
    /// Fits to training customers, at least one, with at least one axis. The error is smartcore's.
    pub(super) fn fit(
        voting: Voting,
        k: usize,
        points: &PointMatrix,
        labels: &[usize],
    ) -> Result<Self, Failed> {
        let search = Search::new(voting.metric, points)?;
        let algorithm = algorithm(voting.metric, k, points.len());
        Ok(Self { predictor: Predictor::fit(voting, k, algorithm, points, labels)?, search })
    }

    /// Replaces `hits` with all customers within a radius, and perhaps some just beyond it, in any
    /// order.
    pub(super) fn within(&self, point: &[f64], radius: f64, hits: &mut Vec<PointDistance>) {
        hits.clear();
        self.search.within(point, widened(radius), hits);
    }

    /// Replaces `shares` with each label's share of the votes.
    pub(super) fn predict(&self, point: &[f64], shares: &mut [f64]) -> Result<(), Failed> {
        self.predictor.predict(point, shares)
    }
}

impl Predictor {
    /// Without a tree, for few predictions.
    pub(super) fn linear(
        voting: Voting,
        k: usize,
        points: &PointMatrix,
        labels: &[usize],
    ) -> Result<Self, Failed> {
        Self::fit(voting, k, KNNAlgorithmName::LinearSearch, points, labels)
    }

    fn fit(
        voting: Voting,
        k: usize,
        algorithm: KNNAlgorithmName,
        points: &PointMatrix,
        labels: &[usize],
    ) -> Result<Self, Failed> {
        let (rows, axes) = (points.len(), points.axes());
        let matrix = DenseMatrix::new(rows, axes, points.values().to_vec(), false)?;
        let codes: Vec<u32> = labels.iter().map(|label| *label as u32).collect();
        let parameters = KNNClassifierParameters::default()
            .with_distance(voting.metric)
            .with_algorithm(algorithm)
            .with_weight(match voting.weights {
                Weights::Uniform => KNNWeightFunction::Uniform,
                Weights::Distance => KNNWeightFunction::Distance,
            })
            .with_k(k);
        let mut classes = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        Ok(Self { knn: KNNClassifier::fit(&matrix, &codes, parameters)?, classes })
    }

    /// Replaces `shares` with each label's share of the votes, by `predict_proba`.
    pub(super) fn predict(&self, point: &[f64], shares: &mut [f64]) -> Result<(), Failed> {
        let row = DenseMatrix::new(1, point.len(), point.to_vec(), false)?;
        shares.fill(0.0);
        for predicted in self.knn.predict_proba(&row)? {
            self.classes.iter().zip(predicted).for_each(|(class, share)| shares[*class] = share);
        }
        Ok(())
    }
}
