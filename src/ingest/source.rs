//! One source: its files, how they are written, and which of their columns holds what.

use std::path::PathBuf;
use std::sync::Arc;

use encoding_rs::Encoding;
use polars::prelude::DataType;

use crate::columns::{
    AMOUNT, CATEGORY, CURRENCY, CUSTOMER_ID, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, UNIT_PRICE,
};
use crate::scratch::Scratch;

/// One source of transactions.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its files; all have the mapped columns, with types that can be used.
    pub set: FileSet,
    /// Which source column holds what.
    pub columns: Columns,
}

/// Files of one format that share their columns.
#[derive(Debug, Clone)]
pub struct FileSet {
    /// At least one file.
    pub files: Vec<SourceFile>,
    /// Format of all files.
    pub format: Format,
    /// How text is written.
    pub text: TextFormat,
}

/// How CSV is written; of a workbook, its moments and numbers where they are text.
#[derive(Debug, Clone)]
pub struct TextFormat {
    /// Separator of CSV fields.
    pub separator: u8,
    /// Encoding of CSV text.
    pub encoding: &'static Encoding,
    /// Formats of dates and times, in the order in which they are tried.
    pub datetime_formats: Vec<String>,
    /// How numbers are written.
    pub numbers: Numbers,
}

/// Format of the source files, told by their suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.csv`, `.csv.gz` or `.csv.zst`.
    Csv,
    /// `.parquet`.
    Parquet,
    /// `.xlsx`: the first sheet.
    Xlsx,
}

/// One source file with its columns, as its header or footer tells them.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// The path as the YAML's folder sees it, for people and the manifest.
    pub name: String,
    /// Names and types in the file's order; CSV columns are all text.
    pub columns: Vec<(String, DataType)>,
    /// Rows, where the file says so.
    pub rows: Option<u64>,
    /// Scratch that it was fetched into, where it is remote; it goes with the last of its files.
    pub fetched: Option<Arc<Scratch>>,
}

/// How numbers are written where they are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// Between the whole and its fraction.
    pub decimal: char,
    /// Between groups of three digits, where they are parted.
    pub thousands: Option<char>,
    /// Signs before or after a number that say its currency.
    pub currency_signs: Vec<String>,
}

/// What becomes of rows that cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadRow {
    /// They go to the rejects.
    Reject,
    /// They fail the run.
    Fail,
}

/// Names of the source columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Who bought.
    pub customer_id: String,
    /// The order, if the source knows one.
    pub order_id: Option<String>,
    /// When.
    pub ordered_at: String,
    /// What was bought, if mapped.
    pub product_id: Option<String>,
    /// What the line is worth.
    pub worth: Worth,
    /// The currency of its money, if mapped.
    pub currency: Option<String>,
    /// What kind of thing was bought, if mapped.
    pub category: Option<String>,
}

impl Columns {
    /// The mapped columns: the pipeline's name and the source's.
    pub fn mapped(&self) -> Vec<(&'static str, &str)> {
        let Self { customer_id, order_id, ordered_at, product_id, worth, currency, category } =
            self;
        let money = match worth {
            Worth::Priced { unit_price, .. } => (UNIT_PRICE, Some(unit_price.as_str())),
            Worth::Amount { amount, .. } => (AMOUNT, Some(amount.as_str())),
        };
        let all = [
            (CUSTOMER_ID, Some(customer_id.as_str())),
            (ORDER_ID, order_id.as_deref()),
            (ORDERED_AT, Some(ordered_at)),
            (PRODUCT_ID, product_id.as_deref()),
            (QUANTITY, worth.quantity()),
            money,
            (CURRENCY, currency.as_deref()),
            (CATEGORY, category.as_deref()),
        ];
        all.into_iter().filter_map(|(name, source)| Some((name, source?))).collect()
    }
}

/// Where a line's money comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Worth {
    /// quantity × unit price.
    Priced {
        /// Source column of the units.
        quantity: String,
        /// Source column of the price of one unit.
        unit_price: String,
    },
    /// One column of amounts, and perhaps one of units.
    Amount {
        /// Source column of the line's value.
        amount: String,
        /// Source column of the units, if mapped.
        quantity: Option<String>,
    },
}

impl Worth {
    /// Source column of the units, if any.
    pub fn quantity(&self) -> Option<&str> {
        match self {
            Self::Priced { quantity, .. } => Some(quantity),
            Self::Amount { quantity, .. } => quantity.as_deref(),
        }
    }
}

impl FileSet {
    /// Type of a source column in the first file that has it.
    pub fn dtype(&self, column: &str) -> Option<&DataType> {
        self.files
            .iter()
            .flat_map(|file| &file.columns)
            .find(|(name, _)| name == column)
            .map(|(_, dtype)| dtype)
    }
}
