//! Codes that a map does not cover, and rules and segments that no code reaches.

use super::map::{Code, Rule, SegmentMap};

/// The findings of [`lint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The inspected codes: all codes of the map's bins, or those that a run reached.
    pub codes: Vec<Code>,
    /// Codes that no rule matches, even if `otherwise` sets their segment.
    pub uncovered: Vec<Code>,
    /// Codes that several rules match. The first rule wins.
    pub overlapping: Vec<Code>,
    /// Indices of rules that never set a segment, because earlier rules match all their codes or
    /// because they match none.
    pub shadowed: Vec<usize>,
    /// Indices of segments that no code reaches.
    pub unreachable: Vec<usize>,
}

/// Inspects every code for which `reached` is true.
///
/// A rule with a predicate on values may or may not match, so it neither covers codes nor shadows
/// rules, but its segment is reachable.
pub(crate) fn lint(map: &SegmentMap, reached: impl Fn(Code) -> bool) -> Findings {
    let codes: Vec<Code> = map.codes().filter(|code| reached(*code)).collect();
    let mut uncovered = codes.clone();
    uncovered.retain(|code| matching(map, *code).all(|(_, rule)| rule.values.is_some()));
    let mut overlapping = codes.clone();
    overlapping.retain(|code| matching(map, *code).count() > 1);
    let deciding: Vec<_> = codes.iter().flat_map(|code| deciding(map, *code)).collect();
    let is_shadowed = |rule: &usize| deciding.iter().all(|(other, _)| other != rule);
    let is_unreachable = |segment: &usize| {
        let is_otherwise = map.otherwise == Some(*segment) && !uncovered.is_empty();
        !is_otherwise && deciding.iter().all(|(_, rule)| rule.segment != *segment)
    };
    Findings {
        shadowed: (0..map.rules.len()).filter(is_shadowed).collect(),
        unreachable: (0..map.segments.len()).filter(is_unreachable).collect(),
        codes,
        uncovered,
        overlapping,
    }
}

fn matching(map: &SegmentMap, code: Code) -> impl Iterator<Item = (usize, &Rule)> {
    map.rules.iter().enumerate().filter(move |(_, rule)| rule.matches(code))
}

/// Rules that may set the segment of a code: conditional rules, up to the first unconditional one.
fn deciding(map: &SegmentMap, code: Code) -> impl Iterator<Item = (usize, &Rule)> {
    let unconditional = matching(map, code).position(|(_, rule)| rule.values.is_none());
    matching(map, code).take(unconditional.map_or(usize::MAX, |position| position + 1))
}
