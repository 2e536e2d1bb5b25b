//! The snapshots of a session as a stream, and their collection.

use std::collections::{BTreeMap, VecDeque};
use std::vec::IntoIter;

use chrono::NaiveDate;
use polars::prelude::*;
use tracing::{info, info_span};

use super::incremental::ReusableSnapshots;
use super::{Session, append};
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::rfm::Snapshots;
use crate::score::{self, Cut, Scored};
use crate::segment::{self, History, Segmented};
use crate::tables::TableId;

/// Yields the snapshots of a session in the order of their dates. As many as there are threads are
/// measured at once. Of the snapshots before, only the history is kept.
pub(crate) struct SnapshotStream<'s, 'p> {
    session: &'s Session<'p>,
    dates: IntoIter<NaiveDate>,
    measured: VecDeque<Snapshots>,
    reusable: Option<&'s ReusableSnapshots>,
    history: History,
}

/// One snapshot: measured, scored and named.
pub(crate) struct Snapshot {
    /// Customers of the snapshot, as in [`Segmented`].
    pub(crate) segmented: Segmented,
    /// Cut points of the snapshot's own customers. They differ from those of `segmented` if cut
    /// points are frozen.
    pub(crate) refit: Vec<Cut>,
    /// Further tables of the snapshot.
    pub(crate) tables: Vec<(TableId, DataFrame)>,
}

impl<'s, 'p> SnapshotStream<'s, 'p> {
    pub(super) fn new(
        session: &'s Session<'p>,
        dates: Vec<NaiveDate>,
        reusable: Option<&'s ReusableSnapshots>,
    ) -> Self {
        let (dates, measured) = (dates.into_iter(), VecDeque::new());
        Self { session, dates, measured, reusable, history: History::default() }
    }

    fn snapshot(&mut self, measured: Snapshots) -> Result<Snapshot, Error> {
        let mut scored = self.session.score(measured)?;
        let refit = std::mem::take(&mut scored.refit);
        let mut tables = std::mem::take(&mut scored.tables);
        let bins = score::score_bins(&scored).map_err(Error::engine("score"))?;
        tables.push((TableId::ScoreBins, bins));
        let segmented = name(self.session.p, scored, &mut self.history)?;
        Ok(Snapshot { segmented, refit, tables })
    }
}

impl Iterator for SnapshotStream<'_, '_> {
    type Item = Result<Snapshot, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.measured.is_empty() {
            let dates = self.dates.by_ref().take(rayon::current_num_threads());
            match self.session.measure_all(&dates.collect::<Vec<_>>(), self.reusable) {
                Ok(measured) => self.measured.extend(measured),
                Err(error) => return Some(Err(error)),
            }
        }
        let measured = self.measured.pop_front()?;
        Some(self.snapshot(measured))
    }
}

/// `segment`: names the customers of one snapshot, after those of the snapshots before.
pub(super) fn name(
    p: &Pipeline,
    scored: Scored,
    history: &mut History,
) -> Result<Segmented, Error> {
    let engine = Error::engine;
    let _span = info_span!("segment", rows = scored.frame.height()).entered();
    let mut segmented = segment::segment(&p.segment, scored).map_err(engine("segment"))?;
    segmented.frame = history.add(segmented.frame).map_err(engine("segment"))?;
    explain(p, segmented)
}

/// Adds the columns that explain each customer's segment, if the pipeline has `why`.
pub(super) fn explain(p: &Pipeline, segmented: Segmented) -> Result<Segmented, Error> {
    if !p.why {
        return Ok(segmented);
    }
    let factor = p.ingest.money.factor();
    segment::explain(&p.segment, segmented, factor).map_err(Error::engine("segment"))
}

/// All snapshots of a session.
#[derive(Debug, Default)]
pub(crate) struct SegmentedRun {
    pub(crate) segmented: Segmented,
    /// Cut points of each snapshot's own customers.
    pub(crate) refit: Vec<Cut>,
    pub(crate) tables: BTreeMap<TableId, DataFrame>,
}

impl SegmentedRun {
    pub(crate) fn collect(stream: SnapshotStream<'_, '_>) -> Result<Self, Error> {
        let mut run = Self::default();
        let engine = || Error::engine("segment");
        for snapshot in stream {
            let Snapshot { segmented: Segmented { frame, dates, cuts }, refit, tables } = snapshot?;
            let all = &mut run.segmented;
            if all.frame.width() == 0 {
                all.frame = frame;
            } else {
                all.frame.vstack_mut_owned(frame).map_err(engine())?;
            }
            all.dates.extend(dates);
            all.cuts.extend(cuts);
            run.refit.extend(refit);
            for (id, table) in &tables {
                append(&mut run.tables, *id, table).map_err(engine())?;
            }
        }
        run.segmented.frame.rechunk_mut();
        let rows = run.segmented.frame.height();
        info!(rows, snapshots = run.segmented.dates.len(), "customers scored and named");
        Ok(run)
    }
}
