//! A fitted KNN model: training customers, feature space and calibration.

use std::borrow::Cow;

use polars::prelude::*;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::calibrate::{Calibration, Calibrator};
use super::features::Customers;
use super::knn::{Knn, Neighbour, SMARTCORE_LIMIT, Source, Vote};
use super::output::{ModelOutput, add_output_columns, add_probability};
use super::percentiles::Distributions;
use super::point_matrix::PointMatrix;
use super::space::Space;
use super::{ModelError, ModelParams, Samples, Target};

/// The label, of two, whose probability is calibrated and published: `yes` for purchases.
pub const POSITIVE: usize = 1;

pub struct FittedModel {
    pub params: ModelParams,
    pub k: usize,
    /// The training set, without customers dropped for a missing value.
    pub samples: Samples,
    pub space: Space,
    /// The snapshot that customers to be predicted are compared with.
    pub distributions: Distributions,
    pub(super) knn: Knn,
    pub calibrator: Calibrator,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    pub vote: Vote,
    /// Probability that the label is right: its share of the votes, calibrated if requested.
    pub confidence: f64,
}

/// Number of customers by the source of their prediction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// `predict_proba` of smartcore's `KNNClassifier`.
    pub classifier: usize,
    /// smartcore's neighbour search, without the customer's own row of the training set.
    pub neighbour_search: usize,
    /// The exact index: ties at the k-th neighbour, and large training sets.
    pub index: usize,
}

impl FromIterator<Source> for Sources {
    fn from_iter<I: IntoIterator<Item = Source>>(sources: I) -> Self {
        let mut counts = Self::default();
        for source in sources {
            *match source {
                Source::Classifier => &mut counts.classifier,
                Source::NeighbourSearch => &mut counts.neighbour_search,
                Source::Index => &mut counts.index,
            } += 1;
        }
        counts
    }
}

impl FittedModel {
    /// Fits to labelled customers. A `calibrator` fitted earlier is reused. `customers` is the
    /// number of customers of the run, which decides whether smartcore predicts. Fails on at most
    /// `k` customers, and on a missing value of a required feature.
    pub fn fit(
        params: &ModelParams,
        k: usize,
        samples: Samples,
        calibrator: Option<Calibrator>,
        customers: usize,
    ) -> Result<Self, ModelError> {
        let too_few =
            |available| ModelError::TooFewCustomers { model: params.name.clone(), k, available };
        if samples.labels.is_empty() {
            return Err(too_few(0));
        }
        let (space, points, samples) = Self::prepare(params, samples)?;
        // No row of a customer votes for it.
        let ids = &samples.customers.ids;
        let most = (0..ids.len()).map(|row| ids.rows_of(ids.value(row)).len()).max().unwrap_or(1);
        let available = points.len().saturating_sub(most);
        if k > available {
            return Err(too_few(available));
        }
        let (labels, n_labels) = (&samples.labels, samples.names.len());
        let knn = if customers <= SMARTCORE_LIMIT {
            Knn::fit(params.voting, k, &points, labels, n_labels)
        } else {
            Knn::exact(params.voting, &points, labels, n_labels)
        };
        let knn =
            knn.map_err(|reason| ModelError::Smartcore { model: params.name.clone(), reason })?;
        let (params, calibration) = (params.clone(), Calibrator::None);
        let distributions = Distributions::default();
        let mut model =
            Self { params, k, samples, space, distributions, knn, calibrator: calibration };
        if let Some(calibrator) = calibrator {
            model.calibrator = calibrator;
        } else if model.params.calibration != Calibration::None {
            let (shares, hits) = model.leave_one_out(&points);
            model.calibrator = Calibrator::fit(model.params.calibration, &shares, &hits);
        }
        Ok(model)
    }

    /// Fits the feature space. Also returns the points, and the samples that have one.
    pub(super) fn prepare(
        params: &ModelParams,
        mut samples: Samples,
    ) -> Result<(Space, PointMatrix, Samples), ModelError> {
        let space = Space::fit(&params.name, &params.features, &samples.customers)?;
        let projection = space.project(&samples.customers)?;
        let n = samples.labels.len();
        if projection.points.len() < n {
            samples = samples.select(&projection.with_point(0..n).collect::<Vec<_>>());
        }
        Ok((space, projection.points, samples))
    }

    /// The share of the votes that is calibrated, and whether it came true, of every training row.
    /// No customer votes for itself.
    fn leave_one_out(&self, points: &PointMatrix) -> (Vec<f64>, Vec<bool>) {
        let ids = &self.samples.customers.ids;
        let own = |row: usize| ids.rows_of(ids.value(row));
        let queries = (0..points.len()).into_par_iter().map(|row| (points.row(row), own(row)));
        let is_binary = self.is_binary();
        let share = |vote: Vote, shares: &[f64]| {
            if is_binary { (shares[POSITIVE], POSITIVE) } else { (vote.share, vote.label) }
        };
        let votes = self.knn.predict(queries, self.k, share);
        let labels = votes.iter().zip(&self.samples.labels);
        let hits = labels.map(|((_, label), actual)| label == actual).collect();
        (votes.into_iter().map(|(share, _)| share).collect(), hits)
    }

    /// Whether the labels are two, so that the probability of one is that of the other.
    pub fn is_binary(&self) -> bool {
        self.samples.names.len() == 2
    }

    /// Whether the model has the column `<model>_probability`.
    pub fn has_probability(&self) -> bool {
        self.is_binary() && matches!(self.params.target, Target::BuysIn(_) | Target::Labels(_))
    }

    /// Predicts customers. Training customers are excluded from their own neighbours. `make`
    /// receives a prediction and the probability of each label: the share of the votes, calibrated
    /// if requested. `None` for customers dropped for a missing value. A missing value of a
    /// required feature is an error.
    pub fn predict<T: Send>(
        &self,
        customers: &Customers,
        make: impl Fn(Prediction, &[f64]) -> T + Sync + Send,
    ) -> Result<Vec<Option<T>>, ModelError> {
        let projection = self.space.project(customers)?;
        let ids: Vec<&str> = projection.with_point(customers.ids.iter()).collect();
        let training_ids = &self.samples.customers.ids;
        let queries = ids
            .par_iter()
            .enumerate()
            .map(|(i, id)| (projection.points.row(i), training_ids.rows_of(id)));
        let made = self.knn.predict(queries, self.k, |vote, shares| {
            let probabilities = self.calibrated(vote, shares);
            make(Prediction { vote, confidence: probabilities[vote.label] }, &probabilities)
        });
        Ok(projection.for_customers(made).collect())
    }

    /// The prediction for one customer, and its neighbours, nearest first. `None` if the customer
    /// is dropped.
    pub fn explain(
        &self,
        customer: &Customers,
    ) -> Result<Option<(Prediction, Vec<Neighbour>)>, ModelError> {
        let projection = self.space.project(customer)?;
        let Some(point) = projection.points.iter().next() else { return Ok(None) };
        let own = self.samples.customers.ids.rows_of(customer.ids.value(0));
        let (vote, shares, neighbours) = self.knn.explain(point, own, self.k);
        let confidence = self.calibrated(vote, &shares)[vote.label];
        Ok(Some((Prediction { vote, confidence }, neighbours)))
    }

    /// Probability of each label. With more than two labels the winner's share is calibrated, and
    /// the others keep their ratios.
    fn calibrated<'a>(&self, vote: Vote, shares: &'a [f64]) -> Cow<'a, [f64]> {
        if self.calibrator == Calibrator::None {
            return Cow::Borrowed(shares);
        }
        if self.is_binary() {
            let positive = self.calibrator.apply(shares[POSITIVE]);
            return Cow::Owned(vec![1.0 - positive, positive]);
        }
        let winner = self.calibrator.apply(vote.share);
        let others = shares.len().saturating_sub(1).max(1) as f64;
        let rest = |share: f64| match 1.0 - vote.share {
            left if left > 0.0 => share / left * (1.0 - winner),
            _ => (1.0 - winner) / others,
        };
        let probability = |(label, share): (usize, &f64)| {
            if label == vote.label { winner } else { rest(*share) }
        };
        Cow::Owned(shares.iter().enumerate().map(probability).collect())
    }

    /// Predicts `customers`, the last rows of `frame`, and adds the model's columns to `frame`:
    /// null in the rows before them. Labels below the `abstain` confidence are null. Returns
    /// the sources of the predictions.
    pub fn add_columns(
        &self,
        frame: &mut DataFrame,
        customers: &DataFrame,
    ) -> Result<Sources, ModelError> {
        let features = &self.params.features;
        let customers = Customers::read(features, customers, &self.distributions)?;
        let has_probability = self.has_probability();
        let predicted =
            self.predict(&customers, |Prediction { vote, confidence }, probabilities| {
                let is_sure = self.params.abstain.is_none_or(|least| confidence >= least);
                let label = is_sure.then(|| self.samples.names[vote.label].as_str());
                let Vote { margin, novelty, source, .. } = vote;
                let probability = has_probability.then(|| probabilities[POSITIVE]);
                let confidence = Some(confidence);
                (ModelOutput { label, confidence, margin, novelty, probability }, source)
            })?;
        let counts = predicted.iter().flatten().map(|(_, source)| *source).collect();
        let outputs: Vec<_> =
            predicted.into_iter().map(|made| made.map(|(output, _)| output)).collect();
        add_output_columns(frame, &self.params.name, &outputs)?;
        if has_probability {
            add_probability(frame, &self.params.name, &outputs)?;
        }
        Ok(counts)
    }
}
