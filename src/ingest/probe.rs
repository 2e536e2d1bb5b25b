//! Reads what can be known of the source without reading its rows: which files there are, their format and columns.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::Encoding;
use flate2::read::MultiGzDecoder;
use polars::prelude::{
    DataType, ParquetReader, PlSmallStr, PolarsError, Schema, SchemaExt, SchemaNamesAndDtypes,
    SerReader,
};

use super::{Format, SourceFile, workbook};
use crate::remote::{self, Fetched, RemoteError, SCHEMES, is_remote};
use crate::scratch::Scratch;

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The glob itself is wrong.
    #[error("`{pattern}` is not a valid path pattern: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// Nothing is there.
    #[error("no file matches `{pattern}` (looked from {})", if base.as_os_str().is_empty() { ".".into() } else { base.display().to_string() })]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// Folder that relative patterns start from.
        base: PathBuf,
    },
    /// There is such a folder, but nothing in it.
    #[error("folder `{0}` holds no .csv, .csv.gz, .csv.zst, .parquet or .xlsx file")]
    EmptyFolder(String),
    /// A URL of no store.
    #[error("`{0}://` is no store; {SCHEMES}")]
    Scheme(String),
    /// Nothing is there, remotely.
    #[error("no file matches `{0}`")]
    NothingRemote(String),
    /// A store does not give what is asked for.
    #[error(transparent)]
    Remote(RemoteError),
    /// The suffix is none that can be read.
    #[error("`{name}` has no known suffix; expected .csv, .csv.gz, .csv.zst, .parquet or .xlsx")]
    Suffix {
        /// The file.
        name: String,
    },
    /// The operating system refused.
    #[error("cannot read `{name}`: {source}")]
    Io {
        /// The file.
        name: String,
        /// What it said.
        source: std::io::Error,
    },
    /// The file is not what its suffix says.
    #[error("`{name}` cannot be read as {format}: {reason}")]
    Broken {
        /// The file.
        name: String,
        /// What it should be.
        format: &'static str,
        /// Why it is not.
        reason: String,
    },
}

impl Format {
    /// The format in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
            Self::Xlsx => "an Excel workbook",
        }
    }

    /// The format that a file's suffix tells.
    ///
    /// # Errors
    /// A suffix that is none of ours.
    pub fn of(name: &str) -> Result<Self, ProbeError> {
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
}

/// A file that a source means.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its path from the base, or its URL.
    pub name: String,
    /// Scratch that it was fetched into, where it is remote.
    pub fetched: Option<Arc<Scratch>>,
}

/// The files that a path, folder, glob or URL means, sorted by name. A folder means every file under it whose suffix can be
/// read, hidden ones and those that begin with `_` left out, as Spark writes them. What is remote is fetched.
///
/// # Errors
/// A wrong pattern, one that matches nothing, a folder that cannot be listed, or a store that does not answer.
pub fn files(pattern: &str, base: &Path) -> Result<Vec<Found>, ProbeError> {
    if let Some(scheme) = remote::strange_scheme(pattern) {
        return Err(ProbeError::Scheme(scheme.to_owned()));
    }
    if is_remote(pattern) {
        return fetched(pattern);
    }
    let found = |path: PathBuf| {
        let name = path.strip_prefix(base).unwrap_or(&path).display().to_string();
        Found { path, name, fetched: None }
    };
    Ok(local(pattern, base)?.into_iter().map(found).collect())
}

/// Whether a file of a folder is one of its tables.
fn is_table(name: &str) -> bool {
    Format::of(name).is_ok() && !name.starts_with(['.', '_'])
}

fn fetched(url: &str) -> Result<Vec<Found>, ProbeError> {
    let io = |source| ProbeError::Io { name: url.to_owned(), source };
    let scratch = Arc::new(Scratch::folder().map_err(io)?);
    let files = remote::fetch(url, scratch.path(), is_table).map_err(ProbeError::Remote)?;
    if files.is_empty() {
        return Err(ProbeError::NothingRemote(url.to_owned()));
    }
    let found =
        |file: Fetched| Found { path: file.path, name: file.url, fetched: Some(scratch.clone()) };
    Ok(files.into_iter().map(found).collect())
}

fn local(pattern: &str, base: &Path) -> Result<Vec<PathBuf>, ProbeError> {
    let full = base.join(pattern);
    if full.is_file() {
        return Ok(vec![full]);
    }
    let is_folder = full.is_dir();
    // The characters of a folder's own name are not a pattern.
    let text = match is_folder {
        true => format!("{}/**/*", glob::Pattern::escape(&full.to_string_lossy())),
        false => full.to_string_lossy().into_owned(),
    };
    let wrong = |source| ProbeError::Pattern { pattern: pattern.to_owned(), source };
    let mut found = Vec::new();
    for entry in glob::glob(&text).map_err(wrong)? {
        let path = entry.map_err(|error| ProbeError::Io {
            name: error.path().display().to_string(),
            source: error.into(),
        })?;
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let meant = !is_folder || is_table(&name);
        if path.is_file() && meant {
            found.push(path);
        }
    }
    found.sort();
    match found.is_empty() {
        true if is_folder => Err(ProbeError::EmptyFolder(pattern.to_owned())),
        true => Err(ProbeError::NoMatch { pattern: pattern.to_owned(), base: base.to_owned() }),
        false => Ok(found),
    }
}

/// Reads the header or footer of one file.
///
/// # Errors
/// A file that cannot be opened or is not what its suffix says.
pub fn probe(
    found: Found,
    separator: u8,
    encoding: &'static Encoding,
) -> Result<(Format, SourceFile), ProbeError> {
    let Found { path, name, fetched } = found;
    let (path, name) = (path.as_path(), name.as_str());
    let format = Format::of(name)?;
    let io = |source| ProbeError::Io { name: name.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        let reason = "the file is empty".to_owned();
        return Err(ProbeError::Broken { name: name.to_owned(), format: format.name(), reason });
    }
    let (columns, rows) = match format {
        Format::Csv => (csv_header(path, name, separator, encoding)?, None),
        Format::Parquet => parquet_footer(file, name)?,
        Format::Xlsx => (workbook_header(path, name)?, None),
    };
    Ok((
        format,
        SourceFile { path: path.to_owned(), name: name.to_owned(), columns, rows, fetched },
    ))
}

/// Columns and number of rows.
type Footer = (Vec<(String, DataType)>, Option<u64>);

fn parquet_footer(file: File, name: &str) -> Result<Footer, ProbeError> {
    let broken = |error: PolarsError| ProbeError::Broken {
        name: name.to_owned(),
        format: Format::Parquet.name(),
        reason: error.to_string(),
    };
    let mut reader = ParquetReader::new(file);
    let arrow = reader.schema().map_err(broken)?;
    let schema = Schema::from_arrow_schema(&arrow);
    let rows = reader.num_rows().map_err(broken)? as u64;
    Ok((
        schema
            .iter_names_and_dtypes()
            .map(|(name, dtype)| (name.to_string(), dtype.clone()))
            .collect(),
        Some(rows),
    ))
}

/// A header longer than this is taken for a file that is no CSV.
const HEADER_LIMIT: u64 = 1 << 20;

fn csv_header(
    path: &Path,
    name: &str,
    separator: u8,
    encoding: &'static Encoding,
) -> Result<Vec<(String, DataType)>, ProbeError> {
    let broken = |reason: String| ProbeError::Broken {
        name: name.to_owned(),
        format: Format::Csv.name(),
        reason,
    };
    let reader = decompressed(path, name).map_err(|error| broken(error.to_string()))?;
    let mut records = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .from_reader(reader.take(HEADER_LIMIT));
    let mut header = csv::ByteRecord::new();
    match records.read_byte_record(&mut header) {
        Ok(true) => {}
        Ok(false) => return Err(broken("the file has no header".to_owned())),
        Err(error) => return Err(broken(error.to_string())),
    }
    let names: Option<Vec<_>> = header
        .iter()
        .map(|field| encoding.decode_without_bom_handling_and_without_replacement(field))
        .collect();
    let names = names.ok_or_else(|| broken(format!("the header is not {}", encoding.name())))?;
    let names = names.iter().enumerate().map(|(idx, field)| match idx {
        0 => field.trim_start_matches('\u{feff}'),
        _ => field,
    });
    text_columns(names).map_err(broken)
}

fn workbook_header(path: &Path, name: &str) -> Result<Vec<(String, DataType)>, ProbeError> {
    let broken =
        |reason| ProbeError::Broken { name: name.to_owned(), format: Format::Xlsx.name(), reason };
    let header = workbook::header(path).map_err(broken)?;
    text_columns(header.iter().map(String::as_str)).map_err(broken)
}

/// Columns of text by these names, which must differ.
fn text_columns<'a>(
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<(String, DataType)>, String> {
    let mut columns: Vec<(String, DataType)> = Vec::new();
    for name in names {
        if name.contains('\0') {
            return Err("the header holds NUL bytes".to_owned());
        }
        if columns.iter().any(|(seen, _)| seen == name) {
            return Err(format!("the header names column `{name}` twice"));
        }
        columns.push((name.to_owned(), DataType::String));
    }
    Ok(columns)
}

/// The bytes of a CSV file, unpacked as its suffix says.
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

/// A schema in Polars' own type, for the reader.
pub(super) fn schema_of(columns: &[(String, DataType)]) -> Schema {
    columns.iter().map(|(name, dtype)| (PlSmallStr::from_str(name), dtype.clone())).collect()
}
