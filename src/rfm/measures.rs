//! The derived columns of recency, frequency and monetary value: one function per column, each an
//! aggregate over a customer's rows of the order facts.

use chrono::NaiveDate;
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::day;
use crate::clean::ReturnPolicy;
use crate::columns::*;
use crate::ingest::Money;
use crate::orders::OrderFacts;

/// What frequency counts: distinct `orders` (days, if the source has no order ids), distinct local
/// `days`, `lines`, or `units` (lines without a quantity count zero).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    #[default]
    Orders,
    Days,
    Lines,
    Units,
}

/// What monetary value is: money spent less returns (`net`), without returns (`gross`), per order
/// (`mean_per_order`) or per day with an order (`mean_per_day`). The means are 0 if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Monetary {
    Net,
    Gross,
    MeanPerOrder,
    MeanPerDay,
}

/// What to do with orders of negative money that are no returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NegativeOrders {
    #[default]
    Fail,
    Count,
}

impl NegativeOrders {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a row is an effective purchase: not a return, and not fully returned before the
/// snapshot.
pub fn is_effective(as_of: NaiveDate) -> Expr {
    let is_undone = col(RETURNED_ON).lt(day(as_of)).fill_null(lit(false));
    col(RETURNED).or(is_undone).not().alias(IS_EFFECTIVE)
}

/// Local time of the customer's last effective purchase; of the last purchase if none is effective;
/// of the last return if there is no purchase.
pub fn last_order_at(facts: &OrderFacts) -> Expr {
    last(col(ORDERED_AT), facts).alias(LAST_ORDER_AT)
}

/// Whole calendar days from the local date of [`last_order_at`] to the snapshot; i32, at least 1.
pub fn recency_days(as_of: NaiveDate, facts: &OrderFacts) -> Expr {
    let days = (day(as_of) - last(col(DAY), facts)).dt().total_days(false);
    days.cast(DataType::Int32).alias(RECENCY_DAYS)
}

/// Number of effective purchases; u32, 0 if there are none.
pub fn frequency(definition: Frequency, facts: &OrderFacts) -> Expr {
    let count = match definition {
        Frequency::Orders if facts.has_orders => distinct(col(ORDER_ID), facts),
        Frequency::Orders | Frequency::Days => distinct(col(DAY), facts),
        Frequency::Lines => on_purchases(col(LINES)).sum(),
        // Returned units may exceed purchased units; a negative frequency has no meaning.
        Frequency::Units => {
            let units = col(UNITS).cast(DataType::Int128).sum();
            when(units.clone().lt(lit(0))).then(lit(0).cast(DataType::Int128)).otherwise(units)
        }
    };
    // Only units can exceed 32 bits; they are capped.
    let max = lit(u32::MAX).cast(DataType::Int128);
    let count = count.cast(DataType::Int128);
    let count = when(count.clone().gt(max.clone())).then(max).otherwise(count);
    count.cast(DataType::UInt32).alias(FREQUENCY)
}

/// Money spent; f64, an exact sum in minor units that is rounded once. Means are of net money, or
/// of gross money if returns are `separate`.
pub fn monetary(definition: Monetary, facts: &OrderFacts) -> Expr {
    let money = &facts.money;
    let is_gross = definition == Monetary::Gross
        || (definition != Monetary::Net && facts.returns == ReturnPolicy::Separate);
    let sum = if is_gross { on_purchases(col(MONEY)).sum() } else { col(MONEY).sum() };
    let mean_per = |unit: Frequency| {
        let count = frequency(unit, facts).cast(DataType::Float64);
        let mean = sum.clone().cast(DataType::Float64) / (count.clone() * lit(money.factor()));
        when(count.gt(lit(0.0))).then(mean).otherwise(lit(0.0))
    };
    match definition {
        Monetary::Net | Monetary::Gross => money.major(sum),
        Monetary::MeanPerOrder => mean_per(Frequency::Orders),
        Monetary::MeanPerDay => mean_per(Frequency::Days),
    }
    .alias(MONETARY)
}

/// Money of the customer's returns; f64, positive.
pub fn returned_money(money: &Money) -> Expr {
    let zero = lit(0i64).cast(DataType::Int128);
    let returned = when(col(RETURNED)).then(zero.clone() - col(MONEY)).otherwise(zero);
    money.major(returned.sum()).alias(RETURNED_MONEY)
}

/// The largest value of effective purchases; of all purchases if none is effective; of all rows if
/// there is no purchase.
fn last(value: Expr, facts: &OrderFacts) -> Expr {
    if facts.all_effective() {
        return value.max();
    }
    let max_if = |condition: Expr| when(condition).then(value.clone()).otherwise(lit(NULL)).max();
    max_if(col(IS_EFFECTIVE)).fill_null(max_if(col(RETURNED).not())).fill_null(value.max())
}

/// A value on purchases, zero on returns.
fn on_purchases(value: Expr) -> Expr {
    when(col(RETURNED)).then(lit(0)).otherwise(value)
}

/// Distinct values of effective purchases.
fn distinct(value: Expr, facts: &OrderFacts) -> Expr {
    if facts.all_effective() {
        value.n_unique().cast(DataType::Int64)
    } else {
        distinct_if(col(IS_EFFECTIVE), value)
    }
}

/// Distinct values of rows that fulfil a condition. The other rows become null, which is subtracted
/// again, because Polars 0.55.2 computes filters inside an aggregate incorrectly (#29322). `value`
/// must not be null.
fn distinct_if(condition: Expr, value: Expr) -> Expr {
    let values_and_null = when(condition.clone()).then(value).otherwise(lit(NULL)).n_unique();
    values_and_null.cast(DataType::Int64) - condition.not().max().cast(DataType::Int64)
}

/// Distinct effective orders of rows that fulfil a condition.
pub(super) fn orders_if(condition: Expr, facts: &OrderFacts) -> Expr {
    let order = if facts.has_orders { col(ORDER_ID) } else { col(DAY) };
    distinct_if(col(IS_EFFECTIVE).and(condition), order)
}
