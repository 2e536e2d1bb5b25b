//! Finds the line that a failed scan stumbled over. Polars says that a file is broken, but seldom where.

use std::path::Path;

use csv::{ErrorKind, ReaderBuilder};

use super::{Format, IngestParams, probe};

/// The first fault of the source that a plain reading of its CSV finds, with file and line; `None` where there is none,
/// or the source is none.
pub fn first_fault(params: &IngestParams) -> Option<String> {
    if params.format != Format::Csv {
        return None;
    }
    params.files.iter().find_map(|file| fault_of(&file.path, &file.name, params.separator))
}

fn fault_of(path: &Path, name: &str, separator: u8) -> Option<String> {
    let reader = probe::decompressed(path, name).ok()?;
    let mut records = ReaderBuilder::new().delimiter(separator).has_headers(true).from_reader(reader);
    let error = records.records().find_map(Result::err)?;
    let line = error.position().map_or(0, csv::Position::line);
    let words = match error.kind() {
        ErrorKind::Utf8 { err, .. } => format!("field {} is not UTF-8", err.field() + 1),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields where the header has {expected_len}")
        }
        _ => error.to_string(),
    };
    Some(format!("`{name}`, line {line}: {words}"))
}
