//! Finds the files of a source and reads their headers and footers, but no rows.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::Encoding;
use flate2::read::MultiGzDecoder;
use glob::PatternError;
use polars::prelude::{
    DataType, ParquetReader, PolarsResult, Schema, SchemaExt, SchemaNamesAndDtypes, SerReader,
};

use super::{Format, SourceFile, workbook};
use crate::remote::{self, Fetched, RemoteError, SCHEMES, is_remote};
use crate::temp::TempPath;

/// A longer header means that the file is no CSV.
const HEADER_LIMIT: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("`{pattern}` is not a valid path pattern: {source}")]
    Pattern { pattern: String, source: PatternError },
    /// `base` is the folder of relative patterns.
    #[error("no file matches `{pattern}` (looked from {})", if base.as_os_str().is_empty() { ".".into() } else { base.display().to_string() })]
    NoMatch { pattern: String, base: PathBuf },
    #[error("folder `{0}` has no .csv, .csv.gz, .csv.zst, .parquet or .xlsx file")]
    EmptyFolder(String),
    #[error("`{0}://` is not a supported store; {SCHEMES}")]
    Scheme(String),
    #[error("no file matches `{0}`")]
    NothingRemote(String),
    #[error(transparent)]
    Remote(RemoteError),
    #[error("`{name}` has no known suffix; expected .csv, .csv.gz, .csv.zst, .parquet or .xlsx")]
    Suffix { name: String },
    #[error("cannot read `{name}`: {source}")]
    Io { name: String, source: io::Error },
    #[error("`{name}` cannot be read as {format}: {reason}")]
    Broken { name: String, format: &'static str, reason: String },
}

impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
            Self::Xlsx => "an Excel workbook",
        }
    }

    pub fn from_name(name: &str) -> Result<Self, ProbeError> {
        let lower = name.to_lowercase();
        if [".csv", ".csv.gz", ".csv.zst"].iter().any(|suffix| lower.ends_with(suffix)) {
            Ok(Self::Csv)
        } else if lower.ends_with(".parquet") {
            Ok(Self::Parquet)
        } else if lower.ends_with(".xlsx") {
            Ok(Self::Xlsx)
        } else {
            Err(ProbeError::Suffix { name: name.to_owned() })
        }
    }

    fn broken(self, name: &str, reason: impl Into<String>) -> ProbeError {
        ProbeError::Broken { name: name.to_owned(), format: self.name(), reason: reason.into() }
    }
}

/// The files of a path, folder, glob or URL, sorted by name. Remote files are downloaded. A folder
/// means every file below it with a supported suffix. Names that begin with `.` or `_` are skipped,
/// since Spark writes its metadata under such names. The files have no columns yet.
pub fn files(pattern: &str, base: &Path) -> Result<Vec<SourceFile>, ProbeError> {
    if let Some(scheme) = remote::unsupported_scheme(pattern) {
        return Err(ProbeError::Scheme(scheme.to_owned()));
    }
    if is_remote(pattern) {
        return remote_files(pattern);
    }
    let probed = |path: PathBuf| {
        let name = path.strip_prefix(base).unwrap_or(&path).display().to_string();
        SourceFile::new(path, name)
    };
    Ok(local_files(pattern, base)?.into_iter().map(probed).collect())
}

/// Whether a file of a folder is part of its table.
fn is_table(name: &str) -> bool {
    Format::from_name(name).is_ok() && !name.starts_with(['.', '_'])
}

fn remote_files(url: &str) -> Result<Vec<SourceFile>, ProbeError> {
    let temp =
        TempPath::folder().map_err(|source| ProbeError::Io { name: url.to_owned(), source })?;
    let files = remote::fetch(url, temp.path(), is_table).map_err(ProbeError::Remote)?;
    if files.is_empty() {
        return Err(ProbeError::NothingRemote(url.to_owned()));
    }
    let fetched = Some(Arc::new(temp));
    let probed = |Fetched { path, url }| SourceFile {
        fetched: fetched.clone(),
        ..SourceFile::new(path, url)
    };
    Ok(files.into_iter().map(probed).collect())
}

fn local_files(pattern: &str, base: &Path) -> Result<Vec<PathBuf>, ProbeError> {
    let full = base.join(pattern);
    if full.is_file() {
        return Ok(vec![full]);
    }
    let is_folder = full.is_dir();
    let path = full.to_string_lossy();
    // The name of a folder is no pattern.
    let glob_pattern =
        if is_folder { format!("{}/**/*", glob::Pattern::escape(&path)) } else { path.into() };
    let entries = glob::glob(&glob_pattern)
        .map_err(|source| ProbeError::Pattern { pattern: pattern.to_owned(), source })?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| ProbeError::Io {
            name: error.path().display().to_string(),
            source: error.into(),
        })?;
        let wanted =
            !is_folder || path.file_name().is_some_and(|name| is_table(&name.to_string_lossy()));
        if path.is_file() && wanted {
            files.push(path);
        }
    }
    if files.is_empty() {
        let pattern = pattern.to_owned();
        return Err(if is_folder {
            ProbeError::EmptyFolder(pattern)
        } else {
            ProbeError::NoMatch { pattern, base: base.to_owned() }
        });
    }
    files.sort();
    Ok(files)
}

/// Reads the columns and the number of rows from the header or footer of a file, which must have
/// the format of its suffix.
pub fn probe(
    mut file: SourceFile,
    separator: u8,
    encoding: &'static Encoding,
) -> Result<(Format, SourceFile), ProbeError> {
    let SourceFile { path, name, .. } = &file;
    let format = Format::from_name(name)?;
    let io_error = |source| ProbeError::Io { name: name.clone(), source };
    let content = File::open(path).map_err(io_error)?;
    if content.metadata().map_err(io_error)?.len() == 0 {
        return Err(format.broken(name, "the file is empty"));
    }
    let probed = match format {
        Format::Csv => csv_header(path, name, separator, encoding).map(|columns| (columns, None)),
        Format::Parquet => parquet_footer(content).map_err(|error| error.to_string()),
        Format::Xlsx => workbook::header(path)
            .and_then(|names| text_columns(names.iter().map(String::as_str)))
            .map(|columns| (columns, None)),
    };
    (file.columns, file.rows) = probed.map_err(|reason| format.broken(name, reason))?;
    Ok((format, file))
}

type Columns = Vec<(String, DataType)>;

fn parquet_footer(file: File) -> PolarsResult<(Columns, Option<u64>)> {
    let mut reader = ParquetReader::new(file);
    let schema = Schema::from_arrow_schema(reader.schema()?.as_ref());
    let columns = schema.iter_names_and_dtypes();
    let columns = columns.map(|(name, dtype)| (name.to_string(), dtype.clone())).collect();
    Ok((columns, Some(reader.num_rows()? as u64)))
}

fn csv_header(
    path: &Path,
    name: &str,
    separator: u8,
    encoding: &'static Encoding,
) -> Result<Columns, String> {
    let reader = decompressed(path, name).map_err(|error| error.to_string())?;
    let mut records = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .from_reader(reader.take(HEADER_LIMIT));
    let mut header = csv::ByteRecord::new();
    if !records.read_byte_record(&mut header).map_err(|error| error.to_string())? {
        return Err("the file has no header".to_owned());
    }
    let names: Option<Vec<_>> = header
        .iter()
        .map(|field| encoding.decode_without_bom_handling_and_without_replacement(field))
        .collect();
    let names = names.ok_or_else(|| format!("the header is not {}", encoding.name()))?;
    text_columns(names.iter().enumerate().map(|(idx, name)| match idx {
        0 => name.trim_start_matches('\u{feff}'),
        _ => name,
    }))
}

/// Text columns with these names, which must be unique.
fn text_columns<'a>(names: impl Iterator<Item = &'a str>) -> Result<Columns, String> {
    let mut columns = Columns::new();
    for name in names {
        if name.contains('\0') {
            return Err("the header has NUL bytes".to_owned());
        }
        if columns.iter().any(|(known, _)| known == name) {
            return Err(format!("the header has column `{name}` twice"));
        }
        columns.push((name.to_owned(), DataType::String));
    }
    Ok(columns)
}

/// The bytes of a CSV file, decompressed according to its suffix.
pub(super) fn decompressed(path: &Path, name: &str) -> io::Result<Box<dyn Read + Send>> {
    let file = File::open(path)?;
    let lower = name.to_lowercase();
    Ok(if lower.ends_with(".zst") {
        Box::new(zstd::stream::read::Decoder::new(file)?)
    } else if lower.ends_with(".gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    })
}
