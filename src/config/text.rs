//! Compiles text formats: separators, encodings, numbers, and the formats of timestamps.

use encoding_rs::{UTF_8, WINDOWS_1252};

use super::ingest_spec::{CsvSpec, EncodingSpec};
use super::validator::Validator;
use crate::ingest::{NumberFormat, TextFormat, TimestampFormat};

/// The format of the section at `pointer`. `None` if the separator is invalid: each mapped column
/// would be reported as missing, since the header would have a single column.
pub(super) fn text(
    spec: &CsvSpec,
    pointer: &str,
    validator: &mut Validator<'_>,
) -> Option<TextFormat> {
    let separator = separator(spec, pointer, validator);
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
    // WHATWG's latin1 is windows-1252. They differ only in control characters.
    let encoding = match spec.encoding {
        EncodingSpec::Utf8 => UTF_8,
        EncodingSpec::Latin1 | EncodingSpec::Windows1252 => WINDOWS_1252,
    };
    Some(TextFormat { separator: separator?, encoding, datetime_formats, numbers })
}

fn separator(spec: &CsvSpec, pointer: &str, validator: &mut Validator<'_>) -> Option<u8> {
    match spec.separator.as_bytes() {
        [byte] if byte.is_ascii() && !b"\"\r\n\0".contains(byte) => Some(*byte),
        _ => {
            let message = "expected one ASCII character other than a quote, a line break or NUL";
            validator.fail(&format!("{pointer}/separator"), message)
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
