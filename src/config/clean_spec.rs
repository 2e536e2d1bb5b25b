//! The shape of the steps of `clean`, before their values are checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clean::{Keep, LineField, ReturnPolicy};
use crate::rfm::CapPolicy;

/// One cleaning step: exactly one of these keys, and optionally `max_share`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 2))]
#[schemars(extend("allOf" = [{
    "if": { "required": ["max_share"] },
    "then": { "minProperties": 2 },
    "else": { "maxProperties": 1 },
}]))]
pub struct CleanStepSpec {
    /// Reject lines in which one of these columns is null or empty.
    #[schemars(length(min = 1, max = 7))]
    pub drop_missing: Option<Vec<LineField>>,
    /// Identify cancellations and set how they are treated.
    pub cancellations: Option<CancellationsSpec>,
    /// Reject lines in which one of these columns is zero or negative.
    #[schemars(length(min = 1, max = 3))]
    #[schemars(with = "Option<Vec<NumberColumn>>")]
    pub keep_positive: Option<Vec<LineField>>,
    /// Reject duplicate lines and keep the first. `exact` compares all source columns, mapped or
    /// not; a list such as `[order_id, "Line Number"]` compares these columns, which are mapped
    /// columns by their pipeline names or columns of the source. `{ by, keep, order_by }` also
    /// chooses which line is kept.
    pub drop_duplicates: Option<DuplicatesSpec>,
    /// Reject lines that are not products, such as postage, fees and vouchers.
    pub non_product_lines: Option<NonProductLinesSpec>,
    /// Keep the lines for which a SQL predicate is true, such as
    /// "Country = 'France' AND unit_price < 1000". Available columns: the mapped columns by their
    /// pipeline names (`unit_price` and `amount` are money), `day`, and all other source columns as
    /// text. Money is a float here: compare sums and products of it with a margin, since 1.15 * 100
    /// is a little less than 115.
    #[serde(rename = "where")]
    #[schemars(length(min = 1))]
    pub predicate: Option<String>,
    /// Reject lines outside a range of local days.
    pub date_range: Option<DateRangeSpec>,
    /// Count customers whose monetary value is above a quantile of their snapshot, and optionally
    /// cap it. Rejects no lines, so its position in the list has no effect.
    pub cap_outliers: Option<CapOutliersSpec>,
    /// Maximum share of its input lines that the step may reject, 0 to 1. Above it, the run fails
    /// with exit code 3.
    #[schemars(range(min = 0, max = 1))]
    pub max_share: Option<f64>,
}

/// Which lines are duplicates, and which of them is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DuplicatesSpec {
    /// All columns of the source.
    Exact(ExactRows),
    /// Columns in which the lines are equal.
    Columns(#[schemars(length(min = 1))] Vec<String>),
    /// Columns, and the line that is kept.
    Options(DuplicateOptions),
}

/// The word `exact`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExactRows {
    Exact,
}

/// Columns in which lines are equal, and the line that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["by"]))]
pub struct DuplicateOptions {
    /// Columns in which the lines are equal.
    #[schemars(length(min = 1))]
    pub by: Vec<String>,
    /// Which line is kept: the `first` (default) or the `last`.
    pub keep: Keep,
    /// Column that orders the lines: a mapped column, or a column of numbers or of times in ISO
    /// 8601. Default: their position in the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
}

/// A mapped column of numbers.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumberColumn {
    Quantity,
    UnitPrice,
    Amount,
}

/// Which lines are cancellations, and how they are treated: either `order_id_prefix` or `when`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CancellationsSpec {
    /// Prefix of the order ids of cancellations, such as `C`.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id_prefix: Option<String>,
    /// SQL predicate that is true for lines of cancellations, such as `amount < 0` or `Status =
    /// 'refund'`. Columns as in `where`. Their money must be negative unless they are dropped.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// `drop` (default) rejects the cancellation and keeps the cancelled order. `net` counts it as
    /// negative money at its own date, and not as an order. `separate` does the same in a column of
    /// its own, `returned_money`. `match` pairs it with the earlier purchase of the same customer
    /// and product, in whole or in part. A fully returned order no longer counts from that day on.
    /// A cancellation without a match is rejected after all other steps; a partly matched one keeps
    /// its full amount, which was paid back. The pairs are in `returns.parquet`. `match` reads the
    /// source two more times.
    pub policy: ReturnPolicy,
}

/// Lines that are not products, identified by `product_id`. At least one key is required.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct NonProductLinesSpec {
    /// Exact ids, such as `[POST, BANK CHARGES]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Regular expression for ids, such as `^gift_`.
    pub pattern: Option<String>,
}

/// Range of local days. At least one key is required.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct DateRangeSpec {
    /// First day, inclusive, such as 2010-12-01.
    pub from: Option<String>,
    /// End of the range, exclusive, such as 2011-12-10.
    pub until: Option<String>,
}

/// How customers with an extreme monetary value are treated.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["quantile"]))]
pub struct CapOutliersSpec {
    /// Quantile of monetary value (type 7, per snapshot) above which a customer is an outlier, such
    /// as 0.99.
    #[schemars(range(min = 0.5, max = 1))]
    pub quantile: f64,
    /// `report` (default) counts outliers in `outliers.parquet`. `winsorise` also lowers their
    /// `monetary` to the quantile.
    pub policy: CapPolicy,
}
