//! `evaluate`: [`Assigned`] → [`Tables`]: everything that is published beside the segments.
//!
//! What is deliberately absent: files; `publish` writes them.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::model::Assigned;
use crate::orders::{OrderBook, ledger};
use crate::rfm::{RfmParams, by_snapshot};
use crate::score::{Cut, ScoreParams, Yardstick};
use crate::segment::SegmentMap;

pub use validity::ValidityParams;

pub mod bootstrap;
pub mod cloud;
pub mod clusters;
pub mod cohesion;
pub mod comparison;
pub mod confusion;
pub mod drift;
pub mod gates;
pub mod migration;
pub mod profile;
pub mod protocols;
pub mod sensitivity;
pub mod validity;

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
    /// The map that named the segments.
    pub map: &'a SegmentMap,
    /// The pipeline's own definitions.
    pub rfm: &'a RfmParams,
    /// How other definitions are scored, where they are tried.
    pub alternatives: Option<&'a ScoreParams>,
    /// Which dimensions are scored by rank.
    pub by_rank: [bool; 3],
    /// The cut points behind the scores, and those that each snapshot's own customers would have.
    pub cuts: (Vec<Cut>, Vec<Cut>),
    /// The cut points that are kept.
    pub kept: Option<Yardstick>,
    /// How validity is measured, and at which further snapshots besides the published ones, where it is.
    pub validity: Option<(ValidityParams, Vec<(NaiveDate, DataFrame)>)>,
    /// Tables that were made while what they tell of was at hand.
    pub made: Vec<(&'static str, DataFrame)>,
}

/// Makes every table.
///
/// # Errors
/// What Polars says.
pub fn evaluate(evidence: Evidence<'_>, assigned: Assigned) -> PolarsResult<Tables> {
    let Evidence {
        book,
        map,
        rfm,
        alternatives,
        by_rank,
        cuts: (cuts, refit),
        kept,
        validity,
        made,
    } = evidence;
    let (trials, clustered) = (&assigned.trials, &assigned.clustered);
    let parts = by_snapshot(&assigned.frame)?;
    let newest = parts.last().map(|(_, part)| part.clone()).unwrap_or_default();
    // The order book may be as large as what is compared here, so one of them is looked at after the other.
    let ledger = ledger::ledger(book)?;
    let (cohesion, silhouettes) = cohesion::cohesion(&assigned.frame, clustered)?;
    let mut others = vec![
        ("ledger", ledger),
        ("segment_profile", profile::segment_profile(map, book, rfm.window, &assigned.frame)?),
        ("metrics", protocols::metrics(trials)?),
        ("confusion", confusion::confusion(trials)?),
        ("cohesion", cohesion),
        ("silhouettes", silhouettes),
    ];
    others.extend(made);
    if !trials.is_empty() {
        others.push(("reliability", protocols::reliability(trials)?));
    }
    if !clustered.is_empty() {
        others.push(("clusters", clusters::clusters(clustered, &newest)?));
    }
    if !clustered.is_empty() || !assigned.tuned.is_empty() {
        others.push(("k_sweep", clusters::k_sweep(&assigned.tuned, clustered)?));
    }
    if parts.len() > 1 {
        others.push((
            "migration",
            migration::migration(map, &cuts, by_rank, &assigned.frame, &book.money)?,
        ));
    }
    let drift = drift::drift(map, (&cuts, &refit), by_rank, kept.as_ref(), &assigned.frame)?;
    if drift.height() > 0 {
        others.push(("drift", drift));
    }
    if let Some((params, mut snapshots)) = validity {
        snapshots.extend(parts);
        snapshots.sort_by_key(|(date, _)| *date);
        others.push(("validity", validity::validity(&params, book, map, &snapshots)?));
    }
    if let Some(score) = alternatives {
        others.push((
            "sensitivity",
            sensitivity::sensitivity(rfm, score, book, map, &assigned.frame)?,
        ));
    }
    if let Some(pairs) = &book.pairs {
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
