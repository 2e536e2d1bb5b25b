//! Walks the bytes of CSV files before Polars does: a record with too few fields becomes nulls there without a word, and one
//! byte that is not UTF-8 fails the whole scan.
//!
//! A file without faults is left as it is. One with faults, or in another encoding, is written anew into the run's scratch
//! folder without its bad records, each row with its own number; the bad records become rows of their own in the plan.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use encoding_rs::{Encoding, UTF_8};

use super::{Format, IngestParams, OnBadRow, SourceFile, probe};

/// Column of a rewritten file that holds the number of the row in its source.
pub(super) const ROW_COLUMN: &str = "custseg.source_row";
/// Reasons for which a record is bad, in the order of [`BadRecord::fault`].
pub const FAULTS: [&str; 3] = ["too few fields", "too many fields", "not in the declared encoding"];
/// A record longer than this is taken for a file that is no CSV, or for a quote that is never closed.
const RECORD_LIMIT: usize = 16 << 20;

/// A source file as the scan is to read it.
#[derive(Debug, Clone, Default)]
pub struct Walked {
    /// The file written anew, where there was reason to.
    pub rewritten: Option<PathBuf>,
    /// Records that are none of the table's.
    pub bad: Vec<BadRecord>,
}

/// A record that is none of the table's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// 1-based record after the header.
    pub row: u32,
    /// Line of the file on which it begins.
    pub line: u64,
    /// Index into [`FAULTS`].
    pub fault: usize,
    /// Its text, with `\u{fffd}` where bytes are no text.
    pub text: String,
}

/// Why a file cannot be walked to its end.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The operating system refused.
    #[error("cannot read `{name}`: {source}")]
    Io {
        /// The file.
        name: String,
        /// What it said.
        source: io::Error,
    },
    /// A record is not to be believed.
    #[error("`{name}`, line {line}: {words}")]
    Broken {
        /// The file.
        name: String,
        /// Line on which the record begins.
        line: u64,
        /// What is wrong.
        words: String,
    },
}

/// Walks every file; rewritten ones go into `scratch`.
///
/// # Errors
/// Files that cannot be read, records beyond the limit, quotes that are never closed; under `on_bad_row: fail` any bad
/// record.
pub fn walk(params: &IngestParams, scratch: &Path) -> Result<Vec<Walked>, WalkError> {
    let one = |(idx, file): (usize, &SourceFile)| match params.format {
        Format::Csv => walk_file(params, file, &scratch.join(format!("{idx}.csv"))),
        Format::Parquet | Format::Xlsx => Ok(Walked::default()),
    };
    params.files.iter().enumerate().map(one).collect()
}

fn walk_file(params: &IngestParams, file: &SourceFile, rewritten: &Path) -> Result<Walked, WalkError> {
    let io = |source| WalkError::Io { name: file.name.clone(), source };
    let mut blank = false;
    let bad = read(params, file, |_, _| Ok(()), &mut blank)?;
    if bad.is_empty() && !blank && params.encoding == UTF_8 {
        return Ok(Walked::default());
    }
    if let (OnBadRow::Fail, Some(first)) = (params.on_bad_row, bad.first()) {
        let words = format!("row {} has {}: {}", first.row, FAULTS[first.fault], first.text);
        return Err(WalkError::Broken { name: file.name.clone(), line: first.line, words });
    }
    let mut writer = WriterBuilder::new()
        .delimiter(params.separator)
        .from_writer(BufWriter::new(File::create(rewritten).map_err(io)?));
    let header = file.columns.iter().map(|(name, _)| name.as_str()).chain([ROW_COLUMN]);
    writer.write_record(header).map_err(|error| io(error.into()))?;
    read(
        params,
        file,
        |row, record| {
            let text = |field: &[u8]| decode(params.encoding, field).map(|text| text.into_bytes());
            let fields: Option<Vec<Vec<u8>>> = record.iter().map(text).collect();
            let row = row.to_string().into_bytes();
            writer.write_record(fields.unwrap_or_default().into_iter().chain([row])).map_err(io::Error::from)
        },
        &mut blank,
    )?;
    writer.flush().map_err(io)?;
    Ok(Walked { rewritten: Some(rewritten.to_owned()), bad })
}

/// Reads the records of a file: hands the good ones to `keep`, and returns the bad ones.
fn read(
    params: &IngestParams,
    file: &SourceFile,
    mut keep: impl FnMut(u32, &ByteRecord) -> io::Result<()>,
    blank: &mut bool,
) -> Result<Vec<BadRecord>, WalkError> {
    let io = |source| WalkError::Io { name: file.name.clone(), source };
    let broken = |line: u64, words: &str| WalkError::Broken { name: file.name.clone(), line, words: words.to_owned() };
    let bytes = probe::decompressed(&file.path, &file.name).map_err(io)?;
    let lines = BlankLines { inner: bytes, after_newline: false, found: false };
    let mut records = ReaderBuilder::new()
        .delimiter(params.separator)
        .flexible(true)
        .has_headers(true)
        .buffer_capacity(1 << 20)
        .from_reader(lines);
    let width = file.columns.len();
    let (mut record, mut bad, mut row) = (ByteRecord::new(), Vec::new(), 0u32);
    loop {
        let line = records.position().line();
        match records.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(broken(line, &error.to_string())),
        }
        row += 1;
        if record.as_slice().len() > RECORD_LIMIT {
            return Err(broken(line, "a record of more than 16 MiB: no CSV, or a quote that is never closed"));
        }
        let fault = match record.len().cmp(&width) {
            std::cmp::Ordering::Less => Some(0),
            std::cmp::Ordering::Greater => Some(1),
            std::cmp::Ordering::Equal if !record.iter().all(|field| is_text(params.encoding, field)) => Some(2),
            std::cmp::Ordering::Equal => None,
        };
        match fault {
            Some(0 | 1) if record.iter().any(|field| field.contains(&b'\n')) => {
                return Err(broken(line, "a quote that is not closed on its line swallows the lines after it"));
            }
            Some(fault) => {
                let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
                let text = fields.join(&char::from(params.separator).to_string());
                bad.push(BadRecord { row, line: record.position().map_or(line, csv::Position::line), fault, text });
            }
            None => keep(row, &record).map_err(io)?,
        }
    }
    *blank = records.get_ref().found;
    Ok(bad)
}

fn is_text(encoding: &'static Encoding, bytes: &[u8]) -> bool {
    match encoding == UTF_8 {
        true => std::str::from_utf8(bytes).is_ok(),
        false => decode(encoding, bytes).is_some(),
    }
}

/// Text in an encoding; `None` where the bytes are not of it.
fn decode(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    match encoding == UTF_8 {
        true => std::str::from_utf8(bytes).ok().map(str::to_owned),
        false => encoding.decode_without_bom_handling_and_without_replacement(bytes).map(Into::into),
    }
}

/// Notices blank lines, which the walk skips and Polars makes rows of nulls of. One inside a quoted field is taken for
/// one, which only costs a rewriting.
struct BlankLines<R> {
    inner: R,
    after_newline: bool,
    found: bool,
}

impl<R: Read> Read for BlankLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let bytes = &buffer[..n];
        if !self.found && n > 0 {
            let starts_blank = self.after_newline && (bytes[0] == b'\n' || bytes[0] == b'\r');
            let blank = |pair: &[u8]| pair[0] == b'\n' && (pair[1] == b'\n' || pair[1] == b'\r');
            self.found = starts_blank || bytes.windows(2).any(blank);
        }
        if let Some(last) = bytes.last() {
            self.after_newline = *last == b'\n';
        }
        Ok(n)
    }
}
