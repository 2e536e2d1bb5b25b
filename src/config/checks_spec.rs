//! The shape of `checks`, unchecked, as `spec` is that of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ingest_spec::CsvSpec;

/// One check: exactly one of these keys.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct CheckSpec {
    /// How many lines there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_count: Option<RowCountSpec>,
    /// How many days lie between the last accepted line and the newest snapshot, which has to be a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<FreshnessSpec>,
    /// No two lines are equal in some columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<UniqueSpec>,
    /// How large a share of the lines has nothing in a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_share: Option<MissingShareSpec>,
    /// The numbers of a column lie within a range, both ends included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeSpec>,
    /// A column holds nothing but certain values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_values: Option<AcceptedValuesSpec>,
    /// Every value of a column stands in a column of another table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referential: Option<ReferentialSpec>,
}

/// What becomes of a run in which a check does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum SeveritySpec {
    Warn,
    #[default]
    Fail,
}

/// Which lines a check looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum OfSpec {
    #[default]
    Raw,
    Accepted,
}

/// How many lines there are; one of the ends may be left out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowCountSpec {
    /// At least so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// `fail` (exit code 3, nothing is published) or `warn`.
    #[serde(default)]
    pub severity: SeveritySpec,
    /// `raw`: all lines of the source; `accepted`: those that `clean` left.
    #[serde(default)]
    pub of: OfSpec,
}

/// How old the newest line may be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["max_days"]))]
pub struct FreshnessSpec {
    /// Days from the last accepted line's day to the newest snapshot, which is exclusive: a line of the day before is 1 day old.
    #[serde(default)]
    pub max_days: u32,
    /// `fail` (exit code 3, nothing is published) or `warn`.
    #[serde(default)]
    pub severity: SeveritySpec,
}

/// Columns in which no two lines are equal; nothing equals nothing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["columns"]))]
pub struct UniqueSpec {
    /// Mapped columns by the pipeline's names, or any columns of the source.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
    /// `fail` (exit code 3, nothing is published) or `warn`.
    #[serde(default)]
    pub severity: SeveritySpec,
    /// `raw`: all lines of the source; `accepted`: those that `clean` left.
    #[serde(default)]
    pub of: OfSpec,
}

/// How much may be missing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["column", "max_share"]))]
pub struct MissingShareSpec {
    /// Mapped column by the pipeline's name, or any column of the source.
    #[serde(default)]
    pub column: String,
    /// Largest share of lines that may have nothing in it, 0 to 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub max_share: f64,
    /// `fail` (exit code 3, nothing is published) or `warn`.
    #[serde(default)]
    pub severity: SeveritySpec,
    /// `raw`: all lines of the source; `accepted`: those that `clean` left.
    #[serde(default)]
    pub of: OfSpec,
}

/// A range of numbers; one of the ends may be left out. Lines without a number are not looked at.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["column"]))]
pub struct RangeSpec {
    /// Mapped column by the pipeline's name, or any column of the source. Prices and amounts are money.
    #[serde(default)]
    pub column: String,
    /// Smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Largest share of lines that may lie outside, 0 to 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub max_share: f64,
    /// `fail` (exit code 3, nothing is published) or `warn`.
    #[serde(default)]
    pub severity: SeveritySpec,
    /// `raw`: all lines of the source; `accepted`: those that `clean` left.
    #[serde(default)]
    pub of: OfSpec,
}

/// Values that are accepted, as text. Lines with nothing in the column are not looked at.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["column", "values"]))]
pub struct AcceptedValuesSpec {
    /// Mapped column by the pipeline's name, or any column of the source.
    #[serde(default)]
    pub column: String,
    /// The values.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub values: Vec<String>,
    /// Largest share of lines that may hold another value, 0 to 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub max_share: f64,
    /// `fail` (exit code 3, nothing is published) or `warn`.
    #[serde(default)]
    pub severity: SeveritySpec,
    /// `raw`: all lines of the source; `accepted`: those that `clean` left.
    #[serde(default)]
    pub of: OfSpec,
}

/// A table that has to know every value of a column. Lines with nothing in the column are not looked at. Without `paths` and `key`, the table is `ingest.customers`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["column"]))]
pub struct ReferentialSpec {
    /// Mapped column by the pipeline's name, or any column of the source.
    #[serde(default)]
    pub column: String,
    /// Files, folders or globs of the table, relative to the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// How CSV is written.
    #[serde(default)]
    pub csv: CsvSpec,
    /// Column of the table that holds the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Largest share of lines that may hold a value that the table does not know, 0 to 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub max_share: f64,
    /// `fail` (exit code 3, nothing is published) or `warn`.
    #[serde(default)]
    pub severity: SeveritySpec,
    /// `raw`: all lines of the source; `accepted`: those that `clean` left.
    #[serde(default)]
    pub of: OfSpec,
}
