//! Why a customer is where it is: how far each score is from the next, and which segment that would be.

use super::map::{Code, SegmentMap};
use crate::score::{Cut, Dimension};

/// One dimension of a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The dimension.
    pub dimension: Dimension,
    /// The customer's value.
    pub value: f64,
    /// The customer's score.
    pub score: u8,
    /// The way to the next better score, where there is one.
    pub next: Option<Step>,
}

/// The way to the next better score.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The value that would have it: the next whole one, or the next unit of money.
    pub value: f64,
    /// What the customer's value would have to change by.
    pub change: f64,
    /// The better score.
    pub score: u8,
    /// Index of the segment of the better code; `None` where values decide.
    pub segment: Option<usize>,
}

/// How a customer stands in each dimension; money is counted in as many parts of one as `factor` says. `cuts` are those of its
/// snapshot.
pub fn standings(
    map: &SegmentMap,
    cuts: &[Cut],
    values: [f64; 3],
    code: Code,
    factor: f64,
) -> Vec<Standing> {
    let one = |(position, dimension): (usize, Dimension)| {
        let (value, score) = (values[position], code[position]);
        let cut = cuts.iter().find(|cut| cut.dimension == dimension);
        let parts = if dimension == Dimension::Monetary { factor } else { 1.0 };
        let points = cut.map(|cut| cut.points.points()).unwrap_or_default();
        // Just on a cut point, or just beyond it: whichever scores better.
        let near = |point: &f64| {
            // Divided, not multiplied by a part: 116.85 is no other number than the one that was measured.
            [-1.0, 0.0, 1.0].map(|by| ((point * parts).round() + by) / parts)
        };
        let better =
            |value: &f64| cut.is_some_and(|cut| cut.points.score_of(*value, dimension) > score);
        let candidates =
            points.iter().filter(|point| point.is_finite()).flat_map(near).filter(better);
        let next = candidates.min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()));
        let next = next.zip(cut).map(|(value, cut)| {
            let score = cut.points.score_of(value, dimension);
            let mut code = code;
            code[position] = score;
            let uncertain =
                map.rules.iter().any(|rule| rule.values.is_some() && rule.matches(code));
            let change = ((value - values[position]) * parts).round() / parts;
            Step { value, change, score, segment: map.segment_of(code).filter(|_| !uncertain) }
        });
        Standing { dimension, value, score, next }
    };
    Dimension::ALL.into_iter().enumerate().map(one).collect()
}
