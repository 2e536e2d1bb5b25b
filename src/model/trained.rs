//! A model as it is asked: the customers that it learnt from, and the space that it compares in.

use super::calibrate::Calibrator;
use super::features::Customers;
use super::knn::{Knn, Neighbour, Vote};
use super::space::{NoValue, Space};
use super::{ModelError, ModelParams, Samples};

/// A fitted model.
pub struct Trained {
    /// The model's options.
    pub params: ModelParams,
    /// How many neighbours vote.
    pub k: usize,
    /// The customers that it learnt from, without those that were dropped for want of a value.
    pub samples: Samples,
    /// The space that they are compared in.
    pub space: Space,
    knn: Knn,
    /// What confidence is calibrated by.
    pub calibrator: Calibrator,
}

/// What a model says of one customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What the neighbours say.
    pub vote: Vote,
    /// How often such answers are right, where that is calibrated; else the winner's share of the votes.
    pub confidence: f64,
}

impl Trained {
    /// Fits to customers with labels, of whom there have to be more than `k`.
    ///
    /// # Errors
    /// Too few customers, or one without a value that it has to have.
    pub fn fit(params: &ModelParams, k: usize, samples: Samples) -> Result<Self, ModelError> {
        Self::calibrated(params, k, samples, None)
    }

    /// As [`Self::fit`], with a calibration that was fitted before, where there is one.
    ///
    /// # Errors
    /// As there.
    pub fn calibrated(
        params: &ModelParams,
        k: usize,
        samples: Samples,
        fitted: Option<Calibrator>,
    ) -> Result<Self, ModelError> {
        let no_value = |error: NoValue| ModelError::no_value(params, error);
        if samples.customers.is_empty() {
            return Err(ModelError::TooFewCustomers { model: params.name.clone(), k, available: 0 });
        }
        let space = Space::fit(&params.features, &samples.customers).map_err(no_value)?;
        let points = space.points(&params.features, &samples.customers).map_err(no_value)?;
        let kept: Vec<usize> = (0..points.len()).filter(|&i| points[i].is_some()).collect();
        let samples = if kept.len() < points.len() { samples.at(&kept) } else { samples };
        let points: Vec<Vec<f64>> = points.into_iter().flatten().collect();
        let available = points.len().saturating_sub(1);
        if k > available {
            return Err(ModelError::TooFewCustomers { model: params.name.clone(), k, available });
        }
        let knn = Knn::fit(params.voting, &points, &samples.labels, samples.names.len());
        let knn = knn.map_err(|reason| ModelError::Smartcore { model: params.name.clone(), reason })?;
        let calibrator = match (params.calibration, fitted) {
            (_, Some(fitted)) => fitted,
            (super::Calibration::None, None) => Calibrator::None,
            (kind, None) => {
                // Nobody votes for itself, so that these answers are those that strangers would get.
                let queries: Vec<_> = points.iter().enumerate().map(|(i, point)| (point.as_slice(), Some(i))).collect();
                let votes = knn.ask(&queries, k);
                let shares: Vec<f64> = votes.iter().map(|vote| vote.shares[vote.label]).collect();
                let right: Vec<bool> =
                    votes.iter().zip(&samples.labels).map(|(vote, label)| vote.label == *label).collect();
                Calibrator::fit(kind, &shares, &right)
            }
        };
        Ok(Self { params: params.clone(), k, samples, space, knn, calibrator })
    }

    /// Asks about customers; `None` for those who are dropped for want of a value. One that the model learnt from is not among its own
    /// neighbours.
    ///
    /// # Errors
    /// A customer without a value that it has to have.
    pub fn ask(&self, customers: &Customers) -> Result<Vec<Option<Answer>>, ModelError> {
        let points = self.points(customers)?;
        let queries = points.iter().zip(&customers.ids);
        let queries = queries.filter_map(|(point, id)| Some((point.as_deref()?, self.place(id))));
        let mut votes = self.knn.ask(&queries.collect::<Vec<_>>(), self.k).into_iter();
        let answer = |point: &Option<Vec<f64>>| {
            let vote = point.as_ref().and_then(|_| votes.next())?;
            Some(Answer { confidence: self.calibrator.apply(vote.shares[vote.label]), vote })
        };
        Ok(points.iter().map(answer).collect())
    }

    /// The neighbours of one customer, nearest first; `None` where it is dropped.
    ///
    /// # Errors
    /// A customer without a value that it has to have.
    pub fn neighbours(&self, customer: &Customers) -> Result<Option<Vec<Neighbour>>, ModelError> {
        let point = self.points(customer)?.pop().flatten();
        let own = customer.ids.first().and_then(|id| self.place(id));
        Ok(point.map(|point| self.knn.neighbours(&point, own, self.k)))
    }

    fn points(&self, customers: &Customers) -> Result<Vec<Option<Vec<f64>>>, ModelError> {
        let points = self.space.points(&self.params.features, customers);
        points.map_err(|error| ModelError::no_value(&self.params, error))
    }

    /// Place of a customer among those that trained.
    fn place(&self, id: &str) -> Option<usize> {
        self.samples.customers.ids.binary_search_by(|known| known.as_str().cmp(id)).ok()
    }
}
