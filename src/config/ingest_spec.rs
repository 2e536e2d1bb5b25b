//! The shape of `ingest`, before its values are checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::files_spec::{CsvSpec, FillSpec, TableSpec, WorkbookSpec};
use crate::columns::*;
use crate::ingest::{Format, IdCase, Timestamps};

/// JSON pointer of the customers that are aggregated already.
pub(super) const SUMMARY: &str = "/ingest/customers_summary";

/// Source files and the meaning of their columns.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSpec {
    /// Transactions: one row per order line or per purchase. Several sources with different columns
    /// are a list of such sections; their lines are combined.
    pub transactions: TransactionSources,
    /// Customers whose recency, frequency and monetary value are known, instead of `transactions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customers_summary: Option<SummarySpec>,
    /// Named tables that a `query` of `transactions` reads.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("allOf" = [{ "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" } }]))]
    pub sources: BTreeMap<String, TableSpec>,
    /// Table of customer attributes.
    pub customers: Option<CustomersSpec>,
    /// IANA time zone of the store, such as `Europe/London`, which defines its days. Timestamps
    /// without an offset are local to it; timestamps with an offset are converted.
    #[serde(default = "utc")]
    #[schemars(extend("allOf" = [{ "enum": time_zones() }]))]
    pub timezone: String,
    /// Currency and precision of money.
    pub money: MoneySpec,
    /// Texts that stand for a missing value in the mapped columns, compared without case. A list
    /// replaces the default: `NULL`, `\N`, `nan`, `None`, `N/A`. Empty and blank cells are always
    /// missing.
    #[serde(default = "null_values")]
    pub null_values: Vec<String>,
    /// Whether customer ids that differ only in case are different customers (`keep`, default) or
    /// one (`lower`: ids are published in lower case).
    pub customer_id_case: IdCase,
    /// Maximum share of rows that cannot be parsed, 0 to 1. If more rows are unreadable, the run
    /// fails with exit code 3 and nothing is published. Default: 0.01 if all sources together have
    /// 20 rows or more.
    #[schemars(range(min = 0, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rejected: Option<f64>,
    /// Two source files with equal content: `fail` (default) or `read` both.
    pub duplicate_files: DuplicateFiles,
}

/// A table with one row per customer, which has the last order, the number of orders and the money.
/// What needs single orders or lines is refused: features, ratios, several snapshots, forecasts,
/// returns.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["paths", "columns"]))]
pub struct SummarySpec {
    /// Files, folders or globs, relative to this file, as in `transactions`.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// Format of the files. Default: by their suffix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// CSV format, and the formats of dates and numbers in cells of text.
    pub csv: CsvSpec,
    /// Sheets of workbooks.
    pub workbook: WorkbookSpec,
    /// Mapping of source columns.
    pub columns: SummaryColumnsSpec,
}

/// Columns of a table with one row per customer: names, or SQL expressions as in `transactions`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["customer_id", "last_order_at", "frequency", "monetary"]))]
pub struct SummaryColumnsSpec {
    /// Customer id. A customer with two rows fails the run.
    pub customer_id: String,
    /// Date, or date and time, of the customer's last order.
    pub last_order_at: String,
    /// Number of the customer's orders, at least 1.
    pub frequency: String,
    /// Money of all orders of the customer.
    pub monetary: String,
}

/// What to do with source files of equal content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateFiles {
    #[default]
    Fail,
    Read,
}

/// One source of transactions, or several.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TransactionSources {
    /// One source.
    One(Box<TransactionsSpec>),
    /// Several sources.
    Many(#[schemars(length(min = 1))] Vec<TransactionsSpec>),
    /// Customers of `customers_summary`, as a source of one line per customer.
    #[serde(skip)]
    Summary(Box<TransactionsSpec>),
}

impl Default for TransactionSources {
    fn default() -> Self {
        Self::One(Box::default())
    }
}

impl TransactionSources {
    /// Every source with its JSON pointer.
    pub fn each(&self) -> Vec<(String, &TransactionsSpec)> {
        const POINTER: &str = "/ingest/transactions";
        match self {
            Self::One(source) => vec![(POINTER.to_owned(), source)],
            Self::Summary(source) => vec![(SUMMARY.to_owned(), source)],
            Self::Many(sources) => sources
                .iter()
                .enumerate()
                .map(|(i, source)| (format!("{POINTER}/{i}"), source))
                .collect(),
        }
    }
}

/// A table with one row per customer, joined to the segments by its key.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["paths", "key", "attributes"]))]
pub struct CustomersSpec {
    /// Files, folders or globs, relative to this file.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// Format of the files. Default: by their suffix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// CSV format. Its date and number options are not used, because attributes are copied as text.
    pub csv: CsvSpec,
    /// Sheets of workbooks.
    pub workbook: WorkbookSpec,
    /// Column with the customer id. Rows without an id and duplicate ids (after the first) are
    /// skipped and counted.
    pub key: String,
    /// Columns to add to the segments, under their own names.
    #[schemars(length(min = 1))]
    pub attributes: Vec<String>,
}

/// A set of transaction files with the same columns.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["columns"]))]
pub struct TransactionsSpec {
    /// Files, folders or globs, relative to this file. The suffix sets the format (`.csv`, `.tsv`,
    /// `.jsonl`, `.ndjson`, also with `.gz` and `.zst`; `.parquet`, `.arrow`, `.feather`, `.xlsx`,
    /// `.xlsm`, `.xlsb`, `.xls`, `.ods`) unless `format` does. `.zip` files are read as the files
    /// in them. All files of a source must have the same format. Hidden files (`.x`, `_x`, `~$x`)
    /// are skipped unless they are named. The keys of folders such as `dt=2024-03-01` are columns
    /// of text, and so is `file_name`, the name of the file.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// SQL that makes the transactions of the tables in `ingest.sources`, instead of `paths`: one
    /// `SELECT` as Polars reads it, with joins, unions and window functions. `columns` then are
    /// those of its result. Its rejected rows have the number of the row in the result, and no
    /// file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub query: Option<String>,
    /// Rows that the query may return, as a multiple of the rows of its largest table. Default: 1,
    /// so that a join that repeats rows fails the run with exit code 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_rows_factor: Option<f64>,
    /// Format of the files, whatever their names are. Default: by their suffix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// CSV format. The formats of dates and numbers are used for cells of text in all formats,
    /// never for typed columns and cells.
    pub csv: CsvSpec,
    /// Sheets of workbooks.
    pub workbook: WorkbookSpec,
    /// Mapping of source columns.
    pub columns: ColumnsSpec,
    /// Fill empty cells down within an order, for exports that give an order's values on its first
    /// row alone. The columns that are read are held in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<FillSpec>,
    /// Use only the rows for which a SQL predicate is true, such as "Status <> 'voided'". Columns
    /// as in `clean`, step `where`. The other rows are rejected, even if they cannot be parsed, and
    /// do not count for `max_rejected`.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub predicate: Option<String>,
    /// What date and time without an offset mean: `local` time of `ingest.timezone` (default), or
    /// `utc`. Dates without a time are always days of the store.
    pub timestamps: Timestamps,
}

/// Mapping of source columns: the name of a column, the path of a nested field such as
/// `customer.email`, or a SQL expression over columns, such as `Total - coalesce(Refunded, 0)`,
/// `lower(trim(Email))` or `day || ' ' || time`. Names with spaces are quoted in SQL:
/// `"Refunded Amount"`. Where SQL needs numbers, cells of text are read by the number options of
/// `csv`. Money is either `quantity` and `unit_price`, or `amount`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["customer_id", "ordered_at"]))]
#[schemars(extend("allOf" = [{ "oneOf": [
    { "required": ["amount"], "not": { "required": ["unit_price"] } },
    { "required": ["quantity", "unit_price"], "not": { "required": ["amount"] } },
] }]))]
pub struct ColumnsSpec {
    /// Customer id.
    pub customer_id: String,
    /// Order id. Lines without one are one order per customer and day.
    pub order_id: Option<String>,
    /// Date, or date and time, of the purchase.
    pub ordered_at: String,
    /// Product id.
    pub product_id: Option<String>,
    /// Units of the line, such as 2 or 0.455, with at most 6 decimals. With `rfm.frequency: units`
    /// or the policy `match` of `cancellations` they must be whole.
    pub quantity: Option<String>,
    /// Price of one unit. Requires `quantity`.
    pub unit_price: Option<String>,
    /// Total value of the line, instead of `unit_price`.
    pub amount: Option<String>,
    /// Product category, such as a department. It may be the same column as `product_id`.
    pub category: Option<String>,
    /// ISO currency code of the line. Without `ingest.money.rates`, a line in another currency than
    /// `ingest.money.currency` fails the run.
    pub currency: Option<String>,
}

impl ColumnsSpec {
    /// The source column that is mapped to one of the pipeline's columns.
    pub fn get(&self, column: &str) -> Option<&String> {
        match column {
            CUSTOMER_ID => Some(&self.customer_id),
            ORDER_ID => self.order_id.as_ref(),
            ORDERED_AT => Some(&self.ordered_at),
            PRODUCT_ID => self.product_id.as_ref(),
            QUANTITY => self.quantity.as_ref(),
            UNIT_PRICE => self.unit_price.as_ref(),
            AMOUNT => self.amount.as_ref(),
            CATEGORY => self.category.as_ref(),
            CURRENCY => self.currency.as_ref(),
            _ => None,
        }
    }
}

/// Currency and precision of money. Amounts are stored in whole minor units, so sums are exact.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MoneySpec {
    /// Number of decimal places, 0 to 6, or `auto` (up to 6). Lines with a more precise price or
    /// amount are rejected. The largest money of a line is 9·10^15 units of the last place.
    #[schemars(schema_with = "scale_schema")]
    pub scale: ScaleSpec,
    /// Unit of the sources' prices and amounts: `major` (default, such as euros) or `minor` (such
    /// as cents).
    pub unit: MoneyUnit,
    /// ISO code of the reporting currency, such as `GBP`, in any case.
    #[serde(deserialize_with = "upper_case")]
    pub currency: Option<String>,
    /// Exchange rates: a CSV file, relative to this file, with the columns `date` (2011-12-10),
    /// `currency` and `rate`. A rate is the value of one unit in `money.currency`, valid from its
    /// date until the next rate. Lines before the first rate of their currency are rejected.
    pub rates: Option<String>,
}

fn upper_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let code = Option::<String>::deserialize(deserializer)?;
    Ok(code.map(|code| code.to_uppercase()))
}

impl Default for MoneySpec {
    fn default() -> Self {
        let (scale, unit) = (ScaleSpec::Decimals(2), MoneyUnit::Major);
        Self { scale, unit, currency: None, rates: None }
    }
}

/// Number of decimal places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ScaleSpec {
    /// A number of decimal places.
    Decimals(#[schemars(range(max = 6))] u8),
    /// As many as the amounts have.
    Auto(AutoScale),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AutoScale {
    Auto,
}

impl ScaleSpec {
    /// Decimals with which amounts are read.
    pub fn decimals(self) -> u8 {
        match self {
            Self::Decimals(decimals) => decimals,
            Self::Auto(_) => 6,
        }
    }
}

/// Unit of prices and amounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoneyUnit {
    #[default]
    Major,
    Minor,
}

/// Names of all time zones, for completion in editors.
fn time_zones() -> Vec<&'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect()
}

fn utc() -> String {
    "UTC".to_owned()
}

/// One schema with two types: alternatives would make its errors name the last of them alone.
fn scale_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "enum": [0, 1, 2, 3, 4, 5, 6, "auto"] })
}

fn null_values() -> Vec<String> {
    ["NULL", "\\N", "nan", "None", "N/A"].map(str::to_owned).to_vec()
}
