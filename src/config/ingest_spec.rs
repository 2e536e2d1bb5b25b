//! The shape of `ingest`, unchecked, as `spec` is that of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the transactions are and what their columns mean.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["transactions"]))]
pub struct IngestSpec {
    /// The transactions: one row an order line, or one row a purchase. Several sources with columns of their own are a
    /// list of such sections; their lines are one table from there on.
    #[serde(default)]
    pub transactions: TransactionSources,
    /// What is known of the customers besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customers: Option<CustomersSpec>,
    /// The store's time zone by its IANA name, such as `Europe/London`: a day is this zone's day. Timestamps without
    /// a zone already are local to it; those with one are converted.
    #[serde(default = "utc")]
    #[schemars(extend("allOf" = [{ "enum": time_zones() }]))]
    pub timezone: String,
    /// How money is counted.
    #[serde(default)]
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
        const AT: &str = "/ingest/transactions";
        match self {
            Self::One(source) => vec![(AT.to_owned(), source)],
            Self::Many(sources) => sources
                .iter()
                .enumerate()
                .map(|(i, source)| (format!("{AT}/{i}"), source))
                .collect(),
        }
    }
}

/// A table with one row a customer, joined to the segments by its key.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["paths", "key", "attributes"]))]
pub struct CustomersSpec {
    /// Files, folders or globs, relative to this file.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// How CSV is written; its formats of dates and numbers are not used, since attributes stay as they are.
    #[serde(default)]
    pub csv: CsvSpec,
    /// Column that holds the customer's id. Rows without one, and the rows after the first of an id, are left out and
    /// counted.
    #[serde(default)]
    pub key: String,
    /// Columns that the segments are to show, under their own names.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub attributes: Vec<String>,
}

/// One set of transaction files that share their columns.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["paths", "columns"]))]
pub struct TransactionsSpec {
    /// Files, folders or globs, relative to this file; the suffix tells the format (`.csv`, `.csv.gz`, `.csv.zst`, `.parquet`, `.xlsx`),
    /// and one source does not mix formats.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// How CSV is written; of a workbook, only the formats of dates that it holds as text; not used for Parquet.
    #[serde(default)]
    pub csv: CsvSpec,
    /// Which source column holds what.
    #[serde(default)]
    pub columns: ColumnsSpec,
}

/// How CSV is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = [{ "not": { "properties": { "decimal": { "const": "," }, "thousands": { "const": "," } },
    "required": ["decimal", "thousands"] } }, { "not": { "properties": { "decimal": { "const": "." },
    "thousands": { "const": "." } }, "required": ["thousands"] } }]))]
pub struct CsvSpec {
    /// The character between two fields.
    #[serde(default = "comma")]
    #[schemars(length(min = 1, max = 1), extend("allOf" = [{ "pattern": "^[^\"\r\n\\u0000]$" }]))]
    pub separator: String,
    /// Encoding of the text.
    #[serde(default)]
    pub encoding: EncodingSpec,
    /// What becomes of rows that cannot be parsed: too few or too many fields, bytes that are no text, dates and numbers that
    /// are none. `reject` sends them to the rejects with their text, `fail` fails the run. All sources of a run agree on it.
    #[serde(default)]
    pub on_bad_row: OnBadRowSpec,
    /// The mark between a whole number and its fraction: `.` or `,`.
    #[serde(default = "point")]
    #[schemars(length(min = 1, max = 1), extend("allOf" = [{ "enum": [".", ","] }]))]
    pub decimal: String,
    /// The mark between groups of three digits, where numbers have one: `,`, `.`, `'` or a space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1), extend("allOf" = [{ "enum": [",", ".", "'", " ", "\u{a0}", null] }]))]
    pub thousands: Option<String>,
    /// Currency signs that stand before or after numbers, such as £.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currency_signs: Vec<String>,
    /// Formats of dates and times, tried in this order, in the notation of strftime. `%d`, `%m` and `%H` also read
    /// numbers without a leading zero. A moment that two of them read differently, as 03/04/2011 with day and month in
    /// either order, fails the run.
    #[serde(default = "iso_formats")]
    #[schemars(length(min = 1))]
    pub datetime_formats: Vec<String>,
}

impl Default for CsvSpec {
    fn default() -> Self {
        Self {
            separator: comma(),
            encoding: EncodingSpec::default(),
            on_bad_row: OnBadRowSpec::default(),
            decimal: point(),
            thousands: None,
            currency_signs: Vec::new(),
            datetime_formats: iso_formats(),
        }
    }
}

/// Encoding of CSV text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum EncodingSpec {
    #[default]
    Utf8,
    Latin1,
    #[serde(rename = "windows_1252")]
    Windows1252,
}

/// What becomes of rows that cannot be parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum OnBadRowSpec {
    #[default]
    Reject,
    Fail,
}

/// Which source column holds what. Money is either `quantity` and `unit_price`, or `amount`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["customer_id", "ordered_at"]))]
#[schemars(extend("allOf" = [{ "oneOf": [
    { "required": ["amount"], "not": { "required": ["unit_price"] } },
    { "required": ["quantity", "unit_price"], "not": { "required": ["amount"] } },
] }]))]
pub struct ColumnsSpec {
    /// Who bought.
    #[serde(default)]
    pub customer_id: String,
    /// The order that a line belongs to. Without it an order is all that a customer buys on one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// When the line was bought: a date or a date and time.
    #[serde(default)]
    pub ordered_at: String,
    /// What was bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// Units of the line, a whole number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Price of one unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<String>,
    /// Value of the line, in place of quantity and price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// What kind of thing was bought, such as a department; the product itself may be named here too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// ISO code of the currency that the line is in. Without `ingest.money.rates` a line of another currency than
    /// `ingest.money.currency` fails the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// How money is counted: in whole minor units, so that sums are exact.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoneySpec {
    /// Decimal places of the finest price or amount; a finer one is rejected.
    #[serde(default = "two")]
    #[schemars(range(max = 6))]
    pub scale: u8,
    /// ISO code of the currency that all money is counted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// What other currencies are worth: a CSV with the columns `date` (2011-12-10), `currency` and `rate`, relative to this file. A
    /// rate says what one unit of the currency is worth in `currency`, from its date on until the next; the last one holds
    /// on. A line before the first rate of its currency is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<String>,
}

impl Default for MoneySpec {
    fn default() -> Self {
        Self { scale: two(), currency: None, rates: None }
    }
}

/// Names of all time zones, which editors then offer.
fn time_zones() -> Vec<&'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect()
}

fn utc() -> String {
    "UTC".to_owned()
}
fn point() -> String {
    ".".to_owned()
}
fn comma() -> String {
    ",".to_owned()
}
fn iso_formats() -> Vec<String> {
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"]
        .map(str::to_owned)
        .to_vec()
}
fn two() -> u8 {
    2
}
