//! The records of a chunk, field by field, and those that are none of the table's.
//!
//! Most chunks are written as every reader of CSV expects, and are gone through from one separator to the next. The others, and
//! those that are not all text of the declared encoding, are left to the `csv` crate, which takes its time.

use std::borrow::Cow;

use csv::{ByteRecord, ReaderBuilder};
use encoding_rs::{Encoding, UTF_8};

use super::chunks::{Chunk, CsvError, for_each_block, marks, places};

/// Reasons for which a record is bad, in the order of [`BadRecord::fault`].
pub(super) const FAULTS: [&str; 3] = ["too few fields", "too many fields", UNDECODABLE];

/// The fault of a record whose bytes are no text.
pub const UNDECODABLE: &str = "not in the declared encoding";

/// A record that is none of the table's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRecord {
    /// Its place among the records of the chunk.
    pub(super) place: usize,
    /// Line of the file on which it begins.
    pub(super) line: u64,
    /// Index into [`FAULTS`].
    pub(super) fault: usize,
    /// Its text, with `\u{fffd}` where bytes are no text.
    pub(super) text: String,
}

/// How the records of a file are written.
pub(super) struct Writing<'a> {
    pub(super) name: &'a str,
    pub(super) separator: u8,
    pub(super) encoding: &'static Encoding,
    /// Fields of a record.
    pub(super) width: usize,
}

/// Reads the records of a chunk. Of every good one the fields whose places are `wanted` are handed to `keep`, with their index
/// in `wanted`; of a bad one as many that are empty.
pub(super) fn read(
    chunk: &Chunk,
    writing: &Writing<'_>,
    wanted: &[usize],
    mut keep: impl FnMut(usize, &[u8]),
) -> Result<Vec<BadRecord>, CsvError> {
    let text = match (writing.encoding == UTF_8, chunk.odd) {
        (_, true) => None,
        (true, false) => std::str::from_utf8(&chunk.bytes).ok().map(Cow::Borrowed),
        (false, false) => {
            writing.encoding.decode_without_bom_handling_and_without_replacement(&chunk.bytes)
        }
    };
    match text {
        Some(text) => plain(text.as_bytes(), chunk, writing, wanted, keep),
        None => careful(chunk, writing, wanted, &mut keep),
    }
}

/// What is wrong with the width of a record.
fn ragged(fields: usize, width: usize) -> Option<usize> {
    match fields.cmp(&width) {
        std::cmp::Ordering::Less => Some(0),
        std::cmp::Ordering::Greater => Some(1),
        std::cmp::Ordering::Equal => None,
    }
}

/// A record as it is gone through.
#[derive(Default)]
struct Open {
    /// Where it begins.
    start: usize,
    /// Where its fields end.
    ends: Vec<usize>,
    /// Whether the next byte stands within quotes.
    quoted: bool,
    /// Whether there were any.
    quotes: bool,
}

fn plain(
    bytes: &[u8],
    chunk: &Chunk,
    writing: &Writing<'_>,
    wanted: &[usize],
    mut keep: impl FnMut(usize, &[u8]),
) -> Result<Vec<BadRecord>, CsvError> {
    let (mut open, mut place, mut bad, mut scratch) = (Open::default(), 0, Vec::new(), Vec::new());
    let (mut line, mut counted) = (chunk.line, 0);
    let mut finish = |open: &mut Open, at: usize| -> Result<(), CsvError> {
        let carriage = usize::from(at > open.start && bytes[at - 1] == b'\r');
        let end = at - carriage;
        if end > open.start {
            open.ends.push(end);
            match ragged(open.ends.len(), writing.width) {
                // The header was read and judged by the probe.
                _ if chunk.first == 0 && place == 0 => {}
                None => {
                    for (idx, place) in wanted.iter().enumerate() {
                        keep(idx, field(bytes, open, *place, &mut scratch));
                    }
                }
                Some(fault) => {
                    line += memchr::memchr_iter(b'\n', &bytes[counted..open.start]).count() as u64;
                    counted = open.start;
                    let owned = |place| field(bytes, open, place, &mut scratch).to_vec();
                    let fields: Vec<Vec<u8>> = (0..open.ends.len()).map(owned).collect();
                    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
                    bad.push(bad_record(&fields, place, line, fault, writing)?);
                    (0..wanted.len()).for_each(|idx| keep(idx, b""));
                }
            }
            place += 1;
        }
        open.ends.clear();
        (open.start, open.quotes) = (at + 1, false);
        Ok(())
    };
    let mut broken = Ok(());
    for_each_block(bytes, |base, block| {
        let [separators, lines, quotes] = marks(block, [writing.separator, b'\n', b'"']);
        for place in places(separators | lines | quotes) {
            if quotes >> place & 1 == 1 {
                // A doubled quote closes and opens again.
                (open.quoted, open.quotes) = (!open.quoted, true);
            } else if !open.quoted {
                match lines >> place & 1 {
                    0 => open.ends.push(base + place),
                    _ if broken.is_ok() => broken = finish(&mut open, base + place),
                    _ => {}
                }
            }
        }
    });
    broken?;
    // The last record may end with the file.
    if open.start < bytes.len() {
        finish(&mut open, bytes.len())?;
    }
    Ok(bad)
}

/// A field of a record, without the quotes around it.
#[inline]
fn field<'a>(bytes: &'a [u8], open: &Open, place: usize, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let start = place.checked_sub(1).map_or(open.start, |before| open.ends[before] + 1);
    let field = &bytes[start..open.ends[place]];
    match field {
        [b'"', within @ .., b'"'] if open.quotes => match memchr::memchr(b'"', within) {
            Some(_) => undoubled(within, scratch),
            None => within,
        },
        _ => field,
    }
}

/// A field with one quote where it has two.
fn undoubled<'a>(field: &[u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    scratch.clear();
    let mut second = false;
    for &byte in field {
        second = byte == b'"' && !second;
        if !second || byte != b'"' {
            scratch.push(byte);
        }
    }
    scratch
}

fn bad_record(
    fields: &[&[u8]],
    place: usize,
    line: u64,
    fault: usize,
    writing: &Writing<'_>,
) -> Result<BadRecord, CsvError> {
    if fault < 2 && fields.iter().any(|field| field.contains(&b'\n')) {
        let words = "a quote that is not closed on its line swallows the lines after it".to_owned();
        return Err(CsvError::Broken { name: writing.name.to_owned(), line, words });
    }
    let fields: Vec<_> = fields.iter().map(|field| String::from_utf8_lossy(field)).collect();
    Ok(BadRecord {
        place,
        line,
        fault,
        text: fields.join(&char::from(writing.separator).to_string()),
    })
}

fn careful(
    chunk: &Chunk,
    writing: &Writing<'_>,
    wanted: &[usize],
    keep: &mut impl FnMut(usize, &[u8]),
) -> Result<Vec<BadRecord>, CsvError> {
    let mut records = ReaderBuilder::new()
        .delimiter(writing.separator)
        .flexible(true)
        .has_headers(false)
        .from_reader(chunk.bytes.as_slice());
    let (mut record, mut bad, mut place) = (ByteRecord::new(), Vec::new(), 0);
    loop {
        let line = chunk.line + records.position().line() - 1;
        let broken =
            |words: String| CsvError::Broken { name: writing.name.to_owned(), line, words };
        if !records.read_byte_record(&mut record).map_err(|error| broken(error.to_string()))? {
            break;
        }
        let fields: Vec<Option<Cow<'_, str>>> =
            record.iter().map(|field| decode(writing.encoding, field)).collect();
        let garbled = fields.iter().any(Option::is_none).then_some(2);
        match ragged(fields.len(), writing.width).or(garbled) {
            _ if chunk.first == 0 && place == 0 => {}
            None => {
                for (idx, place) in wanted.iter().enumerate() {
                    keep(idx, fields[*place].as_deref().unwrap_or_default().as_bytes());
                }
            }
            Some(fault) => {
                let line =
                    record.position().map_or(line, |position| chunk.line + position.line() - 1);
                let told = fields
                    .iter()
                    .zip(&record)
                    .map(|(text, raw)| text.as_ref().map_or(raw, |text| text.as_bytes()));
                bad.push(bad_record(&told.collect::<Vec<_>>(), place, line, fault, writing)?);
                (0..wanted.len()).for_each(|idx| keep(idx, b""));
            }
        }
        place += 1;
    }
    Ok(bad)
}

/// Text in an encoding; `None` where the bytes are not of it.
fn decode<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    match encoding == UTF_8 {
        true => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        false => encoding.decode_without_bom_handling_and_without_replacement(bytes),
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::UTF_8;
    use proptest::prelude::*;

    use super::super::chunks::{Chunk, survey};
    use super::{BadRecord, Writing, careful, plain};

    const CELL: &str = "a|bb||\"x,y\"|\"\"|\"q\"\"r\"|\"\"\"\"|\"n\nm\"|é|[a-z]{55,70}";

    type Kept = (Vec<(usize, Vec<u8>)>, Result<Vec<BadRecord>, String>);

    fn kept(
        read: impl FnOnce(&mut dyn FnMut(usize, &[u8])) -> Result<Vec<BadRecord>, super::CsvError>,
    ) -> Kept {
        let mut cells = Vec::new();
        let bad = read(&mut |idx, cell| cells.push((idx, cell.to_vec())));
        // The `csv` crate counts blank lines to the record after them.
        let lineless =
            |bad: Vec<BadRecord>| bad.into_iter().map(|bad| BadRecord { line: 0, ..bad }).collect();
        (cells, bad.map(lineless).map_err(|_| "swallowed".to_owned()))
    }

    proptest! {
        /// What is plainly written reads the same by the `csv` crate, and has as many records as were counted.
        #[test]
        fn plain_records_read_as_with_care(
            records in prop::collection::vec((prop::collection::vec(CELL, 1..4), "\r?\n{1,2}"), 0..40),
            last in "a,b|",
        ) {
            let lines = records.iter().map(|(cells, end)| cells.join(",") + end);
            let bytes = (lines.collect::<String>() + &last).into_bytes();
            let found = survey(&bytes, b',');
            prop_assert!(!found.odd && !found.quoted);
            let records = found.records + usize::from(found.end < bytes.len());
            let chunk = Chunk { bytes, first: 1, records, line: 2, odd: false };
            let writing = Writing { name: "x.csv", separator: b',', encoding: UTF_8, width: 2 };
            let fast = kept(|keep| plain(&chunk.bytes, &chunk, &writing, &[1, 0], keep));
            let slow = kept(|mut keep| careful(&chunk, &writing, &[1, 0], &mut keep));
            if fast.1.is_ok() && slow.1.is_ok() {
                prop_assert_eq!(fast.0.len(), 2 * records);
                prop_assert_eq!(fast, slow);
            } else {
                prop_assert_eq!(fast.1, slow.1);
            }
        }
    }
}
