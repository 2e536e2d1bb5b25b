//! Runs in a folder of this machine. Readers follow the link `current`.
//!
//! ```text
//! <to>/current -> runs/<run_id> <to>/runs/<run_id>/…            complete runs
//! <to>/runs/<run_id>.failed/…     runs whose checks failed (checks, ledger, rejects, page) or
//! whose gates failed (everything) <to>/runs/.staging-<run_id>     a run that is being written
//! <to>/.lock                      locked while a run writes
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{CWD, RenameFlags};
use tracing::warn;

use super::destination::{Destination, Staging};
use super::runs::{self, FAILED};
use super::{PublishError, Published, at, footer};
use crate::manifest::{MANIFEST, Manifest};
use crate::temp::{self, TempPath, with_signals_deferred};

/// Prefixes of folders that readers ignore: a run that is being written, and one that is being
/// removed.
const STAGING: &str = ".staging-";
pub(super) const REMOVED: &str = ".removed-";
/// The link that is about to become `current`.
const NEW_CURRENT: &str = ".current";

/// A folder of this machine.
#[derive(Debug, Clone)]
pub struct LocalFolder {
    folder: PathBuf,
}

impl LocalFolder {
    /// A folder, which is created by the first run.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder as the pipeline names it.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// Path of a run, without links.
    fn absolute(&self) -> PathBuf {
        self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone())
    }

    fn run_folder(&self, run_id: &str) -> PathBuf {
        self.folder.join("runs").join(run_id)
    }

    fn failed_folder(&self, run_id: &str) -> PathBuf {
        self.folder.join("runs").join(format!("{run_id}{FAILED}"))
    }
}

impl Destination for LocalFolder {
    fn begin(&self, run_id: &str) -> Result<Staging, PublishError> {
        let lock = lock(&self.folder)?;
        let current = self.folder.join("current");
        if current.symlink_metadata().is_ok_and(|data| !data.is_symlink()) {
            let error = io::Error::new(
                io::ErrorKind::AlreadyExists,
                "exists and is not the link to the newest run; move it away",
            );
            return Err(at(&current)(error));
        }
        let path = self.folder.join("runs").join(format!("{STAGING}{run_id}"));
        let created = TempPath::create_with(|| Ok((fs::create_dir(&path)?, path.clone())));
        let ((), folder) = created.map_err(at(&path))?;
        Ok(Staging { folder, run_id: run_id.to_owned(), _lock: lock })
    }

    fn commit(&self, staging: &Staging) -> Result<(), PublishError> {
        sync_tree(staging.path())?;
        let run = self.run_folder(&staging.run_id);
        with_signals_deferred(|| {
            // With another number of threads the rejects may be in another order. Such a run is
            // treated as equal, so that readers are not disturbed.
            if !footer::same_run(&run, staging.path()) {
                replace_dir(staging.path(), &run).map_err(at(&run))?;
            }
            swap_current(&self.folder, &staging.run_id)
        })?;
        let failed = self.failed_folder(&staging.run_id);
        if failed.exists()
            && let Err(error) = runs::remove(&failed)
        {
            warn!(%error, "the failed attempt of this run could not be removed");
        }
        Ok(())
    }

    fn keep_failed(&self, staging: &Staging) -> Result<PathBuf, PublishError> {
        let folder = self.failed_folder(&staging.run_id);
        with_signals_deferred(|| replace_dir(staging.path(), &folder)).map_err(at(&folder))?;
        Ok(folder)
    }

    fn prune(&self, _staging: &Staging, keep: usize) -> Result<(), PublishError> {
        runs::prune(&self.folder, keep).map(|_| ())
    }

    fn current(&self) -> Result<Option<Published>, PublishError> {
        if !self.folder.join("current").exists() {
            return Ok(None);
        }
        Ok(Published::open(&self.folder).ok().filter(Published::is_complete))
    }

    fn current_manifest(&self) -> Result<Option<Manifest>, PublishError> {
        Ok(Manifest::read_file(&self.folder.join("current").join(MANIFEST)).ok())
    }

    fn run(&self, run_id: &str) -> Result<Option<Published>, PublishError> {
        Ok(Published::open(&self.run_folder(run_id)).ok())
    }

    fn url(&self) -> String {
        self.absolute().display().to_string()
    }

    fn local_folder(&self) -> Option<&Path> {
        Some(&self.folder)
    }

    fn current_path(&self) -> PathBuf {
        self.absolute().join("current")
    }

    fn run_path(&self, run_id: &str) -> PathBuf {
        self.absolute().join("runs").join(run_id)
    }
}

/// Locks a folder, which is created if needed, and removes what dead runs left in it.
///
/// # Errors
/// A folder that cannot be written, or that another run is writing to.
pub(super) fn lock(to: &Path) -> Result<File, PublishError> {
    if to.is_file() {
        let error = io::Error::new(io::ErrorKind::NotADirectory, "is a file, expected a folder");
        return Err(at(to)(error));
    }
    let runs = to.join("runs");
    fs::create_dir_all(&runs).map_err(at(&runs))?;
    let lock_path = to.join(".lock");
    let lock = File::create(&lock_path).map_err(at(&lock_path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(PublishError::Locked(to.to_owned())),
        Err(TryLockError::Error(error)) => return Err(at(&lock_path)(error)),
    }
    for entry in fs::read_dir(&runs).map_err(at(&runs))? {
        let path = entry.map_err(at(&runs))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let leftover = [STAGING, REMOVED].iter().any(|prefix| name.starts_with(prefix));
        if name == NEW_CURRENT || leftover {
            temp::remove(&path).map_err(at(&path))?;
        }
    }
    Ok(lock)
}

/// Renames a folder to a path. A folder that is already there gets the first one's name, in one
/// step.
fn replace_dir(folder: &Path, path: &Path) -> io::Result<()> {
    // A broken link exists, too.
    if path.symlink_metadata().is_err() {
        return fs::rename(folder, path);
    }
    // Some file systems cannot exchange two names. There, the folder is absent for a moment.
    rustix::fs::renameat_with(CWD, folder, CWD, path, RenameFlags::EXCHANGE).or_else(|_| {
        temp::remove(path)?;
        fs::rename(folder, path)
    })
}

/// Points `current` to a run by one rename.
pub(super) fn swap_current(to: &Path, run_id: &str) -> Result<(), PublishError> {
    let runs = to.join("runs");
    let current = to.join("current");
    let link = runs.join(NEW_CURRENT);
    let _ = fs::remove_file(&link);
    // The target is relative to the folder of `current`, not to that of the temporary link.
    let target = Path::new("runs").join(run_id);
    std::os::unix::fs::symlink(&target, &link).map_err(at(&link))?;
    // The run's own name must be on disk before a link points to it.
    sync(&runs)?;
    fs::rename(&link, &current).map_err(at(&current))?;
    sync(to)
}

/// Flushes all files and folders to disk, so that `current` never points at files that a power cut
/// can lose.
fn sync_tree(folder: &Path) -> Result<(), PublishError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry.map_err(at(folder))?.path()))
        .collect::<Result<_, PublishError>>()?;
    // In parallel: a disk flushes many files in little more time than one.
    paths
        .par_iter()
        .try_for_each(|path| if path.is_dir() { sync_tree(path) } else { sync(path) })?;
    sync(folder)
}

fn sync(path: &Path) -> Result<(), PublishError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(at(path))
}
