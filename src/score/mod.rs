//! `score`: [`Snapshots`] → [`Scored`]: each dimension in bins from 1 to n, n best, cut anew at every snapshot.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::rfm::{Snapshots, by_snapshot};

pub mod cut;
pub mod kept;
mod rank;

pub use cut::CutPoints;
pub use kept::{Cutting, Yardstick, cuts_at, score_counts};

/// Checked options of `score`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreParams {
    /// How recency, frequency and monetary value are scored.
    pub dimensions: [DimensionParams; 3],
    /// Weights of the three scores in one number, where that is asked for; they add up to 1.
    pub weights: Option<[f64; 3]>,
    /// Whose cut points hold.
    pub cutting: Cutting,
}

/// How one dimension is scored.
#[derive(Debug, Clone, PartialEq)]
pub struct DimensionParams {
    /// How values become bins.
    pub method: Method,
    /// Number of bins, 2 to 10.
    pub bins: u8,
    /// Whether values of zero and less take the lowest score to themselves, and the others share the rest.
    pub zero_apart: bool,
}

/// How values become bins. N is the number of customers at the snapshot.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// Type-7 quantiles at i/n; a value equal to a cut point takes the lower bin.
    Quantile,
    /// n-tiles by (value, customer_id), from the worst customer to the best, as SQL's NTILE: of N mod n bins each holds one
    /// more. Equal values may get different scores.
    Rank,
    /// (min rank − 1)/(N − 1) from the worst customer on, at least i/n for i bins up: as SQL's PERCENT_RANK and `>=`.
    PercentRank,
    /// Given cut points, ascending; a value equal to one takes the lower bin.
    Fixed(Vec<f64>),
    /// As the R package rfm: type-7 quantiles plus one, in the raw unit; a value equal to a cut point takes the upper
    /// bin. Scores therefore depend on the unit of money.
    RRfm,
    /// `pandas.qcut(x.rank(method="first"))`, first by customer_id. Equal values may get different scores.
    RankQcut,
    /// `pandas.qcut(x, duplicates="drop")`: bins whose cut points collide, with each other or with an end, become one, and the best
    /// score is the number of bins that are left.
    QcutDrop,
    /// `x.rank(pct=True) > i/n`: average ranks over N.
    AverageRank,
}

/// One of the three measured sides of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Days since the last purchase; fewer are better.
    Recency,
    /// How often.
    Frequency,
    /// How much.
    Monetary,
}

impl ScoreParams {
    /// Which dimensions are scored by rank, so that no cut points say what another snapshot's would make of a customer.
    pub fn by_rank(&self) -> [bool; 3] {
        self.dimensions
            .each_ref()
            .map(|dimension| matches!(dimension.method, Method::Rank | Method::RankQcut))
    }
}

impl Dimension {
    /// All three, in the order of a code's digits.
    pub const ALL: [Self; 3] = [Self::Recency, Self::Frequency, Self::Monetary];

    /// Column of the value.
    pub fn value(self) -> &'static str {
        match self {
            Self::Recency => RECENCY_DAYS,
            Self::Frequency => FREQUENCY,
            Self::Monetary => MONETARY,
        }
    }

    /// Column of the score.
    pub fn score(self) -> &'static str {
        match self {
            Self::Recency => R_SCORE,
            Self::Frequency => F_SCORE,
            Self::Monetary => M_SCORE,
        }
    }

    /// Whether a low value is the better one.
    pub fn reversed(self) -> bool {
        self == Self::Recency
    }
}

/// Every customer with its scores.
///
/// As [`Snapshots`], with `r_score`, `f_score`, `m_score` u8 and `rfm_code` text after it.
#[derive(Debug, Clone)]
pub struct Scored {
    /// The table.
    pub frame: DataFrame,
    /// The dates, ascending; never empty.
    pub dates: Vec<NaiveDate>,
    /// What was cut where: one entry a (snapshot, dimension), in that order.
    pub cuts: Vec<Cut>,
    /// What each snapshot's own customers would have cut; the same where no cut points are kept.
    pub refit: Vec<Cut>,
    /// The cut points that are kept.
    pub kept: Option<Yardstick>,
    /// Bins asked for, a dimension.
    pub bins: [u8; 3],
    /// As in [`Snapshots`].
    pub tables: Vec<(&'static str, DataFrame)>,
}

/// The cut points of one dimension at one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// The snapshot.
    pub snapshot: NaiveDate,
    /// The dimension.
    pub dimension: Dimension,
    /// The cut points.
    pub points: CutPoints,
}

/// Scores every customer of every snapshot, by the cut points that are kept, where there are such, or by the snapshot's own.
///
/// # Errors
/// What Polars says.
pub fn score(
    params: &ScoreParams,
    snapshots: Snapshots,
    kept: Option<Yardstick>,
) -> PolarsResult<Scored> {
    let (mut cuts, mut refit) = (Vec::new(), Vec::new());
    let mut plans = Vec::with_capacity(snapshots.dates.len());
    for (snapshot, frame) in by_snapshot(&snapshots.frame)? {
        let mut scores = Vec::with_capacity(Dimension::ALL.len());
        for (dimension, params) in Dimension::ALL.into_iter().zip(&params.dimensions) {
            let values = frame.column(dimension.value())?.cast(&DataType::Float64)?;
            let values: Vec<f64> = values.f64()?.iter().flatten().collect();
            let by_rank = rank::score(params, dimension, values.len());
            let points = match CutPoints::of(params, dimension, values) {
                Some(points) => points,
                None => observed(&frame, params, dimension, by_rank.clone())?,
            };
            refit.push(Cut { snapshot, dimension, points });
            let held = kept.as_ref().map_or_else(
                || refit.last().cloned(),
                |kept| Some(kept.at(snapshot)[dimension as usize].clone()),
            );
            let by_points =
                held.as_ref().map(|cut| cut.points.score(col(dimension.value()), dimension));
            let score = if kept.is_none() { by_rank.or(by_points) } else { by_points };
            scores.push(score.unwrap_or(lit(1u8)).cast(DataType::UInt8).alias(dimension.score()));
            cuts.extend(held);
        }
        plans.push(frame.lazy().with_columns(scores));
    }
    let bins = params.dimensions.each_ref().map(|dimension| dimension.bins);
    let mut frame = concat(plans, UnionArgs::default())?.with_column(code(bins));
    if let Some(weights) = params.weights {
        let weighed = Dimension::ALL.into_iter().zip(weights);
        let weighed = weighed.map(|(dimension, weight)| {
            col(dimension.score()).cast(DataType::Float64) * lit(weight)
        });
        frame = frame
            .with_column(weighed.reduce(|sum, one| sum + one).unwrap_or(lit(0.0)).alias(RFM_SCORE));
    }
    let Snapshots { dates, tables, .. } = snapshots;
    Ok(Scored { frame: frame.collect()?, dates, cuts, refit, kept, bins, tables })
}

/// Where the bins of a score by rank change: at the highest value of each bin but the last.
fn observed(
    frame: &DataFrame,
    params: &DimensionParams,
    dimension: Dimension,
    score: Option<Expr>,
) -> PolarsResult<CutPoints> {
    let score = score.unwrap_or(lit(1u8)).alias(dimension.score());
    let value = col(dimension.value()).cast(DataType::Float64);
    let scored = frame.clone().lazy().select([score, value]).collect()?;
    let mut points = vec![f64::NEG_INFINITY; usize::from(params.bins) - 1];
    let scores = scored.column(dimension.score())?.u8()?.clone();
    for (score, value) in scores.iter().zip(scored.column(dimension.value())?.f64()?.iter()) {
        let (Some(score), Some(value)) = (score, value) else { continue };
        let passed = if dimension.reversed() { params.bins - score } else { score - 1 };
        points[usize::from(passed)..].iter_mut().for_each(|point| *point = point.max(value));
    }
    Ok(CutPoints::observed(points))
}

/// The three scores as text; parted by a hyphen where a score may have two digits.
fn code(bins: [u8; 3]) -> Expr {
    let separator = if bins.iter().any(|bins| *bins > 9) { "-" } else { "" };
    let digits = Dimension::ALL.map(|dimension| col(dimension.score()).cast(DataType::String));
    concat_str(digits, separator, false).alias(RFM_CODE)
}

/// The table of bins: one row a (snapshot, dimension, score), empty bins included.
///
/// Columns: `snapshot` date, `dimension` text, `score` u8, `lower` and `upper` f64 (null for an open end), `customers`
/// u32, `asked_bins` u8, `achieved_bins` u8. Which end of a bin belongs to it is the method's: `quantile` holds
/// lower < value ≤ upper, `r_rfm` holds lower ≤ value < upper.
///
/// # Errors
/// What Polars says.
pub fn score_bins(scored: &Scored) -> PolarsResult<DataFrame> {
    let parts = by_snapshot(&scored.frame)?;
    let counted = parts.iter().map(|(date, part)| Ok((*date, score_counts(part)?)));
    bins_of(&scored.cuts, scored.bins, &counted.collect::<PolarsResult<Vec<_>>>()?)
}

/// As [`score_bins`], of how many customers of each snapshot have which score.
///
/// # Errors
/// What Polars says.
pub fn bins_of(
    cuts: &[Cut],
    bins: [u8; 3],
    counted: &[(NaiveDate, [Vec<u32>; 3])],
) -> PolarsResult<DataFrame> {
    let (mut snapshots, mut dimensions, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lowers, mut uppers, mut customers, mut achieved) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut asked = Vec::new();
    for cut in cuts {
        let n = bins[cut.dimension as usize];
        let of_date = counted.iter().find(|(date, _)| *date == cut.snapshot);
        let mut counts =
            of_date.map(|(_, counts)| counts[cut.dimension as usize].clone()).unwrap_or_default();
        counts.resize(usize::from(n), 0);
        let used = counts.iter().filter(|count| **count > 0).count() as u8;
        for score in 1..=n {
            // Where bins were merged, the best of those that are left is the highest score.
            let last = cut.points.points().len() as u8 + 1;
            let bin = match cut.dimension.reversed() {
                true => usize::from(last.wrapping_sub(score)),
                false => usize::from(score - 1),
            };
            let point =
                |idx: Option<usize>| idx.and_then(|idx| cut.points.points().get(idx).copied());
            snapshots.push(cut.snapshot);
            dimensions.push(cut.dimension.value());
            scores.push(score);
            lowers.push(point(bin.checked_sub(1)).filter(|lower| lower.is_finite()));
            uppers.push(point(Some(bin)).filter(|upper| upper.is_finite()));
            asked.push(n);
            customers.push(counts[usize::from(score) - 1]);
            achieved.push(used);
        }
    }
    df![
        SNAPSHOT => snapshots,
        DIMENSION => dimensions,
        SCORE => scores,
        LOWER => lowers,
        UPPER => uppers,
        CUSTOMERS => customers,
        ASKED_BINS => asked,
        ACHIEVED_BINS => achieved,
    ]
}
