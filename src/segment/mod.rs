//! `segment`: [`Scored`] → [`Segmented`]. Assigns score codes to segments by a map of ordered
//! rules.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::rfm::by_snapshot;
use crate::score::{Cut, CutPoints, Dimension, Scored, cuts_at};
use crate::tables::TableId;

mod history;
pub(crate) mod lint;
pub(crate) mod map;
pub(crate) mod why;

pub(crate) use history::History;
pub(crate) use map::{Code, Rule, SegmentDef, SegmentMap, Values};

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
pub(crate) fn normalise(mut segments: LazyFrame) -> PolarsResult<DataFrame> {
    let names: Vec<PlSmallStr> = segments.collect_schema()?.iter_names().cloned().collect();
    let table = TableId::Segments.table();
    let typed: Vec<Expr> =
        names.iter().map(|name| col(name.clone()).cast(table.dtype(name))).collect();
    segments.select(typed).sort([CUSTOMER_ID], Default::default()).collect()
}

/// Assigns every customer to the segment of the first rule that matches.
pub(crate) fn segment(map: &SegmentMap, scored: Scored) -> PolarsResult<Segmented> {
    let Scored { frame, dates, cuts, .. } = scored;
    let frame = frame.lazy().with_column(segment_name(map)).collect()?;
    Ok(Segmented { frame, dates, cuts })
}

/// The same customers, scored and assigned by other cut points.
pub(crate) fn rescore_with(
    map: &SegmentMap,
    frame: DataFrame,
    points: [&CutPoints; 3],
) -> PolarsResult<DataFrame> {
    let scores = Dimension::ALL.map(|dimension| {
        let score = points[dimension as usize].score_expr(dimension);
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
pub(crate) fn explain(
    map: &SegmentMap,
    segmented: Segmented,
    money_factor: f64,
) -> PolarsResult<Segmented> {
    let no_rule = lit(NULL).cast(DataType::UInt32);
    let rule = first_match(map, no_rule, |idx, _| lit(idx as u32 + 1)).alias(RULE);
    let mut frame = segmented.frame.clone().lazy().with_column(rule).collect()?;
    type Next<'a> = (Vec<Option<f64>>, Vec<Option<&'a str>>);
    let mut next: [Next<'_>; 3] = Default::default();
    for (date, part) in by_snapshot(&frame)? {
        let cuts = cuts_at(&segmented.cuts, date);
        let values = numbers(&part, Dimension::value)?;
        let scores = numbers(&part, Dimension::score)?;
        for (values, scores) in values.into_iter().zip(scores) {
            let code = scores.map(|score| score as u8);
            for score in why::dimension_scores(map, cuts, values, code, money_factor) {
                let (changes, segments) = &mut next[score.dimension as usize];
                changes.push(score.next.as_ref().map(|next| next.change));
                let segment = score.next.and_then(|next| next.segment);
                segments.push(segment.map(|idx| map.name_of(idx)));
            }
        }
    }
    for (dimension, (changes, segments)) in Dimension::ALL.into_iter().zip(next) {
        frame.with_column(Column::new(to_next(dimension.value()).into(), changes))?;
        frame.with_column(Column::new(next_segment(dimension.value()).into(), segments))?;
    }
    Ok(Segmented { frame, ..segmented })
}

/// A column of each dimension by row, as f64. Fails if a value is null.
fn numbers(
    frame: &DataFrame,
    column: fn(Dimension) -> &'static str,
) -> PolarsResult<Vec<[f64; 3]>> {
    let mut rows = vec![[0.0; 3]; frame.height()];
    for dimension in Dimension::ALL {
        let name = column(dimension);
        let values = frame.column(name)?.cast(&DataType::Float64)?;
        for (row, value) in rows.iter_mut().zip(values.f64()?.iter()) {
            let null = || polars_err!(ComputeError: "`{name}` has a null value");
            row[dimension as usize] = value.ok_or_else(null)?;
        }
    }
    Ok(rows)
}

fn matches(rule: &Rule) -> Expr {
    let [r, f, m] = Dimension::ALL
        .map(|dimension| is_within(col(dimension.score()), rule.ranges[dimension as usize]));
    let fm_sum = rule.fm_sum.map(|range| is_within(col(F_SCORE) + col(M_SCORE), range));
    let any_of = |codes: &Vec<Code>| codes.iter().map(is_code).fold(lit(false), Expr::or);
    let codes = rule.codes.as_ref().map(any_of);
    let values = rule.values.as_ref().map(|values| values.holds.clone().fill_null(lit(false)));
    [fm_sum, codes, values].into_iter().flatten().fold(r.and(f).and(m), Expr::and)
}

fn is_within(value: Expr, [low, high]: [u8; 2]) -> Expr {
    value.clone().gt_eq(lit(low)).and(value.lt_eq(lit(high)))
}

fn is_code(code: &Code) -> Expr {
    let [r, f, m] =
        Dimension::ALL.map(|dimension| col(dimension.score()).eq(lit(code[dimension as usize])));
    r.and(f).and(m)
}
