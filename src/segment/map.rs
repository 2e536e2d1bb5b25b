//! Segment maps: ordered rules that assign score codes to segments.

use polars::prelude::Expr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Scores of recency, frequency and monetary value.
pub(crate) type Code = [u8; 3];

/// A checked map: its rules refer to its own segments and bins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentMap {
    pub name: String,
    /// Number of bins that the rules assume.
    pub bins: u8,
    /// The segments, in the order of the result tables.
    pub segments: Vec<SegmentDef>,
    /// Rules in order. The first match wins.
    pub rules: Vec<Rule>,
    /// Index of the segment of codes that no rule matches.
    pub otherwise: Option<usize>,
}

/// One segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "description", "action"]))]
pub struct SegmentDef {
    /// Name of the segment in the results.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Description of the customers, in one sentence.
    pub description: String,
    /// Recommended action, in one sentence.
    pub action: String,
}

/// A segment with conditions, all of which must be true.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    pub segment: usize,
    /// Inclusive ranges of the recency, frequency and monetary scores.
    pub ranges: [[u8; 2]; 3],
    /// Inclusive range of the sum of the frequency and monetary scores, twice their mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fm_sum: Option<[u8; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codes: Option<Vec<Code>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
}

/// A predicate on the values behind the scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Values {
    /// The predicate as the user wrote it.
    pub sql: String,
    /// The predicate over the columns of the snapshots.
    #[serde(skip)]
    pub holds: Expr,
}

impl Rule {
    /// Whether the rule matches a code, regardless of its predicate on values.
    pub fn matches(&self, code: Code) -> bool {
        let [_, f, m] = code;
        let is_within = |[low, high]: [u8; 2], score: u8| (low..=high).contains(&score);
        self.ranges.into_iter().zip(code).all(|(range, score)| is_within(range, score))
            && self.fm_sum.is_none_or(|range| is_within(range, f + m))
            && self.codes.as_ref().is_none_or(|codes| codes.contains(&code))
    }
}

impl SegmentMap {
    pub fn name_of(&self, segment: usize) -> &str {
        &self.segments[segment].name
    }

    /// Index of the segment of a code: that of the first matching rule without a predicate on
    /// values, else `otherwise`.
    pub fn segment_of(&self, code: Code) -> Option<usize> {
        let decides = |rule: &&Rule| rule.values.is_none() && rule.matches(code);
        self.rules.iter().find(decides).map(|rule| rule.segment).or(self.otherwise)
    }

    /// Every code of the map's bins, starting with 1-1-1.
    pub fn codes(&self) -> impl Iterator<Item = Code> + use<> {
        let n = self.bins;
        (1..=n).flat_map(move |r| (1..=n).flat_map(move |f| (1..=n).map(move |m| [r, f, m])))
    }

    /// A code as in the column `rfm_code`.
    pub fn code_text(&self, code: Code) -> String {
        let separator = if self.bins > 9 { "-" } else { "" };
        code.map(|score| score.to_string()).join(separator)
    }
}
