//! The shape of a segment map file, before its values are checked.
//!
#![doc = include_str!("../../config/map.options.md")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::segment::SegmentDef;

/// A segment map: names for score codes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "bins", "segments", "rules"]))]
pub struct MapSpec {
    /// Name of the map.
    pub name: String,
    /// Number of bins that the rules assume. Must equal `score.bins`.
    #[schemars(range(min = 2, max = 10))]
    pub bins: u8,
    /// The segments, in the order of the result tables.
    #[schemars(length(min = 1))]
    pub segments: Vec<SegmentDef>,
    /// Rules, in order. The first rule that matches a customer's scores sets the segment.
    #[schemars(length(min = 1))]
    pub rules: Vec<RuleSpec>,
    /// Segment of the codes that no rule matches. Without it, the rules must match every code.
    pub otherwise: Option<String>,
}

/// One rule: a segment, and the conditions that all must be true: inclusive ranges [low, high] of
/// scores, a list of codes, a predicate on values. Omitted conditions match everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["segment"]))]
pub struct RuleSpec {
    /// Name of the segment.
    pub segment: String,
    /// Range of the recency score, such as [4, 5].
    pub r: Option<[u8; 2]>,
    /// Range of the frequency score.
    pub f: Option<[u8; 2]>,
    /// Range of the monetary score.
    pub m: Option<[u8; 2]>,
    /// Range of the mean of the frequency and monetary scores, such as [3.5, 5].
    pub fm: Option<[f64; 2]>,
    /// List of codes, such as ["555", "554"]. With more than 9 bins, scores are separated by
    /// hyphens: "10-9-10".
    #[schemars(length(min = 1))]
    pub codes: Option<Vec<String>>,
    /// SQL predicate on `recency_days`, `frequency` and `monetary`, such as "recency_days <= 30".
    #[schemars(length(min = 1))]
    pub values: Option<String>,
}
