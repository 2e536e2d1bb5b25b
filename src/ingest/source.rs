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
    Parquet,
    /// `.xlsx`: the first sheet.
    Xlsx,
}

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberFormat {
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    pub customer_id: String,
    pub order_id: Option<String>,
    pub ordered_at: String,
    pub product_id: Option<String>,
    pub line_amount: LineAmount,
    pub currency: Option<String>,
    pub category: Option<String>,
}

impl Columns {
    /// The mapped columns: the pipeline's name and the source's.
    pub fn mapped(&self) -> Vec<(&'static str, &str)> {
        let (quantity, money) = match &self.line_amount {
            LineAmount::Priced { quantity, unit_price } => {
                (Some(quantity), (UNIT_PRICE, Some(unit_price)))
            }
            LineAmount::Amount { quantity, amount } => (quantity.as_ref(), (AMOUNT, Some(amount))),
        };
        let all = [
            (CUSTOMER_ID, Some(&self.customer_id)),
            (ORDER_ID, self.order_id.as_ref()),
            (ORDERED_AT, Some(&self.ordered_at)),
            (PRODUCT_ID, self.product_id.as_ref()),
            (QUANTITY, quantity),
            money,
            (CURRENCY, self.currency.as_ref()),
            (CATEGORY, self.category.as_ref()),
        ];
        all.into_iter().filter_map(|(name, source)| Some((name, source?.as_str()))).collect()
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

impl FileSet {
    /// Type of a column in the first file that has it.
    pub fn dtype(&self, column: &str) -> Option<&DataType> {
        self.files.iter().find_map(|file| file.dtype(column))
    }
}

impl SourceFile {
    pub(super) fn new(path: PathBuf, name: String) -> Self {
        Self { path, name, columns: Vec::new(), rows: None, fetched: None }
    }

    pub(super) fn dtype(&self, column: &str) -> Option<&DataType> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, dtype)| dtype)
    }
}
