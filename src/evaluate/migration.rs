//! Who moved from one segment to another between two snapshots, and why: because they behaved otherwise, or because the cut points
//! moved under them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;

use crate::columns::*;
use crate::ingest::Money;
use crate::rfm::by_snapshot;
use crate::score::{Cut, cuts_at};
use crate::segment::{self, SegmentMap};

/// What is counted of those who moved one way.
#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    /// All, those who moved by behaviour, those who moved by the cut points.
    customers: [u32; 3],
    /// Their money in minor units.
    money: [i128; 3],
}

/// One row a (pair of neighbouring snapshots, from segment, to segment) that some customer went, those who stayed included.
///
/// Columns: `from` and `to` date, `from_segment` and `to_segment` text, in the map's order, null for customers who were not, or are
/// no longer, in the snapshot; `customers` u32; `money` f64: what these had spent, their `monetary` at `to`, or at `from` for those who
/// left; `customers_by_behaviour` and `customers_by_cut_points` u32, `money_by_behaviour` and `money_by_cut_points` f64.
///
/// A customer moved *by behaviour* where the cut points of `from` would have moved it too, to whichever segment, or where it came or
/// left; not to buy is behaviour. It moved *by the cut points* where under those of `from` it would be where it was. For customers who
/// moved the two add up to all; who stayed counts in neither. Where scores go by rank, no cut points tell, and the four are null.
///
/// # Errors
/// What Polars says.
pub fn migration(
    map: &SegmentMap,
    cuts: &[Cut],
    by_rank: [bool; 3],
    segments: &DataFrame,
    money: &Money,
) -> PolarsResult<DataFrame> {
    let parts = by_snapshot(segments)?;
    let (mut dates, mut ways, mut moves) = (Vec::new(), Vec::new(), Vec::new());
    let one = |pair: &[(NaiveDate, DataFrame)]| match pair {
        [(from, before), (to, after)] => {
            Ok((*from, *to, moved(map, cuts, (*from, before), after, money.factor())?))
        }
        _ => Ok((NaiveDate::MIN, NaiveDate::MIN, BTreeMap::new())),
    };
    let pairs: Vec<_> = parts.par_windows(2).map(one).collect::<PolarsResult<_>>()?;
    for (from, to, found) in pairs {
        for (way, moved) in found {
            dates.push((from, to));
            ways.push(way);
            moves.push(moved);
        }
    }
    let name = |place: Option<usize>| place.map(|idx| map.name_of(idx));
    let customers =
        |which: usize| moves.iter().map(|moved: &Moved| moved.customers[which]).collect::<Vec<_>>();
    let spent = |which: usize| {
        moves
            .iter()
            .map(|moved: &Moved| moved.money[which] as f64 / money.factor())
            .collect::<Vec<_>>()
    };
    let ranked = by_rank.contains(&true);
    let told = |counts: Vec<u32>| {
        counts.into_iter().map(|count| (!ranked).then_some(count)).collect::<Vec<_>>()
    };
    let told_money =
        |sums: Vec<f64>| sums.into_iter().map(|sum| (!ranked).then_some(sum)).collect::<Vec<_>>();
    df![
        FROM => dates.iter().map(|(from, _)| *from).collect::<Vec<NaiveDate>>(),
        TO => dates.iter().map(|(_, to)| *to).collect::<Vec<NaiveDate>>(),
        FROM_SEGMENT => ways.iter().map(|(from, _): &Way| name(*from)).collect::<Vec<_>>(),
        TO_SEGMENT => ways.iter().map(|(_, to): &Way| name(*to)).collect::<Vec<_>>(),
        CUSTOMERS => customers(0),
        MONEY => spent(0),
        CUSTOMERS_BY_BEHAVIOUR => told(customers(1)),
        CUSTOMERS_BY_CUT_POINTS => told(customers(2)),
        MONEY_BY_BEHAVIOUR => told_money(spent(1)),
        MONEY_BY_CUT_POINTS => told_money(spent(2)),
    ]
}

/// From one segment of the map to another; none before a customer came, and after it left.
type Way = (Option<usize>, Option<usize>);

fn moved(
    map: &SegmentMap,
    cuts: &[Cut],
    (from, before): (NaiveDate, &DataFrame),
    after: &DataFrame,
    factor: f64,
) -> PolarsResult<BTreeMap<Way, Moved>> {
    let unmoved = segment::under(map, after.clone(), cuts_at(cuts, from))?;
    let (was, is, would_be) =
        (customers(map, before)?, customers(map, after)?, places(map, &unmoved)?);
    let mut ways: BTreeMap<Way, Moved> = BTreeMap::new();
    let mut count = |way: Way, why: Option<usize>, monetary: f64| {
        let moved = ways.entry(way).or_default();
        let money = (monetary * factor).round() as i128;
        for which in [Some(0), why].into_iter().flatten() {
            moved.customers[which] += 1;
            moved.money[which] += money;
        }
    };
    const BEHAVIOUR: usize = 1;
    const CUT_POINTS: usize = 2;
    // Both tables are sorted by customer_id.
    let mut earlier = was.iter().peekable();
    for ((id, place, monetary), would_be) in is.iter().zip(would_be) {
        while let Some((_, place, monetary)) = earlier.next_if(|(other, ..)| other < id) {
            count((*place, None), Some(BEHAVIOUR), *monetary);
        }
        match earlier.next_if(|(other, ..)| other == id) {
            None => count((None, *place), Some(BEHAVIOUR), *monetary),
            Some((_, was, _)) if was == place => count((*was, *place), None, *monetary),
            Some((_, was, _)) if *was == would_be => {
                count((*was, *place), Some(CUT_POINTS), *monetary)
            }
            Some((_, was, _)) => count((*was, *place), Some(BEHAVIOUR), *monetary),
        }
    }
    for (_, place, monetary) in earlier {
        count((*place, None), Some(BEHAVIOUR), *monetary);
    }
    Ok(ways)
}

/// Id, place of the segment in the map, and monetary value of every customer.
fn customers(
    map: &SegmentMap,
    frame: &DataFrame,
) -> PolarsResult<Vec<(String, Option<usize>, f64)>> {
    let ids = frame.column(CUSTOMER_ID)?.str()?.iter().map(|id| id.unwrap_or_default().to_owned());
    let money = frame.column(MONETARY)?.f64()?.iter().map(Option::unwrap_or_default);
    Ok(ids
        .zip(places(map, frame)?)
        .zip(money)
        .map(|((id, place), money)| (id, place, money))
        .collect())
}

fn places(map: &SegmentMap, frame: &DataFrame) -> PolarsResult<Vec<Option<usize>>> {
    let place = |name: Option<&str>| {
        map.segments.iter().position(|segment| Some(segment.name.as_str()) == name)
    };
    Ok(frame.column(SEGMENT)?.str()?.iter().map(place).collect())
}
