//! `publish`: writes the files of a run, reads them back, and shows the run to readers in one step.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;
use tracing::{info, info_span, warn};

use crate::artefact::{self, Artefact};
use crate::columns::SNAPSHOT;
use crate::error::{Class, StageError};
use crate::evaluate::Tables;
use crate::evaluate::gates::{self, GateResult};
use crate::export::{Export, ListParams};
use crate::manifest::{MANIFEST, Manifest, ManifestInputs, Output, to_json_text};
use crate::remote::RemoteError;
use crate::report::{self, ReportError, Source};
use crate::rfm::by_snapshot;
use crate::tables::TableId;

mod destination;
#[cfg(feature = "spark")]
mod external_segments;
mod files;
pub(crate) mod footer;
mod lists;
mod local_folder;
mod object_store;
pub(crate) mod parquet_metadata;
mod published;
mod rejects;
pub(crate) mod runs;
mod workbook;

pub use destination::{Destination, Staging};
#[cfg(feature = "spark")]
pub(crate) use external_segments::publish_external;
use files::write;
pub(crate) use files::{list_to_file, text_to_file, to_file, writable_suffix};
pub(crate) use footer::footer_metadata;
pub(crate) use lists::groups_name;
pub use local_folder::LocalFolder;
pub use object_store::ObjectStore;
pub use published::Published;
pub(crate) use published::previous;
use published::segments_file;

const REPORT: &str = "report.html";

/// The artefact and its files, before they are written into its folder.
#[derive(Debug, Clone)]
pub(crate) struct ArtefactFiles {
    pub(crate) texts: Vec<(String, Vec<u8>)>,
    pub(crate) tables: Vec<(String, DataFrame)>,
    /// The record, still without the hashes of the tables.
    pub(crate) record: Artefact,
}

/// Checked options of `publish`.
#[derive(Debug, Clone)]
pub struct PublishParams {
    pub to: Arc<dyn Destination>,
    /// Number of runs that stay, including the current one. `None` keeps all.
    pub keep_runs: Option<usize>,
    /// Lists of customers, by the name of their file.
    pub(crate) lists: Vec<(String, ListParams)>,
}

/// Why a run could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("another run is writing to {}; nothing was changed", .0.display())]
    Locked(PathBuf),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: PolarsError },
    /// A written file does not read back as what was written.
    #[error("{} does not read back: {reason}", path.display())]
    Unverified { path: PathBuf, reason: String },
    /// The ledger and the file of the rejects disagree.
    #[error("the ledger counts {ledger} rejected rows, but {} has {file}; nothing was published", TableId::Rejects.file())]
    Unreconciled { ledger: i64, file: usize },
    #[error("{} is not a Parquet file: {reason}", path.display())]
    NotParquet { path: PathBuf, reason: String },
    #[error("{} has no runs; expected the folder that a pipeline publishes to", .0.display())]
    NoRuns(PathBuf),
    /// A file name with a suffix that cannot be written.
    #[error("{}: expected a name that ends in .csv, .xlsx or .parquet", .0.display())]
    Suffix(PathBuf),
    #[error("cannot write {}: {reason}", path.display())]
    Workbook { path: PathBuf, reason: String },
    /// A gate failed. The run is kept for inspection.
    #[error("a gate failed; nothing was published\n{}  the run is kept in {}", gates::describe(results), folder.display())]
    Gates {
        results: Vec<GateResult>,
        /// Folder or URL of the failed run.
        folder: PathBuf,
    },
    /// `current` is a run of another pipeline.
    #[error(
        "{to} has the results of pipeline `{other}`; set another `publish.to`, or replace them with --force"
    )]
    OtherPipeline { to: String, other: String },
    /// `current` has a later snapshot than this run.
    #[error(
        "{to} has results of {newest}, later than {date}; set another `publish.to`, or replace them with --allow-older"
    )]
    Older { to: String, newest: String, date: NaiveDate },
    /// An object store failed or could not be reached.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("{}: {source}", path.display())]
    Report { path: PathBuf, source: ReportError },
    #[error(transparent)]
    Engine(#[from] PolarsError),
}

impl StageError for PublishError {
    const STAGE: Option<&'static str> = Some("publish");

    fn class(&self) -> Class {
        match self {
            Self::Gates { .. } => Class::Gate,
            Self::Suffix(_) | Self::OtherPipeline { .. } | Self::Older { .. } => Class::Usage,
            Self::Unreconciled { .. } => Class::Data,
            _ => Class::System,
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PublishError + '_ {
    move |source| PublishError::Io { path: path.to_owned(), source }
}

/// What to do if a gate failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailedGate {
    /// Keep the run for inspection, not for readers.
    #[default]
    Keep,
    /// Publish it all the same.
    Publish,
}

/// Current results that a run may replace, besides earlier ones of its own pipeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replaceable {
    /// Those of another pipeline.
    pub other_pipeline: bool,
    /// Those of a later snapshot.
    pub later: bool,
}

/// Refuses to replace the results of another pipeline, or of a later snapshot. `newest` is the
/// newest snapshot of the run if it is known before the scan.
pub(crate) fn check_current(
    to: &dyn Destination,
    pipeline: &str,
    newest: Option<NaiveDate>,
    replaceable: Replaceable,
) -> Result<(), PublishError> {
    let Some(current) = to.current_manifest()? else { return Ok(()) };
    let is_other = current.pipeline != pipeline;
    if is_other && !replaceable.other_pipeline {
        return Err(PublishError::OtherPipeline { to: to.url(), other: current.pipeline });
    }
    let later = current.snapshots.into_iter().max().filter(|_| !is_other && !replaceable.later);
    match newest.zip(later) {
        Some((date, newest)) if newest > date.to_string() => {
            Err(PublishError::Older { to: to.url(), newest, date })
        }
        _ => Ok(()),
    }
}

/// All that a run publishes, besides the segments.
pub(crate) struct Publication<'a> {
    pub(crate) staging: Staging,
    pub(crate) params: &'a PublishParams,
    pub(crate) tables: &'a Tables,
    pub(crate) artefact: ArtefactFiles,
    /// Lists of customers, by the name of their file.
    pub(crate) lists: Vec<(String, Export)>,
    pub(crate) manifest: ManifestInputs<'a>,
    pub(crate) on_failed_gate: OnFailedGate,
}

/// Writes every table, reads each back, writes the manifest, and shows the run to readers.
///
/// Snapshots that are equal in `reuse` share its files. A run that is already published with equal
/// bytes stays as it is, so that its readers are not disturbed.
///
/// # Errors
/// A file that cannot be written or does not read back, or a failed gate. Readers then still see
/// the run before.
pub(crate) fn publish(
    publication: Publication<'_>,
    reuse: Option<&Published>,
) -> Result<Manifest, PublishError> {
    let folder = publication.staging.path();
    let inputs = &publication.manifest;
    let metadata = footer_metadata(inputs.pipeline, inputs.definition_hash, inputs.money);
    let write_snapshot = |(snapshot, part): (NaiveDate, DataFrame)| {
        let is_equal =
            |run: &&Published| run.segments(snapshot).is_ok_and(|old| old.equals_missing(&part));
        match reuse.filter(is_equal) {
            Some(run) => run.link(snapshot, folder),
            None => write(folder, &segments_file(snapshot), &mut part.drop(SNAPSHOT)?, &metadata),
        }
    };
    let parts = by_snapshot(&publication.tables.segments)?;
    let (segments, rejects) = rayon::join(
        || parts.into_par_iter().map(write_snapshot).collect::<Result<Vec<Output>, _>>(),
        || {
            let name = TableId::Rejects.file();
            footer::remove_arrow_schema(&folder.join(&name))?;
            footer::verify(folder, &name, None)
        },
    );
    let rejects = rejects?;
    reconcile_rejects(publication.tables, &rejects)?;
    let mut outputs = segments?;
    outputs.push(rejects);
    finish(publication, outputs)
}

/// Compares the rows of the rejects' file with the ledger.
fn reconcile_rejects(tables: &Tables, rejects: &Output) -> Result<(), PublishError> {
    let Some(ledger) = tables.get(TableId::Ledger) else { return Ok(()) };
    let ledger = ledger.column(crate::columns::ROWS)?.i64()?.sum().unwrap_or(0);
    let file = rejects.rows.unwrap_or(0);
    if i64::try_from(file) != Ok(ledger) {
        return Err(PublishError::Unreconciled { ledger, file });
    }
    Ok(())
}

/// Writes all files but the segments and the rejects, whose `outputs` exist, and shows the run.
fn finish(publication: Publication<'_>, outputs: Vec<Output>) -> Result<Manifest, PublishError> {
    let Publication { staging, params, tables, artefact, lists, manifest: inputs, on_failed_gate } =
        publication;
    let folder = staging.path();
    let metadata = footer_metadata(inputs.pipeline, inputs.definition_hash, inputs.money);
    if !inputs.checks.is_empty() {
        write_checks(folder, &inputs)?;
    }
    let mut manifest = Manifest::new(&staging.run_id, inputs, tables, outputs)?;
    lists::write_all(folder, &lists, &mut manifest)?;
    let write_table = |(id, table): (&TableId, &DataFrame)| {
        write(folder, &id.file(), &mut table.clone(), &metadata)
    };
    let write_tables =
        || tables.others.par_iter().map(write_table).collect::<Result<Vec<Output>, _>>();
    // The page needs the segments of the newest snapshot. A cluster leaves them in its files.
    let is_here = tables.segments.width() > 0;
    let write_page =
        || if is_here { write_report(folder, &manifest, tables).map(Some) } else { Ok(None) };
    let ((others, artefact), page) = rayon::join(
        || {
            rayon::join(write_tables, || {
                write_artefact(folder, artefact::FOLDER, artefact, &metadata)
            })
        },
        write_page,
    );
    let written = [others?, artefact?, page?.into_iter().collect()];
    manifest.outputs.extend(written.into_iter().flatten());
    manifest.outputs.sort_by(|a, b| a.path.cmp(&b.path));
    let path = folder.join(MANIFEST);
    fs::write(&path, manifest.to_json()).map_err(at(&path))?;
    let shown = on_failed_gate == OnFailedGate::Publish || manifest.gates_passed();
    if shown {
        params.to.commit(&staging)?;
        info!(run_id = manifest.run_id, "run published");
    }
    let kept = if shown { None } else { Some(params.to.keep_failed(&staging)?) };
    prune(params, &staging);
    match kept {
        None => Ok(manifest),
        Some(folder) => Err(PublishError::Gates { results: manifest.gates, folder }),
    }
}

/// Removes old runs. A failure is only logged, since the run itself is published.
fn prune(params: &PublishParams, staging: &Staging) {
    if let Some(keep) = params.keep_runs
        && let Err(error) = params.to.prune(staging, keep)
    {
        warn!(%error, "older runs could not be removed");
    }
}

/// Keeps the checks, the ledger, the rejects and a page of a run whose checks failed. Returns their
/// folder or URL.
pub(crate) fn keep_failed_checks(
    staging: Staging,
    params: &PublishParams,
    ledger: DataFrame,
    inputs: ManifestInputs<'_>,
) -> Result<PathBuf, PublishError> {
    let folder = staging.path();
    let metadata = footer_metadata(inputs.pipeline, inputs.definition_hash, inputs.money);
    write(folder, &TableId::Ledger.file(), &mut ledger.clone(), &metadata)?;
    write_checks(folder, &inputs)?;
    let rejects = folder.join(TableId::Rejects.file());
    if rejects.exists() {
        footer::remove_arrow_schema(&rejects)?;
    }
    let tables = Tables {
        segments: DataFrame::empty(),
        others: BTreeMap::from([(TableId::Ledger, ledger)]),
    };
    let manifest = Manifest::new(&staging.run_id, inputs, &tables, Vec::new())?;
    let mut drawn = tables.others;
    drawn.extend(rejects::examples(folder)?.map(|table| (TableId::Rejects, table)));
    write_page(folder, &Source::new(&manifest, drawn, DataFrame::empty()))?;
    let kept = params.to.keep_failed(&staging)?;
    prune(params, &staging);
    Ok(kept)
}

/// Writes the files of an artefact below a staging folder, its record last, which has the hashes of
/// the others.
pub(crate) fn write_artefact(
    folder: &Path,
    below: &str,
    artefact: ArtefactFiles,
    metadata: &KeyValueMetadata,
) -> Result<Vec<Output>, PublishError> {
    let ArtefactFiles { texts, tables, mut record } = artefact;
    let mut outputs = Vec::new();
    for (name, mut table) in tables {
        let output = write(folder, &format!("{below}/{name}"), &mut table, metadata)?;
        record.files.insert(name, output.blake3.clone());
        outputs.push(output);
    }
    let record = (artefact::RECORD.to_owned(), record.to_json().into_bytes());
    for (name, bytes) in texts.into_iter().chain([record]) {
        outputs.push(write_bytes(folder, &format!("{below}/{name}"), &bytes)?);
    }
    Ok(outputs)
}

fn write_bytes(folder: &Path, name: &str, bytes: &[u8]) -> Result<Output, PublishError> {
    let path = folder.join(name);
    files::create_folders(folder, Path::new(name))?;
    fs::write(&path, bytes).map_err(at(&path))?;
    Ok(Output {
        path: name.to_owned(),
        rows: None,
        bytes: bytes.len(),
        blake3: artefact::hash(bytes),
    })
}

/// Draws the page from the tables as they are published.
fn write_report(
    folder: &Path,
    manifest: &Manifest,
    tables: &Tables,
) -> Result<Output, PublishError> {
    let _span = info_span!("report").entered();
    let newest = by_snapshot(&tables.segments)?.pop().map(|(_, newest)| newest);
    let mut drawn: BTreeMap<TableId, DataFrame> =
        report::TABLES.into_iter().filter_map(|id| Some((id, tables.get(id)?.clone()))).collect();
    drawn.extend(rejects::examples(folder)?.map(|table| (TableId::Rejects, table)));
    write_page(folder, &Source::new(manifest, drawn, newest.unwrap_or_default()))
}

fn write_page(folder: &Path, source: &Source<'_>) -> Result<Output, PublishError> {
    let failed = |source| PublishError::Report { path: folder.join(REPORT), source };
    write_bytes(
        folder,
        REPORT,
        report::page(source, report::Detail::Plain).map_err(failed)?.as_bytes(),
    )
}

fn write_checks(folder: &Path, inputs: &ManifestInputs<'_>) -> Result<(), PublishError> {
    let path = folder.join("checks.json");
    fs::write(&path, to_json_text(&inputs.checks)).map_err(at(&path))
}
