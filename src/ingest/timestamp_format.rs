//! Formats of timestamps in text: each gives local time of the store.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cell::DATETIME;
use super::outcomes::map_column;

/// What timestamps without an offset mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Timestamps {
    /// Local time of `ingest.timezone`.
    #[default]
    Local,
    Utc,
}

/// A declared format of timestamps in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampFormat {
    /// As in the YAML.
    pub declared: String,
    kind: FormatKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FormatKind {
    /// A day.
    Date(String),
    /// Date and time without an offset.
    Naive(String),
    /// Date and time in UTC.
    Utc(String),
    /// Date and time with an offset. One of the patterns matches.
    Offset(Vec<String>),
    /// Time since 1970 in UTC, in units of so many microseconds.
    Epoch(i64),
}

/// Abbreviations of time zones that a format may end with, and that are not UTC.
const ZONE_NAMES: [&str; 16] = [
    "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT", "CET", "CEST", "BST", "IST", "JST",
    "MSK", "WET", "EET",
];

impl TimestampFormat {
    /// # Errors
    /// The text is no format, or does not give a complete date in a known time zone.
    pub fn parse(declared: &str) -> Result<Self, String> {
        let kind = match declared {
            "epoch_s" => FormatKind::Epoch(1_000_000),
            "epoch_ms" => FormatKind::Epoch(1_000),
            "epoch_us" => FormatKind::Epoch(1),
            _ => pattern_kind(declared)?,
        };
        Ok(Self { declared: declared.to_owned(), kind })
    }

    /// Whether a whole number can have the format.
    pub fn reads_digits(&self) -> bool {
        let directives = self.declared.split('%').skip(1);
        let mut directives = directives.map(|directive| "YmdHMSjs".contains(directive));
        matches!(self.kind, FormatKind::Epoch(_)) || directives.all(|is_number| is_number)
    }

    /// The time of trimmed texts; null if the text does not match. `naive` says what times without
    /// an offset mean.
    pub(super) fn expr(&self, text: Expr, naive: Timestamps, timezone: Tz) -> Expr {
        let strptime = |text: Expr, pattern: &str| {
            let format = Some(pattern.into());
            let options = StrptimeOptions { format, strict: false, exact: true, cache: true };
            text.str().to_datetime(Some(TimeUnit::Microseconds), None, options, lit("raise"))
        };
        match &self.kind {
            // A day is a day of the store.
            FormatKind::Date(pattern) => strptime(text, pattern),
            FormatKind::Naive(pattern) => local_of_naive(strptime(text, pattern), naive, timezone),
            FormatKind::Utc(pattern) => {
                local_of_naive(strptime(text, pattern), Timestamps::Utc, timezone)
            }
            FormatKind::Offset(patterns) => {
                let patterns = patterns.clone();
                map_text(text, move |text| {
                    let parse = |pattern: &String| DateTime::parse_from_str(text, pattern).ok();
                    patterns.iter().find_map(parse).map(|time| local(time.with_timezone(&timezone)))
                })
            }
            FormatKind::Epoch(micros) => {
                let micros = *micros;
                map_text(text, move |text| {
                    let utc = DateTime::from_timestamp_micros(epoch(text, micros)?)?;
                    Some(local(utc.with_timezone(&timezone)))
                })
            }
        }
    }
}

/// The kind of a format in strftime notation.
fn pattern_kind(declared: &str) -> Result<FormatKind, String> {
    let incomplete = || format!("`{declared}` is not a complete date format");
    let (fields, tail) = fields(declared);
    let has = |letters: &str| fields.iter().any(|field| letters.contains(*field));
    if has("Z") {
        return Err(format!("`{declared}`: %Z does not read time zone names; use %z for offsets"));
    }
    let kind = if has("+") {
        if declared != "%+" {
            return Err(incomplete());
        }
        let pattern = |mark: &str| format!("%Y-%m-%d{mark}%H:%M:%S%.f%#z");
        FormatKind::Offset(vec![pattern("T"), pattern(" ")])
    } else if has("z") {
        FormatKind::Offset(vec![with_lenient_offset(declared)])
    } else {
        let start = tail.rfind(|c: char| !c.is_alphabetic()).map_or(0, |i| i + 1);
        let word = tail.get(start..).unwrap_or("");
        let upper = word.to_uppercase();
        if is_literal_offset(tail) {
            return Err(format!("`{declared}` ends in a fixed offset; use %z for it"));
        }
        if ZONE_NAMES.contains(&upper.as_str()) {
            return Err(format!(
                "`{declared}` ends in the time zone name {word}; only Z, UTC and GMT are read"
            ));
        }
        let is_utc = tail.ends_with(word) && ["Z", "UTC", "GMT"].contains(&upper.as_str());
        if !is_utc && ["UTC", "GMT"].iter().any(|zone| declared.to_uppercase().contains(zone)) {
            return Err(format!("`{declared}`: Z, UTC or GMT are read at the end only"));
        }
        if has("s") || is_utc {
            FormatKind::Utc(declared.to_owned())
        } else if has("HIklTRrXc") {
            FormatKind::Naive(declared.to_owned())
        } else {
            FormatKind::Date(declared.to_owned())
        }
    };
    if reads_sample(declared, &kind) { Ok(kind) } else { Err(incomplete()) }
}

/// The letters of the fields of a format, and the text after the last one.
fn fields(format: &str) -> (Vec<char>, &str) {
    let (mut fields, mut tail) = (Vec::new(), format);
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c == '%' {
            let is_flag = |c: &char| "-_0:#.369".contains(*c);
            fields.extend(chars.by_ref().find(|c| !is_flag(c)));
            tail = chars.as_str();
        }
    }
    (fields, tail)
}

/// A format in which the offset may be `Z`, `+00`, `+0000` or `+00:00`.
fn with_lenient_offset(format: &str) -> String {
    [":::z", "::z", ":z", "#z", "z"]
        .iter()
        .fold(format.to_owned(), |format, field| format.replace(&format!("%{field}"), "%\0"))
        .replace("%\0", "%#z")
}

/// Whether a text ends in an offset such as `+02:00`.
fn is_literal_offset(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || c == ':';
    let sign = text.trim_end_matches(is_digit);
    let digits = text.len() - sign.len();
    sign.ends_with(['+', '-']) && (2..=6).contains(&digits)
}

/// Whether a text in this format can be parsed back.
fn reads_sample(declared: &str, kind: &FormatKind) -> bool {
    const SAMPLE: NaiveDateTime = NaiveDate::from_ymd_opt(2011, 12, 9)
        .expect("a valid date")
        .and_hms_opt(12, 50, 0)
        .expect("a valid time");
    let pattern = match kind {
        FormatKind::Offset(patterns) => &patterns[0],
        _ => declared,
    };
    // `%#z` can be parsed only.
    let printed = pattern.replace("%#z", "%z");
    let Ok(items) = StrftimeItems::new(&printed).parse() else { return false };
    if items.iter().any(|item| matches!(item, Item::Error)) {
        return false;
    }
    let mut text = String::new();
    let sample = SAMPLE.and_utc().fixed_offset();
    if std::fmt::Write::write_fmt(
        &mut text,
        format_args!("{}", sample.format_with_items(items.iter())),
    )
    .is_err()
    {
        return false;
    }
    match kind {
        FormatKind::Offset(patterns) => DateTime::parse_from_str(&text, &patterns[0]).is_ok(),
        FormatKind::Date(_) => NaiveDate::parse_from_str(&text, declared).is_ok(),
        _ => NaiveDateTime::parse_from_str(&text, declared).is_ok(),
    }
}

/// Whole microseconds of an epoch time with up to six decimals.
fn epoch(text: &str, micros: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || fraction.len() > 9 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let part: i64 = format!("{fraction:0<9}").parse().ok()?;
    let part = i128::from(part) * i128::from(micros) / 1_000_000_000;
    let part = if text.starts_with('-') { -part } else { part };
    whole.checked_mul(micros)?.checked_add(i64::try_from(part).ok()?)
}

fn local(time: DateTime<Tz>) -> i64 {
    time.naive_local().and_utc().timestamp_micros()
}

/// Maps texts to microseconds of local time.
fn map_text(text: Expr, map: impl Fn(&str) -> Option<i64> + Send + Sync + 'static) -> Expr {
    map_column(text, DATETIME, move |column| {
        let times: Int64Chunked = column.str()?.iter().map(|text| map(text?)).collect();
        let times = times.with_name(column.name().clone());
        Ok(times.into_datetime(TimeUnit::Microseconds, None).into_column())
    })
}

pub(super) fn local_of_naive(time: Expr, naive: Timestamps, timezone: Tz) -> Expr {
    if naive == Timestamps::Local || timezone == Tz::UTC {
        return time;
    }
    local_of_zoned(
        time.dt().replace_time_zone(Some(TimeZone::UTC), lit("raise"), NonExistent::Raise),
        timezone,
    )
}

pub(super) fn local_of_zoned(time: Expr, timezone: Tz) -> Expr {
    let local = time.dt().convert_time_zone(TimeZone::from_chrono(&timezone)).dt();
    local.replace_time_zone(None, lit("raise"), NonExistent::Raise).cast(DATETIME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(format: &str, text: &str, naive: Timestamps, timezone: Tz) -> Option<String> {
        let format = TimestampFormat::parse(format).unwrap();
        let frame = df!["at" => [text]].unwrap().lazy();
        let frame = frame.select([format.expr(col("at"), naive, timezone)]).collect().unwrap();
        assert_eq!(*frame.columns()[0].dtype(), DATETIME, "{format:?}");
        let time = frame.columns()[0].to_physical_repr();
        let time = DateTime::from_timestamp_micros(time.i64().unwrap().get(0)?).unwrap();
        Some(time.naive_utc().to_string())
    }

    #[test]
    fn every_offset_becomes_local_time() {
        // Tokyo is nine hours ahead of UTC.
        for (format, text) in [
            ("%Y-%m-%dT%H:%M:%S%z", "2024-03-01T23:30:00Z"),
            ("%Y-%m-%dT%H:%M:%S%z", "2024-03-01T23:30:00+00"),
            ("%Y-%m-%dT%H:%M:%S%:z", "2024-03-01T23:30:00+00:00"),
            ("%Y-%m-%dT%H:%M:%S%#z", "2024-03-01T18:30:00-05"),
            ("%Y-%m-%d %H:%M:%S %z", "2024-03-01 18:30:00 -0500"),
            ("%Y-%m-%dT%H:%M:%S%.f%z", "2024-03-02T05:00:00.000+05:30"),
            ("%+", "2024-03-01T23:30:00Z"),
            ("%+", "2024-03-01 23:30:00.0+00:00"),
            ("%Y-%m-%dT%H:%M:%SZ", "2024-03-01T23:30:00Z"),
            ("%Y-%m-%d %H:%M:%S UTC", "2024-03-01 23:30:00 UTC"),
            ("%Y-%m-%d %H:%M:%S utc", "2024-03-01 23:30:00 utc"),
            ("%Y-%m-%dT%H:%M:%Sz", "2024-03-01T23:30:00z"),
            ("%Y-%m-%dT%H:%M:%S%.fZ", "2024-03-01T23:30:00.000Z"),
            ("%s", "1709335800"),
            ("epoch_s", "1709335800"),
            ("epoch_ms", "1709335800000"),
            ("epoch_us", "1709335800000000"),
        ] {
            let local = read(format, text, Timestamps::Local, Tz::Asia__Tokyo);
            assert_eq!(local.as_deref(), Some("2024-03-02 08:30:00"), "{format} {text}");
        }
        let naive = |naive| read("%Y-%m-%d %H:%M", "2024-03-01 23:30", naive, Tz::Asia__Tokyo);
        assert_eq!(naive(Timestamps::Local).as_deref(), Some("2024-03-01 23:30:00"));
        assert_eq!(naive(Timestamps::Utc).as_deref(), Some("2024-03-02 08:30:00"));
        // A date is a day of the store, not an instant.
        let date = read("%Y-%m-%d", "2024-03-01", Timestamps::Utc, Tz::America__New_York);
        assert_eq!(date.as_deref(), Some("2024-03-01 00:00:00"));
        assert_eq!(
            read("epoch_s", "-1.5", Timestamps::Local, Tz::UTC).as_deref(),
            Some("1969-12-31 23:59:58.500")
        );
        for (format, text) in [
            ("%Y-%m-%dT%H:%M:%S%z", "2024-03-01T23:30:00"),
            ("%Y-%m-%dT%H:%M:%SZ", "2024-03-01T23:30:00"),
            ("epoch_ms", "1e9"),
            ("epoch_s", "99999999999999999"),
        ] {
            assert_eq!(read(format, text, Timestamps::Local, Tz::UTC), None, "{format} {text}");
        }
    }

    #[test]
    fn formats_without_a_known_zone_or_date_are_refused() {
        for format in [
            "%Y-%m-%d %H:%M:%S %Z",
            "%Y-%m-%d %H:%M:%S EST",
            "%Y-%m-%dT%H:%M:%S+02:00",
            "%Y-%m-%d %H:%M:%S -0500",
            "%H:%M",
            "%Y-%m",
            "%Q",
            "%",
            "",
            "dd/mm/yyyy",
            "%z",
            "%Y-%m-%d%z",
            "%Y-%m-%d-%H",
            "%Y-%m-%d %I:%M",
            "%Y-%m-%dT%H:%M:%SZ[UTC]",
            "%Y-%m-%d %H:%M:%S (UTC)",
            "%Y-%m-%d %H:%M:%S UTC+0",
            "UTC %Y-%m-%d %H:%M:%S",
        ] {
            assert!(TimestampFormat::parse(format).is_err(), "{format}");
        }
        for format in ["%d/%m/%Y", "%d-%b-%y", "%Y%m%d", "%m/%d/%Y %I:%M %p", "%c"] {
            assert!(TimestampFormat::parse(format).is_ok(), "{format}");
        }
    }

    proptest! {
        #[test]
        fn no_format_panics(format in "[-%a-zA-Z0-9:+# .]{0,16}", text in "[-0-9TZ:+. ]{0,30}") {
            if let Ok(format) = TimestampFormat::parse(&format) {
                let frame = df!["at" => [text]].unwrap().lazy();
                let expr = format.expr(col("at"), Timestamps::Utc, Tz::Europe__London);
                let _ = frame.select([expr]).collect();
            }
        }

        /// An instant gives the same local time in any offset.
        #[test]
        fn offsets_name_one_instant(seconds in 0i64..4_000_000_000, minutes in -14 * 60..=14 * 60i32) {
            let utc = DateTime::from_timestamp(seconds, 0).unwrap();
            let offset = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
            let text = utc.with_timezone(&offset).format("%Y-%m-%dT%H:%M:%S%z").to_string();
            let zoned = read("%Y-%m-%dT%H:%M:%S%z", &text, Timestamps::Local, Tz::Europe__London);
            let epoch = read("%s", &seconds.to_string(), Timestamps::Local, Tz::Europe__London);
            prop_assert_eq!(zoned, epoch);
        }
    }
}
