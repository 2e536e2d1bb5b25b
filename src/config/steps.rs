//! Compiles the steps of `clean`: required columns are mapped, patterns and dates are valid.

use super::checks::check;
use super::clean_spec::*;
use super::diagnostics::{Kind, hint};
use super::ingest_spec::ColumnsSpec;
use super::validator::Validator;
use crate::checks::{Check, Expectation, Scope, Severity};
use crate::clean::{Duplicates, Keep, KeyColumn, LineField, ReturnPolicy, ReturnRule, Step};
use crate::columns::{ORDER_ID, PRODUCT_ID, QUANTITY};
use crate::ingest::predicate::{Predicate, PredicateError, SourceNames};
use crate::rfm::CapOutliers;

/// The compiled `clean` section.
#[derive(Default)]
pub(super) struct Clean {
    /// The steps that reject lines, in order.
    pub(super) steps: Vec<Step>,
    /// Limits on the share of lines that a step rejects.
    pub(super) limits: Vec<Check>,
    /// Applied to monetary values, not to lines.
    pub(super) cap: Option<CapOutliers>,
}

/// The valid steps; reports problems of the others.
pub(super) fn clean(
    specs: &[CleanStepSpec],
    columns: &[&ColumnsSpec],
    names: Option<&SourceNames<'_>>,
    validator: &mut Validator<'_>,
) -> Clean {
    let mut clean = Clean::default();
    for (i, spec) in specs.iter().enumerate() {
        let at = format!("/clean/{i}");
        let position = clean.steps.len();
        let mut compiler = StepCompiler { columns, names, validator, steps: &mut clean.steps };
        compiler.compile(spec, &at);
        if let Some(cap) = &spec.cap_outliers {
            if clean.cap.is_some() {
                let message = "only one `cap_outliers` step is supported";
                validator.report_invalid(&format!("{at}/cap_outliers"), message);
            }
            clean.cap = Some(CapOutliers {
                millionths: (cap.quantile * 1e6).round() as u32,
                policy: cap.policy,
            });
        }
        let Some(max_share) = spec.max_share else { continue };
        let pointer = format!("{at}/max_share");
        match &clean.steps[position..] {
            _ if spec.cap_outliers.is_some() => {
                let message = "`cap_outliers` rejects no lines, so `max_share` has no effect";
                validator.report_invalid(&pointer, message);
            }
            [step] => {
                let on = "max_share".to_owned();
                let share = Expectation::StepShare { position, max_share };
                let options = (Severity::Fail, Scope::Raw);
                clean.limits.push(check(step.name(), on, options, share, Vec::new()));
            }
            [] => validator.report_invalid(&pointer, "expected a step in the same list item"),
            _ => {}
        }
    }
    clean
}

/// A predicate over lines; reports why it is invalid.
pub(super) fn predicate(
    pointer: &str,
    sql: &str,
    names: &SourceNames<'_>,
    validator: &mut Validator<'_>,
) -> Option<Predicate> {
    let report = |error: PredicateError| {
        let hint = match &error {
            PredicateError::Unknown(name) => {
                Some(format!("{}; write text in single quotes", hint(name, names.all())))
            }
            PredicateError::Type(_) => Some(
                "write dates as DATE '2011-12-10'; columns of the source are text: CAST(x AS DOUBLE)"
                    .to_owned(),
            ),
            PredicateError::Syntax(_) => names.unquoted(sql).map(|name| {
                format!("write names with blanks or signs in double quotes: \"{name}\"")
            }),
            _ => None,
        };
        validator.report(Kind::Config, pointer, error.to_string(), hint);
    };
    Predicate::parse(sql, names).map_err(report).ok()
}

struct StepCompiler<'a, 'd> {
    columns: &'a [&'a ColumnsSpec],
    names: Option<&'a SourceNames<'a>>,
    validator: &'a mut Validator<'d>,
    steps: &'a mut Vec<Step>,
}

impl StepCompiler<'_, '_> {
    /// Adds the step of one list item, unless it is `cap_outliers` or invalid.
    fn compile(&mut self, spec: &CleanStepSpec, at: &str) {
        let before = self.steps.len();
        if let Some(sql) = &spec.predicate {
            let step = self.predicate(&format!("{at}/where"), sql);
            self.steps.extend(step);
        }
        if let Some(fields) = &spec.drop_missing {
            self.require_mapped(&format!("{at}/drop_missing"), fields);
            self.steps.push(Step::DropMissing(fields.clone()));
        }
        if let Some(fields) = &spec.keep_positive {
            self.require_mapped(&format!("{at}/keep_positive"), fields);
            self.steps.push(Step::KeepPositive(fields.clone()));
        }
        if let Some(spec) = &spec.cancellations {
            self.cancellations(&format!("{at}/cancellations"), spec);
        }
        if let Some(spec) = &spec.drop_duplicates {
            let duplicates = self.duplicates(&format!("{at}/drop_duplicates"), spec);
            self.steps.extend(duplicates.map(Step::DropDuplicates));
        }
        if let Some(spec) = &spec.non_product_lines {
            self.non_product_lines(&format!("{at}/non_product_lines"), spec);
        }
        if let Some(spec) = &spec.date_range {
            self.date_range(&format!("{at}/date_range"), spec);
        }
        let count = self.steps.len() - before + usize::from(spec.cap_outliers.is_some());
        if count > 1 {
            let message = format!("expected one step per list item, found {count}");
            self.validator.report_invalid(at, message);
        }
    }

    /// `None` if the predicate is invalid or the sources are unknown.
    fn predicate(&mut self, pointer: &str, sql: &str) -> Option<Step> {
        let predicate = predicate(pointer, sql, self.names?, self.validator)?;
        Some(Step::Where(Box::new(predicate)))
    }

    fn cancellations(&mut self, pointer: &str, spec: &CancellationsSpec) {
        if spec.order_id_prefix.is_some() {
            self.validator.require_columns(pointer, "order_id_prefix", &[ORDER_ID], self.columns);
        }
        if spec.policy == ReturnPolicy::Match {
            let pointer = format!("{pointer}/policy");
            let names = [PRODUCT_ID, QUANTITY];
            self.validator.require_columns(&pointer, "match", &names, self.columns);
        }
        if self.steps.iter().any(|step| matches!(step, Step::Cancellations { .. })) {
            self.validator.report_invalid(pointer, "only one `cancellations` step is supported");
        }
        let rule = match (&spec.order_id_prefix, &spec.when) {
            (Some(prefix), None) => Some(ReturnRule::OrderPrefix(prefix.clone())),
            (None, Some(sql)) => self.names.and_then(|names| {
                let pointer = format!("{pointer}/when");
                let predicate = predicate(&pointer, sql, names, self.validator)?;
                Some(ReturnRule::When(Box::new(predicate)))
            }),
            _ => self.validator.fail(pointer, "expected either `order_id_prefix` or `when`"),
        };
        let policy = spec.policy;
        self.steps.extend(rule.map(|rule| Step::Cancellations { rule, policy }));
    }

    fn duplicates(&mut self, pointer: &str, spec: &DuplicatesSpec) -> Option<Duplicates> {
        let options = match spec {
            DuplicatesSpec::Exact(_) => {
                return Some(Duplicates { by: None, keep: Keep::First, order_by: None });
            }
            DuplicatesSpec::Columns(columns) => {
                &DuplicateOptions { by: columns.clone(), ..DuplicateOptions::default() }
            }
            DuplicatesSpec::Options(options) => options,
        };
        let at = match spec {
            DuplicatesSpec::Options(_) => format!("{pointer}/by"),
            _ => pointer.to_owned(),
        };
        let mut by = Vec::new();
        for (i, name) in options.by.iter().enumerate() {
            by.push(self.key_column(&format!("{at}/{i}"), name));
        }
        let order_by = options.order_by.as_ref();
        let order_by = order_by.map(|name| self.key_column(&format!("{pointer}/order_by"), name));
        let order_by = match order_by {
            Some(column) => Some(column?),
            None => None,
        };
        let by = by.into_iter().collect::<Option<_>>()?;
        Some(Duplicates { by: Some(by), keep: options.keep, order_by })
    }

    /// A mapped column, or one of the source. `None` if it is neither, or the sources are unknown.
    fn key_column(&mut self, pointer: &str, name: &str) -> Option<KeyColumn> {
        let names = self.names?;
        match names.key(name) {
            Ok((column, source_column)) => {
                Some(KeyColumn { name: name.to_owned(), column, source_column })
            }
            Err(error) => {
                let message = match &error {
                    PredicateError::Unknown(_) => {
                        format!("`{name}` is neither a mapped column nor a column of the source")
                    }
                    _ => error.to_string(),
                };
                let hint = hint(name, names.all());
                self.validator.report(Kind::Config, pointer, message, Some(hint));
                None
            }
        }
    }

    fn non_product_lines(&mut self, pointer: &str, spec: &NonProductLinesSpec) {
        let NonProductLinesSpec { codes, pattern } = spec;
        if !self.columns.is_empty() && self.columns.iter().all(|c| c.product_id.is_none()) {
            let message =
                "`non_product_lines` requires `product_id` in `ingest.transactions.columns`";
            self.validator.report_invalid(pointer, message);
        }
        if let Some(pattern) = pattern
            && let Err(error) = regex::Regex::new(pattern)
        {
            // The first lines repeat the pattern.
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or(&error).trim_start_matches("error: ");
            let message = format!("`{pattern}` is not a valid regular expression: {reason}");
            self.validator.report_invalid(&format!("{pointer}/pattern"), message);
        }
        let step = Step::NonProductLines { codes: codes.clone(), pattern: pattern.clone() };
        self.steps.push(step);
    }

    fn date_range(&mut self, pointer: &str, spec: &DateRangeSpec) {
        let mut date = |key: &str, text: &Option<String>| {
            let hint = "expected a date such as 2011-12-10; `until` is exclusive";
            self.validator.date(&format!("{pointer}/{key}"), text.as_ref()?, hint)
        };
        let from = date("from", &spec.from);
        let until = date("until", &spec.until);
        if from.zip(until).is_some_and(|(from, until)| from >= until) {
            self.validator.report_invalid(pointer, "`from` must be before `until`");
        }
        self.steps.push(Step::DateRange { from, until });
    }

    /// Reports fields that no source maps.
    fn require_mapped(&mut self, pointer: &str, fields: &[LineField]) {
        for (i, field) in fields.iter().enumerate() {
            let is_mapped = |columns: &&ColumnsSpec| columns.get(field.column()).is_some();
            if !self.columns.is_empty() && !self.columns.iter().any(is_mapped) {
                let message =
                    format!("`{}` is not mapped in `ingest.transactions.columns`", field.column());
                self.validator.report_invalid(&format!("{pointer}/{i}"), message);
            }
        }
    }
}
