//! Why a customer is in their segment: how far each score is from the next better one, and the
//! segment of that score.

use super::map::{Code, SegmentMap};
use crate::score::{Cut, Dimension};

/// The score of one dimension of a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct DimensionScore {
    pub dimension: Dimension,
    pub value: f64,
    pub score: u8,
    /// The next better score. `None` if there is none.
    pub next: Option<NextScore>,
}

/// The next better score of a dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct NextScore {
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
pub fn dimension_scores(
    map: &SegmentMap,
    cuts: &[Cut],
    values: [f64; 3],
    code: Code,
    money_factor: f64,
) -> [DimensionScore; 3] {
    Dimension::ALL.map(|dimension| {
        let position = dimension as usize;
        let next = cuts.iter().find(|cut| cut.dimension == dimension).and_then(|cut| {
            let units = if dimension == Dimension::Monetary { money_factor } else { 1.0 };
            let value = nearest_better(cut, values[position], code[position], units)?;
            let score = cut.points.score(value, dimension);
            let mut next_code = code;
            next_code[position] = score;
            let depends_on_values =
                map.rules.iter().any(|rule| rule.values.is_some() && rule.matches(next_code));
            let segment = if depends_on_values { None } else { map.segment_of(next_code) };
            let change = ((value - values[position]) * units).round() / units;
            Some(NextScore { value, change, score, segment })
        });
        DimensionScore { dimension, value: values[position], score: code[position], next }
    })
}

/// The value with a better score that is nearest to `value`, in whole units.
fn nearest_better(cut: &Cut, value: f64, score: u8, units: f64) -> Option<f64> {
    cut.points
        .points()
        .iter()
        .filter(|point| point.is_finite())
        // The unit at a cut point or one of its neighbours is the first with a better score.
        // Division by `units` gives the same float as the measured value; multiplication by 1/units
        // does not.
        .flat_map(|point| [-1.0, 0.0, 1.0].map(|step| ((point * units).round() + step) / units))
        .filter(|candidate| cut.points.score(*candidate, cut.dimension) > score)
        .min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()))
}
