//! A session over a pipeline: the stages in order, each computed once and only if needed.
//!
//! Side inputs and order facts are computed once. After them, `Session::snapshots` yields the
//! snapshots one by one: measured, scored and named. Models and evaluation take what they need from
//! the session. [`run()`] is a session and a destination. The commands `peek`, `why`, `explain` and
//! `score` are a session up to a stage.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;
use tracing::field::Empty;
use tracing::{info, info_span, warn};

use crate::checks::{self, CheckResult};
use crate::error::Error;
use crate::evaluate::gates::{self, GateResult};
use crate::evaluate::{self, EvaluationInputs, Tables};
use crate::ingest::LookupTable;
use crate::manifest::SnapshotFingerprints;
use crate::model::{self, Assigned, ModelParams, Target, TrainingContext};
use crate::orders::{OrderFacts, ledger};
use crate::pipeline::Pipeline;
use crate::rfm::{self, RfmError, SnapshotDates, Snapshots, by_snapshot};
use crate::score::{self, CutPointSource, FrozenCutPoints, Scored};
use crate::tables::TableId;

mod artefact;
mod identity;
mod incremental;
mod observer;
mod plausibility;
mod run;
mod sample;
mod scan;
mod scoring;
mod snapshots;

pub(crate) use artefact::{FittedParams, artefact_files};
pub(crate) use identity::{input_files, run_id};
pub use observer::{RunObserver, Scanned};
pub(crate) use plausibility::warnings;
#[cfg(feature = "spark")]
pub(crate) use plausibility::{describe_negative, unusable_rows};
pub(crate) use run::read_lists;
pub use run::{Outcome, RunOptions, run};
#[cfg(feature = "spark")]
pub(crate) use run::{check, check_current, manifest_inputs};
pub(crate) use sample::read_sample;
pub(crate) use scan::{SideInputs, extra_aggregates, reject_names};
#[cfg(feature = "spark")]
pub(crate) use scoring::input_columns;
pub(crate) use scoring::{InputColumn, InputKind, Scorer};
pub(crate) use snapshots::{SegmentedRun, SnapshotStream};

use incremental::ReusableSnapshots;

/// A pipeline that is being computed.
pub struct Session<'p> {
    p: &'p Pipeline,
    observer: Arc<dyn RunObserver>,
    /// File that the scan writes the rejected rows to.
    rejects: Option<PathBuf>,
    side_inputs: OnceCell<SideInputs>,
    facts: OnceCell<OrderFacts>,
    frozen: OnceCell<Option<FrozenCutPoints>>,
}

/// The value of a cell, computed if it is empty.
fn get_or_compute<T>(
    cell: &OnceCell<T>,
    compute: impl FnOnce() -> Result<T, Error>,
) -> Result<&T, Error> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = compute()?;
    Ok(cell.get_or_init(|| value))
}

impl<'p> Session<'p> {
    /// A session that has computed nothing yet.
    pub fn open(p: &'p Pipeline, observer: Arc<dyn RunObserver>) -> Self {
        Self {
            p,
            observer,
            rejects: None,
            side_inputs: OnceCell::new(),
            facts: OnceCell::new(),
            frozen: OnceCell::new(),
        }
    }

    /// Writes the rejected rows to this file during the scan.
    #[must_use]
    pub fn with_rejects(self, path: PathBuf) -> Self {
        Self { rejects: Some(path), ..self }
    }

    pub fn pipeline(&self) -> &'p Pipeline {
        self.p
    }

    /// `ingest`: the tables besides the transactions.
    pub(crate) fn side_inputs(&self) -> Result<&SideInputs, Error> {
        get_or_compute(&self.side_inputs, || SideInputs::read(self.p))
    }

    fn customers(&self) -> Result<Option<&LookupTable>, Error> {
        Ok(self.side_inputs()?.customers.as_ref())
    }

    /// `orders`: the order facts, from the one scan of the source.
    ///
    /// # Errors
    /// A source that cannot be read, or that contradicts its header or footer.
    pub fn facts(&self) -> Result<&OrderFacts, Error> {
        get_or_compute(&self.facts, || self.scan())
    }

    /// `checks`: the result of every check.
    pub(crate) fn check_results(&self) -> Result<Vec<CheckResult>, Error> {
        let facts = self.facts()?;
        let _span = info_span!("checks").entered();
        let files: Vec<&str> = self.p.ingest.files().map(|file| file.name.as_str()).collect();
        checks::evaluate(&self.p.checks, facts, &files).map_err(Error::engine("checks"))
    }

    /// The ledger of the rows.
    pub(crate) fn ledger(&self) -> Result<DataFrame, Error> {
        ledger::ledger(self.facts()?).map_err(Error::engine("checks"))
    }

    /// The snapshot dates, ascending.
    ///
    /// # Errors
    /// No accepted line before one of the dates.
    pub fn dates(&self) -> Result<Vec<NaiveDate>, Error> {
        Ok(rfm::dates(&self.p.rfm, self.facts()?)?)
    }

    /// The snapshot dates, each with a hash of all rows that the snapshot depends on.
    pub(crate) fn fingerprints(&self) -> Result<SnapshotFingerprints, Error> {
        let facts = self.facts()?;
        let _span = info_span!("rfm").entered();
        let dates = self.dates()?;
        let engine = Error::engine;
        let last = facts.span().map_err(engine("rfm"))?.map(|(_, last)| last);
        if let (Some(last), Some(newest)) = (last, dates.last())
            && last.succ_opt().is_some_and(|next| next < *newest)
        {
            warn!(%last, snapshot = %newest, "the source ends before the newest snapshot");
        }
        let hashes = rfm::fingerprints(&self.p.rfm, facts, self.customers()?, &dates)
            .map_err(engine("rfm"))?;
        Ok(SnapshotFingerprints::new(dates, hashes))
    }

    /// `rfm`: the customers of one snapshot with their measures.
    pub(crate) fn measure(&self, date: NaiveDate) -> Result<Snapshots, Error> {
        let facts = self.facts()?;
        let customers = self.customers()?;
        let span = info_span!("rfm", rows = Empty).entered();
        let snapshots = rfm::snapshots(&self.p.rfm, facts, customers, vec![date])?;
        span.record("rows", snapshots.frame.height());
        Ok(snapshots)
    }

    /// `rfm` at several dates in parallel. Reusable snapshots are read.
    fn measure_all(
        &self,
        dates: &[NaiveDate],
        reusable: Option<&ReusableSnapshots>,
    ) -> Result<Vec<Snapshots>, Error> {
        let (p, facts, customers) = (self.p, self.facts()?, self.customers()?);
        let span = info_span!("rfm", rows = Empty).entered();
        let measure = |&date| match reusable.filter(|reusable| reusable.dates.contains(&date)) {
            Some(reusable) => reusable.measured(p, date),
            None => Ok(rfm::snapshots(&p.rfm, facts, customers, vec![date])?),
        };
        let snapshots: Vec<Result<_, Error>> = dates.par_iter().map(measure).collect();
        // The error of the first date that has one.
        let snapshots: Vec<Snapshots> = snapshots.into_iter().collect::<Result<_, _>>()?;
        span.record("rows", snapshots.iter().map(|all| all.frame.height()).sum::<usize>());
        Ok(snapshots)
    }

    /// `score`: the scores of measured customers.
    pub(crate) fn score(&self, snapshots: Snapshots) -> Result<Scored, Error> {
        let frozen = self.frozen()?;
        let _span = info_span!("score", rows = snapshots.frame.height()).entered();
        score::score(&self.p.score, snapshots, frozen).map_err(Error::engine("score"))
    }

    /// The cut points that all snapshots are scored with, if they are frozen.
    ///
    /// # Errors
    /// No customers at the snapshot that the cut points come from.
    pub(crate) fn frozen(&self) -> Result<Option<&FrozenCutPoints>, Error> {
        let frozen = get_or_compute(&self.frozen, || self.frozen_cut_points())?;
        Ok(frozen.as_ref())
    }

    fn frozen_cut_points(&self) -> Result<Option<FrozenCutPoints>, Error> {
        let date = match &self.p.score.cut_points {
            CutPointSource::Refit => return Ok(None),
            CutPointSource::Given(frozen) => return Ok(Some(frozen.clone())),
            CutPointSource::AsOf(date) => *date,
        };
        if let Some((first, last)) = self.facts()?.span().map_err(Error::engine("rfm"))? {
            SnapshotDates::Given(vec![date]).within(first, last)?;
        }
        let scored = score::score(&self.p.score, self.measure(date)?, None);
        let frozen =
            scored.and_then(|scored| FrozenCutPoints::new(&scored.frame, &scored.cuts, date));
        frozen.map(Some).map_err(Error::engine("score"))
    }

    /// The snapshots, one by one: measured, scored and named.
    pub(crate) fn snapshots(&self) -> Result<SnapshotStream<'_, 'p>, Error> {
        Ok(SnapshotStream::new(self, self.dates()?, None))
    }

    /// The same. Snapshots that an earlier run has are read from it.
    pub(crate) fn snapshots_with<'s>(
        &'s self,
        dates: Vec<NaiveDate>,
        reusable: Option<&'s ReusableSnapshots>,
    ) -> SnapshotStream<'s, 'p> {
        SnapshotStream::new(self, dates, reusable)
    }

    /// Snapshots that are not published but needed by validity and models before the newest one.
    /// Snapshots before the first line of the source, and those without customers, are left out.
    pub(crate) fn earlier_snapshots(
        &self,
        published: &[NaiveDate],
    ) -> Result<Vec<(NaiveDate, DataFrame)>, Error> {
        let Some(newest) = published.last().copied() else { return Ok(Vec::new()) };
        let Some((first, _)) = self.facts()?.span().map_err(Error::engine("rfm"))? else {
            return Ok(Vec::new());
        };
        let for_validity = self.p.validity.map(|validity| validity.start(newest));
        let evaluated = [newest].into_iter().chain(self.p.backtests.iter().copied());
        let evaluated: Vec<NaiveDate> = evaluated.filter(|date| *date <= newest).collect();
        let for_model = |model: &ModelParams| -> Vec<NaiveDate> {
            let backtested = match model.target {
                // The labels of a backtest are segments.
                Target::SegmentIn(_) => evaluated.clone(),
                _ => Vec::new(),
            };
            let earlier = evaluated.iter().flat_map(|date| model.earlier_snapshots(*date));
            earlier.chain(backtested).collect()
        };
        let for_models = self.p.models.iter().flat_map(for_model);
        let mut dates: Vec<NaiveDate> = for_validity.into_iter().chain(for_models).collect();
        dates.sort();
        dates.dedup();
        dates.retain(|date| first < *date && !published.contains(date));
        let mut earlier = Vec::with_capacity(dates.len());
        for date in dates {
            let customers = self.customers()?;
            let snapshots = match rfm::snapshots(&self.p.rfm, self.facts()?, customers, vec![date])
            {
                Err(RfmError::NoCustomers { .. }) => continue,
                snapshots => snapshots?,
            };
            let scored = self.score(snapshots)?;
            let named = snapshots::name(self.p, scored, &mut Default::default())?;
            earlier.extend(by_snapshot(&named.frame).map_err(Error::engine("segment"))?);
        }
        Ok(earlier)
    }

    /// `model`: fits the models and assigns every customer.
    ///
    /// # Errors
    /// Too few customers for a model, or features that are not finite.
    pub(crate) fn assign(
        &self,
        run: &SegmentedRun,
        earlier: &[(NaiveDate, DataFrame)],
    ) -> Result<Assigned, Error> {
        let facts = self.facts()?;
        let labels = &self.side_inputs()?.labels;
        let _span = info_span!("model").entered();
        let segmented = &run.segmented;
        let (date, newest) = model::newest(segmented).map_err(Error::engine("model"))?;
        let published = by_snapshot(&segmented.frame).map_err(Error::engine("model"))?;
        let earlier: Vec<(NaiveDate, DataFrame)> =
            published.into_iter().chain(earlier.iter().cloned()).collect();
        let backtests = &self.p.backtests;
        let context = TrainingContext { date, newest, earlier: &earlier, backtests, facts, labels };
        let assigned =
            model::assign(&self.p.models, &self.p.clusterings, &self.p.btyd, segmented, &context)?;
        info!(
            rows = assigned.frame.height(),
            models = self.p.models.len() + self.p.clusterings.len() + self.p.btyd.len(),
            "models fitted"
        );
        Ok(assigned)
    }

    /// `evaluate`: the tables besides the segments.
    pub(crate) fn evaluate(
        &self,
        run: SegmentedRun,
        earlier: Vec<(NaiveDate, DataFrame)>,
        assigned: Assigned,
    ) -> Result<Tables, Error> {
        // Snapshots for models are not evaluated.
        let newest = run.segmented.dates.last().copied();
        let validity = self.p.validity.map(|params| {
            let start = newest.map(|newest| params.start(newest));
            let used = |(date, _): &(NaiveDate, DataFrame)| Some(*date) == start;
            (params, earlier.into_iter().filter(used).collect())
        });
        let inputs = EvaluationInputs {
            facts: self.facts()?,
            map: &self.p.segment,
            rfm: &self.p.rfm,
            alternatives: self.p.sensitivity.then_some(&self.p.score),
            silhouettes: self.p.silhouettes,
            stability: self.p.stability.map(|params| (params, &self.p.score)),
            cohorts: self.p.cohorts,
            uplift: (&self.p.uplift, &self.side_inputs()?.groups),
            by_rank: self.p.score.by_rank(),
            cuts: run.segmented.cuts,
            refit: run.refit,
            frozen: self.frozen()?.cloned(),
            validity,
            tables: run.tables,
        };
        let _span = info_span!("evaluate").entered();
        let tables = evaluate::evaluate(inputs, assigned).map_err(Error::engine("evaluate"))?;
        let others = tables.others.values().map(DataFrame::height).sum::<usize>();
        let rows = tables.segments.height() + others;
        info!(rows, tables = tables.others.len() + 1, "tables computed");
        Ok(tables)
    }

    /// The result of every gate.
    pub(crate) fn gate_results(&self, tables: &Tables) -> Result<Vec<GateResult>, Error> {
        gates::evaluate(&self.p.gates, tables).map_err(Error::engine("evaluate"))
    }
}

/// Adds the rows of a table to those of the snapshots before.
fn append(
    tables: &mut std::collections::BTreeMap<TableId, DataFrame>,
    id: TableId,
    part: &DataFrame,
) -> PolarsResult<()> {
    match tables.get_mut(&id) {
        Some(table) => table.vstack_mut(part).map(|_| ()),
        None => {
            tables.insert(id, part.clone());
            Ok(())
        }
    }
}
