//! Predictive validity: what the customers of each segment did after the snapshot. Segments are
//! useful if these results differ.

use chrono::{Days, NaiveDate};
use polars::prelude::*;
use rayon::prelude::*;

use super::bootstrap::{interval, resample};
use super::column;
use crate::columns::*;
use crate::orders::OrderFacts;
use crate::rfm::{day, measures};
use crate::segment::SegmentMap;

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

/// A row of the table `validity`. Money is in minor units.
struct SegmentBehaviour<'a> {
    snapshot: NaiveDate,
    /// `None` for all customers.
    segment: Option<&'a str>,
    customers: usize,
    buyers: usize,
    money: i128,
    /// Money of all customers of the snapshot.
    total_money: i128,
    buy_rate_interval: Option<[f64; 2]>,
    money_mean_interval: Option<[f64; 2]>,
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
/// Columns: `snapshot` date, `horizon_days` u32, `segment` text, `customers` u32, `buyers` u32
/// (customers with a purchase within the horizon that was not fully returned in it), `buy_rate` f64
/// with `buy_rate_low` and `buy_rate_high`, `money` f64 within the horizon, less returns,
/// `money_share` f64 of the money of all customers, `money_mean` f64 per customer, with
/// `money_mean_low` and `money_mean_high`. The 95 % intervals are bootstrapped over the segment's
/// customers. Rates, means and intervals of a segment without customers are null.
pub(super) fn validity(
    params: &ValidityParams,
    facts: &OrderFacts,
    map: &SegmentMap,
    snapshots: &[(NaiveDate, DataFrame)],
) -> PolarsResult<DataFrame> {
    // The day before the end of the horizon must be within the source.
    let source_end = facts.span()?.and_then(|(_, last)| last.succ_opt());
    let names = map.segments.iter().map(|segment| Some(segment.name.as_str()));
    let segments: Vec<Option<&str>> = [None].into_iter().chain(names).collect();
    let mut rows: Vec<SegmentBehaviour<'_>> = Vec::new();
    for (snapshot, customers) in snapshots {
        let end = params.end(*snapshot);
        if source_end.is_none_or(|source_end| source_end < end) {
            continue;
        }
        let behaviours = behaviour(facts, customers, *snapshot, end)?;
        rows.par_extend(
            segments.par_iter().map(|segment| params.measure(*snapshot, *segment, &behaviours)),
        );
    }
    let factor = facts.money.factor();
    let major = |money: i128| money as f64 / factor;
    let major_end =
        |interval: Option<[f64; 2]>, end: usize| interval.map(|ends| ends[end] / factor);
    df![
        SNAPSHOT => column(&rows, |row| row.snapshot),
        HORIZON_DAYS => vec![params.horizon_days; rows.len()],
        SEGMENT => column(&rows, |row| row.segment),
        CUSTOMERS => column(&rows, |row| row.customers as u32),
        BUYERS => column(&rows, |row| row.buyers as u32),
        BUY_RATE => column(&rows, |row| row.per_customer(row.buyers as f64)),
        low(BUY_RATE) => column(&rows, |row| row.buy_rate_interval.map(|[low, _]| low)),
        high(BUY_RATE) => column(&rows, |row| row.buy_rate_interval.map(|[_, high]| high)),
        MONEY => column(&rows, |row| major(row.money)),
        MONEY_SHARE => column(&rows, SegmentBehaviour::money_share),
        MONEY_MEAN => column(&rows, |row| row.per_customer(major(row.money))),
        low(MONEY_MEAN) => column(&rows, |row| major_end(row.money_mean_interval, 0)),
        high(MONEY_MEAN) => column(&rows, |row| major_end(row.money_mean_interval, 1)),
    ]
}

impl SegmentBehaviour<'_> {
    fn per_customer(&self, value: f64) -> Option<f64> {
        (self.customers > 0).then(|| value / self.customers as f64)
    }

    fn money_share(&self) -> Option<f64> {
        (self.total_money > 0).then(|| self.money as f64 / self.total_money as f64)
    }
}

impl ValidityParams {
    fn measure<'a>(
        &self,
        snapshot: NaiveDate,
        segment: Option<&'a str>,
        behaviour: &[Behaviour],
    ) -> SegmentBehaviour<'a> {
        let members: Vec<&Behaviour> = behaviour
            .iter()
            .filter(|customer| segment.is_none_or(|name| customer.segment == name))
            .collect();
        let customers = members.len();
        let times = if customers == 0 { 0 } else { self.resamples as usize };
        let date = snapshot.to_string();
        let key = [date.as_str(), segment.unwrap_or("")];
        let (rates, means) = resample(self.seed, &key, times, customers, |resample| {
            let mut buyers = 0u32;
            let mut money = 0i128;
            resample.for_each(|idx| {
                buyers += u32::from(members[idx].bought);
                money += members[idx].money;
            });
            (f64::from(buyers) / customers as f64, money as f64 / customers as f64)
        })
        .into_iter()
        .unzip();
        SegmentBehaviour {
            snapshot,
            segment,
            customers,
            buyers: members.iter().filter(|customer| customer.bought).count(),
            money: members.iter().map(|customer| customer.money).sum(),
            total_money: behaviour.iter().map(|customer| customer.money).sum(),
            buy_rate_interval: interval(rates),
            money_mean_interval: interval(means),
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
    let in_horizon = col(DAY).gt_eq(day(snapshot)).and(col(DAY).lt(day(end)));
    let later = facts
        .accepted()
        .filter(in_horizon)
        .with_column(measures::is_effective(end))
        .group_by([col(CUSTOMER_ID)])
        .agg([col(IS_EFFECTIVE).max(), col(MONEY).sum()]);
    let key = [col(CUSTOMER_ID)];
    let frame = customers
        .clone()
        .lazy()
        .select([col(CUSTOMER_ID), col(SEGMENT)])
        .join(later, key.clone(), key, JoinArgs::new(JoinType::Left))
        .sort([CUSTOMER_ID], SortMultipleOptions::default())
        .collect()?;
    let segments = frame.column(SEGMENT)?.str()?.iter();
    let bought = frame.column(IS_EFFECTIVE)?.bool()?.iter();
    let money = frame.column(MONEY)?.i128()?.iter();
    segments
        .zip(bought)
        .zip(money)
        .map(|((segment, bought), money)| {
            let segment =
                segment.ok_or_else(|| polars_err!(ComputeError: "null in `{SEGMENT}`"))?.to_owned();
            // Customers without lines in the horizon have nulls.
            Ok(Behaviour { segment, bought: bought.unwrap_or(false), money: money.unwrap_or(0) })
        })
        .collect()
}
