//! Runs of a local destination: listing and removal.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::local_folder::{REMOVED, lock};
use super::{PublishError, at};
use crate::manifest::Manifest;

/// Suffix of the names of failed runs.
pub(super) const FAILED: &str = ".failed";

/// A run of a destination.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) folder: PathBuf,
    /// The run id, with `.failed` for failed runs.
    pub(crate) name: String,
    /// Modification time of the folder.
    pub(crate) written: SystemTime,
    /// Whether `current` points to it.
    pub(crate) current: bool,
    /// Size of its files in bytes.
    pub(crate) bytes: u64,
    /// `None` if its checks failed or the file is damaged.
    pub(crate) manifest: Option<Manifest>,
}

impl Run {
    /// Whether its checks or gates failed.
    pub(crate) fn failed(&self) -> bool {
        self.name.ends_with(FAILED)
    }
}

/// Whether a folder has the name of a run. Other folders are never touched.
pub(super) fn is_run(name: &str) -> bool {
    let id = name.trim_end_matches(FAILED);
    id.len() == 16 && id.chars().all(|c| c.is_ascii_hexdigit())
}

/// The runs of a destination, newest first.
pub(crate) fn list(to: &Path) -> Result<Vec<Run>, PublishError> {
    let runs = to.join("runs");
    if !runs.is_dir() {
        return Err(PublishError::NoRuns(to.to_owned()));
    }
    let current = to.join("current").canonicalize().ok();
    let mut found = Vec::new();
    for entry in fs::read_dir(&runs).map_err(at(&runs))? {
        let entry = entry.map_err(at(&runs))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let folder = entry.path();
        if !is_run(&name) || !folder.is_dir() {
            continue;
        }
        found.push(Run {
            written: fs::metadata(&folder).and_then(|data| data.modified()).map_err(at(&folder))?,
            current: current.is_some() && folder.canonicalize().ok() == current,
            bytes: size(&folder),
            manifest: Manifest::read(&folder).ok(),
            name,
            folder,
        });
    }
    found.sort_by(|a, b| b.written.cmp(&a.written).then_with(|| a.name.cmp(&b.name)));
    Ok(found)
}

/// The runs to remove so that `keep` stay: the oldest, never the current one or the one that it is
/// compared with, and all that have lost their manifest. Failed runs are counted apart.
pub(crate) fn too_old(runs: &[Run], keep: usize) -> Vec<&Run> {
    let (failed, others): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.failed());
    let (complete, damaged): (Vec<&Run>, Vec<&Run>) =
        others.into_iter().partition(|run| run.current || run.manifest.is_some());
    let (current, old): (Vec<&Run>, Vec<&Run>) = complete.into_iter().partition(|run| run.current);
    let kept = keep.saturating_sub(current.len());
    let compared = current.iter().filter_map(|run| run.manifest.as_ref()?.compared_with.as_ref());
    let compared: Vec<&str> = compared.map(|compared| compared.run_id.as_str()).collect();
    let old = old.into_iter().skip(kept).filter(|run| !compared.contains(&run.name.as_str()));
    old.chain(damaged).chain(failed.into_iter().skip(keep)).collect()
}

/// Removes old runs, unless another run is writing to the destination.
///
/// # Errors
/// A failed removal, or a destination that is locked.
pub(crate) fn prune_unlocked(to: &Path, keep: usize) -> Result<Vec<Run>, PublishError> {
    // A wrong folder is reported before a lock file is left in it.
    list(to)?;
    let _lock = lock(to)?;
    prune(to, keep)
}

/// Removes old runs. The caller holds the lock.
pub(super) fn prune(to: &Path, keep: usize) -> Result<Vec<Run>, PublishError> {
    let runs = list(to)?;
    let old: Vec<Run> = too_old(&runs, keep).into_iter().cloned().collect();
    old.iter().try_for_each(|run| remove(&run.folder))?;
    Ok(old)
}

/// Renames a run before its files are removed, so that readers never see half of it.
pub(super) fn remove(folder: &Path) -> Result<(), PublishError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let renamed = folder.with_file_name(format!("{REMOVED}{name}"));
    fs::rename(folder, &renamed).map_err(at(folder))?;
    fs::remove_dir_all(&renamed).map_err(at(&renamed))
}

/// Size of the files in a folder. Links are not followed, unreadable files count as empty.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size(&entry.path()),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |data| data.len()),
        _ => 0,
    });
    sizes.sum()
}
