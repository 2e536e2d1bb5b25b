//! One source: its files, their format, and the mapping of their columns.

use std::path::PathBuf;
use std::sync::Arc;

use encoding_rs::Encoding;
use polars::prelude::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{
    AMOUNT, CATEGORY, CURRENCY, CUSTOMER_ID, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, UNIT_PRICE,
};
use crate::temp::TempPath;

/// One source of transactions.
#[derive(Debug, Clone)]
pub struct Source {
    /// Every file has the mapped columns in usable types.
    pub set: FileSet,
    pub columns: Columns,
}

/// Files of one format with the same mapping.
#[derive(Debug, Clone)]
pub struct FileSet {
    /// At least one.
    pub files: Vec<SourceFile>,
    pub format: Format,
    pub text: TextFormat,
}

/// Format of CSV, and of timestamps and numbers in the text cells of workbooks.
#[derive(Debug, Clone)]
pub struct TextFormat {
    /// Separator of CSV fields.
    pub separator: u8,
    pub encoding: &'static Encoding,
    /// Formats of timestamps, in the order in which they are tried.
    pub datetime_formats: Vec<String>,
    pub numbers: NumberFormat,
}

/// Format of source files, by their suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.csv`, `.csv.gz` or `.csv.zst`.
    Csv,
    /// `.parquet`.
    Parquet,
    /// `.xlsx`: the first sheet.
    Xlsx,
}

/// One source file, with the columns of its header or footer.
#[derive(Debug, Clone)]
pub struct SourceFile {
    pub path: PathBuf,
    /// Path relative to the YAML's folder, or the URL; for messages and the manifest.
    pub name: String,
    /// Names and types in the file's order. All columns of CSV and workbooks are text.
    pub columns: Vec<(String, DataType)>,
    /// Number of rows, if the format has it in its metadata.
    pub rows: Option<u64>,
    /// Temporary folder of a downloaded file. It is removed with the last of its files.
    pub fetched: Option<Arc<TempPath>>,
}

/// Format of numbers in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberFormat {
    /// Decimal point.
    pub decimal: char,
    /// Mark between groups of three digits.
    pub thousands: Option<char>,
    /// Currency signs before or after a number. They are removed.
    pub currency_signs: Vec<String>,
}

/// How rows that cannot be parsed are handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBadRow {
    #[default]
    Reject,
    Fail,
}

/// Names of the mapped source columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    pub customer_id: String,
    pub order_id: Option<String>,
    pub ordered_at: String,
    pub product_id: Option<String>,
    pub line_amount: LineAmount,
    /// Currency of the line's money.
    pub currency: Option<String>,
    pub category: Option<String>,
}

impl Columns {
    /// The mapped columns: the pipeline's name and the source's.
    pub fn mapped(&self) -> Vec<(&'static str, &str)> {
        let money = match &self.line_amount {
            LineAmount::Priced { unit_price, .. } => (UNIT_PRICE, Some(unit_price.as_str())),
            LineAmount::Amount { amount, .. } => (AMOUNT, Some(amount.as_str())),
        };
        let all = [
            (CUSTOMER_ID, Some(self.customer_id.as_str())),
            (ORDER_ID, self.order_id.as_deref()),
            (ORDERED_AT, Some(self.ordered_at.as_str())),
            (PRODUCT_ID, self.product_id.as_deref()),
            (QUANTITY, self.line_amount.quantity()),
            money,
            (CURRENCY, self.currency.as_deref()),
            (CATEGORY, self.category.as_deref()),
        ];
        all.into_iter().filter_map(|(name, source)| Some((name, source?))).collect()
    }

    /// The source column that is mapped to one of the pipeline's.
    pub(super) fn source_name(&self, name: &str) -> Option<&str> {
        self.mapped().into_iter().find(|(ours, _)| *ours == name).map(|(_, source)| source)
    }
}

/// Source columns of a line's money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineAmount {
    /// quantity × unit price.
    Priced { quantity: String, unit_price: String },
    /// The line's money itself.
    Amount { amount: String, quantity: Option<String> },
}

impl LineAmount {
    pub fn quantity(&self) -> Option<&str> {
        match self {
            Self::Priced { quantity, .. } => Some(quantity),
            Self::Amount { quantity, .. } => quantity.as_deref(),
        }
    }
}

impl FileSet {
    /// Type of a column in the first file that has it.
    pub fn dtype(&self, column: &str) -> Option<&DataType> {
        self.files.iter().find_map(|file| file.dtype(column))
    }
}

impl SourceFile {
    pub(super) fn dtype(&self, column: &str) -> Option<&DataType> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, dtype)| dtype)
    }
}
