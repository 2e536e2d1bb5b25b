//! Footers of written files: made readable for all, and read back with the `parquet` crate, an
//! implementation independent of Polars.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataWriter};
use parquet::file::reader::{FileReader, SerializedFileReader};
use polars::prelude::{DataFrame, KeyValueMetadata};

use super::{PublishError, at};
use crate::ingest::Money;
use crate::manifest::{Manifest, Output};

/// Metadata of every table's footer. It has no path and no clock, so that equal tables have equal
/// bytes.
pub(crate) fn footer_metadata(
    pipeline: &str,
    definition_hash: &str,
    money: &Money,
) -> KeyValueMetadata {
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

/// Key of the Arrow schema that Polars stores in a footer.
const ARROW_SCHEMA: &str = "ARROW:schema";

/// Removes the Arrow schema from the footer of a file.
///
/// Polars stores string views and unsigned dictionary keys in it, which pyarrow before 16 does not
/// know, and of which later versions cannot filter. The Parquet schema has all that readers need.
pub(super) fn remove_arrow_schema(path: &Path) -> Result<(), PublishError> {
    let unverified = |error: ParquetError| PublishError::Unverified {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut file = File::options().read(true).write(true).open(path).map_err(at(path))?;
    let reader = SerializedFileReader::new(file.try_clone().map_err(at(path))?);
    let metadata = reader.map_err(unverified)?.metadata().clone();
    let old = metadata.file_metadata();
    let pairs = old.key_value_metadata().map(|pairs| {
        pairs.iter().filter(|pair| pair.key != ARROW_SCHEMA).cloned().collect::<Vec<_>>()
    });
    let new = FileMetaData::new(
        old.version(),
        old.num_rows(),
        old.created_by().map(str::to_owned),
        pairs,
        old.schema_descr_ptr(),
        old.column_orders().cloned(),
    );
    let new = ParquetMetaData::new(new, metadata.row_groups().to_vec());
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &new).finish().map_err(unverified)?;
    // The last bytes are the length of the footer and the magic number.
    let tail = FOOTER_SIZE as u64;
    let size = file.metadata().map_err(at(path))?.len();
    file.seek(SeekFrom::Start(size - tail)).map_err(at(path))?;
    let mut length = [0; 4];
    std::io::Read::read_exact(&mut file, &mut length).map_err(at(path))?;
    let start = size - tail - u64::from(u32::from_le_bytes(length));
    file.set_len(start).map_err(at(path))?;
    file.seek(SeekFrom::Start(start)).map_err(at(path))?;
    file.write_all(&footer).map_err(at(path))
}

/// Decodes every page of a file and compares columns and rows with the table that was written.
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

/// Whether a published run is complete and equal to a staged one, except for the order of the
/// rejects.
pub(super) fn same_run(published: &Path, staged: &Path) -> bool {
    let (Ok(old), Ok(new)) = (Manifest::read(published), Manifest::read(staged)) else {
        return false;
    };
    old.without_rejects() == new.without_rejects() && is_complete(published, &old)
}

/// Whether every output of a run is there with the bytes that its manifest names, and no other
/// table.
pub(super) fn is_complete(run: &Path, manifest: &Manifest) -> bool {
    let is_intact = |output: &Output| {
        let bytes = fs::read(run.join(&output.path));
        bytes.is_ok_and(|bytes| blake3::hash(&bytes).to_hex().as_str() == output.blake3)
    };
    manifest.outputs.iter().all(is_intact)
        && has_unnamed_table(run, run, manifest).is_ok_and(|unnamed| !unnamed)
}

/// Whether a folder has a table that the manifest does not name. Readers of the folder would read
/// it.
fn has_unnamed_table(run: &Path, folder: &Path, manifest: &Manifest) -> std::io::Result<bool> {
    let is_named =
        |path: &Path| manifest.outputs.iter().any(|output| run.join(&output.path) == path);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_table = path.extension().is_some_and(|suffix| suffix == "parquet");
        let unnamed_below = path.is_dir() && has_unnamed_table(run, &path, manifest)?;
        if unnamed_below || (is_table && !is_named(&path)) {
            return Ok(true);
        }
    }
    Ok(false)
}
