//! Segment maps: ordered rules over score ranges, and what they leave uncovered.

use serde::Serialize;

/// A checked map: its rules name its own segments and lie within its bins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// A box of score codes that belongs to one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Index of the segment.
    pub segment: usize,
    /// Inclusive ranges of the recency, frequency and monetary score.
    pub ranges: [[u8; 2]; 3],
}

impl Rule {
    /// Whether the rule matches a code.
    pub fn matches(&self, code: [u8; 3]) -> bool {
        self.ranges.iter().zip(code).all(|([low, high], score)| (*low..=*high).contains(&score))
    }
}

impl SegmentMap {
    /// Name of a segment by its index.
    pub fn name_of(&self, segment: usize) -> &str {
        &self.segments[segment].name
    }

    /// Index of the segment of a code: that of the first rule that matches, else `otherwise`.
    pub fn segment_of(&self, code: [u8; 3]) -> Option<usize> {
        self.rules.iter().find(|rule| rule.matches(code)).map(|rule| rule.segment).or(self.otherwise)
    }

    /// Every code of the map's bins, "111" first.
    pub fn codes(&self) -> impl Iterator<Item = [u8; 3]> + use<> {
        let n = self.bins;
        (1..=n).flat_map(move |r| (1..=n).flat_map(move |f| (1..=n).map(move |m| [r, f, m])))
    }

    /// Codes that have no segment.
    pub fn holes(&self) -> Vec<[u8; 3]> {
        self.codes().filter(|&code| self.segment_of(code).is_none()).collect()
    }
}
