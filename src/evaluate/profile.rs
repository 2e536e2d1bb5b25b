//! The segment profile: what each segment is worth and how its customers behave.

use polars::prelude::*;

use crate::columns::*;
use crate::orders::OrderBook;
use crate::rfm::within;
use crate::segment::SegmentMap;

/// One row a (snapshot, segment of the map), in the map's order; segments without customers are there with zeros.
///
/// Columns: `snapshot` date, `segment` text, `customers` u32, `share` f64, `orders` u32 (distinct orders, or
/// customer-days where the source knows none; returns are no orders, nor those that were wholly undone), within the window where there is one, as is `money` f64 (less returns), `money_share` f64 (null where the snapshot's money is
/// zero), `recency_days_mean`, `recency_days_median`, … `monetary_median` f64, `average_order_value` f64, `action` text.
///
/// # Errors
/// What Polars says.
pub fn segment_profile(
    map: &SegmentMap,
    book: &OrderBook,
    window: Option<u32>,
    segments: &DataFrame,
) -> PolarsResult<DataFrame> {
    let rank = "rank";
    let names: Vec<&str> = map.segments.iter().map(|s| s.name.as_str()).collect();
    let actions: Vec<&str> = map.segments.iter().map(|s| s.action.as_str()).collect();
    let ranks: Vec<u32> = (0..names.len() as u32).collect();
    let grid = df![SEGMENT => names, ACTION => actions, rank => ranks]?.lazy();
    let dates =
        segments.clone().lazy().select([col(SNAPSHOT)]).unique(None, UniqueKeepStrategy::Any);
    let one = "one";
    let grid = dates.with_column(lit(1u8).alias(one)).inner_join(
        grid.with_column(lit(1u8).alias(one)),
        col(one),
        col(one),
    );

    let customers = segments.clone().lazy();
    // Money is summed as integers from the order book, since sums of floats depend on their order.
    let key = [col(SNAPSHOT), col(SEGMENT)];
    let of_segment = customers.clone().select([col(SNAPSHOT), col(CUSTOMER_ID), col(SEGMENT)]);
    let worth = book
        .accepted()
        .inner_join(of_segment, col(CUSTOMER_ID), col(CUSTOMER_ID))
        .filter(within(window, col(SNAPSHOT)))
        .with_column(
            col(RETURNED)
                .or(col(UNDONE_ON).lt(col(SNAPSHOT)).fill_null(lit(false)))
                .alias(RETURNED),
        )
        .group_by(&key)
        .agg([col(MONEY).sum(), distinct_orders(book).alias(ORDERS)]);
    let mut behaviour = vec![len().cast(DataType::UInt32).alias(CUSTOMERS)];
    for value in [RECENCY_DAYS, FREQUENCY, MONETARY] {
        behaviour.push(col(value).sort(SortOptions::default()).mean().alias(mean_of(value)));
        behaviour.push(col(value).median().alias(median_of(value)));
    }
    let measured = customers.group_by(&key).agg(behaviour).join(
        worth,
        key.clone(),
        key.clone(),
        JoinArgs::new(JoinType::Left),
    );
    let zero = |name: &str| col(name).fill_null(lit(0));
    let total = |name: &str| col(name).sum().over([col(SNAPSHOT)]);
    let share = |name: &str| -> PolarsResult<Expr> {
        let all = total(name)?.cast(DataType::Float64);
        Ok(when(all.clone().gt(lit(0.0)))
            .then(col(name).cast(DataType::Float64) / all)
            .otherwise(lit(NULL)))
    };
    let mut columns = vec![
        col(SNAPSHOT),
        col(SEGMENT),
        col(CUSTOMERS),
        share(CUSTOMERS)?.alias(SHARE),
        col(ORDERS),
        book.money.major(col(MONEY)).alias(MONEY),
        share(MONEY)?.alias(MONEY_SHARE),
    ];
    for value in [RECENCY_DAYS, FREQUENCY, MONETARY] {
        columns.extend([col(mean_of(value)), col(median_of(value))]);
    }
    let per_order = book.money.major(col(MONEY)) / col(ORDERS).cast(DataType::Float64);
    columns.push(
        when(col(ORDERS).gt(lit(0)))
            .then(per_order)
            .otherwise(lit(NULL))
            .alias(AVERAGE_ORDER_VALUE),
    );
    columns.push(col(ACTION));
    grid.join(measured, key.clone(), key, JoinArgs::new(JoinType::Left))
        .with_columns([zero(CUSTOMERS), zero(ORDERS), col(MONEY).fill_null(lit(0i128))])
        .sort([SNAPSHOT, rank], SortMultipleOptions::default())
        .select(columns)
        .collect()
}

/// Distinct orders in a group: the ids of purchases, or the customer-days. Returns stand in as one value that is not
/// counted.
fn distinct_orders(book: &OrderBook) -> Expr {
    let key = match book.has_orders {
        true => col(ORDER_ID),
        // A customer-day is one string here; the book is small.
        false => concat_str([col(CUSTOMER_ID), col(DAY).cast(DataType::String)], "\u{1f}", false),
    };
    if book.all_stand() {
        return key.n_unique().cast(DataType::UInt32);
    }
    let distinct =
        when(col(RETURNED)).then(lit("")).otherwise(key).n_unique().cast(DataType::Int64);
    (distinct - col(RETURNED).max().cast(DataType::Int64)).cast(DataType::UInt32)
}
