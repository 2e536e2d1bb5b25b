//! Cohorts: what customers did in the weeks, months or quarters after their first purchase.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, Months, NaiveDate};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::*;
use crate::orders::OrderFacts;
use crate::rfm::{day, measures};
use crate::tables::table_rows;

/// Cohorts of customers by their first purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "CohortSpec")]
pub struct CohortParams {
    /// Calendar periods: `week` (from Monday), `month` or `quarter`.
    pub by: CohortPeriod,
    /// Number of periods after that of the first purchase.
    #[schemars(range(min = 1, max = 120))]
    pub periods: u32,
}

impl Default for CohortParams {
    fn default() -> Self {
        Self { by: CohortPeriod::Month, periods: 12 }
    }
}

/// Calendar periods: weeks begin on Monday.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CohortPeriod {
    Week,
    #[default]
    Month,
    Quarter,
}

table_rows! {
    /// A row of the table `cohorts`.
    struct CohortPeriodRow {
        COHORT => cohort: NaiveDate,
        PERIOD => period: u32,
        CUSTOMERS => customers: u32,
        BUYERS => buyers: u32,
        RETENTION => retention: f64,
        MONEY => money: f64,
        MONEY_MEAN => money_mean: f64,
        CUMULATIVE_MONEY_MEAN => cumulative_money_mean: f64,
        COMPLETE => complete: bool,
    }
}

impl CohortPeriod {
    /// The first day of the period that contains a day.
    fn start(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Week => {
                let since_monday = u64::from(day.weekday().num_days_from_monday());
                day.checked_sub_days(Days::new(since_monday)).unwrap_or(day)
            }
            Self::Month => day.with_day(1).unwrap_or(day),
            Self::Quarter => {
                let first = day.with_day(1).unwrap_or(day);
                first.checked_sub_months(Months::new(first.month0() % 3)).unwrap_or(first)
            }
        }
    }

    /// The first day of the period that is `n` later.
    fn later(self, start: NaiveDate, n: u32) -> NaiveDate {
        let later = match self {
            Self::Week => start.checked_add_days(Days::new(7 * u64::from(n))),
            Self::Month => start.checked_add_months(Months::new(n)),
            Self::Quarter => start.checked_add_months(Months::new(3 * n)),
        };
        later.unwrap_or(NaiveDate::MAX)
    }
}

/// Buyers and money of one period, in minor units.
#[derive(Default, Clone, Copy)]
struct Totals {
    buyers: u32,
    money: i128,
}

/// A cohort: its size, and its totals by the first day of the period.
#[derive(Default)]
struct Cohort {
    customers: u32,
    periods: BTreeMap<NaiveDate, Totals>,
}

/// The table `cohorts`: one row per (period of the first purchase, period since then) that begins
/// within the source. Customers whose purchases were all returned before `until` are in no cohort.
pub(super) fn cohorts(
    params: CohortParams,
    facts: &OrderFacts,
    until: NaiveDate,
) -> PolarsResult<DataFrame> {
    let factor = facts.money.factor();
    // Nothing is known of the days after the source.
    let source_end = facts.span()?.and_then(|(_, last)| last.succ_opt());
    let known_until = source_end.map_or(until, |end| end.min(until));
    let mut rows = Vec::new();
    for (start, cohort) in read(params.by, facts, until)? {
        let customers = f64::from(cohort.customers);
        let mut cumulative = 0i128;
        for period in 0..=params.periods {
            let first = params.by.later(start, period);
            if first >= known_until {
                break;
            }
            let Totals { buyers, money } = cohort.periods.get(&first).copied().unwrap_or_default();
            cumulative += money;
            let money = money as f64 / factor;
            rows.push(CohortPeriodRow {
                cohort: start,
                period,
                customers: cohort.customers,
                buyers,
                retention: f64::from(buyers) / customers,
                money,
                money_mean: money / customers,
                cumulative_money_mean: cumulative as f64 / factor / customers,
                complete: params.by.later(first, 1) <= known_until,
            });
        }
    }
    CohortPeriodRow::frame(rows)
}

/// Every cohort, by the first day of its period.
fn read(
    by: CohortPeriod,
    facts: &OrderFacts,
    until: NaiveDate,
) -> PolarsResult<BTreeMap<NaiveDate, Cohort>> {
    let days = facts
        .accepted()
        .filter(col(DAY).lt(day(until)))
        .with_column(measures::is_effective(until))
        .group_by([col(CUSTOMER_ID), col(DAY)])
        .agg([col(IS_EFFECTIVE).max(), col(MONEY).sum()])
        .sort([CUSTOMER_ID, DAY], SortMultipleOptions::default())
        .collect()?;
    let ids = days.column(CUSTOMER_ID)?.str()?.iter();
    let dates = days.column(DAY)?.date()?.as_date_iter();
    let bought = days.column(IS_EFFECTIVE)?.bool()?.iter();
    let money = days.column(MONEY)?.i128()?.iter();
    let mut cohorts: BTreeMap<NaiveDate, Cohort> = BTreeMap::new();
    // Of the customer: its cohort, the last period in which it was counted as a buyer, and its money
    // before the first purchase, of orders that were returned.
    let (mut customer, mut own, mut counted, mut earlier) = (None, None, None, 0);
    for (((id, date), bought), money) in ids.zip(dates).zip(bought).zip(money) {
        let Some(date) = date else { continue };
        let bought = bought.unwrap_or(false);
        if id != customer {
            (customer, own, counted, earlier) = (id, None, None, 0);
        }
        let period = by.start(date);
        if bought && own.is_none() {
            own = Some(period);
            cohorts.entry(period).or_default().customers += 1;
        }
        let money = money.unwrap_or(0);
        let Some(cohort) = own.and_then(|own| cohorts.get_mut(&own)) else {
            earlier += money;
            continue;
        };
        let totals = cohort.periods.entry(period).or_default();
        totals.money += money + std::mem::take(&mut earlier);
        if bought && counted != Some(period) {
            totals.buyers += 1;
            counted = Some(period);
        }
    }
    Ok(cohorts)
}
