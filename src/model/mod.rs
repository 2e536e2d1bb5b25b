//! `model`: [`Segmented`] → [`Assigned`]: KNN models, each tried on customers or a time that it has not seen, then asked about every
//! customer of the newest snapshot; and K-Means.
//!
//! A customer never votes for itself. What is deliberately absent: the tables of figures, which are `evaluate`'s.

use std::collections::HashMap;

use chrono::NaiveDate;
use polars::prelude::*;
use tracing::warn;

use crate::columns;
use crate::rfm::by_snapshot;
use crate::segment::Segmented;

pub mod calibrate;
mod error;
pub mod features;
pub mod figures;
pub mod kmeans;
mod index;
mod kdtree;
pub mod knn;
pub mod points;
pub mod samples;
pub mod space;
pub mod split;
pub mod target;
pub mod texts;
mod trained;
pub mod tune;

pub use calibrate::Calibration;
pub use error::ModelError;
pub use features::{Customers, Encoding, FeatureParams, Missing, Scaling};
pub use index::Metric;
pub use kmeans::{Clustered, KmeansParams, Places};
pub use knn::{Balance, Vote, Voting, Weights};
pub use samples::Samples;
pub use target::{Sight, Target};
pub use texts::{Labels, Texts};
pub use trained::{Answer, Trained};
pub use tune::{Tried, TunedBy, Tuning};

/// Labels that a model tells apart at most: its figures cost the square of their number.
const MOST_LABELS: usize = 500;

/// Checked options of one KNN model.
#[derive(Debug, Clone)]
pub struct ModelParams {
    /// Heads the model's output columns.
    pub name: String,
    /// What it learns.
    pub target: Target,
    /// Whether the labels are a function of the features, as far as the options tell.
    pub circular: bool,
    /// What customers are compared by; at least one.
    pub features: Vec<FeatureParams>,
    /// Number of neighbours that vote.
    pub k: K,
    /// How they vote.
    pub voting: Voting,
    /// How confidence is calibrated.
    pub calibration: Calibration,
    /// Confidence below which the model does not answer.
    pub abstain: Option<f64>,
    /// Share of each label's customers that is held out, within 0..1, where the labels are of today.
    pub holdout: f64,
    /// Seed of the splits.
    pub seed: u64,
}

/// Number of neighbours that vote.
#[derive(Debug, Clone, PartialEq)]
pub enum K {
    /// So many, at least 1.
    Fixed(usize),
    /// As many as prove good.
    Tuned(Tuning),
}

/// Every customer with what the models say.
///
/// As [`Segmented`], with four columns a model after it: `<model>_label` text, `<model>_confidence`, `<model>_margin`,
/// `<model>_novelty` f64; null in all snapshots but the newest, and the label where the model abstains.
pub struct Assigned {
    /// The table.
    pub frame: DataFrame,
    /// What each model did on what it had not seen.
    pub trials: Vec<Trial>,
    /// What came of the numbers of neighbours that were tried, by the model.
    pub tuned: Vec<(String, Vec<Tried>)>,
    /// The models as they were asked about everybody.
    pub trained: Vec<Trained>,
    /// The clusterings of the newest snapshot.
    pub clustered: Vec<Clustered>,
}

/// How a model is tried, which says what its figures mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// On customers held out, with labels that are a function of the very features that the model sees: a high figure says
    /// only that neighbours reproduce the rules.
    Recovery,
    /// On customers held out, with labels that come from elsewhere.
    Holdout,
    /// Learnt from an earlier pair of snapshots, tried on a later one.
    OutOfTime,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Recovery, Self::Holdout, Self::OutOfTime];

    /// The protocol's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::Holdout => "holdout",
            Self::OutOfTime => "out_of_time",
        }
    }
}

/// A model's answers on what it had not seen.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The model.
    pub model: String,
    /// How it was tried.
    pub protocol: Protocol,
    /// Labels by code.
    pub labels: Vec<String>,
    /// True label codes.
    pub actual: Vec<usize>,
    /// What the model said, in the same order.
    pub answers: Vec<Answer>,
    /// Each label's share of the votes, in the same order.
    pub shares: Vec<Vec<f64>>,
    /// The most frequent label among the training customers; the lowest code among equals.
    pub majority: usize,
    /// What it would be if nothing changed, where the target lies in the future.
    pub persistence: Option<Vec<usize>>,
    /// Confidence below which the model does not answer.
    pub abstain: Option<f64>,
    /// Seed of the model.
    pub seed: u64,
}

/// Makes the clusterings of the newest snapshot, fits each model, tries it on what it has not seen, and asks it about every customer.
///
/// # Errors
/// Too few customers for `k`, features without a value, or a source that does not go back far enough.
pub fn assign(
    models: &[ModelParams],
    clusterings: &[KmeansParams],
    segmented: &Segmented,
    sight: &Sight<'_>,
) -> Result<Assigned, ModelError> {
    let mut frame = segmented.frame.clone();
    let older = frame.height() - sight.newest.height();
    let mut clustered = Vec::with_capacity(clusterings.len());
    let mut labels: HashMap<String, Labels> = HashMap::new();
    for params in clusterings {
        let found = kmeans::cluster(params, &sight.newest)?;
        let share = found.largest_share();
        if share >= kmeans::TOO_LARGE {
            warn!(
                clustering = params.name,
                share, "one cluster holds nearly all customers, and tells nobody apart"
            );
        }
        found.places.add_columns(&mut frame, &found.standing, older)?;
        labels.insert(params.name.clone(), found.labels());
        clustered.push(found);
    }
    let (mut trials, mut tuned, mut trained) = (Vec::new(), Vec::new(), Vec::new());
    for params in models {
        let (trial, tried, model) = fit(params, sight, &labels)?;
        let customers = Customers::of(&params.features, &sight.newest)?;
        add_answers(&mut frame, params, &model.samples.names, &model.answers(&customers)?, older)?;
        trials.extend(trial);
        if !tried.is_empty() {
            tuned.push((params.name.clone(), tried));
        }
        trained.push(model);
    }
    Ok(Assigned { frame, trials, tuned, trained, clustered })
}

/// The samples of a snapshot, and the labels that they were made of.
fn samples_at(
    params: &ModelParams,
    sight: &Sight<'_>,
    date: NaiveDate,
    clusters: &HashMap<String, Labels>,
) -> Result<(Samples, Labels), ModelError> {
    let labels = sight.labels(params, date, clusters)?;
    let frame =
        sight.at(date).ok_or_else(|| ModelError::TooShort { model: params.name.clone(), date })?;
    let samples = Samples::of(Customers::of(&params.features, frame)?, &labels);
    let (model, labels_found) = (params.name.clone(), samples.names.len());
    match labels_found {
        0 => Err(ModelError::NoLabels { model }),
        1..=MOST_LABELS => Ok((samples, labels)),
        labels => Err(ModelError::TooManyLabels { model, labels, most: MOST_LABELS }),
    }
}

fn fit(
    params: &ModelParams,
    sight: &Sight<'_>,
    clusters: &HashMap<String, Labels>,
) -> Result<(Option<Trial>, Vec<Tried>, Trained), ModelError> {
    let learnt_at = match params.target.horizon() {
        None => sight.date,
        Some(days) => target::before(sight.date, days).unwrap_or(NaiveDate::MIN),
    };
    let (samples, labels) = samples_at(params, sight, learnt_at, clusters)?;
    let last = sight.book.span()?.map(|(_, last)| last);
    if let Some(last) =
        last.filter(|last| params.target.horizon().is_some() && last.succ_opt() < Some(sight.date))
    {
        warn!(model = params.name, %last, "the source ends before the snapshot: what happened since is taken for nothing");
    }
    if samples.names.len() == 1 {
        warn!(
            model = params.name,
            label = samples.names[0],
            "all customers have one label, which is all that can be learnt"
        );
    }
    let of_frame = sight.at(learnt_at).unwrap_or(&sight.newest);
    let protocol = target::protocol(params, &labels, of_frame)?;
    if protocol == Protocol::Recovery && matches!(params.target, Target::Labels(_)) {
        warn!(
            model = params.name,
            "the labels are a function of the scores: what is measured is recovery"
        );
    }
    let parts = match protocol {
        Protocol::Recovery | Protocol::Holdout => {
            let split = split::stratified(
                &samples.customers.ids,
                &samples.labels,
                params.holdout,
                params.seed,
            );
            Some((samples.at(&split.train), samples.at(&split.holdout), None))
        }
        Protocol::OutOfTime => earlier_pair(params, sight, learnt_at, &samples, clusters)?,
    };
    let k_of = |samples: &Samples| -> Result<(usize, Vec<Tried>), ModelError> {
        match &params.k {
            K::Fixed(k) => Ok((*k, Vec::new())),
            K::Tuned(tuning) => {
                let tried = tune::tune(params, tuning, samples)?;
                Ok((tried.iter().find(|tried| tried.chosen).map_or(1, |tried| tried.k), tried))
            }
        }
    };
    // What is tried on has no say in k.
    let (k, tried) = k_of(parts.as_ref().map_or(&samples, |(train, ..)| train))?;
    let trial = match parts {
        None => {
            warn!(
                model = params.name,
                "the source does not go back far enough to try the model on a later time"
            );
            None
        }
        Some((train, held, persistence)) => {
            match attempt(params, k, protocol, train, &held, persistence) {
                // What cannot be tried can be learnt all the same.
                Err(error)
                    if protocol == Protocol::OutOfTime
                        && !matches!(error, ModelError::Smartcore { .. }) =>
                {
                    warn!(model = params.name, %error, "the model is not tried on a later time");
                    None
                }
                tried => Some(tried?),
            }
        }
    };
    Ok((trial, tried, Trained::fit(params, k, samples)?))
}

/// Customers to learn from, customers to try on, and what they would be if nothing changed.
type Parts = (Samples, Samples, Option<Vec<usize>>);

/// The pair before, to learn from, with the samples of this one to try on; `None` where the source does not go back so far.
fn earlier_pair(
    params: &ModelParams,
    sight: &Sight<'_>,
    date: NaiveDate,
    samples: &Samples,
    clusters: &HashMap<String, Labels>,
) -> Result<Option<Parts>, ModelError> {
    let first = params.target.horizon().and_then(|days| target::before(date, days));
    let Some(first) = first.filter(|first| sight.at(*first).is_some()) else { return Ok(None) };
    let train = match samples_at(params, sight, first, clusters) {
        Ok((train, _)) => train,
        Err(ModelError::NoLabels { .. } | ModelError::TooShort { .. }) => return Ok(None),
        Err(other) => return Err(other),
    };
    let unchanged = sight.persistence(params, date)?.unwrap_or_default();
    let frame = sight.at(date).unwrap_or(&sight.newest);
    let names: Vec<String> = train.names.iter().chain(&unchanged.names).cloned().collect();
    let held = samples.clone().with_names(&names);
    let ids = features::text(frame, columns::CUSTOMER_ID)?;
    let by_id: HashMap<&str, &str> =
        ids.iter().zip(unchanged.iter().map(Option::unwrap_or_default)).collect();
    let code = |id| {
        let label =
            by_id.get(id).map(|label| held.names.binary_search_by(|name| name.as_str().cmp(label)));
        label.and_then(Result::ok).unwrap_or_default()
    };
    let persistence = held.customers.ids.iter().map(code).collect();
    let train = train.with_names(&held.names);
    Ok(Some((train, held, Some(persistence))))
}

/// Tries a model on customers that it has not seen, or not at that time.
fn attempt(
    params: &ModelParams,
    k: usize,
    protocol: Protocol,
    train: Samples,
    held: &Samples,
    persistence: Option<Vec<usize>>,
) -> Result<Trial, ModelError> {
    let trained = Trained::fit(params, k, train)?;
    // Of those who trained: a baseline that knew of others would be no baseline.
    let majority = split::majority(&trained.samples.labels);
    let answers = trained.ask(&held.customers, |answer, shares| (answer, shares.to_vec()))?;
    let asked: Vec<usize> = (0..answers.len()).filter(|&i| answers[i].is_some()).collect();
    let (answers, shares) = answers.into_iter().flatten().unzip();
    Ok(Trial {
        model: params.name.clone(),
        protocol,
        labels: held.names.clone(),
        actual: asked.iter().map(|&i| held.labels[i]).collect(),
        answers,
        majority,
        shares,
        persistence: persistence.map(|labels| asked.iter().map(|&i| labels[i]).collect()),
        abstain: params.abstain,
        seed: params.seed,
    })
}

/// Adds the model's columns: null in the first `older` rows, then the answers in their order.
///
/// # Errors
/// What Polars says of columns of another length.
pub fn add_answers(
    frame: &mut DataFrame,
    params: &ModelParams,
    names: &[String],
    answers: &[Option<Answer>],
    older: usize,
) -> PolarsResult<()> {
    let number = |of: fn(&Answer) -> f64| -> Vec<Option<f64>> {
        std::iter::repeat_n(None, older)
            .chain(answers.iter().map(|answer| answer.as_ref().map(of)))
            .collect()
    };
    let label = |answer: &Option<Answer>| {
        let sure = answer
            .as_ref()
            .filter(|answer| params.abstain.is_none_or(|least| answer.confidence >= least));
        sure.map(|answer| names[answer.vote.label].as_str())
    };
    let labels: Vec<Option<&str>> =
        std::iter::repeat_n(None, older).chain(answers.iter().map(label)).collect();
    frame.with_column(Column::new(columns::label(&params.name).into(), labels))?;
    frame.with_column(Column::new(
        columns::confidence(&params.name).into(),
        number(|answer| answer.confidence),
    ))?;
    frame.with_column(Column::new(
        columns::margin(&params.name).into(),
        number(|answer| answer.vote.margin),
    ))?;
    frame.with_column(Column::new(
        columns::novelty(&params.name).into(),
        number(|answer| answer.vote.novelty),
    ))?;
    Ok(())
}

/// The newest snapshot of a segmented table.
///
/// # Errors
/// A table without snapshots.
pub fn newest(segmented: &Segmented) -> PolarsResult<(NaiveDate, DataFrame)> {
    by_snapshot(&segmented.frame)?.pop().ok_or_else(|| polars_err!(ComputeError: "no snapshot"))
}
