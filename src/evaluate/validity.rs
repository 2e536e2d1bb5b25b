//! Predictive validity: what the customers of each segment did after the snapshot. Segments are
//! useful if these results differ.

use chrono::{Days, NaiveDate};
use polars::prelude::*;
use rayon::prelude::*;

use super::bootstrap::{interval, resample};
use super::{EvaluationInputs, SnapshotPart};
use crate::columns::*;
use crate::orders::OrderFacts;
use crate::rfm::{day, measures};
use crate::tables::table_rows;

/// Checked options of `evaluate.validity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidityParams {
    /// Days after a snapshot, at least 1.
    pub horizon_days: u32,
    /// Number of bootstrap resamples, at least 1.
    pub resamples: u32,
    pub seed: u64,
}

/// A customer's behaviour within the horizon.
struct Behaviour {
    segment: String,
    bought: bool,
    /// In minor units.
    money: i128,
}

table_rows! {
    /// A row of the table `validity`. Rates, means and intervals of a segment without customers are
    /// `None`.
    struct SegmentBehaviour<'a> {
        SNAPSHOT => snapshot: NaiveDate,
        HORIZON_DAYS => horizon_days: u32,
        /// `None` for all customers.
        SEGMENT => segment: Option<&'a str>,
        CUSTOMERS => customers: u32,
        /// Customers with a purchase within the horizon that was not fully returned in it.
        BUYERS => buyers: u32,
        BUY_RATE => buy_rate: Option<f64>,
        low(BUY_RATE) => buy_rate_low: Option<f64>,
        high(BUY_RATE) => buy_rate_high: Option<f64>,
        /// Less returns.
        MONEY => money: f64,
        /// Share of the money of all customers.
        MONEY_SHARE => money_share: Option<f64>,
        /// Per customer.
        MONEY_MEAN => money_mean: Option<f64>,
        low(MONEY_MEAN) => money_mean_low: Option<f64>,
        high(MONEY_MEAN) => money_mean_high: Option<f64>,
    }
}

impl ValidityParams {
    /// The first day after the horizon of a snapshot.
    pub fn end(&self, snapshot: NaiveDate) -> NaiveDate {
        snapshot.checked_add_days(Days::new(u64::from(self.horizon_days))).unwrap_or(NaiveDate::MAX)
    }

    /// The snapshot whose horizon ends at a date.
    pub fn start(&self, end: NaiveDate) -> NaiveDate {
        end.checked_sub_days(Days::new(u64::from(self.horizon_days))).unwrap_or(NaiveDate::MIN)
    }
}

/// The table `validity`: one row per (snapshot, segment of the map), and one with a null segment
/// for all customers of a snapshot. Snapshots without a full horizon of data are skipped.
/// `snapshots` may contain one that is not published: the one whose horizon ends at the newest.
///
/// The 95 % intervals are bootstrapped over the segment's customers.
pub(super) fn validity(
    inputs: &EvaluationInputs<'_>,
    params: &ValidityParams,
    snapshots: &[SnapshotPart],
) -> PolarsResult<DataFrame> {
    let EvaluationInputs { facts, map, .. } = inputs;
    // The day before the end of the horizon must be within the source.
    let source_end = facts.span()?.and_then(|(_, last)| last.succ_opt());
    let names = map.segments.iter().map(|segment| Some(segment.name.as_str()));
    let segments: Vec<Option<&str>> = [None].into_iter().chain(names).collect();
    let factor = facts.money.factor();
    let mut rows: Vec<SegmentBehaviour<'_>> = Vec::new();
    for (snapshot, customers) in snapshots {
        let end = params.end(*snapshot);
        if source_end.is_none_or(|source_end| source_end < end) {
            continue;
        }
        let behaviours = behaviour(facts, customers, *snapshot, end)?;
        rows.par_extend(segments.par_iter().map(|segment| {
            SegmentBehaviour::new(params, *snapshot, *segment, &behaviours, factor)
        }));
    }
    SegmentBehaviour::frame(rows)
}

impl<'a> SegmentBehaviour<'a> {
    /// Money has `factor` minor units.
    fn new(
        params: &ValidityParams,
        snapshot: NaiveDate,
        segment: Option<&'a str>,
        behaviours: &[Behaviour],
        factor: f64,
    ) -> Self {
        let members: Vec<&Behaviour> = behaviours
            .iter()
            .filter(|customer| segment.is_none_or(|name| customer.segment == name))
            .collect();
        let n = members.len();
        let times = if n == 0 { 0 } else { params.resamples as usize };
        let date = snapshot.to_string();
        let key = [date.as_str(), segment.unwrap_or("")];
        let (rates, means) = resample(params.seed, &key, times, &[n], |resample| {
            let mut buyers = 0u32;
            let mut money = 0i128;
            resample.for_each(|idx| {
                buyers += u32::from(members[idx].bought);
                money += members[idx].money;
            });
            (f64::from(buyers) / n as f64, money as f64 / n as f64)
        })
        .into_iter()
        .unzip();
        let [buy_rate_low, buy_rate_high] = interval(rates);
        let [money_mean_low, money_mean_high] =
            interval(means).map(|end| end.map(|money| money / factor));
        let buyers = members.iter().filter(|customer| customer.bought).count() as u32;
        let minor: i128 = members.iter().map(|customer| customer.money).sum();
        let total: i128 = behaviours.iter().map(|customer| customer.money).sum();
        let money = minor as f64 / factor;
        let per_customer = |value: f64| (n > 0).then(|| value / n as f64);
        Self {
            snapshot,
            horizon_days: params.horizon_days,
            segment,
            customers: n as u32,
            buyers,
            buy_rate: per_customer(f64::from(buyers)),
            buy_rate_low,
            buy_rate_high,
            money,
            money_share: (total > 0).then(|| minor as f64 / total as f64),
            money_mean: per_customer(money),
            money_mean_low,
            money_mean_high,
        }
    }
}

/// The behaviour of every customer of a snapshot, in the order of customer_id.
fn behaviour(
    facts: &OrderFacts,
    customers: &DataFrame,
    snapshot: NaiveDate,
    end: NaiveDate,
) -> PolarsResult<Vec<Behaviour>> {
    let customers = customers.clone().lazy().select([col(CUSTOMER_ID), col(SEGMENT)]);
    let frame = purchases(facts, customers, snapshot, end)?;
    let segments = frame.column(SEGMENT)?.str()?.iter();
    let bought = frame.column(IS_EFFECTIVE)?.bool()?.iter();
    let money = frame.column(MONEY)?.i128()?.iter();
    segments
        .zip(bought)
        .zip(money)
        .map(|((segment, bought), money)| {
            let segment =
                segment.ok_or_else(|| polars_err!(ComputeError: "null in `{SEGMENT}`"))?.to_owned();
            Ok(Behaviour { segment, bought: bought.unwrap_or(false), money: money.unwrap_or(0) })
        })
        .collect()
}

/// Adds to customers whether they bought from `since` until before `end` and did not return it all
/// in that time, and their money in minor units. Both are null without lines. Sorted by
/// customer_id.
pub(super) fn purchases(
    facts: &OrderFacts,
    customers: LazyFrame,
    since: NaiveDate,
    end: NaiveDate,
) -> PolarsResult<DataFrame> {
    let in_horizon = col(DAY).gt_eq(day(since)).and(col(DAY).lt(day(end)));
    let later = facts
        .accepted()
        .filter(in_horizon)
        .with_column(measures::is_effective(end))
        .group_by([col(CUSTOMER_ID)])
        .agg([col(IS_EFFECTIVE).max(), col(MONEY).sum()]);
    let key = [col(CUSTOMER_ID)];
    customers
        .join(later, key.clone(), key, JoinArgs::new(JoinType::Left))
        .sort([CUSTOMER_ID], SortMultipleOptions::default())
        .collect()
}
