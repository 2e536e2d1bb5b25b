//! `checks`: what has to hold of the lines before anything is published.
//!
//! Questions to single lines are counted while the one scan passes ([`tallies`]); when the order book is there, every check is
//! judged ([`judge`]), whatever the others say. What is deliberately absent: any second look at the source.

use chrono::NaiveDate;
use polars::prelude::*;
use serde::Serialize;

use crate::ingest::{Keyed, KeyedError, KeyedParams, SourceFile, conform};
use crate::orders::tally::Found;
use crate::orders::{OrderBook, Tally};

/// A checked check.
#[derive(Debug, Clone)]
pub struct Check {
    /// Its key in the YAML, or that of the step whose share it limits.
    pub name: &'static str,
    /// The columns that it looks at, in words; empty where it looks at lines as a whole.
    pub on: String,
    /// What becomes of the run where it does not hold.
    pub severity: Severity,
    /// Which lines it looks at.
    pub of: Of,
    /// What has to hold.
    pub holds: Holds,
    /// Source columns that it looks at besides the mapped ones.
    pub source_columns: Vec<String>,
}

impl Check {
    /// Files that the check looks into besides the source's.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        let table = match &self.holds {
            Holds::Referential { table, .. } => Some(table),
            _ => None,
        };
        table.into_iter().flat_map(|table| &table.set.files)
    }

    /// Whether the check looks at a column of the lines.
    pub fn looks_at(&self, column: &str) -> bool {
        match &self.holds {
            Holds::RowCount { .. } | Holds::Freshness { .. } | Holds::StepShare { .. } => false,
            Holds::Unique(columns) => columns.iter().any(|key| conform::looks_at(key, column)),
            Holds::MissingShare { value, .. }
            | Holds::Range { value, .. }
            | Holds::AcceptedValues { value, .. }
            | Holds::Referential { value, .. } => conform::looks_at(value, column),
        }
    }
}

/// What becomes of a run in which a check does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is told.
    Warn,
    /// Nothing is published.
    Fail,
}

/// Which lines a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// All lines of the source.
    Raw,
    /// Those that `clean` left.
    Accepted,
}

/// What has to hold. Shares are of the lines that are looked at, 0 to 1.
#[derive(Debug, Clone)]
pub enum Holds {
    /// There are so many lines.
    RowCount {
        /// At least.
        min: Option<u64>,
        /// At most.
        max: Option<u64>,
    },
    /// The last accepted line is not older than that.
    Freshness {
        /// Days from its day to `as_of`.
        max_days: u32,
        /// The newest snapshot.
        as_of: NaiveDate,
    },
    /// No two lines are equal in these.
    Unique(Vec<Expr>),
    /// Few lines have nothing in a column.
    MissingShare {
        /// The column.
        value: Expr,
        /// So many at most.
        max_share: f64,
    },
    /// Few lines lie outside a range.
    Range {
        /// The column, as a float.
        value: Expr,
        /// Smallest number.
        min: Option<f64>,
        /// Largest number.
        max: Option<f64>,
        /// So many at most.
        max_share: f64,
    },
    /// Few lines hold another value.
    AcceptedValues {
        /// The column, as text.
        value: Expr,
        /// The values.
        values: Vec<String>,
        /// So many at most.
        max_share: f64,
    },
    /// Few lines hold a value that a table does not know.
    Referential {
        /// The column, as text.
        value: Expr,
        /// The table.
        table: Box<KeyedParams>,
        /// So many at most.
        max_share: f64,
    },
    /// A step of `clean` rejects few of the lines that it gets.
    StepShare {
        /// Index of the step.
        position: usize,
        /// So many at most.
        max_share: f64,
    },
}

/// What was found, as `checks.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The check's key, or the step's.
    pub check: &'static str,
    /// The columns that it looked at.
    pub on: String,
    /// What becomes of the run where it does not hold.
    pub severity: Severity,
    /// Which lines it looked at.
    pub of: Of,
    /// Whether it holds.
    pub passed: bool,
    /// The number that was measured.
    pub measured: f64,
    /// What was expected of it, in words.
    pub expected: String,
    /// Lines at fault.
    pub lines: Option<u64>,
    /// Lines that were looked at.
    pub looked_at: u64,
    /// The first of them: file and row.
    pub first: Option<String>,
}

impl Verdict {
    /// Whether the run fails for it.
    pub fn fails(&self) -> bool {
        !self.passed && self.severity == Severity::Fail
    }
}

/// The questions to the lines, for the scan to count; tables that are asked after are read now.
///
/// # Errors
/// A table that cannot be read.
pub fn tallies(checks: &[Check]) -> Result<Vec<Tally>, KeyedError> {
    let mut tallies = Vec::new();
    for check in checks {
        let lines = match &check.holds {
            Holds::RowCount { .. } | Holds::Freshness { .. } | Holds::StepShare { .. } => continue,
            Holds::Unique(columns) => {
                tallies.push(Tally::Repeats {
                    columns: columns.clone(),
                    accepted: check.of == Of::Accepted,
                });
                continue;
            }
            Holds::MissingShare { value, .. } => conform::empty(value.clone()),
            Holds::Range { value, min, max, .. } => {
                let low = min.map(|min| value.clone().lt(lit(min)));
                let high = max.map(|max| value.clone().gt(lit(max)));
                // NaN is outside every range, and Polars takes it for the largest number.
                low.into_iter().chain(high).fold(value.clone().is_nan(), |any, one| any.or(one))
            }
            Holds::AcceptedValues { value, values, .. } => {
                none_of(value, values.iter().map(String::as_str))
            }
            Holds::Referential { value, table, .. } => {
                let known = Keyed::read(table, KEY)?;
                let words = known.frame.column(KEY).and_then(|keys| keys.str().cloned());
                let words =
                    words.map_err(|source| KeyedError::Read { name: KEY.to_owned(), source })?;
                none_of(value, words.iter().flatten())
            }
        };
        tallies.push(Tally::Lines(lines));
    }
    Ok(tallies)
}

/// Name of the key of a table that is asked after.
const KEY: &str = "key";

/// Whether there is a value, but none of these.
fn none_of<'a>(value: &Expr, known: impl Iterator<Item = &'a str>) -> Expr {
    let known = Series::new(KEY.into(), known.collect::<Vec<_>>());
    let unknown = value.clone().is_in(lit(known).implode(false), false).not();
    conform::empty(value.clone()).not().and(unknown)
}

/// Judges every check; `files` are the names of the source files, in the order of `source_file`.
///
/// # Errors
/// What Polars says.
pub fn judge(checks: &[Check], book: &OrderBook, files: &[&str]) -> PolarsResult<Vec<Verdict>> {
    let by_reason = book.rows_by_reason()?;
    let raw: u64 = by_reason.iter().sum();
    let accepted = by_reason.last().copied().unwrap_or(0);
    let mut counts = book.counts.iter();
    let mut verdicts = Vec::with_capacity(checks.len());
    for check in checks {
        let rows = if check.of == Of::Raw { raw } else { accepted };
        let mut found = || {
            let count = counts.next().copied().unwrap_or_default();
            if check.of == Of::Raw { count.raw } else { count.accepted }
        };
        let mut looked_at = rows;
        let (measured, passed, expected, found) = match &check.holds {
            Holds::RowCount { min, max } => {
                let passed = min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max);
                (rows as f64, passed, range_words(min.as_ref(), max.as_ref()), None)
            }
            Holds::Freshness { max_days, as_of } => {
                let last = book.last_before(*as_of)?;
                let days = last.map_or(f64::INFINITY, |last| (*as_of - last).num_days() as f64);
                (days, days <= f64::from(*max_days), format!("at most {max_days} days"), None)
            }
            Holds::Unique(_) => {
                let found = found();
                (found.lines as f64, found.lines == 0, "none repeated".to_owned(), Some(found))
            }
            Holds::MissingShare { max_share, .. } => shared(found(), rows, *max_share, "missing"),
            Holds::Range { min, max, max_share, .. } => {
                let words = match (min, max) {
                    (Some(min), None) => format!("below {min}"),
                    (None, Some(max)) => format!("above {max}"),
                    _ => format!("outside {}", range_words(min.as_ref(), max.as_ref())),
                };
                shared(found(), rows, *max_share, &words)
            }
            Holds::AcceptedValues { max_share, .. } => {
                shared(found(), rows, *max_share, "of another value")
            }
            Holds::Referential { max_share, .. } => shared(found(), rows, *max_share, "unknown"),
            Holds::StepShare { position, max_share } => {
                let of_step = |idx: usize| {
                    book.reasons.get(idx).is_some_and(|r| r.position == Some(*position))
                };
                let first =
                    (0..by_reason.len()).find(|&idx| of_step(idx)).unwrap_or(by_reason.len());
                let removed: u64 = (0..by_reason.len())
                    .filter(|&idx| of_step(idx))
                    .map(|idx| by_reason[idx])
                    .sum();
                looked_at = by_reason[first..].iter().sum();
                shared(Found { lines: removed, first: None }, looked_at, *max_share, "rejected")
            }
        };
        let first = found.filter(|_| !passed).and_then(|found| found.first);
        let first =
            first.and_then(|(file, row)| Some(format!("{}, row {row}", files.get(file as usize)?)));
        let lines = found.map(|found| found.lines);
        let Check { name, on, severity, of, .. } = check.clone();
        verdicts.push(Verdict {
            check: name,
            on,
            severity,
            of,
            passed,
            measured,
            expected,
            lines,
            looked_at,
            first,
        });
    }
    Ok(verdicts)
}

/// The share of lines at fault against the largest that may be.
fn shared(
    found: Found,
    rows: u64,
    max_share: f64,
    words: &str,
) -> (f64, bool, String, Option<Found>) {
    let share = if rows == 0 { 0.0 } else { found.lines as f64 / rows as f64 };
    let expected = match max_share {
        0.0 => format!("none {words}"),
        _ => format!("a share of at most {max_share} {words}"),
    };
    (share, share <= max_share, expected, Some(found))
}

fn range_words<T: std::fmt::Display>(min: Option<&T>, max: Option<&T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any".to_owned(),
    }
}

/// Every verdict in words, a line each.
pub fn in_words(verdicts: &[Verdict]) -> String {
    let line = |verdict: &Verdict| {
        let Verdict {
            check,
            on,
            severity,
            of,
            passed,
            measured,
            expected,
            lines,
            looked_at,
            first,
        } = verdict;
        let mark = match (passed, severity) {
            (true, _) => "ok  ",
            (false, Severity::Warn) => "warn",
            (false, Severity::Fail) => "FAIL",
        };
        let of = if *of == Of::Raw { "" } else { "accepted " };
        let on = if on.is_empty() { String::new() } else { format!(" {on}") };
        let found = match lines {
            Some(lines) => format!("{lines} of {looked_at} {of}lines"),
            None => measured.to_string(),
        };
        let first = first.as_ref().map_or(String::new(), |first| format!("; the first: {first}"));
        format!("  {mark}  {check}{on}: {found}; expected {expected}{first}\n")
    };
    verdicts.iter().map(line).collect()
}
