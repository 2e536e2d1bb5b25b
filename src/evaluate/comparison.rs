//! Two runs beside each other: who is in another segment, and which figures differ.

use polars::prelude::*;

use crate::columns::*;

/// One row a (segment of the one, segment of the other) that some customer has, both null-able: a customer of one run alone has no segment
/// in the other. Sorted by customers, most first, then by both names.
///
/// Columns: `from_segment` and `to_segment` text, `customers` u32, `money` f64: what they had spent, in the other run, or in the one for
/// those that the other does not have.
///
/// # Errors
/// What Polars says.
pub fn moves(one: &DataFrame, other: &DataFrame) -> PolarsResult<DataFrame> {
    let side = |frame: &DataFrame, segment: &str, money: &str| {
        let columns = [col(CUSTOMER_ID), col(SEGMENT).alias(segment), col(MONETARY).alias(money)];
        frame.clone().lazy().select(columns)
    };
    const BEFORE: &str = "before";
    let args =
        JoinArgs { coalesce: JoinCoalesce::CoalesceColumns, ..JoinArgs::new(JoinType::Full) };
    let key = [col(CUSTOMER_ID)];
    let both = side(one, FROM_SEGMENT, BEFORE).join(
        side(other, TO_SEGMENT, MONEY),
        key.clone(),
        key,
        args,
    );
    let ways = [col(FROM_SEGMENT), col(TO_SEGMENT)];
    // Sums of floats depend on their order.
    let money = col(MONEY).fill_null(col(BEFORE)).sort(SortOptions::default()).sum().alias(MONEY);
    let order = SortMultipleOptions::default().with_order_descending_multi([true, false, false]);
    both.group_by(ways)
        .agg([len().cast(DataType::UInt32).alias(CUSTOMERS), money])
        .sort([CUSTOMERS, FROM_SEGMENT, TO_SEGMENT], order)
        .collect()
}

/// One row a segment of either: `segment` text, `customers` u32 of the one, `customers_right` u32 of the other.
///
/// # Errors
/// What Polars says.
pub fn segments(moves: &DataFrame) -> PolarsResult<DataFrame> {
    let side = |name: &str| {
        let named = moves.clone().lazy().filter(col(name).is_not_null());
        named.group_by([col(name).alias(SEGMENT)]).agg([col(CUSTOMERS).sum()])
    };
    let args =
        JoinArgs { coalesce: JoinCoalesce::CoalesceColumns, ..JoinArgs::new(JoinType::Full) };
    let key = [col(SEGMENT)];
    let joined = side(FROM_SEGMENT).join(side(TO_SEGMENT), key.clone(), key, args);
    joined
        .with_columns([all().exclude_cols([SEGMENT]).as_expr().fill_null(lit(0u32))])
        .sort([SEGMENT], Default::default())
        .collect()
}

/// The figures over all labels that differ: `model`, `protocol`, `metric` text, `value` of the one, `value_right` of the other, each null
/// where the run does not have it.
///
/// # Errors
/// What Polars says.
pub fn metrics(one: &DataFrame, other: &DataFrame) -> PolarsResult<DataFrame> {
    let key = [MODEL, PROTOCOL, METRIC];
    let overall = |frame: &DataFrame| {
        let columns: Vec<Expr> = key.iter().chain([&VALUE]).map(|name| col(*name)).collect();
        frame.clone().lazy().filter(col(LABEL).is_null()).select(columns)
    };
    let args =
        JoinArgs { coalesce: JoinCoalesce::CoalesceColumns, ..JoinArgs::new(JoinType::Full) };
    let keys = key.map(col);
    let joined = overall(one).join(overall(other), keys.clone(), keys, args);
    let right = format!("{VALUE}_right");
    joined
        .filter(col(VALUE).neq_missing(col(right)))
        .sort(key, SortMultipleOptions::default())
        .collect()
}
