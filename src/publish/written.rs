//! Runs whose segments others wrote: a cluster, into the staging folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Facts, Files, Manifest, Output, PublishError, Staging, at, finish, footer};
use crate::evaluate::{SEGMENTS, Tables};

/// As [`super::publish`], where the segments stand in the staging folder already: one folder a snapshot, in each some files. Rejects are
/// not written.
///
/// # Errors
/// As there.
pub fn publish_written(
    staging: Staging,
    tables: &Tables,
    files: Files,
    facts: Facts<'_>,
) -> Result<Manifest, PublishError> {
    let outputs = segments(staging.folder.path())?;
    finish(staging, tables, files, facts, outputs, true)
}

/// The files of segments in a staging folder, each read back; what their writer left beside them goes.
fn segments(folder: &Path) -> Result<Vec<Output>, PublishError> {
    let mut outputs = Vec::new();
    for of_snapshot in entries(&folder.join(SEGMENTS))? {
        for path in if of_snapshot.is_dir() { entries(&of_snapshot)? } else { vec![of_snapshot] } {
            match path.extension().is_some_and(|suffix| suffix == "parquet") {
                true => {
                    let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                    outputs.push(footer::verify(folder, &name, None)?);
                }
                false => fs::remove_file(&path).map_err(at(&path))?,
            }
        }
    }
    Ok(outputs)
}

/// What stands in a folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, PublishError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    entries.map(|entry| Ok(entry.map_err(at(folder))?.path())).collect()
}
