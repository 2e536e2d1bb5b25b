//! The runs that stand in a place: what they are, and which of them may go.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::{PublishError, at, stage};

/// How the name of a run ends that is not for readers.
pub(super) const FAILED: &str = ".failed";

/// A run in its place.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its folder.
    pub folder: PathBuf,
    /// Its name: the run id, with `.failed` where it is not for readers.
    pub name: String,
    /// When it was written, as the file system has it.
    pub written: SystemTime,
    /// Whether readers see it.
    pub current: bool,
    /// Size of its files.
    pub bytes: u64,
    /// Its manifest; none where its checks failed.
    pub manifest: Option<Value>,
}

impl Run {
    /// Whether its checks or gates failed, so that it was set aside.
    pub fn failed(&self) -> bool {
        self.name.ends_with(FAILED)
    }
}

/// Whether a folder is called as runs are: anything else there is somebody else's.
pub(super) fn is_run(name: &str) -> bool {
    let id = name.trim_end_matches(FAILED);
    id.len() == 16 && id.chars().all(|c| c.is_ascii_hexdigit())
}

/// The runs of a place, the newest first.
///
/// # Errors
/// A folder that cannot be read.
pub fn list(to: &Path) -> Result<Vec<Run>, PublishError> {
    let runs = to.join("runs");
    if !runs.is_dir() {
        return Err(PublishError::NoRuns(to.to_owned()));
    }
    let current = to.join("current").canonicalize().ok();
    let mut found = Vec::new();
    for entry in fs::read_dir(&runs).map_err(at(&runs))? {
        let folder = entry.map_err(at(&runs))?.path();
        let name =
            folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !is_run(&name) || !folder.is_dir() {
            continue;
        }
        let manifest = fs::read(folder.join("manifest.json")).ok();
        found.push(Run {
            written: fs::metadata(&folder).and_then(|data| data.modified()).map_err(at(&folder))?,
            current: current.is_some() && folder.canonicalize().ok() == current,
            bytes: size(&folder),
            manifest: manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            name,
            folder,
        });
    }
    found.sort_by(|a, b| b.written.cmp(&a.written).then_with(|| a.name.cmp(&b.name)));
    Ok(found)
}

/// The runs that go where so many are to stay: the oldest, never the one that readers see, and those that have lost their manifest. Runs
/// that failed are counted apart.
pub fn too_old(runs: &[Run], keep: usize) -> Vec<&Run> {
    let (failed, others): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.failed());
    let (whole, damaged): (Vec<&Run>, Vec<&Run>) =
        others.into_iter().partition(|run| run.current || run.manifest.is_some());
    // The one that readers see is counted whatever its age.
    let others = whole.iter().filter(|run| !run.current).copied();
    let kept = keep.saturating_sub(whole.iter().filter(|run| run.current).count());
    others.skip(kept).chain(damaged).chain(failed.into_iter().skip(keep)).collect()
}

/// Removes the runs of a place that are too old, unless another run is writing there.
///
/// # Errors
/// A folder that will not go, or another run that is writing.
pub fn prune_at(to: &Path, keep: usize) -> Result<Vec<Run>, PublishError> {
    // A wrong folder is told before a lock is left in it.
    list(to)?;
    let _lock = stage::lock(to)?;
    prune(to, keep)
}

/// Removes the runs that are too old; whoever calls holds the lock.
pub(super) fn prune(to: &Path, keep: usize) -> Result<Vec<Run>, PublishError> {
    let runs = list(to)?;
    let gone: Vec<Run> = too_old(&runs, keep).into_iter().cloned().collect();
    gone.iter().try_for_each(|run| remove(&run.folder))?;
    Ok(gone)
}

/// Takes a run's name away before its files, so that nobody finds half of it.
pub(super) fn remove(folder: &Path) -> Result<(), PublishError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.with_file_name(format!("{}{name}", stage::REMOVED));
    fs::rename(folder, &aside).map_err(at(folder))?;
    fs::remove_dir_all(&aside).map_err(at(&aside))
}

/// Size of what stands in a folder; links are not followed, and what cannot be read counts nothing.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size(&entry.path()),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |data| data.len()),
        _ => 0,
    });
    each.sum()
}
