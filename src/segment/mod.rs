//! `segment`: [`Scored`] → [`Segmented`]. Assigns score codes to segments by a map of ordered
//! rules.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::score::{Cut, CutPoints, Dimension, Scored};
use crate::tables::TableId;

mod history;
pub mod lint;
pub mod map;
pub mod why;

pub use history::History;
pub use map::{Rule, SegmentDef, SegmentMap, Values};

/// Every customer with their segment.
#[derive(Debug, Clone, Default)]
pub struct Segmented {
    /// The columns of [`Scored`], then `segment` text, never null, because a map that does not
    /// cover all codes is rejected; then those of [`History`], if it was added.
    pub frame: DataFrame,
    /// Snapshot dates, ascending; never empty.
    pub dates: Vec<NaiveDate>,
    /// The cut points behind the scores.
    pub cuts: Vec<Cut>,
}

/// Casts and sorts segments that a cluster wrote to the types and order of this module.
pub fn normalise(mut segments: LazyFrame) -> PolarsResult<DataFrame> {
    let names: Vec<PlSmallStr> = segments.collect_schema()?.iter_names().cloned().collect();
    let table = TableId::Segments.table();
    let typed: Vec<Expr> =
        names.iter().map(|name| col(name.clone()).cast(table.dtype(name))).collect();
    segments.select(typed).sort([CUSTOMER_ID], Default::default()).collect()
}

/// Assigns every customer to the segment of the first rule that matches.
pub fn segment(map: &SegmentMap, scored: Scored) -> PolarsResult<Segmented> {
    let Scored { frame, dates, cuts, .. } = scored;
    let frame = frame.lazy().with_column(segment_name(map)).collect()?;
    Ok(Segmented { frame, dates, cuts })
}

/// The same customers, scored and assigned by other cut points.
pub fn rescore_with(
    map: &SegmentMap,
    frame: DataFrame,
    points: [&CutPoints; 3],
) -> PolarsResult<DataFrame> {
    let scores = Dimension::ALL.map(|dimension| {
        let score = points[dimension as usize].score_expr(col(dimension.value()), dimension);
        score.cast(DataType::UInt8).alias(dimension.score())
    });
    frame.lazy().with_columns(scores).with_column(segment_name(map)).collect()
}

fn segment_name(map: &SegmentMap) -> Expr {
    let otherwise =
        map.otherwise.map_or_else(|| lit(NULL).cast(DataType::String), |idx| lit(map.name_of(idx)));
    first_match(map, otherwise, |_, rule| lit(map.name_of(rule.segment))).alias(SEGMENT)
}

/// The value of the first rule that matches, else `otherwise`.
fn first_match(map: &SegmentMap, otherwise: Expr, value: impl Fn(usize, &Rule) -> Expr) -> Expr {
    map.rules.iter().enumerate().rev().fold(otherwise, |rest, (idx, rule)| {
        when(matches(rule)).then(value(idx, rule)).otherwise(rest)
    })
}

/// Adds why each customer is in their segment: `rule` u32, the number of the matching rule from 1,
/// and for each dimension `…_to_next` f64 and `…_next_segment` text. Money has `money_factor` minor
/// units.
pub fn explain(
    map: &SegmentMap,
    segmented: Segmented,
    money_factor: f64,
) -> PolarsResult<Segmented> {
    let no_rule = lit(NULL).cast(DataType::UInt32);
    let rule = first_match(map, no_rule, |idx, _| lit(idx as u32 + 1)).alias(RULE);
    let mut frame = segmented.frame.clone().lazy().with_column(rule).collect()?;
    let dates: Vec<Option<NaiveDate>> = frame.column(SNAPSHOT)?.date()?.as_date_iter().collect();
    let [r, f, m] = Dimension::ALL;
    let values =
        [numbers(&frame, r.value())?, numbers(&frame, f.value())?, numbers(&frame, m.value())?];
    let scores =
        [numbers(&frame, r.score())?, numbers(&frame, f.score())?, numbers(&frame, m.score())?];
    let mut changes: [Vec<Option<f64>>; 3] = Default::default();
    let mut next_segments: [Vec<Option<&str>>; 3] = Default::default();
    let mut snapshot = None;
    let mut cuts: Vec<Cut> = Vec::new();
    for (row, date) in dates.into_iter().enumerate() {
        if snapshot != date {
            snapshot = date;
            cuts =
                segmented.cuts.iter().filter(|cut| Some(cut.snapshot) == date).cloned().collect();
        }
        let code = scores.each_ref().map(|scores| scores[row] as u8);
        let values = values.each_ref().map(|values| values[row]);
        for score in why::dimension_scores(map, &cuts, values, code, money_factor) {
            let position = score.dimension as usize;
            changes[position].push(score.next.as_ref().map(|next| next.change));
            let segment = score.next.and_then(|next| next.segment);
            next_segments[position].push(segment.map(|idx| map.name_of(idx)));
        }
    }
    for ((dimension, changes), segments) in
        Dimension::ALL.into_iter().zip(changes).zip(next_segments)
    {
        frame.with_column(Column::new(to_next(dimension.value()).into(), changes))?;
        frame.with_column(Column::new(next_segment(dimension.value()).into(), segments))?;
    }
    Ok(Segmented { frame, ..segmented })
}

/// A column as f64. Fails if a value is null.
fn numbers(frame: &DataFrame, name: &str) -> PolarsResult<Vec<f64>> {
    let column = frame.column(name)?.cast(&DataType::Float64)?;
    let values = column.f64()?.iter();
    values
        .map(|value| value.ok_or_else(|| polars_err!(ComputeError: "`{name}` has a null value")))
        .collect()
}

fn matches(rule: &Rule) -> Expr {
    let score = |dimension: Dimension| col(dimension.score());
    let conditions =
        Dimension::ALL
            .into_iter()
            .zip(rule.ranges)
            .map(|(dimension, range)| is_within(score(dimension), range))
            .chain(rule.fm_sum.map(|range| {
                is_within(score(Dimension::Frequency) + score(Dimension::Monetary), range)
            }))
            .chain(rule.codes.as_ref().map(|codes| {
                codes.iter().map(is_code).reduce(Expr::or).unwrap_or_else(|| lit(false))
            }))
            .chain(rule.values.as_ref().map(|values| values.holds.clone().fill_null(lit(false))));
    conditions.reduce(Expr::and).unwrap_or_else(|| lit(true))
}

fn is_within(value: Expr, [low, high]: [u8; 2]) -> Expr {
    value.clone().gt_eq(lit(low)).and(value.lt_eq(lit(high)))
}

fn is_code([r, f, m]: &[u8; 3]) -> Expr {
    let is = |dimension: Dimension, score: u8| col(dimension.score()).eq(lit(score));
    is(Dimension::Recency, *r).and(is(Dimension::Frequency, *f)).and(is(Dimension::Monetary, *m))
}
