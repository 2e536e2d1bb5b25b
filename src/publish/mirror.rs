//! Results in an object store. There is no rename and no link: a run is committed by its manifest, which is written last.
//!
//! ```text
//! <to>/runs/<run_id>/…              the files of a run; its manifest.json last of all
//! <to>/manifest.json                the manifest of the run that readers see, put there in one piece: the commit
//! <to>/runs/<run_id>.failed/…       what a run leaves behind whose checks or gates failed
//! ```
//!
//! A reader takes `run_id` from `<to>/manifest.json`, and reads `<to>/runs/<run_id>/<path>` for the paths that it names. Here a
//! place in a store is mirrored by a folder of scratch, in which everything is as it is in a local place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::runs::{self, FAILED};
use super::{PublishError, at, footer, stage};
use crate::remote::{self, Place};
use crate::scratch::Scratch;

/// Name of the manifest, both of a run and of the place.
const MANIFEST: &str = "manifest.json";

/// A place in an object store, and the folder of this machine that mirrors it.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// Its URL, without a slash at its end.
    pub url: String,
    /// The place.
    pub place: Place,
    /// The folder.
    pub folder: Arc<Scratch>,
}

impl Mirror {
    /// Fetches the run that readers see, if there is one, so that it stands in the folder as it would in a local place.
    ///
    /// # Errors
    /// What the store says, or the operating system of the folder.
    pub fn fetch(&self) -> Result<(), PublishError> {
        let to = self.folder.path();
        let top = to.join(MANIFEST);
        if !remote::fetch_one(&self.place, MANIFEST, &top)? {
            return Ok(());
        }
        // What is not as custseg writes it is as good as not there; the next run mends it.
        let Ok(manifest) = read(&top) else { return Ok(()) };
        let run_id = manifest["run_id"].as_str().unwrap_or_default();
        let below = |path: &str| {
            Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
        };
        if !runs::is_run(run_id) || !paths(&manifest).all(below) {
            return Ok(());
        }
        let run = format!("runs/{run_id}");
        fs::create_dir_all(to.join(&run)).map_err(at(to))?;
        for path in paths(&manifest).chain([MANIFEST]) {
            let key = format!("{run}/{path}");
            // A file that is gone makes the run damaged, which whoever reads it finds.
            remote::fetch_one(&self.place, &key, &to.join(&key))?;
        }
        stage::point(to, run_id)
    }

    /// Asks the store for something, so that one that is not there is told before anything is computed.
    ///
    /// # Errors
    /// What the store says.
    pub(super) fn try_out(&self) -> Result<(), PublishError> {
        Ok(remote::list(&self.place, "runs/none").map(|_| ())?)
    }

    /// Puts a run into the store, and then shows it to readers. A whole one that is there already stays as it is.
    pub(super) fn show(&self, run_id: &str) -> Result<(), PublishError> {
        let (run, key) =
            (self.folder.path().join("runs").join(run_id), format!("runs/{run_id}/{MANIFEST}"));
        let there = self.folder.path().join("there.json");
        // A manifest that cannot be read is as good as none.
        let found =
            if remote::fetch_one(&self.place, &key, &there)? { read(&there).ok() } else { None };
        let own = read(&run.join(MANIFEST))?;
        let same = match &found {
            Some(found) => footer::same_but_rejects(found, &own) && self.has_all(run_id, found)?,
            None => false,
        };
        let shown = match same {
            true => there,
            false => {
                self.put(&run, &format!("runs/{run_id}"))?;
                let manifest = run.join(MANIFEST);
                remote::put_all(&self.place, vec![(key, manifest.clone())])?;
                manifest
            }
        };
        Ok(remote::put_all(&self.place, vec![(MANIFEST.to_owned(), shown)])?)
    }

    /// Puts what a failed run made where people find it and readers do not.
    pub(super) fn keep_failed(&self, folder: &Path) -> Result<PathBuf, PublishError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        self.put(folder, &format!("runs/{name}"))?;
        if folder.join(MANIFEST).is_file() {
            remote::put_all(
                &self.place,
                vec![(format!("runs/{name}/{MANIFEST}"), folder.join(MANIFEST))],
            )?;
        }
        Ok(PathBuf::from(format!("{}/runs/{name}", self.url)))
    }

    /// Removes the oldest runs, by when they were written, never the one of this id; runs that failed are counted apart.
    pub(super) fn prune(&self, run_id: &str, keep: usize) -> Result<(), PublishError> {
        let mut runs: BTreeMap<String, (i64, Vec<String>)> = BTreeMap::new();
        for object in remote::list(&self.place, "runs")? {
            let name = object.key.split('/').nth(1).unwrap_or_default().to_owned();
            let (written, keys) = runs.entry(name).or_default();
            *written = object.written.max(*written);
            keys.push(object.key);
        }
        let others = runs.into_iter().filter(|(name, _)| runs::is_run(name) && name != run_id);
        let mut others: Vec<(i64, String, Vec<String>)> =
            others.map(|(name, (written, keys))| (written, name, keys)).collect();
        others.sort_by(|a, b| b.cmp(a));
        let (failed, whole): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(_, name, _)| name.ends_with(FAILED));
        let old =
            whole.into_iter().skip(keep.saturating_sub(1)).chain(failed.into_iter().skip(keep));
        // The manifest goes first, so that nobody takes for whole what is half gone.
        let keys = old.flat_map(|(_, _, keys)| keys);
        let (manifests, files): (Vec<String>, Vec<String>) =
            keys.partition(|key| key.ends_with(MANIFEST));
        remote::remove(&self.place, manifests)?;
        Ok(remote::remove(&self.place, files)?)
    }

    /// Whether the store has every file that a manifest names, with its size.
    fn has_all(&self, run_id: &str, manifest: &Value) -> Result<bool, PublishError> {
        let objects = remote::list(&self.place, &format!("runs/{run_id}"))?;
        let there: BTreeSet<(String, u64)> =
            objects.into_iter().map(|object| (object.key, object.bytes)).collect();
        let mut named = manifest["outputs"].as_array().into_iter().flatten();
        Ok(named.all(|output| {
            let key = format!("runs/{run_id}/{}", output["path"].as_str().unwrap_or_default());
            there.contains(&(key, output["bytes"].as_u64().unwrap_or_default()))
        }))
    }

    /// Puts the files of a run, without its manifest.
    fn put(&self, run: &Path, below: &str) -> Result<(), PublishError> {
        let mut files = Vec::new();
        let mut folders = vec![run.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(at(&folder))? {
                let path = entry.map_err(at(&folder))?.path();
                let name = path.strip_prefix(run).unwrap_or(&path).display().to_string();
                match path.is_dir() {
                    true => folders.push(path),
                    false if name == MANIFEST => {}
                    false => files.push((format!("{below}/{name}"), path)),
                }
            }
        }
        Ok(remote::put_all(&self.place, files)?)
    }
}

/// Paths of the files that a manifest names.
fn paths(manifest: &Value) -> impl Iterator<Item = &str> {
    manifest["outputs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|output: &Value| output["path"].as_str())
}

fn read(path: &Path) -> Result<Value, PublishError> {
    let bytes = fs::read(path).map_err(at(path))?;
    serde_json::from_slice(&bytes).map_err(|error| PublishError::Unverified {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
