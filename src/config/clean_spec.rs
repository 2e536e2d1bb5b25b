//! The shape of the steps of `clean`, unchecked, as `spec` is that of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step of cleaning: one of these keys, and perhaps `max_share` beside it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 2))]
#[schemars(extend("allOf" = [{
    "if": { "required": ["max_share"] }, "then": { "minProperties": 2 }, "else": { "maxProperties": 1 },
}]))]
pub struct CleanStepSpec {
    /// Rejects lines in which one of these columns is null or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 7))]
    pub drop_missing: Option<Vec<LineColumn>>,
    /// Says which lines undo an order and what becomes of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellations: Option<CancellationsSpec>,
    /// Rejects lines in which one of these columns is zero or less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    pub keep_positive: Option<Vec<NumberColumn>>,
    /// Rejects repeated lines: `exact` compares every column of the source, mapped or not; a list compares those columns.
    /// The first of equal lines stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_duplicates: Option<DuplicatesSpec>,
    /// Rejects lines that are no product: postage, fees, vouchers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_product_lines: Option<NonProductLinesSpec>,
    /// Keeps the lines for which a SQL predicate is true, such as "Country = 'France' AND unit_price < 1000". It may name
    /// the mapped columns by the pipeline's names (`unit_price` and `amount` are money), `day`, and any other column of the
    /// source, which is text.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub predicate: Option<String>,
    /// Rejects lines outside a range of the store's days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_range: Option<DateRangeSpec>,
    /// Counts the customers whose monetary value lies beyond a quantile of their snapshot, and caps it where that is
    /// asked. It rejects no line, so its place among the steps does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_outliers: Option<CapOutliersSpec>,
    /// Beside a step: the largest share of the lines it gets that the step may reject, 0 to 1. Beyond it the run fails
    /// with exit code 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub max_share: Option<f64>,
}

/// A mapped column of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "a documented variant would turn the schema's list of names into a list of schemas"
)]
pub enum LineColumn {
    CustomerId,
    OrderId,
    OrderedAt,
    Quantity,
    UnitPrice,
    Amount,
    ProductId,
}

/// A mapped column that holds numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for LineColumn")]
pub enum NumberColumn {
    Quantity,
    UnitPrice,
    Amount,
}

/// Which lines undo an order and what becomes of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["order_id_prefix"]))]
pub struct CancellationsSpec {
    /// Orders whose id begins with this are cancellations.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub order_id_prefix: String,
    /// `drop` rejects the cancellation and leaves the order that it undoes; `net` counts it as negative money at its own
    /// date, and as no order; `separate` does too, but in a column of its own, `returned_money`; `match` pairs it with the
    /// earlier purchase of the same customer and product that it undoes, in whole or in part: an order of which nothing is
    /// left no longer counts from that day on, a cancellation with nothing to undo is rejected after all other steps, and
    /// `returns.parquet` tells what undid what. One that finds only a part keeps its whole money, which was paid back. Pairing
    /// reads the source twice more.
    #[serde(default)]
    pub policy: CancellationPolicy,
}

/// What becomes of a cancellation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for LineColumn")]
pub enum CancellationPolicy {
    #[default]
    Drop,
    Net,
    Separate,
    Match,
}

/// Which lines repeat another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DuplicatesSpec {
    /// Those equal in every column of the source.
    Whole(WholeRow),
    /// Those equal in these columns.
    By(#[schemars(length(min = 1))] Vec<LineColumn>),
}

/// The word for a whole source row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for LineColumn")]
pub enum WholeRow {
    Exact,
}

/// Lines that are no product, told by `product_id`; both keys may be given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct NonProductLinesSpec {
    /// Ids as they stand, such as POST or BANK CHARGES.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// A regular expression that ids match, such as ^gift_.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// A range of the store's days; both keys may be given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct DateRangeSpec {
    /// First day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The day after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What becomes of customers who spent far more than the others.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["quantile"]))]
pub struct CapOutliersSpec {
    /// Quantile of monetary value beyond which a customer is an outlier (type 7, at each snapshot apart), such as 0.99.
    #[serde(default)]
    #[schemars(range(min = 0.5, max = 1))]
    pub quantile: f64,
    /// `report` counts them in `outliers.parquet` and leaves them as they are; `winsorise` also brings their `monetary` back to the
    /// quantile.
    #[serde(default)]
    pub policy: CapPolicySpec,
}

/// What becomes of outliers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for LineColumn")]
pub enum CapPolicySpec {
    #[default]
    Report,
    Winsorise,
}
