//! Additional columns of a customer. Each is an aggregate over the customer's rows of the order
//! facts before the snapshot, within the window if there is one.

use chrono::NaiveDate;
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::measures::{self, Frequency, Monetary};
use super::{RfmParams, by_snapshot, day, days_before, join_customers, within};
use crate::columns::*;
use crate::ingest::Money;
use crate::orders::OrderFacts;

/// An additional column of the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    TenureDays,
    MeanGapDays,
    GapDaysStd,
    AverageOrderValue,
    NProducts,
}

impl Feature {
    pub fn column(self) -> &'static str {
        match self {
            Self::TenureDays => TENURE_DAYS,
            Self::MeanGapDays => MEAN_GAP_DAYS,
            Self::GapDaysStd => GAP_DAYS_STD,
            Self::AverageOrderValue => AVERAGE_ORDER_VALUE,
            Self::NProducts => N_PRODUCTS,
        }
    }

    /// The column as an aggregate; `None` for [`n_products`], which the order facts do not contain.
    pub(super) fn aggregate(self, as_of: NaiveDate, facts: &OrderFacts) -> Option<Expr> {
        let value = match self {
            // Whole calendar days from the first line to the snapshot; i32, at least 1.
            Self::TenureDays => {
                (day(as_of) - col(DAY).min()).dt().total_days(false).cast(DataType::Int32)
            }
            // f64, null for a single purchase day.
            Self::MeanGapDays => purchase_gaps().mean(),
            // Of the sample; f64, null for fewer than three purchase days.
            Self::GapDaysStd => purchase_gaps().std(1),
            // As in `monetary: mean_per_order`; f64, null without an effective order.
            Self::AverageOrderValue => {
                let orders = measures::frequency(Frequency::Orders, facts);
                let mean = measures::monetary(Monetary::MeanPerOrder, facts);
                when(orders.gt(lit(0u32))).then(mean).otherwise(lit(NULL))
            }
            Self::NProducts => return None,
        };
        Some(value.alias(self.column()))
    }
}

/// The share of a recent period in a longer period, both in days before the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    pub of: RatioOf,
    pub recent: u32,
    pub over: u32,
}

/// What a ratio compares: money less returns, or orders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RatioOf {
    #[default]
    Monetary,
    Frequency,
}

impl RatioOf {
    /// The YAML value, which is also the name of the column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monetary => MONETARY,
            Self::Frequency => FREQUENCY,
        }
    }
}

impl Ratio {
    pub fn column(&self) -> String {
        ratio_name(self.of.name(), &format!("{}d", self.recent), &format!("{}d", self.over))
    }

    /// The share; f64, null if the value of the longer period is zero or negative.
    pub(super) fn share(&self, as_of: NaiveDate, facts: &OrderFacts) -> Expr {
        let total = |days: u32| {
            let is_in_period = days_before(day(as_of)).lt_eq(lit(i64::from(days)));
            match self.of {
                RatioOf::Monetary => money_if(is_in_period),
                RatioOf::Frequency => measures::orders_if(is_in_period, facts),
            }
            .cast(DataType::Float64)
        };
        share(total(self.recent), total(self.over)).alias(self.column())
    }
}

/// Null if `total` is zero or negative.
fn share(part: Expr, total: Expr) -> Expr {
    when(total.clone().gt(lit(0.0))).then(part / total).otherwise(lit(NULL))
}

fn money_if(condition: Expr) -> Expr {
    when(condition).then(col(MONEY)).otherwise(lit(0i64).cast(DataType::Int128)).sum()
}

/// Days between successive days with an effective purchase.
fn purchase_gaps() -> Expr {
    let day = when(col(IS_EFFECTIVE)).then(col(DAY).cast(DataType::Int32)).otherwise(lit(NULL));
    let days = day.drop_nulls().unique().sort(SortOptions::default());
    days.diff(lit(1), Default::default()).cast(DataType::Float64)
}

/// Distinct products that each customer bought before the snapshot; u32. `products` has one row per
/// (customer, product), with the day of the first purchase.
pub(super) fn n_products(products: LazyFrame, as_of: NaiveDate) -> LazyFrame {
    let bought = products.filter(col(DAY).lt(day(as_of)));
    bought.group_by([col(CUSTOMER_ID)]).agg([len().cast(DataType::UInt32).alias(N_PRODUCTS)])
}

/// Adds each customer's share of money in the best-selling categories: `category_1_share` and on,
/// f64, null if the customer's money in `sold` is not positive. Returns the table `top_categories`.
///
/// Categories are ranked by money and then by name, at each snapshot, so later sales do not change
/// an earlier snapshot. Given or fitted ones keep their order. `sold` has one row per (customer,
/// category, day) of accepted lines that are not returns. The table has one row per (snapshot,
/// rank): `snapshot` date, `place` u32, `category` text, `money` f64.
pub(super) fn top_categories(
    params: &RfmParams,
    sold: &DataFrame,
    frame: &mut DataFrame,
    money: &Money,
) -> PolarsResult<DataFrame> {
    let mut parts = Vec::new();
    let mut tables = Vec::new();
    for (date, customers) in by_snapshot(frame)? {
        let sold = sold.clone().lazy().filter(within(params.window, day(date)));
        let mut top = match &params.fitted.categories {
            Some(names) => named(sold.clone(), names)?,
            None => best_selling(sold.clone(), params.top_categories)?,
        };
        let names: Vec<String> =
            top.column(CATEGORY)?.str()?.iter().flatten().map(str::to_owned).collect();
        let shares = category_shares(&names, params.top_categories);
        let shares = sold.group_by([col(CUSTOMER_ID)]).agg(shares);
        parts.push(join_customers(customers.lazy(), shares, JoinType::Left));
        let ranks: Vec<u32> = (1..=top.height() as u32).collect();
        top.with_column(Column::new(PLACE.into(), ranks))?;
        tables.push(top.lazy().select([
            day(date).alias(SNAPSHOT),
            col(PLACE),
            col(CATEGORY),
            money.major(col(MONEY)).alias(MONEY),
        ]));
    }
    let customers = concat(parts, UnionArgs::default())?;
    *frame = customers.sort([SNAPSHOT, CUSTOMER_ID], Default::default()).collect()?;
    concat(tables, UnionArgs::default())?.collect()
}

/// Money of these categories, in their order, as in [`best_selling`].
fn named(sold: LazyFrame, names: &[String]) -> PolarsResult<DataFrame> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let money = sold.group_by([col(CATEGORY)]).agg([col(MONEY).sum()]);
    let args =
        JoinArgs { maintain_order: MaintainOrderJoin::Left, ..JoinArgs::new(JoinType::Left) };
    df![CATEGORY => names]?
        .lazy()
        .join(money, [col(CATEGORY)], [col(CATEGORY)], args)
        .with_column(col(MONEY).fill_null(lit(0i128)))
        .collect()
}

/// The `limit` categories with the most money: `category`, and `money` in minor units.
fn best_selling(sold: LazyFrame, limit: usize) -> PolarsResult<DataFrame> {
    let order = SortMultipleOptions::default().with_order_descending_multi([true, false]);
    sold.filter(col(CATEGORY).is_not_null())
        .group_by([col(CATEGORY)])
        .agg([col(MONEY).sum()])
        .sort([MONEY, CATEGORY], order)
        .limit(limit as IdxSize)
        .collect()
}

/// The columns `category_1_share` to `category_{n}_share`. A rank without a category has share 0.
fn category_shares(names: &[String], n: usize) -> Vec<Expr> {
    let total = col(MONEY).sum().cast(DataType::Float64);
    let rank_share = |rank: usize| {
        let is_category = match names.get(rank - 1) {
            Some(name) => col(CATEGORY).eq(lit(name.as_str())).fill_null(lit(false)),
            None => lit(false),
        };
        let money = money_if(is_category).cast(DataType::Float64);
        share(money, total.clone()).alias(category_share(rank))
    };
    (1..=n).map(rank_share).collect()
}
