//! `evaluate`: [`Assigned`] → [`Tables`]: everything that is published beside the segments.
//!
//! What is deliberately absent: files; `publish` writes them.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::model::Assigned;
use crate::orders::{OrderBook, ledger};
use crate::rfm::day;
use crate::score::{Scored, score_bins};
use crate::segment::SegmentMap;

pub mod cohesion;
pub mod confusion;
pub mod profile;
pub mod protocols;
pub mod sensitivity;

pub use sensitivity::Alternatives;

/// The tables of a run.
pub struct Tables {
    /// The segments: every customer at every snapshot, as [`Assigned`].
    pub segments: DataFrame,
    /// The other tables by name, each small.
    pub others: Vec<(&'static str, DataFrame)>,
}

/// What the tables are made of, besides the assigned customers.
pub struct Evidence<'a> {
    /// What happened.
    pub book: &'a OrderBook,
    /// Table of bins, made while the scores were at hand.
    pub bins: DataFrame,
    /// The map that named the segments.
    pub map: &'a SegmentMap,
    /// The categories that sold most, where shares in them are told.
    pub categories: Option<DataFrame>,
    /// What lies beyond the quantile, where that was asked.
    pub outliers: Option<DataFrame>,
    /// How many days back from a snapshot count; all where none is named.
    pub window: Option<u32>,
    /// What other definitions are tried with, where that is asked.
    pub alternatives: Option<Alternatives<'a>>,
}

impl<'a> Evidence<'a> {
    /// Takes down what the later stages no longer carry.
    ///
    /// # Errors
    /// What Polars says.
    pub fn of(book: &'a OrderBook, scored: &Scored, map: &'a SegmentMap) -> PolarsResult<Self> {
        Ok(Self {
            book,
            bins: score_bins(scored)?,
            map,
            categories: scored.categories.clone(),
            outliers: scored.outliers.clone(),
            window: None,
            alternatives: None,
        })
    }
}

/// Makes every table.
///
/// # Errors
/// What Polars says.
pub fn evaluate(evidence: Evidence<'_>, assigned: Assigned) -> PolarsResult<Tables> {
    let trials = &assigned.trials;
    let mut others = vec![
        ("ledger", ledger::ledger(evidence.book)?),
        ("segment_profile", profile::segment_profile(evidence.map, evidence.book, evidence.window, &assigned.frame)?),
        ("score_bins", evidence.bins),
        ("metrics", protocols::metrics(trials)?),
        ("confusion", confusion::confusion(trials)?),
        ("cohesion", cohesion::cohesion(&assigned.frame)?),
    ];
    if let Some(alternatives) = &evidence.alternatives {
        let table = sensitivity::sensitivity(alternatives, evidence.book, evidence.map, &assigned.frame)?;
        others.push(("sensitivity", table));
    }
    others.extend(evidence.categories.map(|categories| ("top_categories", categories)));
    others.extend(evidence.outliers.map(|outliers| ("outliers", outliers)));
    if let Some(pairs) = &evidence.book.pairs {
        others.push(("returns", pairs.table.drop(DAY)?));
    }
    Ok(Tables { segments: assigned.frame, others })
}

impl Tables {
    /// A table by its name.
    pub fn get(&self, name: &str) -> Option<&DataFrame> {
        match name {
            SEGMENTS => Some(&self.segments),
            _ => self.others.iter().find(|(other, _)| *other == name).map(|(_, table)| table),
        }
    }
}

/// Name of the table of customers.
pub const SEGMENTS: &str = "segments";

/// Splits a table by its snapshots, ascending; the snapshot's own column is left in.
///
/// # Errors
/// What Polars says.
pub fn by_snapshot(frame: &DataFrame) -> PolarsResult<Vec<(NaiveDate, DataFrame)>> {
    let days = frame.column(SNAPSHOT)?.unique()?.sort(SortOptions::default())?;
    let mut parts = Vec::with_capacity(days.len());
    for date in days.date()?.as_date_iter().flatten() {
        let part = frame.clone().lazy().filter(col(SNAPSHOT).eq(day(date))).collect()?;
        parts.push((date, part));
    }
    Ok(parts)
}
