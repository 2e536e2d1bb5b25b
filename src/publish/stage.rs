//! A run that is being written: its fresh folder, the lock on its place, and the renames that show it to readers.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{CWD, RenameFlags};
use tracing::warn;

use super::mirror::Mirror;
use super::runs::{self, FAILED};
use super::{PublishError, PublishParams, REJECTS, at, footer};
use crate::scratch::{self, Scratch, undisturbed};

/// How the names of what is not for readers begin: a run that is being written, and one that is being removed.
const STAGING: &str = ".staging-";
pub(super) const REMOVED: &str = ".removed-";
/// The link that is to become `current`.
const CURRENT: &str = ".current";

/// A fresh folder that no reader sees yet, and the lock on its place.
pub struct Staging {
    to: PathBuf,
    pub(super) folder: Scratch,
    pub(super) run_id: String,
    keep_runs: Option<usize>,
    mirror: Option<Mirror>,
    /// Held until the run ends; the kernel frees it when the process dies.
    _lock: File,
}

/// Takes the lock and makes the fresh folder; what dead runs left behind is cleared away.
///
/// # Errors
/// A folder that cannot be written, or that another run is writing to.
pub fn stage(params: &PublishParams, run_id: &str) -> Result<Staging, PublishError> {
    let PublishParams { to, keep_runs, mirror } = params.clone();
    if let Some(mirror) = &mirror {
        mirror.try_out()?;
    }
    let lock = lock(&to)?;
    let current = to.join("current");
    if current.symlink_metadata().is_ok_and(|data| !data.is_symlink()) {
        let words = io::Error::new(
            io::ErrorKind::AlreadyExists,
            "stands where the link to the newest run is to be",
        );
        return Err(at(&current)(words));
    }
    let path = to.join("runs").join(format!("{STAGING}{run_id}"));
    let made = Scratch::made(|| Ok((fs::create_dir(&path)?, path.clone())));
    let ((), folder) = made.map_err(at(&path))?;
    Ok(Staging { to, folder, run_id: run_id.to_owned(), keep_runs, mirror, _lock: lock })
}

/// Takes the lock on a place, makes it where it is not there yet, and clears away what dead runs left behind.
///
/// # Errors
/// A folder that cannot be written, or that another run is writing to.
pub(super) fn lock(to: &Path) -> Result<File, PublishError> {
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
        if name == CURRENT || [STAGING, REMOVED].iter().any(|begins| name.starts_with(begins)) {
            scratch::remove(&path).map_err(at(&path))?;
        }
    }
    Ok(lock)
}

impl Staging {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the scan writes the rejected rows.
    pub fn rejects(&self) -> PathBuf {
        self.folder.path().join(REJECTS)
    }

    /// Moves the run to its place, swaps `current`, each by one rename, and lets go of runs that are too old.
    pub(super) fn show(self) -> Result<(), PublishError> {
        sync_tree(self.folder.path())?;
        let place = self.to.join("runs").join(&self.run_id);
        undisturbed(|| {
            // The rejects may stand in another order with another number of threads; that is no reason to disturb readers.
            if !footer::same_run(&place, self.folder.path()) {
                take_place(self.folder.path(), &place).map_err(at(&place))?;
            }
            point(&self.to, &self.run_id)
        })?;
        if let Some(mirror) = &self.mirror {
            mirror.show(&self.run_id)?;
        }
        // What an earlier try left behind whose gates failed is told by the run itself now.
        let failed = self.to.join("runs").join(format!("{}{FAILED}", self.run_id));
        let gone = if failed.exists() { runs::remove(&failed) } else { Ok(()) };
        // The run is there for its readers; what will not go beside it is no failure of it.
        if let Err(error) = gone.and_then(|()| self.let_go()) {
            warn!(%error, "older runs could not be removed");
        }
        Ok(())
    }

    /// Removes runs that are too old.
    fn let_go(&self) -> Result<(), PublishError> {
        match (self.keep_runs, &self.mirror) {
            (Some(keep), Some(mirror)) => mirror.prune(&self.run_id, keep),
            (Some(keep), None) => runs::prune(&self.to, keep).map(|_| ()),
            (None, _) => Ok(()),
        }
    }

    /// Moves what a run made to where people find it and readers do not.
    pub(super) fn keep_failed(self) -> Result<PathBuf, PublishError> {
        let place = self.to.join("runs").join(format!("{}{FAILED}", self.run_id));
        undisturbed(|| take_place(self.folder.path(), &place)).map_err(at(&place))?;
        let kept =
            self.mirror.as_ref().map_or(Ok(place.clone()), |mirror| mirror.keep_failed(&place))?;
        if let Err(error) = self.let_go() {
            warn!(%error, "older runs could not be removed");
        }
        Ok(kept)
    }
}

/// Gives a folder the name of another, which, where it is there, takes the first one's name in the same moment.
fn take_place(folder: &Path, place: &Path) -> io::Result<()> {
    // A link that leads nowhere is there all the same.
    if place.symlink_metadata().is_err() {
        return fs::rename(folder, place);
    }
    // Not every file system can swap two names; there, readers of the damaged folder are without one for a moment.
    rustix::fs::renameat_with(CWD, folder, CWD, place, RenameFlags::EXCHANGE).or_else(|_| {
        scratch::remove(place)?;
        fs::rename(folder, place)
    })
}

/// Swaps `current` by one rename.
pub(super) fn point(to: &Path, run_id: &str) -> Result<(), PublishError> {
    let (runs, current) = (to.join("runs"), to.join("current"));
    let fresh = runs.join(CURRENT);
    let _ = fs::remove_file(&fresh);
    // The link is made beside the runs but read from `current`, so its target is spelled from there.
    let target = Path::new("runs").join(run_id);
    std::os::unix::fs::symlink(&target, &fresh).map_err(at(&fresh))?;
    // The run's own name has to be on the disk before a link points to it.
    File::open(&runs).and_then(|handle| handle.sync_all()).map_err(at(&runs))?;
    fs::rename(&fresh, &current).map_err(at(&current))?;
    File::open(to).and_then(|handle| handle.sync_all()).map_err(at(to))
}

/// Flushes every file and folder to the disk, so that `current` never points at what a power cut can take away.
fn sync_tree(folder: &Path) -> Result<(), PublishError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry.map_err(at(folder))?.path()))
        .collect::<Result<_, PublishError>>()?;
    // A disk flushes many files in little more time than one.
    paths.par_iter().try_for_each(|path| match path.is_dir() {
        true => sync_tree(path),
        false => File::open(path).and_then(|file| file.sync_all()).map_err(at(path)),
    })?;
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(at(folder))
}
