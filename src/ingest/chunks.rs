//! The bytes of a CSV file, cut at the ends of records into pieces that can be read side by side.
//!
//! One reader goes over the bytes in order, looking at quotes and line ends alone: it numbers the records, and notices what is
//! written in a way that wants a careful reader. What a record says is nothing to it.

use std::io::{self, Read};
use std::path::Path;

use polars::prelude::PolarsError;
use wide::u8x32;

use super::probe;

/// How much is read at a time: about as many lines as a morsel of the engine.
pub(super) const CHUNK: usize = 4 << 20;
/// What some programs put before the text.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
/// A record longer than this is taken for a file that is no CSV, or for a quote that is never closed.
const RECORD_LIMIT: usize = 16 << 20;

/// Why a CSV file cannot be read to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CsvError {
    /// The operating system refused.
    #[error("cannot read `{name}`: {words}")]
    Io {
        /// The file.
        name: String,
        /// What it said.
        words: String,
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

impl CsvError {
    /// As the engine carries it.
    pub(super) fn into_polars(self) -> PolarsError {
        io::Error::other(self).into()
    }

    /// What the engine carried.
    pub fn of(error: &PolarsError) -> Option<Self> {
        match error {
            PolarsError::IO { error, .. } => error.get_ref()?.downcast_ref::<Self>().cloned(),
            PolarsError::Context { error, .. } => Self::of(error),
            _ => None,
        }
    }
}

/// Whole records of a file, one after the other.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The bytes, from the start of a record.
    pub(super) bytes: Vec<u8>,
    /// Number of the first record; the header is record 0.
    pub(super) first: u64,
    /// How many there are; blank lines are none.
    pub(super) records: usize,
    /// Line of the file on which the first of them begins.
    pub(super) line: u64,
    /// Whether readers of CSV disagree on something in it: a quote that neither opens nor closes a field, or a line that ends in
    /// a lone CR.
    pub(super) odd: bool,
}

/// A CSV file on its way to its readers.
pub(super) struct Chunks {
    name: String,
    separator: u8,
    bytes: Box<dyn Read + Send>,
    /// What follows the last record that was handed over.
    rest: Vec<u8>,
    record: u64,
    line: u64,
}

impl Chunks {
    /// Opens a file, unpacking it as its suffix says.
    pub(super) fn open(path: &Path, name: &str, separator: u8) -> Result<Self, CsvError> {
        let bytes = probe::decompressed(path, name);
        let bytes = bytes
            .map_err(|error| CsvError::Io { name: name.to_owned(), words: error.to_string() })?;
        Ok(Self { name: name.to_owned(), separator, bytes, rest: Vec::new(), record: 0, line: 1 })
    }

    /// The next records, `None` at the end of the file; their bytes go where others stood that are not needed any more.
    pub(super) fn next(&mut self, mut bytes: Vec<u8>) -> Result<Option<Chunk>, CsvError> {
        bytes.clear();
        bytes.append(&mut self.rest);
        loop {
            bytes.reserve(CHUNK);
            let piece = self.bytes.by_ref().take(CHUNK as u64).read_to_end(&mut bytes);
            if self.record == 0 && bytes.starts_with(&BYTE_ORDER_MARK) {
                bytes.drain(..BYTE_ORDER_MARK.len());
            }
            let at_end = match piece {
                Ok(read) => read < CHUNK,
                Err(error) => {
                    self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
                    return Err(self.broken(error.to_string()));
                }
            };
            let Survey { mut end, mut records, lines, odd, quoted } =
                survey(&bytes, self.separator);
            if bytes.len() - end > RECORD_LIMIT {
                self.line += lines;
                let words = "a record of more than 16 MiB: no CSV, or a quote that is never closed";
                return Err(self.broken(words.to_owned()));
            }
            if at_end && quoted {
                self.line += lines;
                return Err(self.broken(
                    "a quote that is never closed swallows the lines after it".to_owned(),
                ));
            }
            if at_end && end < bytes.len() {
                (end, records) = (bytes.len(), records + 1);
            }
            if at_end && records == 0 {
                return Ok(None);
            }
            if records > 0 {
                self.rest.extend_from_slice(&bytes[end..]);
                bytes.truncate(end);
                let chunk = Chunk { bytes, first: self.record, records, line: self.line, odd };
                (self.record, self.line) = (self.record + records as u64, self.line + lines);
                return Ok(Some(chunk));
            }
        }
    }

    fn broken(&self, words: String) -> CsvError {
        CsvError::Broken { name: self.name.clone(), line: self.line, words }
    }
}

/// What a look at quotes and line ends tells of bytes that begin with a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Where the last whole record ends, its line end included.
    pub(super) end: usize,
    /// Whole records.
    pub(super) records: usize,
    /// Lines that end within them.
    pub(super) lines: u64,
    pub(super) odd: bool,
    /// Whether what follows the last whole record ends within quotes.
    pub(super) quoted: bool,
}

pub(super) fn survey(bytes: &[u8], separator: u8) -> Survey {
    let ends_field = |byte: u8| byte == separator || byte == b'\n' || byte == b'\r';
    let (mut found, mut lines) = (Survey::default(), 0);
    let mut second = None;
    for_each_block(bytes, |base, block| {
        let [feeds, returns, quotes] = marks(block, [b'\n', b'\r', b'"']);
        let blank = feeds & (feeds << 1 | u64::from(found.end == base));
        if (returns | quotes | blank) == 0 && !found.quoted {
            // Nothing but lines that hold something.
            if feeds != 0 {
                found.records += feeds.count_ones() as usize;
                lines += u64::from(feeds.count_ones());
                (found.end, found.lines) = (base + 64 - feeds.leading_zeros() as usize, lines);
            }
            return;
        }
        for at in places(feeds | returns | quotes).map(|place| base + place) {
            let after = bytes.get(at + 1).copied();
            match bytes[at] {
                b'"' if second == Some(at) => {}
                b'"' if found.quoted && after == Some(b'"') => second = Some(at + 1),
                b'"' if found.quoted => {
                    found.quoted = false;
                    found.odd |= after.is_some_and(|after| !ends_field(after));
                }
                b'"' => {
                    found.quoted = at == found.end || ends_field(bytes[at - 1]);
                    found.odd |= !found.quoted;
                }
                end => {
                    lines += u64::from(end == b'\n');
                    if !found.quoted {
                        found.odd |= end == b'\r' && after.is_some_and(|after| after != b'\n');
                        found.records += usize::from(at > found.end);
                        (found.end, found.lines) = (at + 1, lines);
                    }
                }
            }
        }
    });
    found
}

/// Calls with every sixty-four bytes and where they begin; the last ones are filled up with zeros.
// Left to itself the compiler inlines this and what it calls, or not, by what the rest of the crate looks like: a quarter of the scan.
#[inline(always)]
pub(super) fn for_each_block(bytes: &[u8], mut each: impl FnMut(usize, &[u8; 64])) {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut last = [0; 64];
    last[..rest.len()].copy_from_slice(rest);
    blocks.iter().chain([&last]).zip((0..).step_by(64)).for_each(|(block, base)| each(base, block));
}

/// Where some bytes stand among sixty-four, as bits.
#[inline(always)]
pub(super) fn marks(bytes: &[u8; 64], wanted: [u8; 3]) -> [u64; 3] {
    let mut marks = [0; 3];
    for (half, shift) in bytes.as_chunks::<32>().0.iter().zip([0, 32]) {
        let half = u8x32::from(*half);
        for (marks, byte) in marks.iter_mut().zip(wanted) {
            *marks |= u64::from(half.simd_eq(u8x32::splat(byte)).to_bitmask()) << shift;
        }
    }
    marks
}

/// The places of the bits that are set.
#[inline(always)]
pub(super) fn places(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (place < 64).then_some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::{Survey, survey};

    #[test]
    fn records_end_outside_of_quotes() {
        for (bytes, end, records, lines, odd, quoted) in [
            (&b"a,b\nc,d\n"[..], 8, 2, 2, false, false),
            (b"a,b\r\nc,d", 5, 1, 1, false, false),
            (b"a,\"x\ny\"\nb", 8, 1, 2, false, false),
            (b"a,\"x\"\"\n", 0, 0, 0, false, true),
            (b"a,\"x\"\"y\"\n", 9, 1, 1, false, false),
            (b"\n\na\n\n", 5, 1, 4, false, false),
            (b"a,5\" lamp\n", 10, 1, 1, true, false),
            (b"a,\"5\" lamp\n", 11, 1, 1, true, false),
            (b"a\rb\r", 4, 2, 0, true, false),
            (b"", 0, 0, 0, false, false),
        ] {
            let expected = Survey { end, records, lines, odd, quoted };
            assert_eq!(survey(bytes, b','), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
