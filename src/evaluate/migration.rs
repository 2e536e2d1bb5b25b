//! Migration of customers between segments from one snapshot to the next, and its cause: other
//! behaviour, or other cut points.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;

use super::column;
use crate::columns::*;
use crate::ingest::Money;
use crate::rfm::by_snapshot;
use crate::score::{Cut, cuts_at};
use crate::segment::{self, SegmentMap};

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

impl Total {
    fn add(&mut self, money: i128) {
        self.customers += 1;
        self.money += money;
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    all: Total,
    by_behaviour: Total,
    by_cut_points: Total,
}

/// A customer at one snapshot.
struct Customer<'a> {
    id: &'a str,
    segment: Option<usize>,
    monetary: f64,
}

/// The table `migration`: one row per (pair of consecutive snapshots, from segment, to segment)
/// with customers, including those who stayed.
///
/// Columns: `from` and `to` date, `from_segment` and `to_segment` text, in the map's order, null
/// for customers who are not in the snapshot; `customers` u32; `money` f64 (their `monetary` at
/// `to`, or at `from` for those who left); `customers_by_behaviour` and `customers_by_cut_points`
/// u32, `money_by_behaviour` and `money_by_cut_points` f64.
///
/// A customer moves *by behaviour* if the cut points of `from` would have moved them too, to any
/// segment, or if they entered or left. They move *by cut points* if they would have stayed under
/// those of `from`. For customers who moved, the two add up to all; customers who stayed count in
/// neither. The four columns are null if scores are by rank.
pub(super) fn migration(
    map: &SegmentMap,
    cuts: &[Cut],
    by_rank: [bool; 3],
    segments: &DataFrame,
    money: &Money,
) -> PolarsResult<DataFrame> {
    let parts = by_snapshot(segments)?;
    let pairs: Vec<BTreeMap<Move, Totals>> = parts
        .par_windows(2)
        .map(|pair| {
            let (from, before) = &pair[0];
            let (_, after) = &pair[1];
            let rescored = segment::rescore_with(map, after.clone(), cuts_at(cuts, *from))?;
            let would_be = segment_indices(map, &rescored)?;
            Ok(moves(&customers(map, before)?, &customers(map, after)?, &would_be, money.factor()))
        })
        .collect::<PolarsResult<_>>()?;
    let rows: Vec<(NaiveDate, NaiveDate, Move, Totals)> = parts
        .windows(2)
        .zip(pairs)
        .flat_map(|(pair, moves)| {
            let dates = (pair[0].0, pair[1].0);
            moves.into_iter().map(move |(segments, totals)| (dates.0, dates.1, segments, totals))
        })
        .collect();
    let name = |segment: Option<usize>| segment.map(|idx| map.name_of(idx));
    let major = |total: Total| total.money as f64 / money.factor();
    let has_causes = !by_rank.contains(&true);
    let count_if_known = |total: Total| has_causes.then_some(total.customers);
    let money_if_known = |total: Total| has_causes.then(|| major(total));
    df![
        FROM => column(&rows, |(from, ..)| *from),
        TO => column(&rows, |(_, to, ..)| *to),
        FROM_SEGMENT => column(&rows, |(_, _, (from, _), _)| name(*from)),
        TO_SEGMENT => column(&rows, |(_, _, (_, to), _)| name(*to)),
        CUSTOMERS => column(&rows, |(.., totals)| totals.all.customers),
        MONEY => column(&rows, |(.., totals)| major(totals.all)),
        CUSTOMERS_BY_BEHAVIOUR =>
            column(&rows, |(.., totals)| count_if_known(totals.by_behaviour)),
        CUSTOMERS_BY_CUT_POINTS =>
            column(&rows, |(.., totals)| count_if_known(totals.by_cut_points)),
        MONEY_BY_BEHAVIOUR => column(&rows, |(.., totals)| money_if_known(totals.by_behaviour)),
        MONEY_BY_CUT_POINTS => column(&rows, |(.., totals)| money_if_known(totals.by_cut_points)),
    ]
}

/// Merges the customers of two snapshots, which are sorted by customer_id. `would_be` has the
/// segment of each customer in `after` under the cut points of `before`.
fn moves(
    before: &[Customer<'_>],
    after: &[Customer<'_>],
    would_be: &[Option<usize>],
    money_factor: f64,
) -> BTreeMap<Move, Totals> {
    let mut all: BTreeMap<Move, Totals> = BTreeMap::new();
    let mut count = |segments: Move, cause: Cause, monetary: f64| {
        let totals = all.entry(segments).or_default();
        let money = (monetary * money_factor).round() as i128;
        totals.all.add(money);
        match cause {
            Cause::Unchanged => {}
            Cause::Behaviour => totals.by_behaviour.add(money),
            Cause::CutPoints => totals.by_cut_points.add(money),
        }
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
