//! The shape of `models`, unchecked, as `spec` is that of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ingest_spec::CsvSpec;

/// One model: a KNN, or with `kmeans` a clustering.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// What a KNN learns: `segment`, the customer's segment at the same snapshot (unless told otherwise); `{ segment_in: 90d }`, its
    /// segment so much later (`gone` where nothing of it lies within `rfm.window` then); `{ buys_in: 90d }`, whether it buys within that time; `{ labels: file.csv }`, labels that somebody gave to any
    /// share of the customers; `{ clusters: name }`, the clusters of a clustering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetSpec>,
    /// What customers are compared by: columns of the segments, each by its name alone, or with how it becomes a number.
    #[serde(default = "rfm_features")]
    #[schemars(length(min = 1))]
    pub features: Vec<FeatureItemSpec>,
    /// Number of neighbours that vote, 15 unless told otherwise; or `{ tune: [5, 15, 51] }`, the most of these that are as good as the best
    /// within one standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<KSpec>,
    /// `distance` (unless told otherwise) weighs a vote by 1/distance, so that an exact match outvotes all others; `uniform` weighs all alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// What is near: `euclidean` (unless told otherwise), `manhattan`, `cosine`, or `{ minkowski: 3 }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricSpec>,
    /// What votes are divided by, so that frequent labels do not win by their number: nothing (`none`, unless told otherwise), the label's share
    /// of the training customers (`prior`), or its square root (`sqrt_prior`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_balance: Option<BalanceSpec>,
    /// How confidence is calibrated on the training customers: not (`none`, unless told otherwise), by a rising line (`isotonic`), or by a
    /// logistic curve (`platt`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationSpec>,
    /// Confidence below which the model does not answer: its label is then null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub abstain: Option<f64>,
    /// Share of each label's customers that is held out to measure the model where the labels are of today; 0.2 unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01, max = 0.9))]
    pub holdout: Option<f64>,
    /// Seed of the hash of customer_id that chooses customers, and of the clusterings' starts.
    #[serde(default = "seed")]
    pub seed: u64,
    /// Makes the model a clustering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kmeans: Option<KmeansSpec>,
}

/// What a KNN learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TargetSpec {
    /// The segment at the same snapshot.
    Named(TargetName),
    /// Something else.
    Other(OtherTargetSpec),
}

/// The segment at the same snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum TargetName {
    Segment,
}

/// Something else to learn: one key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct OtherTargetSpec {
    /// The segment so many days later, such as `90d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[1-9][0-9]{0,3}d$"))]
    pub segment_in: Option<String>,
    /// Whether the customer buys within so many days, such as `90d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[1-9][0-9]{0,3}d$"))]
    pub buys_in: Option<String>,
    /// A file of labels (CSV, Parquet or Excel), relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Column of the label file that holds the customer's id; `customer_id` unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Column of the label file that holds the label; `label` unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How the label file is written, where it is CSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<Box<CsvSpec>>,
    /// The clusters of a clustering, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<String>,
}

/// A feature by its name alone, or with how it becomes a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FeatureItemSpec {
    /// A column: numbers as log1p, then standardised; `segment` and attributes of the customers one axis a value.
    Name(String),
    /// A column, and how it becomes a number.
    Full(FeatureItem),
}

/// A column, and how it becomes a number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["column"]))]
pub struct FeatureItem {
    /// Column of the segments.
    #[serde(default)]
    pub column: String,
    /// `number` (for all but `segment` and attributes of the customers), `one_hot`: one axis a value (for these), or `ordinal`: the place in `order`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encode: Option<EncodeSpec>,
    /// The values of an `ordinal` from the lowest to the highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2))]
    pub order: Option<Vec<String>>,
    /// Whether log(1 + x) is taken of a number first, mirrored below zero; it is, unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log1p: Option<bool>,
    /// How numbers and places are scaled on the training customers: `standard` (mean and standard deviation, unless told otherwise), `robust`
    /// (median and quartiles), `minmax`, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleSpec>,
    /// How much differences count beside those of other features; 1 unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.000_001, max = 1_000_000))]
    pub weight: Option<f64>,
    /// What becomes of customers without a value: `median` (unless told otherwise) puts them there, with an axis more that tells who has none;
    /// `drop` leaves them without an answer; `fail` fails the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingSpec>,
}

/// A number of neighbours, or how it is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KSpec {
    /// So many.
    Fixed(#[schemars(range(min = 1, max = 100_000))] u32),
    /// As many as prove good.
    Tuned(TuneSpec),
}

/// How a number of neighbours is found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["tune"]))]
pub struct TuneSpec {
    /// The numbers that are tried.
    #[serde(default)]
    #[schemars(length(min = 1), inner(range(min = 1, max = 100_000)))]
    pub tune: Vec<u32>,
    /// What is to be good: `accuracy`, `balanced_accuracy` or `macro_f1`.
    #[serde(default)]
    pub by: TuneBySpec,
    /// Number of folds of the stratified cross-validation.
    #[serde(default = "five")]
    #[schemars(range(min = 2, max = 20))]
    pub folds: u32,
}

/// A clustering by K-Means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KmeansSpec {
    /// Number of clusters; or `{ sweep: [1, 14] }`, the one of these at which the sum of squares bends most.
    #[serde(default)]
    pub k: ClustersSpec,
    /// How often the clustering is started anew; the best start is kept.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub restarts: u32,
}

/// A number of clusters, or those that are tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ClustersSpec {
    /// So many.
    Fixed(#[schemars(range(min = 1, max = 100))] u32),
    /// From one number to another.
    Sweep(SweepSpec),
}

impl Default for ClustersSpec {
    fn default() -> Self {
        Self::Fixed(4)
    }
}

/// Numbers of clusters that are tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["sweep"]))]
pub struct SweepSpec {
    /// The lowest and the highest.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 100)))]
    pub sweep: [u32; 2],
    /// The number that is taken, where the bend is not to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub take: Option<u32>,
}

/// How votes are weighed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum Weights {
    Uniform,
    #[default]
    Distance,
}

/// What is near.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MetricSpec {
    /// By its name.
    Named(MetricName),
    /// With its exponent.
    Minkowski(MinkowskiSpec),
}

/// What is near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum MetricName {
    Euclidean,
    Manhattan,
    Cosine,
}

/// The root of the sum of powers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["minkowski"]))]
pub struct MinkowskiSpec {
    /// The exponent, at least 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub minkowski: f64,
}

/// What votes are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum BalanceSpec {
    None,
    Prior,
    SqrtPrior,
}

/// How confidence is calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum CalibrationSpec {
    None,
    Isotonic,
    Platt,
}

/// How values become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum EncodeSpec {
    Number,
    OneHot,
    Ordinal,
}

/// How numbers are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum ScaleSpec {
    Standard,
    Robust,
    Minmax,
    None,
}

/// What becomes of customers without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum MissingSpec {
    Median,
    Drop,
    Fail,
}

/// What is to be good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum TuneBySpec {
    #[default]
    Accuracy,
    BalancedAccuracy,
    MacroF1,
}

fn rfm_features() -> Vec<FeatureItemSpec> {
    use crate::columns::{FREQUENCY, MONETARY, RECENCY_DAYS};
    [RECENCY_DAYS, FREQUENCY, MONETARY].map(|name| FeatureItemSpec::Name(name.to_owned())).to_vec()
}
fn seed() -> u64 {
    7
}
fn five() -> u32 {
    5
}
fn ten() -> u32 {
    10
}
