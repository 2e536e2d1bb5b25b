//! Reads the headers and footers of files, but no rows.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use glob::PatternError;
use polars::prelude::extension::{
    UnknownExtensionTypeBehavior, set_unknown_extension_type_behavior,
};
use polars::prelude::{ArrowDataType, ArrowField, DataType, ParquetReader, SerReader, TimeZone};

use super::csv_layout::{CsvHeader, StandardCsv};
use super::workbook::{self, SheetChoice};
use super::{FileSet, Format, SourceFile, TextFormat, plans};
use crate::remote::{RemoteError, SCHEMES};

const SUFFIXES: &str = ".csv, .tsv, .jsonl, .ndjson (also .gz and .zst), .parquet, .arrow, .feather, \
                        .xlsx, .xlsm, .xlsb, .xls, .ods or .zip";
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
    #[error("folder `{0}` has no {SUFFIXES} file; `format` reads files of any name")]
    EmptyFolder(String),
    #[error("`{0}` has no file that can be read; `format` reads files of any name")]
    EmptyArchive(String),
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
    #[error("`{name}` has no known suffix; set `format`, or use {SUFFIXES}")]
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
            Self::JsonLines => "JSON lines",
            Self::Arrow => "an Arrow file",
        }
    }

    pub fn from_name(name: &str) -> Result<Self, ProbeError> {
        let lower = name.to_lowercase();
        let plain = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst"));
        let plain = plain.unwrap_or(&lower);
        if [".csv", ".tsv"].iter().any(|suffix| plain.ends_with(suffix)) {
            Ok(Self::Csv)
        } else if [".jsonl", ".ndjson"].iter().any(|suffix| plain.ends_with(suffix)) {
            Ok(Self::JsonLines)
        } else if [".arrow", ".feather"].iter().any(|suffix| plain.ends_with(suffix)) {
            Ok(Self::Arrow)
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
/// the declared format, or that of its suffix. JSON lines are read completely. A workbook gives a
/// file for each sheet that is read.
pub fn probe(
    file: SourceFile,
    declared: Option<Format>,
    text: &TextFormat,
    sheets: &SheetChoice,
    required: &[&str],
) -> Result<(Format, Vec<SourceFile>), ProbeError> {
    let SourceFile { path, name, .. } = &file;
    let format = declared.map_or_else(|| Format::from_name(name), Ok)?;
    let io_error = |source| ProbeError::Io { name: name.clone(), source };
    let content = File::open(path).map_err(io_error)?;
    if content.metadata().map_err(io_error)?.len() == 0 {
        return Err(format.broken(name, "the file is empty"));
    }
    let probed = match format {
        Format::Csv => csv_header(&file, text).map(|probed| vec![probed]),
        Format::Parquet => parquet_footer(content, &file).map(|probed| vec![probed]),
        Format::JsonLines => {
            plans::json_lines_header(&file, &text.numbers).map(|probed| vec![probed])
        }
        Format::Arrow => plans::arrow_header(&file).map(|probed| vec![probed]),
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

/// The records of the beginning of a CSV file.
fn first_records(
    csv: StandardCsv,
    text: &TextFormat,
) -> csv::Reader<io::Take<Box<dyn Read + Send>>> {
    csv::ReaderBuilder::new()
        .delimiter(text.separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(csv.reader.take(HEADER_LIMIT))
}

fn csv_header(file: &SourceFile, text: &TextFormat) -> Result<SourceFile, String> {
    let csv = StandardCsv::open(&file.path, &file.name, &text.layout);
    let csv = csv.map_err(|error| error.to_string())?;
    if let Some(declared) = csv.declared_separator
        && text.layout.quoting.is_none()
        && declared != char::from(text.separator)
    {
        return Err(format!(
            "its first line says that the separator is `{declared}`; set `csv.separator`"
        ));
    }
    let mut records = first_records(csv, text);
    let mut first = csv::ByteRecord::new();
    if !records.read_byte_record(&mut first).map_err(|error| error.to_string())? {
        return Err("the file has no header".to_owned());
    }
    let encoding = text.encoding;
    let names: Option<Vec<String>> = first
        .iter()
        .map(|field| encoding.decode_without_bom_handling_and_without_replacement(field))
        .map(|name| name.map(Into::into))
        .collect();
    if names.is_none() && text.layout.header == CsvHeader::First {
        let utf_16 = matches!(first.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
        let hint = if utf_16 { "; it begins as UTF-16: set `csv.encoding: utf-16`" } else { "" };
        return Err(format!("the header is not {}{hint}", encoding.name()));
    }
    let names = names.unwrap_or_else(|| vec![String::new(); first.len()]);
    let names = text.layout.names(names)?;
    if names.iter().any(|name| name.contains('\0')) {
        return Err("the header has NUL bytes: check `csv.encoding`".to_owned());
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
pub fn has_rows(file: &SourceFile, set: &FileSet) -> bool {
    if let Some(rows) = file.rows {
        return rows > 0;
    }
    if set.format != Format::Csv {
        return true;
    }
    let layout = &set.text.layout;
    let Ok(csv) = StandardCsv::open_with_header(&file.path, &file.name, layout) else {
        return true;
    };
    let records = first_records(csv, &set.text).into_byte_records();
    records.skip(1).take(1).count() > 0
}

/// A hint for a CSV file that lacks a column, if a later line has all `required` columns.
pub fn header_hint(file: &SourceFile, text: &TextFormat, required: &[&str]) -> Option<String> {
    if text.layout.header != CsvHeader::First {
        return None;
    }
    let csv = StandardCsv::open(&file.path, &file.name, &text.layout).ok()?;
    let first_line = csv.line;
    let mut records = first_records(csv, text);
    let mut record = csv::ByteRecord::new();
    let mut line = 0;
    while line < 20 && records.read_byte_record(&mut record).ok()? {
        // Blank lines count as part of the next record, so its end is exact.
        line = records.position().line() - 1;
        let has = |name: &&str| record.iter().any(|field| field == name.as_bytes());
        if record.position().is_some_and(|p| p.record() > 0) && required.iter().all(has) {
            let above = line - 1;
            return Some(format!(
                "line {} has the mapped columns: set `csv.skip_rows: {}`",
                first_line + above,
                u64::from(text.layout.skip_rows) + above
            ));
        }
    }
    None
}
