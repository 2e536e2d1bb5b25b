//! The shape of a segment map's YAML, unchecked, as `spec` is that of a pipeline.
//!
#![doc = include_str!("../../config/map.options.md")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A segment map: names for score codes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["name", "bins", "segments", "rules"]))]
pub struct MapSpec {
    /// Name of the map.
    #[serde(default)]
    pub name: String,
    /// Number of bins that the rules are written for.
    #[serde(default)]
    #[schemars(range(min = 2, max = 10))]
    pub bins: u8,
    /// The segments, in the order in which tables show them.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub segments: Vec<SegmentDefSpec>,
    /// Rules in order; the first that matches a customer's scores names the segment.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub rules: Vec<RuleSpec>,
    /// The segment of codes that no rule matches; without it every code must be matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

/// One segment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["name", "description", "action"]))]
pub struct SegmentDefSpec {
    /// The name that outputs show.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub name: String,
    /// Who these customers are, in a sentence.
    #[serde(default)]
    pub description: String,
    /// What to do about them, in a sentence.
    #[serde(default)]
    pub action: String,
}

/// One rule: the segment, and what its customers fulfil, all of it: inclusive ranges [lowest, highest] of the scores, listed
/// codes, a condition on values. What is left out may be anything.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["segment"]))]
pub struct RuleSpec {
    /// Name of the segment.
    #[serde(default)]
    pub segment: String,
    /// Range of the recency score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r: Option<[u8; 2]>,
    /// Range of the frequency score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f: Option<[u8; 2]>,
    /// Range of the monetary score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m: Option<[u8; 2]>,
    /// Range of the mean of the frequency and the monetary score, such as [3.5, 5].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fm: Option<[f64; 2]>,
    /// The codes that are meant, such as ["555", "554"]; above 9 bins "10-9-10".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub codes: Option<Vec<String>>,
    /// A SQL condition on `recency_days`, `frequency` and `monetary`, such as "recency_days <= 30".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub values: Option<String>,
}
