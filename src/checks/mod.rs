//! `checks`: expectations on the lines, which must be met before anything is published.
//!
//! The scan counts the metrics of single lines ([`line_metrics`]). Once the order facts are built,
//! [`evaluate`] evaluates every check, even if others fail. Checks never read the source again.

use std::fmt::Display;

use chrono::NaiveDate;
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::clean::Reason;
use crate::ingest::cell::{is_empty, reads_column};
use crate::ingest::{LookupParams, LookupTable, ReadError, SourceFile};
use crate::orders::line_metrics::MetricValue;
use crate::orders::{LineMetric, MetricValues, OrderFacts};

#[derive(Debug, Clone)]
pub struct Check {
    /// Its YAML key, or the key of the step whose share it limits.
    pub name: &'static str,
    /// The columns that it reads, separated by commas; empty for whole lines.
    pub on: String,
    pub severity: Severity,
    pub of: Scope,
    pub expectation: Expectation,
    /// Source columns that it reads in addition to the mapped columns.
    pub source_columns: Vec<String>,
}

impl Check {
    /// Files that the check reads in addition to the source.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        let table = match &self.expectation {
            Expectation::Referential { table, .. } => Some(table),
            _ => None,
        };
        table.into_iter().flat_map(|table| &table.set.files)
    }

    /// Whether the check reads a column of the lines.
    pub fn reads_column(&self, column: &str) -> bool {
        match &self.expectation {
            Expectation::RowCount { .. }
            | Expectation::Freshness { .. }
            | Expectation::StepShare { .. } => false,
            Expectation::Unique(columns) => columns.iter().any(|key| reads_column(key, column)),
            Expectation::MissingShare { value, .. }
            | Expectation::Range { value, .. }
            | Expectation::AcceptedValues { value, .. }
            | Expectation::Referential { value, .. } => reads_column(value, column),
        }
    }
}

/// What a failed check does: `warn` logs it, `fail` stops the run before it publishes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Warn,
    #[default]
    Fail,
}

/// Which lines a check reads: all lines of the source (`raw`), or the lines that `clean` accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    #[default]
    Raw,
    Accepted,
}

/// The condition of a check. `max_share` is a share of the lines in scope, 0 to 1.
#[derive(Debug, Clone)]
pub enum Expectation {
    /// Number of lines, both ends inclusive.
    RowCount { min: Option<u64>, max: Option<u64> },
    /// Days from the last accepted line to the newest snapshot.
    Freshness { max_days: u32, as_of: NaiveDate },
    /// No two lines are equal in these columns.
    Unique(Vec<Expr>),
    /// Lines without a value.
    MissingShare { value: Expr, max_share: f64 },
    /// Lines with a number outside a range, both ends inclusive.
    Range { value: Expr, min: Option<f64>, max: Option<f64>, max_share: f64 },
    /// Lines with a text that is not listed.
    AcceptedValues { value: Expr, values: Vec<String>, max_share: f64 },
    /// Lines with a text that is not a key of the table.
    Referential { value: Expr, table: Box<LookupParams>, max_share: f64 },
    /// Lines that a step of `clean` rejects, as a share of the lines that reach it. `position` is
    /// the index of the step.
    StepShare { position: usize, max_share: f64 },
}

impl Expectation {
    /// The metric that the scan counts, if any. Reads the table of a `referential` check.
    fn line_metric(&self, scope: Scope) -> Result<Option<LineMetric>, ReadError> {
        let at_fault = match self {
            Self::RowCount { .. } | Self::Freshness { .. } | Self::StepShare { .. } => {
                return Ok(None);
            }
            Self::Unique(columns) => {
                let columns = columns.clone();
                let accepted_only = scope == Scope::Accepted;
                return Ok(Some(LineMetric::Duplicates { columns, accepted_only }));
            }
            Self::MissingShare { value, .. } => is_empty(value.clone()),
            Self::Range { value, min, max, .. } => {
                let is_low = min.map(|min| value.clone().lt(lit(min)));
                let is_high = max.map(|max| value.clone().gt(lit(max)));
                // Polars orders NaN above all numbers, but it is outside every range.
                is_low.into_iter().chain(is_high).fold(value.clone().is_nan(), Expr::or)
            }
            Self::AcceptedValues { value, values, .. } => {
                is_none_of(value, values.iter().map(String::as_str))
            }
            Self::Referential { value, table, .. } => {
                let lookup = LookupTable::read(table, KEY)?;
                let keys = lookup.frame.column(KEY).and_then(|keys| keys.str().cloned());
                let keys = keys.map_err(|error| ReadError::table(KEY, &error))?;
                is_none_of(value, keys.iter().flatten())
            }
        };
        Ok(Some(LineMetric::Lines(at_fault)))
    }
}

/// The metrics that the scan counts for the checks, in their order. Reads the lookup tables.
pub(crate) fn line_metrics(checks: &[Check]) -> Result<Vec<LineMetric>, ReadError> {
    checks.iter().filter_map(|check| check.expectation.line_metric(check.of).transpose()).collect()
}

/// Name of the key column of a lookup table.
const KEY: &str = "key";

/// Whether there is a value that is not one of `values`.
fn is_none_of<'a>(value: &Expr, values: impl Iterator<Item = &'a str>) -> Expr {
    let values = Series::new(KEY.into(), values.collect::<Vec<_>>());
    let is_unknown = value.clone().is_in(lit(values).implode(false), false).not();
    is_empty(value.clone()).not().and(is_unknown)
}

/// The result of a check, as in `checks.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    pub check: String,
    pub on: String,
    pub severity: Severity,
    pub of: Scope,
    pub passed: bool,
    /// The number that is compared: lines, days or a share. Infinite (null in JSON) if there is no
    /// line to measure freshness with.
    #[serde(deserialize_with = "infinite_if_null")]
    pub measured: f64,
    pub expected: String,
    /// Number of lines at fault, if the check counts them.
    pub lines: Option<u64>,
    /// Number of lines that the check read.
    #[serde(rename = "looked_at")]
    pub inspected: u64,
    /// File and row of the first line at fault, if the check failed.
    pub first: Option<String>,
}

fn infinite_if_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::INFINITY))
}

impl CheckResult {
    /// Whether the run fails because of it.
    pub fn fails(&self) -> bool {
        !self.passed && self.severity == Severity::Fail
    }
}

/// Evaluates every check. `files` are the names of the source files, in the order of `source_file`.
///
/// # Errors
/// `facts` come from a scan without the [`line_metrics`] of these checks.
pub(crate) fn evaluate(
    checks: &[Check],
    facts: &OrderFacts,
    files: &[&str],
) -> PolarsResult<Vec<CheckResult>> {
    let rows_by_reason = facts.rows_by_reason()?;
    let mut evaluator = Evaluator { facts, rows_by_reason, metrics: facts.metrics.iter(), files };
    checks.iter().map(|check| evaluator.evaluate(check)).collect()
}

struct Evaluator<'a> {
    facts: &'a OrderFacts,
    /// The last number counts the accepted rows.
    rows_by_reason: Vec<u64>,
    /// The metrics of the remaining checks.
    metrics: std::slice::Iter<'a, MetricValues>,
    files: &'a [&'a str],
}

/// What was measured, whether it passed, what was expected, and the lines at fault if counted.
type Measurement = (f64, bool, String, Option<MetricValue>);

impl Evaluator<'_> {
    fn evaluate(&mut self, check: &Check) -> PolarsResult<CheckResult> {
        let mut inspected: u64 = match check.of {
            Scope::Raw => self.rows_by_reason.iter().sum(),
            Scope::Accepted => self.rows_by_reason[self.facts.reasons.len()],
        };
        let (measured, passed, expected, at_fault) = match &check.expectation {
            Expectation::RowCount { min, max } => {
                let passed = min.is_none_or(|min| inspected >= min)
                    && max.is_none_or(|max| inspected <= max);
                (inspected as f64, passed, describe_range(*min, *max), None)
            }
            Expectation::Freshness { max_days, as_of } => {
                let last = self.facts.last_before(*as_of)?;
                let days = last.map_or(f64::INFINITY, |last| (*as_of - last).num_days() as f64);
                (days, days <= f64::from(*max_days), format!("at most {max_days} days"), None)
            }
            Expectation::Unique(_) => {
                let value = self.next_metric(check.of)?;
                (value.lines as f64, value.lines == 0, "no duplicates".to_owned(), Some(value))
            }
            Expectation::MissingShare { max_share, .. } => {
                share(self.next_metric(check.of)?, inspected, *max_share, "missing")
            }
            Expectation::Range { min, max, max_share, .. } => {
                let fault = match (*min, *max) {
                    (Some(min), None) => format!("below {min}"),
                    (None, Some(max)) => format!("above {max}"),
                    (min, max) => format!("outside {}", describe_range(min, max)),
                };
                share(self.next_metric(check.of)?, inspected, *max_share, &fault)
            }
            Expectation::AcceptedValues { max_share, .. } => {
                share(self.next_metric(check.of)?, inspected, *max_share, "with another value")
            }
            Expectation::Referential { max_share, .. } => {
                share(self.next_metric(check.of)?, inspected, *max_share, "unknown")
            }
            Expectation::StepShare { position, max_share } => {
                let (rejected, reached) = self.rows_of_step(*position);
                inspected = reached;
                let rejected = MetricValue { lines: rejected, first: None };
                share(rejected, inspected, *max_share, "rejected")
            }
        };
        let first = at_fault.and_then(|at_fault| at_fault.first).filter(|_| !passed);
        Ok(CheckResult {
            check: check.name.to_owned(),
            on: check.on.clone(),
            severity: check.severity,
            of: check.of,
            passed,
            measured,
            expected,
            lines: at_fault.map(|at_fault| at_fault.lines),
            inspected,
            first: first.map(|(file, row)| format!("{}, row {row}", self.files[file as usize])),
        })
    }

    fn next_metric(&mut self, scope: Scope) -> PolarsResult<MetricValue> {
        let Some(values) = self.metrics.next() else {
            polars_bail!(ComputeError: "the scan did not count the metrics of the checks")
        };
        Ok(if scope == Scope::Raw { values.raw } else { values.accepted })
    }

    /// Rows that a step rejected, and rows that reached it.
    fn rows_of_step(&self, position: usize) -> (u64, u64) {
        let of_step = |reason: &Reason| reason.position == Some(position);
        let reasons = &self.facts.reasons;
        let rows = &self.rows_by_reason;
        let rejected = reasons.iter().zip(rows).filter(|(reason, _)| of_step(reason));
        // A step without reasons of its own is reached by no row.
        let first = reasons.iter().position(of_step).unwrap_or(rows.len());
        (rejected.map(|(_, rows)| rows).sum(), rows[first..].iter().sum())
    }
}

/// Compares the share of lines at fault with the maximum.
fn share(at_fault: MetricValue, rows: u64, max_share: f64, fault: &str) -> Measurement {
    let measured = if rows == 0 { 0.0 } else { at_fault.lines as f64 / rows as f64 };
    let expected = if max_share == 0.0 {
        format!("none {fault}")
    } else {
        format!("a share of at most {max_share} {fault}")
    };
    (measured, measured <= max_share, expected, Some(at_fault))
}

fn describe_range<T: Display>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any".to_owned(),
    }
}

/// The results as text, one line each.
pub(crate) fn describe(results: &[CheckResult]) -> String {
    results.iter().map(describe_result).collect()
}

fn describe_result(result: &CheckResult) -> String {
    let CheckResult { check, on, expected, inspected, .. } = result;
    let mark = match (result.passed, result.severity) {
        (true, _) => "ok  ",
        (false, Severity::Warn) => "warn",
        (false, Severity::Fail) => "FAIL",
    };
    let separator = if on.is_empty() { "" } else { " " };
    let scope = if result.of == Scope::Raw { "" } else { "accepted " };
    let measured = match result.lines {
        Some(lines) => format!("{lines} of {inspected} {scope}lines"),
        None => result.measured.to_string(),
    };
    let first = result.first.as_ref().map(|first| format!("; first: {first}"));
    let first = first.as_deref().unwrap_or("");
    format!("  {mark}  {check}{separator}{on}: {measured}; expected {expected}{first}\n")
}
