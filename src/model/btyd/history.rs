//! Purchase histories from the order facts. The unit is the day: all orders of a day are one
//! purchase.

use chrono::{Days, NaiveDate};
use polars::prelude::*;

use super::super::features::text;
use super::super::string_arena::StringArena;
use super::process::History;
use crate::columns::*;
use crate::orders::OrderFacts;
use crate::rfm::{day, measures};

const DAYS_PER_WEEK: f64 = 7.0;
const FIRST_DAY: &str = "first_day";
const LAST_DAY: &str = "last_day";
const FIRST_MONEY: &str = "first_money";

/// Purchases of every customer before a date, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Purchases {
    pub ids: StringArena,
    pub histories: Vec<History>,
    /// Mean money of the repeat purchases, in units of the currency. 0 without a repeat purchase.
    pub mean_money: Vec<f64>,
    /// Day of the first purchase.
    pub first_days: Vec<NaiveDate>,
}

/// What customers do in a period, one number a customer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activity {
    /// Days with a purchase.
    pub purchases: Vec<f64>,
    pub money: Vec<f64>,
}

impl Purchases {
    /// The purchases before `date` that were not returned before it.
    pub fn before(facts: &OrderFacts, date: NaiveDate) -> PolarsResult<Self> {
        let customers = purchase_days(facts, NaiveDate::MIN, date)
            .group_by([col(CUSTOMER_ID)])
            .agg([
                col(DAY).min().alias(FIRST_DAY),
                col(DAY).max().alias(LAST_DAY),
                len().cast(DataType::Float64).alias(ORDERS),
                facts.money.major(col(MONEY).sum()).alias(MONEY),
                facts
                    .money
                    .major(col(MONEY).sort_by([col(DAY)], SortMultipleOptions::default()).first())
                    .alias(FIRST_MONEY),
            ])
            .sort([CUSTOMER_ID], SortMultipleOptions::default())
            .collect()?;
        let days = |name: &str| -> PolarsResult<Vec<NaiveDate>> {
            Ok(customers.column(name)?.date()?.as_date_iter().flatten().collect())
        };
        let numbers = |name: &str| -> PolarsResult<Vec<f64>> {
            Ok(customers.column(name)?.f64()?.iter().flatten().collect())
        };
        let (first_days, last_days) = (days(FIRST_DAY)?, days(LAST_DAY)?);
        let end = date.checked_sub_days(Days::new(1)).unwrap_or(date);
        let orders = numbers(ORDERS)?;
        let rows = first_days.iter().zip(&last_days).zip(&orders);
        let histories = rows.map(|((first, last), orders)| History {
            repeats: orders - 1.0,
            last: weeks_between(*first, *last),
            age: weeks_between(*first, end),
        });
        let money = numbers(MONEY)?.into_iter().zip(numbers(FIRST_MONEY)?).zip(&orders);
        let mean = |((all, first), orders): ((f64, f64), &f64)| {
            if *orders > 1.0 { (all - first) / (orders - 1.0) } else { 0.0 }
        };
        Ok(Self {
            ids: text(&customers, CUSTOMER_ID)?,
            histories: histories.collect(),
            mean_money: money.map(mean).collect(),
            first_days,
        })
    }

    pub fn len(&self) -> usize {
        self.histories.len()
    }

    pub fn is_empty(&self) -> bool {
        self.histories.is_empty()
    }

    /// Number of repeat purchases and their mean money, of customers with a positive mean.
    pub fn repeaters(&self) -> Vec<(f64, f64)> {
        let rows = self.histories.iter().zip(&self.mean_money);
        let rows = rows.map(|(history, mean)| (history.repeats, *mean));
        rows.filter(|(repeats, mean)| *repeats > 0.0 && *mean > 0.0).collect()
    }

    /// What these customers did from `from` to the day before `until`, in their order.
    pub(super) fn activity(
        &self,
        facts: &OrderFacts,
        from: NaiveDate,
        until: NaiveDate,
    ) -> PolarsResult<Activity> {
        let later = purchase_days(facts, from, until)
            .group_by([col(CUSTOMER_ID)])
            .agg([
                len().cast(DataType::Float64).alias(ORDERS),
                facts.money.major(col(MONEY).sum()).alias(MONEY),
            ])
            .collect()?;
        let none = vec![0.0; self.len()];
        let mut activity = Activity { purchases: none.clone(), money: none };
        let ids = later.column(CUSTOMER_ID)?.str()?.iter();
        let purchases = later.column(ORDERS)?.f64()?.iter();
        let money = later.column(MONEY)?.f64()?.iter();
        for ((id, purchases), money) in ids.zip(purchases).zip(money) {
            // Customers whose first purchase is in the period are not among these.
            for row in self.ids.rows_of(id.unwrap_or_default()) {
                activity.purchases[row] = purchases.unwrap_or(0.0);
                activity.money[row] = money.unwrap_or(0.0);
            }
        }
        Ok(activity)
    }
}

/// The days of all repeat purchases before a date, ascending, of the customers who first bought
/// before `first_until`.
pub(super) fn repeat_days(
    facts: &OrderFacts,
    first_until: NaiveDate,
    until: NaiveDate,
) -> PolarsResult<Vec<NaiveDate>> {
    let days = purchase_days(facts, NaiveDate::MIN, until)
        .sort([CUSTOMER_ID, DAY], SortMultipleOptions::default())
        .collect()?;
    let ids = days.column(CUSTOMER_ID)?.str()?;
    let dates: Vec<Option<NaiveDate>> = days.column(DAY)?.date()?.as_date_iter().collect();
    let mut repeats = Vec::new();
    let (mut customer, mut is_counted) = (None, false);
    for (id, day) in ids.iter().zip(dates) {
        if id != customer {
            (customer, is_counted) = (id, day.is_some_and(|first| first < first_until));
        } else if is_counted {
            repeats.extend(day);
        }
    }
    repeats.sort_unstable();
    Ok(repeats)
}

/// One row per (customer, day) with a purchase from `from` to the day before `until`, with its
/// money.
fn purchase_days(facts: &OrderFacts, from: NaiveDate, until: NaiveDate) -> LazyFrame {
    let within = col(DAY).lt(day(until));
    let within = if from > NaiveDate::MIN { within.and(col(DAY).gt_eq(day(from))) } else { within };
    facts
        .accepted()
        .filter(within)
        .with_column(measures::is_effective(until))
        .filter(col(IS_EFFECTIVE))
        .group_by([col(CUSTOMER_ID), col(DAY)])
        .agg([col(MONEY).sum()])
}

pub(super) fn weeks_between(from: NaiveDate, until: NaiveDate) -> f64 {
    (until - from).num_days() as f64 / DAYS_PER_WEEK
}
