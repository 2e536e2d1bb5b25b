//! Runs in an object store. There is no rename and no link: the manifest, written last, is the
//! commit.
//!
//! ```text
//! <to>/runs/<run_id>/…              files of a run, its manifest.json last
//! <to>/manifest.json                manifest of the current run, written in one step
//! <to>/runs/<run_id>.failed/…       runs whose checks or gates failed
//! ```
//!
//! A reader takes `run_id` from `<to>/manifest.json` and reads `<to>/runs/<run_id>/<path>` for the
//! paths of its outputs. A run is staged in a temporary folder of this machine, which has the
//! layout of a [`LocalFolder`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::destination::{Destination, Staging};
use super::local_folder::{LocalFolder, swap_current};
use super::published::snapshot_folder;
use super::runs::{self, FAILED};
use super::{PublishError, Published, at};
use crate::manifest::{MANIFEST, Manifest};
use crate::remote::{self, ObjectLocation};
use crate::temp::TempPath;

/// A location in an object store, and the temporary folder in which its runs are staged.
#[derive(Debug, Clone)]
pub struct ObjectStore {
    url: String,
    location: ObjectLocation,
    local: LocalFolder,
    _temp: Arc<TempPath>,
}

impl ObjectStore {
    /// A location, with its URL without a final slash.
    pub fn new(url: String, location: ObjectLocation) -> std::io::Result<Self> {
        let temp = TempPath::folder()?;
        let local = LocalFolder::new(temp.path().to_owned());
        Ok(Self { url, location, local, _temp: Arc::new(temp) })
    }

    /// Downloads the current run into the temporary folder. An unreadable manifest is treated as
    /// missing; the next run rewrites it.
    fn download_current(&self) -> Result<(), PublishError> {
        let to = self.local.path();
        let top = to.join(MANIFEST);
        if !remote::fetch_one(&self.location, MANIFEST, &top)? {
            return Ok(());
        }
        let Ok(manifest) = Manifest::read_file(&top) else { return Ok(()) };
        let run_id = manifest.run_id.as_str();
        let is_below = |path: &str| {
            Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
        };
        if !runs::is_run(run_id) || !paths(&manifest).all(is_below) {
            return Ok(());
        }
        let run = format!("runs/{run_id}");
        fs::create_dir_all(to.join(&run)).map_err(at(to))?;
        for path in paths(&manifest).chain([MANIFEST]) {
            let key = format!("{run}/{path}");
            // A missing file makes the run incomplete, which its reader detects.
            remote::fetch_one(&self.location, &key, &to.join(&key))?;
        }
        swap_current(to, run_id)
    }

    /// Whether the store has every output of a manifest, with its size.
    fn has_all(&self, manifest: &Manifest) -> Result<bool, PublishError> {
        let run = format!("runs/{}", manifest.run_id);
        let objects = remote::list(&self.location, &run)?;
        let stored: BTreeSet<(String, u64)> =
            objects.into_iter().map(|object| (object.key, object.bytes)).collect();
        Ok(manifest.outputs.iter().all(|output| {
            stored.contains(&(format!("{run}/{}", output.path), output.bytes as u64))
        }))
    }

    /// Uploads the files of a folder, except its manifest.
    fn upload(&self, folder: &Path, below: &str) -> Result<(), PublishError> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next).map_err(at(&next))? {
                let path = entry.map_err(at(&next))?.path();
                let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                if path.is_dir() {
                    folders.push(path);
                } else if name != MANIFEST {
                    files.push((format!("{below}/{name}"), path));
                }
            }
        }
        Ok(remote::put_all(&self.location, files)?)
    }
}

impl Destination for ObjectStore {
    fn begin(&self, run_id: &str) -> Result<Staging, PublishError> {
        // A store that does not respond fails the run before anything is computed.
        remote::list(&self.location, "runs/none")?;
        self.local.begin(run_id)
    }

    fn commit(&self, staging: &Staging) -> Result<(), PublishError> {
        self.local.commit(staging)?;
        let run_id = &staging.run_id;
        let run = self.local.path().join("runs").join(run_id);
        let key = format!("runs/{run_id}/{MANIFEST}");
        let stored_path = self.local.path().join("stored.json");
        let stored = if remote::fetch_one(&self.location, &key, &stored_path)? {
            Manifest::read_file(&stored_path).ok()
        } else {
            None
        };
        let manifest_path = run.join(MANIFEST);
        let manifest = Manifest::read_file(&manifest_path).map_err(at(&manifest_path))?;
        let is_stored = match &stored {
            Some(stored) => {
                stored.without_rejects() == manifest.without_rejects() && self.has_all(stored)?
            }
            None => false,
        };
        let top = if is_stored {
            stored_path
        } else {
            self.upload(&run, &format!("runs/{run_id}"))?;
            remote::put_all(&self.location, vec![(key, manifest_path.clone())])?;
            manifest_path
        };
        Ok(remote::put_all(&self.location, vec![(MANIFEST.to_owned(), top)])?)
    }

    fn keep_failed(&self, staging: &Staging) -> Result<PathBuf, PublishError> {
        let folder = self.local.keep_failed(staging)?;
        let name = format!("{}{FAILED}", staging.run_id);
        self.upload(&folder, &format!("runs/{name}"))?;
        let manifest = folder.join(MANIFEST);
        if manifest.is_file() {
            let key = format!("runs/{name}/{MANIFEST}");
            remote::put_all(&self.location, vec![(key, manifest)])?;
        }
        Ok(self.run_path(&name))
    }

    fn prune(&self, staging: &Staging, keep: usize) -> Result<(), PublishError> {
        let mut runs: BTreeMap<String, (i64, Vec<String>)> = BTreeMap::new();
        for object in remote::list(&self.location, "runs")? {
            let Some(name) = object.key.split('/').nth(1) else { continue };
            let (modified, keys) = runs.entry(name.to_owned()).or_default();
            *modified = object.modified.max(*modified);
            keys.push(object.key);
        }
        let own = self.local.path().join("runs").join(&staging.run_id);
        let own = Manifest::read(&own).ok().and_then(|manifest| manifest.compared_with);
        let compared = own.map(|compared| compared.run_id);
        runs.retain(|name, _| runs::is_run(name) && *name != staging.run_id);
        let mut others: Vec<(i64, String, Vec<String>)> =
            runs.into_iter().map(|(name, (modified, keys))| (modified, name, keys)).collect();
        others.sort_by(|a, b| b.cmp(a));
        let (failed, complete): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(_, name, _)| name.ends_with(FAILED));
        let old =
            complete.into_iter().skip(keep.saturating_sub(1)).chain(failed.into_iter().skip(keep));
        let old = old.filter(|(_, name, _)| Some(name) != compared.as_ref());
        // Manifests first, so that a half-removed run is never taken for a complete one.
        let keys = old.flat_map(|(_, _, keys)| keys);
        let (manifests, files): (Vec<String>, Vec<String>) =
            keys.partition(|key| key.ends_with(MANIFEST));
        remote::remove(&self.location, manifests)?;
        Ok(remote::remove(&self.location, files)?)
    }

    fn current(&self) -> Result<Option<Published>, PublishError> {
        self.download_current()?;
        self.local.current()
    }

    fn current_manifest(&self) -> Result<Option<Manifest>, PublishError> {
        let path = self.local.path().join("current.json");
        let is_there = remote::fetch_one(&self.location, MANIFEST, &path)?;
        Ok(if is_there { Manifest::read_file(&path).ok() } else { None })
    }

    fn run(&self, run_id: &str) -> Result<Option<Published>, PublishError> {
        if !runs::is_run(run_id) {
            return Ok(None);
        }
        // Beside the runs that are staged.
        let to = self.local.path().join("earlier").join(run_id);
        fs::create_dir_all(&to).map_err(at(&to))?;
        let run = format!("runs/{run_id}");
        let manifest = to.join(MANIFEST);
        if !remote::fetch_one(&self.location, &format!("{run}/{MANIFEST}"), &manifest)? {
            return Ok(None);
        }
        let Ok(manifest) = Manifest::read_file(&manifest) else { return Ok(None) };
        let Some(newest) = manifest.dates().last().copied() else { return Ok(None) };
        let folder = snapshot_folder(newest);
        fs::create_dir_all(to.join(&folder)).map_err(at(&to))?;
        for path in paths(&manifest).filter(|path| is_in(path, &folder)) {
            remote::fetch_one(&self.location, &format!("{run}/{path}"), &to.join(path))?;
        }
        Ok(Some(Published { folder: to, manifest }))
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn local_folder(&self) -> Option<&Path> {
        None
    }

    fn current_path(&self) -> PathBuf {
        PathBuf::from(format!("{}/{MANIFEST}", self.url))
    }

    fn run_path(&self, run_id: &str) -> PathBuf {
        PathBuf::from(format!("{}/runs/{run_id}", self.url))
    }
}

/// Whether a path is that of a file right in a folder.
fn is_in(path: &str, folder: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(parent, _)| parent == folder)
}

/// Paths of a manifest's outputs.
fn paths(manifest: &Manifest) -> impl Iterator<Item = &str> {
    manifest.outputs.iter().map(|output| output.path.as_str())
}
