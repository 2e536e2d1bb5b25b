//! Reads the headers and footers of files, but no rows.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use glob::PatternError;
use polars::prelude::extension::{
    UnknownExtensionTypeBehavior, set_unknown_extension_type_behavior,
};
use polars::prelude::{ArrowDataType, ArrowField, DataType, ParquetReader, SerReader, TimeZone};

use super::workbook::{self, SheetChoice};
use super::{Format, SourceFile, TextFormat};
use crate::remote::{RemoteError, SCHEMES};

const SUFFIXES: &str = ".csv, .csv.gz, .csv.zst, .parquet, .xlsx, .xlsm, .xlsb, .xls or .ods";
const WORKBOOK_SUFFIXES: [&str; 5] = [".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"];
/// A longer header means that the file is no CSV.
const HEADER_LIMIT: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("`{pattern}` is not a valid path pattern: {source}")]
    Pattern { pattern: String, source: PatternError },
    /// `base` is the folder of relative patterns.
    #[error("no file matches `{pattern}` (looked from {})", if base.as_os_str().is_empty() { ".".into() } else { base.display().to_string() })]
    NoMatch { pattern: String, base: PathBuf },
    #[error("folder `{0}` has no {SUFFIXES} file")]
    EmptyFolder(String),
    #[error(
        "`{folder}` is a table of {format}: its folder also has rows that were removed; export the current rows, or list the files"
    )]
    TableFormat { folder: String, format: &'static str },
    #[error("`{0}://` is not a supported store; {SCHEMES}")]
    Scheme(String),
    #[error("no file matches `{0}`")]
    NothingRemote(String),
    #[error(transparent)]
    Remote(RemoteError),
    #[error("`{name}` has no known suffix; expected {SUFFIXES}")]
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
            Self::Workbook => "a workbook",
        }
    }

    pub fn from_name(name: &str) -> Result<Self, ProbeError> {
        let lower = name.to_lowercase();
        if [".csv", ".csv.gz", ".csv.zst"].iter().any(|suffix| lower.ends_with(suffix)) {
            Ok(Self::Csv)
        } else if lower.ends_with(".parquet") {
            Ok(Self::Parquet)
        } else if WORKBOOK_SUFFIXES.iter().any(|suffix| lower.ends_with(suffix)) {
            Ok(Self::Workbook)
        } else {
            Err(ProbeError::Suffix { name: name.to_owned() })
        }
    }

    fn broken(self, name: &str, reason: impl Into<String>) -> ProbeError {
        ProbeError::Broken { name: name.to_owned(), format: self.name(), reason: reason.into() }
    }
}

/// Reads the columns and the number of rows from the header or footer of a file, which must have
/// the format of its suffix. A workbook gives a file for each sheet that is read.
pub fn probe(
    file: SourceFile,
    text: &TextFormat,
    sheets: &SheetChoice,
    required: &[&str],
) -> Result<(Format, Vec<SourceFile>), ProbeError> {
    let SourceFile { path, name, .. } = &file;
    let format = Format::from_name(name)?;
    let io_error = |source| ProbeError::Io { name: name.clone(), source };
    let content = File::open(path).map_err(io_error)?;
    if content.metadata().map_err(io_error)?.len() == 0 {
        return Err(format.broken(name, "the file is empty"));
    }
    let probed = match format {
        Format::Csv => csv_header(&file, text).map(|probed| vec![probed]),
        Format::Parquet => parquet_footer(content, &file).map(|probed| vec![probed]),
        Format::Workbook => workbook::headers(path, sheets, required).map(|headers| {
            let shows_sheet = headers.len() > 1;
            let probed = headers.into_iter().map(|workbook::Header { sheet, names }| {
                let name =
                    if shows_sheet { format!("{name} [{}]", sheet.name) } else { name.clone() };
                let sheet = Some(sheet);
                with_text_columns(SourceFile { name, sheet, ..file.clone() }, &names)
            });
            probed.collect()
        }),
    };
    let probed = probed.map_err(|reason| format.broken(name, reason))?;
    Ok((format, probed))
}

fn parquet_footer(content: File, file: &SourceFile) -> Result<SourceFile, String> {
    // Values of a logical type that Polars does not know are those of the type that stores them.
    set_unknown_extension_type_behavior(UnknownExtensionTypeBehavior::LoadAsStorage);
    let mut reader = ParquetReader::new(content);
    let schema = reader.schema().map_err(|error| error.to_string())?;
    let (mut columns, mut uuids, mut days) = (Vec::new(), Vec::new(), Vec::new());
    for field in schema.iter_values() {
        let name = field.name.to_string();
        if !is_readable(&field.dtype) {
            return Err(match &field.dtype {
                ArrowDataType::Timestamp(_, Some(zone)) => {
                    format!("column `{name}` has the time zone {zone}, which is no IANA name")
                }
                _ => format!("column `{name}` has a type that is not supported"),
            });
        }
        if is_uuid(&field.dtype) {
            uuids.push(name.clone());
        }
        if field.dtype == ArrowDataType::Date64 {
            days.push(name.clone());
        }
        columns.push((name, DataType::from_arrow_field(field)));
    }
    let mut repeated = Vec::new();
    for (idx, (name, _)) in columns.iter().enumerate() {
        if columns[..idx].iter().any(|(earlier, _)| earlier == name) {
            repeated.push(name.clone());
        }
    }
    let rows = reader.num_rows().map_err(|error| error.to_string())?;
    Ok(SourceFile { columns, repeated, uuids, days, rows: Some(rows as u64), ..file.clone() })
}

/// Whether Polars can read a type. It panics at others, even if their column is not read.
fn is_readable(dtype: &ArrowDataType) -> bool {
    use ArrowDataType::*;
    let all = |fields: &[ArrowField]| fields.iter().all(|field| is_readable(&field.dtype));
    match dtype {
        Extension(extension) => is_readable(&extension.inner),
        List(field) | LargeList(field) | FixedSizeList(field, _) | Map(field, _) => {
            is_readable(&field.dtype)
        }
        Struct(fields) => all(fields),
        Dictionary(_, values, _) => is_readable(values),
        Timestamp(_, zone) => TimeZone::opt_try_new(zone.clone()).is_ok(),
        // Polars reads intervals if a variable of the environment is set.
        Interval(_) => {
            std::env::var("POLARS_IMPORT_INTERVAL_AS_STRUCT").is_ok_and(|set| set == "1")
        }
        Union(_) | Unknown => false,
        _ => true,
    }
}

fn is_uuid(dtype: &ArrowDataType) -> bool {
    match dtype {
        ArrowDataType::Extension(extension) => is_uuid(&extension.inner),
        ArrowDataType::FixedSizeBinary(size) => *size == 16,
        _ => false,
    }
}

fn csv_header(file: &SourceFile, text: &TextFormat) -> Result<SourceFile, String> {
    let reader = decompressed(&file.path, &file.name).map_err(|error| error.to_string())?;
    let mut records = csv::ReaderBuilder::new()
        .delimiter(text.separator)
        .has_headers(false)
        .from_reader(reader.take(HEADER_LIMIT));
    let mut header = csv::ByteRecord::new();
    if !records.read_byte_record(&mut header).map_err(|error| error.to_string())? {
        return Err("the file has no header".to_owned());
    }
    let encoding = text.encoding;
    let names: Option<Vec<String>> = header
        .iter()
        .map(|field| encoding.decode_without_bom_handling_and_without_replacement(field))
        .map(|name| name.map(|name| name.trim_start_matches('\u{feff}').to_owned()))
        .collect();
    let names = names.ok_or_else(|| format!("the header is not {}", encoding.name()))?;
    if names.iter().any(|name| name.contains('\0')) {
        return Err("the header has NUL bytes".to_owned());
    }
    Ok(with_text_columns(file.clone(), &names))
}

/// A file with columns of text. Columns without a name are called by their number, and a name that
/// occurs again gets a number.
fn with_text_columns(file: SourceFile, names: &[String]) -> SourceFile {
    let mut columns: Vec<(String, DataType)> = Vec::new();
    let mut repeated = Vec::new();
    for (idx, name) in names.iter().enumerate() {
        let is_taken = |name: &str| columns.iter().any(|(taken, _)| taken == name);
        let mut unique =
            if name.trim().is_empty() { format!("column {}", idx + 1) } else { name.clone() };
        if is_taken(&unique) {
            repeated.push(unique.clone());
            let numbered = (2..).map(|n| format!("{name} ({n})")).find(|name| !is_taken(name));
            unique = numbered.unwrap_or(unique);
        }
        columns.push((unique, DataType::String));
    }
    SourceFile { columns, repeated, ..file }
}

/// Whether a file has rows. Files of equal content are duplicates only then.
pub fn has_rows(file: &SourceFile, text: &TextFormat) -> bool {
    if let Some(rows) = file.rows {
        return rows > 0;
    }
    if Format::from_name(&file.name).ok() != Some(Format::Csv) {
        return true;
    }
    let Ok(reader) = decompressed(&file.path, &file.name) else { return true };
    let records = csv::ReaderBuilder::new()
        .delimiter(text.separator)
        .has_headers(true)
        .flexible(true)
        .from_reader(reader)
        .into_byte_records();
    records.take(1).count() > 0
}

/// A hint for a CSV file that lacks a column, if a later line has all `required` columns.
pub fn header_hint(file: &SourceFile, text: &TextFormat, required: &[&str]) -> Option<String> {
    let reader = decompressed(&file.path, &file.name).ok()?;
    let mut records = csv::ReaderBuilder::new()
        .delimiter(text.separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(reader.take(HEADER_LIMIT));
    let mut record = csv::ByteRecord::new();
    let mut line = 0;
    while line < 20 && records.read_byte_record(&mut record).ok()? {
        line = records.position().line();
        let has = |name: &&str| record.iter().any(|field| field == name.as_bytes());
        if record.position().is_some_and(|p| p.record() > 0) && required.iter().all(has) {
            let at = record.position().map_or(0, csv::Position::line);
            return Some(format!(
                "line {at} has the mapped columns: remove the lines above it, which are no table"
            ));
        }
    }
    None
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
