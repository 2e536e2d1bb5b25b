//! Unpacks the tables of `.zip` files, and compressed files of formats that are not read as a
//! stream.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use zip::ZipArchive;

use super::csv_layout::decompressed;
use super::probe::ProbeError;
use super::{Format, SourceFile};
use crate::temp::TempPath;

pub(super) fn is_archive(name: &str) -> bool {
    name.to_lowercase().ends_with(".zip")
}

/// The files that a file stands for: the tables of an archive, the decompressed content of JSON
/// lines or Arrow, otherwise the file itself.
pub(super) fn unpack(
    file: SourceFile,
    format: Option<Format>,
) -> Result<Vec<SourceFile>, ProbeError> {
    let name = file.name.clone();
    let io_error = |source| ProbeError::Io { name: name.clone(), source };
    if is_archive(&file.name) {
        let files = tables(&file, format).map_err(io_error)?;
        if files.is_empty() {
            return Err(ProbeError::EmptyArchive(name));
        }
        return Ok(files);
    }
    let lower = file.name.to_lowercase();
    let is_compressed = lower.ends_with(".gz") || lower.ends_with(".zst");
    let format = format.or_else(|| Format::from_name(&file.name).ok());
    if !is_compressed || !matches!(format, Some(Format::JsonLines | Format::Arrow)) {
        return Ok(vec![file]);
    }
    let folder = TempPath::folder().map_err(io_error)?;
    let path = folder.path().join("content");
    let content = decompressed(&file.path, &file.name).map_err(io_error)?;
    write(content, &path).map_err(io_error)?;
    Ok(vec![SourceFile { path, unpacked: Some(Arc::new(folder)), ..file }])
}

/// The files of an archive with a supported suffix, or all if the format is declared.
fn tables(file: &SourceFile, format: Option<Format>) -> io::Result<Vec<SourceFile>> {
    let mut archive = ZipArchive::new(File::open(&file.path)?)?;
    let folder = Arc::new(TempPath::folder()?);
    let mut files = Vec::new();
    for idx in 0..archive.len() {
        let member = archive.by_index(idx)?;
        let name = member.name()?.into_owned();
        let is_hidden = name.split('/').any(|part| part.starts_with(['.', '_', '~']));
        if is_archive(&name) && !is_hidden {
            let reason = format!("it contains `{name}`, which must be unpacked first");
            return Err(io::Error::other(reason));
        }
        let is_table = format.is_some() || Format::from_name(&name).is_ok();
        if member.is_dir() || is_hidden || !is_table {
            continue;
        }
        // The suffix of the member says how it is read. Its path is not used.
        let suffix = name.rsplit('/').next().unwrap_or(&name);
        let path = folder.path().join(format!("{idx}-{suffix}"));
        write(member, &path)?;
        let name = format!("{}/{name}", file.name);
        let unpacked = Some(folder.clone());
        let of_member = SourceFile { path, name, unpacked, ..file.clone() };
        files.extend(unpack(of_member, format).map_err(io::Error::other)?);
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn write(mut content: impl Read, path: &Path) -> io::Result<()> {
    let mut target = File::create(path)?;
    io::copy(&mut content, &mut target)?;
    target.flush()
}
