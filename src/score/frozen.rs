//! Frozen cut points: cut points of an earlier snapshot, with the score counts of its customers.

use chrono::NaiveDate;
use polars::prelude::*;

use super::{Cut, CutPoints, Dimension};
use crate::rfm::by_snapshot;

/// Which cut points score a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub enum CutPointSource {
    /// Those of its own customers.
    Refit,
    /// Those of the customers at this date.
    AsOf(NaiveDate),
    Given(FrozenCutPoints),
}

/// Cut points of an earlier snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenCutPoints {
    /// The snapshot that the cut points were computed at.
    pub date: NaiveDate,
    /// Cut points of recency, frequency and monetary value.
    pub points: [CutPoints; 3],
    /// Number of customers at that snapshot by score, starting at score 1.
    pub counts: [Vec<u32>; 3],
}

impl FrozenCutPoints {
    /// The cut points of one snapshot of a scored table. Fails if the table has no such snapshot.
    pub fn new(frame: &DataFrame, cuts: &[Cut], date: NaiveDate) -> PolarsResult<Self> {
        let parts = by_snapshot(frame)?;
        let part = parts.iter().find(|(snapshot, _)| *snapshot == date);
        let (_, part) = part.ok_or_else(|| polars_err!(ComputeError: "no snapshot {date}"))?;
        let counts = score_counts(part)?;
        Ok(Self { date, points: cuts_at(cuts, date).map(Clone::clone), counts })
    }
}

/// The cut points of one snapshot. A dimension without an entry has none, so that all customers
/// have the same score.
pub fn cuts_at(cuts: &[Cut], date: NaiveDate) -> [&CutPoints; 3] {
    const NONE: &CutPoints = &CutPoints { points: Vec::new(), upper: false };
    Dimension::ALL.map(|dimension| {
        let cut = cuts.iter().find(|cut| cut.snapshot == date && cut.dimension == dimension);
        cut.map_or(NONE, |cut| &cut.points)
    })
}

/// Number of customers by score for each dimension, from score 1 to the highest in use.
pub fn score_counts(frame: &DataFrame) -> PolarsResult<[Vec<u32>; 3]> {
    let mut all: [Vec<u32>; 3] = Default::default();
    for (counts, dimension) in all.iter_mut().zip(Dimension::ALL) {
        for score in frame.column(dimension.score())?.u8()?.iter().flatten() {
            let idx = usize::from(score.max(1)) - 1;
            counts.resize(counts.len().max(idx + 1), 0);
            counts[idx] += 1;
        }
    }
    Ok(all)
}
