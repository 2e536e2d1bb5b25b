//! `score`: [`Snapshots`] → [`Scored`]: each dimension in bins from 1 to n, n best, cut anew at every snapshot.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::rfm::{Snapshots, day};

pub mod cut;

pub use cut::{CutPoints, Method};

/// Checked options of `score`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreParams {
    /// Bins a dimension, 2 to 10.
    pub bins: u8,
    /// How cut points are found and what a value equal to one gets.
    pub method: Method,
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
    /// Bins asked for.
    pub bins: u8,
    /// As in [`Snapshots`].
    pub outliers: Option<DataFrame>,
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

/// Scores every customer of every snapshot.
///
/// # Errors
/// What Polars says.
pub fn score(params: &ScoreParams, snapshots: Snapshots) -> PolarsResult<Scored> {
    let mut cuts = Vec::new();
    let mut plans = Vec::with_capacity(snapshots.dates.len());
    for &snapshot in &snapshots.dates {
        let frame = snapshots.frame.clone().lazy().filter(col(SNAPSHOT).eq(day(snapshot))).collect()?;
        let mut scores = Vec::with_capacity(Dimension::ALL.len());
        for dimension in Dimension::ALL {
            let values = frame.column(dimension.value())?.cast(&DataType::Float64)?;
            let points = CutPoints::of(params, values.f64()?.iter().flatten().collect());
            scores.push(points.score(col(dimension.value()), dimension).alias(dimension.score()));
            cuts.push(Cut { snapshot, dimension, points });
        }
        plans.push(frame.lazy().with_columns(scores));
    }
    let frame = concat(plans, UnionArgs::default())?.with_column(code(params.bins)).collect()?;
    let Snapshots { dates, outliers, .. } = snapshots;
    Ok(Scored { frame, dates, cuts, bins: params.bins, outliers })
}

/// The three scores as text; parted by a hyphen where a score may have two digits.
fn code(bins: u8) -> Expr {
    let separator = if bins > 9 { "-" } else { "" };
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
    let n = scored.bins;
    let (mut snapshots, mut dimensions, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lowers, mut uppers, mut customers, mut achieved) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for cut in &scored.cuts {
        let of_date = scored.frame.clone().lazy().filter(col(SNAPSHOT).eq(day(cut.snapshot)));
        let frame = of_date.select([col(cut.dimension.score())]).collect()?;
        let mut counts = vec![0u32; usize::from(n)];
        for score in frame.column(cut.dimension.score())?.u8()?.iter().flatten() {
            counts[usize::from(score) - 1] += 1;
        }
        let used = counts.iter().filter(|count| **count > 0).count() as u8;
        for score in 1..=n {
            let bin = usize::from(if cut.dimension.reversed() { n - score } else { score - 1 });
            snapshots.push(cut.snapshot);
            dimensions.push(cut.dimension.value());
            scores.push(score);
            lowers.push(bin.checked_sub(1).map(|i| cut.points.points()[i]));
            uppers.push(cut.points.points().get(bin).copied());
            customers.push(counts[usize::from(score) - 1]);
            achieved.push(used);
        }
    }
    let height = scores.len();
    df![
        SNAPSHOT => snapshots,
        DIMENSION => dimensions,
        SCORE => scores,
        LOWER => lowers,
        UPPER => uppers,
        CUSTOMERS => customers,
        ASKED_BINS => vec![n; height],
        ACHIEVED_BINS => achieved,
    ]
}
