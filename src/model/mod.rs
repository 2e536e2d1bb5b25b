//! `model`: [`Segmented`] → [`Assigned`]: KNN on the newest snapshot, measured on held-out customers, then asked about
//! every customer.
//!
//! A customer never votes for itself. What is deliberately absent: metrics, which are `evaluate`'s.

use polars::prelude::*;

use crate::columns;
use crate::segment::Segmented;

pub mod features;
pub mod knn;
pub mod scale;
pub mod split;

pub use features::Samples;
pub use knn::{Vote, Weights};
use scale::Standardiser;

/// Checked options of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelParams {
    /// Heads the model's output columns.
    pub name: String,
    /// Numeric columns to measure distance in; at least one, each once.
    pub features: Vec<String>,
    /// Number of neighbours that vote; at least 1.
    pub k: usize,
    /// How votes are weighed.
    pub weights: Weights,
    /// Share of each label's customers that is held out, within 0..1.
    pub holdout: f64,
    /// Seed of the split.
    pub seed: u64,
}

/// Every customer with what the models say.
///
/// As [`Segmented`], with four columns a model after it: `<model>_label` text, `<model>_confidence`, `<model>_margin`,
/// `<model>_novelty` f64; null in all snapshots but the newest.
pub struct Assigned {
    /// The table.
    pub frame: DataFrame,
    /// What each model did on customers it had not seen.
    pub trials: Vec<Trial>,
    /// The models as they were asked about everybody.
    pub trained: Vec<Trained>,
}

/// A model as it is asked: the customers that it learnt from, and the scale of their features.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The model's options.
    pub params: ModelParams,
    /// The customers, in the order of their ids.
    pub samples: Samples,
    /// The scale of their features.
    pub scale: Standardiser,
}

impl Trained {
    /// Fits to all of the samples, of which there are more than `k`.
    ///
    /// # Errors
    /// Too few customers.
    pub fn fit(params: &ModelParams, samples: Samples) -> Result<Self, ModelError> {
        let available = samples.ids.len().saturating_sub(1);
        if params.k > available {
            return Err(ModelError::TooFewCustomers { model: params.name.clone(), k: params.k, available });
        }
        let scale = Standardiser::fit(samples.points.iter().map(Vec::as_slice));
        Ok(Self { params: params.clone(), samples, scale })
    }

    /// Asks about customers by their features, which are not yet scaled. One that the model learnt from is not among its own
    /// neighbours.
    ///
    /// # Errors
    /// What smartcore says of a tree that cannot be built.
    pub fn ask(&self, ids: &[String], points: &[Vec<f64>]) -> Result<Vec<Vote>, ModelError> {
        let Samples { ids: known, points: learnt, labels, names } = &self.samples;
        let knn = knn::Knn::fit(&self.params, &self.scale.all(learnt), labels, names.len())?;
        let points = self.scale.all(points);
        let own = ids.iter().map(|id| known.binary_search(id).ok());
        let queries: Vec<(&[f64], Option<usize>)> = points.iter().map(Vec::as_slice).zip(own).collect();
        Ok(knn.ask(&queries))
    }
}

/// How a model is tried, which says what its figures mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// On customers held out, with labels that are a function of the very features that the model sees: a high figure says
    /// only that neighbours reproduce the rules.
    Recovery,
}

impl Protocol {
    /// The protocol's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
        }
    }
}

/// A model's answers on held-out customers of the newest snapshot.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The model.
    pub model: String,
    /// How it was tried.
    pub protocol: Protocol,
    /// Labels by code.
    pub labels: Vec<String>,
    /// True label codes of the held-out customers.
    pub actual: Vec<usize>,
    /// Predicted label codes, in the same order.
    pub predicted: Vec<usize>,
    /// The most frequent label among the training customers; the lowest code among equals.
    pub majority: usize,
}

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// More neighbours asked for than there are.
    #[error(
        "models.{model}: k is {k}, but only {available} other customers can vote; lower `k` or leave the model out"
    )]
    TooFewCustomers {
        /// The model.
        model: String,
        /// Neighbours asked for.
        k: usize,
        /// Customers that can vote for one held out.
        available: usize,
    },
    /// A feature that distances cannot be taken in.
    #[error("models.{model}: feature `{feature}` of customer `{customer}` is not a finite number")]
    NotFinite {
        /// The model.
        model: String,
        /// The feature.
        feature: String,
        /// The customer.
        customer: String,
    },
    /// smartcore refused.
    #[error("models.{model}: smartcore: {reason}")]
    Smartcore {
        /// The model.
        model: String,
        /// What it said.
        reason: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] PolarsError),
}

/// Fits each model to the newest snapshot, tries it on held-out customers, and asks it about every customer.
///
/// The trial is fitted to the training customers alone, the answers for all customers to all of them, each without
/// itself.
///
/// # Errors
/// Too few customers for `k`, or features that are not finite.
pub fn assign(models: &[ModelParams], segmented: &Segmented) -> Result<Assigned, ModelError> {
    let newest = segmented.dates.len() - 1;
    let mut frame = segmented.frame.clone();
    let (mut trials, mut trained) = (Vec::with_capacity(models.len()), Vec::with_capacity(models.len()));
    for params in models {
        let samples = features::samples(params, segmented, segmented.dates[newest])?;
        let (trial, votes, fitted) = fit_and_ask(params, &samples)?;
        let older = frame.height() - votes.len();
        add_votes(&mut frame, params, &samples.names, &votes, older)?;
        trials.push(trial);
        trained.push(fitted);
    }
    Ok(Assigned { frame, trials, trained })
}

fn fit_and_ask(params: &ModelParams, samples: &Samples) -> Result<(Trial, Vec<Vote>, Trained), ModelError> {
    let split = split::stratified(&samples.ids, &samples.labels, params.holdout, params.seed);
    let available = split.train.len().min(samples.ids.len().saturating_sub(1));
    if params.k > available {
        return Err(ModelError::TooFewCustomers { model: params.name.clone(), k: params.k, available });
    }
    let train = samples.at(&split.train);
    let held = samples.at(&split.holdout);
    let scale = Standardiser::fit(train.points.iter().map(Vec::as_slice));
    let knn = knn::Knn::fit(params, &scale.all(&train.points), &train.labels, samples.names.len())?;
    let answers = knn.ask(&scale.all(&held.points).iter().map(|point| (point.as_slice(), None)).collect::<Vec<_>>());
    let trained = Trained::fit(params, samples.clone())?;
    let votes = trained.ask(&samples.ids, &samples.points)?;
    let trial = Trial {
        model: params.name.clone(),
        // The target is the segment, which the map's rules make of scores of the same values.
        protocol: Protocol::Recovery,
        labels: samples.names.clone(),
        actual: split.holdout.iter().map(|&i| samples.labels[i]).collect(),
        predicted: answers.iter().map(|vote| vote.label).collect(),
        majority: split.majority,
    };
    Ok((trial, votes, trained))
}

/// Adds the model's columns: null in the first `older` rows, then the votes in their order.
pub fn add_votes(
    frame: &mut DataFrame,
    params: &ModelParams,
    names: &[String],
    votes: &[Vote],
    older: usize,
) -> PolarsResult<()> {
    let number = |of: fn(&Vote) -> f64| -> Vec<Option<f64>> {
        std::iter::repeat_n(None, older).chain(votes.iter().map(|vote| Some(of(vote)))).collect()
    };
    let labels: Vec<Option<&str>> =
        std::iter::repeat_n(None, older).chain(votes.iter().map(|vote| Some(names[vote.label].as_str()))).collect();
    frame.with_column(Column::new(columns::label(&params.name).into(), labels))?;
    frame.with_column(Column::new(columns::confidence(&params.name).into(), number(|v| v.confidence)))?;
    frame.with_column(Column::new(columns::margin(&params.name).into(), number(|v| v.margin)))?;
    frame.with_column(Column::new(columns::novelty(&params.name).into(), number(|v| v.novelty)))?;
    Ok(())
}
