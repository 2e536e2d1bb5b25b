//! A published run, read again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::*;

use super::{Destination, PublishError, at, files, footer, rejects};
use crate::columns::SNAPSHOT;
use crate::manifest::{Manifest, Output};
use crate::report::{self, Source};
use crate::segment;
use crate::tables::TableId;

/// A run in its folder.
#[derive(Debug, Clone)]
pub struct Published {
    pub folder: PathBuf,
    pub manifest: Manifest,
}

impl Published {
    /// Opens a run's own folder, or the `current` run of a pipeline's destination.
    pub fn open(path: &Path) -> Result<Self, PublishError> {
        let current = path.join("current");
        let folder = if current.exists() { current } else { path.to_owned() };
        // Links are resolved once, so that all files are of one run.
        let folder = folder.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => PublishError::NoRuns(path.to_owned()),
            _ => at(path)(error),
        })?;
        let manifest = Manifest::read(&folder).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                PublishError::Unverified {
                    path: folder.join(crate::manifest::MANIFEST),
                    reason: error.to_string(),
                }
            }
            _ => at(&folder.join(crate::manifest::MANIFEST))(error),
        })?;
        Ok(Self { folder, manifest })
    }

    /// Whether every output is there with the bytes that the manifest names.
    pub fn is_complete(&self) -> bool {
        footer::is_complete(&self.folder, &self.manifest)
    }

    /// The customers of a snapshot, with the column `snapshot` first.
    pub fn segments(&self, date: NaiveDate) -> Result<DataFrame, PublishError> {
        let file = segments_file(date);
        let mut frame =
            if self.folder.join(&file).is_file() { self.read(&file)? } else { self.parts(date)? };
        let snapshot = Column::new(SNAPSHOT.into(), vec![date; frame.height()]);
        frame.insert_column(0, snapshot)?;
        Ok(frame)
    }

    /// The customers of a snapshot from the files of a cluster, with types and order as usual.
    fn parts(&self, date: NaiveDate) -> Result<DataFrame, PublishError> {
        let folder = format!("{}/", snapshot_folder(date));
        let paths = self.manifest.outputs.iter().map(|output| output.path.as_str());
        let parts = paths
            .filter(|path| path.starts_with(&folder))
            .map(|path| Ok(self.read(path)?.lazy()))
            .collect::<Result<Vec<_>, PublishError>>()?;
        Ok(segment::normalise(concat(parts, UnionArgs::default())?)?)
    }

    /// A table, if the run has it.
    pub fn table(&self, id: TableId) -> Result<Option<DataFrame>, PublishError> {
        let file = id.file();
        if self.folder.join(&file).is_file() { self.read(&file).map(Some) } else { Ok(None) }
    }

    /// Draws the page again from the manifest and the tables.
    ///
    /// # Errors
    /// A file that cannot be read, or tables of another version.
    pub(crate) fn report(&self, detail: report::Detail) -> Result<String, PublishError> {
        let mut tables = BTreeMap::new();
        for id in report::TABLES {
            if let Some(table) = self.table(id)? {
                tables.insert(id, table);
            }
        }
        tables.extend(rejects::examples(&self.folder)?.map(|table| (TableId::Rejects, table)));
        let newest = match self.manifest.dates().last() {
            Some(date) => self.segments(*date)?,
            None => DataFrame::empty(),
        };
        let failed = |source| PublishError::Report { path: self.folder.clone(), source };
        report::page(&Source::new(&self.manifest, tables, newest), detail).map_err(failed)
    }

    /// Links the file of a snapshot into another run's folder, or copies it if the file system has
    /// no hard links.
    pub(super) fn link(&self, date: NaiveDate, folder: &Path) -> Result<Output, PublishError> {
        let name = segments_file(date);
        let path = folder.join(&name);
        files::create_folders(folder, Path::new(&name))?;
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

/// Folder of a snapshot's files within a run's folder.
pub(super) fn snapshot_folder(date: NaiveDate) -> String {
    format!("{}/{SNAPSHOT}={date}", TableId::Segments.name())
}

/// Path of a snapshot's file within a run's folder.
pub(super) fn segments_file(date: NaiveDate) -> String {
    format!("{}/part-0.parquet", snapshot_folder(date))
}

/// The run that a run with one snapshot is compared with: of the runs of the same pipeline with an
/// earlier snapshot, the last. That is the current run, or the one that it was compared with.
pub(crate) fn previous(
    to: &dyn Destination,
    pipeline: &str,
    snapshot: NaiveDate,
) -> Result<Option<Published>, PublishError> {
    let mut later = to.current_manifest()?;
    while let Some(run) = later.filter(|run| run.pipeline == pipeline) {
        if run.dates().last().is_some_and(|newest| *newest < snapshot) {
            return to.run(&run.run_id);
        }
        let earlier = run.compared_with.map(|earlier| to.run(&earlier.run_id)).transpose()?;
        later = earlier.flatten().map(|run| run.manifest);
    }
    Ok(None)
}
