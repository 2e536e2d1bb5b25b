//! Migration of customers between segments from one snapshot to the next, and its cause: other
//! behaviour, or other cut points.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;

use super::{EvaluationInputs, SnapshotPart};
use crate::columns::*;
use crate::score::cuts_at;
use crate::segment::{self, SegmentMap};
use crate::tables::table_rows;

/// Indices of two segments of the map. `None` before a customer enters and after they leave.
type Move = (Option<usize>, Option<usize>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Unchanged,
    Behaviour,
    CutPoints,
}

/// Number of customers and their money in minor units.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    customers: u32,
    money: i128,
}

/// A customer at one snapshot.
struct Customer<'a> {
    id: &'a str,
    segment: Option<usize>,
    monetary: f64,
}

table_rows! {
    /// A row of the table `migration`. Segments are `None` for customers who are not in the
    /// snapshot, causes if scores are by rank.
    struct Migration<'a> {
        FROM => from: NaiveDate,
        TO => to: NaiveDate,
        FROM_SEGMENT => from_segment: Option<&'a str>,
        TO_SEGMENT => to_segment: Option<&'a str>,
        CUSTOMERS => customers: u32,
        /// `monetary` at `to`, or at `from` for those who left.
        MONEY => money: f64,
        CUSTOMERS_BY_BEHAVIOUR => customers_by_behaviour: Option<u32>,
        CUSTOMERS_BY_CUT_POINTS => customers_by_cut_points: Option<u32>,
        MONEY_BY_BEHAVIOUR => money_by_behaviour: Option<f64>,
        MONEY_BY_CUT_POINTS => money_by_cut_points: Option<f64>,
    }
}

/// The table `migration`: one row per (pair of consecutive snapshots, from segment, to segment)
/// with customers, including those who stayed. Segments are in the map's order.
///
/// A customer moves *by behaviour* if the cut points of `from` would have moved them too, to any
/// segment, or if they entered or left. They move *by cut points* if they would have stayed under
/// those of `from`. For customers who moved, the two add up to all; customers who stayed count in
/// neither.
pub(super) fn migration(
    inputs: &EvaluationInputs<'_>,
    parts: &[SnapshotPart],
) -> PolarsResult<DataFrame> {
    let EvaluationInputs { map, cuts, by_rank, facts, .. } = inputs;
    let factor = facts.money.factor();
    let has_causes = !by_rank.contains(&true);
    let pair_rows = |pair: &[SnapshotPart]| {
        let (from, before) = &pair[0];
        let (to, after) = &pair[1];
        let rescored = segment::rescore_with(map, after.clone(), cuts_at(cuts, *from))?;
        let would_be = segment_indices(map, &rescored)?;
        let moves = moves(&customers(map, before)?, &customers(map, after)?, &would_be, factor);
        let row = |((from_segment, to_segment), totals): (Move, [Total; 3])| {
            let by_behaviour = totals[Cause::Behaviour as usize];
            let by_cut_points = totals[Cause::CutPoints as usize];
            Migration {
                from: *from,
                to: *to,
                from_segment: from_segment.map(|idx| map.name_of(idx)),
                to_segment: to_segment.map(|idx| map.name_of(idx)),
                customers: totals.iter().map(|total| total.customers).sum(),
                money: totals.iter().map(|total| total.money).sum::<i128>() as f64 / factor,
                customers_by_behaviour: has_causes.then_some(by_behaviour.customers),
                customers_by_cut_points: has_causes.then_some(by_cut_points.customers),
                money_by_behaviour: has_causes.then_some(by_behaviour.money as f64 / factor),
                money_by_cut_points: has_causes.then_some(by_cut_points.money as f64 / factor),
            }
        };
        Ok(moves.into_iter().map(row).collect())
    };
    let rows: Vec<Vec<Migration<'_>>> =
        parts.par_windows(2).map(pair_rows).collect::<PolarsResult<_>>()?;
    Migration::frame(rows.into_iter().flatten())
}

/// Merges the customers of two snapshots, which are sorted by customer_id, into totals by
/// [`Cause`]. `would_be` has the segment of each customer in `after` under the cut points of
/// `before`.
fn moves(
    before: &[Customer<'_>],
    after: &[Customer<'_>],
    would_be: &[Option<usize>],
    money_factor: f64,
) -> BTreeMap<Move, [Total; 3]> {
    let mut all: BTreeMap<Move, [Total; 3]> = BTreeMap::new();
    let mut count = |segments: Move, cause: Cause, monetary: f64| {
        let total = &mut all.entry(segments).or_default()[cause as usize];
        total.customers += 1;
        total.money += (monetary * money_factor).round() as i128;
    };
    let mut earlier = before.iter().peekable();
    for (customer, would_be) in after.iter().zip(would_be) {
        while let Some(left) = earlier.next_if(|other| other.id < customer.id) {
            count((left.segment, None), Cause::Behaviour, left.monetary);
        }
        let previous = earlier.next_if(|other| other.id == customer.id);
        let cause = match previous {
            Some(previous) if previous.segment == customer.segment => Cause::Unchanged,
            Some(previous) if previous.segment == *would_be => Cause::CutPoints,
            _ => Cause::Behaviour,
        };
        let from = previous.and_then(|previous| previous.segment);
        count((from, customer.segment), cause, customer.monetary);
    }
    for left in earlier {
        count((left.segment, None), Cause::Behaviour, left.monetary);
    }
    all
}

fn customers<'a>(map: &SegmentMap, frame: &'a DataFrame) -> PolarsResult<Vec<Customer<'a>>> {
    let ids = frame.column(CUSTOMER_ID)?.str()?.iter();
    let monetary = frame.column(MONETARY)?.f64()?.iter();
    ids.zip(segment_indices(map, frame)?)
        .zip(monetary)
        .map(|((id, segment), monetary)| {
            let (Some(id), Some(monetary)) = (id, monetary) else {
                return Err(polars_err!(ComputeError: "null in `{CUSTOMER_ID}` or `{MONETARY}`"));
            };
            Ok(Customer { id, segment, monetary })
        })
        .collect()
}

/// Indices of the segments in the map.
fn segment_indices(map: &SegmentMap, frame: &DataFrame) -> PolarsResult<Vec<Option<usize>>> {
    let index = |name: &str| map.segments.iter().position(|segment| segment.name == name);
    Ok(frame.column(SEGMENT)?.str()?.iter().map(|name| name.and_then(index)).collect())
}
