//! What a map's rules leave out or never reach, over every code there is.

use super::map::{Code, SegmentMap};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Codes that were looked at: all of the map's bins, or those that a run reached.
    pub codes: Vec<Code>,
    /// Codes that no rule matches, whether `otherwise` names their segment or not.
    pub uncovered: Vec<Code>,
    /// Codes that several rules match, where the first wins.
    pub overlapping: Vec<Code>,
    /// Rules that match something, but only what earlier rules take: their indices.
    pub shadowed: Vec<usize>,
    /// Segments that no code reaches: their indices.
    pub unreachable: Vec<usize>,
}

/// Looks at every code for which `reached` holds.
///
/// A rule with a condition on values may match a code or not, so it neither covers nor shadows; it reaches its segment.
pub fn lint(map: &SegmentMap, reached: impl Fn(Code) -> bool) -> Findings {
    let codes: Vec<Code> = map.codes().filter(|code| reached(*code)).collect();
    let matching =
        |code: Code| map.rules.iter().enumerate().filter(move |(_, rule)| rule.matches(code));
    let covered = |code: Code| matching(code).any(|(_, rule)| rule.values.is_none());
    let of_codes = |wanted: &dyn Fn(Code) -> bool| {
        codes.iter().copied().filter(|code| wanted(*code)).collect()
    };
    // The rules that may name a code's segment: conditional ones, up to the first that is certain.
    let naming = |code: Code| {
        let certain = matching(code).position(|(_, rule)| rule.values.is_none());
        matching(code).take(certain.map_or(usize::MAX, |certain| certain + 1))
    };
    let names = |idx: usize| codes.iter().any(|code| naming(*code).any(|(named, _)| named == idx));
    let shadowed = (0..map.rules.len()).filter(|idx| !names(*idx)).collect::<Vec<_>>();
    let by_otherwise =
        |segment: usize| map.otherwise == Some(segment) && codes.iter().any(|code| !covered(*code));
    let reachable = |segment: usize| {
        let by_rule =
            map.rules.iter().enumerate().any(|(idx, rule)| rule.segment == segment && names(idx));
        by_rule || by_otherwise(segment)
    };
    Findings {
        uncovered: of_codes(&|code| !covered(code)),
        overlapping: of_codes(&|code| matching(code).count() > 1),
        unreachable: (0..map.segments.len()).filter(|segment| !reachable(*segment)).collect(),
        shadowed,
        codes,
    }
}
