//! Comparison of two runs: customers in another segment, and metrics that differ.

use polars::prelude::*;

use crate::columns::*;

/// One row per (segment in the left run, segment in the right run) with customers. A customer of
/// one run only has a null segment in the other. Sorted by customers, descending, then by both
/// names.
///
/// Columns: `from_segment` and `to_segment` text, `customers` u32, `money` f64 (monetary value in
/// the right run, or in the left run for customers who are only there).
pub fn moves(left: &DataFrame, right: &DataFrame) -> PolarsResult<DataFrame> {
    const LEFT_MONEY: &str = "left_money";
    let select = |frame: &DataFrame, segment: &str, money: &str| {
        let name = col(SEGMENT).cast(DataType::String).alias(segment);
        let columns = [col(CUSTOMER_ID), name, col(MONETARY).alias(money)];
        frame.clone().lazy().select(columns)
    };
    let left = select(left, FROM_SEGMENT, LEFT_MONEY);
    let right = select(right, TO_SEGMENT, MONEY);
    // Sums of floats depend on their order.
    let money = col(MONEY).fill_null(col(LEFT_MONEY)).sort(SortOptions::default()).sum();
    let order = SortMultipleOptions::default().with_order_descending_multi([true, false, false]);
    full_join(left, right, &[CUSTOMER_ID])
        .group_by([col(FROM_SEGMENT), col(TO_SEGMENT)])
        .agg([len().cast(DataType::UInt32).alias(CUSTOMERS), money.alias(MONEY)])
        .sort([CUSTOMERS, FROM_SEGMENT, TO_SEGMENT], order)
        .collect()
}

/// One row per segment of either run: `segment` text, `customers` u32 of the left run,
/// `customers_right` u32 of the right run.
pub fn segments(moves: &DataFrame) -> PolarsResult<DataFrame> {
    let count = |name: &str| {
        let named = moves.clone().lazy().filter(col(name).is_not_null());
        named.group_by([col(name).alias(SEGMENT)]).agg([col(CUSTOMERS).sum()])
    };
    full_join(count(FROM_SEGMENT), count(TO_SEGMENT), &[SEGMENT])
        .with_columns([all().exclude_cols([SEGMENT]).as_expr().fill_null(lit(0u32))])
        .sort([SEGMENT], Default::default())
        .collect()
}

/// Metrics over all labels at the newest snapshot that differ: `model`, `protocol`, `metric` text,
/// `value` of the left run, `value_right` of the right run, null if a run does not have the metric.
pub fn metrics(left: &DataFrame, right: &DataFrame) -> PolarsResult<DataFrame> {
    let key = [MODEL, PROTOCOL, METRIC];
    let overall = |frame: &DataFrame| {
        let columns: Vec<Expr> = key.iter().chain([&VALUE]).map(|name| col(*name)).collect();
        let is_newest = col(SNAPSHOT).eq(col(SNAPSHOT).max());
        frame.clone().lazy().filter(col(LABEL).is_null().and(is_newest)).select(columns)
    };
    full_join(overall(left), overall(right), &key)
        .filter(col(VALUE).neq_missing(col(format!("{VALUE}_right"))))
        .sort(key, SortMultipleOptions::default())
        .collect()
}

fn full_join(left: LazyFrame, right: LazyFrame, key: &[&str]) -> LazyFrame {
    let key: Vec<Expr> = key.iter().map(|name| col(*name)).collect();
    let args =
        JoinArgs { coalesce: JoinCoalesce::CoalesceColumns, ..JoinArgs::new(JoinType::Full) };
    left.join(right, key.clone(), key, args)
}
