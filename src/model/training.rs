//! Training and evaluation of one KNN model.

use std::collections::HashMap;

use chrono::NaiveDate;
use polars::prelude::*;
use tracing::warn;

use super::{
    Assigned, Customers, EvaluationRun, FittedModel, K, Labels, ModelError, ModelParams, Protocol,
    Samples, Target, TrainingContext, split, target, tune,
};

/// Maximum number of labels: the confusion matrix is quadratic in it.
const MAX_LABELS: usize = 500;

pub(super) struct Trainer<'a> {
    pub(super) params: &'a ModelParams,
    pub(super) context: &'a TrainingContext<'a>,
    /// Cluster labels of the newest snapshot by clustering name.
    pub(super) clusters: &'a HashMap<String, Labels>,
}

struct LabelledSnapshot<'a> {
    date: NaiveDate,
    frame: &'a DataFrame,
    labels: Labels,
    samples: Samples,
}

struct EvaluationSplit {
    train: Samples,
    held_out: Samples,
    /// Label codes of `held_out` if nothing changed, for targets with a horizon.
    persistence: Option<Vec<usize>>,
}

impl Trainer<'_> {
    /// Trains and evaluates the model, and predicts the newest snapshot.
    pub(super) fn train(&self, assigned: &mut Assigned) -> Result<(), ModelError> {
        let date = match self.params.target.horizon() {
            None => self.context.date,
            Some(days) => target::before(self.context.date, days).unwrap_or(NaiveDate::MIN),
        };
        let snapshot = self.snapshot(date)?;
        self.warn_about_labels(&snapshot.samples)?;
        let protocol = target::protocol(self.params, &snapshot.labels, snapshot.frame)?;
        if protocol == Protocol::Recovery && matches!(self.params.target, Target::Labels(_)) {
            warn!(
                model = self.params.name,
                "the labels are a function of the scores; the evaluation measures recovery only"
            );
        }
        let split = match protocol {
            Protocol::Recovery | Protocol::Holdout => Some(self.holdout_split(&snapshot.samples)),
            Protocol::OutOfTime => self.out_of_time_split(&snapshot)?,
        };
        // Held-out customers must not influence k.
        let train = split.as_ref().map_or(&snapshot.samples, |split| &split.train);
        let name = &self.params.name;
        let k = match &self.params.k {
            K::Fixed(k) => *k,
            K::Tuned(tuning) => {
                let (k, candidates) = tune::tune(self.params, tuning, train)?;
                assigned.tuned.push((name.clone(), candidates));
                k
            }
        };
        match split.map(|split| self.evaluate(split, protocol, k)) {
            Some(Ok(run)) => assigned.evaluation_runs.push(run),
            None => warn!(
                model = name,
                "the source does not go back far enough for an out-of-time evaluation"
            ),
            // The final model may still fit: it trains on a later snapshot.
            Some(Err(error))
                if protocol == Protocol::OutOfTime
                    && !matches!(error, ModelError::Smartcore { .. }) =>
            {
                warn!(model = name, %error, "skipped the out-of-time evaluation");
            }
            Some(Err(error)) => return Err(error),
        }
        let model = FittedModel::fit(self.params, k, snapshot.samples, None)?;
        model.add_columns(&mut assigned.frame, &self.context.newest)?;
        assigned.trained.push(model);
        Ok(())
    }

    fn snapshot(&self, date: NaiveDate) -> Result<LabelledSnapshot<'_>, ModelError> {
        let frame = self.customers(date)?;
        let customers = Customers::from_frame(&self.params.features, frame)?;
        let labels = self.labels(date, frame, &customers.ids)?;
        let samples = Samples::new(customers, &labels);
        let model = self.params.name.clone();
        match samples.names.len() {
            0 => Err(ModelError::NoLabels { model }),
            1..=MAX_LABELS => Ok(LabelledSnapshot { date, frame, labels, samples }),
            labels => Err(ModelError::TooManyLabels { model, labels, most: MAX_LABELS }),
        }
    }

    fn warn_about_labels(&self, samples: &Samples) -> PolarsResult<()> {
        let model = &self.params.name;
        if let Some((_, last)) = self.context.facts.span()?
            && self.params.target.horizon().is_some()
            && last.succ_opt() < Some(self.context.date)
        {
            warn!(
                model,
                %last,
                "the source ends before the snapshot; later activity is counted as zero"
            );
        }
        if let [label] = samples.names.as_slice() {
            warn!(model, label, "all customers have one label, so the model always predicts it");
        }
        Ok(())
    }

    fn holdout_split(&self, samples: &Samples) -> EvaluationSplit {
        let (ids, labels) = (&samples.customers.ids, &samples.labels);
        let split = split::stratified(ids, labels, self.params.holdout, self.params.seed);
        EvaluationSplit {
            train: samples.select(&split.train),
            held_out: samples.select(&split.holdout),
            persistence: None,
        }
    }

    /// Trains on the preceding pair of snapshots and holds out the current pair. `None` if the
    /// source does not go back far enough.
    fn out_of_time_split(
        &self,
        current: &LabelledSnapshot<'_>,
    ) -> Result<Option<EvaluationSplit>, ModelError> {
        let horizon = self.params.target.horizon();
        let Some(earlier) = horizon.and_then(|days| target::before(current.date, days)) else {
            return Ok(None);
        };
        let train = match self.snapshot(earlier) {
            Ok(snapshot) => snapshot.samples,
            Err(ModelError::NoLabels { .. } | ModelError::TooShort { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(unchanged) = self.unchanged_labels(current.date)? else { return Ok(None) };
        let names: Vec<String> = train.names.iter().chain(&unchanged.names).cloned().collect();
        let held_out = current.samples.clone().with_names(&names);
        let train = train.with_names(&held_out.names);
        let labelled = current.labels.codes.iter().map(Option::is_some);
        let unchanged = unchanged.iter().zip(labelled).filter(|(_, labelled)| *labelled);
        let persistence: Option<Vec<usize>> =
            unchanged.map(|(label, _)| held_out.code(label?)).collect();
        let persistence = persistence
            .ok_or_else(|| polars_err!(ComputeError: "customer without a current label"))?;
        Ok(Some(EvaluationSplit { train, held_out, persistence: Some(persistence) }))
    }

    /// Fits to the training part and predicts the held-out part. Customers without a prediction are
    /// excluded.
    fn evaluate(
        &self,
        split: EvaluationSplit,
        protocol: Protocol,
        k: usize,
    ) -> Result<EvaluationRun, ModelError> {
        let EvaluationSplit { train, held_out, persistence } = split;
        let model = FittedModel::fit(self.params, k, train, None)?;
        let predictions = model
            .predict(&held_out.customers, |prediction, shares| (prediction, shares.to_vec()))?;
        let predicted = |codes: &[usize]| -> Vec<usize> {
            let codes = codes.iter().zip(&predictions).filter(|(_, made)| made.is_some());
            codes.map(|(code, _)| *code).collect()
        };
        let actual = predicted(&held_out.labels);
        let persistence = persistence.as_deref().map(predicted);
        let (predictions, shares) = predictions.into_iter().flatten().unzip();
        Ok(EvaluationRun {
            model: self.params.name.clone(),
            protocol,
            labels: held_out.names,
            actual,
            predictions,
            shares,
            // Of the fitted samples: customers dropped for a missing value must not count.
            majority: split::majority(&model.samples.labels),
            persistence,
            abstain: self.params.abstain,
            seed: self.params.seed,
        })
    }
}
