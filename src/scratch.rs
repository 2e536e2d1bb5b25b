//! What must not outlive the process: folders and files that go when their owner does, or when a signal ends the process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What is there now.
static THERE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A folder or file of this process alone.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// What is to stand, or stands, at a path.
    pub fn at(path: PathBuf) -> Self {
        there().push(path.clone());
        Self(path)
    }

    /// What is made now, and where it stands: known at once, so that no signal comes between.
    ///
    /// # Errors
    /// What cannot be made.
    pub fn made<T>(make: impl FnOnce() -> io::Result<(T, PathBuf)>) -> io::Result<(T, Self)> {
        let mut there = there();
        let (made, path) = make()?;
        there.push(path.clone());
        Ok((made, Self(path)))
    }

    /// A new folder where the system keeps temporary files (`TMPDIR`).
    ///
    /// # Errors
    /// What the operating system says.
    pub fn folder() -> io::Result<Self> {
        Self::made(|| Ok(((), tempfile::Builder::new().prefix("custseg-").tempdir()?.keep())))
            .map(|((), folder)| folder)
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about what will not go.
        let _ = remove(&self.0);
        there().retain(|path| *path != self.0);
    }
}

/// Does something that no signal may interrupt half-way, such as showing a folder to readers.
pub fn undisturbed<T>(act: impl FnOnce() -> T) -> T {
    let _there = there();
    act()
}

/// Removes everything, for a process that is about to end: what is undisturbed comes to its end before, and nothing is after.
pub fn clear() {
    let there = there();
    // Other threads may write on while their folder goes.
    for _ in 0..50 {
        if there.iter().all(|path| remove(path).is_ok()) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    std::mem::forget(there);
}

fn there() -> MutexGuard<'static, Vec<PathBuf>> {
    // A list of paths is whole whatever its holder was doing.
    THERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a folder, a file or a link, if it is there.
///
/// # Errors
/// What the operating system says.
pub fn remove(path: &Path) -> io::Result<()> {
    let gone = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    gone.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
