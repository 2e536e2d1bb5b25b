//! `segment`: [`Scored`] → [`Segmented`]: names for score codes, by a map of ordered rules.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::SEGMENT;
use crate::score::{Cut, Dimension, Scored};

pub mod lint;
pub mod map;
pub mod why;

pub use map::{Rule, SegmentDef, SegmentMap, Values};

/// Every customer with its segment.
///
/// As [`Scored`], with `segment` text after it, never null: a map that leaves a code without a name does not compile.
#[derive(Debug, Clone)]
pub struct Segmented {
    /// The table.
    pub frame: DataFrame,
    /// The dates, ascending; never empty.
    pub dates: Vec<NaiveDate>,
    /// The cut points behind the scores.
    pub cuts: Vec<Cut>,
}

/// Names every customer's segment by the first rule that matches its scores.
///
/// # Errors
/// What Polars says.
pub fn segment(map: &SegmentMap, scored: Scored) -> PolarsResult<Segmented> {
    let otherwise = map.otherwise.map_or_else(|| lit(NULL).cast(DataType::String), |idx| lit(map.name_of(idx)));
    let name = map
        .rules
        .iter()
        .rev()
        .fold(otherwise, |rest, rule| when(matches(rule)).then(lit(map.name_of(rule.segment))).otherwise(rest));
    let frame = scored.frame.lazy().with_column(name.alias(SEGMENT)).collect()?;
    Ok(Segmented { frame, dates: scored.dates, cuts: scored.cuts })
}

fn matches(rule: &Rule) -> Expr {
    let within = |dimension: Dimension, [low, high]: [u8; 2]| {
        col(dimension.score()).gt_eq(lit(low)).and(col(dimension.score()).lt_eq(lit(high)))
    };
    let [r, f, m] = rule.ranges;
    let ranges = within(Dimension::Recency, r).and(within(Dimension::Frequency, f)).and(within(Dimension::Monetary, m));
    let mean = rule.fm_sum.map(|[low, high]| {
        let sum = col(Dimension::Frequency.score()) + col(Dimension::Monetary.score());
        sum.clone().gt_eq(lit(low)).and(sum.lt_eq(lit(high)))
    });
    let codes = rule.codes.as_ref().map(|codes| {
        let is = |code: &[u8; 3]| {
            let equal = |(dimension, score): (Dimension, u8)| col(dimension.score()).eq(lit(score));
            Dimension::ALL.into_iter().zip(*code).map(equal).reduce(|all, one| all.and(one)).unwrap_or(lit(true))
        };
        codes.iter().map(is).reduce(|any, one| any.or(one)).unwrap_or(lit(false))
    });
    let values = rule.values.as_ref().map(|values| values.holds.clone().fill_null(lit(false)));
    [mean, codes, values].into_iter().flatten().fold(ranges, |all, one| all.and(one))
}
