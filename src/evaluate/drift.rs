//! How far the cut points have drifted: what kept ones would say where they are cut anew, or older ones where they are kept.

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;

use crate::columns::*;
use crate::rfm::by_snapshot;
use crate::score::{Cut, Dimension, Yardstick, cuts_at, score_counts};
use crate::segment::{self, SegmentMap};

/// Shares below this count as this much, so that a score that nobody has does not make the index infinite.
const LEAST_SHARE: f64 = 1e-4;

/// One row a (snapshot, dimension), and one for the segment: what another set of cut points would change. Where cut points are
/// kept (`frozen`), the others are those that the snapshot itself would have; where they are cut anew, the others are those of the
/// snapshot before, so that the first snapshot has no rows.
///
/// Columns: `snapshot` date, `base` date: the snapshot whose customers the kept or the earlier cut points are from, `dimension` text:
/// `recency_days`, `frequency`, `monetary` or `segment`, `customers` u32, `psi` f64: the population stability index of the score,
/// Σ (a − e) ln(a / e) over the shares of customers by score under the cut points of `base`, at the snapshot (a) and at `base` (e),
/// shares below 0.0001 taken as that, null for the segment; `moved` f64: share of the snapshot's customers who have another score, or
/// segment, under the one set than under the other, null, as `psi` is, for scores by rank; `money_moved` f64: share of its money that these had spent, null where there is
/// none.
///
/// # Errors
/// What Polars says.
pub fn drift(
    map: &SegmentMap,
    (cuts, refit): (&[Cut], &[Cut]),
    by_rank: [bool; 3],
    kept: Option<&Yardstick>,
    segments: &DataFrame,
) -> PolarsResult<DataFrame> {
    let parts = by_snapshot(segments)?;
    let one = |place: usize| of_snapshot(map, (cuts, refit), by_rank, kept, &parts, place);
    let found: Vec<Vec<Drifted>> =
        (0..parts.len()).into_par_iter().map(one).collect::<PolarsResult<_>>()?;
    let found: Vec<Drifted> = found.into_iter().flatten().collect();
    df![
        SNAPSHOT => found.iter().map(|one| one.snapshot).collect::<Vec<_>>(),
        BASE => found.iter().map(|one| one.base).collect::<Vec<_>>(),
        DIMENSION => found.iter().map(|one| one.dimension).collect::<Vec<_>>(),
        CUSTOMERS => found.iter().map(|one| one.customers).collect::<Vec<_>>(),
        PSI => found.iter().map(|one| one.index).collect::<Vec<_>>(),
        MOVED => found.iter().map(|one| one.moved).collect::<Vec<_>>(),
        MONEY_MOVED => found.iter().map(|one| one.money).collect::<Vec<_>>(),
    ]
}

/// One row of the table.
struct Drifted {
    snapshot: NaiveDate,
    base: NaiveDate,
    dimension: &'static str,
    customers: u32,
    index: Option<f64>,
    moved: Option<f64>,
    money: Option<f64>,
}

/// The rows of one snapshot.
fn of_snapshot(
    map: &SegmentMap,
    (cuts, refit): (&[Cut], &[Cut]),
    by_rank: [bool; 3],
    kept: Option<&Yardstick>,
    parts: &[(NaiveDate, DataFrame)],
    place: usize,
) -> PolarsResult<Vec<Drifted>> {
    let (snapshot, part) = &parts[place];
    let earlier = place.checked_sub(1).map(|before| &parts[before]);
    let (base, counts, under_base, other) = match (kept, earlier) {
        (Some(kept), _) => {
            let anew = segment::under(map, part.clone(), cuts_at(refit, *snapshot))?;
            (kept.date, kept.counts.clone(), part.clone(), anew)
        }
        (None, Some((base, before))) => {
            let unmoved = segment::under(map, part.clone(), cuts_at(cuts, *base))?;
            (*base, score_counts(before)?, unmoved.clone(), unmoved)
        }
        (None, None) => return Ok(Vec::new()),
    };
    let now = score_counts(&under_base)?;
    let names = Dimension::ALL.map(Dimension::score).into_iter().chain([SEGMENT]);
    let row = |(idx, name): (usize, &str)| {
        let (own, other) = (part.column(name)?, other.column(name)?);
        let differs =
            own.as_materialized_series().not_equal_missing(other.as_materialized_series())?;
        // Of scores by rank no cut points tell what they would be, nor then of segments.
        let told = by_rank.get(idx).map_or(!by_rank.contains(&true), |by_rank| !by_rank);
        Ok(Drifted {
            snapshot: *snapshot,
            base,
            dimension: Dimension::ALL.get(idx).map_or(SEGMENT, |dimension| dimension.value()),
            customers: part.height() as u32,
            index: counts.get(idx).filter(|_| told).map(|expected| index(expected, &now[idx])),
            moved: told.then(|| differs.num_trues() as f64 / part.height() as f64),
            money: if told { share_of_money(part, &differs)? } else { None },
        })
    };
    names.enumerate().map(row).collect()
}

/// The population stability index of counts by score.
fn index(expected: &[u32], actual: &[u32]) -> f64 {
    let share = |counts: &[u32], idx: usize| {
        let total: u32 = counts.iter().sum();
        let count = counts.get(idx).copied().unwrap_or(0);
        (f64::from(count) / f64::from(total.max(1))).max(LEAST_SHARE)
    };
    let term = |idx: usize| {
        let (e, a) = (share(expected, idx), share(actual, idx));
        (a - e) * (a / e).ln()
    };
    (0..expected.len().max(actual.len())).map(term).sum()
}

/// The share of all money that the marked customers had spent.
fn share_of_money(part: &DataFrame, marked: &BooleanChunked) -> PolarsResult<Option<f64>> {
    // Sums of floats depend on their order.
    let sum = |frame: &DataFrame| -> PolarsResult<f64> {
        let mut values: Vec<f64> = frame.column(MONETARY)?.f64()?.iter().flatten().collect();
        values.sort_by(f64::total_cmp);
        Ok(values.iter().sum())
    };
    let total = sum(part)?;
    Ok(if total == 0.0 { None } else { Some((sum(&part.filter(marked)?)? + 0.0) / total) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_equals_hand_arithmetic() {
        // (0.5 − 0.25) ln 2 + (0.5 − 0.75) ln (2/3) = 0.17329 + 0.10137.
        assert!((index(&[25, 75], &[50, 50]) - 0.274_653_072_167_027_4).abs() < 1e-15);
        assert_eq!(index(&[3, 4], &[6, 8]), 0.0);
        // A score that has gone: (0.0001 − 0.5) ln (0.0001/0.5) + (1 − 0.5) ln 2.
        let gone = (0.0001f64 - 0.5) * (0.0001f64 / 0.5).ln() + 0.5 * 2f64.ln();
        assert!((index(&[5, 5], &[10, 0]) - gone).abs() < 1e-15);
    }
}
