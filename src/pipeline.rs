//! The checked definition of a pipeline. Only `config` creates it, so that nothing in it is checked
//! again.

use std::path::PathBuf;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checks::Check;
use crate::clean::Step;
use crate::evaluate::gates::Gate;
use crate::evaluate::{
    CohortParams, SilhouetteMode, StabilityParams, UpliftParams, ValidityParams,
};
use crate::ingest::IngestParams;
use crate::model::{BtydParams, KmeansParams, ModelParams};
use crate::publish::PublishParams;
use crate::rfm::RfmParams;
use crate::score::ScoreParams;
use crate::segment::SegmentMap;

#[derive(Debug, Clone)]
pub struct Pipeline {
    pub name: String,
    pub ingest: IngestParams,
    /// Steps of `clean`, in order.
    pub clean: Vec<Step>,
    /// Checks of lines, including the maximum shares that steps may reject.
    pub checks: Vec<Check>,
    pub rfm: RfmParams,
    pub score: ScoreParams,
    pub segment: SegmentMap,
    /// Whether `segments` has columns that explain each customer's segment.
    pub why: bool,
    /// KNN models of `models`.
    pub models: Vec<ModelParams>,
    /// Clusterings of `models`.
    pub clusterings: Vec<KmeansParams>,
    /// BTYD models of `models`.
    pub btyd: Vec<BtydParams>,
    /// Whether alternative definitions of frequency and monetary value are evaluated.
    pub sensitivity: bool,
    pub validity: Option<ValidityParams>,
    pub silhouettes: SilhouetteMode,
    pub stability: Option<StabilityParams>,
    pub cohorts: Option<CohortParams>,
    pub uplift: Vec<UpliftParams>,
    /// Earlier dates at which forecasts are evaluated, too. Ascending.
    pub backtests: Vec<NaiveDate>,
    pub gates: Vec<Gate>,
    pub publish: PublishParams,
    /// The cluster that computes instead of this machine.
    pub engine: Option<SparkParams>,
    /// Everything that the numbers depend on, as JSON.
    pub definition: Value,
    /// The pipeline without its paths, for the artefact.
    pub portable: PortablePipeline,
    /// How the source is read, as JSON: columns, formats and marks, without paths.
    pub reading: Value,
}

/// A pipeline without the paths of its sources, with the files that it needs besides them.
#[derive(Debug, Clone, PartialEq)]
pub struct PortablePipeline {
    /// The pipeline as JSON, which is YAML, too.
    pub pipeline: Value,
    pub map: Value,
    /// Exchange rates and labels, by their names in the artefact.
    pub files: Vec<(String, PathBuf)>,
}

/// A Spark cluster. It must reach the files of `ingest` and the folder of `publish` under the same
/// paths as this machine. Options without an equivalent in SQL are reported before the run starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["remote"]))]
pub struct SparkParams {
    /// Spark Connect URL of the server (Spark 4 or Sail), such as `sc://host:15002`. Connection
    /// parameters follow `/;`, such as `sc://host:15002/;use_ssl=true;token=${TOKEN}`.
    #[schemars(regex(pattern = "^sc://[^/]+(/(;.*)?)?$"))]
    pub remote: String,
    /// Number of customers that models are fitted to, on this machine. The sample is stratified by
    /// segment, with at least one customer each, and drawn by a hash of the customer id.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub sample: u32,
    /// Seed of the sampling hash.
    pub seed: u64,
    /// Path of the `custseg` program on the cluster nodes. Spark pipes customers through it if a
    /// model uses more than scores.
    #[schemars(length(min = 1))]
    pub binary: String,
}

impl Default for SparkParams {
    fn default() -> Self {
        Self { remote: String::new(), sample: 20_000, seed: 7, binary: "custseg".to_owned() }
    }
}

impl Pipeline {
    /// Hash of everything that the numbers depend on.
    pub fn definition_hash(&self) -> String {
        blake3::hash(self.definition.to_string().as_bytes()).to_hex().to_string()
    }
}
