//! `evaluate`: [`Assigned`] → [`Tables`]. Computes all tables besides the segments. `publish`
//! writes them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;

use crate::model::Assigned;
use crate::orders::{OrderFacts, ledger};
use crate::rfm::{RfmParams, by_snapshot};
use crate::score::{Cut, FrozenCutPoints, ScoreParams};
use crate::segment::SegmentMap;
use crate::tables::TableId;

pub use cluster_geometry::SilhouetteMode;
pub use cohorts::{CohortParams, CohortPeriod};
pub use stability::StabilityParams;
pub(crate) use uplift::Groups;
pub use uplift::UpliftParams;
pub use validity::ValidityParams;

mod bootstrap;
pub mod cluster_geometry;
pub mod cluster_quality;
pub mod clusters;
mod cohorts;
pub mod comparison;
mod drift;
pub mod gates;
mod lift;
mod migration;
pub mod model_metrics;
mod profile;
mod sensitivity;
mod stability;
mod uplift;
mod validity;
pub mod value;

/// The date of a snapshot and its customers.
type SnapshotPart = (NaiveDate, DataFrame);

pub struct Tables {
    /// Every customer at every snapshot; see [`Assigned`].
    pub segments: DataFrame,
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
    pub silhouettes: SilhouetteMode,
    /// How stability is measured, and customers are scored. `None` skips the table `stability`.
    pub stability: Option<(StabilityParams, &'a ScoreParams)>,
    /// Which dimensions are scored by rank.
    pub by_rank: [bool; 3],
    /// The cut points behind the scores.
    pub cuts: Vec<Cut>,
    /// The cut points of each snapshot's own customers.
    pub refit: Vec<Cut>,
    pub frozen: Option<FrozenCutPoints>,
    /// How validity is measured, and snapshots for it besides the published ones. `None` skips the
    /// table `validity`.
    pub validity: Option<(ValidityParams, Vec<SnapshotPart>)>,
    /// `None` skips the table `cohorts`.
    pub cohorts: Option<CohortParams>,
    /// Campaigns, each with its groups.
    pub(crate) uplift: (&'a [UpliftParams], &'a [Groups]),
    pub tables: BTreeMap<TableId, DataFrame>,
}

pub fn evaluate(inputs: EvaluationInputs<'_>, assigned: Assigned) -> PolarsResult<Tables> {
    let Assigned { frame: segments, evaluation_runs, tuned, clustered, btyd, .. } = assigned;
    let parts = by_snapshot(&segments)?;
    let newest = parts.last().ok_or_else(|| polars_err!(ComputeError: "no snapshots"))?;
    let (quality, silhouettes) =
        cluster_quality::cluster_quality(newest, &clustered, inputs.silhouettes)?;
    let mut tables = inputs.tables.clone();
    // One after another, since the order facts may be as large as the tables they are compared
    // with.
    tables.extend([
        (TableId::Ledger, ledger::ledger(inputs.facts)?),
        (TableId::SegmentProfile, profile::segment_profile(&inputs, &segments, &btyd)?),
        (TableId::Metrics, model_metrics::metrics(&evaluation_runs, &btyd)?),
        (TableId::Confusion, model_metrics::confusion(&evaluation_runs)?),
        (TableId::ClusterQuality, quality),
        (TableId::Silhouettes, silhouettes),
    ]);
    if !evaluation_runs.is_empty() {
        tables.insert(TableId::Reliability, model_metrics::reliability(&evaluation_runs)?);
    }
    let lift = lift::lift(&evaluation_runs, &btyd)?;
    if lift.height() > 0 {
        tables.insert(TableId::Lift, lift);
    }
    if !btyd.is_empty() {
        tables.insert(TableId::Tracking, value::tracking(&btyd)?);
    }
    if !clustered.is_empty() {
        tables.insert(TableId::Clusters, clusters::clusters(&clustered, &newest.1)?);
    }
    if !clustered.is_empty() || !tuned.is_empty() {
        tables.insert(TableId::KSweep, clusters::k_sweep(&tuned, &clustered, inputs.silhouettes)?);
    }
    if parts.len() > 1 {
        tables.insert(TableId::Migration, migration::migration(&inputs, &parts)?);
    }
    let drift = drift::drift(&inputs, &parts)?;
    if drift.height() > 0 {
        tables.insert(TableId::Drift, drift);
    }
    if let Some((params, earlier)) = &inputs.validity {
        let mut snapshots = [earlier.as_slice(), &parts].concat();
        snapshots.sort_by_key(|(date, _)| *date);
        tables.insert(TableId::Validity, validity::validity(&inputs, params, &snapshots)?);
    }
    if let Some(score) = inputs.alternatives {
        let sensitivity = sensitivity::sensitivity(&inputs, score, &segments, &parts)?;
        tables.insert(TableId::Sensitivity, sensitivity);
    }
    if let Some((params, score)) = inputs.stability {
        tables.insert(TableId::Stability, stability::stability(&inputs, score, params, newest)?);
    }
    if let Some(params) = inputs.cohorts {
        tables.insert(TableId::Cohorts, cohorts::cohorts(params, inputs.facts, newest.0)?);
    }
    let (campaigns, groups) = inputs.uplift;
    if !campaigns.is_empty() {
        tables.insert(TableId::Uplift, uplift::uplift(campaigns, groups, inputs.facts, newest.0)?);
    }
    if let Some(pairs) = &inputs.facts.pairs {
        tables.insert(TableId::Returns, pairs.published()?);
    }
    Ok(Tables { segments, others: tables })
}
