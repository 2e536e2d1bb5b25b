//! One source: its files, their format, and the mapping of their columns.

use std::path::PathBuf;
use std::sync::Arc;

use encoding_rs::Encoding;
use polars::prelude::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::computed::Computed;
use super::csv_layout::CsvLayout;
use super::fill::Fill;
use super::ids::Bytes;
use super::predicate::Predicate;
use super::query::Query;
use super::timestamp_format::{TimestampFormat, Timestamps};
use crate::columns::{
    AMOUNT, CATEGORY, CURRENCY, CUSTOMER_ID, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, UNIT_PRICE,
};
use crate::temp::TempPath;

#[derive(Debug, Clone)]
pub struct Source {
    /// Every file has the mapped columns in usable types.
    pub set: FileSet,
    pub columns: Columns,
    /// What timestamps without an offset mean.
    pub timestamps: Timestamps,
    /// Rows for which it is not true are left out.
    pub filter: Option<Predicate>,
    /// Cells that are filled from earlier rows.
    pub fill: Option<Fill>,
    /// Whether its rows are customers with the number and the money of their orders.
    pub is_summary: bool,
    /// Makes the rows of tables, instead of files with rows. The only file of the source then stands
    /// for its result.
    pub query: Option<Arc<Query>>,
}

impl Source {
    /// The sets of files that are read.
    pub fn file_sets(&self) -> Vec<&FileSet> {
        match &self.query {
            Some(query) => query.tables.iter().map(|(_, set)| set).collect(),
            None => vec![&self.set],
        }
    }

    /// What `explain` calls the rows of one of the files.
    pub(super) fn scan_name(&self, file: &SourceFile) -> String {
        match &self.query {
            Some(_) => "QUERY".to_owned(),
            None => format!("{} {}", self.set.format.scan_name(), file.name),
        }
    }
}

/// Files of one format with the same mapping.
#[derive(Debug, Clone)]
pub struct FileSet {
    /// At least one.
    pub files: Vec<SourceFile>,
    pub format: Format,
    pub text: TextFormat,
}

/// Format of CSV, and of timestamps and numbers in cells of text.
#[derive(Debug, Clone)]
pub struct TextFormat {
    /// How a CSV file becomes standard CSV.
    pub layout: CsvLayout,
    /// Separator of the standard CSV.
    pub separator: u8,
    /// Encoding of the standard CSV.
    pub encoding: &'static Encoding,
    /// Formats of timestamps, in the order in which they are tried.
    pub datetime_formats: Vec<TimestampFormat>,
    pub numbers: NumberFormat,
}

/// Format of source files, by their suffix unless it is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Csv,
    Parquet,
    /// `.xlsx`, `.xlsm`, `.xlsb`, `.xls` or `.ods`.
    Workbook,
    /// One JSON object a line.
    JsonLines,
    /// Arrow IPC files, also called Feather.
    Arrow,
}

impl Format {
    /// What `explain` calls the scan of a file.
    pub(super) fn scan_name(self) -> &'static str {
        match self {
            Self::Csv => "CSV SCAN",
            Self::Parquet => "PARQUET SCAN",
            Self::Workbook => "WORKBOOK SCAN",
            Self::JsonLines => "JSON LINES SCAN",
            Self::Arrow => "ARROW SCAN",
        }
    }
}

/// Column with the name of the file that a row is from, if the file has no column of that name.
pub const FILE_NAME: &str = "file_name";

/// The sheet of a workbook that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub name: String,
    /// Index of the row with the names of the columns.
    pub header_row: u32,
}

#[derive(Debug, Clone)]
pub struct SourceFile {
    pub path: PathBuf,
    /// Path relative to the YAML's folder, or the URL; for messages and the manifest.
    pub name: String,
    /// Names and types in the file's order. All columns of CSV and workbooks are text. A name that
    /// the file has several times is made unique.
    pub columns: Vec<(String, DataType)>,
    /// Names that the file has several times.
    pub repeated: Vec<String>,
    /// Columns of 16 bytes a value, which are read as UUIDs.
    pub uuids: Vec<String>,
    /// Columns of days that are stored as milliseconds.
    pub days: Vec<String>,
    /// Columns that are computed from those of the file.
    pub computed: Vec<Arc<Computed>>,
    /// Keys and values of the folders `key=value` on the path. A column of the file hides a key of
    /// its name.
    pub partitions: Vec<(String, Option<String>)>,
    pub sheet: Option<Sheet>,
    /// Number of rows, if the format has it in its metadata.
    pub rows: Option<u64>,
    /// Temporary folder of a downloaded file. It is removed with the last of its files.
    pub fetched: Option<Arc<TempPath>>,
    /// Temporary folder of a file that was unpacked.
    pub unpacked: Option<Arc<TempPath>>,
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

impl SourceFile {
    pub fn new(path: PathBuf, name: String) -> Self {
        Self {
            path,
            name,
            columns: Vec::new(),
            repeated: Vec::new(),
            uuids: Vec::new(),
            days: Vec::new(),
            computed: Vec::new(),
            partitions: Vec::new(),
            sheet: None,
            rows: None,
            fetched: None,
            unpacked: None,
        }
    }

    /// Type of a column of the file or a key of its path; `None` if there is none.
    pub fn dtype(&self, column: &str) -> Option<&DataType> {
        static TEXT: DataType = DataType::String;
        let own = self.columns.iter().find(|(name, _)| name == column).map(|(_, dtype)| dtype);
        let computed = || self.computed(column).map(|computed| &computed.dtype);
        own.or_else(computed).or_else(|| self.is_partition(column).then_some(&TEXT))
    }

    pub(super) fn computed(&self, column: &str) -> Option<&Arc<Computed>> {
        self.computed.iter().find(|computed| computed.name == column)
    }

    /// Type of a column; text if there is none.
    pub(super) fn column_type(&self, column: &str) -> DataType {
        self.dtype(column).cloned().unwrap_or(DataType::String)
    }

    /// What the bytes of a column are.
    pub(super) fn bytes(&self, column: &str) -> Bytes {
        let is_uuid = self.uuids.iter().any(|name| name == column);
        if is_uuid { Bytes::Uuid } else { Bytes::Utf8 }
    }

    /// Whether a name is a key of the path and no column of the file.
    pub(super) fn is_partition(&self, column: &str) -> bool {
        self.partition(column).is_some()
    }

    /// The value of a key of the path, or of [`FILE_NAME`], that is no column of the file.
    pub(super) fn partition(&self, column: &str) -> Option<Option<&str>> {
        if self.columns.iter().any(|(name, _)| name == column) {
            return None;
        }
        match self.partitions.iter().find(|(key, _)| key == column) {
            Some((_, value)) => Some(value.as_deref()),
            None => (column == FILE_NAME).then(|| self.name.rsplit('/').next()),
        }
    }

    /// The keys of the path that are no columns, and [`FILE_NAME`].
    pub(super) fn path_columns(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let keys = self.partitions.iter().map(|(key, _)| key.as_str());
        let name = self.partitions.iter().all(|(key, _)| key != FILE_NAME).then_some(FILE_NAME);
        keys.chain(name).filter_map(|key| Some((key, self.partition(key)?)))
    }

    /// Names of the columns, and of the keys of the path that are no columns.
    pub fn column_names(&self) -> impl Iterator<Item = &str> + Clone {
        let own = self.columns.iter().map(|(name, _)| name.as_str());
        let keys = self.partitions.iter().map(|(key, _)| key.as_str());
        own.chain(keys.filter(|key| self.is_partition(key)))
    }
}
