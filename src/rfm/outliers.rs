//! Monetary values beyond a quantile: counted, and brought back to it where that is asked (winsorised), at each snapshot apart,
//! so that what later customers spend does not change an earlier snapshot.

use polars::prelude::*;

use super::{by_snapshot, quantile::type_7};
use crate::columns::{CUSTOMERS, LIMIT, MONETARY, MONEY_BEYOND, QUANTILE, SNAPSHOT};

/// Checked options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapOutliers {
    /// The quantile in parts of a million: 990,000 for 0.99.
    pub millionths: u32,
    /// What becomes of the values beyond it.
    pub policy: CapPolicy,
}

/// What becomes of values beyond the quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapPolicy {
    /// They are counted, and stay.
    Report,
    /// They are counted, and become the quantile.
    Winsorise,
}

/// Counts the values beyond the quantile of each snapshot, and caps them where that is asked.
///
/// The table has one row a snapshot: `snapshot` date, `quantile` f64, `limit` f64 (type 7), `customers` u32 beyond it,
/// `money_beyond` f64: what they spent over the limit. Where a limit is given, it holds in place of the quantile.
pub(super) fn cap(
    params: &CapOutliers,
    given: Option<f64>,
    frame: &DataFrame,
) -> PolarsResult<(DataFrame, DataFrame)> {
    let (mut limits, mut customers, mut beyond) = (Vec::new(), Vec::new(), Vec::new());
    let (mut parts, mut dates) = (Vec::new(), Vec::new());
    for (date, part) in by_snapshot(frame)? {
        dates.push(date);
        let mut values: Vec<f64> = part.column(MONETARY)?.f64()?.iter().flatten().collect();
        values.sort_by(f64::total_cmp);
        let found = type_7(&values, params.millionths as usize, 1_000_000);
        let limit = given.or(found).unwrap_or(f64::INFINITY);
        let over: Vec<f64> =
            values.iter().map(|value| value - limit).filter(|over| *over > 0.0).collect();
        limits.push(limit);
        customers.push(over.len() as u32);
        // The values are sorted, so the sum is the same whatever the order of the rows.
        beyond.push(over.iter().sum::<f64>());
        let capped = when(col(MONETARY).gt(lit(limit)))
            .then(lit(limit))
            .otherwise(col(MONETARY))
            .alias(MONETARY);
        parts.push(match params.policy {
            CapPolicy::Report => part.lazy(),
            CapPolicy::Winsorise => part.lazy().with_column(capped),
        });
    }
    let quantile = vec![f64::from(params.millionths) / 1e6; dates.len()];
    let found = df![
        SNAPSHOT => dates,
        QUANTILE => quantile,
        LIMIT => limits,
        CUSTOMERS => customers,
        MONEY_BEYOND => beyond,
    ]?;
    Ok((concat(parts, UnionArgs::default())?.collect()?, found))
}
