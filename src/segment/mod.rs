//! `segment`: [`Scored`] → [`Segmented`]: names for score codes, by a map of ordered rules.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::score::{Cut, CutPoints, Dimension, Scored};

pub mod history;
pub mod lint;
pub mod map;
pub mod why;

pub use map::{Rule, SegmentDef, SegmentMap, Values};

/// Every customer with its segment.
///
/// As [`Scored`], with `segment` text after it, never null: a map that leaves a code without a name does not compile; and what it says
/// of the snapshots before (see [`history`]).
#[derive(Debug, Clone)]
pub struct Segmented {
    /// The table.
    pub frame: DataFrame,
    /// The dates, ascending; never empty.
    pub dates: Vec<NaiveDate>,
    /// The cut points behind the scores.
    pub cuts: Vec<Cut>,
}

/// Segments that a cluster wrote, in the types and the order in which this machine writes them.
///
/// # Errors
/// A column that is missing, or of another kind.
pub fn as_ours(mut segments: LazyFrame) -> PolarsResult<DataFrame> {
    let names: Vec<PlSmallStr> = segments.collect_schema()?.iter_names().cloned().collect();
    let typed: Vec<Expr> = names.iter().map(|name| col(name.clone()).cast(dtype(name))).collect();
    segments.select(typed).sort([CUSTOMER_ID], Default::default()).collect()
}

/// The type of a column of the segments.
fn dtype(column: &str) -> DataType {
    match column {
        RECENCY_DAYS | TENURE_DAYS => DataType::Int32,
        FREQUENCY | SNAPSHOTS_IN_SEGMENT => DataType::UInt32,
        R_SCORE | F_SCORE | M_SCORE => DataType::UInt8,
        CUSTOMER_ID | RFM_CODE | SEGMENT | PREVIOUS_SEGMENT => DataType::String,
        SNAPSHOT | SEGMENT_SINCE => DataType::Date,
        LAST_ORDER_AT => DataType::Datetime(TimeUnit::Microseconds, None),
        _ if column.ends_with("_label") => DataType::String,
        _ => DataType::Float64,
    }
}

/// Names every customer's segment by the first rule that matches its scores.
///
/// # Errors
/// What Polars says.
pub fn segment(map: &SegmentMap, scored: Scored) -> PolarsResult<Segmented> {
    let Scored { frame, dates, cuts, .. } = scored;
    let frame = history::looking_back(frame.lazy().with_column(name(map)).collect()?)?;
    Ok(Segmented { frame, dates, cuts })
}

/// The same customers, scored and named under other cut points.
///
/// # Errors
/// What Polars says.
pub fn under(
    map: &SegmentMap,
    frame: DataFrame,
    points: [&CutPoints; 3],
) -> PolarsResult<DataFrame> {
    let score = |dimension: Dimension| {
        let score = points[dimension as usize].score(col(dimension.value()), dimension);
        score.cast(DataType::UInt8).alias(dimension.score())
    };
    frame.lazy().with_columns(Dimension::ALL.map(score)).with_column(name(map)).collect()
}

/// The name of the segment of the first rule that matches.
fn name(map: &SegmentMap) -> Expr {
    let otherwise =
        map.otherwise.map_or_else(|| lit(NULL).cast(DataType::String), |idx| lit(map.name_of(idx)));
    let name = map.rules.iter().rev().fold(otherwise, |rest, rule| {
        when(matches(rule)).then(lit(map.name_of(rule.segment))).otherwise(rest)
    });
    name.alias(SEGMENT)
}

/// Adds why each customer is where it is: `rule` u32, and for each dimension `…_to_next` f64 and `…_next_segment` text. Money is
/// counted in as many parts of one as `factor` says.
///
/// # Errors
/// A column that is missing.
pub fn explained(map: &SegmentMap, segmented: Segmented, factor: f64) -> PolarsResult<Segmented> {
    let rule = map
        .rules
        .iter()
        .enumerate()
        .rev()
        .fold(lit(NULL).cast(DataType::UInt32), |rest, (idx, rule)| {
            when(matches(rule)).then(lit(idx as u32 + 1)).otherwise(rest)
        });
    let mut frame = segmented.frame.clone().lazy().with_column(rule.alias(RULE)).collect()?;
    let dates = frame.column(SNAPSHOT)?.date()?.clone();
    let dates: Vec<Option<NaiveDate>> = dates.as_date_iter().collect();
    let numbers = |name: &str| -> PolarsResult<Vec<f64>> {
        let column = frame.column(name)?.cast(&DataType::Float64)?;
        Ok(column.f64()?.iter().map(Option::unwrap_or_default).collect())
    };
    let values = Dimension::ALL.map(|dimension| numbers(dimension.value()));
    let scores = Dimension::ALL.map(|dimension| numbers(dimension.score()));
    let ([r, f, m], [r_score, f_score, m_score]) = (values, scores);
    let (values, scores) = ([r?, f?, m?], [r_score?, f_score?, m_score?]);
    let mut ways: [Vec<Option<f64>>; 3] = Default::default();
    let mut segments: [Vec<Option<&str>>; 3] = Default::default();
    let mut cuts: (Option<NaiveDate>, Vec<Cut>) = (None, Vec::new());
    for (row, date) in dates.iter().enumerate() {
        if cuts.0 != *date {
            let of_date = segmented.cuts.iter().filter(|cut| Some(cut.snapshot) == *date);
            cuts = (*date, of_date.cloned().collect());
        }
        let code = scores.each_ref().map(|scores| scores[row] as u8);
        let standings =
            why::standings(map, &cuts.1, values.each_ref().map(|values| values[row]), code, factor);
        for (position, standing) in standings.iter().enumerate() {
            let next = standing.next.as_ref();
            ways[position].push(next.map(|next| next.change));
            segments[position].push(next.and_then(|next| next.segment).map(|idx| map.name_of(idx)));
        }
    }
    for (dimension, (ways, segments)) in
        Dimension::ALL.into_iter().zip(ways.into_iter().zip(segments))
    {
        frame.with_column(Column::new(to_next(dimension.value()).into(), ways))?;
        frame.with_column(Column::new(next_segment(dimension.value()).into(), segments))?;
    }
    Ok(Segmented { frame, ..segmented })
}

fn matches(rule: &Rule) -> Expr {
    let within = |dimension: Dimension, [low, high]: [u8; 2]| {
        col(dimension.score()).gt_eq(lit(low)).and(col(dimension.score()).lt_eq(lit(high)))
    };
    let [r, f, m] = rule.ranges;
    let ranges = within(Dimension::Recency, r)
        .and(within(Dimension::Frequency, f))
        .and(within(Dimension::Monetary, m));
    let mean = rule.fm_sum.map(|[low, high]| {
        let sum = col(Dimension::Frequency.score()) + col(Dimension::Monetary.score());
        sum.clone().gt_eq(lit(low)).and(sum.lt_eq(lit(high)))
    });
    let codes = rule.codes.as_ref().map(|codes| {
        let is = |code: &[u8; 3]| {
            let equal = |(dimension, score): (Dimension, u8)| col(dimension.score()).eq(lit(score));
            Dimension::ALL
                .into_iter()
                .zip(*code)
                .map(equal)
                .reduce(|all, one| all.and(one))
                .unwrap_or(lit(true))
        };
        codes.iter().map(is).reduce(|any, one| any.or(one)).unwrap_or(lit(false))
    });
    let values = rule.values.as_ref().map(|values| values.holds.clone().fill_null(lit(false)));
    [mean, codes, values].into_iter().flatten().fold(ranges, |all, one| all.and(one))
}
