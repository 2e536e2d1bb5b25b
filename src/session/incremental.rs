//! Snapshots of the published run that can be reused, since nothing that they depend on has
//! changed.

use chrono::NaiveDate;

use crate::columns::R_SCORE;
use crate::error::Error;
use crate::manifest::SnapshotFingerprints;
use crate::pipeline::Pipeline;
use crate::publish::Published;
use crate::rfm::{Snapshots, by_snapshot};
use crate::tables::TableId;

/// An earlier run, and its snapshots that are still valid.
pub(crate) struct ReusableSnapshots {
    pub(crate) run: Published,
    /// Dates of the valid snapshots, ascending.
    pub(crate) dates: Vec<NaiveDate>,
}

impl ReusableSnapshots {
    /// Compares the fingerprints of the snapshots with those of a run. `None` if the run is of
    /// another version or definition.
    pub(crate) fn find(
        p: &Pipeline,
        fingerprints: &SnapshotFingerprints,
        run: Published,
    ) -> Option<Self> {
        let manifest = &run.manifest;
        let same = manifest.version == env!("CARGO_PKG_VERSION")
            && manifest.definition_hash == p.definition_hash()
            && manifest.pipeline == p.name;
        let is_valid =
            |(date, hash): &(NaiveDate, &str)| manifest.snapshot_inputs.get(*date) == Some(*hash);
        let dates = fingerprints.iter().filter(is_valid).map(|(date, _)| date).collect();
        same.then_some(Self { dates, run })
    }

    /// A valid snapshot with its measures. Scores and segments are computed again.
    pub(crate) fn measured(&self, p: &Pipeline, date: NaiveDate) -> Result<Snapshots, Error> {
        let engine = || Error::engine("rfm");
        let frame = self.run.segments(date)?;
        let measures = frame.try_get_column_index(R_SCORE).map_err(engine())?;
        let names = frame.get_column_names_owned();
        let frame = frame.select(names[..measures].to_vec()).map_err(engine())?;
        let mut ids = Vec::new();
        if p.rfm.cap.is_some() {
            ids.push(TableId::Outliers);
        }
        if p.rfm.top_categories > 0 {
            ids.push(TableId::TopCategories);
        }
        let mut tables = Vec::new();
        for id in ids {
            if let Some(table) = self.run.table(id)? {
                let parts = by_snapshot(&table).map_err(engine())?;
                let part = parts.into_iter().find(|(other, _)| *other == date);
                tables.push((id, part.map_or_else(|| table.clear(), |(_, part)| part)));
            }
        }
        Ok(Snapshots { frame, dates: vec![date], tables })
    }
}
