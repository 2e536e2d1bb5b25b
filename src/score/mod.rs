//! `score`: [`Snapshots`] → [`Scored`]. Bins each dimension into scores from 1 (worst) to n (best),
//! with new cut points at every snapshot unless they are frozen.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::rfm::{Snapshots, by_snapshot};
use crate::tables::{TableId, table_rows};

pub mod cut;
pub mod frozen;
mod rank;

pub use cut::CutPoints;
pub use frozen::{CutPointSource, FrozenCutPoints, cuts_at, score_counts};

/// Checked options of `score`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreParams {
    /// Options of recency, frequency and monetary value.
    pub dimensions: [DimensionParams; 3],
    /// Weights of the three scores in `rfm_score`, with a sum of 1.
    pub weights: Option<[f64; 3]>,
    pub cut_points: CutPointSource,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DimensionParams {
    pub method: Method,
    /// Number of bins, 2 to 10.
    pub bins: u8,
    /// Values of zero or less have the lowest score; the others share the remaining scores.
    pub separate_zeros: bool,
}

/// Binning method. N is the number of customers at the snapshot.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// Type-7 quantiles at i/n. A value equal to a cut point is in the lower bin.
    Quantile,
    /// n-tiles by (value, customer_id), from the worst customer to the best, as SQL's NTILE: the
    /// first N mod n bins have one more customer. Equal values may have different scores.
    Rank,
    /// (min rank − 1)/(N − 1) from the worst customer, at least i/n for i bins up, as SQL's
    /// PERCENT_RANK with `>=`.
    PercentRank,
    /// Given cut points, ascending. A value equal to a cut point is in the lower bin.
    Fixed(Vec<f64>),
    /// The R package rfm: type-7 quantiles plus one, in the unit of the value. A value equal to a
    /// cut point is in the upper bin. Scores therefore depend on the unit of money.
    RRfm,
    /// `pandas.qcut(x.rank(method="first"))`, with customers sorted by customer_id. Equal values
    /// may have different scores.
    RankQcut,
    /// `pandas.qcut(x, duplicates="drop")`: bins with equal cut points are merged, so the best
    /// score is the number of remaining bins.
    QcutDrop,
    /// `x.rank(pct=True) > i/n`: average ranks over N.
    AverageRank,
}

/// One of the three RFM dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Days since the last purchase. Fewer are better.
    Recency,
    Frequency,
    Monetary,
}

impl ScoreParams {
    /// Which dimensions are scored by rank. They have no cut points that could be applied to
    /// another snapshot.
    pub fn by_rank(&self) -> [bool; 3] {
        self.dimensions
            .each_ref()
            .map(|dimension| matches!(dimension.method, Method::Rank | Method::RankQcut))
    }
}

impl Dimension {
    /// All dimensions, in the order of a code's digits.
    pub const ALL: [Self; 3] = [Self::Recency, Self::Frequency, Self::Monetary];

    pub fn value(self) -> &'static str {
        [RECENCY_DAYS, FREQUENCY, MONETARY][self as usize]
    }

    pub fn score(self) -> &'static str {
        [R_SCORE, F_SCORE, M_SCORE][self as usize]
    }

    /// Whether low values are better.
    pub fn reversed(self) -> bool {
        self == Self::Recency
    }
}

/// Every customer with their scores.
#[derive(Debug, Clone)]
pub struct Scored {
    /// The columns of [`Snapshots`], then `r_score`, `f_score`, `m_score` u8, `rfm_code` text, and
    /// `rfm_score` f64 if there are weights.
    pub frame: DataFrame,
    /// Snapshot dates, ascending; never empty.
    pub dates: Vec<NaiveDate>,
    /// The applied cut points: one entry per (snapshot, dimension), in that order.
    pub cuts: Vec<Cut>,
    /// The cut points of each snapshot's own customers. Equal to `cuts` unless those are frozen.
    pub refit: Vec<Cut>,
    /// Requested bins of each dimension.
    pub bins: [u8; 3],
    /// As in [`Snapshots`].
    pub tables: Vec<(TableId, DataFrame)>,
}

/// The cut points of one dimension at one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    pub snapshot: NaiveDate,
    pub dimension: Dimension,
    pub points: CutPoints,
}

/// Scores every customer of every snapshot, by the frozen cut points if given.
pub fn score(
    params: &ScoreParams,
    snapshots: Snapshots,
    frozen: Option<&FrozenCutPoints>,
) -> PolarsResult<Scored> {
    let mut cuts = Vec::new();
    let mut refit = Vec::new();
    let mut plans = Vec::with_capacity(snapshots.dates.len());
    for (snapshot, frame) in by_snapshot(&snapshots.frame)? {
        let mut scores = Vec::with_capacity(Dimension::ALL.len());
        for (dimension, options) in Dimension::ALL.into_iter().zip(&params.dimensions) {
            let values = frame.column(dimension.value())?.cast(&DataType::Float64)?;
            let values: Vec<f64> = values.f64()?.iter().flatten().collect();
            let rank_score = rank::score(options, dimension, values.len());
            let points = match &rank_score {
                Some(score) => observed(&frame, options, dimension, score.clone())?,
                None => CutPoints::fit(options, dimension, values),
            };
            let applied = frozen.map_or(&points, |frozen| &frozen.points[dimension as usize]);
            let score = match rank_score {
                Some(score) if frozen.is_none() => score,
                _ => applied.score_expr(dimension),
            };
            scores.push(score.cast(DataType::UInt8).alias(dimension.score()));
            cuts.push(Cut { snapshot, dimension, points: applied.clone() });
            refit.push(Cut { snapshot, dimension, points });
        }
        plans.push(frame.lazy().with_columns(scores));
    }
    let bins = params.dimensions.each_ref().map(|dimension| dimension.bins);
    let mut frame = concat(plans, UnionArgs::default())?.with_column(code(bins));
    if let Some(weights) = params.weights {
        let [r, f, m] = Dimension::ALL.map(|dimension| {
            col(dimension.score()).cast(DataType::Float64) * lit(weights[dimension as usize])
        });
        frame = frame.with_column((r + f + m).alias(RFM_SCORE));
    }
    let Snapshots { dates, tables, .. } = snapshots;
    Ok(Scored { frame: frame.collect()?, dates, cuts, refit, bins, tables })
}

/// Cut points of a score by rank, for the table of bins: the highest value of each bin but the
/// last. Both sides may contain that value.
fn observed(
    frame: &DataFrame,
    params: &DimensionParams,
    dimension: Dimension,
    score: Expr,
) -> PolarsResult<CutPoints> {
    let value = col(dimension.value()).cast(DataType::Float64);
    let scored = frame.clone().lazy().select([score.alias(dimension.score()), value]).collect()?;
    let mut points = vec![f64::NEG_INFINITY; usize::from(params.bins) - 1];
    let scores = scored.column(dimension.score())?.u8()?;
    for (score, value) in scores.iter().zip(scored.column(dimension.value())?.f64()?.iter()) {
        let (Some(score), Some(value)) = (score, value) else { continue };
        let passed = if dimension.reversed() { params.bins - score } else { score - 1 };
        points[usize::from(passed)..].iter_mut().for_each(|point| *point = point.max(value));
    }
    Ok(CutPoints { points, upper: false })
}

/// The three scores as text, separated by hyphens if a score may have two digits.
fn code(bins: [u8; 3]) -> Expr {
    let separator = if bins.iter().any(|bins| *bins > 9) { "-" } else { "" };
    let digits = Dimension::ALL.map(|dimension| col(dimension.score()).cast(DataType::String));
    concat_str(digits, separator, false).alias(RFM_CODE)
}

table_rows! {
    /// A row of the table `score_bins`. The method sets which end is inclusive: `quantile` is
    /// lower < value ≤ upper, `r_rfm` is lower ≤ value < upper.
    struct Bin {
        SNAPSHOT => snapshot: NaiveDate,
        DIMENSION => dimension: &'static str,
        SCORE => score: u8,
        LOWER => lower: Option<f64>,
        UPPER => upper: Option<f64>,
        CUSTOMERS => customers: u32,
        REQUESTED_BINS => requested: u8,
        EFFECTIVE_BINS => effective: u8,
    }
}

/// The table `score_bins`: one row per (snapshot, dimension, score), including empty bins.
pub fn score_bins(scored: &Scored) -> PolarsResult<DataFrame> {
    let counts: Vec<(NaiveDate, [Vec<u32>; 3])> = by_snapshot(&scored.frame)?
        .iter()
        .map(|(date, part)| Ok((*date, score_counts(part)?)))
        .collect::<PolarsResult<_>>()?;
    bins_from_counts(&scored.cuts, scored.bins, &counts)
}

/// [`score_bins`] from the [`score_counts`] of each snapshot. A snapshot without an entry has no
/// customers.
pub fn bins_from_counts(
    cuts: &[Cut],
    bins: [u8; 3],
    counts: &[(NaiveDate, [Vec<u32>; 3])],
) -> PolarsResult<DataFrame> {
    let mut rows = Vec::new();
    for &Cut { snapshot, dimension, ref points } in cuts {
        let requested = bins[dimension as usize];
        let mut customers = counts
            .iter()
            .find(|(date, _)| *date == snapshot)
            .map_or_else(Vec::new, |(_, counts)| counts[dimension as usize].clone());
        customers.resize(usize::from(requested), 0);
        let effective = customers.iter().filter(|count| **count > 0).count() as u8;
        let point = |idx: usize| points.points.get(idx).copied().filter(|x| x.is_finite());
        // If bins were merged, the best score is the number of remaining bins.
        let best = points.points.len() as u8 + 1;
        for (score, customers) in (1..=requested).zip(customers) {
            let from_lowest =
                if dimension.reversed() { best.wrapping_sub(score) } else { score - 1 };
            let idx = usize::from(from_lowest);
            rows.push(Bin {
                snapshot,
                dimension: dimension.value(),
                score,
                lower: idx.checked_sub(1).and_then(point),
                upper: point(idx),
                customers,
                requested,
                effective,
            });
        }
    }
    Bin::frame(rows)
}
