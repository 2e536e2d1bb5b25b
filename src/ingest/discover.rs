//! Finds the files of a path, folder, glob or URL.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tracing::info;

use super::probe::ProbeError;
use super::{Format, SourceFile, unpack};
use crate::remote::{self, Fetched, is_remote};
use crate::temp::TempPath;

/// Folders above a source in which the log of a table format is looked for.
const LEVELS_ABOVE: usize = 3;
/// What Hive writes for a null key.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// The files of a path, folder, glob or URL, sorted by name. Remote files are downloaded. A folder
/// means every file below it with a supported suffix.
///
/// `.zip` files stand for the tables that they contain. If a format is declared, files of any name
/// are read.
///
/// Hidden and temporary files and folders are skipped (`.x`, `_x`, `~$x`) unless the path names
/// them. The files have no columns yet.
///
/// # Errors
/// No file matches, or the files are parts of a Delta Lake, Iceberg or Hudi table, whose folder
/// also has rows that were removed.
pub fn files(
    pattern: &str,
    base: &Path,
    format: Option<Format>,
) -> Result<Vec<SourceFile>, ProbeError> {
    if let Some(scheme) = remote::unsupported_scheme(pattern) {
        return Err(ProbeError::Scheme(scheme.to_owned()));
    }
    let mut files = if is_remote(pattern) {
        remote_files(pattern, format)?
    } else {
        let found = |path: PathBuf| {
            let name = path.strip_prefix(base).unwrap_or(&path).display().to_string();
            SourceFile::new(path, name)
        };
        local_files(pattern, base, format)?.into_iter().map(found).collect()
    };
    for file in &mut files {
        file.partitions = partitions(&file.name);
    }
    let unpacked = files.into_iter().map(|file| unpack::unpack(file, format));
    Ok(unpacked.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Keys and values of the folders `key=value` of a path. The last part is the file.
fn partitions(name: &str) -> Vec<(String, Option<String>)> {
    let (folders, _) = name.rsplit_once('/').unwrap_or(("", name));
    let keys = folders.split('/').filter_map(|folder| folder.split_once('='));
    keys.filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| {
            let value = decoded(value);
            (decoded(key), (value != NULL_PARTITION && !value.is_empty()).then_some(value))
        })
        .collect()
}

/// A text without percent escapes, with which Hive writes special characters.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let escaped = tail
            .get(..2)
            .filter(|_| *byte == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Whether readers of folders skip a file or folder of this name. Keys of partitions may begin with
/// an underscore.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
        || name.starts_with("~$")
        || (name.starts_with('_') && !name.contains('='))
}

/// Whether a file of a folder is read.
fn is_table(name: &str, format: Option<Format>) -> bool {
    format.is_some() || unpack::is_archive(name) || Format::from_name(name).is_ok()
}

/// Whether a path below the fixed part of a pattern is hidden. Names that the pattern spells out
/// are not.
fn is_skipped(below: &str, pattern: &str) -> bool {
    let is_named = |part: &str| {
        pattern.split('/').any(|own| {
            let matches = || glob::Pattern::new(own).is_ok_and(|own| own.matches(part));
            own == part || (is_hidden(own) && matches())
        })
    };
    below.split('/').any(|part| is_hidden(part) && !is_named(part))
}

fn remote_files(url: &str, format: Option<Format>) -> Result<Vec<SourceFile>, ProbeError> {
    let skipped = RefCell::new(Vec::new());
    let tables = RefCell::new(Vec::new());
    let is_wanted = |key: &str, is_pattern: bool| {
        if let Some(format) = table_format(key) {
            tables.borrow_mut().push(format);
        }
        let name = key.rsplit('/').next().unwrap_or(key);
        let wanted = is_pattern || is_table(name, format);
        let is_skipped = is_skipped(key, url);
        if wanted && is_skipped {
            skipped.borrow_mut().push(key.to_owned());
        }
        wanted && !is_skipped
    };
    let found = remote::find(url, is_wanted).map_err(ProbeError::Remote)?;
    if let Some(format) = tables.borrow().first() {
        return Err(ProbeError::TableFormat { folder: url.to_owned(), format });
    }
    if found.keys.is_empty() {
        return Err(ProbeError::NothingRemote(url.to_owned()));
    }
    log_skipped(&skipped.borrow());
    let temp =
        TempPath::folder().map_err(|source| ProbeError::Io { name: url.to_owned(), source })?;
    let files = remote::fetch(found, temp.path()).map_err(ProbeError::Remote)?;
    let fetched = Some(Arc::new(temp));
    let found = |Fetched { path, url }| SourceFile {
        fetched: fetched.clone(),
        ..SourceFile::new(path, url)
    };
    Ok(files.into_iter().map(found).collect())
}

/// The table format that has such an object among its own files.
fn table_format(key: &str) -> Option<&'static str> {
    let is_in = |folder: &str| key.split('/').any(|part| part == folder);
    match key {
        _ if is_in("_delta_log") => Some("Delta Lake"),
        _ if is_in(".hoodie") => Some("Hudi"),
        _ if is_in("metadata") && key.ends_with(".metadata.json") => Some("Iceberg"),
        _ => None,
    }
}

fn log_skipped(skipped: &[String]) {
    if let Some(first) = skipped.first() {
        info!(files = skipped.len(), first = %first, "hidden or temporary files skipped");
    }
}

fn local_files(
    pattern: &str,
    base: &Path,
    format: Option<Format>,
) -> Result<Vec<PathBuf>, ProbeError> {
    let full = base.join(pattern);
    if full.is_file() {
        return Ok(vec![full]);
    }
    let is_folder = full.is_dir();
    let path = full.to_string_lossy();
    // The name of a folder is no pattern.
    let glob_pattern = if is_folder {
        format!("{}/**/*", glob::Pattern::escape(&path))
    } else {
        path.clone().into_owned()
    };
    let root = if is_folder { full.clone() } else { fixed_folder(&full) };
    let entries = glob::glob(&glob_pattern)
        .map_err(|source| ProbeError::Pattern { pattern: pattern.to_owned(), source })?;
    let (mut files, mut skipped, mut folders) = (Vec::new(), Vec::new(), BTreeSet::new());
    for entry in entries {
        let path = entry.map_err(|error| ProbeError::Io {
            name: error.path().display().to_string(),
            source: error.into(),
        })?;
        let below = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy();
        let is_table =
            !is_folder || path.file_name().is_some_and(|n| is_table(&n.to_string_lossy(), format));
        if !is_table || path.is_dir() {
            continue;
        }
        if let Err(source) = std::fs::metadata(&path) {
            return Err(ProbeError::Io { name: path.display().to_string(), source });
        }
        folders.extend(path.parent().map(Path::to_owned));
        if is_skipped(&below, pattern) {
            skipped.push(below.into_owned());
        } else {
            files.push(path);
        }
    }
    if let Some((folder, format)) = table_folder(&root, &folders) {
        let folder = folder.display().to_string();
        return Err(ProbeError::TableFormat { folder, format });
    }
    if files.is_empty() {
        let pattern = pattern.to_owned();
        return Err(if is_folder {
            ProbeError::EmptyFolder(pattern)
        } else {
            ProbeError::NoMatch { pattern, base: base.to_owned() }
        });
    }
    log_skipped(&skipped);
    files.sort();
    Ok(files)
}

/// The folder of a pattern above its first part with a wildcard.
fn fixed_folder(pattern: &Path) -> PathBuf {
    let has_wildcard =
        |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let fixed: PathBuf = pattern.components().take_while(|part| !has_wildcard(part)).collect();
    if fixed == pattern { fixed.parent().map(Path::to_owned).unwrap_or_default() } else { fixed }
}

/// The first folder that has the log of a table format: one with files, or above them.
fn table_folder(root: &Path, folders: &BTreeSet<PathBuf>) -> Option<(PathBuf, &'static str)> {
    let below = folders.iter().flat_map(|folder| folder.ancestors());
    let below = below.filter(|folder| folder.starts_with(root));
    let above = root.ancestors().take(LEVELS_ABOVE + 1);
    let candidates: BTreeSet<&Path> = below.chain(above).collect();
    candidates.into_iter().find_map(|folder| Some((folder.to_owned(), format_of(folder)?)))
}

fn format_of(folder: &Path) -> Option<&'static str> {
    if folder.join("_delta_log").is_dir() {
        return Some("Delta Lake");
    }
    if folder.join(".hoodie").is_dir() {
        return Some("Hudi");
    }
    let metadata = std::fs::read_dir(folder.join("metadata")).ok()?;
    let mut names = metadata.flatten().map(|entry| entry.file_name());
    let is_iceberg = names.any(|name| name.to_string_lossy().ends_with(".metadata.json"));
    is_iceberg.then_some("Iceberg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_path_are_decoded() {
        let some = |text: &str| Some(text.to_owned());
        let expected = vec![
            ("dt".to_owned(), some("2024-03-01 10:00")),
            ("shop".to_owned(), None),
            ("rate".to_owned(), some("100%")),
        ];
        let name = "lake/dt=2024-03-01 10%3A00/shop=__HIVE_DEFAULT_PARTITION__/rate=100%/a=b.csv";
        assert_eq!(partitions(name), expected);
        assert_eq!(partitions("a=b.csv"), Vec::new());
    }

    #[test]
    fn hidden_names_are_skipped_unless_the_pattern_has_them() {
        for (below, pattern, skipped) in [
            ("a.csv", "in", false),
            (".ipynb_checkpoints/a.csv", "in/**/*.csv", true),
            ("_temporary/a.csv", "in", true),
            ("~$a.xlsx", "in/*.xlsx", true),
            ("_dt=1/a.csv", "in", false),
            ("_raw/a.csv", "in/*/_raw/*.csv", false),
            ("_a.csv", "in/_*.csv", false),
        ] {
            assert_eq!(is_skipped(below, pattern), skipped, "{below}");
        }
    }
}
