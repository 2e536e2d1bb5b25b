//! `orders`: [`MarkedLines`] → [`OrderFacts`] in one scan of the source, which also writes the
//! rejected rows. All later stages work on small tables in memory and never read the source again.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use chrono::NaiveDate;
use polars::prelude::*;

use crate::clean::{MarkedLines, Pairs, Reason, ReturnPolicy, line_number, returns};
use crate::columns::*;
use crate::ingest::Money;
use crate::progress::{ScanObserver, Silent};

pub mod ledger;
pub mod line_metrics;
mod pre_aggregate;
pub mod rejects;

pub use line_metrics::{LineMetric, MetricValues};
pub use rejects::{Rejects, first_reject};

use pre_aggregate::Aggregate;
use rejects::{RejectsTable, RejectsWriter};

/// The lines aggregated by order and day.
///
/// One row per (customer, order, day, reason), in no order. Columns: `customer_id` text, `order_id`
/// text (if the source has order ids: never null for known customers and days), `day` date, `reason`
/// u8 (null = accepted), `lines` u32, `units` i128 (0 if quantities may be fractional), `money` i128
/// in minor units, `ordered_at` datetime\[μs\]: the last timestamp of the group, `returned` bool: an
/// accepted cancellation, `returned_on` date: the day on which the last unit of a purchase was
/// returned (null for other purchases, and if returns are not matched).
#[derive(Debug, Clone)]
pub struct OrderFacts {
    pub frame: DataFrame,
    /// The meaning of the codes in `reason`.
    pub reasons: Vec<Reason>,
    pub money: Money,
    /// How returned money is treated; `Drop` if the facts contain no returns.
    pub returns: ReturnPolicy,
    /// The values of the requested [`LineMetric`]s, in their order.
    pub metrics: Vec<MetricValues>,
    /// The returns and their purchases, if returns are matched.
    pub pairs: Option<Pairs>,
    /// If products are counted, one row per (customer, product): `customer_id` text, `product_id`,
    /// `day` of the first accepted line that is not a return.
    pub products: Option<DataFrame>,
    /// If category shares are computed, one row per (customer, category, day) of accepted lines
    /// that are not returns: `customer_id` text, `category` text, `day`, `money` i128.
    pub categories: Option<DataFrame>,
    /// Whether the source has order ids. If not, an order is everything a customer buys on a day.
    pub has_orders: bool,
}

/// Additional consumers of the scan, at the grain of products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtraAggregates {
    /// The first day of every (customer, product).
    pub products: bool,
    /// The money of every (customer, category, day).
    pub categories: bool,
}

pub struct ScanOptions<'a> {
    pub money: &'a Money,
    pub has_orders: bool,
    pub pairs: Option<Pairs>,
    pub extra: ExtraAggregates,
    pub observer: Arc<dyn ScanObserver>,
}

/// The consumers of the scan, in the order in which [`build_facts`] reads their results: the
/// group-by, the metrics that compare lines, and the extra aggregates. `select_lines` returns the
/// lines with the given columns.
fn plans(
    lines: &MarkedLines,
    metrics: &[LineMetric],
    extra: ExtraAggregates,
    observer: Arc<dyn ScanObserver>,
    select_lines: impl FnOnce(Vec<PlSmallStr>) -> PolarsResult<LazyFrame>,
) -> PolarsResult<Vec<DslPlan>> {
    const KEYS: [&str; 4] = [CUSTOMER_ID, ORDER_ID, DAY, REASON];
    // No stage reads the units of fractional quantities.
    let units = if lines.has_whole_quantities { col(QUANTITY) } else { lit(0i64) };
    let mut aggregates = vec![
        (units.alias(UNITS), Aggregate::Sum),
        (col(MONEY), Aggregate::Sum),
        (col(ORDERED_AT), Aggregate::Max),
    ];
    aggregates.extend(line_metrics::aggregates(metrics));
    let mut columns = KEYS.map(PlSmallStr::from_static).to_vec();
    for (value, _) in &aggregates {
        columns.extend(value.clone().meta().root_names());
    }
    let selected = select_lines(columns)?;
    let grouped = pre_aggregate::group_lines(selected, &KEYS, LINES, aggregates, observer)?;
    let mut plans = vec![grouped];
    plans.extend(line_metrics::comparisons(metrics, &lines.frame));
    let bought = lines.frame.clone().filter(col(REASON).is_null().and(lines.is_return().not()));
    if extra.products {
        let with_product = bought.clone().filter(col(PRODUCT_ID).is_not_null());
        let keys = [col(CUSTOMER_ID), col(PRODUCT_ID)];
        plans.push(with_product.group_by(keys).agg([col(DAY).min()]));
    }
    if extra.categories {
        let money = col(MONEY).cast(DataType::Int128).sum();
        plans.push(bought.group_by([col(CUSTOMER_ID), col(CATEGORY), col(DAY)]).agg([money]));
    }
    Ok(plans.into_iter().map(|plan| plan.logical_plan).collect())
}

/// The (customer, product) pairs that have returns.
pub fn with_returns(lines: &MarkedLines) -> PolarsResult<DataFrame> {
    let returns = match_candidates(lines).filter(col(RETURNED)).select(MATCH_KEY.map(col));
    collect_streaming(returns.unique_generic(None, Default::default()))
}

/// The lines of customers and products with returns, which [`Pairs::of`] matches. This is a scan
/// after [`with_returns`], because one scan would hold all lines in memory until the last return.
pub fn candidates(lines: &MarkedLines, with_returns: DataFrame) -> PolarsResult<DataFrame> {
    let keys = MATCH_KEY.map(col);
    let semi = JoinArgs::new(JoinType::Semi);
    collect_streaming(match_candidates(lines).join(with_returns.lazy(), keys.clone(), keys, semi))
}

/// The columns in which a return equals its purchase.
const MATCH_KEY: [&str; 2] = [CUSTOMER_ID, PRODUCT_ID];

/// Accepted lines with the columns of [`returns::CANDIDATE`].
fn match_candidates(lines: &MarkedLines) -> LazyFrame {
    // All lines without a product belong to one product. An empty cell is the same as null.
    let product = col(PRODUCT_ID).cast(DataType::String).fill_null(lit(""));
    let number = line_number().alias(LINE);
    let added = [number, lines.is_return().alias(RETURNED), product, order_of_day()];
    let accepted = lines.frame.clone().filter(col(REASON).is_null());
    accepted.with_columns(added).select(returns::CANDIDATE.map(col))
}

/// The first lines of a plan, sorted by file and row. A plan returns lines in any order.
pub fn first_lines(lines: LazyFrame, limit: u32) -> PolarsResult<DataFrame> {
    let first_rows = lines.filter(col(SOURCE_ROW).lt_eq(lit(limit)));
    let sorted = first_rows.sort([SOURCE_FILE, SOURCE_ROW], SortMultipleOptions::default());
    collect_streaming(sorted.limit(limit))
}

fn collect_streaming(plan: LazyFrame) -> PolarsResult<DataFrame> {
    next_frame(&mut collect_all(vec![plan.logical_plan])?.into_iter())
}

fn collect_all(plans: Vec<DslPlan>) -> PolarsResult<Vec<DataFrame>> {
    LazyFrame::collect_all_with_engine(plans, Engine::Streaming, OptFlags::default())
}

fn next_frame(frames: &mut impl Iterator<Item = DataFrame>) -> PolarsResult<DataFrame> {
    frames.next().ok_or_else(|| polars_err!(ComputeError: "a plan of the scan returned no table"))
}

/// The optimised plan of the scan, as text.
pub fn explain(
    lines: &MarkedLines,
    metrics: &[LineMetric],
    extra: ExtraAggregates,
    rejects: &Rejects<'_>,
) -> PolarsResult<String> {
    let table = Arc::new(RejectsTable::new(rejects, lines)?);
    let frame = lines.frame.clone();
    let select_lines = |columns| Ok(table.divert_rejected(frame, columns, sync_channel(0).0));
    let plans = plans(lines, metrics, extra, Arc::new(Silent), select_lines)?;
    LazyFrame::explain_all(plans, OptFlags::default())
}

/// Reads the source once: aggregates the lines, and writes the rejected rows if `rejects` is given.
///
/// # Errors
/// A file cannot be read with the types of its header, or the rejects cannot be written.
pub fn scan(
    lines: MarkedLines,
    options: ScanOptions<'_>,
    metrics: &[LineMetric],
    rejects: Option<&Rejects<'_>>,
) -> PolarsResult<OrderFacts> {
    let writer = rejects.map(|rejects| RejectsWriter::create(rejects, &lines)).transpose()?;
    let select_lines = |columns| {
        let frame = lines.frame.clone();
        Ok(match &writer {
            Some(writer) => {
                writer.table.clone().divert_rejected(frame, columns, writer.batches.clone())
            }
            None => frame,
        })
    };
    let observer = options.observer.clone();
    let frames =
        plans(&lines, metrics, options.extra, observer, select_lines).and_then(collect_all);
    let facts = || build_facts(frames?, lines, options, metrics);
    match writer {
        Some(writer) => writer.finish(facts),
        None => facts(),
    }
}

fn build_facts(
    frames: Vec<DataFrame>,
    lines: MarkedLines,
    options: ScanOptions<'_>,
    metrics: &[LineMetric],
) -> PolarsResult<OrderFacts> {
    let mut frames = frames.into_iter();
    let (frame, metrics) = line_metrics::split(&mut frames, metrics)?;
    let frame = cast_to_text(frame, &[CUSTOMER_ID, ORDER_ID])?;
    let mut next = |text: &[&str]| cast_to_text(next_frame(&mut frames)?, text);
    let products = options.extra.products.then(|| next(&[CUSTOMER_ID])).transpose()?;
    let categories =
        options.extra.categories.then(|| next(&[CUSTOMER_ID, CATEGORY])).transpose()?;
    let lacks_orders = options.has_orders && frame.column(ORDER_ID)?.null_count() > 0;
    // An order is a return as a whole, so marking the groups costs less than marking the lines.
    let frame = frame.lazy().with_column(lines.is_return().alias(RETURNED));
    let frame = if lacks_orders { frame.with_column(order_of_day()) } else { frame };
    let frame = match &options.pairs {
        Some(pairs) => with_returned_on(frame, pairs)?,
        None => frame.with_column(lit(NULL).cast(DataType::Date).alias(RETURNED_ON)),
    };
    Ok(OrderFacts {
        frame: frame.collect()?,
        reasons: lines.reasons,
        money: options.money.clone(),
        returns: lines.returns.map_or(ReturnPolicy::Drop, |(_, policy)| policy),
        metrics,
        pairs: options.pairs,
        products,
        categories,
        has_orders: options.has_orders,
    })
}

/// The order id as text. Lines without one are one order per customer and day, with an id that no
/// source has. Null if the customer or the day is unknown.
fn order_of_day() -> Expr {
    let parts = [lit(""), col(CUSTOMER_ID), col(DAY)].map(|part| part.cast(DataType::String));
    let id = concat_str(parts, returns::DAY_ORDER, false);
    let own = col(ORDER_ID).cast(DataType::String);
    when(col(ORDER_ID).is_null()).then(id).otherwise(own).alias(ORDER_ID)
}

/// Casts columns to text in a single chunk. Ids are compared by row index, which is slower across
/// chunks.
fn cast_to_text(mut frame: DataFrame, names: &[&str]) -> PolarsResult<DataFrame> {
    for name in names {
        let text = frame.column(name)?.rechunk().cast(&DataType::String)?;
        frame.with_column(text)?;
    }
    Ok(frame)
}

/// Adds the day on which the last unit of an order was returned.
fn with_returned_on(facts: LazyFrame, pairs: &Pairs) -> PolarsResult<LazyFrame> {
    let keys = [col(CUSTOMER_ID), col(ORDER_ID)];
    let purchases = facts.clone().filter(col(REASON).is_null().and(col(RETURNED).not()));
    let bought = purchases.group_by(keys.clone()).agg([col(UNITS).sum()]);
    let returned = pairs.fully_returned(bought)?.rename([DAY], [RETURNED_ON], true);
    Ok(facts.join(returned, keys.clone(), keys, JoinArgs::new(JoinType::Left)))
}

impl OrderFacts {
    pub fn schema() -> Schema {
        let fields = [
            (CUSTOMER_ID, DataType::String),
            (ORDER_ID, DataType::String),
            (DAY, DataType::Date),
            (REASON, DataType::UInt8),
            (LINES, DataType::UInt32),
            (UNITS, DataType::Int128),
            (MONEY, DataType::Int128),
            (ORDERED_AT, DataType::Datetime(TimeUnit::Microseconds, None)),
            (RETURNED, DataType::Boolean),
            (RETURNED_ON, DataType::Date),
        ];
        fields.into_iter().map(|(name, dtype)| (PlSmallStr::from_static(name), dtype)).collect()
    }

    /// Source rows by the code of their reason. The last number counts the accepted rows.
    pub fn rows_by_reason(&self) -> PolarsResult<Vec<u64>> {
        Ok(self.by_reason(LINES)?.into_iter().map(|rows| rows as u64).collect())
    }

    /// Sums of a column by reason, in the order of [`Self::rows_by_reason`].
    fn by_reason(&self, name: &str) -> PolarsResult<Vec<i128>> {
        let mut sums = vec![0; self.reasons.len() + 1];
        // Spark counts lines in 64 bits instead of 32.
        let values = self.frame.column(name)?.cast(&DataType::Int128)?;
        for (outcome, value) in self.outcomes()?.into_iter().zip(values.i128()?.iter()) {
            sums[usize::from(outcome)] += value.unwrap_or(0);
        }
        Ok(sums)
    }

    /// The outcome of each row: the code of its reason, or the number of reasons if it is accepted.
    fn outcomes(&self) -> PolarsResult<Vec<u8>> {
        let accepted = self.reasons.len() as u8;
        let outcome = |reason: Option<u8>| reason.map_or(accepted, |code| code.min(accepted));
        Ok(self.frame.column(REASON)?.u8()?.iter().map(outcome).collect())
    }

    /// First and last day with an accepted line; `None` if all lines are rejected.
    pub fn span(&self) -> PolarsResult<Option<(NaiveDate, NaiveDate)>> {
        let ends = [col(DAY).min().alias("first"), col(DAY).max().alias("last")];
        let ends = self.accepted().select(ends).collect()?;
        Ok(first_date(&ends, "first")?.zip(first_date(&ends, "last")?))
    }

    /// Day of the last accepted line before a date.
    pub fn last_before(&self, date: NaiveDate) -> PolarsResult<Option<NaiveDate>> {
        let earlier = self.accepted().filter(col(DAY).lt(lit(date).cast(DataType::Date)));
        first_date(&earlier.select([col(DAY).max()]).collect()?, DAY)
    }

    pub fn accepted(&self) -> LazyFrame {
        self.frame.clone().lazy().filter(col(REASON).is_null())
    }

    /// Whether every accepted row is an effective purchase, so that no row has to be filtered.
    pub fn all_effective(&self) -> bool {
        self.returns == ReturnPolicy::Drop
    }

    /// The columns that identify an order: its id, or customer and day if the source has no order
    /// ids.
    pub fn order_key(&self) -> &'static [&'static str] {
        if self.has_orders { &[ORDER_ID] } else { &[CUSTOMER_ID, DAY] }
    }
}

fn first_date(frame: &DataFrame, name: &str) -> PolarsResult<Option<NaiveDate>> {
    Ok(frame.column(name)?.date()?.as_date_iter().next().flatten())
}
