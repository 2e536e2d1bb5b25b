//! Segment maps: ordered rules over scores, and what they leave uncovered.

use polars::prelude::Expr;
use serde::{Serialize, Serializer};

/// Scores of recency, frequency and monetary value.
pub type Code = [u8; 3];

/// A checked map: its rules name its own segments and lie within its bins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentMap {
    /// Name of the map.
    pub name: String,
    /// Bins that the rules are written for.
    pub bins: u8,
    /// The segments, in the order in which tables show them.
    pub segments: Vec<SegmentDef>,
    /// Rules in order; the first that matches wins.
    pub rules: Vec<Rule>,
    /// Index of the segment of codes that no rule matches.
    pub otherwise: Option<usize>,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentDef {
    /// The name that outputs show.
    pub name: String,
    /// Who these customers are.
    pub description: String,
    /// What to do about them.
    pub action: String,
}

/// Customers that belong to one segment: those for whom all that is said holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// Index of the segment.
    pub segment: usize,
    /// Inclusive ranges of the recency, frequency and monetary score.
    pub ranges: [[u8; 2]; 3],
    /// Inclusive range of the sum of the frequency and the monetary score: twice their mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fm_sum: Option<[u8; 2]>,
    /// The codes that are meant, where they are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codes: Option<Vec<Code>>,
    /// What the customer's values have to fulfil besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
}

/// A condition on the values behind the scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// What the user wrote.
    pub sql: String,
    /// The condition over the columns of the snapshots.
    pub holds: Expr,
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sql.serialize(serializer)
    }
}

impl Rule {
    /// Whether the rule matches a code, as far as a code can say.
    pub fn matches(&self, code: Code) -> bool {
        let [_, f, m] = code;
        let within = self
            .ranges
            .iter()
            .zip(code)
            .all(|([low, high], score)| (*low..=*high).contains(&score));
        let mean = self.fm_sum.is_none_or(|[low, high]| (low..=high).contains(&(f + m)));
        within && mean && self.codes.as_ref().is_none_or(|codes| codes.contains(&code))
    }
}

impl SegmentMap {
    /// Name of a segment by its index.
    pub fn name_of(&self, segment: usize) -> &str {
        &self.segments[segment].name
    }

    /// Index of the segment of a code: that of the first rule that matches whatever the values are, else `otherwise`.
    pub fn segment_of(&self, code: Code) -> Option<usize> {
        let certain = self.rules.iter().filter(|rule| rule.values.is_none());
        certain
            .into_iter()
            .find(|rule| rule.matches(code))
            .map(|rule| rule.segment)
            .or(self.otherwise)
    }

    /// Every code of the map's bins, "111" first.
    pub fn codes(&self) -> impl Iterator<Item = Code> + use<> {
        let n = self.bins;
        (1..=n).flat_map(move |r| (1..=n).flat_map(move |f| (1..=n).map(move |m| [r, f, m])))
    }

    /// Codes that have no segment.
    pub fn holes(&self) -> Vec<Code> {
        self.codes().filter(|&code| self.segment_of(code).is_none()).collect()
    }

    /// A code as the tables write it.
    pub fn code_text(&self, code: Code) -> String {
        let separator = if self.bins > 9 { "-" } else { "" };
        code.map(|score| score.to_string()).join(separator)
    }
}
