//! Resolves the files of a source: which they are, that each is listed once, and that no run reads
//! its own results.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

use super::SourceFiles;
use super::diagnostics::{Kind, nearest};
use super::files_spec::{SheetSpec, WorkbookSpec};
use super::ingest_spec::DuplicateFiles;
use super::validator::Validator;
use crate::ingest::probe::{self, ProbeError};
use crate::ingest::workbook::{SheetChoice, SheetNames};
use crate::ingest::{FileSet, Format, Source, SourceFile, TextFormat, discover};
use crate::remote::RemoteError;

/// Names of the files that are listed, by path and sheet.
pub(super) type SeenFiles = HashMap<(PathBuf, Option<String>), String>;

/// The paths of one section.
pub(super) struct Paths<'a> {
    pub(super) patterns: &'a [String],
    pub(super) workbook: &'a WorkbookSpec,
    /// Declared format. `None`: that of the files' suffixes.
    pub(super) format: Option<Format>,
    /// JSON pointer of the section.
    pub(super) at: &'a str,
}

impl Paths<'_> {
    /// The files, which must have one format. `required` are the columns that choose the sheet of a
    /// workbook, `seen` the files of other sources.
    pub(super) fn file_set(
        &self,
        text: TextFormat,
        required: &[&str],
        seen: &mut SeenFiles,
        validator: &mut Validator<'_>,
    ) -> Option<FileSet> {
        if validator.document.source_files == SourceFiles::None {
            return Some(FileSet { files: Vec::new(), format: Format::Csv, text });
        }
        let at = self.at;
        let sheets = sheet_choice(self.workbook);
        let mut probed: Vec<(Format, SourceFile)> = Vec::new();
        let mut is_valid = true;
        for (i, pattern) in self.patterns.iter().enumerate() {
            let pointer = format!("{at}/paths/{i}");
            self.check_output(pattern, &pointer, validator);
            let files = discover::files(pattern, validator.document.base(&pointer), self.format);
            let mut report = |kind: Kind, message: String, hint: Option<String>| {
                is_valid = false;
                validator.report(kind, &pointer, message, hint);
            };
            let files = files.map_err(|error| {
                let hint = missing_file(&error).and_then(|path| similar_file(&path));
                report(kind(&error), error.to_string(), hint);
            });
            let mut is_reported = false;
            for file in files.into_iter().flatten() {
                let files = match probe::probe(file, self.format, &text, &sheets, required) {
                    Ok((format, files)) => files.into_iter().map(move |file| (format, file)),
                    Err(error) => {
                        report(kind(&error), error.to_string(), None);
                        continue;
                    }
                };
                for (format, file) in files {
                    match seen.insert(identity(&file), file.name.clone()) {
                        None => probed.push((format, file)),
                        // A link to a folder repeats all its files.
                        Some(_) if is_reported => {}
                        Some(earlier) => {
                            is_reported = true;
                            let is_same = earlier == file.name;
                            let other =
                                if is_same { String::new() } else { format!(" as `{earlier}`") };
                            let message = format!("file `{}` is listed twice{other}", file.name);
                            report(Kind::Config, message, None);
                        }
                    }
                }
            }
        }
        if !is_valid {
            return None;
        }
        let (format, first) = probed.first()?;
        if let Some((_, other)) = probed.iter().find(|(other, _)| other != format) {
            let message = format!(
                "all files of a source must have one format, found `{}` and `{}`",
                first.name, other.name
            );
            return validator.fail(&format!("{at}/paths"), message);
        }
        let format = *format;
        let files: Vec<SourceFile> = probed.into_iter().map(|(_, file)| file).collect();
        Some(FileSet { files, format, text })
    }

    /// Reports results that would be published into a source: the next run would read them.
    fn check_output(&self, pattern: &str, pointer: &str, validator: &mut Validator<'_>) {
        let Some(output) = validator.sources.output.clone() else { return };
        let source = validator.document.base(pointer).join(pattern);
        let reads_output = if source.is_dir() {
            normal(&output).starts_with(normal(&source))
        } else {
            // Names of published files, at each depth.
            let published = [
                "current/ledger.parquet",
                "runs/x/ledger.parquet",
                "current/segments/snapshot=2011-12-10/part-0.parquet",
            ];
            let options =
                glob::MatchOptions { require_literal_separator: true, ..Default::default() };
            let pattern = glob::Pattern::new(&normal(&source).to_string_lossy());
            pattern.is_ok_and(|pattern| {
                let paths = published.iter().map(|name| normal(&output.join(name)));
                paths.into_iter().any(|path| pattern.matches_path_with(&path, options))
            })
        };
        if reads_output {
            let message =
                format!("`{pattern}` includes `publish.to`: the next run would read its results");
            validator.report_invalid(pointer, message);
        }
    }
}

/// The path of a file that a pattern names and that does not exist.
pub(crate) fn missing_file(error: &ProbeError) -> Option<PathBuf> {
    match error {
        ProbeError::NoMatch { pattern, base } => Some(base.join(pattern)),
        _ => None,
    }
}

/// A question about the file in the same folder whose name is most similar.
pub(crate) fn similar_file(missing: &Path) -> Option<String> {
    let folder = missing.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let names: Vec<String> = entries.filter_map(|entry| name(&entry.path())).collect();
    let similar = nearest(&name(missing)?, names.iter().map(String::as_str))?;
    Some(format!("did you mean `{similar}`?"))
}

/// An absolute path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut normal = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// The path of a file without links, and its sheet. Downloaded and unpacked files have a new
/// temporary path each time, but the same name.
fn identity(file: &SourceFile) -> (PathBuf, Option<String>) {
    let path = if file.fetched.is_some() || file.unpacked.is_some() {
        PathBuf::from(&file.name)
    } else {
        file.path.canonicalize().unwrap_or_else(|_| file.path.clone())
    };
    (path, file.sheet.as_ref().map(|sheet| sheet.name.clone()))
}

/// Reports transaction files of equal content, unless `duplicate_files` allows them. Files without
/// rows may be equal.
pub(super) fn check_duplicates(
    sources: &[Source],
    choice: DuplicateFiles,
    validator: &mut Validator<'_>,
) {
    if choice == DuplicateFiles::Read {
        return;
    }
    let sets = sources.iter().flat_map(|source| {
        // Different tables of a query may be equal.
        let tables = source.file_sets().into_iter().enumerate();
        tables.map(move |(table, set)| (source, table, set))
    });
    let files = sets.flat_map(|(source, table, set)| {
        set.files.iter().map(move |file| (source, table, set, file))
    });
    let mut by_size: BTreeMap<u64, Vec<(&Source, usize, &FileSet, &SourceFile)>> = BTreeMap::new();
    let mut report = |message: String| {
        let hint = "remove one, or set `ingest.duplicate_files: read`".to_owned();
        validator.report(Kind::Data, "/ingest/transactions", message, Some(hint));
    };
    let (mut paths, mut by_plain_name) = (HashSet::new(), HashMap::new());
    for (source, table, set, file) in files {
        // The sheets of a workbook are one file.
        if !paths.insert(&file.path) {
            continue;
        }
        let plain_name = file.name.trim_end_matches(".gz").trim_end_matches(".zst");
        if let Some(other) = by_plain_name.insert(plain_name, &file.name) {
            report(format!("`{other}` and `{}` are a file and its compressed copy", file.name));
        }
        let size = fs::metadata(&file.path).map_or(0, |data| data.len());
        by_size.entry(size).or_default().push((source, table, set, file));
    }
    for files in by_size.into_values().filter(|files| files.len() > 1) {
        let mut hashes: BTreeMap<String, &SourceFile> = BTreeMap::new();
        for (source, table, set, file) in files {
            let Some(hash) = content_hash(&file.path) else { continue };
            // Equal files of different folders differ if a key of the folders is mapped.
            let columns = source.columns.mapped();
            let is_mapped = |(key, _): &&(String, Option<String>)| {
                let in_query = source.query.as_ref().is_some_and(|query| query.sql.contains(key));
                in_query || columns.iter().any(|(_, column)| column == key)
            };
            let keys: Vec<_> = file.partitions.iter().filter(is_mapped).collect();
            let hash = format!("{hash} {table} {keys:?}");
            match hashes.get(&hash) {
                Some(earlier) if probe::has_rows(file, set) => {
                    report(format!(
                        "`{}` and `{}` have the same content: each row would count twice",
                        earlier.name, file.name
                    ));
                }
                Some(_) => {}
                None => {
                    hashes.insert(hash, file);
                }
            }
        }
    }
}

fn content_hash(path: &Path) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).ok()?).ok()?;
    Some(hasher.finalize().to_hex().to_string())
}

fn sheet_choice(spec: &WorkbookSpec) -> SheetChoice {
    let names = match &spec.sheet {
        None => SheetNames::Matching,
        Some(SheetSpec::One(name)) if name == "all" => SheetNames::All,
        Some(SheetSpec::One(name)) => SheetNames::Named(vec![name.clone()]),
        Some(SheetSpec::Many(names)) => SheetNames::Named(names.clone()),
    };
    SheetChoice { names, header_row: spec.header_row.map(|row| row.saturating_sub(1)) }
}

fn kind(error: &ProbeError) -> Kind {
    use ProbeError::*;
    match error {
        Pattern { .. } | Suffix { .. } | Scheme(_) | Remote(RemoteError::Url { .. }) => {
            Kind::Config
        }
        Broken { .. } | TableFormat { .. } | EmptyArchive(_) => Kind::Data,
        NoMatch { .. } | EmptyFolder(_) | NothingRemote(_) | Remote(_) | Io { .. } => Kind::Input,
    }
}
