//! Reads each written file back with the `parquet` crate, a second opinion on Polars.

use std::fs::{self, File};
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use polars::prelude::{DataFrame, KeyValueMetadata};

use super::manifest::Output;
use super::{PublishError, REJECTS, at};
use crate::ingest::Money;

/// What every table's footer says of its making: no paths, no clock, so that equal tables are equal bytes.
pub fn footer_metadata(pipeline: &str, definition_hash: &str, money: &Money) -> KeyValueMetadata {
    let mut pairs = vec![
        ("custseg.definition_hash".to_owned(), definition_hash.to_owned()),
        ("custseg.pipeline".to_owned(), pipeline.to_owned()),
        ("custseg.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    pairs.extend(
        money.currency.iter().map(|currency| ("custseg.currency".to_owned(), currency.clone())),
    );
    KeyValueMetadata::from_static(pairs)
}

/// Decodes every page of a file and compares its footer with the table that went in.
///
/// # Errors
/// What differs, or what cannot be read.
pub(super) fn verify(
    folder: &Path,
    name: &str,
    table: Option<&DataFrame>,
) -> Result<Output, PublishError> {
    let path = folder.join(name);
    let unverified = |reason: String| PublishError::Unverified { path: path.clone(), reason };
    let file = File::open(&path).map_err(at(&path))?;
    let reader = SerializedFileReader::new(file).map_err(|error| unverified(error.to_string()))?;
    let footer = reader.metadata().file_metadata();
    let rows = usize::try_from(footer.num_rows()).map_err(|error| unverified(error.to_string()))?;
    let columns: Vec<&str> =
        footer.schema_descr().columns().iter().map(|column| column.name()).collect();
    if let Some(table) = table {
        let names: Vec<&str> =
            table.get_column_names().into_iter().map(|name| name.as_str()).collect();
        if columns != names {
            return Err(unverified(format!("columns {columns:?} instead of {names:?}")));
        }
        if rows != table.height() {
            return Err(unverified(format!("{rows} rows instead of {}", table.height())));
        }
    }
    let mut values = vec![0usize; columns.len()];
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(|error| unverified(error.to_string()))?;
        for (idx, count) in values.iter_mut().enumerate() {
            for page in
                group.get_column_page_reader(idx).map_err(|error| unverified(error.to_string()))?
            {
                let page = page.map_err(|error| unverified(error.to_string()))?;
                if page.is_data_page() {
                    *count += page.num_values() as usize;
                }
            }
        }
    }
    if let Some(idx) = values.iter().position(|&count| count != rows) {
        return Err(unverified(format!(
            "column {} has {} values for {rows} rows",
            columns[idx], values[idx]
        )));
    }
    let bytes = fs::read(&path).map_err(at(&path))?;
    Ok(Output {
        path: name.to_owned(),
        rows: Some(rows),
        bytes: bytes.len(),
        blake3: blake3::hash(&bytes).to_hex().to_string(),
    })
}

/// Whether a published run is whole, and the same as a staged one but for the order of the rejects.
pub(super) fn same_run(published: &Path, staged: &Path) -> bool {
    let manifest = |run: &Path| -> Option<serde_json::Value> {
        serde_json::from_slice(&fs::read(run.join("manifest.json")).ok()?).ok()
    };
    let both = manifest(published).zip(manifest(staged));
    both.is_some_and(|(one, other)| same_but_rejects(&one, &other)) && intact(published)
}

/// Whether two manifests say the same but for the order of the rejects.
pub(super) fn same_but_rejects(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    let others = |manifest: &serde_json::Value| {
        let mut manifest = manifest.clone();
        if let Some(outputs) = manifest.get_mut("outputs").and_then(serde_json::Value::as_array_mut)
        {
            outputs.retain(|output| output["path"] != REJECTS);
        }
        manifest
    };
    others(one) == others(other)
}

/// Whether every output that a run's manifest names is there with the bytes that it names.
pub(super) fn intact(run: &Path) -> bool {
    let check = || -> Option<bool> {
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(run.join("manifest.json")).ok()?).ok()?;
        manifest.get("outputs")?.as_array()?.iter().try_fold(true, |all, output| {
            let bytes = fs::read(run.join(output.get("path")?.as_str()?)).ok()?;
            Some(all && blake3::hash(&bytes).to_hex().as_str() == output.get("blake3")?.as_str()?)
        })
    };
    check().unwrap_or(false) && strangers(run, run).is_ok_and(|strange| !strange)
}

/// Whether a run's folder has a table that its manifest does not name: readers of a folder would read it too.
fn strangers(run: &Path, folder: &Path) -> std::io::Result<bool> {
    let manifest = fs::read(run.join("manifest.json"))?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
    let named = |path: &Path| {
        let outputs = manifest["outputs"].as_array().into_iter().flatten();
        outputs.filter_map(|output| output["path"].as_str()).any(|name| run.join(name) == path)
    };
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_table = path.extension().is_some_and(|suffix| suffix == "parquet");
        if (path.is_dir() && strangers(run, &path)?) || (is_table && !named(&path)) {
            return Ok(true);
        }
    }
    Ok(false)
}
