//! `model`: `Segmented` → [`Assigned`]. Fits and evaluates KNN models and K-means clusterings,
//! and adds their predictions to the newest snapshot. Tables of metrics are built by `evaluate`.

use std::collections::HashMap;

use chrono::NaiveDate;
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{info_span, warn};

use crate::rfm::by_snapshot;
use crate::segment::Segmented;

mod agreement;
mod baselines;
pub mod btyd;
pub mod calibrate;
mod classifier;
mod error;
pub mod features;
mod fitted;
mod index;
mod kdtree;
pub mod kmeans;
pub mod knn;
pub mod lloyd;
pub mod metrics;
mod output;
pub mod percentiles;
pub mod point_matrix;
pub mod samples;
mod seeds;
pub mod space;
pub mod split;
pub mod string_arena;
pub mod target;
mod training;
pub mod tune;

pub use agreement::Agreement;
pub use baselines::Baseline;
pub use btyd::{Btyd, BtydParams, BtydRun, ProcessKind, Purchases};
pub use calibrate::Calibration;
pub use error::ModelError;
pub use features::{Customers, Encoding, FeatureParams, Missing, Scaling};
pub use fitted::{FittedModel, POSITIVE, Prediction, Sources};
pub use index::Metric;
pub use kmeans::{ClusterModel, Clustered, KmeansParams};
pub use knn::{Balance, Source, Vote, Voting, Weights};
pub use percentiles::Distributions;
pub use samples::Samples;
pub use string_arena::{Labels, StringArena};
pub use target::{Target, TrainingContext};
pub use tune::{CandidateScore, SelectionMetric, Tuning};

use training::Trainer;

/// Validated options of one KNN model.
#[derive(Debug, Clone)]
pub struct ModelParams {
    /// Prefix of the output columns.
    pub name: String,
    pub target: Target,
    /// Whether the options alone show that the labels are a function of the features.
    pub circular: bool,
    /// At least one.
    pub features: Vec<FeatureParams>,
    /// Used if the target has a horizon.
    pub pairs: TrainingPairs,
    pub k: K,
    pub voting: Voting,
    pub calibration: Calibration,
    /// Confidence below which the label is null.
    pub abstain: Option<f64>,
    /// Share of each label's customers to hold out, within 0..1. Unused if the target has a
    /// horizon.
    pub holdout: f64,
    pub seed: u64,
}

/// Pairs of snapshots that a forecast trains on: features at the earlier, labels at the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingPairs {
    /// At least 1.
    pub count: u32,
    /// Days between two pairs.
    pub every: u32,
}

impl ModelParams {
    /// Dates of the training features, newest first, for a model that is applied at `date`. They
    /// are at least one horizon earlier, so that all labels are known at that date.
    fn feature_dates(&self, date: NaiveDate) -> impl Iterator<Item = NaiveDate> {
        let TrainingPairs { count, every } = self.pairs;
        let horizon = self.target.horizon();
        let back =
            move |pair: u32| horizon.and_then(|days| target::before(date, days + pair * every));
        (0..count).map_while(back)
    }

    /// The snapshots before `date` that are needed to fit and evaluate the model at `date`.
    pub fn earlier_snapshots(&self, date: NaiveDate) -> Vec<NaiveDate> {
        let Some(horizon) = self.target.horizon() else { return Vec::new() };
        let tested = target::before(date, horizon);
        let features = self.feature_dates(date).chain(
            tested.into_iter().flat_map(|tested| self.feature_dates(tested).collect::<Vec<_>>()),
        );
        let with_labels = features.flat_map(|from| {
            let later = matches!(self.target, Target::SegmentIn(_));
            [Some(from), later.then(|| target::after(from, horizon))]
        });
        let mut dates: Vec<NaiveDate> =
            with_labels.flatten().filter(|other| *other < date).collect();
        dates.sort();
        dates.dedup();
        dates
    }
}

/// A number of neighbours, or candidates for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum K {
    /// A fixed number.
    Fixed(#[schemars(range(min = 1, max = 100_000))] usize),
    /// Chosen by cross-validation; the candidates are distinct and ascending.
    Tuned(Tuning),
    /// The default: this number, but at most a tenth of the training customers.
    #[serde(skip)]
    AtMost(usize),
}

#[derive(Default)]
pub struct Assigned {
    /// The table of `Segmented` with more columns a model. Of a BTYD model: `<model>_alive`,
    /// `<model>_purchases`, `<model>_purchase_value`, `<model>_spend` and `<model>_clv`, all f64.
    /// Of the others: `<model>_label` text, and `<model>_confidence`, `<model>_margin` and
    /// `<model>_novelty` f64. They are null in all snapshots but the newest. Labels are also null
    /// if the model abstains.
    pub frame: DataFrame,
    pub evaluation_runs: Vec<EvaluationRun>,
    /// Scores of the candidates for k by model name. Models with a fixed k have none.
    pub tuned: Vec<(String, Vec<CandidateScore>)>,
    /// The final models, fitted to all labelled customers.
    pub trained: Vec<FittedModel>,
    /// Sources of the predictions for the newest snapshot, in the order of `trained`.
    pub sources: Vec<Sources>,
    pub clustered: Vec<Clustered>,
    pub btyd: Vec<BtydRun>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// On held-out customers, with labels that are a function of the features: high metrics only
    /// show that neighbours reproduce the rules.
    Recovery,
    /// On held-out customers, with independent labels.
    Holdout,
    /// Fitted to an earlier pair of snapshots, evaluated on a later pair.
    OutOfTime,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Recovery, Self::Holdout, Self::OutOfTime];

    pub fn name(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::Holdout => "holdout",
            Self::OutOfTime => "out_of_time",
        }
    }
}

/// Predictions of a model for customers or a period outside its training set.
#[derive(Debug, Clone)]
pub struct EvaluationRun {
    pub model: String,
    pub protocol: Protocol,
    /// Snapshot of the labels.
    pub snapshot: NaiveDate,
    /// Whether it is the newest snapshot, not one of a backtest.
    pub is_newest: bool,
    pub labels: Vec<String>,
    /// True label code of each customer.
    pub actual: Vec<usize>,
    /// In the order of `actual`.
    pub predictions: Vec<Prediction>,
    /// Probability of each label, in the order of `actual`.
    pub probabilities: Vec<Vec<f64>>,
    pub baselines: Vec<Baseline>,
    /// Confidence below which the label is null.
    pub abstain: Option<f64>,
    /// `None` if smartcore classifies.
    pub agreement: Option<Agreement>,
    pub seed: u64,
}

/// Clusters the newest snapshot, trains and evaluates each model, and predicts the newest snapshot.
/// Fails on too few customers, missing values of required features, and too short a history.
pub fn assign(
    models: &[ModelParams],
    clusterings: &[KmeansParams],
    btyd: &[BtydParams],
    segmented: &Segmented,
    context: &TrainingContext<'_>,
) -> Result<Assigned, ModelError> {
    let mut assigned = Assigned { frame: segmented.frame.clone(), ..Assigned::default() };
    let mut clusters: HashMap<String, Labels> = HashMap::new();
    for params in clusterings {
        let _span = info_span!("fit", model = params.name.as_str()).entered();
        let clustered = kmeans::cluster(params, &context.newest)?;
        let share = clustered.chosen_clustering().largest_share();
        if share >= kmeans::DOMINANT_SHARE {
            warn!(
                clustering = params.name,
                share,
                "one cluster contains nearly all customers; use other features or another `k`"
            );
        }
        clustered.model.add_columns(&mut assigned.frame, &context.newest)?;
        clusters.insert(params.name.clone(), clustered.labels());
        assigned.clustered.push(clustered);
    }
    for params in models {
        let _span = info_span!("fit", model = params.name.as_str()).entered();
        Trainer { params, context, clusters: &clusters }.train(&mut assigned)?;
    }
    for params in btyd {
        let _span = info_span!("fit", model = params.name.as_str()).entered();
        let Assigned { frame, btyd, .. } = &mut assigned;
        btyd.push(btyd::run(params, context, frame)?);
    }
    Ok(assigned)
}

/// Date and rows of the newest snapshot. A table without snapshots is an error.
pub fn newest(segmented: &Segmented) -> PolarsResult<(NaiveDate, DataFrame)> {
    by_snapshot(&segmented.frame)?.pop().ok_or_else(|| polars_err!(ComputeError: "no snapshot"))
}
