//! Further columns of a customer beside recency, frequency and monetary value. Each is an aggregate over the customer's rows of the
//! order book before the snapshot, within the window where there is one.

use chrono::NaiveDate;
use polars::prelude::*;

use super::day;
use super::measures::{self, Frequency, Monetary};
use crate::clean::ReturnPolicy;
use crate::columns::{
    AVERAGE_ORDER_VALUE, CUSTOMER_ID, DAY, GAP_DAYS_STD, MEAN_GAP_DAYS, N_PRODUCTS, STANDS, TENURE_DAYS,
};
use crate::ingest::Money;

/// A further column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// See [`tenure_days`].
    TenureDays,
    /// See [`mean_gap_days`].
    MeanGapDays,
    /// See [`gap_days_std`].
    GapDaysStd,
    /// See [`average_order_value`].
    AverageOrderValue,
    /// See [`n_products`].
    NProducts,
}

/// Whole calendar days from the customer's first line to the snapshot; i32, at least 1.
pub fn tenure_days(as_of: NaiveDate) -> Expr {
    (day(as_of) - col(DAY).min()).dt().total_days(false).cast(DataType::Int32).alias(TENURE_DAYS)
}

/// Mean of the days between one day with a purchase and the next; f64, null for customers who bought on one day alone.
pub fn mean_gap_days() -> Expr {
    gaps().mean().alias(MEAN_GAP_DAYS)
}

/// Sample standard deviation of the days between one day with a purchase and the next; f64, null for customers who bought on
/// fewer than three days.
pub fn gap_days_std() -> Expr {
    gaps().std(1).alias(GAP_DAYS_STD)
}

/// Money by order, as `monetary: mean_per_order` has it; f64, null for a customer without an order that stands.
pub fn average_order_value(money: &Money, returns: ReturnPolicy, has_orders: bool) -> Expr {
    let orders = measures::frequency(Frequency::Orders, has_orders);
    let mean = measures::monetary(Monetary::MeanPerOrder, money, returns, has_orders);
    when(orders.gt(lit(0u32))).then(mean).otherwise(lit(NULL)).alias(AVERAGE_ORDER_VALUE)
}

/// Distinct products that the customer had bought before the snapshot; u32. `products` has one row a (customer, product), with the
/// day on which the customer first bought it.
pub(super) fn n_products(products: LazyFrame, as_of: NaiveDate) -> LazyFrame {
    let seen = products.filter(col(DAY).lt(day(as_of)));
    seen.group_by([col(CUSTOMER_ID)]).agg([len().cast(DataType::UInt32).alias(N_PRODUCTS)])
}

/// Days between the days on which something was bought that stands.
fn gaps() -> Expr {
    let bought = when(col(STANDS)).then(col(DAY).cast(DataType::Int32)).otherwise(lit(NULL));
    let days = bought.drop_nulls().unique().sort(SortOptions::default());
    days.diff(lit(1), Default::default()).cast(DataType::Float64)
}
