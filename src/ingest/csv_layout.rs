//! Makes standard CSV of the bytes of a file: UTF-8 or a single-byte encoding, one header, records
//! that end with line ends, and fields quoted with `"`.
//!
//! Most files are standard already, and their bytes pass unchanged.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use encoding_rs::{Decoder, DecoderResult, Encoding};
use flate2::read::MultiGzDecoder;

use super::csv_rewrite::{Quoting, Rewriter};

/// How a CSV file differs from standard CSV.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvLayout {
    /// Lines above the header, or above the first record.
    pub skip_rows: u32,
    pub header: CsvHeader,
    /// An encoding whose bytes cannot be searched for separators. Such files are decoded first.
    pub decode: Option<&'static Encoding>,
    /// Separators and quotes of a file whose records are written anew.
    pub quoting: Option<Quoting>,
}

/// Where the names of the columns are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CsvHeader {
    /// In the first record.
    #[default]
    First,
    /// Nowhere. The columns are `column_1`, `column_2` and so on.
    Numbered,
    /// Nowhere. These are the names.
    Named(Vec<String>),
}

impl CsvLayout {
    /// The names of the columns, from the fields of the first record.
    pub(super) fn names(&self, first: Vec<String>) -> Result<Vec<String>, String> {
        let width = first.len();
        match &self.header {
            CsvHeader::First => Ok(first),
            CsvHeader::Numbered => Ok((1..=width).map(|n| format!("column_{n}")).collect()),
            CsvHeader::Named(names) if names.len() == width => Ok(names.clone()),
            CsvHeader::Named(names) => Err(format!(
                "the first record has {width} fields, but `csv.names` has {}",
                names.len()
            )),
        }
    }
}

/// The standard CSV of a file.
pub(super) struct StandardCsv {
    pub(super) reader: Box<dyn Read + Send>,
    /// Line of the file on which the bytes begin.
    pub(super) line: u64,
    /// What a first line `sep=;` names as the separator.
    pub(super) declared_separator: Option<char>,
}

impl StandardCsv {
    /// The standard CSV of a file, decompressed according to its suffix.
    pub(super) fn open(path: &Path, name: &str, layout: &CsvLayout) -> io::Result<Self> {
        let raw = decompressed(path, name)?;
        let mut bytes: Box<dyn BufRead + Send> = match layout.decode {
            Some(encoding) => Box::new(BufReader::new(Transcoder::new(raw, encoding))),
            None => Box::new(BufReader::with_capacity(1 << 16, raw)),
        };
        let mut line = 1;
        let mut head = Vec::new();
        bytes.by_ref().take(11).read_to_end(&mut head)?;
        if head.starts_with("\u{feff}".as_bytes()) {
            head.drain(..3);
        }
        let declared = declared_separator(&head);
        if let Some((_, length)) = declared {
            head.drain(..length);
            line += 1;
        }
        let mut bytes = Cursor::new(head).chain(bytes);
        for _ in 0..layout.skip_rows {
            let mut skipped = Vec::new();
            if bytes.read_until(b'\n', &mut skipped)? == 0 {
                break;
            }
            line += 1;
        }
        let reader: Box<dyn Read + Send> = match &layout.quoting {
            Some(quoting) => Box::new(Rewriter::new(bytes, quoting.clone())),
            None => Box::new(bytes),
        };
        Ok(Self { reader, line, declared_separator: declared.map(|(separator, _)| separator) })
    }

    /// The same with a header in its first line.
    pub(super) fn open_with_header(
        path: &Path,
        name: &str,
        layout: &CsvLayout,
    ) -> io::Result<Self> {
        let csv = Self::open(path, name, layout)?;
        if layout.header == CsvHeader::First {
            return Ok(csv);
        }
        let reader = Box::new(Cursor::new(b"header\n").chain(csv.reader));
        Ok(Self { reader, line: csv.line - 1, ..csv })
    }
}

/// The separator of a first line `sep=;`, which Excel writes and reads, and the length of that
/// line.
fn declared_separator(head: &[u8]) -> Option<(char, usize)> {
    let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator, rest @ ..] = head else {
        return None;
    };
    let end = match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\n' | b'\r', ..] => 1,
        _ => return None,
    };
    Some((char::from(*separator), 5 + end))
}

/// The bytes of a file, decompressed according to its suffix.
pub(crate) fn decompressed(path: &Path, name: &str) -> io::Result<Box<dyn Read + Send>> {
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

/// Decodes bytes to UTF-8. A byte that cannot be decoded becomes [`Self::UNDECODABLE`], so that its
/// record is rejected.
struct Transcoder<R> {
    reader: R,
    decoder: Decoder,
    input: Vec<u8>,
    /// Bytes of the input that are decoded.
    decoded: usize,
    output: Vec<u8>,
    /// Bytes of the output that were returned.
    returned: usize,
    is_finished: bool,
}

impl<R: Read> Transcoder<R> {
    /// A byte that UTF-8 never has.
    const UNDECODABLE: u8 = 0xff;
    const PIECE: usize = 1 << 16;

    fn new(reader: R, encoding: &'static Encoding) -> Self {
        // A byte order mark decides between the two orders of UTF-16.
        let decoder = encoding.new_decoder();
        let (input, output) = (Vec::new(), Vec::new());
        Self { reader, decoder, input, decoded: 0, output, returned: 0, is_finished: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.output.clear();
        self.returned = 0;
        while self.output.is_empty() && !self.is_finished {
            self.input.drain(..self.decoded);
            self.decoded = 0;
            let read =
                self.reader.by_ref().take(Self::PIECE as u64).read_to_end(&mut self.input)?;
            self.is_finished = read == 0;
            self.decode();
        }
        Ok(())
    }

    fn decode(&mut self) {
        loop {
            let input = &self.input[self.decoded..];
            let start = self.output.len();
            let room = self.decoder.max_utf8_buffer_length_without_replacement(input.len());
            self.output.resize(start + room.unwrap_or(input.len() * 3).max(16), 0);
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
                input,
                &mut self.output[start..],
                self.is_finished,
            );
            self.decoded += read;
            self.output.truncate(start + written);
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.output.push(Self::UNDECODABLE),
            }
        }
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.returned == self.output.len() {
            self.fill()?;
        }
        let read = (&self.output[self.returned..]).read(buffer)?;
        self.returned += read;
        Ok(read)
    }
}
