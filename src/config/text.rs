//! Compiles text formats: separators, encodings, numbers, and the formats of timestamps.

use chrono::format::StrftimeItems;
use chrono::{NaiveDate, NaiveDateTime};
use encoding_rs::{UTF_8, WINDOWS_1252};

use super::ingest_spec::{CsvSpec, EncodingSpec};
use super::validator::Validator;
use crate::ingest::{NumberFormat, TextFormat};

/// The format of the section at `pointer`. `None` if the separator is invalid: each mapped column
/// would be reported as missing, since the header would have a single column.
pub(super) fn text(
    spec: &CsvSpec,
    pointer: &str,
    validator: &mut Validator<'_>,
) -> Option<TextFormat> {
    let separator = separator(spec, pointer, validator);
    let numbers = numbers(spec, pointer, validator);
    for (i, format) in spec.datetime_formats.iter().enumerate() {
        if !is_timestamp_format(format) {
            let message = format!("`{format}` is not a complete date format");
            let hint = "expected strftime notation such as %Y-%m-%d %H:%M:%S";
            validator.report_with_hint(&format!("{pointer}/datetime_formats/{i}"), message, hint);
        }
    }
    // WHATWG's latin1 is windows-1252. They differ only in control characters.
    let encoding = match spec.encoding {
        EncodingSpec::Utf8 => UTF_8,
        EncodingSpec::Latin1 | EncodingSpec::Windows1252 => WINDOWS_1252,
    };
    let datetime_formats = spec.datetime_formats.clone();
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

/// Whether a text in this format can be parsed back.
fn is_timestamp_format(format: &str) -> bool {
    const SAMPLE: NaiveDateTime = NaiveDate::from_ymd_opt(2011, 12, 9)
        .expect("a valid date")
        .and_hms_opt(12, 50, 0)
        .expect("a valid time");
    let Ok(items) = StrftimeItems::new(format).parse() else { return false };
    let text = SAMPLE.and_utc().format_with_items(items.iter()).to_string();
    NaiveDateTime::parse_from_str(&text, format).is_ok()
        || NaiveDate::parse_from_str(&text, format).is_ok()
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
