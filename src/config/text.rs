//! Compiles text formats: separators, encodings, numbers, and the formats of timestamps.

use encoding_rs::{Encoding, UTF_8};

use super::files_spec::CsvSpec;
use super::validator::Validator;
use crate::ingest::csv_layout::{CsvHeader, CsvLayout};
use crate::ingest::csv_rewrite::Quoting;
use crate::ingest::{NumberFormat, TextFormat, TimestampFormat};

/// The format of the section at `pointer`. `None` if the separator is invalid: each mapped column
/// would be reported as missing, since the header would have a single column.
pub(super) fn text(
    spec: &CsvSpec,
    pointer: &str,
    validator: &mut Validator<'_>,
) -> Option<TextFormat> {
    let numbers = numbers(spec, pointer, validator);
    let mut datetime_formats = Vec::with_capacity(spec.datetime_formats.len());
    for (i, format) in spec.datetime_formats.iter().enumerate() {
        match TimestampFormat::parse(format) {
            Ok(format) => datetime_formats.push(format),
            Err(message) => {
                let pointer = format!("{pointer}/datetime_formats/{i}");
                let hint = "expected strftime notation such as %Y-%m-%d %H:%M:%S, or epoch_s";
                validator.report_with_hint(&pointer, message, hint);
            }
        }
    }
    let encoding = encoding(spec, pointer, validator);
    let quoting = quoting(spec, pointer, validator);
    let header = header(spec, pointer, validator);
    let (encoding, quoting, header) = (encoding?, quoting?, header?);
    // Of most other encodings, a byte of a character may look like a separator.
    let is_decoded = encoding != UTF_8 && !encoding.is_single_byte();
    let layout = CsvLayout {
        skip_rows: spec.skip_rows,
        header,
        decode: is_decoded.then_some(encoding),
        quoting: (!is_standard(&quoting)).then_some(quoting.clone()),
    };
    let separator = match &*quoting.separator {
        [separator] if layout.quoting.is_none() => *separator,
        _ => Quoting::SEPARATOR,
    };
    let encoding = if is_decoded { UTF_8 } else { encoding };
    Some(TextFormat { layout, separator, encoding, datetime_formats, numbers })
}

fn encoding(
    spec: &CsvSpec,
    pointer: &str,
    validator: &mut Validator<'_>,
) -> Option<&'static Encoding> {
    let label = spec.encoding.to_lowercase();
    // WHATWG's latin1 is windows-1252. They differ only in control characters.
    let known = [label.clone(), label.replace('_', "-")];
    let encoding = known.iter().find_map(|label| Encoding::for_label(label.as_bytes()));
    if encoding.is_none() {
        let message = format!("`{}` is no known encoding", spec.encoding);
        let hint = "for example utf8, windows_1252, windows-1251, iso-8859-2, shift_jis, utf-16";
        validator.report_with_hint(&format!("{pointer}/encoding"), message, hint);
    }
    encoding
}

fn is_standard(quoting: &Quoting) -> bool {
    matches!(&*quoting.separator, [separator] if separator.is_ascii())
        && quoting.quote == Some(b'"')
        && quoting.escape.is_none()
        && !quoting.trailing_separator
}

/// A character of one byte; `None` if it is invalid. An empty text is no character.
fn character(
    text: &str,
    (pointer, key): (&str, &str),
    validator: &mut Validator<'_>,
) -> Option<Option<u8>> {
    match text.as_bytes() {
        [] => Some(None),
        [byte] if byte.is_ascii() && !b"\r\n\0".contains(byte) => Some(Some(*byte)),
        _ => {
            let message = "expected one ASCII character other than a line break or NUL";
            validator.fail(&format!("{pointer}/{key}"), message)
        }
    }
}

fn quoting(spec: &CsvSpec, pointer: &str, validator: &mut Validator<'_>) -> Option<Quoting> {
    let separator = spec.separator.clone().into_bytes();
    if separator.is_empty() || separator.iter().any(|byte| b"\"\r\n\0".contains(byte)) {
        let message = "expected one or more characters other than a quote, a line break or NUL";
        return validator.fail(&format!("{pointer}/separator"), message);
    }
    let quote = character(&spec.quote, (pointer, "quote"), validator)?;
    let escape = spec.escape.as_deref().unwrap_or_default();
    let escape = character(escape, (pointer, "escape"), validator)?;
    if quote.is_some_and(|quote| separator.contains(&quote)) {
        return validator.fail(&format!("{pointer}/quote"), "`quote` must differ from `separator`");
    }
    if escape.is_some_and(|escape| separator.contains(&escape)) {
        let message = "`escape` must differ from `separator`";
        return validator.fail(&format!("{pointer}/escape"), message);
    }
    // A doubled quote is a quote in any case.
    let escape = escape.filter(|_| escape != quote);
    Some(Quoting { separator, quote, escape, trailing_separator: spec.trailing_separator })
}

fn header(spec: &CsvSpec, pointer: &str, validator: &mut Validator<'_>) -> Option<CsvHeader> {
    match (spec.header, &*spec.names) {
        (true, []) => Some(CsvHeader::First),
        (false, []) => Some(CsvHeader::Numbered),
        (false, names) => Some(CsvHeader::Named(names.to_vec())),
        (true, _) => {
            let message = "`names` are those of a file without a header";
            let hint = "set `header: false`; to skip a header, set `skip_rows: 1`, too";
            validator.report_with_hint(&format!("{pointer}/names"), message, hint);
            None
        }
    }
}

fn numbers(spec: &CsvSpec, pointer: &str, validator: &mut Validator<'_>) -> NumberFormat {
    let decimal = spec.decimal.chars().next().filter(|mark| ['.', ','].contains(mark));
    if decimal.is_none() {
        validator.report_invalid(&format!("{pointer}/decimal"), "expected `.` or `,`");
    }
    let thousands = spec.thousands.as_ref().and_then(|mark| mark.chars().next());
    let thousands_pointer = format!("{pointer}/thousands");
    if thousands.is_some_and(|mark| !['.', ',', '\'', ' ', '\u{a0}'].contains(&mark)) {
        validator.report_invalid(&thousands_pointer, "expected `,`, `.`, `'` or a space");
    } else if thousands.is_some() && thousands == decimal {
        validator.report_invalid(&thousands_pointer, "`thousands` must differ from `decimal`");
    }
    NumberFormat {
        decimal: decimal.unwrap_or('.'),
        thousands,
        currency_signs: spec.currency_signs.clone(),
    }
}
