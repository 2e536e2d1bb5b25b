//! The steps: each says what it objects to, as expressions over the lines.

use polars::prelude::*;

use crate::columns::{AMOUNT, CUSTOMER_ID, ORDER_ID, ORDERED_AT, QUANTITY, UNIT_PRICE};
use crate::ingest::conform::blank;

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
        }
    }
}

/// A checked step: its columns are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Lines in which one of these is null or empty.
    DropMissing(Vec<LineField>),
    /// Lines of orders whose id begins with the prefix.
    DropCancellations {
        /// What the order id begins with.
        order_id_prefix: String,
    },
    /// Lines in which one of these is zero or less.
    KeepPositive(Vec<LineField>),
    /// Lines that equal an earlier one in every source column.
    DropDuplicates,
}

/// What a step objects to.
pub(super) enum Objections {
    /// Reasons with predicates that look at one line alone; never null.
    Rowwise(Vec<(String, Expr)>),
    /// Lines that repeat another.
    Repeated(String),
}

impl Step {
    /// The YAML key of the step.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DropMissing(_) => "drop_missing",
            Self::DropCancellations { .. } => "cancellations",
            Self::KeepPositive(_) => "keep_positive",
            Self::DropDuplicates => "drop_duplicates",
        }
    }

    pub(super) fn objections(&self) -> Objections {
        match self {
            Self::DropMissing(fields) => Objections::Rowwise(
                fields.iter().map(|f| (format!("{} missing", f.column()), blank(col(f.column())))).collect(),
            ),
            Self::DropCancellations { order_id_prefix } => {
                let id = col(ORDER_ID).cast(DataType::String);
                let begins = id.str().starts_with(lit(order_id_prefix.as_str())).fill_null(lit(false));
                Objections::Rowwise(vec![(format!("order_id begins with {order_id_prefix}"), begins)])
            }
            Self::KeepPositive(fields) => Objections::Rowwise(
                fields
                    .iter()
                    .map(|f| {
                        (format!("{} not positive", f.column()), col(f.column()).lt_eq(lit(0i64)).fill_null(false))
                    })
                    .collect(),
            ),
            Self::DropDuplicates => Objections::Repeated("equal to an earlier row".to_owned()),
        }
    }
}
