//! `orders`: [`MarkedLines`] → [`OrderFacts`] in one scan of the source, which also writes the
//! rejected rows. All later stages work on small tables in memory and never read the source again.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use chrono::NaiveDate;
use polars::prelude::*;

use crate::clean::{MarkedLines, Pairs, Reason, ReturnPolicy, line_number, returns};
use crate::columns::*;
use crate::ingest::{ChunkedLines, Money};

mod fold;
pub mod ledger;
pub mod line_metrics;
pub mod rejects;

pub use line_metrics::{LineMetric, MetricValues};
pub use rejects::{RejectedRow, Rejects, first_rejects};

use fold::{Consumer, Merge};
use rejects::{RejectsTable, RejectsWriter};

/// The lines aggregated by order and day.
///
/// One row per (customer, order, day, reason), in no order. Columns: `customer_id` text, `order_id`
/// text (if the source has order ids: never null for known customers and days), `day` date,
/// `reason` u8 (null = accepted), `lines` u32, `units` i128 (0 if quantities may be fractional),
/// `money` i128 in minor units, `ordered_at` datetime\[μs\]: the last timestamp of the group,
/// `returned` bool: an accepted cancellation, `returned_on` date: the day on which the last unit of
/// a purchase was returned (null for other purchases, and if returns are not matched).
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
}

/// The consumers of the scan, in the order in which [`build_facts`] reads their results: the
/// group-by, the metrics that compare lines, and the extra aggregates.
fn consumers(
    lines: &MarkedLines,
    metrics: &[LineMetric],
    extra: ExtraAggregates,
) -> PolarsResult<Vec<Consumer>> {
    let mut consumers = vec![order_facts(lines, metrics)?];
    consumers.extend(line_metrics::comparisons(metrics));
    let is_bought = col(REASON).is_null().and(lines.is_return().not());
    if extra.products {
        let is_bought = is_bought.clone().and(col(PRODUCT_ID).is_not_null());
        consumers.push(group_by(is_bought, &[CUSTOMER_ID, PRODUCT_ID], vec![col(DAY).min()]));
    }
    if extra.categories {
        let keys = &[CUSTOMER_ID, CATEGORY, DAY];
        let money = col(MONEY).cast(DataType::Int128).sum();
        consumers.push(group_by(is_bought, keys, vec![money]));
    }
    Ok(consumers)
}

/// Groups the lines by customer, order, day and outcome. Lines are not grouped within a chunk: most
/// sources keep the lines of an order together, so a line stands for a run of them.
fn order_facts(lines: &MarkedLines, metrics: &[LineMetric]) -> PolarsResult<Consumer> {
    // The sum of a group can exceed 64 bits.
    let wide = |value: Expr| value.cast(DataType::Int128);
    // No stage reads the units of fractional quantities.
    let units = if lines.has_whole_quantities { col(UNITS) } else { lit(0i64) };
    let mut values = vec![
        (col(LINES), Expr::sum as line_metrics::Aggregate),
        (wide(units.fill_null(lit(0i64))).alias(UNITS), Expr::sum),
        (wide(col(MONEY)), Expr::sum),
        (col(ORDERED_AT), Expr::max),
    ];
    values.extend(line_metrics::aggregates(metrics));
    let mut keys = [CUSTOMER_ID, ORDER_ID, DAY, REASON].map(col).to_vec();
    keys.extend(lines.has_return_lines().then(|| col(RETURNED)));
    let (mut reads, mut aggregates) = (keys.clone(), Vec::new());
    for (value, aggregate) in values {
        aggregates.push(aggregate(col(value.clone().meta().output_name()?)));
        reads.push(value);
    }
    let names = reads.iter().map(|read| read.clone().meta().output_name());
    let names: Vec<PlSmallStr> = names.collect::<PolarsResult<_>>()?;
    let reduce = move |lines: &DataFrame| lines.select(names.iter().cloned());
    let merge = Merge::GroupBy { keys, aggregates };
    Ok(Consumer { reads, reduce: Box::new(reduce), merge })
}

/// Groups the lines for which `predicate` is true.
fn group_by(predicate: Expr, keys: &[&str], aggregates: Vec<Expr>) -> Consumer {
    let keys: Vec<Expr> = keys.iter().map(|key| col(*key)).collect();
    let exprs = [vec![predicate.clone()], keys.clone(), aggregates.clone()].concat();
    let names = exprs.iter().flat_map(|expr| expr.clone().meta().root_names());
    let reads: PlIndexSet<PlSmallStr> = names.collect();
    let merge = Merge::GroupBy { keys: keys.clone(), aggregates: aggregates.clone() };
    let reduce = move |lines: &DataFrame| {
        let lines = lines.clone().lazy().filter(predicate.clone());
        if aggregates.is_empty() {
            lines.select(keys.clone()).unique_generic(None, UniqueKeepStrategy::Any).collect()
        } else {
            lines.group_by(keys.clone()).agg(aggregates.clone()).collect()
        }
    };
    Consumer { reads: reads.into_iter().map(col).collect(), reduce: Box::new(reduce), merge }
}

/// The (customer, product) pairs that have returns.
pub fn with_returns(lines: &MarkedLines) -> PolarsResult<DataFrame> {
    collect_lines(&lines.lines, candidate_columns(lines), |lines| {
        let returns = lines.filter(accepted().and(col(RETURNED))).select(MATCH_KEY.map(col));
        returns.unique_generic(None, UniqueKeepStrategy::Any)
    })
}

/// The lines of customers and products with returns, which [`Pairs::of`] matches. This is a scan
/// after [`with_returns`], because one scan would hold all lines in memory until the last return.
pub fn candidates(lines: &MarkedLines, with_returns: DataFrame) -> PolarsResult<DataFrame> {
    let returns = collect_streaming(with_returns.lazy().unique_generic(None, Default::default()))?;
    collect_lines(&lines.lines, candidate_columns(lines), move |lines| {
        let keys = MATCH_KEY.map(col);
        let semi = JoinArgs::new(JoinType::Semi);
        let candidates = lines.filter(accepted()).select(returns::CANDIDATE.map(col));
        candidates.join(returns.clone().lazy(), keys.clone(), keys, semi)
    })
}

fn accepted() -> Expr {
    col(REASON).is_null()
}

/// The columns in which a return equals its purchase.
const MATCH_KEY: [&str; 2] = [CUSTOMER_ID, PRODUCT_ID];

/// The columns of [`returns::CANDIDATE`], and the outcome.
fn candidate_columns(lines: &MarkedLines) -> Vec<Expr> {
    // All lines without a product belong to one product. An empty cell is the same as null.
    let product = col(PRODUCT_ID).cast(DataType::String).fill_null(lit(""));
    let number = line_number().alias(LINE);
    let added = [number, lines.is_return().alias(RETURNED), product, order_of_day()];
    let is_added = |name: &str| [LINE, RETURNED, PRODUCT_ID, ORDER_ID].contains(&name);
    let own = returns::CANDIDATE.into_iter().filter(|name| !is_added(name)).map(col);
    own.chain(added).chain([col(REASON)]).collect()
}

/// The first lines of one row each, sorted by file and row.
pub fn first_lines(lines: &ChunkedLines, limit: u32) -> PolarsResult<DataFrame> {
    let names = lines.schema()?;
    let names = names.iter_names_cloned().filter(|name| ![LINES, UNITS].contains(&name.as_str()));
    let columns = names.map(col).collect();
    let first_rows = collect_lines(lines, columns, move |lines| {
        lines.filter(col(SOURCE_ROW).lt_eq(lit(limit)))
    })?;
    let sorted = first_rows.sort([SOURCE_FILE, SOURCE_ROW], SortMultipleOptions::default())?;
    Ok(sorted.head(Some(limit as usize)))
}

/// Reads all lines, and collects what a plan makes of each chunk.
fn collect_lines(
    lines: &ChunkedLines,
    columns: Vec<Expr>,
    plan: impl Fn(LazyFrame) -> LazyFrame + Send + Sync + 'static,
) -> PolarsResult<DataFrame> {
    let reduce = move |lines: &DataFrame| plan(lines.clone().lazy()).collect();
    let consumer = Consumer { reads: columns, reduce: Box::new(reduce), merge: Merge::Concat };
    next_frame(&mut fold::fold(lines, &[consumer])?.into_iter())
}

fn collect_streaming(plan: LazyFrame) -> PolarsResult<DataFrame> {
    let plans = vec![plan.logical_plan];
    let frames = LazyFrame::collect_all_with_engine(plans, Engine::Streaming, OptFlags::default())?;
    next_frame(&mut frames.into_iter())
}

fn next_frame(frames: &mut impl Iterator<Item = DataFrame>) -> PolarsResult<DataFrame> {
    frames.next().ok_or_else(|| polars_err!(ComputeError: "a plan of the scan returned no table"))
}

/// The optimised plans of the scan with their names: those of the lines, and that of the results.
pub fn explain(
    lines: &MarkedLines,
    metrics: &[LineMetric],
    extra: ExtraAggregates,
    rejects: &Rejects<'_>,
) -> PolarsResult<Vec<(String, String)>> {
    let mut consumers = consumers(lines, metrics, extra)?;
    let table = Arc::new(RejectsTable::new(rejects, lines)?);
    consumers.push(table.consumer(sync_channel(0).0));
    let columns = fold::columns_read(&consumers)?;
    let mut plans = lines.lines.explain(&columns)?;
    let groups = order_facts(lines, metrics)?;
    let reduced = (groups.reduce)(&lines.lines.empty()?.select(&columns).collect()?)?;
    plans.push(("order facts".to_owned(), groups.merge.plan(reduced).explain(true)?));
    Ok(plans)
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
    let mut consumers = consumers(&lines, metrics, options.extra)?;
    let mut writer = None;
    if let Some(rejects) = rejects {
        let (thread, consumer) = RejectsWriter::create(rejects, &lines)?;
        consumers.push(consumer);
        writer = Some(thread);
    }
    let frames = fold::fold(&lines.lines, &consumers);
    // Ends the writer's input.
    drop(consumers);
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
    // If an order is a return as a whole, marking the groups costs less than marking the lines.
    let mut frame = frame.lazy().with_column(lines.is_return().alias(RETURNED));
    if lacks_orders {
        let lacks_order = col(ORDER_ID).is_null();
        let added = frame.clone().filter(lacks_order.clone()).with_column(order_of_day());
        frame = concat([frame.filter(lacks_order.not()), added], UnionArgs::default())?;
    }
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
