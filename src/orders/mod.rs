//! `orders`: the one scan of the source. [`MarkedLines`] → [`OrderBook`], with the rejected rows written on the way.
//!
//! Everything after this room is small and in memory. What is deliberately absent: any second look at the source.

use std::path::Path;

use polars::io::utils::sync_on_close::SyncOnCloseType;
use polars::prelude::*;

use crate::clean::{MarkedLines, Reason, ReturnPolicy, steps};
use crate::columns::{
    CUSTOMER_ID, DAY, LINES, MONEY, ORDER_ID, ORDERED_AT, QUANTITY, REASON, RETURNED, SOURCE_FILE, SOURCE_ROW, STEP,
    TEXT, UNITS,
};
use crate::ingest::{Money, conform};

pub mod ledger;

/// What happened, by order and day.
///
/// One row a (customer, order, day, reason). Columns: `customer_id` text, `order_id` text, `day` date, `reason` u8
/// (null = accepted), `lines` u32, `units` i64, `money` i128 in minor units, `ordered_at` datetime\[μs\]: the last
/// moment in the group, `returned` bool: a cancellation that is kept. No order of rows is promised.
#[derive(Debug, Clone)]
pub struct OrderBook {
    /// The table.
    pub frame: DataFrame,
    /// What the codes in `reason` mean.
    pub reasons: Vec<Reason>,
    /// How `money` is counted.
    pub money: Money,
    /// What becomes of the money of returns; `Drop` where there are none in the book.
    pub returns: ReturnPolicy,
    /// Whether the source knows orders; without them an order is all that a customer buys on a day.
    pub has_orders: bool,
}

impl OrderBook {
    /// Columns of an order book.
    pub fn schema() -> Schema {
        let fields = [
            (CUSTOMER_ID, DataType::String),
            (ORDER_ID, DataType::String),
            (DAY, DataType::Date),
            (REASON, DataType::UInt8),
            (LINES, DataType::UInt32),
            (UNITS, DataType::Int64),
            (MONEY, DataType::Int128),
            (ORDERED_AT, DataType::Datetime(TimeUnit::Microseconds, None)),
            (RETURNED, DataType::Boolean),
        ];
        fields.into_iter().map(|(name, dtype)| (PlSmallStr::from_static(name), dtype)).collect()
    }
}

/// How the rejected rows are named and where they go.
pub struct Rejects<'a> {
    /// Parquet file to write.
    pub path: &'a Path,
    /// Names of the source files, in the order of `source_file`.
    pub files: Vec<&'a str>,
    /// What the footer says of the file's making.
    pub metadata: KeyValueMetadata,
}

/// The two consumers of the scan: the group-by and the rejects.
fn plans(lines: &MarkedLines, rejects: Option<&Rejects<'_>>) -> PolarsResult<Vec<DslPlan>> {
    let grouped = lines.frame.clone().group_by([col(CUSTOMER_ID), col(ORDER_ID), col(DAY), col(REASON)]).agg([
        len().cast(DataType::UInt32).alias(LINES),
        col(QUANTITY).sum().alias(UNITS),
        // A group's sum needs more than 64 bits before any line does.
        col(MONEY).cast(DataType::Int128).sum().alias(MONEY),
        col(ORDERED_AT).max(),
    ]);
    let Some(rejects) = rejects else { return Ok(vec![grouped.logical_plan]) };
    let cell = |name: &String| col(conform::carried_name(name)).cast(DataType::String);
    let mut columns = vec![
        spelled(col(REASON), lines.reasons.iter().map(|r| Some(lit(r.step.as_str())))).alias(STEP),
        spelled(col(REASON), lines.reasons.iter().map(|r| Some(lit(r.reason.as_str())))).alias(REASON),
        spelled(col(SOURCE_FILE), rejects.files.iter().map(|name| Some(lit(*name)))).alias(SOURCE_FILE),
        col(SOURCE_ROW),
        // The text of the record or of the cell that could not be parsed.
        col(TEXT).fill_null(spelled(col(REASON), lines.reasons.iter().map(|r| r.cell.as_ref().map(cell)))),
    ];
    columns.extend(lines.kept.iter().map(|(name, source)| cell(source).alias(name)));
    let rejected = lines.frame.clone().filter(col(REASON).is_not_null()).select(columns);
    let target = SinkTarget::Path(PlRefPath::try_from_path(rejects.path)?);
    let options = ParquetWriteOptions {
        compression: ParquetCompression::Zstd(None),
        key_value_metadata: Some(rejects.metadata.clone()),
        ..Default::default()
    };
    let sink = rejected.sink(
        SinkDestination::File { target },
        FileWriteFormat::Parquet(options.into()),
        UnifiedSinkArgs { sync_on_close: SyncOnCloseType::All, ..Default::default() },
    )?;
    Ok(vec![grouped.logical_plan, sink.logical_plan])
}

/// A code spelled out: the expression at its index, null where there is none.
fn spelled(code: Expr, words: impl Iterator<Item = Option<Expr>>) -> Expr {
    let null = lit(NULL).cast(DataType::String);
    words
        .enumerate()
        .filter_map(|(idx, word)| Some((idx, word?)))
        .fold(null, |chain, (idx, word)| when(code.clone().eq(lit(idx as u32))).then(word).otherwise(chain))
}

/// The optimised plan of the scan, for people to read.
///
/// # Errors
/// What Polars says of a plan that cannot be optimised.
pub fn explain(lines: &MarkedLines, rejects: &Rejects<'_>) -> PolarsResult<String> {
    LazyFrame::explain_all(plans(lines, Some(rejects))?, OptFlags::default())
}

/// Reads the source once: writes the rejected rows, where they are wanted, and returns what happened.
///
/// # Errors
/// What Polars says of files that cannot be read as they promised, or of rejects that cannot be written.
pub fn scan(
    lines: MarkedLines,
    money: &Money,
    has_orders: bool,
    rejects: Option<&Rejects<'_>>,
) -> PolarsResult<OrderBook> {
    let plans = plans(&lines, rejects)?;
    let mut frames = LazyFrame::collect_all_with_engine(plans, Engine::Streaming, OptFlags::default())?;
    let mut frame = frames.swap_remove(0);
    for name in [CUSTOMER_ID, ORDER_ID] {
        let text = frame.column(name)?.cast(&DataType::String)?;
        frame.with_column(text)?;
    }
    // An order is a return as a whole, so returns are told apart here and cost the scan nothing.
    let (returned, returns) = match &lines.returns {
        Some((prefix, policy)) => (steps::begins(prefix), *policy),
        None => (lit(false), ReturnPolicy::Drop),
    };
    let frame = frame.lazy().with_column(returned.alias(RETURNED)).collect()?;
    Ok(OrderBook { frame, reasons: lines.reasons, money: money.clone(), returns, has_orders })
}

/// The first rejected row with one of some reasons: file, row and text.
///
/// # Errors
/// What Polars says of the rejects.
pub fn first_reject(path: &Path, reasons: &[Reason], told: impl Fn(&Reason) -> bool) -> PolarsResult<Option<String>> {
    let wanted = reasons.iter().filter(|reason| told(reason)).map(|reason| col(REASON).eq(lit(reason.reason.as_str())));
    let wanted = wanted.reduce(|any, one| any.or(one)).unwrap_or(lit(false));
    let rejects = LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, Default::default())?;
    let first = rejects.filter(wanted).sort([SOURCE_FILE, SOURCE_ROW], Default::default()).limit(1).collect()?;
    let text = |name: &str| -> PolarsResult<Option<String>> {
        let column = first.column(name)?.cast(&DataType::String)?;
        Ok(column.str()?.iter().next().flatten().map(str::to_owned))
    };
    let (file, row, cell) = (text(SOURCE_FILE)?, text(SOURCE_ROW)?, text(TEXT)?);
    Ok(file.zip(row).map(|(file, row)| format!("`{file}`, row {row}: {}", cell.unwrap_or_default())))
}

impl OrderBook {
    /// The accepted rows.
    pub fn accepted(&self) -> LazyFrame {
        self.frame.clone().lazy().filter(col(REASON).is_null())
    }

    /// What identifies an order: its id, or the customer's day where the source knows no orders.
    pub fn order_key(&self) -> Vec<Expr> {
        match self.has_orders {
            true => vec![col(ORDER_ID)],
            false => vec![col(CUSTOMER_ID), col(DAY)],
        }
    }
}
