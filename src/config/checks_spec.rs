//! The shape of `checks`, before its values are checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_spec::CsvSpec;
use crate::checks::{Scope, Severity};

/// One check: exactly one of these keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct CheckSpec {
    /// Limits the number of lines.
    pub row_count: Option<RowCountSpec>,
    /// Limits the days between the last accepted line and the newest snapshot, which must be a
    /// date.
    pub freshness: Option<FreshnessSpec>,
    /// Requires a combination of columns to be unique.
    pub unique: Option<UniqueSpec>,
    /// Limits the share of lines without a value in a column.
    pub missing_share: Option<MissingShareSpec>,
    /// Requires the numbers of a column to be within an inclusive range.
    pub range: Option<RangeSpec>,
    /// Requires the values of a column to be in a list.
    pub accepted_values: Option<AcceptedValuesSpec>,
    /// Requires the values of a column to exist in another table.
    pub referential: Option<ReferentialSpec>,
}

/// Limits the number of lines. At least one bound is required.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RowCountSpec {
    /// Minimum number of lines.
    pub min: Option<u64>,
    /// Maximum number of lines.
    pub max: Option<u64>,
    /// `fail` (default: exit code 3, nothing is published) or `warn`.
    pub severity: Severity,
    /// Lines to check: `raw` (default, all source lines) or `accepted` (lines left by `clean`).
    pub of: Scope,
}

/// Limits the age of the newest line.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["max_days"]))]
pub struct FreshnessSpec {
    /// Maximum number of days from the last accepted line to the newest snapshot. Snapshots are
    /// exclusive: a line of the day before is 1 day old.
    pub max_days: u32,
    /// `fail` (default: exit code 3, nothing is published) or `warn`.
    pub severity: Severity,
}

/// Requires a combination of columns to be unique. Two missing values count as equal.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["columns"]))]
pub struct UniqueSpec {
    /// Mapped columns (by their pipeline names) or any source columns.
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
    /// `fail` (default: exit code 3, nothing is published) or `warn`.
    pub severity: Severity,
    /// Lines to check: `raw` (default, all source lines) or `accepted` (lines left by `clean`).
    pub of: Scope,
}

/// Limits the share of lines without a value in a column.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["column", "max_share"]))]
pub struct MissingShareSpec {
    /// Mapped column (by its pipeline name) or any source column.
    pub column: String,
    /// Maximum share of lines without a value, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub max_share: f64,
    /// `fail` (default: exit code 3, nothing is published) or `warn`.
    pub severity: Severity,
    /// Lines to check: `raw` (default, all source lines) or `accepted` (lines left by `clean`).
    pub of: Scope,
}

/// Requires the numbers of a column to be within an inclusive range. At least one bound is
/// required. Lines without a number are ignored.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["column"]))]
pub struct RangeSpec {
    /// Mapped column (by its pipeline name) or any source column. `unit_price` and `amount` are
    /// compared as money.
    pub column: String,
    /// Smallest allowed number.
    pub min: Option<f64>,
    /// Largest allowed number.
    pub max: Option<f64>,
    /// Maximum share of lines outside the range, 0 to 1. Default: 0.
    #[schemars(range(min = 0, max = 1))]
    pub max_share: f64,
    /// `fail` (default: exit code 3, nothing is published) or `warn`.
    pub severity: Severity,
    /// Lines to check: `raw` (default, all source lines) or `accepted` (lines left by `clean`).
    pub of: Scope,
}

/// Requires the values of a column, compared as text, to be in a list. Lines without a value are
/// ignored.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["column", "values"]))]
pub struct AcceptedValuesSpec {
    /// Mapped column (by its pipeline name) or any source column.
    pub column: String,
    /// Accepted values, such as `[card, cash]`.
    #[schemars(length(min = 1))]
    pub values: Vec<String>,
    /// Maximum share of lines with another value, 0 to 1. Default: 0.
    #[schemars(range(min = 0, max = 1))]
    pub max_share: f64,
    /// `fail` (default: exit code 3, nothing is published) or `warn`.
    pub severity: Severity,
    /// Lines to check: `raw` (default, all source lines) or `accepted` (lines left by `clean`).
    pub of: Scope,
}

/// Requires the values of a column to exist in another table. Lines without a value are ignored.
/// Without `paths` and `key`, the table is `ingest.customers`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["column"]))]
pub struct ReferentialSpec {
    /// Mapped column (by its pipeline name) or any source column.
    pub column: String,
    /// Files, folders or globs of the table, relative to this file.
    pub paths: Option<Vec<String>>,
    /// CSV format of the table.
    pub csv: CsvSpec,
    /// Column of the table with the accepted values.
    pub key: Option<String>,
    /// Maximum share of lines with a value that is not in the table, 0 to 1. Default: 0.
    #[schemars(range(min = 0, max = 1))]
    pub max_share: f64,
    /// `fail` (default: exit code 3, nothing is published) or `warn`.
    pub severity: Severity,
    /// Lines to check: `raw` (default, all source lines) or `accepted` (lines left by `clean`).
    pub of: Scope,
}
