//! `orders`: the one scan of the source. [`MarkedLines`] → [`OrderBook`], with the rejected rows written on the way.
//!
//! Everything after this room is small and in memory. What is deliberately absent: any second look at the source.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::clean::{MarkedLines, Pairs, Reason, ReturnPolicy, line_number, returns};
use crate::columns::{
    CATEGORY, CUSTOMER_ID, DAY, LINE, LINES, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY,
    REASON, RETURNED, SOURCE_FILE, SOURCE_ROW, UNDONE_ON, UNITS,
};
use crate::ingest::Money;

mod groups;
pub mod ledger;
pub mod rejects;
mod runs;
pub mod tally;

pub use rejects::{Rejects, first_reject};
pub use tally::{Count, Tally};

use rejects::Writing;
use runs::Fold;

/// What happened, by order and day.
///
/// One row a (customer, order, day, reason). Columns: `customer_id` text, `order_id` text, `day` date, `reason` u8
/// (null = accepted), `lines` u32, `units` i128, `money` i128 in minor units, `ordered_at` datetime\[μs\]: the last
/// moment in the group, `returned` bool: a cancellation that is kept, `undone_on` date: the day on which the last unit of a
/// purchase came back, null for those that stand and unless returns are matched. No order of rows is promised.
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
    /// What was counted on the way, one an asked [`Tally`].
    pub counts: Vec<Count>,
    /// The returns and what they undo, where they are matched.
    pub pairs: Option<Pairs>,
    /// Where products are counted, one row a (customer, product): `customer_id` text, `product_id`, `day`: of the first accepted line
    /// that is no return.
    pub products: Option<DataFrame>,
    /// Where shares in categories are told, one row a (customer, category, day) of accepted lines that are no returns: `customer_id` and
    /// `category` text, `day`, `money` i128.
    pub categories: Option<DataFrame>,
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
            (UNITS, DataType::Int128),
            (MONEY, DataType::Int128),
            (ORDERED_AT, DataType::Datetime(TimeUnit::Microseconds, None)),
            (RETURNED, DataType::Boolean),
            (UNDONE_ON, DataType::Date),
        ];
        fields.into_iter().map(|(name, dtype)| (PlSmallStr::from_static(name), dtype)).collect()
    }
}

/// Consumers of the scan at the grain of products, each only where it is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Further {
    /// The first day of every (customer, product).
    pub products: bool,
    /// The money of every (customer, category, day).
    pub categories: bool,
}

/// What the order book has to know of the pipeline.
pub struct Asked<'a> {
    /// How money is counted.
    pub money: &'a Money,
    /// Whether the source knows orders.
    pub has_orders: bool,
    /// What the returns undo, where they are matched.
    pub pairs: Option<Pairs>,
    /// Further consumers of the scan.
    pub further: Further,
}

/// The consumers of the scan: the group-by, past which the rejected lines are told, and those of tallies that compare lines.
fn plans(
    lines: &MarkedLines,
    tallies: &[Tally],
    further: Further,
    told: impl FnOnce(Vec<PlSmallStr>) -> PolarsResult<LazyFrame>,
) -> PolarsResult<Vec<DslPlan>> {
    const KEYS: [&str; 4] = [CUSTOMER_ID, ORDER_ID, DAY, REASON];
    let mut folds = vec![
        (col(QUANTITY).alias(UNITS), Fold::Sum),
        (col(MONEY), Fold::Sum),
        (col(ORDERED_AT), Fold::Max),
    ];
    folds.extend(tally::folds(tallies));
    let read = folds.iter().flat_map(|(fold, _)| fold.clone().meta().root_names());
    let grouped = told(KEYS.into_iter().map(PlSmallStr::from).chain(read).collect())?;
    let grouped = runs::grouped(grouped, &KEYS, LINES, folds)?;
    let mut plans = vec![grouped.logical_plan];
    plans.extend(
        tally::comparisons(tallies, &lines.frame).into_iter().map(|plan| plan.logical_plan),
    );
    let bought = lines.frame.clone().filter(col(REASON).is_null().and(lines.returned().not()));
    if further.products {
        let known = bought.clone().filter(col(PRODUCT_ID).is_not_null());
        plans.push(
            known.group_by([col(CUSTOMER_ID), col(PRODUCT_ID)]).agg([col(DAY).min()]).logical_plan,
        );
    }
    if further.categories {
        let money = col(MONEY).cast(DataType::Int128).sum();
        plans.push(
            bought.group_by([col(CUSTOMER_ID), col(CATEGORY), col(DAY)]).agg([money]).logical_plan,
        );
    }
    Ok(plans)
}

/// The customers and products with returns.
///
/// # Errors
/// What Polars says of files that cannot be read as they promised.
pub fn with_returns(lines: &MarkedLines) -> PolarsResult<DataFrame> {
    let returns = pairable(lines).filter(col(RETURNED)).select(PAIR.map(col));
    streamed(returns.unique_generic(None, Default::default()))
}

/// The lines of customers and products with returns, among which the returns are paired. They are not told by the scan that found
/// these: it would have to hold all lines until it knew the last return.
///
/// # Errors
/// What Polars says of files that cannot be read as they promised.
pub fn candidates(lines: &MarkedLines, with_returns: DataFrame) -> PolarsResult<DataFrame> {
    let (keys, semi) = (PAIR.map(col), JoinArgs::new(JoinType::Semi));
    streamed(pairable(lines).join(with_returns.lazy(), keys.clone(), keys, semi))
}

/// What a return and the purchase that it undoes have in common.
const PAIR: [&str; 2] = [returns::CANDIDATE[0], returns::CANDIDATE[1]];

/// Accepted lines as returns are paired among them.
fn pairable(lines: &MarkedLines) -> LazyFrame {
    let accepted = lines.frame.clone().filter(col(REASON).is_null());
    let marked =
        accepted.with_columns([line_number().alias(LINE), lines.returned().alias(RETURNED)]);
    // Lines without a product are of one product together, as an empty cell and none at all mean the same.
    let product = col(PRODUCT_ID).cast(DataType::String).fill_null(lit("")).alias(PRODUCT_ID);
    marked.with_column(product).select(returns::CANDIDATE.map(col))
}

/// The first lines of a plan, by file and row: they come in any order.
///
/// # Errors
/// What Polars says of files that cannot be read as they promised.
pub fn first_lines(lines: LazyFrame, limit: u32) -> PolarsResult<DataFrame> {
    let near = lines.filter(col(SOURCE_ROW).lt_eq(lit(limit)));
    streamed(near.sort([SOURCE_FILE, SOURCE_ROW], SortMultipleOptions::default()).limit(limit))
}

/// What a plan gives, by the streaming engine.
///
/// # Errors
/// What Polars says.
fn streamed(plan: LazyFrame) -> PolarsResult<DataFrame> {
    let plans = vec![plan.logical_plan];
    let frames = LazyFrame::collect_all_with_engine(plans, Engine::Streaming, OptFlags::default())?;
    Ok(frames.into_iter().next().unwrap_or_default())
}

/// The optimised plan of the scan, for people to read.
///
/// # Errors
/// What Polars says of a plan that cannot be optimised.
pub fn explain(
    lines: &MarkedLines,
    tallies: &[Tally],
    further: Further,
    rejects: &Rejects<'_>,
) -> PolarsResult<String> {
    let told = |columns| rejects::shown(rejects, lines, columns);
    LazyFrame::explain_all(plans(lines, tallies, further, told)?, OptFlags::default())
}

/// Reads the source once: writes the rejected rows, where they are wanted, and returns what happened.
///
/// # Errors
/// What Polars says of files that cannot be read as they promised, or of rejects that cannot be written.
pub fn scan(
    lines: MarkedLines,
    asked: Asked<'_>,
    tallies: &[Tally],
    rejects: Option<&Rejects<'_>>,
) -> PolarsResult<OrderBook> {
    let writing = rejects.map(|rejects| Writing::begin(rejects, &lines)).transpose()?;
    let told = |columns| {
        Ok(match &writing {
            Some(writing) => writing.told(lines.frame.clone(), columns),
            None => lines.frame.clone(),
        })
    };
    let passed = plans(&lines, tallies, asked.further, told).and_then(|plans| {
        LazyFrame::collect_all_with_engine(plans, Engine::Streaming, OptFlags::default())
    });
    let book = || booked(passed?, lines, asked, tallies);
    match writing {
        Some(writing) => writing.end(book),
        None => book(),
    }
}

/// The order book, from what the consumers of the scan gave.
fn booked(
    frames: Vec<DataFrame>,
    lines: MarkedLines,
    asked: Asked<'_>,
    tallies: &[Tally],
) -> PolarsResult<OrderBook> {
    let mut frames = frames.into_iter();
    let (mut frame, counts) = tally::split(&mut frames, tallies)?;
    let mut next = |wanted: bool| if wanted { frames.next() } else { None };
    let (mut products, mut categories) =
        (next(asked.further.products), next(asked.further.categories));
    as_text(&mut frame, &[CUSTOMER_ID, ORDER_ID])?;
    products.as_mut().map_or(Ok(()), |products| as_text(products, &[CUSTOMER_ID]))?;
    categories
        .as_mut()
        .map_or(Ok(()), |categories| as_text(categories, &[CUSTOMER_ID, CATEGORY]))?;
    // An order is a return as a whole, so returns are told apart here and cost the scan nothing.
    let frame = frame.lazy().with_column(lines.returned().alias(RETURNED));
    let frame = match &asked.pairs {
        Some(pairs) => with_undone(frame, pairs)?,
        None => frame.with_column(lit(NULL).cast(DataType::Date).alias(UNDONE_ON)),
    };
    let Asked { money, has_orders, pairs, .. } = asked;
    let returns = lines.returns.as_ref().map_or(ReturnPolicy::Drop, |(_, policy)| *policy);
    let (frame, money) = (frame.collect()?, money.clone());
    Ok(OrderBook {
        frame,
        reasons: lines.reasons,
        money,
        returns,
        counts,
        pairs,
        products,
        categories,
        has_orders,
    })
}

/// Makes columns text, each in one piece: ids are compared by their places, which costs more where a piece has to be found first.
fn as_text(frame: &mut DataFrame, names: &[&str]) -> PolarsResult<()> {
    for name in names {
        let text = frame.column(name)?.rechunk().cast(&DataType::String)?;
        frame.with_column(text)?;
    }
    Ok(())
}

/// Tells of every purchase on which day the last unit of its order came back.
fn with_undone(book: LazyFrame, pairs: &Pairs) -> PolarsResult<LazyFrame> {
    let keys = [col(CUSTOMER_ID), col(ORDER_ID)];
    let bought = book.clone().filter(col(REASON).is_null().and(col(RETURNED).not()));
    let undone = pairs.undone(bought.group_by(keys.clone()).agg([col(UNITS).sum()]))?;
    let undone = undone.select([col(CUSTOMER_ID), col(ORDER_ID), col(DAY).alias(UNDONE_ON)]);
    Ok(book.join(undone, keys.clone(), keys, JoinArgs::new(JoinType::Left)))
}

impl OrderBook {
    /// Rows of the source by the reason for which they were rejected; the last number is of those that were accepted.
    ///
    /// # Errors
    /// What Polars says.
    pub fn rows_by_reason(&self) -> PolarsResult<Vec<u64>> {
        Ok(self.by_reason(LINES)?.into_iter().map(|rows| rows as u64).collect())
    }

    /// The sums of a column by reason, in the order of [`Self::rows_by_reason`].
    fn by_reason(&self, name: &str) -> PolarsResult<Vec<i128>> {
        let mut sums = vec![0; self.reasons.len() + 1];
        // Lines are counted in 32 bits here, and in 64 on a cluster.
        let values = self.frame.column(name)?.cast(&DataType::Int128)?;
        let values = values.i128()?.iter().map(Option::unwrap_or_default);
        self.fates()?
            .into_iter()
            .zip(values)
            .for_each(|(fate, value)| sums[usize::from(fate)] += value);
        Ok(sums)
    }

    /// What became of each row: the code of its reason, or the number of reasons where it was accepted.
    fn fates(&self) -> PolarsResult<Vec<u8>> {
        let accepted = self.reasons.len() as u8;
        let fate = |reason: Option<u8>| reason.map_or(accepted, |code| code.min(accepted));
        Ok(self.frame.column(REASON)?.u8()?.iter().map(fate).collect())
    }

    /// First and last day with an accepted line; `None` where there is none.
    ///
    /// # Errors
    /// What Polars says.
    pub fn span(&self) -> PolarsResult<Option<(NaiveDate, NaiveDate)>> {
        // The first moment of a group is not kept, only its last; but a group lies within one day.
        let ends = [col(DAY).min().alias("first"), col(DAY).max().alias("last")];
        let ends = self.accepted().select(ends).collect()?;
        let end = |name: &str| -> PolarsResult<Option<NaiveDate>> {
            Ok(ends.column(name)?.date()?.as_date_iter().next().flatten())
        };
        Ok(end("first")?.zip(end("last")?))
    }

    /// Day of the last accepted line before a date.
    ///
    /// # Errors
    /// What Polars says.
    pub fn last_before(&self, date: NaiveDate) -> PolarsResult<Option<NaiveDate>> {
        let before = col(DAY).lt(lit(date).cast(DataType::Date));
        let days = self.accepted().filter(before);
        let last = days.select([col(DAY).max()]).collect()?;
        Ok(last.column(DAY)?.date()?.as_date_iter().next().flatten())
    }

    /// The accepted rows.
    pub fn accepted(&self) -> LazyFrame {
        self.frame.clone().lazy().filter(col(REASON).is_null())
    }

    /// Whether all accepted rows are purchases that stand, as they are where no returns are kept: nothing has to be told apart then.
    pub fn all_stand(&self) -> bool {
        self.returns == ReturnPolicy::Drop
    }

    /// What identifies an order: its id, or the customer's day where the source knows no orders.
    pub fn order_key(&self) -> &'static [&'static str] {
        match self.has_orders {
            true => &[ORDER_ID],
            false => &[CUSTOMER_ID, DAY],
        }
    }
}
