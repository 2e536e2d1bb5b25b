//! A model as it is asked: the customers that it learnt from, and the space that it compares in.

use rayon::prelude::*;

use super::calibrate::Calibrator;
use super::features::Customers;
use super::knn::{Knn, Neighbour, Vote};
use super::points::Standing;
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
#[derive(Debug, Clone, Copy, PartialEq)]
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
            return Err(ModelError::TooFewCustomers {
                model: params.name.clone(),
                k,
                available: 0,
            });
        }
        let space = Space::fit(&params.features, &samples.customers).map_err(no_value)?;
        let Standing { points, placed } =
            space.stand(&params.features, &samples.customers).map_err(no_value)?;
        let kept: Vec<usize> = (0..placed.len()).filter(|&i| placed[i]).collect();
        let samples = if kept.len() < placed.len() { samples.at(&kept) } else { samples };
        let available = points.len().saturating_sub(1);
        if k > available {
            return Err(ModelError::TooFewCustomers { model: params.name.clone(), k, available });
        }
        let knn = Knn::fit(params.voting, &points, &samples.labels, samples.names.len());
        let knn =
            knn.map_err(|reason| ModelError::Smartcore { model: params.name.clone(), reason })?;
        let calibrator = match (params.calibration, fitted) {
            (_, Some(fitted)) => fitted,
            (super::Calibration::None, None) => Calibrator::None,
            (kind, None) => {
                // Nobody votes for itself, so that these answers are those that strangers would get.
                let everybody = (0..points.len()).into_par_iter().map(|i| (points.at(i), Some(i)));
                let votes = knn.ask(everybody, k, |vote, _| vote);
                let shares: Vec<f64> = votes.iter().map(|vote| vote.share).collect();
                let right: Vec<bool> = votes
                    .iter()
                    .zip(&samples.labels)
                    .map(|(vote, label)| vote.label == *label)
                    .collect();
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
    pub fn answers(&self, customers: &Customers) -> Result<Vec<Option<Answer>>, ModelError> {
        self.ask(customers, |answer, _| answer)
    }

    /// As [`Self::answers`], made of the answer and each label's share of the votes.
    ///
    /// # Errors
    /// As there.
    pub fn ask<T: Send>(
        &self,
        customers: &Customers,
        make: impl Fn(Answer, &[f64]) -> T + Sync + Send,
    ) -> Result<Vec<Option<T>>, ModelError> {
        let Standing { points, placed } = self.stand(customers)?;
        let own = self.places(customers, &placed);
        let queries = own.par_iter().enumerate().map(|(i, own)| (points.at(i), *own));
        let answer = |vote: Vote, shares: &[f64]| {
            make(Answer { confidence: self.calibrator.apply(vote.share), vote }, shares)
        };
        let mut answers = self.knn.ask(queries, self.k, answer).into_iter();
        Ok(placed.into_iter().map(|placed| if placed { answers.next() } else { None }).collect())
    }

    /// Places of customers among those that trained, of those who stand somewhere. Mostly each is the next after the one before.
    fn places(&self, customers: &Customers, placed: &[bool]) -> Vec<Option<usize>> {
        let known = &self.samples.customers.ids;
        let mut next = 0;
        let place = |id: &str| {
            let place = match next < known.len() && known.at(next) == id {
                true => Some(next),
                false => known.find(id),
            };
            next = place.map_or(next, |place| place + 1);
            place
        };
        customers
            .ids
            .iter()
            .zip(placed)
            .filter(|(_, placed)| **placed)
            .map(|(id, _)| id)
            .map(place)
            .collect()
    }

    /// The neighbours of one customer, nearest first; `None` where it is dropped.
    ///
    /// # Errors
    /// A customer without a value that it has to have.
    pub fn neighbours(&self, customer: &Customers) -> Result<Option<Vec<Neighbour>>, ModelError> {
        let standing = self.stand(customer)?;
        let own = customer.ids.iter().next().and_then(|id| self.samples.customers.ids.find(id));
        Ok(standing.points.iter().next().map(|point| self.knn.neighbours(point, own, self.k)))
    }

    fn stand(&self, customers: &Customers) -> Result<Standing, ModelError> {
        let standing = self.space.stand(&self.params.features, customers);
        standing.map_err(|error| ModelError::no_value(&self.params, error))
    }
}
