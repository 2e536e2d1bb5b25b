//! Compiles `checks`: columns exist, ranges are not empty, tables can be read.

use chrono::NaiveDate;
use polars::prelude::{DataType, Expr};

use super::checks_spec::*;
use super::diagnostics::hint;
use super::ingest_spec::CustomersSpec;
use super::source;
use super::spec::SnapshotsSpec;
use super::validator::Validator;
use crate::checks::{Check, Expectation, Scope, Severity};
use crate::columns::{CUSTOMER_ID, DAY, ORDERED_AT};
use crate::ingest::ids::Bytes;
use crate::ingest::predicate::{PredicateError, SourceNames};
use crate::ingest::{IdCase, LookupParams};

pub(super) struct CheckCompiler<'a, 'd> {
    pub(super) names: Option<&'a SourceNames<'a>>,
    pub(super) customers: Option<&'a LookupParams>,
    pub(super) snapshots: &'a SnapshotsSpec,
    pub(super) validator: &'a mut Validator<'d>,
}

impl CheckCompiler<'_, '_> {
    /// The valid checks; reports problems of the others.
    pub(super) fn compile(&mut self, specs: &[CheckSpec]) -> Vec<Check> {
        let mut checks = Vec::with_capacity(specs.len());
        for (i, spec) in specs.iter().cloned().enumerate() {
            let at = format!("/checks/{i}");
            checks.extend(spec.row_count.and_then(|spec| self.row_count(&at, spec)));
            checks.extend(spec.freshness.and_then(|spec| self.freshness(&at, spec)));
            checks.extend(spec.unique.and_then(|spec| self.unique(&at, spec)));
            checks.extend(spec.missing_share.and_then(|spec| self.missing_share(&at, spec)));
            checks.extend(spec.range.and_then(|spec| self.range(&at, spec)));
            checks.extend(spec.accepted_values.and_then(|spec| self.accepted_values(&at, spec)));
            checks.extend(spec.referential.and_then(|spec| self.referential(&at, spec)));
        }
        checks
    }

    fn row_count(&mut self, at: &str, spec: RowCountSpec) -> Option<Check> {
        let RowCountSpec { min, max, severity, of } = spec;
        self.check_bounds(&format!("{at}/row_count"), min, max)?;
        let expectation = Expectation::RowCount { min, max };
        Some(check("row_count", String::new(), (severity, of), expectation, Vec::new()))
    }

    fn freshness(&mut self, at: &str, spec: FreshnessSpec) -> Option<Check> {
        let FreshnessSpec { max_days, severity } = spec;
        let Some(as_of) = newest_date(self.snapshots) else {
            let message = "`freshness` requires a date in `rfm.snapshots`";
            let hint = "set a date there or with --as-of; `last` follows the data";
            return self.validator.fail_with_hint(&format!("{at}/freshness"), message, hint);
        };
        let expectation = Expectation::Freshness { max_days, as_of };
        let options = (severity, Scope::Accepted);
        Some(check("freshness", String::new(), options, expectation, Vec::new()))
    }

    fn unique(&mut self, at: &str, spec: UniqueSpec) -> Option<Check> {
        let UniqueSpec { columns, severity, of } = spec;
        let mut key = Vec::with_capacity(columns.len());
        let mut source_columns = Vec::new();
        for (i, column) in columns.iter().enumerate() {
            let (expr, source) = self.column(&format!("{at}/unique/columns/{i}"), column)?;
            key.push(expr);
            source_columns.extend(source);
        }
        let on = columns.join(", ");
        Some(check("unique", on, (severity, of), Expectation::Unique(key), source_columns))
    }

    fn missing_share(&mut self, at: &str, spec: MissingShareSpec) -> Option<Check> {
        let MissingShareSpec { column, max_share, severity, of } = spec;
        let (value, source_columns) =
            self.column(&format!("{at}/missing_share/column"), &column)?;
        let expectation = Expectation::MissingShare { value, max_share };
        Some(check("missing_share", column, (severity, of), expectation, source_columns))
    }

    fn range(&mut self, at: &str, spec: RangeSpec) -> Option<Check> {
        let RangeSpec { column, min, max, max_share, severity, of } = spec;
        self.check_bounds(&format!("{at}/range"), min, max)?;
        let pointer = format!("{at}/range/column");
        let (value, source_columns) = self.column(&pointer, &column)?;
        if [DAY, ORDERED_AT].contains(&column.as_str()) {
            let message = format!("`{column}` is not a number");
            let hint = "use the step `date_range` to limit days";
            return self.validator.fail_with_hint(&pointer, message, hint);
        }
        let expectation =
            Expectation::Range { value: value.cast(DataType::Float64), min, max, max_share };
        Some(check("range", column, (severity, of), expectation, source_columns))
    }

    fn accepted_values(&mut self, at: &str, spec: AcceptedValuesSpec) -> Option<Check> {
        let AcceptedValuesSpec { column, values, max_share, severity, of } = spec;
        let (value, source_columns) =
            self.text(&format!("{at}/accepted_values/column"), &column)?;
        let expectation = Expectation::AcceptedValues { value, values, max_share };
        Some(check("accepted_values", column, (severity, of), expectation, source_columns))
    }

    fn referential(&mut self, at: &str, spec: ReferentialSpec) -> Option<Check> {
        let ReferentialSpec { column, paths, csv, key, max_share, severity, of } = spec;
        let at = format!("{at}/referential");
        let (value, source_columns) = self.text(&format!("{at}/column"), &column)?;
        let table = match (paths, key, self.customers) {
            (Some(paths), Some(key), _) => {
                let spec = CustomersSpec { paths, csv, key, ..CustomersSpec::default() };
                source::lookup(&spec, &at, self.validator)?
            }
            (None, None, Some(customers)) => {
                LookupParams { attributes: Vec::new(), ..customers.clone() }
            }
            (None, None, None) => {
                let message = "expected `paths` and `key`, or a table in `ingest.customers`";
                return self.validator.fail(&at, message);
            }
            _ => return self.validator.fail(&at, "`paths` and `key` must be set together"),
        };
        // The keys of the table are spelled as ids. Only customer ids can ignore case.
        let mut table = table;
        if column != CUSTOMER_ID {
            table.ids.case = IdCase::Keep;
        }
        let value = table.ids.spelled(value, Bytes::Utf8);
        let expectation = Expectation::Referential { value, table: Box::new(table), max_share };
        Some(check("referential", column, (severity, of), expectation, source_columns))
    }

    /// A column of the lines by its user-facing name, and the source columns that it reads.
    fn column(&mut self, pointer: &str, name: &str) -> Option<(Expr, Vec<String>)> {
        let names = self.names?;
        self.resolved(pointer, name, names.column(name))
    }

    /// The text of a column of the lines, and the source columns that it reads.
    fn text(&mut self, pointer: &str, name: &str) -> Option<(Expr, Vec<String>)> {
        let names = self.names?;
        self.resolved(pointer, name, names.text(name))
    }

    fn resolved(
        &mut self,
        pointer: &str,
        name: &str,
        column: Result<(Expr, Option<String>), PredicateError>,
    ) -> Option<(Expr, Vec<String>)> {
        match column {
            Ok((expr, source)) => Some((expr, source.into_iter().collect())),
            Err(error @ PredicateError::Unknown(_)) => {
                let hint = hint(name, self.names?.all());
                self.validator.fail_with_hint(pointer, error.to_string(), hint)
            }
            Err(error) => self.validator.fail(pointer, error.to_string()),
        }
    }

    /// Requires at least one bound, and `min` not above `max`.
    fn check_bounds<T: PartialOrd>(
        &mut self,
        pointer: &str,
        min: Option<T>,
        max: Option<T>,
    ) -> Option<()> {
        let message = match (min, max) {
            (None, None) => "expected `min`, `max` or both",
            (Some(min), Some(max)) if min > max => "`min` must not be greater than `max`",
            _ => return Some(()),
        };
        self.validator.fail(pointer, message)
    }
}

pub(super) fn check(
    name: &'static str,
    on: String,
    (severity, of): (Severity, Scope),
    expectation: Expectation,
    source_columns: Vec<String>,
) -> Check {
    Check { name, on, severity, of, expectation, source_columns }
}

/// The newest snapshot date, if the spec names one.
fn newest_date(spec: &SnapshotsSpec) -> Option<NaiveDate> {
    let texts: &[String] = match spec {
        SnapshotsSpec::One(text) => std::slice::from_ref(text),
        SnapshotsSpec::Many(texts) => texts,
        SnapshotsSpec::Grid(grid) => std::slice::from_ref(&grid.until),
    };
    texts.iter().filter_map(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).max()
}
