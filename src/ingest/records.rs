//! Splits the records of a chunk into fields, and collects the bad ones.
//!
//! Most chunks take the fast path, which goes from one separator to the next. Chunks with ambiguous
//! quoting, or with bytes that are not in the declared encoding, take the strict path, which uses
//! the `csv` crate and is slower.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::ops::Range;

use csv::{ByteRecord, ReaderBuilder};
use encoding_rs::{Encoding, UTF_8};

use super::chunks::{Chunk, ReadError, byte_masks, for_each_block, set_bits};

/// Indices into `RECORD_FAULTS`.
const TOO_FEW: usize = 0;
const TOO_MANY: usize = 1;
const UNDECODABLE: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRecord {
    /// Index among the records of the chunk.
    pub(super) index: usize,
    /// Line of the file on which it begins.
    pub(super) line: u64,
    /// Index into `RECORD_FAULTS`.
    pub(super) fault: usize,
    /// Its text, with `\u{fffd}` for undecodable bytes.
    pub(super) text: String,
}

pub(super) struct CsvDialect<'a> {
    /// Name of the file, for errors.
    pub(super) name: &'a str,
    pub(super) separator: u8,
    pub(super) encoding: &'static Encoding,
    pub(super) width: usize,
}

/// The fields of a chunk's records, without the header.
pub(super) struct Fields<'a> {
    text: Cow<'a, [u8]>,
    width: usize,
    /// Start of each record in the text. [`BAD`] for a bad record, whose fields are empty.
    starts: Vec<u32>,
    /// End of each field in the text, `width` a record. A separator follows.
    ends: Vec<u32>,
    /// Whether fields may have quotes around them.
    has_quotes: bool,
    pub(super) bad: Vec<BadRecord>,
}

const BAD: u32 = u32::MAX;

impl<'a> Fields<'a> {
    fn new(text: Cow<'a, [u8]>, chunk: &Chunk, width: usize) -> Self {
        let starts = Vec::with_capacity(chunk.records);
        let ends = Vec::with_capacity(chunk.records * width);
        Self { text, width, starts, ends, has_quotes: false, bad: Vec::new() }
    }

    fn push_bad(&mut self, record: BadRecord) {
        self.bad.push(record);
        self.starts.push(BAD);
        self.ends.extend(std::iter::repeat_n(BAD, self.width));
    }

    /// Calls a function with a field of every record: a text, and the range of the field in it.
    #[inline(always)]
    pub(super) fn for_each(&self, position: usize, mut call: impl FnMut(&[u8], Range<usize>)) {
        let mut buffer = Vec::new();
        for (record, start) in self.ends.chunks_exact(self.width).zip(&self.starts) {
            if *start == BAD {
                call(b"", 0..0);
                continue;
            }
            let start = position.checked_sub(1).map_or(*start, |previous| record[previous] + 1);
            let range = start as usize..record[position] as usize;
            match &self.text[range.clone()] {
                [b'"', within @ .., b'"'] if self.has_quotes => {
                    if memchr::memchr(b'"', within).is_some() {
                        unescape(within, &mut buffer);
                        call(&buffer, 0..buffer.len());
                    } else {
                        call(&self.text, range.start + 1..range.end - 1);
                    }
                }
                _ => call(&self.text, range),
            }
        }
    }
}

/// Reads the records of a chunk.
pub(super) fn read<'a>(
    chunk: &'a Chunk,
    dialect: &CsvDialect<'_>,
) -> Result<Fields<'a>, ReadError> {
    let text = if chunk.ambiguous { None } else { decode(dialect.encoding, &chunk.bytes) };
    match text {
        Some(Cow::Borrowed(text)) => fast_path(Cow::Borrowed(text.as_bytes()), chunk, dialect),
        Some(Cow::Owned(text)) => fast_path(Cow::Owned(text.into_bytes()), chunk, dialect),
        None => strict_path(chunk, dialect),
    }
}

/// Decodes text to UTF-8. `None` if the bytes are not in the encoding.
fn decode<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    if encoding == UTF_8 {
        std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
    } else {
        encoding.decode_without_bom_handling_and_without_replacement(bytes)
    }
}

fn width_fault(fields: usize, width: usize) -> Option<usize> {
    match fields.cmp(&width) {
        Ordering::Less => Some(TOO_FEW),
        Ordering::Greater => Some(TOO_MANY),
        Ordering::Equal => None,
    }
}

/// The current record of the fast path.
#[derive(Default)]
struct OpenRecord {
    /// Offset of its first byte.
    start: usize,
    /// Number of ends of earlier records.
    ends_before: usize,
    /// Whether the next byte is within quotes.
    quoted: bool,
}

fn fast_path<'a>(
    text: Cow<'a, [u8]>,
    chunk: &Chunk,
    dialect: &CsvDialect<'_>,
) -> Result<Fields<'a>, ReadError> {
    let mut fields = Fields::new(Cow::default(), chunk, dialect.width);
    let bytes = &*text;
    let mut open = OpenRecord::default();
    let mut is_header = chunk.first == 0;
    // Line of the bytes at `counted`.
    let (mut line, mut counted) = (chunk.line, 0);
    let mut finish_record = |fields: &mut Fields<'a>, open: &mut OpenRecord, at: usize| {
        let carriage = usize::from(at > open.start && bytes[at - 1] == b'\r');
        let end = at - carriage;
        if end > open.start {
            fields.ends.push(end as u32);
            let ends = &fields.ends[open.ends_before..];
            match width_fault(ends.len(), dialect.width) {
                // The header, which the probe has checked.
                _ if std::mem::take(&mut is_header) => fields.ends.truncate(open.ends_before),
                None => fields.starts.push(open.start as u32),
                Some(fault) => {
                    line += memchr::memchr_iter(b'\n', &bytes[counted..open.start]).count() as u64;
                    counted = open.start;
                    let mut start = open.start;
                    let cells: Vec<String> = ends
                        .iter()
                        .map(|&end| {
                            let cell = &bytes[start..end as usize];
                            start = end as usize + 1;
                            String::from_utf8_lossy(&unquoted(cell)).into_owned()
                        })
                        .collect();
                    let bad = bad_record(&cells, fields.starts.len(), line, fault, dialect)?;
                    fields.ends.truncate(open.ends_before);
                    fields.push_bad(bad);
                }
            }
        } else {
            fields.ends.truncate(open.ends_before);
        }
        (open.start, open.ends_before) = (at + 1, fields.ends.len());
        Ok::<(), ReadError>(())
    };
    let mut result = Ok(());
    for_each_block(bytes, |base, block| {
        let [separators, lines, quotes] = byte_masks(block, [dialect.separator, b'\n', b'"']);
        if quotes == 0 && !open.quoted && lines == 0 {
            fields.ends.extend(set_bits(separators).map(|bit| (base + bit) as u32));
            return;
        }
        for bit in set_bits(separators | lines | quotes) {
            if quotes >> bit & 1 == 1 {
                // A doubled quote closes the field and opens it again.
                open.quoted = !open.quoted;
                fields.has_quotes = true;
            } else if !open.quoted {
                if lines >> bit & 1 == 0 {
                    fields.ends.push((base + bit) as u32);
                } else if result.is_ok() {
                    result = finish_record(&mut fields, &mut open, base + bit);
                }
            }
        }
    });
    result?;
    // The last record may have no line end.
    if open.start < bytes.len() {
        finish_record(&mut fields, &mut open, bytes.len())?;
    }
    Ok(Fields { text, ..fields })
}

/// A field without the quotes around it.
fn unquoted(field: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', within @ .., b'"'] = field else { return field.into() };
    let mut buffer = Vec::new();
    unescape(within, &mut buffer);
    buffer.into()
}

fn unescape(field: &[u8], buffer: &mut Vec<u8>) {
    buffer.clear();
    let mut is_second = false;
    for &byte in field {
        is_second = byte == b'"' && !is_second;
        if !is_second || byte != b'"' {
            buffer.push(byte);
        }
    }
}

/// A bad record, or an error if its width is wrong because a quote spans several lines.
fn bad_record(
    fields: &[impl Borrow<str>],
    index: usize,
    line: u64,
    fault: usize,
    dialect: &CsvDialect<'_>,
) -> Result<BadRecord, ReadError> {
    let text = fields.join(&char::from(dialect.separator).to_string());
    if fault != UNDECODABLE && text.contains('\n') {
        let reason = "a quote that is not closed on its line swallows the lines after it";
        return Err(ReadError::broken(dialect.name, line, reason));
    }
    Ok(BadRecord { index, line, fault, text })
}

fn strict_path<'a>(chunk: &Chunk, dialect: &CsvDialect<'_>) -> Result<Fields<'a>, ReadError> {
    let mut records = ReaderBuilder::new()
        .delimiter(dialect.separator)
        .flexible(true)
        .has_headers(false)
        .from_reader(chunk.bytes.as_slice());
    let mut fields = Fields::new(Cow::default(), chunk, dialect.width);
    let (mut record, mut text) = (ByteRecord::new(), Vec::with_capacity(chunk.bytes.len()));
    let mut is_header = chunk.first == 0;
    loop {
        let line = chunk.line + records.position().line() - 1;
        let read = records.read_byte_record(&mut record);
        if !read.map_err(|error| ReadError::broken(dialect.name, line, error.to_string()))? {
            return Ok(Fields { text: text.into(), ..fields });
        }
        let mut undecodable = None;
        let decoded = record.iter().map(|field| {
            decode(dialect.encoding, field).unwrap_or_else(|| {
                undecodable = Some(UNDECODABLE);
                String::from_utf8_lossy(field)
            })
        });
        let cells: Vec<Cow<'_, str>> = decoded.collect();
        match width_fault(cells.len(), dialect.width).or(undecodable) {
            _ if std::mem::take(&mut is_header) => {}
            None => {
                fields.starts.push(text.len() as u32);
                for cell in cells {
                    text.extend_from_slice(cell.as_bytes());
                    fields.ends.push(text.len() as u32);
                    text.push(dialect.separator);
                }
            }
            Some(fault) => {
                let line =
                    record.position().map_or(line, |position| chunk.line + position.line() - 1);
                let index = fields.starts.len();
                fields.push_bad(bad_record(&cells, index, line, fault, dialect)?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use encoding_rs::UTF_8;
    use proptest::prelude::*;

    use super::super::chunks::{Chunk, ReadError, scan_record_boundaries};
    use super::{BadRecord, CsvDialect, Fields, fast_path, strict_path};

    const CELL: &str = "a|bb||\"x,y\"|\"\"|\"q\"\"r\"|\"\"\"\"|\"n\nm\"|é|[a-z]{55,70}";

    type Outcome = (Vec<Vec<u8>>, Result<Vec<BadRecord>, String>);

    /// The fields of two columns, and the bad records.
    fn outcome(read: Result<Fields<'_>, ReadError>) -> Outcome {
        let mut cells = Vec::new();
        let Ok(fields) = read else { return (cells, Err("swallowed".to_owned())) };
        for position in 0..2 {
            fields.for_each(position, |text, range| cells.push(text[range].to_vec()));
        }
        // The `csv` crate counts blank lines as part of the next record.
        let without_line = |bad: BadRecord| BadRecord { line: 0, ..bad };
        (cells, Ok(fields.bad.into_iter().map(without_line).collect()))
    }

    proptest! {
        /// Both paths read the same cells, and as many records as the boundaries have.
        #[test]
        fn fast_and_strict_path_agree(
            records in prop::collection::vec(
                (prop::collection::vec(CELL, 1..4), "\r?\n{1,2}"), 0..40
            ),
            last in "a,b|",
        ) {
            let lines = records.iter().map(|(cells, end)| cells.join(",") + end);
            let bytes = (lines.collect::<String>() + &last).into_bytes();
            let boundaries = scan_record_boundaries(&bytes, b',');
            prop_assert!(!boundaries.ambiguous && !boundaries.quoted);
            let records = boundaries.records + usize::from(boundaries.end < bytes.len());
            let chunk = Chunk { bytes, first: 1, records, line: 2, ambiguous: false };
            let dialect = CsvDialect { name: "x.csv", separator: b',', encoding: UTF_8, width: 2 };
            let fast = outcome(fast_path(Cow::Borrowed(&chunk.bytes), &chunk, &dialect));
            let strict = outcome(strict_path(&chunk, &dialect));
            if fast.1.is_ok() && strict.1.is_ok() {
                prop_assert_eq!(fast.0.len(), 2 * records);
                prop_assert_eq!(fast, strict);
            } else {
                prop_assert_eq!(fast.1, strict.1);
            }
        }
    }
}
