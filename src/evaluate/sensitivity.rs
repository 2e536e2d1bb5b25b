//! What would move if frequency or monetary value were defined another way: the same customers scored and named again under each
//! definition, from the same order book.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::orders::OrderBook;
use crate::rfm::{self, Frequency, Monetary, RfmError, RfmParams, by_snapshot};
use crate::score::{self, Dimension, ScoreParams};
use crate::segment::{self, SegmentMap};

/// One row a (snapshot, dimension, alternative).
///
/// Columns: `snapshot` date, `dimension` text, `alternative` text: what it would be instead, `customers` u32, `score_moved` and `segment_moved` f64:
/// share of the customers who would get another score and another segment, `money_moved` f64: share of the snapshot's money
/// that customers with another segment spent, null where there is none.
///
/// # Errors
/// What Polars says.
pub fn sensitivity(
    own: &RfmParams,
    score: &ScoreParams,
    book: &OrderBook,
    map: &SegmentMap,
    segments: &DataFrame,
) -> PolarsResult<DataFrame> {
    let frequencies = [
        (Frequency::Orders, "orders"),
        (Frequency::Days, "days"),
        (Frequency::Lines, "lines"),
        (Frequency::Units, "units"),
    ];
    let moneys = [
        (Monetary::Net, "net"),
        (Monetary::Gross, "gross"),
        (Monetary::MeanPerOrder, "mean_per_order"),
        (Monetary::MeanPerDay, "mean_per_day"),
    ];
    let others = frequencies.into_iter().filter(|(frequency, _)| *frequency != own.frequency);
    let others = others.map(|(frequency, name)| {
        (Dimension::Frequency, name, RfmParams { frequency, ..own.clone() })
    });
    let moneys = moneys.into_iter().filter(|(monetary, _)| *monetary != own.monetary);
    let moneys = moneys
        .map(|(monetary, name)| (Dimension::Monetary, name, RfmParams { monetary, ..own.clone() }));
    let mut parts = Vec::new();
    let dates: Vec<NaiveDate> = by_snapshot(segments)?.into_iter().map(|(date, _)| date).collect();
    for (dimension, name, params) in others.chain(moneys) {
        let snapshots =
            rfm::snapshots(&params, book, None, dates.clone()).map_err(|error| match error {
                RfmError::Engine(error) => error,
                other => polars_err!(ComputeError: "{other}"),
            })?;
        let other = segment::segment(map, score::score(score, snapshots, None)?)?.frame;
        let keys = [col(SNAPSHOT), col(CUSTOMER_ID)];
        let other = other
            .lazy()
            .select([keys.as_slice(), &[col(dimension.score()), col(SEGMENT)]].concat());
        let joined =
            segments.clone().lazy().join(other, keys.clone(), keys, JoinArgs::new(JoinType::Inner));
        let moved = |column: &str| col(column).neq(col(format!("{column}_right")));
        let money = col(MONETARY);
        let spent = when(moved(SEGMENT)).then(money.clone()).otherwise(lit(0.0));
        // Sums of floats depend on their order.
        let sum = |of: Expr| of.sort(SortOptions::default()).sum();
        let total = sum(money.clone());
        let row = joined.group_by([col(SNAPSHOT)]).agg([
            lit(dimension.value()).alias(DIMENSION),
            lit(name).alias(ALTERNATIVE),
            len().cast(DataType::UInt32).alias(CUSTOMERS),
            moved(dimension.score()).cast(DataType::Float64).mean().alias(SCORE_MOVED),
            moved(SEGMENT).cast(DataType::Float64).mean().alias(SEGMENT_MOVED),
            when(total.clone().neq(lit(0.0)))
                .then(sum(spent) / total)
                .otherwise(lit(NULL))
                .alias(MONEY_MOVED),
        ]);
        parts.push(row);
    }
    // Alternatives stand in the order in which they are listed, snapshots ascending.
    let all = concat(parts, UnionArgs::default())?
        .sort_by_exprs([col(SNAPSHOT)], SortMultipleOptions::default().with_maintain_order(true));
    all.collect()
}
