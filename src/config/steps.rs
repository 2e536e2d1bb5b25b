//! Checks the steps of `clean`: the columns that they look at are mapped, their patterns and dates can be read.

use super::checker::Checker;
use super::clean_spec::*;
use super::problem::{Kind, hint};
use super::spec::ColumnsSpec;
use crate::clean::predicate::{Predicate, PredicateError};
use crate::clean::steps::{LineField, Repeated, ReturnPolicy, Step};
use crate::ingest::Money;

/// The steps that can be made; of the others `checker` has been told.
pub(super) fn clean(
    specs: &[CleanStepSpec],
    columns: &ColumnsSpec,
    source: Option<&SourceNames<'_>>,
    checker: &mut Checker<'_>,
) -> Vec<Step> {
    let mut steps = Vec::with_capacity(specs.len());
    for (idx, spec) in specs.iter().enumerate() {
        let at = format!("/clean/{idx}");
        let CleanStepSpec {
            drop_missing,
            cancellations,
            keep_positive,
            drop_duplicates,
            non_product_lines,
            predicate,
            date_range,
        } = spec;
        if let Some(sql) = predicate {
            steps.extend(kept_where(&format!("{at}/where"), sql, source, checker));
        }
        if let Some(fields) = drop_missing {
            let fields = fields.iter().map(|field| line_field(*field)).collect();
            steps.push(Step::DropMissing(mapped(&format!("{at}/drop_missing"), fields, columns, checker)));
        }
        if let Some(fields) = keep_positive {
            let fields = fields.iter().map(|field| number_field(*field)).collect();
            steps.push(Step::KeepPositive(mapped(&format!("{at}/keep_positive"), fields, columns, checker)));
        }
        if let Some(spec) = cancellations {
            if columns.order_id.is_none() {
                let message = "cancellations are told by their order id, but `order_id` is not mapped";
                checker.wrong(&format!("{at}/cancellations"), message);
            }
            let policy = match spec.policy {
                CancellationPolicy::Drop => ReturnPolicy::Drop,
                CancellationPolicy::Net => ReturnPolicy::Net,
                CancellationPolicy::Separate => ReturnPolicy::Separate,
            };
            if steps.iter().any(|step| matches!(step, Step::Cancellations { .. })) {
                checker.wrong(&format!("{at}/cancellations"), "one pipeline has one step for cancellations");
            }
            steps.push(Step::Cancellations { order_id_prefix: spec.order_id_prefix.clone(), policy });
        }
        if let Some(spec) = drop_duplicates {
            steps.push(Step::DropDuplicates(match spec {
                DuplicatesSpec::Whole(WholeRow::Exact) => Repeated::Exact,
                DuplicatesSpec::By(fields) => {
                    let fields = fields.iter().map(|field| line_field(*field)).collect();
                    Repeated::By(mapped(&format!("{at}/drop_duplicates"), fields, columns, checker))
                }
            }));
        }
        if let Some(spec) = non_product_lines {
            steps.push(non_products(&format!("{at}/non_product_lines"), spec, columns, checker));
        }
        if let Some(spec) = date_range {
            let mut day = |key: &str, text: &Option<String>| {
                let hint = "a date such as 2011-12-10; `until` is exclusive";
                text.as_ref().and_then(|text| checker.date(&format!("{at}/date_range/{key}"), text, hint))
            };
            let (from, until) = (day("from", &spec.from), day("until", &spec.until));
            if from.zip(until).is_some_and(|(from, until)| from >= until) {
                checker.wrong(&format!("{at}/date_range"), "`from` is not before `until`, so that no line is left");
            }
            steps.push(Step::DateRange { from, until });
        }
    }
    steps
}

/// The names that a predicate may use, and how money is counted.
pub(super) struct SourceNames<'a> {
    /// The pipeline's names of the mapped columns.
    pub(super) mapped: Vec<&'a str>,
    /// All columns of the source.
    pub(super) columns: Vec<String>,
    /// How money is counted.
    pub(super) money: Money,
}

/// A predicate, where the source is known that it speaks of.
fn kept_where(pointer: &str, sql: &str, source: Option<&SourceNames<'_>>, checker: &mut Checker<'_>) -> Option<Step> {
    let source = source?;
    match Predicate::parse(sql, &source.mapped, &source.columns, &source.money) {
        Ok(predicate) => Some(Step::Where(Box::new(predicate))),
        Err(error) => {
            let names = source.mapped.iter().copied().chain(source.columns.iter().map(String::as_str));
            let hint = match &error {
                PredicateError::Unknown(name) => Some(format!("{}; text stands in single quotes", hint(name, names))),
                PredicateError::Type(_) => Some("days are written as DATE '2011-12-10'".to_owned()),
                _ => None,
            };
            checker.problem(Kind::Config, pointer, error.to_string(), hint);
            None
        }
    }
}

/// The fields, of which those that are not mapped are told.
fn mapped(pointer: &str, fields: Vec<LineField>, columns: &ColumnsSpec, checker: &mut Checker<'_>) -> Vec<LineField> {
    for (i, field) in fields.iter().enumerate() {
        let is_mapped = match field {
            LineField::CustomerId | LineField::OrderedAt => true,
            LineField::OrderId => columns.order_id.is_some(),
            LineField::Quantity => columns.quantity.is_some(),
            LineField::UnitPrice => columns.unit_price.is_some(),
            LineField::Amount => columns.amount.is_some(),
            LineField::ProductId => columns.product_id.is_some(),
        };
        if !is_mapped {
            let message = format!("`{}` is not mapped in ingest.transactions.columns", field.column());
            checker.wrong(&format!("{pointer}/{i}"), message);
        }
    }
    fields
}

fn non_products(pointer: &str, spec: &NonProductLinesSpec, columns: &ColumnsSpec, checker: &mut Checker<'_>) -> Step {
    if columns.product_id.is_none() {
        let message = "products are told by their id, but `product_id` is not mapped in ingest.transactions.columns";
        checker.wrong(pointer, message);
    }
    if let Some(pattern) = &spec.pattern
        && let Err(error) = regex::Regex::new(pattern)
    {
        let words = error.to_string();
        let last = words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let message = format!("`{pattern}` is no regular expression: {last}");
        checker.problem(Kind::Config, &format!("{pointer}/pattern"), message, None);
    }
    Step::NonProductLines { codes: spec.codes.clone(), pattern: spec.pattern.clone() }
}

fn line_field(column: LineColumn) -> LineField {
    match column {
        LineColumn::CustomerId => LineField::CustomerId,
        LineColumn::OrderId => LineField::OrderId,
        LineColumn::OrderedAt => LineField::OrderedAt,
        LineColumn::Quantity => LineField::Quantity,
        LineColumn::UnitPrice => LineField::UnitPrice,
        LineColumn::Amount => LineField::Amount,
        LineColumn::ProductId => LineField::ProductId,
    }
}

fn number_field(column: NumberColumn) -> LineField {
    match column {
        NumberColumn::Quantity => LineField::Quantity,
        NumberColumn::UnitPrice => LineField::UnitPrice,
        NumberColumn::Amount => LineField::Amount,
    }
}
