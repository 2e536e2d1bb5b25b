//! The shape of `ingest`, before its values are checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::*;
use crate::ingest::OnBadRow;

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
    /// `.csv.gz`, `.csv.zst`, `.parquet`, `.xlsx`). All files of a source must have the same
    /// format.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// CSV format. Excel workbooks only use `datetime_formats`, for dates stored as text. Not used
    /// for Parquet.
    pub csv: CsvSpec,
    /// Mapping of source columns.
    pub columns: ColumnsSpec,
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
    /// Thousands separator of numbers: `,`, `.`, `'` or a space. Default: none.
    #[schemars(
        length(min = 1, max = 1),
        extend("allOf" = [{ "enum": [",", ".", "'", " ", "\u{a0}", null] }])
    )]
    pub thousands: Option<String>,
    /// Currency signs to strip from before or after numbers, such as `[£]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub currency_signs: Vec<String>,
    /// Date and time formats in strftime notation, tried in order. `%d`, `%m` and `%H` also accept
    /// numbers without a leading zero. Default: ISO 8601. The run fails if two formats parse a
    /// timestamp differently, as day-first and month-first do for 03/04/2011.
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
    /// Order id. Without it, all lines of a customer on one day are one order.
    pub order_id: Option<String>,
    /// Date, or date and time, of the purchase.
    pub ordered_at: String,
    /// Product id.
    pub product_id: Option<String>,
    /// Units of the line, a whole number.
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
    /// Number of decimal places. Lines with a more precise price or amount are rejected.
    #[schemars(range(max = 6))]
    pub scale: u8,
    /// ISO code of the reporting currency, such as `GBP`.
    pub currency: Option<String>,
    /// Exchange rates: a CSV file, relative to this file, with the columns `date` (2011-12-10),
    /// `currency` and `rate`. A rate is the value of one unit in `money.currency`, valid from its
    /// date until the next rate. Lines before the first rate of their currency are rejected.
    pub rates: Option<String>,
}

impl Default for MoneySpec {
    fn default() -> Self {
        Self { scale: 2, currency: None, rates: None }
    }
}

/// Names of all time zones, for completion in editors.
fn time_zones() -> Vec<&'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect()
}

fn utc() -> String {
    "UTC".to_owned()
}
