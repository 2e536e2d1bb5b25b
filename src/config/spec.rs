//! The YAML's shape: a plain mirror of a pipeline file.
//!
//! Each doc comment here is the reference that a user reads: it goes into the JSON Schema as it stands. Keys that the
//! schema requires have a default all the same, so that a file that lacks one can be read on for further problems. What is said
//! here is unchecked; [`super::compile`] is the one door to the checked types.
//!
#![doc = include_str!("../../config/pipeline.options.md")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks_spec::CheckSpec;
use super::clean_spec::CleanStepSpec;
use super::engine_spec::EngineSpec;
use super::ingest_spec::IngestSpec;
use super::model_spec::ModelSpec;
use super::score_spec::ScoreSpec;

/// One customer-segmentation pipeline: from raw transactions to named segments.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["name", "ingest", "segment", "publish"]))]
pub struct PipelineSpec {
    /// Name of the pipeline: letters, digits, `_` and `-`.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// Where the transactions are and what their columns mean.
    #[serde(default)]
    pub ingest: IngestSpec,
    /// Steps that reject lines, in order; the first step that objects to a line gives the reason.
    #[serde(default)]
    #[schemars(length(max = 30))]
    pub clean: Vec<CleanStepSpec>,
    /// What has to hold of the lines before anything is published. All checks run; one that fails fails the run.
    #[serde(default)]
    pub checks: Vec<CheckSpec>,
    /// What recency, frequency and monetary value are, and at which dates.
    #[serde(default)]
    pub rfm: RfmSpec,
    /// How values become scores from 1 to n.
    #[serde(default)]
    pub score: ScoreSpec,
    /// How scores become named segments.
    #[serde(default)]
    pub segment: SegmentSpec,
    /// Models by name, KNN or K-Means; the name heads the columns of the model's output.
    #[serde(default)]
    #[schemars(extend("allOf" = [{ "propertyNames": { "pattern": "^[A-Za-z0-9_]+$" } }]))]
    pub models: BTreeMap<String, ModelSpec>,
    /// Further tables about the results.
    #[serde(default)]
    pub evaluate: EvaluateSpec,
    /// Where the results go.
    #[serde(default)]
    pub publish: PublishSpec,
    /// What computes: this machine, where nothing is said.
    #[serde(default)]
    pub engine: EngineSpec,
}

/// What recency, frequency and monetary value are, and at which dates.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RfmSpec {
    /// The dates to look back from: `last` (the day after the last accepted line), one date, a list of dates, or a grid such as
    /// `{ every: 1mo, from: 2011-06-01, until: last }`. A date is exclusive: only what happened before it counts, so the end of
    /// August is 2011-09-01. All of them come from one scan.
    #[serde(default)]
    pub snapshots: SnapshotsSpec,
    /// What frequency counts: distinct `orders`, distinct `days` with an order, `lines`, or `units`.
    #[serde(default)]
    pub frequency: Frequency,
    /// What monetary value is: money spent less what was returned (`net`; `gross` where `cancellations` keeps returns
    /// apart), `gross`, or that money by order (`mean_per_order`) or by day with an order (`mean_per_day`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monetary: Option<MonetarySpec>,
    /// How far back from a snapshot lines count: `all`, or a number of days such as `365d`. Who has no line within it is not in the
    /// snapshot.
    #[serde(default = "all")]
    #[schemars(regex(pattern = "^(all|[1-9][0-9]{0,4}d)$"))]
    pub window: String,
    /// Further columns of the segments: `tenure_days` since the first line; `mean_gap_days` and `gap_days_std`, mean and sample standard deviation of
    /// the days between days with a purchase; `average_order_value`; `n_products`, distinct products bought, not with a window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<FeatureSpec>,
    /// Shares of what was done in one stretch of time before the snapshot that was done in a shorter one: `{ of: monetary, recent: 30d, over: 180d }` is the
    /// column `monetary_30d_of_180d`, null for customers who did nothing in the longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ratios: Vec<RatioSpec>,
    /// Adds the shares of each customer's purchases, by money, in the so many categories that sold most at the snapshot:
    /// `category_1_share` and on; `top_categories.parquet` names them.
    #[serde(default)]
    #[schemars(range(max = 50))]
    pub top_categories: u8,
    /// Leaves out customers whose first line lies less than so many days before the snapshot.
    #[serde(default)]
    pub min_history_days: u32,
}

impl Default for RfmSpec {
    fn default() -> Self {
        let (snapshots, frequency) = (SnapshotsSpec::default(), Frequency::default());
        Self {
            snapshots,
            frequency,
            monetary: None,
            window: all(),
            features: Vec::new(),
            ratios: Vec::new(),
            top_categories: 0,
            min_history_days: 0,
        }
    }
}

/// A further column of the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum FeatureSpec {
    TenureDays,
    MeanGapDays,
    GapDaysStd,
    AverageOrderValue,
    NProducts,
}

/// What was done in a shorter stretch of time as a share of a longer one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["of", "recent", "over"]))]
pub struct RatioSpec {
    /// `monetary` (money less returns) or `frequency` (orders).
    #[serde(default)]
    pub of: RatioOf,
    /// The shorter, such as `30d`.
    #[serde(default)]
    #[schemars(regex(pattern = "^[1-9][0-9]{0,4}d$"))]
    pub recent: String,
    /// The longer, such as `180d`.
    #[serde(default)]
    #[schemars(regex(pattern = "^[1-9][0-9]{0,4}d$"))]
    pub over: String,
}

/// What a ratio is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum RatioOf {
    #[default]
    Monetary,
    Frequency,
}

impl RatioOf {
    /// The name as the YAML has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monetary => crate::columns::MONETARY,
            Self::Frequency => crate::columns::FREQUENCY,
        }
    }
}

/// What monetary value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum MonetarySpec {
    Net,
    Gross,
    MeanPerOrder,
    MeanPerDay,
}

/// One date, several, or a grid of dates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SnapshotsSpec {
    /// `last`, or a date such as 2011-12-10.
    One(#[schemars(extend("allOf" = [or_last()]))] String),
    /// Several dates.
    Many(#[schemars(length(min = 1), extend("allOf" = [{ "items": or_last() }]))] Vec<String>),
    /// Dates at even steps.
    Grid(GridSpec),
}

/// Dates at even steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["every", "from"]))]
pub struct GridSpec {
    /// From one date to the next: a number of days (`1d`), weeks (`1w`), months (`1mo`) or quarters (`1q`).
    #[serde(default)]
    #[schemars(regex(pattern = "^[1-9][0-9]{0,2}(d|w|mo|q)$"))]
    pub every: String,
    /// The first date.
    #[serde(default)]
    #[schemars(extend("allOf" = [{ "format": "date" }]))]
    pub from: String,
    /// The date that none lies after, or `last`: then the day after the last accepted line is the last one, on the grid or off it.
    #[serde(default = "last")]
    #[schemars(extend("allOf" = [or_last()]))]
    pub until: String,
}

impl Default for SnapshotsSpec {
    fn default() -> Self {
        Self::One(last())
    }
}

/// What frequency counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum Frequency {
    #[default]
    Orders,
    Days,
    Lines,
    Units,
}

/// How scores become named segments.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["map"]))]
pub struct SegmentSpec {
    /// Path of the segment map, relative to this file.
    #[serde(default)]
    pub map: String,
    /// Whether the segments say why each customer is where it is: the `rule` that named the segment, and for each dimension what its value
    /// would have to change by for the next better score (`frequency_to_next`) and the segment that it would then be in
    /// (`frequency_next_segment`).
    #[serde(default)]
    pub why: bool,
}

/// Further tables about the results.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateSpec {
    /// Whether `sensitivity.parquet` is made: how many customers, and how much money, would get another score and another segment if
    /// frequency or monetary value were defined another way.
    #[serde(default)]
    pub sensitivity: bool,
    /// Whether `validity.parquet` is made: for each segment, who bought and how much in the time after the snapshot, with intervals.
    /// Measured at the published snapshots after which the source goes on long enough, and at the one whose time ends with the
    /// newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<ValiditySpec>,
    /// What has to hold for the results to be shown to readers: a figure and its bound, such as
    /// `drift.segment.moved: "<= 0.4"` (of the newest snapshot: `drift`, then `recency_days`, `frequency`, `monetary` or `segment`, then `psi`
    /// or `moved`), or `forecast.out_of_time.macro_f1: ">= 0.22"` (model, protocol, metric). A gate that fails exits with 1 and leaves everything under `runs/<run_id>.failed`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gates: BTreeMap<String, String>,
    /// Allows gates on `recovery`, which says only how well a model re-learns the rules that its labels were made by.
    #[serde(default)]
    pub allow_circular: bool,
}

/// How validity is measured.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["horizon"]))]
pub struct ValiditySpec {
    /// How much time after a snapshot is looked at, in days: `91d`.
    #[serde(default)]
    #[schemars(regex(pattern = "^[1-9][0-9]{0,3}d$"))]
    pub horizon: String,
    /// How often customers are drawn anew for the 95 % intervals.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 100_000))]
    pub resamples: u32,
    /// Seed of the draws.
    #[serde(default = "seed")]
    pub seed: u64,
}

/// Where the results go.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["to"]))]
pub struct PublishSpec {
    /// Folder of the results, relative to this file; `current` in it points at the newest complete run. Or a place in an object store
    /// (`s3://bucket/folder`, `gs://`, `az://`), where `manifest.json` names the newest complete run, and is written last.
    #[serde(default)]
    pub to: String,
    /// What `rejects.parquet` keeps of a rejected row besides step, reason, file, row and the text of a cell that cannot be
    /// parsed: nothing (`reasons`), the mapped columns (`mapped`), or every column of the source under `raw_` and its name
    /// (`raw`).
    #[serde(default)]
    pub rejects: RejectsSpec,
    /// How many runs stay in the folder, the one that readers see among them; the oldest others go when a run is published. All stay
    /// where it is left out. Not less than 2, so that whoever reads a run can read it to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub keep_runs: Option<usize>,
}

/// What is kept of a rejected row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum RejectsSpec {
    #[default]
    Reasons,
    Mapped,
    Raw,
}

/// A date, or `last`.
fn or_last() -> serde_json::Value {
    serde_json::json!({ "anyOf": [{ "const": "last" }, { "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }] })
}
fn last() -> String {
    "last".to_owned()
}
fn all() -> String {
    "all".to_owned()
}
fn thousand() -> u32 {
    1000
}
fn seed() -> u64 {
    7
}
