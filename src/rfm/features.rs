//! Further columns of a customer beside recency, frequency and monetary value. Each is an aggregate over the customer's rows of the
//! order book before the snapshot, within the window where there is one.

use chrono::NaiveDate;
use polars::prelude::*;

use super::measures::{self, Frequency, Monetary};
use super::{RfmParams, by_snapshot, day, within};
use crate::columns::{
    AVERAGE_ORDER_VALUE, CATEGORY, CUSTOMER_ID, DAY, FREQUENCY, GAP_DAYS_STD, MEAN_GAP_DAYS,
    MONETARY, MONEY, N_PRODUCTS, PLACE, SNAPSHOT, STANDS, TENURE_DAYS, category_share, ratio_name,
};
use crate::ingest::Money;
use crate::orders::OrderBook;

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
    /// Distinct products bought before the snapshot; u32.
    NProducts,
}

/// What was done in the last days, as a share of what was done in more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// What was done.
    pub of: Of,
    /// The shorter stretch, in days before the snapshot.
    pub recent: u32,
    /// The longer one.
    pub over: u32,
}

/// What a ratio is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Money, less what was returned.
    Money,
    /// Orders that stand.
    Orders,
}

impl Ratio {
    /// Name of the column.
    pub fn column(&self) -> String {
        let of = match self.of {
            Of::Money => MONETARY,
            Of::Orders => FREQUENCY,
        };
        ratio_name(of, &format!("{}d", self.recent), &format!("{}d", self.over))
    }

    /// The share; f64, null for customers who did nothing of the kind in the longer stretch, or returned all of it.
    pub(super) fn share(&self, as_of: NaiveDate, has_orders: bool) -> Expr {
        let done = |days: u32| {
            let within = (day(as_of) - col(DAY)).dt().total_days(false).lt_eq(lit(i64::from(days)));
            match self.of {
                Of::Money => {
                    when(within).then(col(MONEY)).otherwise(lit(0i64).cast(DataType::Int128)).sum()
                }
                Of::Orders => measures::orders_where(within, has_orders),
            }
            .cast(DataType::Float64)
        };
        let over = done(self.over);
        let share = done(self.recent) / over.clone();
        when(over.gt(lit(0.0))).then(share).otherwise(lit(NULL)).alias(self.column())
    }
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
pub fn average_order_value(book: &OrderBook) -> Expr {
    let orders = measures::frequency(Frequency::Orders, book);
    let mean = measures::monetary(Monetary::MeanPerOrder, book);
    when(orders.gt(lit(0u32))).then(mean).otherwise(lit(NULL)).alias(AVERAGE_ORDER_VALUE)
}

/// Distinct products that the customer had bought before the snapshot; u32. `products` has one row a (customer, product), with the
/// day on which the customer first bought it.
pub(super) fn n_products(products: LazyFrame, as_of: NaiveDate) -> LazyFrame {
    let seen = products.filter(col(DAY).lt(day(as_of)));
    seen.group_by([col(CUSTOMER_ID)]).agg([len().cast(DataType::UInt32).alias(N_PRODUCTS)])
}

/// The shares of each customer's purchases, by money, in the categories that sold most at each snapshot: `category_1_share` and on,
/// f64, null for customers who bought nothing of worth. Ranked by money and then by name, at each snapshot apart, so that what sells
/// later does not change an earlier one. `sold` has one row a (customer, category, day) of accepted lines that are no returns.
///
/// The table has one row a (snapshot, place): `snapshot` date, `place` u32, `category` text, `money` f64.
///
/// # Errors
/// What Polars says.
pub(super) fn top_categories(
    params: &RfmParams,
    sold: &DataFrame,
    frame: &DataFrame,
    money: &Money,
) -> PolarsResult<(DataFrame, DataFrame)> {
    let (mut parts, mut tops) = (Vec::new(), Vec::new());
    for (date, of_date) in by_snapshot(frame)? {
        let within = sold.clone().lazy().filter(within(params.window, day(date)));
        let order = SortMultipleOptions::default().with_order_descending_multi([true, false]);
        let by_category =
            within.clone().filter(col(CATEGORY).is_not_null()).group_by([col(CATEGORY)]);
        let top = by_category.agg([col(MONEY).sum()]).sort([MONEY, CATEGORY], order);
        let mut top = top.limit(params.top_categories as IdxSize).collect()?;
        let found = || -> PolarsResult<Vec<String>> {
            Ok(top.column(CATEGORY)?.str()?.iter().flatten().map(str::to_owned).collect())
        };
        let names = params.fitted.categories.clone().map_or_else(found, Ok)?;
        let spent =
            |of: Expr| when(of).then(col(MONEY)).otherwise(lit(0i64).cast(DataType::Int128)).sum();
        let total = col(MONEY).sum().cast(DataType::Float64);
        let share = |place: usize| {
            let name = names
                .get(place - 1)
                .map_or(lit(false), |name| col(CATEGORY).eq(lit(name.as_str())));
            let part = spent(name.fill_null(lit(false))).cast(DataType::Float64);
            when(total.clone().gt(lit(0.0)))
                .then(part / total.clone())
                .otherwise(lit(NULL))
                .alias(category_share(place))
        };
        let shares: Vec<Expr> = (1..=params.top_categories).map(share).collect();
        let key = [col(CUSTOMER_ID)];
        let joined = within.group_by(key.clone()).agg(shares);
        parts.push(of_date.lazy().join(joined, key.clone(), key, JoinArgs::new(JoinType::Left)));
        let place = Column::new(PLACE.into(), (1..=top.height() as u32).collect::<Vec<_>>());
        top.with_column(place)?;
        tops.push(top.lazy().select([
            day(date).alias(SNAPSHOT),
            col(PLACE),
            col(CATEGORY),
            money.major(col(MONEY)).alias(MONEY),
        ]));
    }
    let frame = concat(parts, UnionArgs::default())?
        .sort([SNAPSHOT, CUSTOMER_ID], SortMultipleOptions::default());
    Ok((frame.collect()?, concat(tops, UnionArgs::default())?.collect()?))
}

/// Days between the days on which something was bought that stands.
fn gaps() -> Expr {
    let bought = when(col(STANDS)).then(col(DAY).cast(DataType::Int32)).otherwise(lit(NULL));
    let days = bought.drop_nulls().unique().sort(SortOptions::default());
    days.diff(lit(1), Default::default()).cast(DataType::Float64)
}
