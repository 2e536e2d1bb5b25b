//! Codes that a map does not cover, and rules and segments that no code reaches.

use super::map::{Code, Rule, SegmentMap};

/// The findings of [`lint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
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
pub fn lint(map: &SegmentMap, reached: impl Fn(Code) -> bool) -> Findings {
    let codes: Vec<Code> = map.codes().filter(|code| reached(*code)).collect();
    let covered = |code: Code| matching(map, code).any(|(_, rule)| rule.values.is_none());
    let select = |wanted: &dyn Fn(Code) -> bool| -> Vec<Code> {
        codes.iter().copied().filter(|code| wanted(*code)).collect()
    };
    let uncovered = select(&|code| !covered(code));
    let overlapping = select(&|code| matching(map, code).count() > 1);
    let mut effective = vec![false; map.rules.len()];
    let mut reachable = vec![false; map.segments.len()];
    for (idx, rule) in codes.iter().flat_map(|code| deciding(map, *code)) {
        effective[idx] = true;
        reachable[rule.segment] = true;
    }
    if let Some(segment) = map.otherwise
        && !uncovered.is_empty()
    {
        reachable[segment] = true;
    }
    Findings {
        codes,
        uncovered,
        overlapping,
        shadowed: positions_of_false(&effective),
        unreachable: positions_of_false(&reachable),
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

fn positions_of_false(flags: &[bool]) -> Vec<usize> {
    (0..flags.len()).filter(|idx| !flags[*idx]).collect()
}
