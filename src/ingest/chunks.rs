//! Cuts the bytes of a CSV file at the ends of records into chunks that can be read in parallel.
//!
//! One reader goes over the bytes in order and looks for quotes and line ends only. It numbers the
//! records and notices ambiguous quoting, which needs the strict path of `records`.

use std::io::{self, Read};
use std::path::Path;

use polars::prelude::PolarsError;
use wide::u8x32;

use super::csv_layout::StandardCsv;
use super::{STAGE, TextFormat};
use crate::error::{Class, StageError};

/// Bytes to read at a time: about as many lines as a morsel of the streaming engine.
pub(super) const CHUNK: usize = 4 << 20;
/// A longer record means that the file is no CSV, or that a quote is never closed.
const RECORD_LIMIT: usize = 16 << 20;

#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read `{name}`: {reason}")]
    Io { name: String, reason: String },
    /// A bad record, which begins on `line`.
    #[error("`{name}`, line {line}: {reason}")]
    Broken { name: String, line: u64, reason: String },
    /// A lookup table that cannot be read.
    #[error("`{name}`: {reason}")]
    Table { name: String, reason: String },
}

impl From<ReadError> for PolarsError {
    fn from(error: ReadError) -> Self {
        io::Error::other(error).into()
    }
}

impl StageError for ReadError {
    const STAGE: Option<&'static str> = Some(STAGE);

    fn class(&self) -> Class {
        match self {
            Self::Broken { .. } | Self::Table { .. } => Class::Data,
            Self::Io { .. } => Class::System,
        }
    }
}

impl ReadError {
    pub(super) fn broken(name: &str, line: u64, reason: impl Into<String>) -> Self {
        Self::Broken { name: name.to_owned(), line, reason: reason.into() }
    }

    pub(crate) fn table(name: &str, error: &PolarsError) -> Self {
        Self::from_polars(error)
            .unwrap_or_else(|| Self::Table { name: name.to_owned(), reason: error.to_string() })
    }

    /// The error that an error of the engine wraps.
    pub(super) fn from_polars(error: &PolarsError) -> Option<Self> {
        match error {
            PolarsError::IO { error, .. } => error.get_ref()?.downcast_ref::<Self>().cloned(),
            PolarsError::Context { error, .. } => Self::from_polars(error),
            _ => None,
        }
    }
}

/// Consecutive whole records of a file.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Starts with a record.
    pub(super) bytes: Vec<u8>,
    /// Number of the first record. The header is record 0.
    pub(super) first: u64,
    /// Number of records. Blank lines do not count.
    pub(super) records: usize,
    /// Line of the file on which the chunk begins.
    pub(super) line: u64,
    /// Whether CSV readers disagree on the records: a quote neither opens nor closes a field, or a
    /// line ends with a lone CR.
    pub(super) ambiguous: bool,
}

pub(super) struct Chunks {
    name: String,
    separator: u8,
    reader: Box<dyn Read + Send>,
    /// Bytes after the last record that was returned.
    rest: Vec<u8>,
    record: u64,
    line: u64,
}

impl Chunks {
    pub(super) fn open(path: &Path, name: &str, text: &TextFormat) -> Result<Self, ReadError> {
        let (name, separator) = (name.to_owned(), text.separator);
        match StandardCsv::open_with_header(path, &name, &text.layout) {
            Ok(StandardCsv { reader, line, .. }) => {
                Ok(Self { name, separator, reader, rest: Vec::new(), record: 0, line })
            }
            Err(error) => Err(ReadError::Io { name, reason: error.to_string() }),
        }
    }

    /// The next chunk, `None` at the end of the file. It reuses the memory of `bytes`.
    pub(super) fn next(&mut self, mut bytes: Vec<u8>) -> Result<Option<Chunk>, ReadError> {
        bytes.clear();
        bytes.append(&mut self.rest);
        loop {
            bytes.reserve(CHUNK);
            let read = self.reader.by_ref().take(CHUNK as u64).read_to_end(&mut bytes);
            let at_end = match read {
                Ok(read) => read < CHUNK,
                Err(error) => {
                    self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
                    return Err(ReadError::broken(&self.name, self.line, error.to_string()));
                }
            };
            let RecordBoundaries { mut end, mut records, lines, ambiguous, quoted } =
                scan_record_boundaries(&bytes, self.separator);
            let too_long = bytes.len() - end > RECORD_LIMIT;
            if too_long || (at_end && quoted) {
                let reason = if too_long {
                    "a record of more than 16 MiB: no CSV, or a quote that is never closed"
                } else {
                    "a quote that is never closed swallows the lines after it"
                };
                return Err(ReadError::broken(&self.name, self.line + lines, reason));
            }
            if at_end && end < bytes.len() {
                (end, records) = (bytes.len(), records + 1);
            }
            if at_end && records == 0 {
                // Closes the file: a source may have more files than a process may open.
                self.reader = Box::new(io::empty());
                return Ok(None);
            }
            if records > 0 {
                self.rest.extend_from_slice(&bytes[end..]);
                bytes.truncate(end);
                let (first, line) = (self.record, self.line);
                self.record += records as u64;
                self.line += lines;
                return Ok(Some(Chunk { bytes, first, records, line, ambiguous }));
            }
        }
    }
}

/// The records in bytes that begin with a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RecordBoundaries {
    /// End of the last whole record, after its line end.
    pub(super) end: usize,
    pub(super) records: usize,
    /// Number of lines that end in them.
    pub(super) lines: u64,
    pub(super) ambiguous: bool,
    /// Whether the bytes end within quotes.
    pub(super) quoted: bool,
}

pub(super) fn scan_record_boundaries(bytes: &[u8], separator: u8) -> RecordBoundaries {
    let ends_field = |byte: u8| byte == separator || byte == b'\n' || byte == b'\r';
    let mut boundaries = RecordBoundaries::default();
    let mut lines = 0;
    let mut escaped_quote = None;
    for_each_block(bytes, |base, block| {
        let [feeds, returns, quotes] = byte_masks(block, [b'\n', b'\r', b'"']);
        let blank = feeds & (feeds << 1 | u64::from(boundaries.end == base));
        if (returns | quotes | blank) == 0 && !boundaries.quoted {
            // Fast path: no quotes, no CR, no blank lines.
            if feeds != 0 {
                boundaries.records += feeds.count_ones() as usize;
                lines += u64::from(feeds.count_ones());
                (boundaries.end, boundaries.lines) =
                    (base + 64 - feeds.leading_zeros() as usize, lines);
            }
            return;
        }
        for at in set_bits(feeds | returns | quotes).map(|bit| base + bit) {
            let next = bytes.get(at + 1).copied();
            match bytes[at] {
                b'"' if escaped_quote == Some(at) => {}
                b'"' if boundaries.quoted && next == Some(b'"') => escaped_quote = Some(at + 1),
                b'"' if boundaries.quoted => {
                    boundaries.quoted = false;
                    boundaries.ambiguous |= next.is_some_and(|next| !ends_field(next));
                }
                b'"' => {
                    boundaries.quoted = at == boundaries.end || ends_field(bytes[at - 1]);
                    boundaries.ambiguous |= !boundaries.quoted;
                }
                line_end => {
                    lines += u64::from(line_end == b'\n');
                    if !boundaries.quoted {
                        boundaries.ambiguous |=
                            line_end == b'\r' && next.is_some_and(|next| next != b'\n');
                        boundaries.records += usize::from(at > boundaries.end);
                        (boundaries.end, boundaries.lines) = (at + 1, lines);
                    }
                }
            }
        }
    });
    boundaries
}

/// Calls a function with every 64 bytes and their offset. The last ones are padded with zeros.
// Without the attribute, the compiler's choice to inline this and its callees changes with the rest
// of the crate, and costs up to a quarter of the scan.
#[inline(always)]
pub(super) fn for_each_block(bytes: &[u8], mut call: impl FnMut(usize, &[u8; 64])) {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut last = [0; 64];
    last[..rest.len()].copy_from_slice(rest);
    blocks.iter().chain([&last]).zip((0..).step_by(64)).for_each(|(block, base)| call(base, block));
}

/// The positions of three bytes in a block, as bits.
#[inline(always)]
pub(super) fn byte_masks(block: &[u8; 64], wanted: [u8; 3]) -> [u64; 3] {
    let mut masks = [0; 3];
    for (half, shift) in block.as_chunks::<32>().0.iter().zip([0, 32]) {
        let half = u8x32::from(*half);
        for (mask, byte) in masks.iter_mut().zip(wanted) {
            *mask |= u64::from(half.simd_eq(u8x32::splat(byte)).to_bitmask()) << shift;
        }
    }
    masks
}

#[inline(always)]
pub(super) fn set_bits(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::{RecordBoundaries, scan_record_boundaries};

    #[test]
    fn line_ends_within_quotes_end_no_record() {
        for (bytes, end, records, lines, ambiguous, quoted) in [
            ("a,b\nc,d\n", 8, 2, 2, false, false),
            ("a,b\r\nc,d", 5, 1, 1, false, false),
            ("a,\"x\ny\"\nb", 8, 1, 2, false, false),
            ("a,\"x\"\"\n", 0, 0, 0, false, true),
            ("a,\"x\"\"y\"\n", 9, 1, 1, false, false),
            ("\n\na\n\n", 5, 1, 4, false, false),
            ("a,5\" lamp\n", 10, 1, 1, true, false),
            ("a,\"5\" lamp\n", 11, 1, 1, true, false),
            ("a\rb\r", 4, 2, 0, true, false),
            ("", 0, 0, 0, false, false),
        ] {
            let expected = RecordBoundaries { end, records, lines, ambiguous, quoted };
            assert_eq!(scan_record_boundaries(bytes.as_bytes(), b','), expected, "{bytes}");
        }
    }
}
