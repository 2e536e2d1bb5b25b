//! Writes CSV with other separators, quotes or escapes anew as standard CSV.

use std::io::{self, BufRead, Read};

/// Separators and quotes of a CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoting {
    /// At least one byte.
    pub separator: Vec<u8>,
    /// Encloses fields. Within it, two of them stand for one.
    pub quote: Option<u8>,
    /// The byte after it is taken as it is, except in a field `\N`, which is null.
    pub escape: Option<u8>,
    /// Whether every record ends with a separator, which is removed.
    pub trailing_separator: bool,
}

impl Quoting {
    /// The separator of the records that are written.
    pub const SEPARATOR: u8 = b',';
}

/// Reads records and returns them as standard CSV.
pub(super) struct Rewriter<R> {
    reader: R,
    quoting: Quoting,
    field: Vec<u8>,
    /// Whether the field began with a quote.
    was_quoted: bool,
    /// Whether the next field is not the first of its record.
    in_record: bool,
    output: Vec<u8>,
    /// Bytes of the output that were returned.
    returned: usize,
}

/// How a field ended.
#[derive(PartialEq, Eq)]
enum FieldEnd {
    Separator,
    Record,
    File,
}

impl<R: BufRead> Rewriter<R> {
    const PIECE: usize = 1 << 16;

    pub(super) fn new(reader: R, quoting: Quoting) -> Self {
        let (field, output) = (Vec::new(), Vec::with_capacity(Self::PIECE + 1024));
        let (was_quoted, in_record) = (false, false);
        Self { reader, quoting, field, was_quoted, in_record, output, returned: 0 }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.reader.fill_buf()?.first().copied();
        self.reader.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    /// Reads a field.
    fn read_field(&mut self) -> io::Result<FieldEnd> {
        let Quoting { quote, escape, .. } = self.quoting;
        self.field.clear();
        // Bytes at the end of the field that the separator may consist of begin here.
        let mut plain = 0;
        let mut is_quoted = quote.is_some() && self.peek()? == quote;
        if is_quoted {
            self.byte()?;
        }
        self.was_quoted = is_quoted;
        loop {
            let Some(byte) = self.byte()? else {
                return if is_quoted {
                    let reason = "a quote that is never closed swallows the lines after it";
                    Err(io::Error::new(io::ErrorKind::InvalidData, reason))
                } else {
                    Ok(FieldEnd::File)
                };
            };
            if Some(byte) == escape {
                if let Some(escaped) = self.byte()? {
                    if escaped == b'N' && !self.was_quoted && self.field.is_empty() {
                        self.field.push(byte);
                    }
                    self.field.push(escaped);
                }
                plain = self.field.len();
            } else if is_quoted {
                if Some(byte) != quote {
                    self.field.push(byte);
                } else if self.peek()? == quote {
                    self.byte()?;
                    self.field.push(byte);
                } else {
                    is_quoted = false;
                }
                plain = self.field.len();
            } else if byte == b'\n' || byte == b'\r' {
                return Ok(FieldEnd::Record);
            } else {
                self.field.push(byte);
                if self.field[plain..].ends_with(&self.quoting.separator) {
                    self.field.truncate(self.field.len() - self.quoting.separator.len());
                    return Ok(FieldEnd::Separator);
                }
            }
        }
    }

    fn write_field(&mut self) {
        let is_special = |byte: &u8| [Quoting::SEPARATOR, b'"', b'\n', b'\r'].contains(byte);
        // A record of one empty field is no blank line.
        let is_quoted_blank = self.field.is_empty() && self.was_quoted;
        if !is_quoted_blank && !self.field.iter().any(is_special) {
            self.output.extend_from_slice(&self.field);
            return;
        }
        self.output.push(b'"');
        for byte in &self.field {
            self.output.extend(std::iter::repeat_n(*byte, 1 + usize::from(*byte == b'"')));
        }
        self.output.push(b'"');
    }

    fn fill(&mut self) -> io::Result<()> {
        self.output.clear();
        self.returned = 0;
        while self.output.len() < Self::PIECE || self.in_record {
            let end = self.read_field()?;
            let is_nothing = self.field.is_empty() && !self.was_quoted && !self.in_record;
            if end == FieldEnd::File && is_nothing {
                return Ok(());
            }
            let is_empty = self.field.is_empty() && !self.was_quoted;
            let is_last = end != FieldEnd::Separator;
            if self.quoting.trailing_separator && self.in_record && is_last && is_empty {
                // A piece of the output never ends with a separator.
                self.output.pop();
            } else {
                self.write_field();
            }
            self.in_record = end == FieldEnd::Separator;
            match end {
                FieldEnd::Separator => self.output.push(Quoting::SEPARATOR),
                FieldEnd::Record => self.output.push(b'\n'),
                FieldEnd::File => {
                    self.output.push(b'\n');
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Rewriter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.returned == self.output.len() {
            self.fill()?;
        }
        let read = (&self.output[self.returned..]).read(buffer)?;
        self.returned += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(text: &str, separator: &str, quote: Option<u8>, escape: Option<u8>) -> String {
        let trailing_separator = false;
        let quoting =
            Quoting { separator: separator.as_bytes().to_vec(), quote, escape, trailing_separator };
        let mut output = String::new();
        Rewriter::new(text.as_bytes(), quoting).read_to_string(&mut output).unwrap();
        output
    }

    #[test]
    fn records_of_other_dialects_are_standard_csv() {
        const QUOTE: Option<u8> = Some(b'"');
        const ESCAPE: Option<u8> = Some(b'\\');
        for (text, separator, quote, escape, expected) in [
            ("a||b||c\n1||2||3", "||", QUOTE, None, "a,b,c\n1,2,3\n"),
            ("a|b||c||\n", "||", QUOTE, None, "a|b,c,\n"),
            ("a::\"b::c\"::d\r\n", "::", QUOTE, None, "a,b::c,d\n\n"),
            ("'it''s',x\n", ",", Some(b'\''), None, "it's,x\n"),
            ("'a,b','c\nd'\n", ",", Some(b'\''), None, "\"a,b\",\"c\nd\"\n"),
            (
                "\"said \\\"hi\\\"\",\"5\\\" pipe, long\"\n",
                ",",
                QUOTE,
                ESCAPE,
                "\"said \"\"hi\"\"\",\"5\"\" pipe, long\"\n",
            ),
            ("a\\,b,c\n", ",", QUOTE, ESCAPE, "\"a,b\",c\n"),
            ("5\" lamp;x\n", ";", None, None, "\"5\"\" lamp\",x\n"),
            ("", ",", QUOTE, ESCAPE, ""),
        ] {
            assert_eq!(rewritten(text, separator, quote, escape), expected, "{text}");
        }
    }

    #[test]
    fn null_and_trailing_separators_are_kept_or_removed() {
        let quoting = Quoting {
            separator: vec![b','],
            quote: Some(b'"'),
            escape: Some(b'\\'),
            trailing_separator: true,
        };
        let text = "a,b,\n\\N,\\Nx,\n1,2,3\n4,\"\",\n5,\"\"\n6,7,";
        let mut output = String::new();
        Rewriter::new(text.as_bytes(), quoting).read_to_string(&mut output).unwrap();
        assert_eq!(output, "a,b\n\\N,\\Nx\n1,2,3\n4,\"\"\n5,\"\"\n6,7\n");
    }

    #[test]
    fn open_quote_at_the_end_is_an_error() {
        let quoting = Quoting {
            separator: vec![b','],
            quote: Some(b'\''),
            escape: None,
            trailing_separator: false,
        };
        let error = Rewriter::new("a,b\n'c,d\ne,f\n".as_bytes(), quoting)
            .read_to_end(&mut Vec::new())
            .unwrap_err();
        assert!(error.to_string().contains("never closed"), "{error}");
    }

    proptest! {
        /// The `csv` crate reads the same records from the rewritten text as from the original.
        #[test]
        fn csv_crate_reads_the_same_records(
            text in "([ab,;'\"]|\r?\n|'[a,;\n]*'){0,60}",
        ) {
            let quoting = Quoting { separator: vec![b';'], quote: Some(b'\''), escape: None, trailing_separator: false };
            let mut output = Vec::new();
            let read = Rewriter::new(text.as_bytes(), quoting).read_to_end(&mut output);
            prop_assume!(read.is_ok());
            let records = |bytes: &[u8], builder: &csv::ReaderBuilder| {
                let reader = builder.from_reader(bytes);
                let records = reader.into_byte_records().map(Result::unwrap);
                records.map(|r| r.iter().map(<[u8]>::to_vec).collect::<Vec<_>>()).collect::<Vec<_>>()
            };
            let mut own = csv::ReaderBuilder::new();
            own.delimiter(b';').quote(b'\'').has_headers(false).flexible(true);
            let mut standard = csv::ReaderBuilder::new();
            standard.has_headers(false).flexible(true);
            prop_assert_eq!(records(&output, &standard), records(text.as_bytes(), &own));
        }
    }
}
