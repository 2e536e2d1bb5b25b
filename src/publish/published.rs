//! A published run, as it is read again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::*;
use serde_json::Value;

use super::manifest::Output;
use super::{PublishError, PublishParams, at, files, footer};
use crate::columns::SNAPSHOT;
use crate::evaluate::SEGMENTS;
use crate::report::{self, Source};
use crate::segment;

/// A run in its folder.
#[derive(Debug, Clone)]
pub struct Published {
    /// The folder, without links.
    pub folder: PathBuf,
    /// The manifest.
    pub manifest: Value,
}

impl Published {
    /// The run in a folder: a run's own, or one of a pipeline's results, which is read by its `current`.
    ///
    /// # Errors
    /// No manifest there, or one that cannot be read.
    pub fn at(place: &Path) -> Result<Self, PublishError> {
        let current = place.join("current");
        let folder = if current.exists() { current } else { place.to_owned() };
        // Resolved once, so that all that is read is of one run.
        let folder = folder.canonicalize().map_err(at(place))?;
        let path = folder.join("manifest.json");
        let bytes = fs::read(&path).map_err(at(&path))?;
        let manifest = serde_json::from_slice(&bytes)
            .map_err(|error| PublishError::Unverified { path, reason: error.to_string() })?;
        Ok(Self { folder, manifest })
    }

    /// The run that readers of a pipeline's results see, if it is whole.
    pub fn current(params: &PublishParams) -> Option<Self> {
        params
            .to
            .join("current")
            .exists()
            .then(|| Self::at(&params.to).ok())
            .flatten()
            .filter(Self::is_whole)
    }

    /// Whether every output that the manifest names is there with the bytes that it names.
    pub fn is_whole(&self) -> bool {
        footer::intact(&self.folder)
    }

    /// Whether every gate of the run passed.
    pub fn gates_passed(&self) -> bool {
        self.manifest["gates"].as_array().into_iter().flatten().all(|gate| gate["passed"] == true)
    }

    /// A text of the manifest; empty where it is not there.
    pub fn text(&self, key: &str) -> &str {
        self.manifest[key].as_str().unwrap_or_default()
    }

    /// The snapshots, ascending.
    pub fn snapshots(&self) -> Vec<NaiveDate> {
        let texts =
            self.manifest["snapshots"].as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.filter_map(|text| text.parse().ok()).collect()
    }

    /// Hash of what a snapshot depends on.
    pub fn snapshot_inputs(&self, date: NaiveDate) -> Option<&str> {
        self.manifest["snapshot_inputs"][date.to_string()].as_str()
    }

    /// The customers of a snapshot, with the snapshot's own column first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn segments(&self, date: NaiveDate) -> Result<DataFrame, PublishError> {
        let mut frame = match self.folder.join(segments_file(date)).is_file() {
            true => self.read(&segments_file(date))?,
            false => self.parts(date)?,
        };
        let snapshot = Column::new(SNAPSHOT.into(), vec![date; frame.height()]);
        frame.insert_column(0, snapshot)?;
        Ok(frame)
    }

    /// The customers of a snapshot in the files that a cluster wrote, as this machine would have written them.
    fn parts(&self, date: NaiveDate) -> Result<DataFrame, PublishError> {
        let folder = format!("{SEGMENTS}/{SNAPSHOT}={date}/");
        let outputs = self.manifest["outputs"].as_array().into_iter().flatten();
        let names = outputs
            .filter_map(|output| output["path"].as_str())
            .filter(|path| path.starts_with(&folder));
        let parts = names
            .map(|name| Ok(self.read(name)?.lazy()))
            .collect::<Result<Vec<_>, PublishError>>()?;
        Ok(segment::as_ours(concat(parts, UnionArgs::default())?)?)
    }

    /// A table by its name, if the run has it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn table(&self, name: &str) -> Result<Option<DataFrame>, PublishError> {
        let file = format!("{name}.parquet");
        if self.folder.join(&file).is_file() { self.read(&file).map(Some) } else { Ok(None) }
    }

    /// The run's page, drawn again from its manifest and its tables.
    ///
    /// # Errors
    /// A file that cannot be read, or tables of a version that wrote others.
    pub fn report(&self) -> Result<String, PublishError> {
        let mut tables = BTreeMap::new();
        for name in report::TABLES {
            if let Some(table) = self.table(name)? {
                tables.insert(name, table);
            }
        }
        let newest = self
            .snapshots()
            .last()
            .map(|date| self.segments(*date))
            .transpose()?
            .unwrap_or_default();
        let failed = |source| PublishError::Report { path: self.folder.clone(), source };
        report::page(&Source::new(&self.manifest, tables, newest)).map_err(failed)
    }

    /// Puts the file of a snapshot into another run's folder, as another name of the same file.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn link(&self, date: NaiveDate, folder: &Path) -> Result<Output, PublishError> {
        let name = segments_file(date);
        let path = folder.join(&name);
        files::folders(folder, Path::new(&name))?;
        // Not every file system knows hard links.
        let original = self.folder.join(&name);
        fs::hard_link(&original, &path)
            .or_else(|_| fs::copy(&original, &path).map(|_| ()))
            .map_err(at(&path))?;
        footer::verify(folder, &name, None)
    }

    fn read(&self, name: &str) -> Result<DataFrame, PublishError> {
        let path = self.folder.join(name);
        let file = File::open(&path).map_err(at(&path))?;
        let frame = ParquetReader::new(file).finish();
        frame.map_err(|error| PublishError::Unverified { path, reason: error.to_string() })
    }
}

/// Path of a snapshot's customers within a run. The hive key stands in the path only, as Spark writes it: pandas refuses a folder that
/// says it twice.
pub(super) fn segments_file(date: NaiveDate) -> String {
    format!("{SEGMENTS}/{SNAPSHOT}={date}/part-0.parquet")
}
