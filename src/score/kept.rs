//! Cut points that are kept: those of an earlier snapshot, with what is known of its customers.

use chrono::NaiveDate;
use polars::prelude::*;

use super::{Cut, CutPoints, Dimension, Scored};
use crate::rfm::by_snapshot;

/// Which cut points score a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub enum Cutting {
    /// Those of its own customers.
    Refit,
    /// Those of the customers at this snapshot.
    AsOf(NaiveDate),
    /// These.
    Given(Yardstick),
}

/// Cut points to measure others by.
#[derive(Debug, Clone, PartialEq)]
pub struct Yardstick {
    /// The snapshot whose customers they are from.
    pub date: NaiveDate,
    /// Cut points of recency, frequency and monetary value.
    pub points: [CutPoints; 3],
    /// How many of those customers have which score, from 1 on.
    pub counts: [Vec<u32>; 3],
}

impl Yardstick {
    /// The yardstick of one of the snapshots of a scored table.
    ///
    /// # Errors
    /// A snapshot that is not there.
    pub fn of(scored: &Scored, date: NaiveDate) -> PolarsResult<Self> {
        let parts = by_snapshot(&scored.frame)?;
        let part = parts.iter().find(|(other, _)| *other == date);
        let (_, part) = part.ok_or_else(|| polars_err!(ComputeError: "no snapshot {date}"))?;
        Ok(Self {
            date,
            points: cuts_at(&scored.cuts, date).map(Clone::clone),
            counts: score_counts(part)?,
        })
    }

    /// As cut points of a snapshot.
    pub(super) fn at(&self, snapshot: NaiveDate) -> [Cut; 3] {
        Dimension::ALL.map(|dimension| Cut {
            snapshot,
            dimension,
            points: self.points[dimension as usize].clone(),
        })
    }
}

/// The cut points of one snapshot, which has those of all three dimensions.
pub fn cuts_at(cuts: &[Cut], date: NaiveDate) -> [&CutPoints; 3] {
    const NONE: &CutPoints = &CutPoints::NONE;
    Dimension::ALL.map(|dimension| {
        let cut = cuts.iter().find(|cut| cut.snapshot == date && cut.dimension == dimension);
        cut.map_or(NONE, |cut| &cut.points)
    })
}

/// How many customers of a table have which score of each dimension, from 1 to the highest.
///
/// # Errors
/// A column that is missing.
pub fn score_counts(frame: &DataFrame) -> PolarsResult<[Vec<u32>; 3]> {
    let mut counts: [Vec<u32>; 3] = Default::default();
    for (counts, dimension) in counts.iter_mut().zip(Dimension::ALL) {
        for score in frame.column(dimension.score())?.u8()?.iter().flatten() {
            let place = usize::from(score.max(1)) - 1;
            if counts.len() <= place {
                counts.resize(place + 1, 0);
            }
            counts[place] += 1;
        }
    }
    Ok(counts)
}
