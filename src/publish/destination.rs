//! Where runs are published.

use std::fmt::Debug;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::{PublishError, Published};
use crate::manifest::Manifest;
use crate::tables::TableId;
use crate::temp::TempPath;

/// A folder or object store that keeps runs and shows one of them to readers.
pub trait Destination: Debug + Send + Sync {
    /// Locks the destination, removes what dead runs left, and creates an empty staging folder.
    ///
    /// # Errors
    /// A destination that cannot be written, or that another run is writing to.
    fn begin(&self, run_id: &str) -> Result<Staging, PublishError>;

    /// Makes a complete run the one that readers see. An equal run that is there stays as it is.
    ///
    /// # Errors
    /// A failed write. Readers then see the run before.
    fn commit(&self, staging: &Staging) -> Result<(), PublishError>;

    /// Keeps the files of a failed run where readers do not look. Returns their folder or URL.
    fn keep_failed(&self, staging: &Staging) -> Result<PathBuf, PublishError>;

    /// Removes the oldest runs so that `keep` stay, never the current one. Failed runs are counted
    /// apart. The staging of a run that is being published proves that the lock is held.
    fn prune(&self, staging: &Staging, keep: usize) -> Result<(), PublishError>;

    /// The run that readers see, if its files are complete.
    fn current(&self) -> Result<Option<Published>, PublishError>;

    /// Manifest of the run that readers see. `None` if there is none, or it cannot be read.
    fn current_manifest(&self) -> Result<Option<Manifest>, PublishError>;

    /// A run with this id, with its manifest and the customers of its newest snapshot on this
    /// machine. `None` if it is not there, or cannot be read.
    fn run(&self, run_id: &str) -> Result<Option<Published>, PublishError>;

    /// Folder or URL of the destination.
    fn url(&self) -> String;

    /// The folder, if the destination is on this machine.
    fn local_folder(&self) -> Option<&Path>;

    /// Where readers find the current run: its folder, or the URL of its manifest.
    fn current_path(&self) -> PathBuf;

    /// Where readers find the run with this id.
    fn run_path(&self, run_id: &str) -> PathBuf;
}

/// The folder of a run that is being written, and the lock on its destination.
#[derive(Debug)]
pub struct Staging {
    pub(super) folder: TempPath,
    pub(super) run_id: String,
    /// Held until the run ends. The kernel releases it when the process dies.
    pub(super) _lock: File,
}

impl Staging {
    /// The folder. No reader sees it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// File that the scan writes the rejected rows to.
    pub fn rejects(&self) -> PathBuf {
        self.path().join(TableId::Rejects.file())
    }
}
