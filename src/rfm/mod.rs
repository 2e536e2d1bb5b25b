//! `rfm`: [`OrderFacts`] → [`Snapshots`]: recency, frequency and monetary value of every customer
//! at every snapshot date. The dates come from the YAML, the command line or the data, never from
//! the clock.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::clean::ReturnPolicy;
use crate::columns::*;
use crate::error::{Class, StageError};
use crate::ingest::{LookupParams, LookupTable};
use crate::orders::{OrderFacts, ledger};
use crate::tables::TableId;

pub mod dates;
pub mod features;
pub mod fingerprint;
pub mod measures;
pub mod outliers;
pub mod quantile;

pub use dates::{Grid, Interval, SnapshotDates};
pub use features::{Feature, Ratio, RatioOf};
pub use fingerprint::fingerprints;
pub use measures::{Frequency, Monetary, NegativeOrders};
pub use outliers::{CapOutliers, CapPolicy};

/// Validated options of `rfm`.
#[derive(Debug, Clone, PartialEq)]
pub struct RfmParams {
    pub snapshots: SnapshotDates,
    pub frequency: Frequency,
    pub monetary: Monetary,
    /// Number of days before a snapshot that count; all if `None`.
    pub window: Option<u32>,
    /// Customers are left out of a snapshot if their first line is fewer days before it.
    pub min_history_days: u32,
    pub features: Vec<Feature>,
    /// Ratio columns, after the additional columns.
    pub ratios: Vec<Ratio>,
    /// Number of categories with a share column.
    pub top_categories: usize,
    pub negative_orders: NegativeOrders,
    pub cap: Option<CapOutliers>,
    /// Parameters of an earlier run that are not fitted again.
    pub fitted: Fitted,
}

impl RfmParams {
    /// Whether a measure reads `product_id` or `category` of the lines.
    pub fn reads_column(&self, column: &str) -> bool {
        match column {
            PRODUCT_ID => self.features.contains(&Feature::NProducts),
            CATEGORY => self.top_categories > 0,
            _ => false,
        }
    }
}

/// Parameters that a run fits over all its customers, for later runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fitted {
    /// Monetary value at the quantile of `cap_outliers`.
    pub limit: Option<f64>,
    /// The best-selling categories, in order.
    pub categories: Option<Vec<String>>,
}

/// Every customer at every snapshot.
///
/// One row per (snapshot, customer), sorted by both. A customer is in a snapshot if it has an
/// accepted line before it. Columns: `snapshot` date, `customer_id` text, `last_order_at`
/// datetime\[μs\], `recency_days` i32, `frequency` u32, `monetary` f64, `returned_money` f64 (if
/// returns are `separate`), the additional columns of [`features`] (`n_products` and the category
/// shares last), and the attributes of the customers' source.
#[derive(Debug, Clone)]
pub struct Snapshots {
    pub frame: DataFrame,
    /// The dates, ascending; never empty.
    pub dates: Vec<NaiveDate>,
    /// Additional tables by name: `outliers` (see [`outliers`]) and `top_categories` (see
    /// [`features`]), if configured.
    pub tables: Vec<(TableId, DataFrame)>,
}

#[derive(Debug, thiserror::Error)]
pub enum RfmError {
    #[error("no line is left to measure:{reasons}")]
    NothingAccepted { reasons: String },
    #[error("snapshot {date}: no accepted line is earlier; the first is on {first}")]
    TooEarly { date: NaiveDate, first: NaiveDate },
    #[error("`rfm.snapshots` starts on {from}, after its end {until}")]
    EmptyGrid { from: NaiveDate, until: NaiveDate },
    #[error("snapshot {date}: no customer is left within `rfm.window` and `rfm.min_history_days`")]
    NoCustomers { date: NaiveDate },
    #[error(transparent)]
    Engine(#[from] PolarsError),
}

impl StageError for RfmError {
    const STAGE: Option<&'static str> = Some("rfm");

    fn class(&self) -> Class {
        if matches!(self, Self::Engine(_)) { Class::System } else { Class::Data }
    }
}

/// The snapshot dates, ascending.
///
/// # Errors
/// No line is accepted, or none before one of the dates.
pub fn dates(params: &RfmParams, facts: &OrderFacts) -> Result<Vec<NaiveDate>, RfmError> {
    if let Some((first, last)) = facts.span()? {
        return params.snapshots.within(first, last);
    }
    let mut reasons = ledger::describe_rejected(facts, |_| true)?;
    if reasons.is_empty() {
        reasons.push_str(" the source has no rows");
    }
    Err(RfmError::NothingAccepted { reasons })
}

/// Computes the snapshots at `dates` from the order facts, and joins the attributes of the
/// customers. Without dates, the result has no columns.
///
/// # Errors
/// A date has no customers.
pub fn snapshots(
    params: &RfmParams,
    facts: &OrderFacts,
    customers: Option<&LookupTable>,
    dates: Vec<NaiveDate>,
) -> Result<Snapshots, RfmError> {
    if dates.is_empty() {
        return Ok(Snapshots { frame: DataFrame::empty(), dates, tables: Vec::new() });
    }
    let plans: Vec<LazyFrame> = dates.iter().map(|&date| snapshot(params, facts, date)).collect();
    let frame = concat(plans, UnionArgs::default())?.collect()?;
    let mut frame = frame.sort([SNAPSHOT, CUSTOMER_ID], Default::default())?;
    let parts = by_snapshot(&frame)?;
    if let Some(&date) = dates.iter().find(|date| parts.iter().all(|(part, _)| part != *date)) {
        return Err(RfmError::NoCustomers { date });
    }
    let mut tables = Vec::new();
    if let Some(cap) = &params.cap {
        let outliers = outliers::cap(cap, params.fitted.limit, &mut frame)?;
        tables.push((TableId::Outliers, outliers));
    }
    if let Some(sold) = &facts.categories
        && params.top_categories > 0
    {
        let top = features::top_categories(params, sold, &mut frame, &facts.money)?;
        tables.push((TableId::TopCategories, top));
    }
    if let Some(customers) = customers {
        let attributes = customers.frame.clone().lazy();
        frame = join_customers(frame.lazy(), attributes, JoinType::Left)
            .sort([SNAPSHOT, CUSTOMER_ID], Default::default())
            .collect()?;
    }
    Ok(Snapshots { frame, dates, tables })
}

fn join_customers(left: LazyFrame, right: LazyFrame, how: JoinType) -> LazyFrame {
    let key = [col(CUSTOMER_ID)];
    left.join(right, key.clone(), key, JoinArgs::new(how))
}

/// Number of customers in the snapshots that the customers' source does not contain.
pub fn count_unknown(snapshots: &DataFrame, customers: &LookupTable) -> PolarsResult<u32> {
    let ids = snapshots.select([CUSTOMER_ID])?.lazy();
    let ids = ids.unique_generic(None, UniqueKeepStrategy::Any);
    let unknown = join_customers(ids, customers.frame.clone().lazy(), JoinType::Anti).collect()?;
    Ok(u32::try_from(unknown.height()).unwrap_or(u32::MAX))
}

/// Names of the columns of [`Snapshots`], in order.
pub fn column_names(
    params: &RfmParams,
    returns: ReturnPolicy,
    customers: Option<&LookupParams>,
) -> Vec<String> {
    let mut names =
        [SNAPSHOT, CUSTOMER_ID, LAST_ORDER_AT, RECENCY_DAYS, FREQUENCY, MONETARY].to_vec();
    if returns == ReturnPolicy::Separate {
        names.push(RETURNED_MONEY);
    }
    let aggregates = params.features.iter().filter(|feature| **feature != Feature::NProducts);
    names.extend(aggregates.map(|feature| feature.column()));
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.extend(params.ratios.iter().map(Ratio::column));
    if params.features.contains(&Feature::NProducts) {
        names.push(N_PRODUCTS.to_owned());
    }
    names.extend((1..=params.top_categories).map(category_share));
    names.extend(customers.into_iter().flat_map(|customers| customers.attributes.clone()));
    names
}

/// One snapshot. Only rows before the date count.
fn snapshot(params: &RfmParams, facts: &OrderFacts, as_of: NaiveDate) -> LazyFrame {
    let mut measures = vec![
        measures::last_order_at(facts),
        measures::recency_days(as_of, facts),
        measures::frequency(params.frequency, facts),
        measures::monetary(params.monetary, facts),
    ];
    if facts.returns == ReturnPolicy::Separate {
        measures.push(measures::returned_money(&facts.money));
    }
    let features = params.features.iter();
    measures.extend(features.filter_map(|feature| feature.aggregate(as_of, facts)));
    measures.extend(params.ratios.iter().map(|ratio| ratio.share(as_of, facts)));
    let accepted = facts.accepted();
    let counted = accepted
        .clone()
        .filter(within(params.window, day(as_of)))
        .with_column(measures::is_effective(as_of));
    let mut customers = counted.group_by([col(CUSTOMER_ID)]).agg(measures);
    // The first line may be before the window.
    if params.min_history_days > 0 {
        let first_days = accepted.group_by([col(CUSTOMER_ID)]).agg([col(DAY).min()]);
        let min_days = lit(i64::from(params.min_history_days));
        let old_enough = first_days.filter(days_before(day(as_of)).gt_eq(min_days));
        customers = join_customers(customers, old_enough, JoinType::Semi);
    }
    if let Some(products) = &facts.products
        && params.features.contains(&Feature::NProducts)
    {
        let counts = features::n_products(products.clone().lazy(), as_of);
        customers = join_customers(customers, counts, JoinType::Left)
            .with_column(col(N_PRODUCTS).fill_null(lit(0u32)));
    }
    customers.select([day(as_of).alias(SNAPSHOT), all().as_expr()])
}

/// Whether a row counts at a snapshot: its day is before the date, and within the window if given.
pub fn within(window: Option<u32>, as_of: Expr) -> Expr {
    let before = col(DAY).lt(as_of.clone());
    match window {
        Some(days) => before.and(days_before(as_of).lt_eq(lit(i64::from(days)))),
        None => before,
    }
}

/// Splits a table that is sorted by `snapshot` into one part per date. The parts keep the column.
pub fn by_snapshot(frame: &DataFrame) -> PolarsResult<Vec<(NaiveDate, DataFrame)>> {
    let days: Vec<Option<i32>> = frame.column(SNAPSHOT)?.date()?.physical().iter().collect();
    let mut parts = Vec::new();
    let mut start = 0;
    for run in days.chunk_by(|a, b| a == b) {
        let part = frame.slice(start as i64, run.len());
        let date = part.column(SNAPSHOT)?.date()?.as_date_iter().next().flatten();
        parts.extend(date.map(|date| (date, part)));
        start += run.len();
    }
    Ok(parts)
}

/// Days from a row's day to a date; i64.
fn days_before(as_of: Expr) -> Expr {
    (as_of - col(DAY)).dt().total_days(false)
}

/// A date literal. Without the cast, Polars would use a datetime in nanoseconds.
pub fn day(date: NaiveDate) -> Expr {
    lit(date).cast(DataType::Date)
}
