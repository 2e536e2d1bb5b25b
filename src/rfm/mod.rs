//! `rfm`: [`OrderBook`] → [`Snapshots`]: recency, frequency and monetary value of every customer at every date.
//!
//! What is deliberately absent: the clock. A snapshot's date comes from the YAML, the command line or the data.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::clean::ReturnPolicy;
use crate::columns::{CUSTOMER_ID, DAY, ORDERED_AT, SNAPSHOT};
use crate::orders::{OrderBook, ledger};

pub mod measures;

pub use measures::Frequency;

/// Checked options of `rfm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RfmParams {
    /// The dates to look back from.
    pub snapshots: SnapshotDates,
    /// What frequency counts.
    pub frequency: Frequency,
}

/// Which dates to look back from; each is exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotDates {
    /// The day after the last accepted line.
    Last,
    /// These dates, ascending, each once.
    Given(Vec<NaiveDate>),
}

/// Every customer at every snapshot.
///
/// One row a (snapshot, customer), sorted by both. Columns: `snapshot` date, `customer_id` text, `last_order_at`
/// datetime\[μs\], `recency_days` i32, `frequency` u32, `monetary` f64, and `returned_money` f64 where returns are kept apart. A customer is in a snapshot where it has an accepted
/// line before it.
#[derive(Debug, Clone)]
pub struct Snapshots {
    /// The table.
    pub frame: DataFrame,
    /// The dates, ascending; never empty.
    pub dates: Vec<NaiveDate>,
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
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] PolarsError),
}

/// Computes every snapshot from the order book.
///
/// # Errors
/// No accepted line at all, or none before one of the dates.
pub fn snapshots(params: &RfmParams, book: &OrderBook) -> Result<Snapshots, RfmError> {
    let (first, last) = match span(book)? {
        Some(span) => span,
        None => {
            let reasons = ledger::reasons(book)?;
            let reasons = if reasons.is_empty() { " the source has no rows".to_owned() } else { reasons };
            return Err(RfmError::NothingAccepted { reasons });
        }
    };
    let dates = match &params.snapshots {
        SnapshotDates::Last => vec![last.succ_opt().unwrap_or(last)],
        SnapshotDates::Given(dates) => dates.clone(),
    };
    if let Some(&date) = dates.iter().find(|date| **date <= first) {
        return Err(RfmError::TooEarly { date, first });
    }
    let plans: Vec<LazyFrame> = dates.iter().map(|&date| snapshot(params, book, date)).collect();
    let frame = concat(plans, UnionArgs::default())?
        .collect()?
        .sort([SNAPSHOT, CUSTOMER_ID], SortMultipleOptions::default())?;
    Ok(Snapshots { frame, dates })
}

/// One snapshot: only what happened before the date counts.
fn snapshot(params: &RfmParams, book: &OrderBook, as_of: NaiveDate) -> LazyFrame {
    let mut measures = vec![
        measures::last_order_at(),
        measures::recency_days(as_of),
        measures::frequency(params.frequency, book.has_orders),
        measures::monetary(&book.money, book.returns),
    ];
    if book.returns == ReturnPolicy::Separate {
        measures.push(measures::returned_money(&book.money));
    }
    let before = book.accepted().filter(col(DAY).lt(day(as_of)));
    before.group_by([col(CUSTOMER_ID)]).agg(measures).select([day(as_of).alias(SNAPSHOT), all().as_expr()])
}

/// A calendar day as a literal; Polars would make a moment in nanoseconds of it.
pub fn day(date: NaiveDate) -> Expr {
    lit(date).cast(DataType::Date)
}

/// First and last day with an accepted line.
fn span(book: &OrderBook) -> PolarsResult<Option<(NaiveDate, NaiveDate)>> {
    let ends = book
        .accepted()
        .select([col(ORDERED_AT).min().dt().date().alias("first"), col(ORDERED_AT).max().dt().date().alias("last")])
        .collect()?;
    let end = |name: &str| -> PolarsResult<Option<NaiveDate>> {
        Ok(ends.column(name)?.date()?.as_date_iter().next().flatten())
    };
    // The first moment of a group is not kept, only its last; but a group lies within one day.
    Ok(end("first")?.zip(end("last")?))
}
