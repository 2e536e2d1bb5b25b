//! The shape of `ingest`, before its values are checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::*;
use crate::ingest::{IdCase, OnBadRow, Timestamps};

/// Source files and the meaning of their columns.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["transactions"]))]
pub struct IngestSpec {
    /// Transactions: one row per order line or per purchase. Several sources with different columns
    /// are a list of such sections; their lines are combined.
    pub transactions: TransactionSources,
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
    /// fails with exit code 3 and nothing is published. Default: 0.01 if all sources together have 20
    /// rows or more.
    #[schemars(range(min = 0, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rejected: Option<f64>,
    /// Two source files with equal content: `fail` (default) or `read` both.
    pub duplicate_files: DuplicateFiles,
}

/// What to do with source files of equal content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateFiles {
    #[default]
    Fail,
    Read,
}

/// Sheets of a workbook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkbookSpec {
    /// Name of the sheet, a list of names, or `all` visible sheets. Default: the only sheet that has the mapped
    /// columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetSpec>,
    /// Number of the row with the column names, from 1. Default: the first row that is not empty.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_row: Option<u32>,
}

/// One sheet, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SheetSpec {
    /// Name of a sheet, or `all`.
    One(String),
    /// Names of sheets.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

/// One source of transactions, or several.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TransactionSources {
    /// One source.
    One(Box<TransactionsSpec>),
    /// Several sources.
    Many(#[schemars(length(min = 1))] Vec<TransactionsSpec>),
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
#[schemars(extend("required" = ["paths", "columns"]))]
pub struct TransactionsSpec {
    /// Files, folders or globs, relative to this file. The suffix sets the format (`.csv`,
    /// `.csv.gz`, `.csv.zst`, `.parquet`, `.xlsx`, `.xlsm`, `.xlsb`, `.xls`, `.ods`). All files of a
    /// source must have the same format. Hidden files (`.x`, `_x`, `~$x`) are skipped unless they
    /// are named. The keys of folders such as `dt=2024-03-01` are columns of text.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// CSV format. The formats of dates and numbers are used for cells of text in all formats, never
    /// for typed columns and cells.
    pub csv: CsvSpec,
    /// Sheets of workbooks.
    pub workbook: WorkbookSpec,
    /// Mapping of source columns.
    pub columns: ColumnsSpec,
    /// What date and time without an offset mean: `local` time of `ingest.timezone` (default), or
    /// `utc`. Dates without a time are always days of the store.
    pub timestamps: Timestamps,
}

/// CSV format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("allOf" = [
    { "not": { "properties": { "decimal": { "const": "," }, "thousands": { "const": "," } },
    "required": ["decimal", "thousands"] } },
    { "not": { "properties": { "decimal": { "const": "." }, "thousands": { "const": "." } },
    "required": ["thousands"] } },
]))]
pub struct CsvSpec {
    /// Field separator, one ASCII character.
    #[schemars(length(min = 1, max = 1), extend("allOf" = [{ "pattern": "^[^\"\r\n\\u0000]$" }]))]
    pub separator: String,
    /// Character encoding.
    pub encoding: EncodingSpec,
    /// What to do with rows that cannot be parsed: wrong number of fields, undecodable bytes,
    /// invalid dates or numbers. `reject` (default) writes them to `rejects.parquet`; `fail` fails
    /// the run. All sources of a run must use the same value.
    pub on_bad_row: OnBadRow,
    /// Decimal separator of numbers.
    #[schemars(length(min = 1, max = 1), extend("allOf" = [{ "enum": [".", ","] }]))]
    pub decimal: String,
    /// Thousands separator of numbers: `,`, `.`, `'` or a space, which stands for every kind of space.
    /// Groups of two digits, as in 12,34,567, are read, too. Default: none.
    #[schemars(
        length(min = 1, max = 1),
        extend("allOf" = [{ "enum": [",", ".", "'", " ", "\u{a0}", null] }])
    )]
    pub thousands: Option<String>,
    /// Currency signs to strip from before or after numbers, such as `[£]`. Negative numbers may have
    /// a minus sign before or after them, or stand in parentheses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub currency_signs: Vec<String>,
    /// Date and time formats in strftime notation, tried in order. `%d`, `%m` and `%H` also accept
    /// numbers without a leading zero. `%z` reads the offsets `Z`, `+00`, `+0000` and `+00:00`;
    /// `epoch_s`, `epoch_ms` and `epoch_us` read numbers since 1970. Default: ISO 8601 without an offset. The run fails
    /// if two formats parse a timestamp differently, as day-first and month-first do for 03/04/2011.
    #[schemars(length(min = 1))]
    pub datetime_formats: Vec<String>,
}

impl Default for CsvSpec {
    fn default() -> Self {
        let iso = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"];
        Self {
            separator: ",".to_owned(),
            encoding: EncodingSpec::default(),
            on_bad_row: OnBadRow::default(),
            decimal: ".".to_owned(),
            thousands: None,
            currency_signs: Vec::new(),
            datetime_formats: iso.map(str::to_owned).to_vec(),
        }
    }
}

/// Character encoding of CSV files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodingSpec {
    #[default]
    Utf8,
    Latin1,
    #[serde(rename = "windows_1252")]
    Windows1252,
}

/// Mapping of source columns. Money is either `quantity` and `unit_price`, or `amount`.
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
    /// Unit of the sources' prices and amounts: `major` (default, such as euros) or `minor` (such as
    /// cents).
    pub unit: MoneyUnit,
    /// ISO code of the reporting currency, such as `GBP`.
    pub currency: Option<String>,
    /// Exchange rates: a CSV file, relative to this file, with the columns `date` (2011-12-10),
    /// `currency` and `rate`. A rate is the value of one unit in `money.currency`, valid from its
    /// date until the next rate. Lines before the first rate of their currency are rejected.
    pub rates: Option<String>,
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
