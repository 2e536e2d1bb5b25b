//! `publish`: [`Tables`] → a run's folder. Everything is written into a fresh folder, read back, and only then shown to
//! readers by one rename of `current`.
//!
//! ```text
//! <to>/current -> runs/<run_id>
//! <to>/runs/<run_id>/…            complete runs
//! <to>/runs/<run_id>.failed/…     what a run leaves behind whose checks failed (checks, ledger and rejects) or whose gates did (everything)
//! <to>/runs/.staging-<run_id>     a run that is being written, or was when its process died
//! <to>/.lock                      held while a run writes
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;

use crate::artefact::{self, Artefact};
use crate::checks::Verdict;
use crate::columns::SNAPSHOT;
use crate::evaluate::Tables;
use crate::evaluate::gates::{self, Judged};
use crate::rfm::by_snapshot;

pub mod footer;
pub mod manifest;
mod published;

pub use footer::footer_metadata;
pub use manifest::{CustomersRead, Depends, Facts, Manifest, Output};
pub use published::Published;
use published::segments_file;

/// File of the rejected rows, which the scan writes.
const REJECTS: &str = "rejects.parquet";

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishParams {
    /// Folder of the results.
    pub to: PathBuf,
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
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] PolarsError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PublishError + '_ {
    move |source| PublishError::Io { path: path.to_owned(), source }
}

/// A fresh folder that no reader sees yet, and the lock on its place.
pub struct Staging {
    to: PathBuf,
    folder: PathBuf,
    run_id: String,
    /// Held until the run ends; the kernel frees it when the process dies.
    _lock: File,
}

/// Takes the lock and makes the fresh folder; what dead runs left behind is cleared away.
///
/// # Errors
/// A folder that cannot be written, or that another run is writing to.
pub fn stage(params: &PublishParams, run_id: &str) -> Result<Staging, PublishError> {
    let runs = params.to.join("runs");
    fs::create_dir_all(&runs).map_err(at(&runs))?;
    let lock_path = params.to.join(".lock");
    let lock = File::create(&lock_path).map_err(at(&lock_path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(PublishError::Locked(params.to.clone())),
        Err(TryLockError::Error(error)) => return Err(at(&lock_path)(error)),
    }
    for entry in fs::read_dir(&runs).map_err(at(&runs))? {
        let path = entry.map_err(at(&runs))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            fs::remove_dir_all(&path).map_err(at(&path))?;
        }
    }
    let folder = runs.join(format!(".staging-{run_id}"));
    fs::create_dir(&folder).map_err(at(&folder))?;
    Ok(Staging { to: params.to.clone(), folder, run_id: run_id.to_owned(), _lock: lock })
}

impl Staging {
    /// Folder in which scratch folders may stand; what is left of them goes with the next run.
    pub fn place(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.to)
    }

    /// Where the scan writes the rejected rows.
    pub fn rejects(&self) -> PathBuf {
        self.folder.join(REJECTS)
    }
}

/// Removes the folder of a run that did not come to its end.
impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing can be done about a folder that will not go; the next run tries again.
        let _ = fs::remove_dir_all(&self.folder);
    }
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
    let shown = anyway || facts.judged.iter().all(|gate| gate.passed);
    let metadata = footer_metadata(facts.pipeline, facts.definition_hash, facts.money);
    let one = |(snapshot, part): (NaiveDate, DataFrame)| {
        let same = |run: &&Published| run.segments(snapshot).is_ok_and(|earlier| earlier.equals_missing(&part));
        match facts.earlier.filter(same) {
            Some(run) => run.link(snapshot, &staging.folder),
            None => write(&staging.folder, &segments_file(snapshot), &mut part.drop(SNAPSHOT)?, &metadata),
        }
    };
    let mut outputs: Vec<Output> = by_snapshot(&tables.segments)?.into_par_iter().map(one).collect::<Result<_, _>>()?;
    for (name, table) in &tables.others {
        outputs.push(write(&staging.folder, &format!("{name}.parquet"), &mut table.clone(), &metadata)?);
    }
    outputs.push(footer::verify(&staging.folder, REJECTS, None)?);
    outputs.extend(write_artefact(&staging.folder, files, &metadata)?);
    if !facts.verdicts.is_empty() {
        write_checks(&staging.folder, facts.verdicts)?;
    }
    outputs.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest::of(&staging.run_id, facts, tables, outputs)?;
    let path = staging.folder.join("manifest.json");
    fs::write(&path, manifest.to_json()).map_err(at(&path))?;
    sync_tree(&staging.folder)?;
    match shown {
        true => show(&staging).map(|()| manifest),
        false => Err(PublishError::Gates { judged: manifest.gates, place: keep_failed(&staging)? }),
    }
}

/// Moves what a run made to where people find it and readers do not.
fn keep_failed(staging: &Staging) -> Result<PathBuf, PublishError> {
    let place = staging.place().join(format!("{}.failed", staging.run_id));
    if place.exists() {
        fs::remove_dir_all(&place).map_err(at(&place))?;
    }
    fs::rename(&staging.folder, &place).map_err(at(&place))?;
    Ok(place)
}

/// Leaves the checks, the ledger and the rejects of a run whose checks failed where people find them and readers do not.
///
/// # Errors
/// What could not be written.
pub fn set_aside(
    staging: Staging,
    ledger: &DataFrame,
    verdicts: &[Verdict],
    metadata: &KeyValueMetadata,
) -> Result<PathBuf, PublishError> {
    write(&staging.folder, "ledger.parquet", &mut ledger.clone(), metadata)?;
    write_checks(&staging.folder, verdicts)?;
    keep_failed(&staging)
}

/// The artefact's files, and last its record, which names the hashes of the others.
fn write_artefact(folder: &Path, files: Files, metadata: &KeyValueMetadata) -> Result<Vec<Output>, PublishError> {
    let Files { texts, tables, mut record } = files;
    let mut outputs = Vec::new();
    for (name, mut table) in tables {
        let output = write(folder, &format!("{}/{name}", artefact::FOLDER), &mut table, metadata)?;
        record.files.insert(name, output.blake3.clone());
        outputs.push(output);
    }
    let record = (artefact::RECORD.to_owned(), record.to_json().into_bytes());
    for (name, bytes) in texts.into_iter().chain([record]) {
        let name = format!("{}/{name}", artefact::FOLDER);
        let path = folder.join(&name);
        let parent = folder.join(artefact::FOLDER);
        fs::create_dir_all(&parent).map_err(at(&parent))?;
        fs::write(&path, &bytes).map_err(at(&path))?;
        outputs.push(Output { path: name, rows: None, bytes: bytes.len(), blake3: artefact::hash(&bytes) });
    }
    Ok(outputs)
}

/// The checks as a file.
fn write_checks(folder: &Path, verdicts: &[Verdict]) -> Result<(), PublishError> {
    let path = folder.join("checks.json");
    // Verdicts are plain data, which cannot fail to serialise.
    let text = serde_json::to_string_pretty(verdicts).unwrap_or_default() + "\n";
    fs::write(&path, text).map_err(at(&path))
}

fn write(
    folder: &Path,
    name: &str,
    table: &mut DataFrame,
    metadata: &KeyValueMetadata,
) -> Result<Output, PublishError> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    let file = File::create(&path).map_err(at(&path))?;
    ParquetWriter::new(file)
        .with_compression(ParquetCompression::Zstd(None))
        .with_key_value_metadata(Some(metadata.clone()))
        .finish(table.rechunk_mut())
        .map_err(|source| PublishError::Write { path, source })?;
    footer::verify(folder, name, Some(table))
}

/// The suffix of a file that can be written: csv or parquet.
///
/// # Errors
/// Another suffix.
pub fn writable(path: &Path) -> Result<&str, PublishError> {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    suffix.filter(|suffix| ["csv", "parquet"].contains(suffix)).ok_or_else(|| PublishError::Suffix(path.to_owned()))
}

/// Writes a table into one file, CSV or Parquet by its suffix; a file that is there stays whole until the new one is.
///
/// # Errors
/// Another suffix, or a place that cannot be written.
pub fn to_file(path: &Path, frame: &mut DataFrame) -> Result<(), PublishError> {
    let suffix = writable(path)?;
    let place = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As the system's own tools make files: the user's mask decides who may read it.
    let everybody = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(everybody).tempfile_in(place).map_err(at(place))?;
    let written = match suffix {
        "csv" => CsvWriter::new(&mut file).finish(frame),
        _ => ParquetWriter::new(&mut file).finish(frame).map(|_| ()),
    };
    written.map_err(|source| PublishError::Write { path: path.to_owned(), source })?;
    file.persist(path).map_err(|error| at(path)(error.error))?;
    Ok(())
}

/// Flushes every file and folder to the disk, so that `current` never points at what a power cut can take away.
fn sync_tree(folder: &Path) -> Result<(), PublishError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry.map_err(at(folder))?.path())).collect::<Result<_, PublishError>>()?;
    // A disk flushes many files in little more time than one.
    paths.par_iter().try_for_each(|path| match path.is_dir() {
        true => sync_tree(path),
        false => File::open(path).and_then(|file| file.sync_all()).map_err(at(path)),
    })?;
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(at(folder))
}

/// Moves the run to its place and swaps `current`, each by one rename.
fn show(staging: &Staging) -> Result<(), PublishError> {
    let runs = staging.to.join("runs");
    let place = runs.join(&staging.run_id);
    // The rejects may stand in another order with another number of threads; that is no reason to disturb readers.
    if !footer::same_run(&place, &staging.folder) {
        if place.exists() {
            let aside = runs.join(format!(".damaged-{}", staging.run_id));
            fs::rename(&place, &aside).map_err(at(&place))?;
            fs::rename(&staging.folder, &place).map_err(at(&place))?;
            fs::remove_dir_all(&aside).map_err(at(&aside))?;
        } else {
            fs::rename(&staging.folder, &place).map_err(at(&place))?;
        }
    }
    // What an earlier try left behind whose gates failed is told by the run itself now.
    let failed = runs.join(format!("{}.failed", staging.run_id));
    if failed.exists() {
        fs::remove_dir_all(&failed).map_err(at(&failed))?;
    }
    let current = staging.to.join("current");
    let fresh = runs.join(".current");
    let _ = fs::remove_file(&fresh);
    let target = Path::new("runs").join(&staging.run_id);
    // The link is made beside the runs but read from `current`, so its target is spelled from there.
    std::os::unix::fs::symlink(&target, &fresh).map_err(at(&fresh))?;
    fs::rename(&fresh, &current).map_err(at(&current))?;
    for folder in [&runs, &staging.to] {
        File::open(folder).and_then(|handle| handle.sync_all()).map_err(at(folder))?;
    }
    Ok(())
}
