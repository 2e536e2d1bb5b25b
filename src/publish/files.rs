//! Single files: tables and texts, written completely or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use polars::prelude::*;

use super::workbook::workbook;
use super::{PublishError, at, footer};
use crate::error_keeping_file::ErrorKeepingFile;
use crate::export::neutralised;
use crate::manifest::Output;
use crate::temp::TempPath;

/// Writes a table into a file of a staging folder, and reads it back.
pub(super) fn write(
    folder: &Path,
    name: &str,
    table: &mut DataFrame,
    metadata: &KeyValueMetadata,
) -> Result<Output, PublishError> {
    let path = folder.join(name);
    create_folders(folder, Path::new(name))?;
    let mut file = ErrorKeepingFile::create(&path).map_err(at(&path))?;
    let written = ParquetWriter::new(&mut file)
        .with_compression(ParquetCompression::Zstd(None))
        .with_key_value_metadata(Some(metadata.clone()))
        .finish(table.rechunk_mut());
    match (written, file.last_error()) {
        (_, Some(error)) => Err(at(&path)(error)),
        (Err(source), None) => Err(PublishError::Write { path, source }),
        (Ok(_), None) => {
            footer::remove_arrow_schema(&path)?;
            footer::verify(folder, name, Some(table))
        }
    }
}

/// Creates the folders of a file below another folder, but never that folder itself: a staging
/// folder that a signal removed must stay removed.
pub(super) fn create_folders(below: &Path, file: &Path) -> Result<(), PublishError> {
    let mut folder = below.to_owned();
    let parts = file.parent().into_iter().flat_map(Path::components);
    for part in parts.filter(|part| matches!(part, Component::Normal(_))) {
        folder.push(part);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(at(&folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The suffix of a file that can be written: `csv`, `xlsx` or `parquet`.
pub(crate) fn writable_suffix(path: &Path) -> Result<&str, PublishError> {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    match suffix {
        Some(suffix @ ("csv" | "xlsx" | "parquet")) => Ok(suffix),
        _ => Err(PublishError::Suffix(path.to_owned())),
    }
}

/// Writes a list of customers into one file. Texts of CSV that a spreadsheet would run as formulas
/// are neutralised.
pub(crate) fn list_to_file(path: &Path, list: &DataFrame) -> Result<(), PublishError> {
    let is_csv = writable_suffix(path)? == "csv";
    let mut list = if is_csv { neutralised(list)? } else { list.clone() };
    to_file(path, &mut list)
}

/// Writes a table into one file, whose suffix gives the format. An existing file is replaced in one
/// step.
pub(crate) fn to_file(path: &Path, frame: &mut DataFrame) -> Result<(), PublishError> {
    let suffix = writable_suffix(path)?;
    replace_file(path, |file, written_to| {
        let written = match suffix {
            "csv" => CsvWriter::new(file).finish(frame),
            "xlsx" => {
                let unwritable = |reason| PublishError::Workbook { path: path.to_owned(), reason };
                let bytes = workbook(frame).map_err(unwritable)?;
                return file.write_all(&bytes).map_err(at(path));
            }
            _ => ParquetWriter::new(file).finish(frame).map(|_| ()),
        };
        written.map_err(|source| PublishError::Write { path: path.to_owned(), source })?;
        match written_to {
            Some(temporary) if suffix == "parquet" => footer::remove_arrow_schema(temporary),
            _ => Ok(()),
        }
    })
}

/// Writes a text into a file. An existing file is replaced in one step.
pub(crate) fn text_to_file(path: &Path, text: &str) -> Result<(), PublishError> {
    replace_file(path, |file, _| file.write_all(text.as_bytes()).map_err(at(path)))
}

/// Writes a temporary file beside a path and renames it. A pipe or a device is written to directly.
/// `write` gets the file, and its path if it is temporary.
fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut File, Option<&Path>) -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    if fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        return write(&mut File::options().write(true).open(path).map_err(at(path))?, None);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // As other tools create files: the user's umask decides who may read it.
    let permissions = fs::Permissions::from_mode(0o666);
    let created = TempPath::create_with(|| {
        let file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder)?;
        let path = file.path().to_owned();
        Ok((file, path))
    });
    let (mut file, _temp) = created.map_err(at(folder))?;
    let temporary = file.path().to_owned();
    write(file.as_file_mut(), Some(&temporary))?;
    file.persist(path).map_err(|error| at(path)(error.error))?;
    Ok(())
}
