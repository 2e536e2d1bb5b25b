//! The shape of a pipeline file, before its values are checked by `compile`.
//!
//! The doc comments of all `*_spec` structs are user documentation: they become the JSON Schema and
//! the options page. Required keys still have a default, so that one run reports all problems.
//!
// Enum variants carry no doc comments: documented variants would turn the schema's list of names
// into a list of schemas, which makes error messages and completions worse.
#![doc = include_str!("../../config/pipeline.options.md")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks_spec::CheckSpec;
use super::clean_spec::CleanStepSpec;
use super::ingest_spec::IngestSpec;
use super::lists::{ListSpec, UpliftSpec};
use super::model_spec::ModelSpec;
use super::score_spec::ScoreSpec;
use crate::evaluate::{CohortParams, SilhouetteMode, StabilityParams};
use crate::ingest::RejectColumns;
use crate::pipeline::SparkParams;
use crate::rfm::{Feature, Frequency, Monetary, NegativeOrders, RatioOf};

/// A customer segmentation pipeline: from raw transactions to named segments.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "ingest", "segment", "publish"]))]
pub struct PipelineSpec {
    /// Name of the pipeline: letters, digits, `_` and `-`.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// Title of the report. Default: the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 120))]
    pub title: Option<String>,
    /// Source files and the meaning of their columns.
    pub ingest: IngestSpec,
    /// Cleaning steps, applied in order. The first step that rejects a line sets its reason.
    #[schemars(length(max = 30))]
    pub clean: Vec<CleanStepSpec>,
    /// Data quality checks that run before anything is published. All checks run; the run fails if
    /// one fails.
    pub checks: Vec<CheckSpec>,
    /// Definitions of recency, frequency and monetary value, and the snapshot dates.
    pub rfm: RfmSpec,
    /// How values become scores from 1 (worst) to n (best).
    pub score: ScoreSpec,
    /// How scores become named segments.
    pub segment: SegmentOption,
    /// KNN and K-Means models by name. The name (letters, digits, `_`) prefixes the model's
    /// columns.
    #[schemars(extend("allOf" = [{ "propertyNames": { "pattern": "^[A-Za-z0-9_]+$" } }]))]
    pub models: BTreeMap<String, ModelSpec>,
    /// Additional result tables, and gates on metrics.
    pub evaluate: EvaluateSpec,
    /// Destination of the results.
    pub publish: PublishSpec,
    /// Execution engine. Default: this machine.
    pub engine: EngineSpec,
}

/// Definitions of recency, frequency and monetary value, and the snapshot dates.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RfmSpec {
    /// Snapshot dates: `last` (default, the day after the last accepted line), one date, a list of
    /// dates, or a grid such as `{ every: 1mo, from: 2011-06-01, until: last }`. Dates are
    /// exclusive: only earlier lines count, so the end of August is 2011-09-01. One scan serves all
    /// dates.
    pub snapshots: SnapshotsSpec,
    /// What frequency counts: distinct `orders` (default), distinct `days` with an order, `lines`,
    /// or `units`.
    pub frequency: Frequency,
    /// Monetary value of a customer: `net` (money spent less returns), `gross` (money spent),
    /// `mean_per_order`, or `mean_per_day` (per day with an order). Default: `net`, or `gross` if
    /// `cancellations` has the policy `separate`.
    pub monetary: Option<Monetary>,
    /// Lookback window before each snapshot: `all` (default), or a number of days such as `365d`.
    /// Customers without a line in the window are not in the snapshot.
    #[schemars(regex(pattern = "^(all|[1-9][0-9]{0,4}d)$"))]
    pub window: String,
    /// Additional columns of the segments. `tenure_days`: days since the first line.
    /// `mean_gap_days` and `gap_days_std`: mean and sample standard deviation of the days between
    /// purchase days. `n_products`: distinct products bought; requires `window: all`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// Additional columns with the share of recent activity in a longer period. For example,
    /// `{ of: monetary, recent: 30d, over: 180d }` adds `monetary_30d_of_180d`, which is null for
    /// customers without activity in the longer period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ratios: Vec<RatioSpec>,
    /// Number of best-selling categories (at the snapshot, by money) for which each customer gets
    /// their share of money: `category_1_share`, `category_2_share`, and so on. The names are in
    /// `top_categories.parquet`.
    #[schemars(range(max = 50))]
    pub top_categories: u8,
    /// The same for these categories, in this order, at every snapshot. Forecasts can use their
    /// shares as features.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub categories: Vec<String>,
    /// Minimum age of a customer in days at the snapshot, counted from the first line. Younger
    /// customers are left out.
    pub min_history_days: u32,
    /// Orders with negative money on a day that no `cancellations` step treats as returns, and
    /// returns with positive money: `fail` (default), since they would count as purchases, or
    /// `count` them.
    #[serde(skip_serializing_if = "NegativeOrders::is_default")]
    pub negative_orders: NegativeOrders,
}

impl Default for RfmSpec {
    fn default() -> Self {
        Self {
            snapshots: SnapshotsSpec::default(),
            frequency: Frequency::default(),
            monetary: None,
            window: "all".to_owned(),
            features: Vec::new(),
            ratios: Vec::new(),
            top_categories: 0,
            categories: Vec::new(),
            min_history_days: 0,
            negative_orders: NegativeOrders::default(),
        }
    }
}

/// Share of recent activity in a longer period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["of", "recent", "over"]))]
pub struct RatioSpec {
    /// What is compared: `monetary` (money less returns) or `frequency` (orders).
    pub of: RatioOf,
    /// Length of the shorter period before the snapshot, such as `30d`.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,4}d$"))]
    pub recent: String,
    /// Length of the longer period before the snapshot, such as `180d`.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,4}d$"))]
    pub over: String,
}

/// One date, several dates, or a grid of dates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SnapshotsSpec {
    /// `last`, or a date such as 2011-12-10.
    One(#[schemars(extend("allOf" = [or_last()]))] String),
    /// Several dates.
    Many(#[schemars(length(min = 1), extend("allOf" = [{ "items": or_last() }]))] Vec<String>),
    /// Evenly spaced dates.
    Grid(GridSpec),
}

/// Evenly spaced dates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["every", "from"]))]
pub struct GridSpec {
    /// Interval between two dates: days (`1d`), weeks (`1w`), months (`1mo`) or quarters (`1q`).
    #[schemars(regex(pattern = "^[1-9][0-9]{0,2}(d|w|mo|q)$"))]
    pub every: String,
    /// First date, such as 2011-06-01.
    #[schemars(extend("allOf" = [{ "format": "date" }]))]
    pub from: String,
    /// Last possible date. With `last` (default), the day after the last accepted line is added as
    /// the final snapshot, even if it is not on the grid.
    #[schemars(extend("allOf" = [or_last()]))]
    pub until: String,
}

impl Default for GridSpec {
    fn default() -> Self {
        Self { every: String::new(), from: String::new(), until: "last".to_owned() }
    }
}

impl Default for SnapshotsSpec {
    fn default() -> Self {
        Self::One("last".to_owned())
    }
}

/// A segment map by its name, or a section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SegmentOption {
    /// As `map`.
    Name(String),
    Section(SegmentSpec),
}

impl Default for SegmentOption {
    fn default() -> Self {
        Self::Section(SegmentSpec::default())
    }
}

impl SegmentOption {
    pub fn section(&self) -> SegmentSpec {
        match self {
            Self::Name(map) => SegmentSpec { map: map.clone(), why: false },
            Self::Section(section) => section.clone(),
        }
    }
}

/// How scores become named segments.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["map"]))]
pub struct SegmentSpec {
    /// Path of the segment map, relative to this file, or the name of a shipped map: `default`,
    /// `dbt_rf`, `klaviyo`, `putler`, `pymc_marketing`, `r_rfm`.
    pub map: String,
    /// Add columns that explain each customer's segment. `rule` is the number of the matching rule.
    /// `frequency_to_next` is the change that gives the next better score, and
    /// `frequency_next_segment` the segment of that score. Other dimensions have the same.
    pub why: bool,
}

/// Additional result tables, and gates on metrics.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateSpec {
    /// Write `sensitivity.parquet`: the share of customers and money that would get another score
    /// or segment under another definition of frequency or monetary value.
    pub sensitivity: bool,
    /// Write `validity.parquet`: purchases and money of each segment after the snapshot, with
    /// confidence intervals. Covers each published snapshot that is followed by a full horizon of
    /// data, and the snapshot whose horizon ends at the newest one.
    pub validity: Option<ValiditySpec>,
    /// Silhouettes of more than 10,000 customers: of a sample of 5,000 (`sample`, default), or of
    /// all (`exact`). The cost is quadratic.
    pub silhouettes: SilhouetteMode,
    /// Write `stability.parquet`: how many customers would be in another segment by the cut points
    /// of resampled customers, for as many customers as there are, a quarter and a sixteenth.
    pub stability: Option<StabilityParams>,
    /// Write `cohorts.parquet`: customers by the week, month or quarter of their first purchase, and
    /// their purchases and money in the periods after it.
    pub cohorts: Option<CohortParams>,
    /// Write `uplift.parquet`: the customers of earlier lists against their control groups, by the
    /// campaign's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub uplift: BTreeMap<String, UpliftSpec>,
    /// Evaluate forecasts at earlier dates, too, in the same scan: each is trained on the time
    /// before and tested at the date. The rows are in `metrics.parquet`.
    pub backtest: Option<BacktestSpec>,
    /// Bounds that metrics must meet before the results become current, by metric name.
    /// `drift.<dimension>.<psi or moved>` applies to the newest snapshot, for example
    /// `drift.segment.moved: "<= 0.4"`. `<model>.<protocol>.<metric>` applies to a model, for
    /// example `forecast.out_of_time.macro_f1: ">= 0.22"`. Dimensions: `recency_days`, `frequency`,
    /// `monetary`, `segment`. If a gate fails, the run exits with code 1 and its results stay in
    /// `runs/<run_id>.failed`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub gates: BTreeMap<String, String>,
    /// Allow gates on `recovery`, which only measures how well a model relearns the rules that made
    /// its labels.
    pub allow_circular: bool,
}

/// Earlier dates at which forecasts are evaluated.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["dates"]))]
pub struct BacktestSpec {
    /// Snapshots whose labels are predicted, such as [2011-06-01, 2011-09-01].
    #[schemars(length(min = 1))]
    pub dates: Vec<String>,
}

/// How validity is measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["horizon"]))]
pub struct ValiditySpec {
    /// Length of the period after a snapshot, in days, such as `91d`.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,3}d$"))]
    pub horizon: String,
    /// Number of bootstrap resamples for the 95 % intervals.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 100_000))]
    pub resamples: u32,
    /// Random seed of the resampling.
    #[serde(default = "seed")]
    pub seed: u64,
}

/// Destination of the results.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["to"]))]
pub struct PublishSpec {
    /// Destination folder, relative to this file, in which `current` points at the newest complete
    /// run. Or an object store URL (`s3://bucket/folder`, `gs://`, `az://`), in which
    /// `manifest.json` names the newest complete run and is written last.
    pub to: String,
    /// Columns of a rejected row in `rejects.parquet`. `reasons` (default): step, reason, file, row
    /// and the text of an unparsable cell. `mapped`: also the mapped columns. `raw`: also every
    /// source column as `raw_<name>`.
    pub rejects: RejectColumns,
    /// Number of runs to keep, including the current one. Publishing deletes older runs. Default:
    /// keep all runs. The minimum is 2, so that readers can finish reading the previous run. The run
    /// that the current one is compared with stays, too.
    #[schemars(range(min = 2))]
    pub keep_runs: Option<usize>,
    /// Lists of customers for mailings and platforms, which every run writes into the folder
    /// `lists`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListSpec>,
}

/// Execution engine.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSpec {
    /// Run on a Spark cluster through Spark Connect. Requires a build with the feature `spark`.
    pub spark: Option<SparkParams>,
}

/// Schema of a date, or `last`.
fn or_last() -> serde_json::Value {
    serde_json::json!({ "anyOf": [
        { "const": "last" },
        { "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" },
    ] })
}
fn thousand() -> u32 {
    1000
}
pub(super) fn seed() -> u64 {
    7
}
