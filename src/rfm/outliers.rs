//! Monetary values above a quantile: counted, and lowered to the quantile if the policy is
//! `winsorise`. Each snapshot has its own quantile, so later purchases do not change it.

use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{by_snapshot, quantile::type_7};
use crate::columns::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapOutliers {
    /// The quantile in parts per million: 990,000 for 0.99.
    pub millionths: u32,
    pub policy: CapPolicy,
}

/// What happens to values above the quantile: `report` counts them, `winsorise` also lowers them to
/// the quantile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CapPolicy {
    #[default]
    Report,
    Winsorise,
}

/// Applies the policy to `frame`, and returns the table `outliers`.
///
/// The table has one row per snapshot: `snapshot` date, `quantile` f64, `limit` f64 (type 7, or
/// `fitted_limit` if given), `customers` u32 above the limit, and `excess_money` f64, the sum of
/// their money above the limit.
pub(super) fn cap(
    params: &CapOutliers,
    fitted_limit: Option<f64>,
    frame: &mut DataFrame,
) -> PolarsResult<DataFrame> {
    let mut parts = Vec::new();
    let mut dates = Vec::new();
    let (mut limits, mut customers, mut excess_money) = (Vec::new(), Vec::new(), Vec::new());
    for (date, part) in by_snapshot(frame)? {
        let mut values: Vec<f64> = part.column(MONETARY)?.f64()?.iter().flatten().collect();
        values.sort_by(f64::total_cmp);
        let quantile = type_7(&values, params.millionths as usize, 1_000_000);
        let limit = fitted_limit.or(quantile).unwrap_or(f64::INFINITY);
        // The values are sorted, so their sum does not depend on the order of the rows.
        let excess: Vec<f64> =
            values.iter().map(|value| value - limit).filter(|excess| *excess > 0.0).collect();
        dates.push(date);
        limits.push(limit);
        customers.push(excess.len() as u32);
        excess_money.push(excess.iter().sum::<f64>());
        let is_above = col(MONETARY).gt(lit(limit));
        let capped = when(is_above).then(lit(limit)).otherwise(col(MONETARY)).alias(MONETARY);
        parts.push(match params.policy {
            CapPolicy::Report => part.lazy(),
            CapPolicy::Winsorise => part.lazy().with_column(capped),
        });
    }
    *frame = concat(parts, UnionArgs::default())?.collect()?;
    df![
        SNAPSHOT => &dates,
        QUANTILE => vec![f64::from(params.millionths) / 1e6; dates.len()],
        LIMIT => limits,
        CUSTOMERS => customers,
        EXCESS_MONEY => excess_money,
    ]
}
