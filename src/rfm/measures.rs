//! One function a derived column, named as the column. Each is an aggregate over a customer's rows of the order book.

use chrono::NaiveDate;
use polars::prelude::*;

use super::day;
use crate::clean::ReturnPolicy;
use crate::columns::{
    DAY, FREQUENCY, LAST_ORDER_AT, LINES, MONETARY, MONEY, ORDER_ID, ORDERED_AT, RECENCY_DAYS,
    RETURNED, RETURNED_MONEY, STANDS, UNDONE_ON, UNITS,
};
use crate::ingest::Money;
use crate::orders::OrderBook;

/// What frequency counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// Distinct orders; days, where the source knows no orders.
    Orders,
    /// Distinct local days.
    Days,
    /// Lines.
    Lines,
    /// Units; lines without a quantity count nothing.
    Units,
}

/// What monetary value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monetary {
    /// What was spent less what was returned.
    Net,
    /// What was spent, whatever came back.
    Gross,
    /// Money by order, 0 for a customer without one.
    MeanPerOrder,
    /// Money by day with an order, 0 for a customer without one.
    MeanPerDay,
}

/// Whether a row is a purchase that was not undone before the snapshot.
pub fn stands(as_of: NaiveDate) -> Expr {
    let undone = col(UNDONE_ON).lt(day(as_of)).fill_null(lit(false));
    col(RETURNED).or(undone).not().alias(STANDS)
}

/// Local time of the last purchase before the snapshot that was not undone; of the last that was, for a customer without one; of
/// the last return, for a customer who only returned.
pub fn last_order_at(book: &OrderBook) -> Expr {
    last(col(ORDERED_AT), book).alias(LAST_ORDER_AT)
}

/// Whole calendar days from the last purchase's local date to the snapshot; at least 1, since the snapshot's own day
/// does not count.
pub fn recency_days(as_of: NaiveDate, book: &OrderBook) -> Expr {
    (day(as_of) - last(col(DAY), book))
        .dt()
        .total_days(false)
        .cast(DataType::Int32)
        .alias(RECENCY_DAYS)
}

/// How often the customer bought; 0 for one who only returned, or returned everything. Lines without an order id count as one order together.
pub fn frequency(of: Frequency, book: &OrderBook) -> Expr {
    let counted = match of {
        Frequency::Orders if book.has_orders => distinct(order_id(), book),
        Frequency::Orders | Frequency::Days => distinct(col(DAY), book),
        Frequency::Lines => bought(col(LINES)).sum(),
        // Returns may outweigh purchases; a frequency below zero would mean nothing.
        Frequency::Units => {
            let units = col(UNITS).cast(DataType::Int128).sum();
            when(units.clone().lt(lit(0))).then(lit(0).cast(DataType::Int128)).otherwise(units)
        }
    };
    // No shop counts beyond 32 bits but by units that stand for something else; those count as many as there can be.
    let most = lit(u32::MAX).cast(DataType::Int128);
    let counted = counted.cast(DataType::Int128);
    let counted = when(counted.clone().gt(most.clone())).then(most).otherwise(counted);
    counted.cast(DataType::UInt32).alias(FREQUENCY)
}

/// What the customer spent: the exact sum in minor units, made a float once. Means are of the net money; of the gross where
/// returns are kept apart.
pub fn monetary(of: Monetary, book: &OrderBook) -> Expr {
    let money = &book.money;
    let gross =
        of == Monetary::Gross || (of != Monetary::Net && book.returns == ReturnPolicy::Separate);
    let sum = if gross { bought(col(MONEY)).sum() } else { col(MONEY).sum() };
    let mean = |count: Expr| {
        let count = count.cast(DataType::Float64);
        let mean = sum.clone().cast(DataType::Float64) / (count.clone() * lit(money.factor()));
        when(count.gt(lit(0.0))).then(mean).otherwise(lit(0.0))
    };
    match of {
        Monetary::Net | Monetary::Gross => money.major(sum),
        Monetary::MeanPerOrder => mean(frequency(Frequency::Orders, book)),
        Monetary::MeanPerDay => mean(frequency(Frequency::Days, book)),
    }
    .alias(MONETARY)
}

/// What the customer returned, as positive money.
pub fn returned_money(money: &Money) -> Expr {
    let none = lit(0i64).cast(DataType::Int128);
    let returned = when(col(RETURNED)).then(none.clone() - col(MONEY)).otherwise(none);
    money.major(returned.sum()).alias(RETURNED_MONEY)
}

/// The last value among purchases that stand; where there is none, among all purchases; where there is none, of all: to return
/// something is not to buy.
fn last(of: Expr, book: &OrderBook) -> Expr {
    if book.all_stand() {
        return of.max();
    }
    let among = |which: Expr| when(which).then(of.clone()).otherwise(lit(NULL)).max();
    among(col(STANDS)).fill_null(among(col(RETURNED).not())).fill_null(of.max())
}

/// A value on purchases, zero on returns.
fn bought(of: Expr) -> Expr {
    when(col(RETURNED)).then(lit(0)).otherwise(of)
}

/// The order; what no id is stands for the one order of all lines without an id.
fn order_id() -> Expr {
    col(ORDER_ID).fill_null(lit("\0"))
}

/// Distinct values among purchases that stand. The others stand in as one value of their own, which is then not counted: a
/// filter inside an aggregate is what Polars 0.55.2 gets wrong (#29322).
fn distinct(of: Expr, book: &OrderBook) -> Expr {
    match book.all_stand() {
        true => of.n_unique().cast(DataType::Int64),
        false => distinct_where(col(STANDS), of),
    }
}

/// The value is never null where it counts, which is what stands for those that do not.
fn distinct_where(counts: Expr, of: Expr) -> Expr {
    let with_stand_in =
        when(counts.clone()).then(of).otherwise(lit(NULL)).n_unique().cast(DataType::Int64);
    with_stand_in - counts.not().max().cast(DataType::Int64)
}

/// Distinct orders that stand among the rows for which something holds.
pub(super) fn orders_where(holds: Expr, has_orders: bool) -> Expr {
    let counts = col(STANDS).and(holds);
    match has_orders {
        true => distinct_where(counts, order_id()),
        false => distinct_where(counts, col(DAY)),
    }
}
