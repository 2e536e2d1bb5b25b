//! Temporary files and folders, deleted on drop or on a terminating signal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

static LIVE_PATHS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file or folder that is deleted on drop.
#[derive(Debug)]
pub struct TempPath(PathBuf);

impl TempPath {
    /// Registers a path, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        live_paths().push(path.clone());
        Self(path)
    }

    /// Creates a file or folder and registers its path in one step: signals are deferred until both
    /// are done.
    pub fn create_with<T>(
        create: impl FnOnce() -> io::Result<(T, PathBuf)>,
    ) -> io::Result<(T, Self)> {
        let mut live = live_paths();
        let (created, path) = create()?;
        live.push(path.clone());
        Ok((created, Self(path)))
    }

    /// Creates a folder in the system's temporary directory (`TMPDIR`).
    pub fn folder() -> io::Result<Self> {
        Self::create_with(|| {
            Ok(((), tempfile::Builder::new().prefix("custseg-").tempdir()?.keep()))
        })
        .map(|((), folder)| folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        // `drop` cannot report a failed removal.
        let _ = remove(&self.0);
        live_paths().retain(|path| *path != self.0);
    }
}

/// Runs a step that a signal must not interrupt half-way, such as swapping a published folder.
pub(crate) fn with_signals_deferred<T>(step: impl FnOnce() -> T) -> T {
    let _live = live_paths();
    step()
}

/// Removes all live paths before the process exits. Waits for [`with_signals_deferred`] and blocks
/// every later call of it.
pub(crate) fn clear() {
    let live = live_paths();
    // Other threads may still write into a folder while it is removed.
    for _ in 0..50 {
        if live.iter().all(|path| remove(path).is_ok()) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    std::mem::forget(live);
}

fn live_paths() -> MutexGuard<'static, Vec<PathBuf>> {
    // A panic cannot leave the list half-changed.
    LIVE_PATHS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a folder, file or link. A missing path is not an error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
