//! `evaluate`: [`Assigned`] → [`Tables`]. Computes all tables besides the segments. `publish`
//! writes them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;
use crate::model::Assigned;
use crate::orders::{OrderFacts, ledger};
use crate::rfm::{RfmParams, by_snapshot};
use crate::score::{Cut, FrozenCutPoints, ScoreParams};
use crate::segment::SegmentMap;
use crate::tables::TableId;

pub use validity::ValidityParams;

mod bootstrap;
pub mod cluster_geometry;
pub mod cluster_quality;
pub mod clusters;
pub mod comparison;
pub mod confusion;
mod drift;
pub mod gates;
mod migration;
pub mod model_metrics;
mod profile;
mod sensitivity;
mod validity;

/// The tables of a run.
pub struct Tables {
    /// Every customer at every snapshot; see [`Assigned`].
    pub segments: DataFrame,
    /// The other tables.
    pub others: BTreeMap<TableId, DataFrame>,
}

impl Tables {
    pub fn get(&self, id: TableId) -> Option<&DataFrame> {
        if id == TableId::Segments { Some(&self.segments) } else { self.others.get(&id) }
    }
}

/// The inputs of the tables, besides the assigned customers.
pub struct EvaluationInputs<'a> {
    pub facts: &'a OrderFacts,
    pub map: &'a SegmentMap,
    pub rfm: &'a RfmParams,
    /// How alternative definitions are scored. `None` skips the table `sensitivity`.
    pub alternatives: Option<&'a ScoreParams>,
    /// Which dimensions are scored by rank.
    pub by_rank: [bool; 3],
    /// The cut points behind the scores.
    pub cuts: Vec<Cut>,
    /// The cut points of each snapshot's own customers.
    pub refit: Vec<Cut>,
    pub frozen: Option<FrozenCutPoints>,
    /// How validity is measured, and snapshots for it besides the published ones. `None` skips the
    /// table `validity`.
    pub validity: Option<(ValidityParams, Vec<(NaiveDate, DataFrame)>)>,
    /// Tables from earlier stages.
    pub tables: BTreeMap<TableId, DataFrame>,
}

/// Computes every table.
pub fn evaluate(inputs: EvaluationInputs<'_>, assigned: Assigned) -> PolarsResult<Tables> {
    let EvaluationInputs { facts, map, rfm, cuts, by_rank, .. } = &inputs;
    let Assigned { frame: segments, evaluation_runs, tuned, clustered, .. } = &assigned;
    let parts = by_snapshot(segments)?;
    let mut tables = inputs.tables.clone();
    // One after another, since the order facts may be as large as the tables they are compared
    // with.
    tables.insert(TableId::Ledger, ledger::ledger(facts)?);
    tables.insert(
        TableId::SegmentProfile,
        profile::segment_profile(map, facts, rfm.window, segments)?,
    );
    tables.insert(TableId::Metrics, model_metrics::metrics(evaluation_runs)?);
    tables.insert(TableId::Confusion, confusion::confusion(evaluation_runs)?);
    let (quality, silhouettes) = cluster_quality::cluster_quality(segments, clustered)?;
    tables.insert(TableId::ClusterQuality, quality);
    tables.insert(TableId::Silhouettes, silhouettes);
    if !evaluation_runs.is_empty() {
        tables.insert(TableId::Reliability, model_metrics::reliability(evaluation_runs)?);
    }
    if !clustered.is_empty()
        && let Some((_, newest)) = parts.last()
    {
        tables.insert(TableId::Clusters, clusters::clusters(clustered, newest)?);
    }
    if !clustered.is_empty() || !tuned.is_empty() {
        tables.insert(TableId::KSweep, clusters::k_sweep(tuned, clustered)?);
    }
    if parts.len() > 1 {
        let migration = migration::migration(map, cuts, *by_rank, segments, &facts.money)?;
        tables.insert(TableId::Migration, migration);
    }
    let history = drift::CutPointHistory {
        cuts,
        refit: &inputs.refit,
        frozen: inputs.frozen.as_ref(),
        by_rank: *by_rank,
    };
    let drift = drift::drift(map, &history, segments)?;
    if drift.height() > 0 {
        tables.insert(TableId::Drift, drift);
    }
    if let Some((params, earlier)) = &inputs.validity {
        let mut snapshots = [earlier.as_slice(), &parts].concat();
        snapshots.sort_by_key(|(date, _)| *date);
        tables.insert(TableId::Validity, validity::validity(params, facts, map, &snapshots)?);
    }
    if let Some(score) = inputs.alternatives {
        let sensitivity = sensitivity::sensitivity(rfm, score, facts, map, segments)?;
        tables.insert(TableId::Sensitivity, sensitivity);
    }
    if let Some(pairs) = &facts.pairs {
        tables.insert(TableId::Returns, pairs.table.drop(DAY)?);
    }
    Ok(Tables { segments: assigned.frame, others: tables })
}

/// One value per row, for a column of a table.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
