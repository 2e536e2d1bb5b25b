//! `publish`: [`Tables`] → a run's folder. Everything is written into a fresh folder, read back, and only then shown to
//! readers by one rename of `current`.
//!
//! ```text
//! <to>/current -> runs/<run_id>
//! <to>/runs/<run_id>/…            complete runs
//! <to>/runs/<run_id>.failed/…     what a run leaves behind whose checks failed (checks, ledger, rejects and a page) or whose gates did (everything)
//! <to>/runs/.staging-<run_id>     a run that is being written, or was when its process died
//! <to>/.lock                      held while a run writes
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;
use serde_json::json;
use tracing::{info, info_span};

use crate::artefact::{self, Artefact};
use crate::checks::Verdict;
use crate::columns::SNAPSHOT;
use crate::evaluate::Tables;
use crate::evaluate::gates::{self, Judged};
use crate::ingest::Money;
use crate::remote::RemoteError;
use crate::report::{self, ReportError, Source};
use crate::rfm::by_snapshot;

pub mod anatomy;
mod files;
pub mod footer;
pub mod manifest;
pub mod mirror;
mod published;
pub mod runs;
mod stage;
mod written;

use files::write;
pub use files::{text_to_file, to_file, writable};
pub use footer::footer_metadata;
pub use manifest::{CustomersRead, Depends, Facts, Manifest, Output};
pub use mirror::Mirror;
pub use published::Published;
use published::segments_file;
pub use stage::{Staging, stage};
pub use written::publish_written;

/// File of the rejected rows, which the scan writes.
const REJECTS: &str = "rejects.parquet";
/// The page of the run.
const REPORT: &str = "report.html";

/// The artefact with its files, to be written into its folder.
#[derive(Debug, Clone)]
pub struct Files {
    /// Files of text by name.
    pub texts: Vec<(String, Vec<u8>)>,
    /// Tables by file name.
    pub tables: Vec<(String, DataFrame)>,
    /// The record, which does not know the hashes of the tables yet.
    pub record: Artefact,
}

/// Checked options of `publish`.
#[derive(Debug, Clone)]
pub struct PublishParams {
    /// Folder of the results, or of what mirrors them where they are remote.
    pub to: PathBuf,
    /// Where the results are remote.
    pub mirror: Option<Mirror>,
    /// How many runs stay, the one that readers see among them; all where it is not said.
    pub keep_runs: Option<usize>,
}

impl PublishParams {
    /// Where readers find the run that was published last.
    pub fn shown(&self) -> PathBuf {
        match &self.mirror {
            Some(mirror) => PathBuf::from(format!("{}/manifest.json", mirror.url)),
            None => self.whole().join("current"),
        }
    }

    /// Folder or URL of the results.
    pub fn place(&self) -> String {
        self.mirror
            .as_ref()
            .map_or_else(|| self.whole().display().to_string(), |mirror| mirror.url.clone())
    }

    /// Where readers find a certain run.
    pub fn run(&self, run_id: &str) -> PathBuf {
        match &self.mirror {
            Some(mirror) => PathBuf::from(format!("{}/runs/{run_id}", mirror.url)),
            None => self.whole().join("runs").join(run_id),
        }
    }

    fn whole(&self) -> PathBuf {
        self.to.canonicalize().unwrap_or_else(|_| self.to.clone())
    }
}

/// Why a run could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another run is writing there.
    #[error("another run is writing to {}; nothing was changed", .0.display())]
    Locked(PathBuf),
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Polars could not write a table.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: PolarsError,
    },
    /// A written file does not read back as what was written.
    #[error("{} does not read back: {reason}", path.display())]
    Unverified {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// A file that is none of Parquet.
    #[error("{} is no Parquet file: {reason}", path.display())]
    NotParquet {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A folder without runs.
    #[error("{} holds no runs; expected the folder that a pipeline publishes to", .0.display())]
    NoRuns(PathBuf),
    /// A file of a kind that is not written.
    #[error("{}: expected a name that ends in .csv or .parquet", .0.display())]
    Suffix(PathBuf),
    /// A gate failed; what the run made is set aside.
    #[error("a gate failed; nothing was published\n{}  what the run made stands in {}", gates::in_words(judged), place.display())]
    Gates {
        /// What every gate found.
        judged: Vec<Judged>,
        /// Folder of what the run made.
        place: PathBuf,
    },
    /// An object store refused, or could not be reached.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The page of a run could not be drawn.
    #[error("{}: {source}", path.display())]
    Report {
        /// The page, or the run.
        path: PathBuf,
        /// Why not.
        source: ReportError,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] PolarsError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PublishError + '_ {
    move |source| PublishError::Io { path: path.to_owned(), source }
}

/// Writes every table, reads each back, writes the manifest, and shows the run to readers; where a gate failed, only if it is
/// published anyway.
///
/// A run that is already there with the same bytes stays as it is, so readers of it are not disturbed.
///
/// # Errors
/// What could not be written or does not read back, or a gate that failed; readers then still see the run before.
pub fn publish(
    staging: Staging,
    tables: &Tables,
    files: Files,
    facts: Facts<'_>,
    anyway: bool,
) -> Result<Manifest, PublishError> {
    let metadata = footer_metadata(facts.pipeline, facts.definition_hash, facts.money);
    let one = |(snapshot, part): (NaiveDate, DataFrame)| {
        let same = |run: &&Published| {
            run.segments(snapshot).is_ok_and(|earlier| earlier.equals_missing(&part))
        };
        match facts.earlier.filter(same) {
            Some(run) => run.link(snapshot, staging.folder.path()),
            None => write(
                staging.folder.path(),
                &segments_file(snapshot),
                &mut part.drop(SNAPSHOT)?,
                &metadata,
            ),
        }
    };
    let parts = by_snapshot(&tables.segments)?;
    let (segments, rejects) = rayon::join(
        || parts.into_par_iter().map(one).collect::<Result<Vec<Output>, _>>(),
        || footer::verify(staging.folder.path(), REJECTS, None),
    );
    let mut outputs = segments?;
    outputs.push(rejects?);
    finish(staging, tables, files, facts, outputs, anyway)
}

/// Writes all but the segments and the rejects, whose `outputs` are there, and shows the run to readers.
fn finish(
    staging: Staging,
    tables: &Tables,
    files: Files,
    facts: Facts<'_>,
    outputs: Vec<Output>,
    anyway: bool,
) -> Result<Manifest, PublishError> {
    let shown = anyway || facts.judged.iter().all(|gate| gate.passed);
    let metadata = footer_metadata(facts.pipeline, facts.definition_hash, facts.money);
    if !facts.verdicts.is_empty() {
        write_checks(staging.folder.path(), facts.verdicts)?;
    }
    let mut manifest = Manifest::of(&staging.run_id, facts, tables, outputs)?;
    let folder = staging.folder.path();
    let other = |(name, table): &(&str, DataFrame)| {
        write(folder, &format!("{name}.parquet"), &mut table.clone(), &metadata)
    };
    let others = || tables.others.par_iter().map(other).collect::<Result<Vec<Output>, _>>();
    // A page shows customers, too, who are not at hand where others wrote them.
    let page = || {
        (tables.segments.width() > 0).then(|| write_report(folder, &manifest, tables)).transpose()
    };
    let ((others, artefact), page) = rayon::join(
        || rayon::join(others, || write_artefact(folder, artefact::FOLDER, files, &metadata)),
        page,
    );
    let written = [others?, artefact?, page?.into_iter().collect()];
    manifest.outputs.extend(written.into_iter().flatten());
    manifest.outputs.sort_by(|a, b| a.path.cmp(&b.path));
    let path = staging.folder.path().join("manifest.json");
    fs::write(&path, manifest.to_json()).map_err(at(&path))?;
    match shown {
        true => {
            staging.show()?;
            info!(run_id = manifest.run_id, "run published");
            Ok(manifest)
        }
        false => Err(PublishError::Gates { judged: manifest.gates, place: staging.keep_failed()? }),
    }
}

/// Leaves the checks, the ledger, the rejects and a page of a run whose checks failed where people find them and readers do not.
///
/// # Errors
/// What could not be written.
pub fn set_aside(
    staging: Staging,
    ledger: &DataFrame,
    verdicts: &[Verdict],
    pipeline: &str,
    definition_hash: &str,
    money: &Money,
) -> Result<PathBuf, PublishError> {
    let metadata = footer_metadata(pipeline, definition_hash, money);
    write(staging.folder.path(), "ledger.parquet", &mut ledger.clone(), &metadata)?;
    write_checks(staging.folder.path(), verdicts)?;
    let manifest = json!({
        "run_id": staging.run_id,
        "pipeline": pipeline,
        "version": env!("CARGO_PKG_VERSION"),
        "definition_hash": definition_hash,
        "definition": { "money": { "scale": money.scale, "currency": money.currency } },
        "checks": verdicts,
        "rows": manifest::Rows::of(Some(ledger), 0)?,
    });
    let tables = BTreeMap::from([("ledger", ledger.clone())]);
    write_page(staging.folder.path(), &Source::new(&manifest, tables, DataFrame::empty()))?;
    staging.keep_failed()
}

/// The artefact's files at a place in a staging folder, and last its record, which names the hashes of the others.
pub fn write_artefact(
    folder: &Path,
    place: &str,
    files: Files,
    metadata: &KeyValueMetadata,
) -> Result<Vec<Output>, PublishError> {
    let Files { texts, tables, mut record } = files;
    let mut outputs = Vec::new();
    for (name, mut table) in tables {
        let output = write(folder, &format!("{place}/{name}"), &mut table, metadata)?;
        record.files.insert(name, output.blake3.clone());
        outputs.push(output);
    }
    let record = (artefact::RECORD.to_owned(), record.to_json().into_bytes());
    for (name, bytes) in texts.into_iter().chain([record]) {
        let name = format!("{place}/{name}");
        let path = folder.join(&name);
        files::folders(folder, Path::new(&name))?;
        fs::write(&path, &bytes).map_err(at(&path))?;
        outputs.push(Output {
            path: name,
            rows: None,
            bytes: bytes.len(),
            blake3: artefact::hash(&bytes),
        });
    }
    Ok(outputs)
}

/// The page, drawn from the tables as they are published.
fn write_report(
    folder: &Path,
    manifest: &Manifest,
    tables: &Tables,
) -> Result<Output, PublishError> {
    let _span = info_span!("report").entered();
    let newest = by_snapshot(&tables.segments)?.pop().map(|(_, newest)| newest).unwrap_or_default();
    let drawn = report::TABLES
        .into_iter()
        .filter_map(|name| Some((name, tables.get(name)?.clone())))
        .collect();
    write_page(folder, &Source::new(&json!(manifest), drawn, newest))
}

fn write_page(folder: &Path, source: &Source<'_>) -> Result<Output, PublishError> {
    let path = folder.join(REPORT);
    let failed = |source| PublishError::Report { path: path.clone(), source };
    let page = report::page(source).map_err(failed)?;
    fs::write(&path, &page).map_err(at(&path))?;
    Ok(Output {
        path: REPORT.to_owned(),
        rows: None,
        bytes: page.len(),
        blake3: artefact::hash(page.as_bytes()),
    })
}

/// The checks as a file.
fn write_checks(folder: &Path, verdicts: &[Verdict]) -> Result<(), PublishError> {
    let path = folder.join("checks.json");
    // Verdicts are plain data, which cannot fail to serialise.
    let text = serde_json::to_string_pretty(verdicts).unwrap_or_default() + "\n";
    fs::write(&path, text).map_err(at(&path))
}
