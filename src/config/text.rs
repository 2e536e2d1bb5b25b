//! Checks how text is written: separators, encodings, numbers, and the formats of dates.

use chrono::format::StrftimeItems;
use chrono::{NaiveDate, NaiveDateTime};
use encoding_rs::{UTF_8, WINDOWS_1252};

use super::checker::Checker;
use super::ingest_spec::{CsvSpec, EncodingSpec};
use super::problem::Kind;
use crate::ingest::{Numbers, TextFormat};

/// The checked format of the section at `pointer`; `None` where not even a header can be read by it.
pub(super) fn text(spec: &CsvSpec, pointer: &str, checker: &mut Checker<'_>) -> Option<TextFormat> {
    let separator = separator(spec, pointer, checker);
    let numbers = numbers(spec, pointer, checker);
    for (i, format) in spec.datetime_formats.iter().enumerate() {
        if !reads_back(format) {
            let message = format!("`{format}` is no format of a date, or lacks a part of one");
            let hint = "such as %Y-%m-%d %H:%M:%S, in the notation of strftime".to_owned();
            checker.problem(
                Kind::Config,
                &format!("{pointer}/datetime_formats/{i}"),
                message,
                Some(hint),
            );
        }
    }
    // The web's latin1 is windows-1252, which differs in control characters that no table holds.
    let encoding = match spec.encoding {
        EncodingSpec::Utf8 => UTF_8,
        EncodingSpec::Latin1 | EncodingSpec::Windows1252 => WINDOWS_1252,
    };
    let datetime_formats = spec.datetime_formats.clone();
    // A wrong separator makes one wrong column of every header, which would only be told five times over.
    Some(TextFormat { separator: separator?, encoding, datetime_formats, numbers })
}

fn separator(spec: &CsvSpec, pointer: &str, checker: &mut Checker<'_>) -> Option<u8> {
    match spec.separator.as_bytes() {
        [byte] if byte.is_ascii() && !b"\"\r\n\0".contains(byte) => Some(*byte),
        _ => {
            let message =
                "expected one ASCII character that is neither a quote, a line end nor NUL";
            checker.wrong(&format!("{pointer}/separator"), message);
            None
        }
    }
}

/// Whether a format writes a moment that it reads back as one.
fn reads_back(format: &str) -> bool {
    let Ok(items) = StrftimeItems::new(format).parse() else { return false };
    let moment = NaiveDate::from_ymd_opt(2011, 12, 9)
        .and_then(|day| day.and_hms_opt(12, 50, 0))
        .unwrap_or_default();
    let text = moment.and_utc().format_with_items(items.iter()).to_string();
    NaiveDateTime::parse_from_str(&text, format).is_ok()
        || NaiveDate::parse_from_str(&text, format).is_ok()
}

fn numbers(spec: &CsvSpec, at: &str, checker: &mut Checker<'_>) -> Numbers {
    let decimal = spec.decimal.chars().next().filter(|mark| ['.', ','].contains(mark));
    if decimal.is_none() {
        checker.wrong(&format!("{at}/decimal"), "expected `.` or `,`");
    }
    let thousands = spec.thousands.as_ref().and_then(|mark| mark.chars().next());
    if thousands.is_some_and(|mark| !['.', ',', '\'', ' ', '\u{a0}'].contains(&mark)) {
        checker.wrong(&format!("{at}/thousands"), "expected `,`, `.`, `'` or a space");
    } else if thousands.is_some() && thousands == decimal {
        checker.wrong(&format!("{at}/thousands"), "is the same mark as `decimal`");
    }
    Numbers {
        decimal: decimal.unwrap_or('.'),
        thousands,
        currency_signs: spec.currency_signs.clone(),
    }
}
