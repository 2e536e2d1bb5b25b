//! Sensitivity of scores and segments to the definitions of frequency and monetary value.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::orders::OrderFacts;
use crate::rfm::{self, Frequency, Monetary, RfmError, RfmParams, by_snapshot};
use crate::score::{self, Dimension, ScoreParams};
use crate::segment::{self, SegmentMap};

const FREQUENCIES: [(Frequency, &str); 4] = [
    (Frequency::Orders, "orders"),
    (Frequency::Days, "days"),
    (Frequency::Lines, "lines"),
    (Frequency::Units, "units"),
];
const MONETARIES: [(Monetary, &str); 4] = [
    (Monetary::Net, "net"),
    (Monetary::Gross, "gross"),
    (Monetary::MeanPerOrder, "mean_per_order"),
    (Monetary::MeanPerDay, "mean_per_day"),
];

/// An alternative definition of one dimension.
struct Alternative {
    dimension: Dimension,
    name: &'static str,
    params: RfmParams,
}

/// The table `sensitivity`: one row per (snapshot, dimension, alternative definition). The same
/// customers are scored and segmented again from the same order facts.
///
/// Columns: `snapshot` date, `dimension` text, `alternative` text, `customers` u32, `score_moved`
/// and `segment_moved` f64 (shares of customers with another score and segment), `money_moved` f64
/// (share of the snapshot's money of customers with another segment, null without money).
pub(super) fn sensitivity(
    params: &RfmParams,
    score: &ScoreParams,
    facts: &OrderFacts,
    map: &SegmentMap,
    segments: &DataFrame,
) -> PolarsResult<DataFrame> {
    let dates: Vec<NaiveDate> = by_snapshot(segments)?.into_iter().map(|(date, _)| date).collect();
    let mut parts = Vec::new();
    for alternative in alternatives(params) {
        let snapshots =
            rfm::snapshots(&alternative.params, facts, None, dates.clone()).map_err(|error| {
                match error {
                    RfmError::Engine(error) => error,
                    other => polars_err!(ComputeError: "{other}"),
                }
            })?;
        let other = segment::segment(map, score::score(score, snapshots, None)?)?.frame;
        parts.push(moved(&alternative, segments, other));
    }
    // Sorted by snapshot, then in the order of the alternatives.
    let order = SortMultipleOptions::default().with_maintain_order(true);
    concat(parts, UnionArgs::default())?.sort_by_exprs([col(SNAPSHOT)], order).collect()
}

fn alternatives(params: &RfmParams) -> Vec<Alternative> {
    let frequencies = FREQUENCIES
        .into_iter()
        .filter(|(frequency, _)| *frequency != params.frequency)
        .map(|(frequency, name)| Alternative {
            dimension: Dimension::Frequency,
            name,
            params: RfmParams { frequency, ..params.clone() },
        });
    let monetaries = MONETARIES
        .into_iter()
        .filter(|(monetary, _)| *monetary != params.monetary)
        .map(|(monetary, name)| Alternative {
            dimension: Dimension::Monetary,
            name,
            params: RfmParams { monetary, ..params.clone() },
        });
    frequencies.chain(monetaries).collect()
}

/// The rows of one alternative, whose segments are `other`.
fn moved(alternative: &Alternative, segments: &DataFrame, other: DataFrame) -> LazyFrame {
    let Alternative { dimension, name, .. } = alternative;
    let key = [col(SNAPSHOT), col(CUSTOMER_ID)];
    let columns = [col(SNAPSHOT), col(CUSTOMER_ID), col(dimension.score()), col(SEGMENT)];
    let joined = segments.clone().lazy().join(
        other.lazy().select(columns),
        key.clone(),
        key,
        JoinArgs::new(JoinType::Inner),
    );
    let moved = |column: &str| col(column).neq(col(format!("{column}_right")));
    let share = |column: &str| moved(column).cast(DataType::Float64).mean();
    // Sums of floats depend on their order.
    let sum = |values: Expr| values.sort(SortOptions::default()).sum();
    let total = sum(col(MONETARY));
    let moved_money = sum(when(moved(SEGMENT)).then(col(MONETARY)).otherwise(lit(0.0)));
    let money_share =
        when(total.clone().neq(lit(0.0))).then(moved_money / total).otherwise(lit(NULL));
    joined.group_by([col(SNAPSHOT)]).agg([
        lit(dimension.value()).alias(DIMENSION),
        lit(*name).alias(ALTERNATIVE),
        len().cast(DataType::UInt32).alias(CUSTOMERS),
        share(dimension.score()).alias(SCORE_MOVED),
        share(SEGMENT).alias(SEGMENT_MOVED),
        money_share.alias(MONEY_MOVED),
    ])
}
