//! `segment` in SQL: names for scores, and what a snapshot says of those before it.

use super::rfm::SNAPSHOTS;
use super::score::SCORED;
use super::text::{all, any, first_of, quoted};
use super::{Body, Statement};
use crate::columns::*;
use crate::pipeline::Pipeline;
use crate::score::Dimension;
use crate::segment::{Rule, SegmentMap};

const STAGE: &str = "segment";
/// The table of segments.
pub const SEGMENTS: &str = "custseg_segments";

/// The table of named customers, as [`crate::segment::Segmented`] has them, in hive folders by snapshot.
pub(super) fn segments(p: &Pipeline) -> Statement {
    let path = "segments";
    let body = Body::Table { select: named(p), path, partition_by: Some(SNAPSHOT) };
    Statement { stage: STAGE, name: SEGMENTS.to_owned(), body }
}

fn named(p: &Pipeline) -> String {
    // The history stands after the segment, as in the segments of this machine.
    let of_customer = format!("PARTITION BY {CUSTOMER_ID} ORDER BY place");
    let further: String = further(p).iter().map(|column| format!(", {column}")).collect();
    let before = [CUSTOMER_ID, LAST_ORDER_AT, RECENCY_DAYS, FREQUENCY, MONETARY].join(", ");
    let scores = [R_SCORE, F_SCORE, M_SCORE, RFM_CODE].join(", ");
    let weighed = if p.score.weights.is_some() { format!(", {RFM_SCORE}") } else { String::new() };
    format!(
        "WITH named AS (\n\
         \x20 SELECT c.*, s.place, {} AS {SEGMENT}\n\
         \x20 FROM custseg_{SCORED} AS c JOIN custseg_{SNAPSHOTS} AS s ON s.{SNAPSHOT} = c.{SNAPSHOT}\n\
         ),\n\
         looked_back AS (\n\
         \x20 SELECT *, CASE WHEN lag(place) OVER ({of_customer}) = place - 1 THEN lag({SEGMENT}) OVER ({of_customer}) END AS {PREVIOUS_SEGMENT}\n\
         \x20 FROM named\n\
         ),\n\
         stays AS (\n\
         \x20 SELECT *, sum(CASE WHEN {PREVIOUS_SEGMENT} = {SEGMENT} THEN 0 ELSE 1 END)\n\
         \x20   OVER ({of_customer} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS stay\n\
         \x20 FROM looked_back\n\
         )\n\
         SELECT {before}{further}, {scores}{weighed}, {SEGMENT}, {PREVIOUS_SEGMENT},\n\
         \x20 min({SNAPSHOT}) OVER (PARTITION BY {CUSTOMER_ID}, stay) AS {SEGMENT_SINCE},\n\
         \x20 CAST(row_number() OVER (PARTITION BY {CUSTOMER_ID}, stay ORDER BY place) AS INT) AS {SNAPSHOTS_IN_SEGMENT},\n\
         \x20 {SNAPSHOT}\n\
         FROM stays",
        name_of(&p.segment)
    )
}

/// Columns between the monetary value and the scores.
fn further(p: &Pipeline) -> Vec<String> {
    super::rfm::further(p)
}

/// The name of the segment of the first rule that matches.
fn name_of(map: &SegmentMap) -> String {
    let otherwise = map.otherwise.map_or("NULL".to_owned(), |idx| quoted(map.name_of(idx)));
    let rules = map.rules.iter().map(|rule| (matches(rule), format!("\n      {}", quoted(map.name_of(rule.segment)))));
    first_of(rules, &otherwise)
}

fn matches(rule: &Rule) -> String {
    let ranges = Dimension::ALL.into_iter().zip(rule.ranges).map(|(dimension, [low, high])| {
        format!("{} BETWEEN {low} AND {high}", dimension.score())
    });
    let sum = rule.fm_sum.map(|[low, high]| format!("{F_SCORE} + {M_SCORE} BETWEEN {low} AND {high}"));
    let codes = rule.codes.as_ref().map(|codes| {
        any(codes.iter().map(|code| {
            all(Dimension::ALL.into_iter().zip(code).map(|(dimension, score)| format!("{} = {score}", dimension.score())))
        }))
    });
    all(ranges.chain(sum).chain(codes))
}
