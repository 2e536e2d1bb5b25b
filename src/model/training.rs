//! Training and evaluation of one KNN model.

use std::collections::HashMap;

use chrono::NaiveDate;
use polars::prelude::*;
use tracing::warn;

use super::baselines::{self, Baseline, States};
use super::{
    Assigned, CandidateScore, Customers, Distributions, EvaluationRun, FittedModel, K, Labels,
    ModelError, ModelParams, Protocol, Samples, Target, TrainingContext, percentiles, split,
    target, tune,
};
use crate::columns::RECENCY_DAYS;

/// Maximum number of labels: the confusion matrix is quadratic in it.
const MAX_LABELS: usize = 500;

pub(super) struct Trainer<'a> {
    pub(super) params: &'a ModelParams,
    pub(super) context: &'a TrainingContext<'a>,
    /// Cluster labels of the newest snapshot by clustering name.
    pub(super) clusters: &'a HashMap<String, Labels>,
}

/// Customers of a snapshot with their labels.
struct LabelledSnapshot<'a> {
    date: NaiveDate,
    frame: &'a DataFrame,
    labels: Labels,
    samples: Samples,
}

struct EvaluationSplit {
    train: Samples,
    held_out: Samples,
    /// For targets with a horizon.
    baselines: Vec<Baseline>,
}

impl Trainer<'_> {
    /// Trains and evaluates the model, and predicts the newest snapshot.
    pub(super) fn train(&self, assigned: &mut Assigned) -> Result<(), ModelError> {
        let date = self.context.date;
        let pairs = match self.params.target.horizon() {
            None => vec![self.snapshot(date)?],
            Some(_) => self.training_pairs(date)?,
        };
        let snapshot = &pairs[0];
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
            Protocol::OutOfTime => self.out_of_time_split(snapshot)?,
        };
        let final_set = Samples::pool(pairs.into_iter().map(|pair| pair.samples));
        // Held-out customers must not influence k.
        let train = split.as_ref().map_or(&final_set, |split| &split.train);
        let name = &self.params.name;
        let (k, candidates) = self.choose_k(train)?;
        if !candidates.is_empty() {
            assigned.tuned.push((name.clone(), candidates));
        }
        let mut is_compared = false;
        let mut is_evaluated = false;
        match split.map(|split| self.evaluate(split, protocol, date, k)) {
            Some(Ok(run)) => {
                is_compared = run.agreement.is_some();
                is_evaluated = true;
                assigned.evaluation_runs.push(run);
            }
            None => warn!(
                model = name,
                "the source does not go back far enough for an out-of-time evaluation"
            ),
            // The final model may still fit: it trains on a later snapshot.
            Some(Err(error)) if protocol == Protocol::OutOfTime && !error.is_system() => {
                warn!(model = name, %error, "skipped the out-of-time evaluation");
            }
            Some(Err(error)) => return Err(error),
        }
        // Gates and the manifest read the newest evaluation.
        if protocol == Protocol::OutOfTime && is_evaluated {
            for date in self.context.backtests.iter().filter(|date| **date != self.context.date) {
                self.backtest(*date, assigned)?;
            }
        }
        let k = match self.params.k {
            K::AtMost(_) => self.choose_k(&final_set)?.0,
            K::Fixed(_) | K::Tuned(_) => k,
        };
        let customers = self.context.newest.height();
        let mut model = FittedModel::fit(self.params, k, final_set, None, customers)?;
        model.distributions = Distributions::of(&self.params.features, &self.context.newest)?;
        if !is_compared {
            let newest = Customers::of_snapshot(&self.params.features, &self.context.newest)?;
            model.agreement(&newest)?;
        }
        let sources = model.add_columns(&mut assigned.frame, &self.context.newest)?;
        assigned.sources.push(sources);
        assigned.trained.push(model);
        Ok(())
    }

    /// The number of neighbours for a training set, and the scores of the candidates if it is
    /// tuned.
    fn choose_k(&self, train: &Samples) -> Result<(usize, Vec<CandidateScore>), ModelError> {
        Ok(match &self.params.k {
            K::Fixed(k) => (*k, Vec::new()),
            K::AtMost(k) => {
                ((*k).min(train.customers.ids.count_distinct() / 10).max(1), Vec::new())
            }
            K::Tuned(tuning) => tune::tune(self.params, tuning, train)?,
        })
    }

    /// Evaluates the model as of an earlier date, with all that is fitted at it.
    fn backtest(&self, date: NaiveDate, assigned: &mut Assigned) -> Result<(), ModelError> {
        let model = &self.params.name;
        if date > self.context.date {
            warn!(model, %date, "skipped a backtest after the newest snapshot");
            return Ok(());
        }
        let made_at = self.params.feature_dates(date).next();
        let split = made_at.map_or(Ok(None), |made_at| match self.snapshot(made_at) {
            Err(ModelError::NoLabels { .. } | ModelError::TooShort { .. }) => Ok(None),
            held_out => self.out_of_time_split(&held_out?),
        });
        let run = match split {
            Ok(Some(split)) => self
                .choose_k(&split.train)
                .and_then(|(k, _)| self.evaluate(split, Protocol::OutOfTime, date, k)),
            Ok(None) => {
                warn!(model, %date, "the source does not go back far enough for this backtest");
                return Ok(());
            }
            Err(error) => Err(error),
        };
        match run {
            Ok(run) => assigned.evaluation_runs.push(run),
            Err(error) if error.is_system() => return Err(error),
            Err(error) => warn!(model, %date, %error, "skipped a backtest"),
        }
        Ok(())
    }

    /// The customers at a date, and their labels if the target has a horizon: one horizon later.
    fn snapshot(&self, date: NaiveDate) -> Result<LabelledSnapshot<'_>, ModelError> {
        let frame = self.customers(date)?;
        let customers = Customers::of_snapshot(&self.params.features, frame)?;
        let labels = self.labels(date, frame, &customers.ids)?;
        let mut samples = Samples::new(customers, &labels);
        if matches!(self.params.target, Target::BuysIn(_)) {
            // Both labels are possible even if all customers have the same.
            samples = samples.with_names(&["no".to_owned(), "yes".to_owned()]);
        }
        let model = self.params.name.clone();
        match labels.names.len() {
            0 => Err(ModelError::NoLabels { model }),
            1..=MAX_LABELS => Ok(LabelledSnapshot { date, frame, labels, samples }),
            labels => Err(ModelError::TooManyLabels { model, labels, most: MAX_LABELS }),
        }
    }

    /// The training pairs of a forecast that is made at `date`, newest first: at least one, or an
    /// error.
    fn training_pairs(&self, date: NaiveDate) -> Result<Vec<LabelledSnapshot<'_>>, ModelError> {
        let mut pairs = Vec::new();
        for features_at in self.params.feature_dates(date) {
            match self.snapshot(features_at) {
                Ok(pair) => pairs.push(pair),
                Err(error) if pairs.is_empty() => return Err(error),
                Err(ModelError::NoLabels { .. } | ModelError::TooShort { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        if pairs.is_empty() {
            let model = self.params.name.clone();
            return Err(ModelError::TooShort { model, date: NaiveDate::MIN });
        }
        Ok(pairs)
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
        let mut present = samples.labels.iter().map(|code| &samples.names[*code]);
        let label = present.next();
        if let Some(label) = label
            && present.all(|other| other == label)
        {
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
            baselines: Vec::new(),
        }
    }

    /// Holds out a labelled snapshot. Trains on the pairs whose labels were known at its date.
    /// `None` if the source does not go back far enough.
    fn out_of_time_split(
        &self,
        held_out: &LabelledSnapshot<'_>,
    ) -> Result<Option<EvaluationSplit>, ModelError> {
        let pairs = match self.training_pairs(held_out.date) {
            Err(ModelError::NoLabels { .. } | ModelError::TooShort { .. }) => return Ok(None),
            pairs => pairs?,
        };
        let unchanged =
            pairs.iter().chain([held_out]).map(|pair| self.unchanged_labels(pair.frame));
        let unchanged: Vec<Labels> = unchanged.collect::<Result<_, _>>()?;
        let names = pairs.iter().chain([held_out]).map(|pair| &pair.samples.names);
        let names = names.chain(unchanged.iter().map(|labels| &labels.names));
        let names: Vec<String> = names.flatten().cloned().collect();
        let mut states = Vec::with_capacity(unchanged.len());
        for (pair, unchanged) in pairs.iter().chain([held_out]).zip(&unchanged) {
            let later = pair.samples.clone().with_names(&names);
            let code = |label: Option<&str>| label.and_then(|label| later.code(label));
            let unchanged: Option<Vec<usize>> = unchanged.iter().map(code).collect();
            let unchanged = unchanged
                .ok_or_else(|| polars_err!(ComputeError: "customer without a current label"))?;
            let recency = percentiles::numbers(pair.frame.column(RECENCY_DAYS)?)?;
            states.push(States {
                unchanged,
                recency_days: recency.into_iter().map(|days| days.unwrap_or(f64::MAX)).collect(),
                later: later.labels,
            });
        }
        let test = states.pop().unwrap_or_default();
        let mut known = States::default();
        states.iter().for_each(|pair| known.extend(pair));
        let held_out = held_out.samples.clone().with_names(&names);
        let n_labels = held_out.names.len();
        let baselines = baselines::of_forecast(&known, &test, n_labels);
        let train = Samples::pool(pairs.into_iter().map(|pair| pair.samples));
        Ok(Some(EvaluationSplit { train: train.with_names(&names), held_out, baselines }))
    }

    /// Fits to the training part and predicts the held-out part. Customers without a prediction are
    /// excluded.
    fn evaluate(
        &self,
        split: EvaluationSplit,
        protocol: Protocol,
        snapshot: NaiveDate,
        k: usize,
    ) -> Result<EvaluationRun, ModelError> {
        let EvaluationSplit { train, held_out, baselines } = split;
        let customers = self.context.newest.height();
        let model = FittedModel::fit(self.params, k, train, None, customers)?;
        let agreement = model.agreement(&held_out.customers)?;
        let predictions = model.predict(&held_out.customers, |prediction, probabilities| {
            (prediction, probabilities.to_vec())
        })?;
        let is_predicted: Vec<bool> = predictions.iter().map(Option::is_some).collect();
        let actual = keep(held_out.labels, &is_predicted);
        // Of the fitted samples: customers dropped for a missing value do not count.
        let majority = baselines::most_frequent(&model.samples.labels, actual.len());
        let baselines = baselines.into_iter().map(|baseline| Baseline {
            labels: keep(baseline.labels, &is_predicted),
            probabilities: baseline.probabilities.map(|all| keep(all, &is_predicted)),
            ..baseline
        });
        let (predictions, probabilities) = predictions.into_iter().flatten().unzip();
        Ok(EvaluationRun {
            model: self.params.name.clone(),
            protocol,
            snapshot,
            is_newest: snapshot == self.context.date,
            labels: held_out.names,
            actual,
            predictions,
            probabilities,
            baselines: [majority].into_iter().chain(baselines).collect(),
            abstain: self.params.abstain,
            agreement,
            seed: self.params.seed,
        })
    }
}

fn keep<T>(values: Vec<T>, is_kept: &[bool]) -> Vec<T> {
    values.into_iter().zip(is_kept).filter(|(_, kept)| **kept).map(|(value, _)| value).collect()
}
