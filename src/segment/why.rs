//! Why a customer is in their segment: how far each score is from the next better one, and the
//! segment of that score.

use super::map::{Code, SegmentMap};
use crate::score::{CutPoints, Dimension};

/// The score of one dimension of a customer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DimensionScore {
    pub dimension: Dimension,
    pub value: f64,
    pub score: u8,
    /// The next better score. `None` if there is none.
    pub next: Option<NextScore>,
}

/// The next better score of a dimension.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NextScore {
    /// The nearest value with this score: a whole number, or a whole unit of money.
    pub value: f64,
    /// Difference to the customer's value.
    pub change: f64,
    pub score: u8,
    /// Index of the segment of the code with this score. `None` if a predicate on values decides.
    pub segment: Option<usize>,
}

/// The scores of a customer, by the cut points of their snapshot. Money has `money_factor` minor
/// units.
pub(crate) fn dimension_scores(
    map: &SegmentMap,
    cuts: [&CutPoints; 3],
    values: [f64; 3],
    code: Code,
    money_factor: f64,
) -> [DimensionScore; 3] {
    Dimension::ALL.map(|dimension| {
        let position = dimension as usize;
        let (cuts, value, score) = (cuts[position], values[position], code[position]);
        let units = if dimension == Dimension::Monetary { money_factor } else { 1.0 };
        // The nearest value with a better score, in whole units.
        let nearest = cuts
            .points
            .iter()
            .filter(|point| point.is_finite())
            // The unit at a cut point or one of its neighbours is the first with a better score.
            // Division by `units` gives the same float as the measured value; multiplication by
            // 1/units does not.
            .flat_map(|point| [-1.0, 0.0, 1.0].map(|step| ((point * units).round() + step) / units))
            .filter(|candidate| cuts.score(*candidate, dimension) > score)
            .min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()));
        let next = nearest.map(|nearest| {
            let mut code = code;
            code[position] = cuts.score(nearest, dimension);
            let depends_on_values =
                map.rules.iter().any(|rule| rule.values.is_some() && rule.matches(code));
            NextScore {
                value: nearest,
                change: ((nearest - value) * units).round() / units,
                score: code[position],
                segment: if depends_on_values { None } else { map.segment_of(code) },
            }
        });
        DimensionScore { dimension, value, score, next }
    })
}
