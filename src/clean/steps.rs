//! The steps of `clean`: each lists the lines that it rejects, as expressions over the lines.

use chrono::NaiveDate;
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duplicates;
use crate::columns::*;
use crate::ingest::cell::{is_empty_cell, reads_column};
use crate::ingest::{Predicate, outcomes};

/// A mapped column of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineField {
    CustomerId,
    OrderId,
    OrderedAt,
    Quantity,
    UnitPrice,
    Amount,
    ProductId,
}

impl LineField {
    /// The field's column, which is also its YAML name.
    pub fn column(self) -> &'static str {
        match self {
            Self::CustomerId => CUSTOMER_ID,
            Self::OrderId => ORDER_ID,
            Self::OrderedAt => ORDERED_AT,
            Self::Quantity => QUANTITY,
            Self::UnitPrice => UNIT_PRICE,
            Self::Amount => AMOUNT,
            Self::ProductId => PRODUCT_ID,
        }
    }
}

/// A validated step: all its columns are mapped.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Rejects lines in which one of these fields is null or empty.
    DropMissing(Vec<LineField>),
    /// Treats some lines as cancellations.
    Cancellations { rule: ReturnRule, policy: ReturnPolicy },
    /// Rejects lines in which one of these fields is zero or less, except accepted cancellations.
    KeepPositive(Vec<LineField>),
    /// Rejects all but one of lines that are equal.
    DropDuplicates(Duplicates),
    /// Rejects lines of fees and postage, by exact product ids or a regular expression.
    NonProductLines { codes: Vec<String>, pattern: Option<String> },
    /// Rejects lines for which the predicate is not true.
    Where(Box<Predicate>),
    /// Rejects lines outside a range of local days; `until` is exclusive.
    DateRange { from: Option<NaiveDate>, until: Option<NaiveDate> },
}

/// How cancellations are treated.
///
/// `drop` rejects the cancellation and keeps the cancelled order. `net` counts it as negative money
/// at its own date, and not as an order. `separate` does the same in a column of its own. `match`
/// pairs it with the earlier purchase; a purchase that is fully returned no longer counts as an
/// order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReturnPolicy {
    #[default]
    Drop,
    Net,
    Separate,
    Match,
}

/// Which lines are cancellations.
#[derive(Debug, Clone, PartialEq)]
pub enum ReturnRule {
    /// Those of orders whose id starts with this prefix.
    OrderPrefix(String),
    /// Those for which the predicate is true.
    When(Box<Predicate>),
}

impl ReturnRule {
    /// The reason of cancellations that are dropped.
    fn reason(&self) -> String {
        match self {
            Self::OrderPrefix(prefix) => format!("order_id begins with {prefix}"),
            Self::When(predicate) => predicate.sql.clone(),
        }
    }

    /// Whether a line is a cancellation; never null.
    pub(super) fn is_return(&self) -> Expr {
        match self {
            Self::OrderPrefix(prefix) => order_id_starts_with(prefix),
            Self::When(predicate) => predicate.keep.clone().fill_null(lit(false)),
        }
    }
}

impl Step {
    /// The YAML key of the step.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DropMissing(_) => "drop_missing",
            Self::Cancellations { .. } => "cancellations",
            Self::KeepPositive(_) => "keep_positive",
            Self::DropDuplicates(_) => "drop_duplicates",
            Self::NonProductLines { .. } => "non_product_lines",
            Self::DateRange { .. } => "date_range",
            Self::Where(_) => "where",
        }
    }

    /// Rule and policy of cancellations, unless the policy is `drop`.
    pub fn kept_returns(&self) -> Option<(&ReturnRule, ReturnPolicy)> {
        let Self::Cancellations { rule, policy } = self else { return None };
        (*policy != ReturnPolicy::Drop).then_some((rule, *policy))
    }

    /// Source columns that the step reads in addition to the mapped columns.
    pub fn source_columns(&self) -> Vec<&String> {
        match self {
            Self::Where(predicate)
            | Self::Cancellations { rule: ReturnRule::When(predicate), .. } => {
                predicate.source_columns.iter().collect()
            }
            Self::DropDuplicates(duplicates) => duplicates.source_columns(),
            _ => Vec::new(),
        }
    }

    /// The policy for returned money; `Drop` if no step configures one.
    pub fn policy(steps: &[Self]) -> ReturnPolicy {
        steps.iter().find_map(Self::kept_returns).map_or(ReturnPolicy::Drop, |(_, policy)| policy)
    }

    /// Whether the step matches returns with purchases.
    pub fn matches_returns(&self) -> bool {
        matches!(self, Self::Cancellations { policy: ReturnPolicy::Match, .. })
    }

    /// Whether the step compares all columns of the source.
    pub fn compares_rows(&self) -> bool {
        matches!(self, Self::DropDuplicates(Duplicates { by: None, .. }))
    }

    pub(super) fn drops_missing_customers(&self) -> bool {
        matches!(self, Self::DropMissing(fields) if fields.contains(&LineField::CustomerId))
    }

    /// Whether the step reads a column of the lines. Duplicates of whole rows are compared in the
    /// source columns instead.
    pub fn reads_column(&self, column: &str) -> bool {
        match self {
            Self::DropMissing(fields) | Self::KeepPositive(fields) => {
                fields.iter().any(|field| field.column() == column)
            }
            Self::DropDuplicates(duplicates) => duplicates.reads_column(column),
            Self::Cancellations { rule, .. } => {
                let is_in_rule = match rule {
                    ReturnRule::OrderPrefix(_) => column == ORDER_ID,
                    ReturnRule::When(predicate) => reads_column(&predicate.keep, column),
                };
                is_in_rule || (column == PRODUCT_ID && self.matches_returns())
            }
            Self::NonProductLines { .. } => column == PRODUCT_ID,
            Self::Where(predicate) => reads_column(&predicate.keep, column),
            Self::DateRange { .. } => column == DAY,
        }
    }

    /// Reasons with predicates, true for the lines that the step rejects and never null.
    /// `is_return` marks accepted cancellations; `schema` contains the types of the lines, and
    /// `carried` the names of all source columns if whole rows are compared.
    pub(super) fn rejections(
        &self,
        is_return: Expr,
        schema: &Schema,
        carried: &[String],
    ) -> Vec<(String, Expr)> {
        match self {
            Self::DropDuplicates(duplicates) => vec![duplicates.rejection(carried)],
            Self::DropMissing(fields) => fields
                .iter()
                .map(|field| field.column())
                .map(|name| (format!("{name} missing"), is_empty_cell(name, schema.get(name))))
                .collect(),
            Self::Cancellations { rule, policy: ReturnPolicy::Drop } => {
                vec![(rule.reason(), rule.is_return())]
            }
            Self::Cancellations { .. } => Vec::new(),
            Self::KeepPositive(fields) => {
                let not_positive = |name: &str| {
                    let is_low = col(name).lt_eq(lit(0i64)).fill_null(false);
                    (format!("{name} not positive"), is_low.and(is_return.clone().not()))
                };
                fields.iter().map(|field| not_positive(field.column())).collect()
            }
            Self::NonProductLines { codes, pattern } => {
                let id = col(PRODUCT_ID).cast(DataType::String);
                let is_listed = codes.iter().map(|code| id.clone().eq(lit(code.as_str())));
                let matches =
                    pattern.as_deref().map(|pattern| id.clone().str().contains(lit(pattern), true));
                let any = is_listed.chain(matches).reduce(Expr::or).unwrap_or(lit(false));
                vec![("no product".to_owned(), any.fill_null(lit(false)))]
            }
            Self::Where(predicate) => {
                // As in SQL, unknown (null) does not keep a line.
                let not_true = predicate.keep.clone().fill_null(lit(false)).not();
                vec![(format!("not {}", predicate.sql), not_true)]
            }
            Self::DateRange { from, until } => {
                let day = |date: NaiveDate| lit(date).cast(DataType::Date);
                let before = from.map(|date| (format!("before {date}"), col(DAY).lt(day(date))));
                let after =
                    until.map(|date| (format!("on or after {date}"), col(DAY).gt_eq(day(date))));
                let rules = before.into_iter().chain(after);
                rules.map(|(reason, rejects)| (reason, rejects.fill_null(lit(false)))).collect()
            }
        }
    }
}

fn order_id_starts_with(prefix: &str) -> Expr {
    let prefix = prefix.to_owned();
    let order_id = col(ORDER_ID).cast(DataType::String);
    outcomes::map_column(order_id, DataType::Boolean, move |ids| {
        Ok(starts_with(ids.str()?, &prefix).into_column())
    })
}

fn starts_with(ids: &StringChunked, prefix: &str) -> BooleanChunked {
    let name = ids.name().clone();
    if ids.null_count() > 0 {
        let matches = ids.iter().map(|id| id.is_some_and(|id| id.starts_with(prefix)));
        return BooleanChunked::from_iter_values(name, matches);
    }
    // A string view stores its first four bytes inline. The first byte decides most rows without a
    // function call.
    let first_byte = prefix.as_bytes().first().copied();
    let matches = ids.downcast_iter().flat_map(|ids| {
        ids.views().iter().enumerate().map(move |(row, view)| {
            first_byte.is_none_or(|byte| view.prefix.to_le_bytes()[0] == byte)
                && ids.value(row).starts_with(prefix)
        })
    });
    BooleanChunked::from_iter_values(name, matches)
}
