//! The shape of `engine`, unchecked, as `spec` is that of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spark::SparkParams;

/// What computes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineSpec {
    /// A Spark cluster, by Spark Connect; for programs that are built with the feature `spark`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spark: Option<SparkSpec>,
}

/// A Spark cluster. It has to see the files of `ingest` and the folder of `publish` by the paths by which this machine sees them. What has
/// no form in SQL that gives the same numbers is refused by name before anything runs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["remote"]))]
pub struct SparkSpec {
    /// The server, Spark 4 or Sail: `sc://host:15002`, and behind `/;` what else its clients are told, such as `use_ssl=true;token=${TOKEN}`.
    #[serde(default)]
    #[schemars(regex(pattern = "^sc://[^/]+(/(;.*)?)?$"))]
    pub remote: String,
    /// Customers that models are fitted to, on this machine: of each segment its share, at least one, by the hash of their ids.
    #[serde(default = "sample")]
    #[schemars(range(min = 100, max = 1_000_000))]
    pub sample: u32,
    /// Seed of the hash.
    #[serde(default = "seed")]
    pub seed: u64,
    /// This program on the nodes of the cluster, which pipe customers through it where models look at more than scores.
    #[serde(default = "binary")]
    #[schemars(length(min = 1))]
    pub binary: String,
}

impl EngineSpec {
    /// The cluster, where there is one. What its options may be the schema says.
    pub(super) fn cluster(&self) -> Option<SparkParams> {
        let SparkSpec { remote, sample, seed, binary } = self.spark.clone()?;
        Some(SparkParams { remote, sample, seed, binary })
    }
}

fn sample() -> u32 {
    20_000
}
fn seed() -> u64 {
    7
}
fn binary() -> String {
    "custseg".to_owned()
}
