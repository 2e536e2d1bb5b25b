//! Single files: tables and texts, written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use polars::prelude::*;

use super::manifest::Output;
use super::{PublishError, at, footer};
use crate::scratch::Scratch;
use crate::watched::Watched;

/// Writes a table into a file of a staging folder, and reads it back.
///
/// # Errors
/// What could not be written, or does not read back.
pub(super) fn write(
    folder: &Path,
    name: &str,
    table: &mut DataFrame,
    metadata: &KeyValueMetadata,
) -> Result<Output, PublishError> {
    let path = folder.join(name);
    folders(folder, Path::new(name))?;
    let mut file = Watched::create(&path).map_err(at(&path))?;
    let written = ParquetWriter::new(&mut file)
        .with_compression(ParquetCompression::Zstd(None))
        .with_key_value_metadata(Some(metadata.clone()))
        .finish(table.rechunk_mut());
    match (written, file.refused()) {
        (_, Some(refused)) => Err(at(&path)(refused)),
        (Err(source), None) => Err(PublishError::Write { path, source }),
        (Ok(_), None) => footer::verify(folder, name, Some(table)),
    }
}

/// Makes the folders within another in which a file is to stand, but never that other: what is removed under a process that a signal
/// ends stays so.
///
/// # Errors
/// What the operating system says.
pub(super) fn folders(within: &Path, file: &Path) -> Result<(), PublishError> {
    let mut place = within.to_owned();
    for part in file
        .parent()
        .into_iter()
        .flat_map(Path::components)
        .filter(|part| matches!(part, Component::Normal(_)))
    {
        place.push(part);
        match fs::create_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(at(&place)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The suffix of a file that can be written: csv or parquet.
///
/// # Errors
/// Another suffix.
pub fn writable(path: &Path) -> Result<&str, PublishError> {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    suffix
        .filter(|suffix| ["csv", "parquet"].contains(suffix))
        .ok_or_else(|| PublishError::Suffix(path.to_owned()))
}

/// Writes a table into one file, CSV or Parquet by its suffix; a file that is there stays whole until the new one is.
///
/// # Errors
/// Another suffix, or a place that cannot be written.
pub fn to_file(path: &Path, frame: &mut DataFrame) -> Result<(), PublishError> {
    let suffix = writable(path)?;
    whole(path, |file| {
        let written = match suffix {
            "csv" => CsvWriter::new(file).finish(frame),
            _ => ParquetWriter::new(file).finish(frame).map(|_| ()),
        };
        written.map_err(|source| PublishError::Write { path: path.to_owned(), source })
    })
}

/// Writes a text into a file; one that is there stays whole until the new one is.
///
/// # Errors
/// A place that cannot be written.
pub fn text_to_file(path: &Path, text: &str) -> Result<(), PublishError> {
    whole(path, |file| file.write_all(text.as_bytes()).map_err(at(path)))
}

/// Writes a file beside its place, and puts it there by one rename; what is there and is no file, a pipe or a device, is written to.
fn whole(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    if fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        return write(&mut File::options().write(true).open(path).map_err(at(path))?);
    }
    let place =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As the system's own tools make files: the user's mask decides who may read it.
    let everybody = fs::Permissions::from_mode(0o666);
    let (mut file, _scratch) = Scratch::made(|| {
        let file = tempfile::Builder::new().permissions(everybody).tempfile_in(place)?;
        let path = file.path().to_owned();
        Ok((file, path))
    })
    .map_err(at(place))?;
    write(file.as_file_mut())?;
    file.persist(path).map_err(|error| at(path)(error.error))?;
    Ok(())
}
