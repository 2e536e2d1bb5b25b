//! A whole run: a session and a destination.

use std::sync::Arc;

use chrono::NaiveDate;
use polars::prelude::{DataFrame, polars_err};
use tracing::{info_span, warn};

use super::incremental::ReusableSnapshots;
use super::{FittedParams, RunObserver, Scanned, SegmentedRun, Session, artefact_files};
use super::{input_files, run_id, warnings};
use crate::artefact::{DiffScope, differences};
use crate::checks::{self, CheckResult};
use crate::error::Error;
use crate::evaluate::{Tables, comparison};
use crate::export::{Export, ListParams, ReadList};
use crate::ingest::LookupTable;
use crate::manifest::{
    ComparedRun, CustomersRead, Input, Manifest, ManifestInputs, ModelRecord, SnapshotFingerprints,
};
use crate::pipeline::Pipeline;
use crate::publish::{self, OnFailedGate, Publication, Published, Replaceable, Staging};
use crate::rfm::{self, by_snapshot};
use crate::score::Cut;
use crate::tables::TableId;

#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions {
    pub on_failed_gate: OnFailedGate,
    /// Compute only the snapshots that have changed since the published run.
    pub incremental: bool,
    pub replaceable: Replaceable,
}

pub enum Outcome {
    /// Equal inputs, definition and version have been published already.
    UpToDate(Box<Published>),
    /// A new run is published.
    Published {
        manifest: Box<Manifest>,
        tables: Tables,
        /// Snapshots that were reused from the run before.
        reused: Vec<NaiveDate>,
    },
}

/// Runs the pipeline and publishes the results.
///
/// # Errors
/// The first stage that fails. Readers then still see the run before.
pub fn run(
    p: &Pipeline,
    options: RunOptions,
    observer: Arc<dyn RunObserver>,
) -> Result<Outcome, Error> {
    let inputs = input_files(p)?;
    let run_id = run_id(p, &inputs);
    let current = if options.incremental { p.publish.to.current()? } else { None };
    if let Some(run) = current.as_ref().filter(|run| is_up_to_date(run, &run_id, options)) {
        return Ok(Outcome::UpToDate(Box::new(run.clone())));
    }
    // Before the scan, so that a fault in a file is found early.
    let lists = read_lists(p)?;
    let staging = p.publish.to.begin(&run_id)?;
    check_current(p, options.replaceable)?;
    let session = Session::open(p, observer.clone()).with_rejects(staging.rejects());
    let results = session.check_results()?;
    let staging = check(p, results.as_slice(), || session.ledger(), staging)?;
    let rows = session.facts()?.rows_by_reason().map_err(Error::engine("orders"))?.iter().sum();
    observer.scanned(&Scanned { inputs: &inputs, rows, checks: &results });
    let warnings = warnings(p, session.facts()?).map_err(Error::engine("checks"))?;
    warnings.iter().for_each(|warning| warn!("{warning}"));
    let fingerprints = session.fingerprints()?;
    let reusable = current.and_then(|run| ReusableSnapshots::find(p, &fingerprints, run));
    let stream = session.snapshots_with(fingerprints.dates(), reusable.as_ref());
    let run = SegmentedRun::collect(stream)?;
    let customers = customers_read(&session, &run)?;
    let earlier = session.earlier_snapshots(&run.segmented.dates)?;
    let fitted = FittedParams::new(p, &run, session.frozen()?)?;
    let cuts = run.segmented.cuts.clone();
    let assigned = session.assign(&run, &earlier)?;
    let artefact = artefact_files(p, fitted, &assigned)?;
    let models = ModelRecord::all(&assigned);
    let mut tables = session.evaluate(run, earlier, assigned)?;
    let (compared_with, before) = compare(p, &mut tables, &fingerprints.dates())?.unzip();
    let lists = make_lists(lists, &tables, before)?;
    let gates = session.gate_results(&tables)?;
    let hash = p.definition_hash();
    let manifest = ManifestInputs {
        customers,
        models: &models,
        gates: &gates,
        warnings: &warnings,
        fingerprints: &fingerprints,
        compared_with: compared_with.as_ref(),
        ..manifest_inputs(p, &hash, &inputs, &results, &cuts)
    };
    let publication = Publication {
        staging,
        params: &p.publish,
        tables: &tables,
        artefact,
        lists,
        manifest,
        on_failed_gate: options.on_failed_gate,
    };
    let manifest = info_span!("publish", rows = tables.segments.height())
        .in_scope(|| publish::publish(publication, reusable.as_ref().map(|r| &r.run)))?;
    let reused = reusable.map(|reusable| reusable.dates).unwrap_or_default();
    Ok(Outcome::Published { manifest: Box::new(manifest), tables, reused })
}

/// Refuses to replace results of another pipeline or of a later snapshot.
pub(crate) fn check_current(p: &Pipeline, replaceable: Replaceable) -> Result<(), Error> {
    let newest = p.rfm.snapshots.newest();
    Ok(publish::check_current(&*p.publish.to, &p.name, newest, replaceable)?)
}

/// Adds the table `changes` to a run with one snapshot, if there is an earlier run.
fn compare(
    p: &Pipeline,
    tables: &mut Tables,
    dates: &[NaiveDate],
) -> Result<Option<(ComparedRun, DataFrame)>, Error> {
    let [date] = dates else { return Ok(None) };
    let Some(earlier) = publish::previous(&*p.publish.to, &p.name, *date)? else { return Ok(None) };
    let Published { manifest, .. } = &earlier;
    let Some(newest) = manifest.dates().last().copied() else { return Ok(None) };
    let customers = match earlier.segments(newest) {
        Ok(customers) => customers,
        Err(error) => {
            warn!(%error, "the run before cannot be read, so that changes since then are missing");
            return Ok(None);
        }
    };
    let changes =
        comparison::moves(&customers, &tables.segments).map_err(Error::engine("evaluate"))?;
    tables.others.insert(TableId::Changes, changes);
    let compared_with = ComparedRun {
        run_id: manifest.run_id.clone(),
        snapshot: newest.to_string(),
        differences: differences(&manifest.definition, &p.definition, DiffScope::Runs),
    };
    Ok(Some((compared_with, customers)))
}

/// Reads the files of `publish.lists`.
pub(crate) fn read_lists(p: &Pipeline) -> Result<Vec<(&String, ReadList)>, Error> {
    let read = |(name, list): &'_ (String, ListParams)| {
        list.read().map_err(|reason| list_error(name, &reason))
    };
    p.publish.lists.iter().map(|list| Ok((&list.0, read(list)?))).collect()
}

fn list_error(name: &str, reason: &str) -> Error {
    // The options have the same names on the command line.
    Error::Usage(format!("publish.lists, {name}: {}", reason.replace("--", "")))
}

/// The lists of the newest snapshot. `before` has the customers of the run before, if the run has
/// one snapshot.
fn make_lists(
    lists: Vec<(&String, ReadList)>,
    tables: &Tables,
    before: Option<DataFrame>,
) -> Result<Vec<(String, Export)>, Error> {
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    let mut parts = by_snapshot(&tables.segments).map_err(Error::engine("export"))?;
    let (_, newest) = parts
        .pop()
        .ok_or_else(|| Error::engine("export")(polars_err!(ComputeError: "no snapshots")))?;
    let earlier = parts.pop().map(|(_, earlier)| earlier).or(before);
    let make = |(name, list): (&String, ReadList)| {
        let made = list.make_in_run(newest.clone(), earlier.clone());
        Ok((name.clone(), made.map_err(|reason| list_error(name, &reason))?))
    };
    lists.into_iter().map(make).collect()
}

/// Whether a published run has this id. A run with a failed gate counts only if it would be
/// published again.
fn is_up_to_date(run: &Published, run_id: &str, options: RunOptions) -> bool {
    let acceptable = options.on_failed_gate == OnFailedGate::Publish || run.manifest.gates_passed();
    run.manifest.run_id == run_id && acceptable
}

/// Fails the run if a check failed whose severity is `fail`. Its ledger and rejects are kept then.
pub(crate) fn check(
    p: &Pipeline,
    results: &[CheckResult],
    ledger: impl FnOnce() -> Result<DataFrame, Error>,
    staging: Staging,
) -> Result<Staging, Error> {
    let failed = results.iter().filter(|result| result.fails()).count();
    if failed == 0 {
        return Ok(staging);
    }
    let hash = p.definition_hash();
    let inputs = manifest_inputs(p, &hash, &[], results, &[]);
    let folder = publish::keep_failed_checks(staging, &p.publish, ledger()?, inputs)?;
    let total = results.len();
    Err(Error::Checks { failed, total, results: checks::describe(results), folder })
}

/// The inputs of a manifest that every run has.
pub(crate) fn manifest_inputs<'a>(
    p: &'a Pipeline,
    definition_hash: &'a str,
    inputs: &'a [Input],
    checks: &'a [CheckResult],
    cuts: &'a [Cut],
) -> ManifestInputs<'a> {
    static NO_FINGERPRINTS: SnapshotFingerprints = SnapshotFingerprints::NONE;
    ManifestInputs {
        pipeline: &p.name,
        definition_hash,
        definition: &p.definition,
        reading: &p.reading,
        money: &p.ingest.money,
        inputs,
        checks,
        warnings: &[],
        gates: &[],
        customers: None,
        cuts,
        models: &[],
        fingerprints: &NO_FINGERPRINTS,
        compared_with: None,
    }
}

/// Row counts of the customers' source, and the customers of the segments that it does not have.
fn customers_read(
    session: &Session<'_>,
    run: &SegmentedRun,
) -> Result<Option<CustomersRead>, Error> {
    let Some(table) = &session.side_inputs()?.customers else { return Ok(None) };
    let table: &LookupTable = table;
    let unknown = rfm::count_unknown(&run.segmented.frame, table).map_err(Error::engine("rfm"))?;
    if unknown > 0 {
        warn!(customers = unknown, "customers are missing in the customers' source");
    }
    Ok(Some(CustomersRead::new(table, unknown)))
}
