//! Splits the records of a chunk into fields, and collects the bad ones.
//!
//! Most chunks take the fast path, which goes from one separator to the next. Chunks with ambiguous
//! quoting, or with bytes that are not in the declared encoding, take the strict path, which uses
//! the `csv` crate and is slower.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;

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

/// Reads the records of a chunk, without the header. Calls `keep` with the `wanted` fields of every
/// good record and their index in `wanted`. For a bad record these fields are empty.
pub(super) fn read(
    chunk: &Chunk,
    dialect: &CsvDialect<'_>,
    wanted: &[usize],
    keep: impl FnMut(usize, &[u8]),
) -> Result<Vec<BadRecord>, ReadError> {
    let text = if chunk.ambiguous { None } else { decode(dialect.encoding, &chunk.bytes) };
    match text {
        Some(text) => fast_path(text.as_bytes(), chunk, dialect, wanted, keep),
        None => strict_path(chunk, dialect, wanted, keep),
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
    /// Offsets of the ends of its fields.
    ends: Vec<usize>,
    /// Whether the next byte is within quotes.
    quoted: bool,
    has_quotes: bool,
}

fn fast_path(
    bytes: &[u8],
    chunk: &Chunk,
    dialect: &CsvDialect<'_>,
    wanted: &[usize],
    mut keep: impl FnMut(usize, &[u8]),
) -> Result<Vec<BadRecord>, ReadError> {
    let (mut open, mut index) = (OpenRecord::default(), 0);
    let (mut bad, mut buffer) = (Vec::new(), Vec::new());
    // Line of the bytes at `counted`.
    let (mut line, mut counted) = (chunk.line, 0);
    let mut finish_record = |open: &mut OpenRecord, at: usize| -> Result<(), ReadError> {
        let carriage = usize::from(at > open.start && bytes[at - 1] == b'\r');
        let end = at - carriage;
        if end > open.start {
            open.ends.push(end);
            match width_fault(open.ends.len(), dialect.width) {
                // The header, which the probe has checked.
                _ if chunk.first == 0 && index == 0 => {}
                None => {
                    for (idx, position) in wanted.iter().enumerate() {
                        keep(idx, field(bytes, open, *position, &mut buffer));
                    }
                }
                Some(fault) => {
                    line += memchr::memchr_iter(b'\n', &bytes[counted..open.start]).count() as u64;
                    counted = open.start;
                    let text_of = |position| {
                        let field = field(bytes, open, position, &mut buffer);
                        String::from_utf8_lossy(field).into_owned()
                    };
                    let fields: Vec<String> = (0..open.ends.len()).map(text_of).collect();
                    bad.push(bad_record(&fields, index, line, fault, dialect)?);
                    (0..wanted.len()).for_each(|idx| keep(idx, b""));
                }
            }
            index += 1;
        }
        open.ends.clear();
        (open.start, open.has_quotes) = (at + 1, false);
        Ok(())
    };
    let mut result = Ok(());
    for_each_block(bytes, |base, block| {
        let [separators, lines, quotes] = byte_masks(block, [dialect.separator, b'\n', b'"']);
        for bit in set_bits(separators | lines | quotes) {
            if quotes >> bit & 1 == 1 {
                // A doubled quote closes the field and opens it again.
                (open.quoted, open.has_quotes) = (!open.quoted, true);
            } else if !open.quoted {
                if lines >> bit & 1 == 0 {
                    open.ends.push(base + bit);
                } else if result.is_ok() {
                    result = finish_record(&mut open, base + bit);
                }
            }
        }
    });
    result?;
    // The last record may have no line end.
    if open.start < bytes.len() {
        finish_record(&mut open, bytes.len())?;
    }
    Ok(bad)
}

/// A field of a record, without the quotes around it. Unescapes doubled quotes into `buffer`.
#[inline]
fn field<'a>(
    bytes: &'a [u8],
    open: &OpenRecord,
    position: usize,
    buffer: &'a mut Vec<u8>,
) -> &'a [u8] {
    let start = position.checked_sub(1).map_or(open.start, |previous| open.ends[previous] + 1);
    let field = &bytes[start..open.ends[position]];
    match field {
        [b'"', within @ .., b'"'] if open.has_quotes => match memchr::memchr(b'"', within) {
            Some(_) => unescaped(within, buffer),
            None => within,
        },
        _ => field,
    }
}

fn unescaped<'a>(field: &[u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    buffer.clear();
    let mut is_second = false;
    for &byte in field {
        is_second = byte == b'"' && !is_second;
        if !is_second || byte != b'"' {
            buffer.push(byte);
        }
    }
    buffer
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

fn strict_path(
    chunk: &Chunk,
    dialect: &CsvDialect<'_>,
    wanted: &[usize],
    mut keep: impl FnMut(usize, &[u8]),
) -> Result<Vec<BadRecord>, ReadError> {
    let mut records = ReaderBuilder::new()
        .delimiter(dialect.separator)
        .flexible(true)
        .has_headers(false)
        .from_reader(chunk.bytes.as_slice());
    let (mut record, mut bad, mut index) = (ByteRecord::new(), Vec::new(), 0);
    loop {
        let line = chunk.line + records.position().line() - 1;
        let read = records.read_byte_record(&mut record);
        if !read.map_err(|error| ReadError::broken(dialect.name, line, error.to_string()))? {
            return Ok(bad);
        }
        let mut undecodable = None;
        let decoded = record.iter().map(|field| {
            decode(dialect.encoding, field).unwrap_or_else(|| {
                undecodable = Some(UNDECODABLE);
                String::from_utf8_lossy(field)
            })
        });
        let fields: Vec<Cow<'_, str>> = decoded.collect();
        match width_fault(fields.len(), dialect.width).or(undecodable) {
            _ if chunk.first == 0 && index == 0 => {}
            None => {
                for (idx, position) in wanted.iter().enumerate() {
                    keep(idx, fields[*position].as_bytes());
                }
            }
            Some(fault) => {
                let line =
                    record.position().map_or(line, |position| chunk.line + position.line() - 1);
                bad.push(bad_record(&fields, index, line, fault, dialect)?);
                (0..wanted.len()).for_each(|idx| keep(idx, b""));
            }
        }
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::UTF_8;
    use proptest::prelude::*;

    use super::super::chunks::{Chunk, ReadError, scan_record_boundaries};
    use super::{BadRecord, CsvDialect, fast_path, strict_path};

    const CELL: &str = "a|bb||\"x,y\"|\"\"|\"q\"\"r\"|\"\"\"\"|\"n\nm\"|é|[a-z]{55,70}";

    type Outcome = (Vec<(usize, Vec<u8>)>, Result<Vec<BadRecord>, String>);

    fn outcome(
        read: impl FnOnce(&mut dyn FnMut(usize, &[u8])) -> Result<Vec<BadRecord>, ReadError>,
    ) -> Outcome {
        let mut cells = Vec::new();
        let bad = read(&mut |idx, cell| cells.push((idx, cell.to_vec())));
        // The `csv` crate counts blank lines as part of the next record.
        let without_lines =
            |bad: Vec<BadRecord>| bad.into_iter().map(|bad| BadRecord { line: 0, ..bad }).collect();
        (cells, bad.map(without_lines).map_err(|_| "swallowed".to_owned()))
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
            let fast = outcome(|keep| fast_path(&chunk.bytes, &chunk, &dialect, &[1, 0], keep));
            let strict = outcome(|keep| strict_path(&chunk, &dialect, &[1, 0], keep));
            if fast.1.is_ok() && strict.1.is_ok() {
                prop_assert_eq!(fast.0.len(), 2 * records);
                prop_assert_eq!(fast, strict);
            } else {
                prop_assert_eq!(fast.1, strict.1);
            }
        }
    }
}
