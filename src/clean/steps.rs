//! The steps: each says what it objects to, as expressions over the lines.

use chrono::NaiveDate;
use polars::prelude::*;

use super::Predicate;
use crate::columns::{
    AMOUNT, CUSTOMER_ID, DAY, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, UNIT_PRICE,
};
use crate::ingest::conform::{self, blank};
use crate::ingest::verdicts;

/// A column of the lines that a step may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineField {
    /// Who bought.
    CustomerId,
    /// The order.
    OrderId,
    /// When.
    OrderedAt,
    /// Units.
    Quantity,
    /// Price of one unit.
    UnitPrice,
    /// Value of the line.
    Amount,
    /// What was bought.
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

/// A checked step: its columns are mapped.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Lines in which one of these is null or empty.
    DropMissing(Vec<LineField>),
    /// Lines of orders whose id begins with the prefix.
    Cancellations {
        /// What the order id begins with.
        order_id_prefix: String,
        /// What becomes of them.
        policy: ReturnPolicy,
    },
    /// Lines in which one of these is zero or less; cancellations that are kept are exempt.
    KeepPositive(Vec<LineField>),
    /// Lines that repeat an earlier one.
    DropDuplicates(Repeated),
    /// Lines of fees and postage, by product id.
    NonProductLines {
        /// Ids as they stand.
        codes: Vec<String>,
        /// A regular expression that ids match.
        pattern: Option<String>,
    },
    /// Lines for which a predicate is not true.
    Where(Box<Predicate>),
    /// Lines outside a range of local days.
    DateRange {
        /// First day.
        from: Option<NaiveDate>,
        /// The day after the last.
        until: Option<NaiveDate>,
    },
}

/// What becomes of returned money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnPolicy {
    /// The cancellation is rejected, and the order that it undoes stays.
    Drop,
    /// It counts as negative money at its own date, and as no order.
    Net,
    /// As `Net`, but apart from what was bought.
    Separate,
    /// It is paired with the earlier purchases that it undoes; one without any is rejected. A purchase that is wholly
    /// undone no longer counts as an order.
    Match,
}

/// Which lines are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeated {
    /// Those equal in every source column.
    Exact,
    /// Those equal in these columns.
    By(Vec<LineField>),
}

/// What a step objects to.
pub(super) enum Objections {
    /// Reasons with predicates that look at one line alone; never null.
    Rowwise(Vec<(String, Expr)>),
    /// A reason, and the columns in which a line equals one before it; no column means the whole source row.
    Repeated(String, Vec<Expr>),
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

    /// Prefix of the order ids of cancellations that the step keeps, and what becomes of their money.
    pub fn kept_returns(&self) -> Option<(&str, ReturnPolicy)> {
        match self {
            Self::Cancellations { policy: ReturnPolicy::Drop, .. } => None,
            Self::Cancellations { order_id_prefix, policy } => Some((order_id_prefix, *policy)),
            _ => None,
        }
    }

    /// What becomes of the money of returns under some steps.
    pub fn policy(steps: &[Self]) -> ReturnPolicy {
        steps.iter().find_map(Self::kept_returns).map_or(ReturnPolicy::Drop, |(_, policy)| policy)
    }

    /// Whether the step pairs returns with purchases.
    pub fn matches_returns(&self) -> bool {
        matches!(self, Self::Cancellations { policy: ReturnPolicy::Match, .. })
    }

    /// Whether the step looks at a column of the lines.
    pub fn looks_at(&self, column: &str) -> bool {
        let named = |fields: &[LineField]| fields.iter().any(|field| field.column() == column);
        match self {
            Self::DropMissing(fields) | Self::KeepPositive(fields) => named(fields),
            Self::DropDuplicates(Repeated::By(fields)) => named(fields),
            Self::DropDuplicates(Repeated::Exact) => false,
            Self::Cancellations { .. } => {
                column == ORDER_ID || (column == PRODUCT_ID && self.matches_returns())
            }
            Self::NonProductLines { .. } => column == PRODUCT_ID,
            Self::Where(predicate) => conform::looks_at(&predicate.keep, column),
            Self::DateRange { .. } => column == DAY,
        }
    }

    /// What the step objects to; `returned` tells the cancellations that are kept, `schema` the lines' types.
    pub(super) fn objections(&self, returned: Expr, schema: &Schema) -> Objections {
        match self {
            Self::DropMissing(fields) => Objections::Rowwise(
                fields
                    .iter()
                    .map(|f| {
                        (
                            format!("{} missing", f.column()),
                            blank(f.column(), schema.get(f.column())),
                        )
                    })
                    .collect(),
            ),
            Self::Cancellations { order_id_prefix, policy: ReturnPolicy::Drop } => {
                Objections::Rowwise(vec![(
                    format!("order_id begins with {order_id_prefix}"),
                    begins(order_id_prefix),
                )])
            }
            Self::Cancellations { .. } => Objections::Rowwise(Vec::new()),
            Self::KeepPositive(fields) => {
                let not_positive = |f: &LineField| {
                    let low = col(f.column()).lt_eq(lit(0i64)).fill_null(false);
                    (format!("{} not positive", f.column()), low.and(returned.clone().not()))
                };
                Objections::Rowwise(fields.iter().map(not_positive).collect())
            }
            Self::DropDuplicates(Repeated::Exact) => {
                Objections::Repeated("equal to an earlier row".to_owned(), Vec::new())
            }
            Self::DropDuplicates(Repeated::By(fields)) => {
                let names: Vec<&str> = fields.iter().map(|f| f.column()).collect();
                let reason = format!("equal to an earlier row in {}", names.join(", "));
                Objections::Repeated(reason, names.into_iter().map(col).collect())
            }
            Self::NonProductLines { codes, pattern } => {
                let id = || col(PRODUCT_ID).cast(DataType::String);
                let listed = codes.iter().map(|code| id().eq(lit(code.as_str())));
                let matched =
                    pattern.iter().map(|pattern| id().str().contains(lit(pattern.as_str()), true));
                let any =
                    listed.chain(matched).reduce(|any, one| any.or(one)).unwrap_or(lit(false));
                Objections::Rowwise(vec![("no product".to_owned(), any.fill_null(lit(false)))])
            }
            Self::Where(predicate) => {
                // As in SQL, a line stays only where the predicate is true, not where it is unknown.
                let not_true = predicate.keep.clone().fill_null(lit(false)).not();
                Objections::Rowwise(vec![(format!("not {}", predicate.sql), not_true)])
            }
            Self::DateRange { from, until } => {
                let day = |date: &NaiveDate| lit(*date).cast(DataType::Date);
                let before =
                    from.iter().map(|date| (format!("before {date}"), col(DAY).lt(day(date))));
                let after = until
                    .iter()
                    .map(|date| (format!("on or after {date}"), col(DAY).gt_eq(day(date))));
                let outside = before
                    .chain(after)
                    .map(|(reason, predicate)| (reason, predicate.fill_null(lit(false))));
                Objections::Rowwise(outside.collect())
            }
        }
    }
}

/// Whether a line's order id begins with a prefix.
pub fn begins(prefix: &str) -> Expr {
    let prefix = prefix.to_owned();
    verdicts::made_of(vec![col(ORDER_ID).cast(DataType::String)], DataType::Boolean, move |ids| {
        let ids = ids[0].str()?;
        let name = ids.name().clone();
        if ids.null_count() > 0 {
            let found = ids.iter().map(|id| id.is_some_and(|id| id.starts_with(&prefix)));
            return Ok(BooleanChunked::from_iter_values(name, found).into_column());
        }
        // Four bytes of a text stand beside its length; the first of them mostly decides, and costs less than a call.
        let first = prefix.as_bytes().first().copied().unwrap_or_default();
        let found = ids.downcast_iter().flat_map(|ids| {
            let maybe = ids
                .views()
                .iter()
                .map(|view| view.prefix.to_le_bytes()[0] == first || prefix.is_empty());
            maybe.enumerate().map(|(row, maybe)| maybe && ids.value(row).starts_with(&prefix))
        });
        Ok(BooleanChunked::from_iter_values(name, found).into_column())
    })
}
