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
/// The table of named customers, before models are asked about them.
pub(super) const NAMED: &str = "custseg_named";
/// How many customers have which scores and segment, by snapshot.
pub(super) const CELLS: &str = "work/cells";
/// Where the segments are published.
pub(super) const SEGMENTS: &str = "segments";

/// The table of named customers, as [`crate::segment::Segmented`] has them, in hive folders by snapshot unless models are asked about
/// them first; and how many they are.
pub(super) fn statements(p: &Pipeline, asked: bool) -> Vec<Statement> {
    let (path, partition_by) =
        if asked { ("work/segments", None) } else { (SEGMENTS, Some(SNAPSHOT)) };
    let body = Body::Table { select: named(p), path, partition_by };
    let cells = [SNAPSHOT, SEGMENT, R_SCORE, F_SCORE, M_SCORE].join(", ");
    let cells = format!(
        "SELECT CAST({SNAPSHOT} AS DATE) AS {SNAPSHOT}, {SEGMENT}, {R_SCORE}, {F_SCORE}, {M_SCORE}, CAST(count(*) AS BIGINT) AS {CUSTOMERS}\n\
         FROM {NAMED}\nGROUP BY {cells}"
    );
    vec![
        Statement { stage: STAGE, name: NAMED.to_owned(), body },
        Statement::table(STAGE, "custseg_cells", CELLS, cells),
    ]
}

/// Columns of the segments but for their snapshot.
pub(super) fn columns(p: &Pipeline) -> Vec<String> {
    let before = [CUSTOMER_ID, LAST_ORDER_AT, RECENCY_DAYS, FREQUENCY, MONETARY].map(str::to_owned);
    let scores = [R_SCORE, F_SCORE, M_SCORE, RFM_CODE].map(str::to_owned);
    let weighed = p.score.weights.map(|_| RFM_SCORE.to_owned());
    let named = [SEGMENT, PREVIOUS_SEGMENT, SEGMENT_SINCE, SNAPSHOTS_IN_SEGMENT].map(str::to_owned);
    before
        .into_iter()
        .chain(super::rfm::further(p))
        .chain(scores)
        .chain(weighed)
        .chain(named)
        .collect()
}

fn named(p: &Pipeline) -> String {
    let of_customer = format!("PARTITION BY {CUSTOMER_ID} ORDER BY place");
    let columns = columns(p).into_iter().map(|column| match column.as_str() {
        SEGMENT_SINCE => format!("min({SNAPSHOT}) OVER (PARTITION BY {CUSTOMER_ID}, stay) AS {SEGMENT_SINCE}"),
        SNAPSHOTS_IN_SEGMENT => format!(
            "CAST(row_number() OVER (PARTITION BY {CUSTOMER_ID}, stay ORDER BY place) AS INT) AS {SNAPSHOTS_IN_SEGMENT}"
        ),
        _ => column,
    });
    format!(
        "WITH named AS (\n\
         \x20 SELECT c.*, s.place, {} AS {SEGMENT}\n\
         \x20 FROM {SCORED} AS c JOIN {SNAPSHOTS} AS s ON s.{SNAPSHOT} = c.{SNAPSHOT}\n\
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
         SELECT {}, {SNAPSHOT}\n\
         FROM stays",
        name_of(&p.segment),
        columns.collect::<Vec<_>>().join(", ")
    )
}

/// The name of the segment of the first rule that matches.
fn name_of(map: &SegmentMap) -> String {
    let otherwise = map.otherwise.map_or("NULL".to_owned(), |idx| quoted(map.name_of(idx)));
    let rules = map
        .rules
        .iter()
        .map(|rule| (matches(rule), format!("\n      {}", quoted(map.name_of(rule.segment)))));
    first_of(rules, &otherwise)
}

fn matches(rule: &Rule) -> String {
    let ranges = Dimension::ALL
        .into_iter()
        .zip(rule.ranges)
        .map(|(dimension, [low, high])| format!("{} BETWEEN {low} AND {high}", dimension.score()));
    let sum =
        rule.fm_sum.map(|[low, high]| format!("{F_SCORE} + {M_SCORE} BETWEEN {low} AND {high}"));
    let codes = rule.codes.as_ref().map(|codes| {
        any(codes.iter().map(|code| {
            all(Dimension::ALL
                .into_iter()
                .zip(code)
                .map(|(dimension, score)| format!("{} = {score}", dimension.score())))
        }))
    });
    all(ranges.chain(sum).chain(codes))
}
