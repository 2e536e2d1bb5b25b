//! `segment` in SQL: segment names by score, and the history of each customer's segment.

use super::Statement;
use super::rfm::SNAPSHOTS;
use super::score::SCORED;
use super::text::{all, any, first_match, joined, quoted};
use crate::clean::Step;
use crate::columns::*;
use crate::pipeline::Pipeline;
use crate::rfm::column_names;
use crate::score::Dimension;
use crate::segment::{Rule, SegmentMap};

const STAGE: &str = "segment";
/// Table of customers with segments, before the columns of the models are joined.
pub(super) const NAMED: &str = "custseg_named";
/// Number of customers by snapshot, scores and segment.
pub(super) const CELLS: &str = "work/cells";
/// Path of the published segments, which are partitioned by snapshot in hive folders.
pub(super) const SEGMENTS: &str = "segments";
/// Path of the segments before the columns of the models are joined.
#[cfg(feature = "spark")]
pub(super) const WORK_SEGMENTS: &str = "work/segments";

/// The table of [`crate::segment::Segmented`], and its counts.
pub(super) fn statements(p: &Pipeline, path: &'static str) -> Vec<Statement> {
    let keys = [SNAPSHOT, SEGMENT, R_SCORE, F_SCORE, M_SCORE].join(", ");
    let cells = format!(
        "SELECT CAST({SNAPSHOT} AS DATE) AS {SNAPSHOT}, {SEGMENT},\n\
         \x20 {R_SCORE}, {F_SCORE}, {M_SCORE}, CAST(count(*) AS BIGINT) AS {CUSTOMERS}\n\
         FROM {NAMED}\nGROUP BY {keys}"
    );
    vec![
        Statement::table(STAGE, NAMED, path, segments(p)),
        Statement::table(STAGE, "custseg_cells", CELLS, cells),
    ]
}

/// Columns of the segments without the snapshot, in their published order.
pub(super) fn columns(p: &Pipeline) -> Vec<String> {
    // The first column of the measures is the snapshot.
    let measures = column_names(&p.rfm, Step::policy(&p.clean), None).into_iter().skip(1);
    let scores = [R_SCORE, F_SCORE, M_SCORE, RFM_CODE];
    let history = [SEGMENT, PREVIOUS_SEGMENT, SEGMENT_SINCE, SNAPSHOTS_IN_SEGMENT];
    let others = scores.into_iter().chain(p.score.weights.map(|_| RFM_SCORE)).chain(history);
    measures.chain(others.map(str::to_owned)).collect()
}

fn segments(p: &Pipeline) -> String {
    let by_customer = format!("PARTITION BY {CUSTOMER_ID} ORDER BY place");
    let by_stay = format!("PARTITION BY {CUSTOMER_ID}, stay");
    let columns = columns(p).into_iter().map(|column| match column.as_str() {
        SEGMENT_SINCE => format!("min({SNAPSHOT}) OVER ({by_stay}) AS {SEGMENT_SINCE}"),
        SNAPSHOTS_IN_SEGMENT => format!(
            "CAST(row_number() OVER ({by_stay} ORDER BY place) AS INT) AS {SNAPSHOTS_IN_SEGMENT}"
        ),
        _ => column,
    });
    format!(
        "WITH named AS (\n\
         \x20 SELECT c.*, s.place, {} AS {SEGMENT}\n\
         \x20 FROM {SCORED} AS c JOIN {SNAPSHOTS} AS s ON s.{SNAPSHOT} = c.{SNAPSHOT}\n\
         ),\n\
         with_previous AS (\n\
         \x20 SELECT *, CASE WHEN lag(place) OVER ({by_customer}) = place - 1\n\
         \x20   THEN lag({SEGMENT}) OVER ({by_customer}) END AS {PREVIOUS_SEGMENT}\n\
         \x20 FROM named\n\
         ),\n\
         stays AS (\n\
         \x20 SELECT *, sum(CASE WHEN {PREVIOUS_SEGMENT} = {SEGMENT} THEN 0 ELSE 1 END)\n\
         \x20   OVER ({by_customer} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS stay\n\
         \x20 FROM with_previous\n\
         )\n\
         SELECT {}, {SNAPSHOT}\n\
         FROM stays",
        segment_name(&p.segment),
        joined(columns, ", ")
    )
}

fn segment_name(map: &SegmentMap) -> String {
    let otherwise = map.otherwise.map_or("NULL".to_owned(), |index| quoted(map.name_of(index)));
    let rules = map.rules.iter().map(|rule| {
        (rule_condition(rule), format!("\n      {}", quoted(map.name_of(rule.segment))))
    });
    first_match(rules, &otherwise)
}

fn rule_condition(rule: &Rule) -> String {
    let ranges = Dimension::ALL
        .into_iter()
        .zip(rule.ranges)
        .map(|(dimension, [low, high])| format!("{} BETWEEN {low} AND {high}", dimension.score()));
    let sum =
        rule.fm_sum.map(|[low, high]| format!("{F_SCORE} + {M_SCORE} BETWEEN {low} AND {high}"));
    let codes = rule.codes.as_ref().map(|codes| {
        any(codes.iter().map(|code| {
            let scores = Dimension::ALL.into_iter().zip(code);
            all(scores.map(|(dimension, score)| format!("{} = {score}", dimension.score())))
        }))
    });
    all(ranges.chain(sum).chain(codes))
}
