//! Sensitivity of scores and segments to the definitions of frequency and monetary value.

use chrono::NaiveDate;
use polars::prelude::*;

use super::{EvaluationInputs, SnapshotPart};
use crate::columns::*;
use crate::rfm::{self, Frequency, Monetary, RfmError, RfmParams};
use crate::score::{self, Dimension, ScoreParams};
use crate::segment;

struct Alternative {
    dimension: Dimension,
    name: &'static str,
    params: RfmParams,
}

/// The table `sensitivity`: one row per (snapshot, dimension, alternative definition). The same
/// customers are scored and segmented again from the same order facts.
///
/// `score_moved` and `segment_moved` are the shares of customers with another score and segment,
/// `money_moved` is the share of the snapshot's money of customers with another segment, null
/// without money.
pub(super) fn sensitivity(
    inputs: &EvaluationInputs<'_>,
    score: &ScoreParams,
    segments: &DataFrame,
    published: &[SnapshotPart],
) -> PolarsResult<DataFrame> {
    let dates: Vec<NaiveDate> = published.iter().map(|(date, _)| *date).collect();
    let mut parts = Vec::new();
    for alternative in alternatives(inputs.rfm) {
        let snapshots = rfm::snapshots(&alternative.params, inputs.facts, None, dates.clone());
        let snapshots = snapshots.map_err(|error| match error {
            RfmError::Engine(error) => error,
            other => polars_err!(ComputeError: "{other}"),
        })?;
        let other = segment::segment(inputs.map, score::score(score, snapshots, None)?)?.frame;
        parts.push(moved(&alternative, segments, other));
    }
    // Sorted by snapshot, then in the order of the alternatives.
    let order = SortMultipleOptions::default().with_maintain_order(true);
    concat(parts, UnionArgs::default())?.sort_by_exprs([col(SNAPSHOT)], order).collect()
}

/// All definitions besides that of the pipeline.
fn alternatives(params: &RfmParams) -> impl Iterator<Item = Alternative> {
    let frequency = |name, frequency| Alternative {
        dimension: Dimension::Frequency,
        name,
        params: RfmParams { frequency, ..params.clone() },
    };
    let monetary = |name, monetary| Alternative {
        dimension: Dimension::Monetary,
        name,
        params: RfmParams { monetary, ..params.clone() },
    };
    let all = [
        frequency("orders", Frequency::Orders),
        frequency("days", Frequency::Days),
        frequency("lines", Frequency::Lines),
        frequency("units", Frequency::Units),
        monetary("net", Monetary::Net),
        monetary("gross", Monetary::Gross),
        monetary("mean_per_order", Monetary::MeanPerOrder),
        monetary("mean_per_day", Monetary::MeanPerDay),
    ];
    all.into_iter().filter(|alternative| alternative.params != *params)
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
