//! Walks the bytes of CSV files before Polars does: a record with too few fields becomes nulls there without a word, and one
//! byte that is not UTF-8 fails the whole scan.
//!
//! A file without faults is left as it is. One with faults, in another encoding, or written in a way that readers disagree on
//! is written anew into the run's scratch folder without its bad records, each row with its own number; the bad records
//! become rows of their own in the plan. What the scan then reads is held to the number of records that were walked.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use encoding_rs::{Encoding, UTF_8};

use super::{FileSet, Format, OnBadRow, SourceFile, probe};

/// Column of a source's plan, and of a rewritten file, that holds the number of the row in its source.
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
    /// Records after the header, bad ones included; `None` where the file was not walked.
    pub records: Option<u32>,
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

/// Walks every file of a set; rewritten ones go into `scratch`, named by their index counted from `first`.
///
/// # Errors
/// Files that cannot be read, records beyond the limit, quotes that are never closed; under `on_bad_row: fail` any bad
/// record.
pub fn walk(set: &FileSet, on_bad_row: OnBadRow, scratch: &Path, first: usize) -> Result<Vec<Walked>, WalkError> {
    let one = |(idx, file): (usize, &SourceFile)| match set.format {
        Format::Csv => walk_file(set, file, on_bad_row, &scratch.join(format!("{}.csv", first + idx))),
        Format::Parquet | Format::Xlsx => Ok(Walked::default()),
    };
    set.files.iter().enumerate().map(one).collect()
}

fn walk_file(set: &FileSet, file: &SourceFile, on_bad_row: OnBadRow, rewritten: &Path) -> Result<Walked, WalkError> {
    let io = |source| WalkError::Io { name: file.name.clone(), source };
    let Read { bad, records, odd } = read(set, file, |_, _| Ok(()))?;
    let records = Some(records);
    if bad.is_empty() && !odd && set.text.encoding == UTF_8 {
        return Ok(Walked { records, ..Walked::default() });
    }
    if let (OnBadRow::Fail, Some(first)) = (on_bad_row, bad.first()) {
        let words = format!("row {} has {}: {}", first.row, FAULTS[first.fault], first.text);
        return Err(WalkError::Broken { name: file.name.clone(), line: first.line, words });
    }
    let mut writer = WriterBuilder::new()
        .delimiter(set.text.separator)
        .from_writer(BufWriter::new(File::create(rewritten).map_err(io)?));
    let header = file.columns.iter().map(|(name, _)| name.as_str()).chain([ROW_COLUMN]);
    writer.write_record(header).map_err(|error| io(error.into()))?;
    read(set, file, |row, record| {
        let text = |field: &[u8]| decode(set.text.encoding, field).map(|text| text.into_bytes());
        let fields: Option<Vec<Vec<u8>>> = record.iter().map(text).collect();
        let row = row.to_string().into_bytes();
        writer.write_record(fields.unwrap_or_default().into_iter().chain([row])).map_err(io::Error::from)
    })?;
    writer.flush().map_err(io)?;
    Ok(Walked { rewritten: Some(rewritten.to_owned()), bad, records })
}

/// What a walk found.
struct Read {
    bad: Vec<BadRecord>,
    records: u32,
    /// Whether something is written in a way that Polars reads differently.
    odd: bool,
}

/// Reads the records of a file, and hands the good ones to `keep`.
fn read(
    set: &FileSet,
    file: &SourceFile,
    mut keep: impl FnMut(u32, &ByteRecord) -> io::Result<()>,
) -> Result<Read, WalkError> {
    let io = |source| WalkError::Io { name: file.name.clone(), source };
    let broken = |line: u64, words: &str| WalkError::Broken { name: file.name.clone(), line, words: words.to_owned() };
    let bytes = probe::decompressed(&file.path, &file.name).map_err(io)?;
    let separator = set.text.separator;
    let lines = Bytes { inner: bytes, separator, last: None, quoted: false, pending: false, odd: false, unreturned: 0 };
    let mut records = ReaderBuilder::new()
        .delimiter(set.text.separator)
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
        records.get_mut().unreturned = 0;
        row += 1;
        let fault = match record.len().cmp(&width) {
            std::cmp::Ordering::Less => Some(0),
            std::cmp::Ordering::Greater => Some(1),
            std::cmp::Ordering::Equal if !record.iter().all(|field| is_text(set.text.encoding, field)) => Some(2),
            std::cmp::Ordering::Equal => None,
        };
        match fault {
            Some(0 | 1) if record.iter().any(|field| field.contains(&b'\n')) => {
                return Err(broken(line, "a quote that is not closed on its line swallows the lines after it"));
            }
            Some(fault) => {
                let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
                let text = fields.join(&char::from(set.text.separator).to_string());
                bad.push(BadRecord { row, line: record.position().map_or(line, csv::Position::line), fault, text });
            }
            None => keep(row, &record).map_err(io)?,
        }
    }
    Ok(Read { bad, records: row, odd: records.get_ref().odd })
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

/// The bytes of a file on their way to the parser. Notices what Polars reads differently: blank lines, which are rows of nulls
/// there, lines that end in a lone CR, and quotes that neither open nor close a field. Ends a record that has no end before it
/// fills the memory.
struct Bytes<R> {
    inner: R,
    separator: u8,
    /// The byte before this chunk.
    last: Option<u8>,
    /// Whether the next byte stands in a quoted field.
    quoted: bool,
    /// Whether the last byte is a quote in a quoted field, of which the next byte tells what it is.
    pending: bool,
    odd: bool,
    /// Bytes handed over since the parser last returned a record.
    unreturned: usize,
}

impl<R: io::Read> io::Read for Bytes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unreturned > RECORD_LIMIT {
            let words = "a record of more than 16 MiB: no CSV, or a quote that is never closed";
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        let n = self.inner.read(buffer)?;
        self.unreturned += n;
        if !self.odd {
            self.look(&buffer[..n]);
        }
        self.last = buffer[..n].last().copied().or(self.last);
        Ok(n)
    }
}

impl<R> Bytes<R> {
    fn look(&mut self, bytes: &[u8]) {
        let Some(&first) = bytes.first() else { return };
        let mut skip = None;
        if self.pending {
            skip = self.close(first).then_some(0);
            self.pending = false;
        } else if !self.quoted {
            self.odd |= self.last.is_some_and(|last| after_line_end(last, first));
        }
        for at in memchr::memchr3_iter(b'\n', b'\r', b'"', bytes) {
            let after = bytes.get(at + 1).copied();
            match bytes[at] {
                _ if skip == Some(at) => {}
                b'"' if self.quoted => match after {
                    Some(after) => skip = self.close(after).then_some(at + 1),
                    None => self.pending = true,
                },
                b'"' => {
                    let before = at.checked_sub(1).map_or(self.last, |before| bytes.get(before).copied());
                    self.quoted = before.is_none_or(|before| self.ends_field(before));
                    self.odd |= !self.quoted;
                }
                end if !self.quoted => self.odd |= after.is_some_and(|after| after_line_end(end, after)),
                _ => {}
            }
        }
    }

    /// What a quote in a quoted field means by the byte after it: whether that is a second quote, of one that is doubled.
    fn close(&mut self, after: u8) -> bool {
        self.quoted = after == b'"';
        self.odd |= !self.quoted && !self.ends_field(after);
        self.quoted
    }

    fn ends_field(&self, byte: u8) -> bool {
        byte == self.separator || byte == b'\n' || byte == b'\r'
    }
}

/// Whether what follows the end of a line is odd: a CR without its LF, or a blank line.
fn after_line_end(end: u8, after: u8) -> bool {
    match end {
        b'\r' => after != b'\n',
        b'\n' => after == b'\n' || after == b'\r',
        _ => false,
    }
}
