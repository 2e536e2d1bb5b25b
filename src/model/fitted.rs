//! A fitted KNN model: training customers, feature space and calibration.

use polars::prelude::*;
use rayon::prelude::*;

use super::calibrate::{Calibration, Calibrator};
use super::features::Customers;
use super::knn::{Knn, Neighbour, Vote, Votes};
use super::output::{ModelOutput, add_output_columns};
use super::point_matrix::PointMatrix;
use super::space::Space;
use super::{ModelError, ModelParams, Samples};

pub struct FittedModel {
    pub params: ModelParams,
    pub k: usize,
    /// The training set, without customers dropped for a missing value.
    pub samples: Samples,
    pub space: Space,
    pub(super) knn: Knn,
    pub calibrator: Calibrator,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    pub vote: Vote,
    /// Calibrated probability that the label is right, or the winner's share of the votes.
    pub confidence: f64,
}

impl FittedModel {
    /// Fits to labelled customers. A `calibrator` fitted earlier is reused. Fails on at most `k`
    /// customers, and on a missing value of a required feature.
    pub fn fit(
        params: &ModelParams,
        k: usize,
        samples: Samples,
        calibrator: Option<Calibrator>,
    ) -> Result<Self, ModelError> {
        let too_few =
            |available| ModelError::TooFewCustomers { model: params.name.clone(), k, available };
        if samples.labels.is_empty() {
            return Err(too_few(0));
        }
        let (mut model, points) = Self::uncalibrated(params, k, samples)?;
        let available = points.len().saturating_sub(1);
        if k > available {
            return Err(too_few(available));
        }
        if let Some(calibrator) = calibrator {
            model.calibrator = calibrator;
        } else if params.calibration != Calibration::None {
            // Leave-one-out: no customer votes for itself.
            let queries = (0..points.len()).into_par_iter().map(|i| (points.row(i), Some(i)));
            let votes = model.knn.predict(queries, k, |vote, _| vote);
            let shares: Vec<f64> = votes.iter().map(|vote| vote.share).collect();
            let labels = model.samples.labels.iter();
            let hits = votes.iter().zip(labels).map(|(vote, label)| vote.label == *label);
            let hits: Vec<bool> = hits.collect();
            model.calibrator = Calibrator::fit(params.calibration, &shares, &hits);
        }
        Ok(model)
    }

    /// Fits the space and the classifier, for any number of customers. Also returns their points.
    pub(super) fn uncalibrated(
        params: &ModelParams,
        k: usize,
        mut samples: Samples,
    ) -> Result<(Self, PointMatrix), ModelError> {
        let space = Space::fit(&params.name, &params.features, &samples.customers)?;
        let projection = space.project(&samples.customers)?;
        let n = samples.labels.len();
        if projection.points.len() < n {
            samples = samples.select(&projection.with_point(0..n).collect::<Vec<_>>());
        }
        let points = projection.points;
        let knn = Knn::fit(params.voting, &points, &samples.labels, samples.names.len())
            .map_err(|reason| ModelError::Smartcore { model: params.name.clone(), reason })?;
        let calibrator = Calibrator::None;
        Ok((Self { params: params.clone(), k, samples, space, knn, calibrator }, points))
    }

    /// Predicts customers. Training customers are excluded from their own neighbours. `make`
    /// receives a prediction and each label's share of the votes. `None` for customers dropped for
    /// a missing value. A missing value of a required feature is an error.
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
            .map(|(i, id)| (projection.points.row(i), training_ids.find(id)));
        let made =
            self.knn.predict(queries, self.k, |vote, shares| make(self.calibrated(vote), shares));
        Ok(projection.for_customers(made).collect())
    }

    /// The prediction for one customer, and its neighbours, nearest first. `None` if the customer
    /// is dropped.
    pub fn explain(
        &self,
        customer: &Customers,
    ) -> Result<Option<(Prediction, Vec<Neighbour>)>, ModelError> {
        let projection = self.space.project(customer)?;
        let own = customer.ids.iter().next().and_then(|id| self.samples.customers.ids.find(id));
        let Some(point) = projection.points.iter().next() else { return Ok(None) };
        let neighbours = self.knn.neighbours(point, own, self.k);
        let vote = self.knn.vote(&neighbours, &mut Votes::default());
        Ok(Some((self.calibrated(vote), neighbours)))
    }

    fn calibrated(&self, vote: Vote) -> Prediction {
        Prediction { vote, confidence: self.calibrator.apply(vote.share) }
    }

    /// Predicts `customers`, the last rows of `frame`, and adds the model's columns to `frame`:
    /// null in the rows before them. Labels below the `abstain` confidence are null.
    pub fn add_columns(
        &self,
        frame: &mut DataFrame,
        customers: &DataFrame,
    ) -> Result<(), ModelError> {
        let customers = Customers::from_frame(&self.params.features, customers)?;
        let outputs = self.predict(&customers, |Prediction { vote, confidence }, _| {
            let is_sure = self.params.abstain.is_none_or(|least| confidence >= least);
            let label = is_sure.then(|| self.samples.names[vote.label].as_str());
            let Vote { margin, novelty, .. } = vote;
            ModelOutput { label, confidence: Some(confidence), margin, novelty }
        })?;
        Ok(add_output_columns(frame, &self.params.name, &outputs)?)
    }
}
