//! `rfm`: [`OrderBook`] → [`Snapshots`]: recency, frequency and monetary value of every customer at every date.
//!
//! What is deliberately absent: the clock. A snapshot's date comes from the YAML, the command line or the data.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::clean::ReturnPolicy;
use crate::columns::{CATEGORY, CUSTOMER_ID, DAY, N_PRODUCTS, PRODUCT_ID, SNAPSHOT};
use crate::ingest::Keyed;
use crate::orders::{OrderBook, ledger};

pub mod dates;
pub mod features;
pub mod inputs;
pub mod measures;
pub mod outliers;
pub mod quantile;

pub use dates::{Grid, SnapshotDates, Step};
pub use features::{Feature, Of, Ratio};
pub use inputs::inputs;
pub use measures::{Frequency, Monetary};
pub use outliers::{CapOutliers, CapPolicy};

/// Checked options of `rfm`.
#[derive(Debug, Clone, PartialEq)]
pub struct RfmParams {
    /// The dates to look back from.
    pub snapshots: SnapshotDates,
    /// What frequency counts.
    pub frequency: Frequency,
    /// What monetary value is.
    pub monetary: Monetary,
    /// How many days back from a snapshot count; all where none is named.
    pub window: Option<u32>,
    /// Customers whose first line lies less than so many days before a snapshot are left out of it.
    pub min_history_days: u32,
    /// Further columns, in order.
    pub features: Vec<Feature>,
    /// Shares of what was done in shorter stretches of time, after the further columns.
    pub ratios: Vec<Ratio>,
    /// Number of categories whose shares are told.
    pub top_categories: usize,
    /// What becomes of monetary values beyond a quantile.
    pub cap: Option<CapOutliers>,
    /// What is not to be found anew, where customers are measured by those of an earlier run.
    pub fitted: Fitted,
}

impl RfmParams {
    /// Whether what is bought, or of which kind it is, counts for a measure.
    pub fn looks_at(&self, column: &str) -> bool {
        match column {
            PRODUCT_ID => self.features.contains(&Feature::NProducts),
            CATEGORY => self.top_categories > 0,
            _ => false,
        }
    }
}

/// What was found over all customers of a run, for others to be measured by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fitted {
    /// The monetary value at the quantile of `cap_outliers`.
    pub limit: Option<f64>,
    /// The categories that sold most, in order.
    pub categories: Option<Vec<String>>,
}

/// Every customer at every snapshot.
///
/// One row a (snapshot, customer), sorted by both. Columns: `snapshot` date, `customer_id` text, `last_order_at`
/// datetime\[μs\], `recency_days` i32, `frequency` u32, `monetary` f64, `returned_money` f64 where returns are kept apart, the further columns that are asked for (see [`features`]; `n_products` and the
/// shares in categories last), and the
/// attributes of the customers' source. A customer is in a snapshot where it has an accepted line before it.
#[derive(Debug, Clone)]
pub struct Snapshots {
    /// The table.
    pub frame: DataFrame,
    /// The dates, ascending; never empty.
    pub dates: Vec<NaiveDate>,
    /// Tables that were made on the way, by name: `outliers` (see [`outliers`]) and `top_categories` (see [`features`]), where
    /// they are asked for.
    pub tables: Vec<(&'static str, DataFrame)>,
}

/// Why there is no snapshot to be had.
#[derive(Debug, thiserror::Error)]
pub enum RfmError {
    /// `clean` left nothing.
    #[error("no line is left to measure:{reasons}")]
    NothingAccepted {
        /// How many rows went for which reason.
        reasons: String,
    },
    /// The date lies before everything.
    #[error("snapshot {date}: no accepted line lies before it; the first is of {first}")]
    TooEarly {
        /// The snapshot.
        date: NaiveDate,
        /// Day of the first accepted line.
        first: NaiveDate,
    },
    /// The grid holds no date.
    #[error("snapshots from {from} on: they end at {until}")]
    EmptyGrid {
        /// Where the grid begins.
        from: NaiveDate,
        /// Where it ends.
        until: NaiveDate,
    },
    /// The window, or the history that is asked for, leaves nobody.
    #[error("snapshot {date}: no customer is left within `rfm.window` and `rfm.min_history_days`")]
    NobodyLeft {
        /// The snapshot.
        date: NaiveDate,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] PolarsError),
}

/// The dates to look back from, ascending.
///
/// # Errors
/// No accepted line at all, or none before one of the dates.
pub fn dates(params: &RfmParams, book: &OrderBook) -> Result<Vec<NaiveDate>, RfmError> {
    match book.span()? {
        Some((first, last)) => params.snapshots.within(first, last),
        None => {
            let reasons = ledger::reasons(book)?;
            let reasons =
                if reasons.is_empty() { " the source has no rows".to_owned() } else { reasons };
            Err(RfmError::NothingAccepted { reasons })
        }
    }
}

/// Computes a snapshot at each of the dates from the order book, and gives the customers their attributes. Of no dates comes a table
/// without columns.
///
/// # Errors
/// A date at which nobody is left.
pub fn snapshots(
    params: &RfmParams,
    book: &OrderBook,
    customers: Option<&Keyed>,
    dates: Vec<NaiveDate>,
) -> Result<Snapshots, RfmError> {
    if dates.is_empty() {
        return Ok(Snapshots { frame: DataFrame::empty(), dates, tables: Vec::new() });
    }
    let plans: Vec<LazyFrame> = dates.iter().map(|&date| snapshot(params, book, date)).collect();
    let mut frame = concat(plans, UnionArgs::default())?
        .collect()?
        .sort([SNAPSHOT, CUSTOMER_ID], SortMultipleOptions::default())?;
    let there = by_snapshot(&frame)?;
    if let Some(&date) = dates.iter().find(|date| there.iter().all(|(there, _)| there != *date)) {
        return Err(RfmError::NobodyLeft { date });
    }
    let mut tables = Vec::new();
    if let Some(cap) = &params.cap {
        let (capped, found) = outliers::cap(cap, params.fitted.limit, &frame)?;
        frame = capped;
        tables.push(("outliers", found));
    }
    if let Some(sold) = book.categories.as_ref().filter(|_| params.top_categories > 0) {
        let (with_shares, top) = features::top_categories(params, sold, &frame, &book.money)?;
        frame = with_shares;
        tables.push(("top_categories", top));
    }
    if let Some(customers) = customers {
        let key = [col(CUSTOMER_ID)];
        let attributes = customers.frame.clone().lazy();
        let joined = frame.lazy().join(attributes, key.clone(), key, JoinArgs::new(JoinType::Left));
        frame = joined.sort([SNAPSHOT, CUSTOMER_ID], SortMultipleOptions::default()).collect()?;
    }
    Ok(Snapshots { frame, dates, tables })
}

/// How many customers of the snapshots the customers' source does not know.
///
/// # Errors
/// What Polars says.
pub fn unknown(snapshots: &Snapshots, customers: &Keyed) -> PolarsResult<u32> {
    let key = [col(CUSTOMER_ID)];
    let ids = snapshots
        .frame
        .clone()
        .lazy()
        .select(key.clone())
        .unique_generic(None, UniqueKeepStrategy::Any);
    let known = customers.frame.clone().lazy();
    let missing = ids.join(known, key.clone(), key, JoinArgs::new(JoinType::Anti)).collect()?;
    Ok(u32::try_from(missing.height()).unwrap_or(u32::MAX))
}

/// One snapshot: only what happened before the date counts.
fn snapshot(params: &RfmParams, book: &OrderBook, as_of: NaiveDate) -> LazyFrame {
    let mut measures = vec![
        measures::last_order_at(book),
        measures::recency_days(as_of, book),
        measures::frequency(params.frequency, book),
        measures::monetary(params.monetary, book),
    ];
    if book.returns == ReturnPolicy::Separate {
        measures.push(measures::returned_money(&book.money));
    }
    measures.extend(params.features.iter().filter_map(|feature| match feature {
        Feature::TenureDays => Some(features::tenure_days(as_of)),
        Feature::MeanGapDays => Some(features::mean_gap_days()),
        Feature::GapDaysStd => Some(features::gap_days_std()),
        Feature::AverageOrderValue => Some(features::average_order_value(book)),
        Feature::NProducts => None,
    }));
    measures.extend(params.ratios.iter().map(|ratio| ratio.share(as_of, book.has_orders)));
    let accepted = book.accepted();
    let within = accepted
        .clone()
        .filter(within(params.window, day(as_of)))
        .with_column(measures::stands(as_of));
    let measured = within.group_by([col(CUSTOMER_ID)]).agg(measures);
    let known = match params.min_history_days {
        0 => measured,
        // How long a customer is known does not depend on the window.
        days => {
            let firsts = accepted.group_by([col(CUSTOMER_ID)]).agg([col(DAY).min()]);
            let known = firsts.filter(days_before(day(as_of)).gt_eq(lit(i64::from(days))));
            let key = [col(CUSTOMER_ID)];
            measured.join(known, key.clone(), key, JoinArgs::new(JoinType::Semi))
        }
    };
    let known = match &book.products {
        Some(products) if params.features.contains(&Feature::NProducts) => {
            let key = [col(CUSTOMER_ID)];
            let counted = features::n_products(products.clone().lazy(), as_of);
            let counted = known.join(counted, key.clone(), key, JoinArgs::new(JoinType::Left));
            counted.with_column(col(N_PRODUCTS).fill_null(lit(0u32)))
        }
        _ => known,
    };
    known.select([day(as_of).alias(SNAPSHOT), all().as_expr()])
}

/// Whether a row counts at a snapshot: it lies before the snapshot's day, and within the window where there is one.
pub fn within(window: Option<u32>, as_of: Expr) -> Expr {
    let before = col(DAY).lt(as_of.clone());
    match window {
        Some(days) => before.and(days_before(as_of).lt_eq(lit(i64::from(days)))),
        None => before,
    }
}

/// Splits a table that is sorted by its snapshots into one part each; the snapshot's own column is left in.
///
/// # Errors
/// A table without snapshots.
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

/// Days from a row's day to a snapshot.
fn days_before(as_of: Expr) -> Expr {
    (as_of - col(DAY)).dt().total_days(false)
}

/// A calendar day as a literal; Polars would make a moment in nanoseconds of it.
pub fn day(date: NaiveDate) -> Expr {
    lit(date).cast(DataType::Date)
}
