//! The YAML's shape: a plain mirror of a pipeline file.
//!
//! Each doc comment here is the reference that a user reads: it goes into the JSON Schema as it stands. Keys that the
//! schema requires have a default all the same, so that a file that lacks one can be read on for further problems. What is said
//! here is unchecked; [`super::compile`] is the one door to the checked types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clean_spec::CleanStepSpec;

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
    pub clean: Vec<CleanStepSpec>,
    /// What recency, frequency and monetary value are, and at which dates.
    #[serde(default)]
    pub rfm: RfmSpec,
    /// How values become scores from 1 to n.
    #[serde(default)]
    pub score: ScoreSpec,
    /// How scores become named segments.
    #[serde(default)]
    pub segment: SegmentSpec,
    /// KNN models by name; the name heads the columns of the model's output.
    #[serde(default)]
    pub models: BTreeMap<String, ModelSpec>,
    /// Where the results go.
    #[serde(default)]
    pub publish: PublishSpec,
}

/// Where the transactions are and what their columns mean.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["transactions"]))]
pub struct IngestSpec {
    /// The transactions: one row an order line, or one row a purchase.
    #[serde(default)]
    pub transactions: TransactionsSpec,
    /// The store's time zone by its IANA name, such as `Europe/London`: a day is this zone's day. Timestamps without
    /// a zone already are local to it; those with one are converted.
    #[serde(default = "utc")]
    pub timezone: String,
    /// How money is counted.
    #[serde(default)]
    pub money: MoneySpec,
}

/// One set of transaction files that share their columns.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["paths", "columns"]))]
pub struct TransactionsSpec {
    /// Files, folders or globs, relative to this file; the suffix tells the format (`.csv`, `.csv.gz`, `.csv.zst`, `.parquet`, `.xlsx`),
    /// and one run does not mix formats.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// How CSV is written; of a workbook, only the formats of dates that it holds as text; not used for Parquet.
    #[serde(default)]
    pub csv: CsvSpec,
    /// Which source column holds what.
    #[serde(default)]
    pub columns: ColumnsSpec,
}

/// How CSV is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvSpec {
    /// The character between two fields.
    #[serde(default = "comma")]
    #[schemars(length(min = 1, max = 1))]
    pub separator: String,
    /// Encoding of the text.
    #[serde(default)]
    pub encoding: EncodingSpec,
    /// What becomes of rows that cannot be parsed: too few or too many fields, bytes that are no text, dates and numbers that
    /// are none. `reject` sends them to the rejects with their text, `fail` fails the run.
    #[serde(default)]
    pub on_bad_row: OnBadRowSpec,
    /// The mark between a whole number and its fraction: `.` or `,`.
    #[serde(default = "point")]
    #[schemars(length(min = 1, max = 1))]
    pub decimal: String,
    /// The mark between groups of three digits, where numbers have one: `,`, `.`, `'` or a space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1))]
    pub thousands: Option<String>,
    /// Currency signs that stand before or after numbers, such as £.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currency_signs: Vec<String>,
    /// Formats of dates and times, tried in this order, in the notation of strftime. `%d`, `%m` and `%H` also read
    /// numbers without a leading zero. A moment that two of them read differently, as 03/04/2011 with day and month in
    /// either order, fails the run.
    #[serde(default = "iso_formats")]
    #[schemars(length(min = 1))]
    pub datetime_formats: Vec<String>,
}

impl Default for CsvSpec {
    fn default() -> Self {
        Self {
            separator: comma(),
            encoding: EncodingSpec::default(),
            on_bad_row: OnBadRowSpec::default(),
            decimal: point(),
            thousands: None,
            currency_signs: Vec::new(),
            datetime_formats: iso_formats(),
        }
    }
}

/// Encoding of CSV text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum EncodingSpec {
    #[default]
    Utf8,
    Latin1,
    #[serde(rename = "windows_1252")]
    Windows1252,
}

/// What becomes of rows that cannot be parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum OnBadRowSpec {
    #[default]
    Reject,
    Fail,
}

/// Which source column holds what. Money is either `quantity` and `unit_price`, or `amount`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["customer_id", "ordered_at"]))]
pub struct ColumnsSpec {
    /// Who bought.
    #[serde(default)]
    pub customer_id: String,
    /// The order that a line belongs to. Without it an order is all that a customer buys on one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// When the line was bought: a date or a date and time.
    #[serde(default)]
    pub ordered_at: String,
    /// What was bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// Units of the line, a whole number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Price of one unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<String>,
    /// Value of the line, in place of quantity and price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
}

/// How money is counted: in whole minor units, so that sums are exact.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoneySpec {
    /// Decimal places of the finest price or amount; a finer one is rejected.
    #[serde(default = "two")]
    #[schemars(range(max = 6))]
    pub scale: u8,
    /// ISO code of the currency, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

impl Default for MoneySpec {
    fn default() -> Self {
        Self { scale: two(), currency: None }
    }
}

/// What recency, frequency and monetary value are, and at which dates.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RfmSpec {
    /// The dates to look back from: `last` (the day after the last accepted line), one date, or a list of dates. A
    /// date is exclusive: only what happened before it counts, so the end of August is 2011-09-01.
    #[serde(default)]
    pub snapshots: SnapshotsSpec,
    /// What frequency counts: distinct `orders`, distinct `days` with an order, `lines`, or `units`.
    #[serde(default)]
    pub frequency: Frequency,
}

/// One date or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SnapshotsSpec {
    /// `last`, or a date such as 2011-12-10.
    One(String),
    /// Several dates.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

impl Default for SnapshotsSpec {
    fn default() -> Self {
        Self::One("last".to_owned())
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

/// How values become scores from 1 to n.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreSpec {
    /// Number of bins a dimension, and so the best score.
    #[serde(default = "five")]
    #[schemars(range(min = 2, max = 10))]
    pub bins: u8,
    /// `quantile`: cut points at i/n by linear interpolation (type 7); a value equal to a cut point takes the lower
    /// bin, so equal values always share a score. `r_rfm`: as the R package rfm does it, the quantile plus one, and a
    /// value equal to a cut point takes the upper bin.
    #[serde(default)]
    pub method: ScoreMethod,
}

impl Default for ScoreSpec {
    fn default() -> Self {
        Self { bins: five(), method: ScoreMethod::default() }
    }
}

/// How cut points are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum ScoreMethod {
    #[default]
    Quantile,
    RRfm,
}

/// How scores become named segments.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["map"]))]
pub struct SegmentSpec {
    /// Path of the segment map, relative to this file.
    #[serde(default)]
    pub map: String,
}

/// One KNN model.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// What the model learns: `segment`, the customer's segment at the same snapshot.
    #[serde(default)]
    pub target: Target,
    /// Columns to measure distance in, each as log1p and then standardised on the training customers.
    #[serde(default = "rfm_features")]
    #[schemars(length(min = 1))]
    pub features: Vec<String>,
    /// Number of neighbours that vote.
    #[serde(default = "fifteen")]
    #[schemars(range(min = 1, max = 100_000))]
    pub k: u32,
    /// `distance` weighs a vote by 1/distance (an exact match outvotes all others), `uniform` weighs all alike.
    #[serde(default)]
    pub weights: Weights,
    /// Share of each label's customers that is held out to measure the model.
    #[serde(default = "fifth")]
    #[schemars(range(min = 0.01, max = 0.9))]
    pub holdout: f64,
    /// Seed of the hash of customer_id that chooses the held-out customers.
    #[serde(default = "seed")]
    pub seed: u64,
}

/// What a model learns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum Target {
    #[default]
    Segment,
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

/// Where the results go.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["to"]))]
pub struct PublishSpec {
    /// Folder of the results, relative to this file; `current` in it points at the newest complete run.
    #[serde(default)]
    pub to: String,
    /// What `rejects.parquet` keeps of a rejected row besides step, reason, file, row and the text of a cell that cannot be
    /// parsed: nothing (`reasons`), the mapped columns (`mapped`), or every column of the source under `raw_` and its name
    /// (`raw`).
    #[serde(default)]
    pub rejects: RejectsSpec,
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

fn utc() -> String {
    "UTC".to_owned()
}
fn point() -> String {
    ".".to_owned()
}
fn comma() -> String {
    ",".to_owned()
}
fn iso_formats() -> Vec<String> {
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"].map(str::to_owned).to_vec()
}
fn rfm_features() -> Vec<String> {
    use crate::columns::{FREQUENCY, MONETARY, RECENCY_DAYS};
    [RECENCY_DAYS, FREQUENCY, MONETARY].map(str::to_owned).to_vec()
}
fn two() -> u8 {
    2
}
fn five() -> u8 {
    5
}
fn fifteen() -> u32 {
    15
}
fn fifth() -> f64 {
    0.2
}
fn seed() -> u64 {
    7
}
