//! Lists of customers beside the tables of a run.

use std::fs;
use std::path::Path;

use polars::prelude::*;

use super::files::{create_folders, list_to_file};
use super::{Manifest, Output, PublishError, at};
use crate::artefact;
use crate::export::Export;
use crate::manifest::ListRecord;

const FOLDER: &str = "lists";

/// Writes lists by the names of their files, and their records into the manifest.
pub(super) fn write_all(
    folder: &Path,
    lists: &[(String, Export)],
    manifest: &mut Manifest,
) -> Result<(), PublishError> {
    for (name, made) in lists {
        let Export { list, groups, counts, .. } = made;
        let path = format!("{FOLDER}/{name}");
        let output = write(folder, &path, list)?;
        made.check_size(output.bytes as u64);
        manifest.outputs.push(output);
        if counts.control > 0 {
            let path = format!("{FOLDER}/{}", groups_name(name));
            manifest.outputs.push(write(folder, &path, groups)?);
        }
        manifest.lists.push(ListRecord { path, customers: *counts });
    }
    Ok(())
}

/// Name of the file with the groups of a list: `vip.xlsx` has `vip.groups.csv`.
pub(crate) fn groups_name(list: &str) -> String {
    let stem = list.rsplit_once('.').map_or(list, |(stem, _)| stem);
    format!("{stem}.groups.csv")
}

fn write(folder: &Path, name: &str, list: &DataFrame) -> Result<Output, PublishError> {
    let path = folder.join(name);
    create_folders(folder, Path::new(name))?;
    list_to_file(&path, list)?;
    let bytes = fs::read(&path).map_err(at(&path))?;
    Ok(Output {
        path: name.to_owned(),
        rows: Some(list.height()),
        bytes: bytes.len(),
        blake3: artefact::hash(&bytes),
    })
}
