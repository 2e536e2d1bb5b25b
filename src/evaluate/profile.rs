//! The segment profile: size, value and behaviour of each segment.

use polars::prelude::*;

use super::EvaluationInputs;
use crate::columns::*;
use crate::model::BtydRun;
use crate::orders::OrderFacts;
use crate::rfm::within;
use crate::segment::SegmentMap;

/// The table `segment_profile`: one row per (snapshot, segment of the map), in the map's order.
/// Segments without customers have zeros.
///
/// `orders` are distinct orders, or customer-days without order ids; returns and fully returned
/// orders do not count. `money` is less returns. Both are within the window if there is one.
pub(super) fn segment_profile(
    inputs: &EvaluationInputs<'_>,
    segments: &DataFrame,
    btyd: &[BtydRun],
) -> PolarsResult<DataFrame> {
    const RANK: &str = "rank";
    let expected: Vec<String> =
        btyd.iter().flat_map(|run| [spend(&run.params.name), clv(&run.params.name)]).collect();
    let EvaluationInputs { map, facts, rfm, .. } = inputs;
    let key = [col(SNAPSHOT), col(SEGMENT)];
    let measures = [RECENCY_DAYS, FREQUENCY, MONETARY];
    let mut aggregates = vec![len().cast(DataType::UInt32).alias(CUSTOMERS)];
    for value in measures {
        aggregates.push(col(value).sort(SortOptions::default()).mean().alias(mean_of(value)));
        aggregates.push(col(value).median().alias(median_of(value)));
    }
    // Null at the snapshots before the newest.
    let is_null = |name: &String| col(name.as_str()).is_not_null().any(true).not();
    for name in &expected {
        let sum = col(name.as_str()).sort(SortOptions::default()).sum();
        let sum = when(is_null(name)).then(lit(NULL)).otherwise(sum);
        aggregates.push(sum.cast(DataType::Float64).alias(sum_of(name)));
    }
    let measured = left_join(
        segments.clone().lazy().group_by(&key).agg(aggregates),
        purchases(facts, rfm.window, segments),
        &key,
    );
    let mut columns = vec![
        col(SNAPSHOT),
        col(SEGMENT),
        col(CUSTOMERS),
        share_of_snapshot(CUSTOMERS)?.alias(SHARE),
        col(ORDERS),
        facts.money.major(col(MONEY)).alias(MONEY),
        share_of_snapshot(MONEY)?.alias(MONEY_SHARE),
    ];
    columns.extend(measures.iter().flat_map(|value| [col(mean_of(value)), col(median_of(value))]));
    let money_per_order = facts.money.major(col(MONEY)) / col(ORDERS).cast(DataType::Float64);
    let has_orders = col(ORDERS).gt(lit(0));
    let average = when(has_orders).then(money_per_order).otherwise(lit(NULL));
    columns.push(average.alias(AVERAGE_ORDER_VALUE));
    columns.extend(expected.iter().map(|name| col(sum_of(name))));
    columns.push(col(ACTION));
    left_join(every_segment(map, segments, RANK)?, measured, &key)
        .with_columns([
            col(CUSTOMERS).fill_null(lit(0)),
            col(ORDERS).fill_null(lit(0)),
            col(MONEY).fill_null(lit(0i128)),
        ])
        .sort([SNAPSHOT, RANK], SortMultipleOptions::default())
        .select(columns)
        .collect()
}

/// Every (snapshot, segment of the map), with its action, and its position in the map as `rank`.
fn every_segment(map: &SegmentMap, segments: &DataFrame, rank: &str) -> PolarsResult<LazyFrame> {
    const ONE: &str = "one";
    let names: Vec<&str> = map.segments.iter().map(|segment| segment.name.as_str()).collect();
    let actions: Vec<&str> = map.segments.iter().map(|segment| segment.action.as_str()).collect();
    let ranks: Vec<u32> = (0..names.len() as u32).collect();
    let of_map = df![SEGMENT => names, ACTION => actions, rank => ranks]?.lazy();
    let snapshots =
        segments.clone().lazy().select([col(SNAPSHOT)]).unique(None, UniqueKeepStrategy::Any);
    Ok(snapshots.with_column(lit(1u8).alias(ONE)).inner_join(
        of_map.with_column(lit(1u8).alias(ONE)),
        col(ONE),
        col(ONE),
    ))
}

/// Money and orders of each segment. Money is summed as integers: sums of floats depend on their
/// order.
fn purchases(facts: &OrderFacts, window: Option<u32>, segments: &DataFrame) -> LazyFrame {
    let columns = [col(SNAPSHOT), col(CUSTOMER_ID), col(SEGMENT)];
    let fully_returned = col(RETURNED_ON).lt(col(SNAPSHOT)).fill_null(lit(false));
    facts
        .accepted()
        .inner_join(segments.clone().lazy().select(columns), col(CUSTOMER_ID), col(CUSTOMER_ID))
        .filter(within(window, col(SNAPSHOT)))
        .with_column(col(RETURNED).or(fully_returned).alias(RETURNED))
        .group_by([col(SNAPSHOT), col(SEGMENT)])
        .agg([col(MONEY).sum(), distinct_orders(facts).alias(ORDERS)])
}

fn left_join(left: LazyFrame, right: LazyFrame, key: &[Expr]) -> LazyFrame {
    left.join(right, key, key, JoinArgs::new(JoinType::Left))
}

/// Null if the total is not positive.
fn share_of_snapshot(name: &str) -> PolarsResult<Expr> {
    let total = col(name).sum().over([col(SNAPSHOT)])?.cast(DataType::Float64);
    let share = col(name).cast(DataType::Float64) / total.clone();
    Ok(when(total.gt(lit(0.0))).then(share).otherwise(lit(NULL)))
}

/// Distinct orders in a group, by order id or customer-day. All returns count as one value, which
/// is subtracted.
fn distinct_orders(facts: &OrderFacts) -> Expr {
    let key = if facts.has_orders {
        col(ORDER_ID)
    } else {
        concat_str([col(CUSTOMER_ID), col(DAY).cast(DataType::String)], "\u{1f}", false)
    };
    if facts.all_effective() {
        return key.n_unique().cast(DataType::UInt32);
    }
    let distinct =
        when(col(RETURNED)).then(lit("")).otherwise(key).n_unique().cast(DataType::Int64);
    (distinct - col(RETURNED).max().cast(DataType::Int64)).cast(DataType::UInt32)
}
