//! Checks the checks: their columns are there, their ranges hold something, their tables can be read.

use chrono::NaiveDate;
use polars::prelude::{DataType, Expr};

use super::checker::Checker;
use super::checks_spec::*;
use super::ingest_spec::CustomersSpec;
use super::problem::{Kind, hint};
use super::source;
use super::spec::{RfmSpec, SnapshotsSpec};
use super::steps::SourceNames;
use crate::checks::{Check, Holds, Of, Severity};
use crate::clean::predicate;
use crate::columns::{DAY, ORDERED_AT};
use crate::ingest::KeyedParams;

/// What the checks have to know of the rest of the pipeline.
struct Known<'a> {
    names: Option<&'a SourceNames<'a>>,
    customers: Option<&'a KeyedParams>,
    rfm: &'a RfmSpec,
}

/// The checks that can be made; of the others `checker` has been told.
pub(super) fn checks(
    specs: &[CheckSpec],
    names: Option<&SourceNames<'_>>,
    customers: Option<&KeyedParams>,
    rfm: &RfmSpec,
    checker: &mut Checker<'_>,
) -> Vec<Check> {
    let known = Known { names, customers, rfm };
    let mut made = Vec::new();
    for (idx, spec) in specs.iter().enumerate() {
        let at = format!("/checks/{idx}");
        let CheckSpec {
            row_count,
            freshness,
            unique,
            missing_share,
            range,
            accepted_values,
            referential,
        } = spec;
        made.extend(row_count.as_ref().and_then(|spec| known.row_count(&at, spec, checker)));
        made.extend(freshness.as_ref().and_then(|spec| known.freshness(&at, spec, checker)));
        made.extend(unique.as_ref().and_then(|spec| known.unique(&at, spec, checker)));
        made.extend(
            missing_share.as_ref().and_then(|spec| known.missing_share(&at, spec, checker)),
        );
        made.extend(range.as_ref().and_then(|spec| known.range(&at, spec, checker)));
        made.extend(
            accepted_values.as_ref().and_then(|spec| known.accepted_values(&at, spec, checker)),
        );
        made.extend(referential.as_ref().and_then(|spec| known.referential(&at, spec, checker)));
    }
    made
}

fn check(
    name: &'static str,
    on: &str,
    severity: SeveritySpec,
    of: OfSpec,
    holds: Holds,
    seen: Seen,
) -> Check {
    Check {
        name,
        on: on.to_owned(),
        severity: match severity {
            SeveritySpec::Warn => Severity::Warn,
            SeveritySpec::Fail => Severity::Fail,
        },
        of: match of {
            OfSpec::Raw => Of::Raw,
            OfSpec::Accepted => Of::Accepted,
        },
        holds,
        source_columns: seen,
    }
}

/// Source columns that a check looks at.
type Seen = Vec<String>;

impl Known<'_> {
    fn row_count(&self, at: &str, spec: &RowCountSpec, checker: &mut Checker<'_>) -> Option<Check> {
        let RowCountSpec { min, max, severity, of } = *spec;
        ends(&format!("{at}/row_count"), min, max, checker)?;
        Some(check("row_count", "", severity, of, Holds::RowCount { min, max }, Vec::new()))
    }

    fn freshness(
        &self,
        at: &str,
        spec: &FreshnessSpec,
        checker: &mut Checker<'_>,
    ) -> Option<Check> {
        let FreshnessSpec { max_days, severity } = *spec;
        let newest = match &self.rfm.snapshots {
            SnapshotsSpec::One(text) => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
            SnapshotsSpec::Many(texts) => texts
                .iter()
                .filter_map(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
                .max(),
            SnapshotsSpec::Grid(grid) => NaiveDate::parse_from_str(&grid.until, "%Y-%m-%d").ok(),
        };
        let Some(as_of) = newest else {
            let message =
                "freshness is counted up to a snapshot's date, but `rfm.snapshots` is not one";
            let hint =
                "name a date there or by --as-of; `last` follows the data, however old they are"
                    .to_owned();
            checker.problem(
                Kind::Config,
                &format!("{at}/freshness"),
                message.to_owned(),
                Some(hint),
            );
            return None;
        };
        let holds = Holds::Freshness { max_days, as_of };
        Some(check("freshness", "", severity, OfSpec::Accepted, holds, Vec::new()))
    }

    fn unique(&self, at: &str, spec: &UniqueSpec, checker: &mut Checker<'_>) -> Option<Check> {
        let UniqueSpec { columns, severity, of } = spec;
        let (mut exprs, mut seen) = (Vec::new(), Vec::new());
        for (i, column) in columns.iter().enumerate() {
            let (expr, source) =
                self.column(&format!("{at}/unique/columns/{i}"), column, checker)?;
            exprs.push(expr);
            seen.extend(source);
        }
        Some(check("unique", &columns.join(", "), *severity, *of, Holds::Unique(exprs), seen))
    }

    fn missing_share(
        &self,
        at: &str,
        spec: &MissingShareSpec,
        checker: &mut Checker<'_>,
    ) -> Option<Check> {
        let MissingShareSpec { column, max_share, severity, of } = spec;
        let (value, seen) = self.column(&format!("{at}/missing_share/column"), column, checker)?;
        let holds = Holds::MissingShare { value, max_share: *max_share };
        Some(check("missing_share", column, *severity, *of, holds, seen))
    }

    fn range(&self, at: &str, spec: &RangeSpec, checker: &mut Checker<'_>) -> Option<Check> {
        let RangeSpec { column, min, max, max_share, severity, of } = spec;
        ends(&format!("{at}/range"), *min, *max, checker)?;
        let pointer = format!("{at}/range/column");
        let (value, seen) = self.column(&pointer, column, checker)?;
        if [DAY, ORDERED_AT].contains(&column.as_str()) {
            let hint = "days are held to a range by the step `date_range`".to_owned();
            checker.problem(Kind::Config, &pointer, format!("`{column}` is no number"), Some(hint));
            return None;
        }
        let value = value.cast(DataType::Float64);
        let holds = Holds::Range { value, min: *min, max: *max, max_share: *max_share };
        Some(check("range", column, *severity, *of, holds, seen))
    }

    fn accepted_values(
        &self,
        at: &str,
        spec: &AcceptedValuesSpec,
        checker: &mut Checker<'_>,
    ) -> Option<Check> {
        let AcceptedValuesSpec { column, values, max_share, severity, of } = spec;
        let (value, seen) =
            self.column(&format!("{at}/accepted_values/column"), column, checker)?;
        let value = value.cast(DataType::String);
        let holds = Holds::AcceptedValues { value, values: values.clone(), max_share: *max_share };
        Some(check("accepted_values", column, *severity, *of, holds, seen))
    }

    fn referential(
        &self,
        at: &str,
        spec: &ReferentialSpec,
        checker: &mut Checker<'_>,
    ) -> Option<Check> {
        let ReferentialSpec { column, paths, csv, key, max_share, severity, of } = spec;
        let at = format!("{at}/referential");
        let (value, seen) = self.column(&format!("{at}/column"), column, checker)?;
        let table = match (paths, key) {
            (Some(paths), Some(key)) => {
                let (paths, key, csv) = (paths.clone(), key.clone(), csv.clone());
                source::keyed(
                    &CustomersSpec { paths, csv, key, attributes: Vec::new() },
                    &at,
                    checker,
                )?
            }
            (None, None) => match self.customers {
                Some(customers) => KeyedParams { attributes: Vec::new(), ..customers.clone() },
                None => {
                    let message =
                        "no table to look into: name `paths` and `key`, or `ingest.customers`";
                    checker.wrong(&at, message);
                    return None;
                }
            },
            _ => {
                checker.wrong(&at, "`paths` and `key` go together");
                return None;
            }
        };
        let value = value.cast(DataType::String);
        let holds = Holds::Referential { value, table: Box::new(table), max_share: *max_share };
        Some(check("referential", column, *severity, *of, holds, seen))
    }

    /// A column of the lines by the name that the user gives it.
    fn column(&self, pointer: &str, name: &str, checker: &mut Checker<'_>) -> Option<(Expr, Seen)> {
        let SourceNames { mapped, columns, money } = self.names?;
        match predicate::column(name, mapped, columns, money) {
            Ok((expr, source)) => Some((expr, source.into_iter().collect())),
            Err(error) => {
                let names = mapped.iter().copied().chain(columns.iter().map(String::as_str));
                checker.problem(Kind::Config, pointer, error.to_string(), Some(hint(name, names)));
                None
            }
        }
    }
}

/// A range of which one end at least is given, and which holds something.
fn ends<T: PartialOrd>(
    pointer: &str,
    min: Option<T>,
    max: Option<T>,
    checker: &mut Checker<'_>,
) -> Option<()> {
    if min.is_none() && max.is_none() {
        checker.wrong(pointer, "expected `min` or `max`, or both");
        return None;
    }
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        checker.wrong(pointer, "`min` is above `max`, so that nothing can lie between");
        return None;
    }
    Some(())
}
