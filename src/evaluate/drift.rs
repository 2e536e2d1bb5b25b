//! Drift of the cut points: how scores and segments would change under those of another snapshot.

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;

use super::{EvaluationInputs, SnapshotPart};
use crate::columns::*;
use crate::score::{Dimension, cuts_at, score_counts};
use crate::segment;
use crate::tables::table_rows;

/// Smaller shares count as this share, so that an empty score does not make the index infinite.
const LEAST_SHARE: f64 = 1e-4;

table_rows! {
    struct Drift {
        SNAPSHOT => snapshot: NaiveDate,
        /// The snapshot whose customers the frozen or previous cut points are from.
        BASELINE_SNAPSHOT => baseline_snapshot: NaiveDate,
        DIMENSION => dimension: &'static str,
        CUSTOMERS => customers: u32,
        PSI => psi: Option<f64>,
        MOVED => moved: Option<f64>,
        MONEY_MOVED => money_moved: Option<f64>,
    }
}

/// The table `drift`: what other cut points would change. One row per (snapshot, dimension), and
/// one per snapshot for the segment. Frozen cut points are compared with those of the snapshot
/// itself. Otherwise the baseline is the previous snapshot, so the first snapshot has no rows.
///
/// `psi` is the population stability index of the score, Σ (a − e) ln(a / e), where a and e are the
/// shares of customers by score at the snapshot and at the baseline, both under the baseline's cut
/// points. Shares below 0.0001 count as 0.0001. Null for the segment. `moved` is the share of
/// customers with another score or segment, `money_moved` their share of the money, null without
/// money. All three are null for scores by rank.
pub(super) fn drift(
    inputs: &EvaluationInputs<'_>,
    parts: &[SnapshotPart],
) -> PolarsResult<DataFrame> {
    let rows: Vec<Vec<Drift>> = (0..parts.len())
        .into_par_iter()
        .map(|idx| drift_of_snapshot(inputs, &parts[idx], parts[..idx].last()))
        .collect::<PolarsResult<_>>()?;
    Drift::frame(rows.into_iter().flatten())
}

fn drift_of_snapshot(
    inputs: &EvaluationInputs<'_>,
    (snapshot, part): &SnapshotPart,
    previous: Option<&SnapshotPart>,
) -> PolarsResult<Vec<Drift>> {
    let rescore = |cuts, date| segment::rescore_with(inputs.map, part.clone(), cuts_at(cuts, date));
    let (baseline_snapshot, baseline_counts, under_baseline, other) =
        match (&inputs.frozen, previous) {
            (Some(frozen), _) => {
                let refit = rescore(&inputs.refit, *snapshot)?;
                (frozen.date, frozen.counts.clone(), part.clone(), refit)
            }
            (None, Some((date, previous))) => {
                let rescored = rescore(&inputs.cuts, *date)?;
                (*date, score_counts(previous)?, rescored.clone(), rescored)
            }
            (None, None) => return Ok(Vec::new()),
        };
    let counts = score_counts(&under_baseline)?;
    let row = |dimension: Option<Dimension>| {
        let by_rank = match dimension {
            Some(dimension) => inputs.by_rank[dimension as usize],
            None => inputs.by_rank.contains(&true),
        };
        let name = dimension.map_or(SEGMENT, Dimension::score);
        let movement = if by_rank { None } else { Some(moved(part, &other, name)?) };
        let score_psi = |dimension: Dimension| {
            psi(&baseline_counts[dimension as usize], &counts[dimension as usize])
        };
        Ok(Drift {
            snapshot: *snapshot,
            baseline_snapshot,
            dimension: dimension.map_or(SEGMENT, Dimension::value),
            customers: part.height() as u32,
            psi: if by_rank { None } else { dimension.map(score_psi) },
            moved: movement.map(|(customers, _)| customers),
            money_moved: movement.and_then(|(_, money)| money),
        })
    };
    Dimension::ALL.into_iter().map(Some).chain([None]).map(row).collect()
}

/// Shares of the customers and of the money with another value in a column. The second is `None`
/// without money.
fn moved(part: &DataFrame, other: &DataFrame, name: &str) -> PolarsResult<(f64, Option<f64>)> {
    let own = part.column(name)?.as_materialized_series();
    let differs = own.not_equal_missing(other.column(name)?.as_materialized_series())?;
    let customers = differs.num_trues() as f64 / part.height() as f64;
    let total = total_money(part)?;
    // The sum of no values is -0.0.
    let money = total_money(&part.filter(&differs)?)? + 0.0;
    Ok((customers, (total != 0.0).then(|| money / total)))
}

fn total_money(frame: &DataFrame) -> PolarsResult<f64> {
    // Sums of floats depend on their order.
    let mut values: Vec<f64> = frame.column(MONETARY)?.f64()?.iter().flatten().collect();
    values.sort_by(f64::total_cmp);
    Ok(values.iter().sum())
}

/// The population stability index of counts by score.
fn psi(expected: &[u32], actual: &[u32]) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psi_equals_hand_computed_values() {
        // (0.5 − 0.25) ln 2 + (0.5 − 0.75) ln (2/3) = 0.17329 + 0.10137.
        assert!((psi(&[25, 75], &[50, 50]) - 0.274_653_072_167_027_4).abs() < 1e-15);
        assert_eq!(psi(&[3, 4], &[6, 8]), 0.0);
        // An empty score: (0.0001 − 0.5) ln (0.0001/0.5) + (1 − 0.5) ln 2.
        let expected = (0.0001f64 - 0.5) * (0.0001f64 / 0.5).ln() + 0.5 * 2f64.ln();
        assert!((psi(&[5, 5], &[10, 0]) - expected).abs() < 1e-15);
    }
}
