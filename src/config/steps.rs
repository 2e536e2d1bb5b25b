//! Checks the steps of `clean`: the columns that they look at are mapped, their patterns and dates can be read.

use super::checker::Checker;
use super::clean_spec::*;
use super::ingest_spec::ColumnsSpec;
use super::problem::{Kind, hint};
use crate::checks::{Check, Holds, Of, Severity};
use crate::clean::predicate::{Predicate, PredicateError};
use crate::clean::steps::{LineField, Repeated, ReturnPolicy, Step};
use crate::ingest::conform::all_columns;
use crate::ingest::{Money, Source};
use crate::rfm::{CapOutliers, CapPolicy};

/// What `clean` comes to.
#[derive(Default)]
pub(super) struct Clean {
    /// The steps that mark lines, in order.
    pub(super) steps: Vec<Step>,
    /// The largest shares that steps may reject.
    pub(super) limits: Vec<Check>,
    /// What becomes of outliers, which is done where money is summed.
    pub(super) cap: Option<CapOutliers>,
}

/// The steps that can be made; of the others `checker` has been told.
pub(super) fn clean(
    specs: &[CleanStepSpec],
    columns: &[&ColumnsSpec],
    source: Option<&SourceNames<'_>>,
    checker: &mut Checker<'_>,
) -> Clean {
    let mut clean = Clean::default();
    for (idx, spec) in specs.iter().enumerate() {
        let at = format!("/clean/{idx}");
        let first = clean.steps.len();
        marking(spec, &at, columns, source, checker, &mut clean.steps);
        if let Some(cap) = &spec.cap_outliers {
            if clean.cap.is_some() {
                checker
                    .wrong(&format!("{at}/cap_outliers"), "one pipeline has one step for outliers");
            }
            clean.cap = Some(CapOutliers {
                millionths: (cap.quantile * 1e6).round() as u32,
                policy: match cap.policy {
                    CapPolicySpec::Report => CapPolicy::Report,
                    CapPolicySpec::Winsorise => CapPolicy::Winsorise,
                },
            });
        }
        let Some(max_share) = spec.max_share else { continue };
        match clean.steps.len() - first {
            _ if spec.cap_outliers.is_some() => {
                checker.wrong(
                    &format!("{at}/max_share"),
                    "`cap_outliers` rejects no line that could be limited",
                );
            }
            1 => clean.limits.push(Check {
                name: clean.steps[first].name(),
                on: "max_share".to_owned(),
                severity: Severity::Fail,
                of: Of::Raw,
                holds: Holds::StepShare { position: first, max_share },
                source_columns: Vec::new(),
            }),
            0 => checker.wrong(
                &format!("{at}/max_share"),
                "`max_share` stands beside the step that it limits",
            ),
            _ => {}
        }
    }
    clean
}

/// The step that marks lines, if it is one.
fn marking(
    spec: &CleanStepSpec,
    at: &str,
    columns: &[&ColumnsSpec],
    source: Option<&SourceNames<'_>>,
    checker: &mut Checker<'_>,
    steps: &mut Vec<Step>,
) {
    let CleanStepSpec {
        drop_missing,
        cancellations,
        keep_positive,
        drop_duplicates,
        non_product_lines,
        predicate,
        date_range,
        cap_outliers,
        max_share: _,
    } = spec;
    let before = steps.len();
    {
        if let Some(sql) = predicate {
            steps.extend(kept_where(&format!("{at}/where"), sql, source, checker));
        }
        if let Some(fields) = drop_missing {
            let fields = fields.iter().map(|field| line_field(*field)).collect();
            steps.push(Step::DropMissing(mapped(
                &format!("{at}/drop_missing"),
                fields,
                columns,
                checker,
            )));
        }
        if let Some(fields) = keep_positive {
            let fields = fields.iter().map(|field| number_field(*field)).collect();
            steps.push(Step::KeepPositive(mapped(
                &format!("{at}/keep_positive"),
                fields,
                columns,
                checker,
            )));
        }
        if let Some(spec) = cancellations {
            if columns.iter().any(|columns| columns.order_id.is_none()) {
                let message =
                    "cancellations are told by their order id, but `order_id` is not mapped";
                checker.wrong(&format!("{at}/cancellations"), message);
            }
            let policy = match spec.policy {
                CancellationPolicy::Drop => ReturnPolicy::Drop,
                CancellationPolicy::Net => ReturnPolicy::Net,
                CancellationPolicy::Separate => ReturnPolicy::Separate,
                CancellationPolicy::Match => ReturnPolicy::Match,
            };
            let paired =
                |columns: &&ColumnsSpec| columns.product_id.is_some() && columns.quantity.is_some();
            if policy == ReturnPolicy::Match && !columns.iter().all(paired) {
                let message =
                    "`match` pairs units of products, but `product_id` or `quantity` is not mapped";
                checker.wrong(&format!("{at}/cancellations/policy"), message);
            }
            if steps.iter().any(|step| matches!(step, Step::Cancellations { .. })) {
                checker.wrong(
                    &format!("{at}/cancellations"),
                    "one pipeline has one step for cancellations",
                );
            }
            steps.push(Step::Cancellations {
                order_id_prefix: spec.order_id_prefix.clone(),
                policy,
            });
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
                text.as_ref()
                    .and_then(|text| checker.date(&format!("{at}/date_range/{key}"), text, hint))
            };
            let (from, until) = (day("from", &spec.from), day("until", &spec.until));
            if from.zip(until).is_some_and(|(from, until)| from >= until) {
                checker.wrong(
                    &format!("{at}/date_range"),
                    "`from` is not before `until`, so that no line is left",
                );
            }
            steps.push(Step::DateRange { from, until });
        }
    }
    let made = steps.len() - before + usize::from(cap_outliers.is_some());
    if made > 1 {
        checker
            .wrong(at, "one item of the list is one step; `max_share` alone may stand beside it");
    }
}

/// The names that predicates and checks may use, and how money is counted.
pub(super) struct SourceNames<'a> {
    /// The pipeline's names of columns that some source maps.
    pub(super) mapped: Vec<&'a str>,
    /// All columns of all sources.
    pub(super) columns: Vec<String>,
    /// How money is counted.
    pub(super) money: Money,
}

impl<'a> SourceNames<'a> {
    /// The names that these sources know.
    pub(super) fn of(sources: &'a [Source], money: &Money) -> Self {
        let mut mapped: Vec<&str> = Vec::new();
        for (name, _) in sources.iter().flat_map(|source| source.columns.mapped()) {
            if !mapped.contains(&name) {
                mapped.push(name);
            }
        }
        let columns = all_columns(sources.iter().flat_map(|source| &source.set.files));
        Self { mapped, columns, money: money.clone() }
    }
}

/// A predicate, where the source is known that it speaks of.
fn kept_where(
    pointer: &str,
    sql: &str,
    source: Option<&SourceNames<'_>>,
    checker: &mut Checker<'_>,
) -> Option<Step> {
    let source = source?;
    match Predicate::parse(sql, &source.mapped, &source.columns, &source.money) {
        Ok(predicate) => Some(Step::Where(Box::new(predicate))),
        Err(error) => {
            let names =
                source.mapped.iter().copied().chain(source.columns.iter().map(String::as_str));
            let hint = match &error {
                PredicateError::Unknown(name) => {
                    Some(format!("{}; text stands in single quotes", hint(name, names)))
                }
                PredicateError::Type(_) => Some("days are written as DATE '2011-12-10'".to_owned()),
                _ => None,
            };
            checker.problem(Kind::Config, pointer, error.to_string(), hint);
            None
        }
    }
}

/// The fields, of which those that no source maps are told.
fn mapped(
    pointer: &str,
    fields: Vec<LineField>,
    columns: &[&ColumnsSpec],
    checker: &mut Checker<'_>,
) -> Vec<LineField> {
    for (i, field) in fields.iter().enumerate() {
        let is_mapped = |columns: &&ColumnsSpec| match field {
            LineField::CustomerId | LineField::OrderedAt => true,
            LineField::OrderId => columns.order_id.is_some(),
            LineField::Quantity => columns.quantity.is_some(),
            LineField::UnitPrice => columns.unit_price.is_some(),
            LineField::Amount => columns.amount.is_some(),
            LineField::ProductId => columns.product_id.is_some(),
        };
        if !columns.is_empty() && !columns.iter().any(is_mapped) {
            let message =
                format!("`{}` is not mapped in ingest.transactions.columns", field.column());
            checker.wrong(&format!("{pointer}/{i}"), message);
        }
    }
    fields
}

fn non_products(
    pointer: &str,
    spec: &NonProductLinesSpec,
    columns: &[&ColumnsSpec],
    checker: &mut Checker<'_>,
) -> Step {
    if !columns.is_empty() && columns.iter().all(|columns| columns.product_id.is_none()) {
        let message = "products are told by their id, but `product_id` is not mapped in ingest.transactions.columns";
        checker.wrong(pointer, message);
    }
    if let Some(pattern) = &spec.pattern
        && let Err(error) = regex::Regex::new(pattern)
    {
        let words = error.to_string();
        let last =
            words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
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
