//! One function a derived column, named as the column. Each is an aggregate over a customer's rows of the order book.

use chrono::NaiveDate;
use polars::prelude::*;

use super::day;
use crate::columns::{
    DAY, FREQUENCY, LAST_ORDER_AT, LINES, MONETARY, MONEY, ORDER_ID, ORDERED_AT, RECENCY_DAYS, UNITS,
};
use crate::ingest::Money;
use crate::orders::major_units;

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

/// Local time of the last accepted line before the snapshot.
pub fn last_order_at() -> Expr {
    col(ORDERED_AT).max().alias(LAST_ORDER_AT)
}

/// Whole calendar days from the last purchase's local date to the snapshot; at least 1, since the snapshot's own day
/// does not count.
pub fn recency_days(as_of: NaiveDate) -> Expr {
    (day(as_of) - col(DAY).max()).dt().total_days(false).cast(DataType::Int32).alias(RECENCY_DAYS)
}

/// How often the customer bought. Lines without an order id count as one order together.
pub fn frequency(of: Frequency, has_orders: bool) -> Expr {
    let counted = match of {
        Frequency::Orders if has_orders => col(ORDER_ID).n_unique(),
        Frequency::Orders | Frequency::Days => col(DAY).n_unique(),
        Frequency::Lines => col(LINES).sum(),
        // Returns may outweigh purchases; a frequency below zero would mean nothing.
        Frequency::Units => when(col(UNITS).sum().lt(lit(0i64))).then(lit(0i64)).otherwise(col(UNITS).sum()),
    };
    counted.cast(DataType::UInt32).alias(FREQUENCY)
}

/// What the customer spent: the exact sum in minor units, made a float once.
pub fn monetary(money: &Money) -> Expr {
    major_units(col(MONEY).sum(), money).alias(MONETARY)
}
