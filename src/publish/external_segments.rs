//! Runs whose segments a cluster wrote into the staging folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Manifest, Output, Publication, PublishError, at, finish, footer};
use crate::tables::TableId;

/// As [`super::publish`], for segments that are already in the staging folder: one folder per
/// snapshot with one or more files. There is no file of rejects.
pub(crate) fn publish_external(publication: Publication<'_>) -> Result<Manifest, PublishError> {
    let outputs = segments(publication.staging.path())?;
    finish(publication, outputs)
}

/// Verifies the files of segments, and removes other files that their writer left beside them.
fn segments(folder: &Path) -> Result<Vec<Output>, PublishError> {
    let mut outputs = Vec::new();
    for snapshot in entries(&folder.join(TableId::Segments.name()))? {
        for path in if snapshot.is_dir() { entries(&snapshot)? } else { vec![snapshot] } {
            if path.extension().is_some_and(|suffix| suffix == "parquet") {
                let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                outputs.push(footer::verify(folder, &name, None)?);
            } else {
                fs::remove_file(&path).map_err(at(&path))?;
            }
        }
    }
    Ok(outputs)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, PublishError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    entries.map(|entry| Ok(entry.map_err(at(folder))?.path())).collect()
}
