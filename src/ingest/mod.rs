//! `ingest`: source files → [`Lines`], a plan with the pipeline's own columns. No row is read here.
//!
//! [`probe`] reads headers and footers, [`mod@walk`] looks through the bytes of CSV, [`scan`] turns the checked files into one
//! plan, [`conform`] gives each source column its meaning and marks what cannot be parsed. What is deliberately absent: the
//! rules of `clean`.

use std::path::PathBuf;

use encoding_rs::Encoding;
use polars::prelude::{DataType, Expr, LazyFrame, lit};

use crate::columns::{AMOUNT, CUSTOMER_ID, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, UNIT_PRICE};

pub mod conform;
pub mod probe;
pub mod scan;
pub mod walk;
pub mod workbook;

pub use scan::{Reading, lines};
pub use walk::{WalkError, Walked, walk};

/// The stage's name in the ledger and the rejects.
pub const STAGE: &str = "ingest";

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
}

/// Checked options of `ingest`.
#[derive(Debug, Clone)]
pub struct IngestParams {
    /// At least one file; all have the mapped columns, with types that can be used.
    pub files: Vec<SourceFile>,
    /// Format of all files.
    pub format: Format,
    /// Separator of CSV fields.
    pub separator: u8,
    /// Formats of dates and times in CSV, in the order in which they are tried.
    pub datetime_formats: Vec<String>,
    /// Encoding of CSV text.
    pub encoding: &'static Encoding,
    /// What becomes of rows that cannot be parsed.
    pub on_bad_row: OnBadRow,
    /// How numbers are written where they are text.
    pub numbers: Numbers,
    /// Which source column holds what.
    pub columns: Columns,
    /// The store's time zone.
    pub timezone: chrono_tz::Tz,
    /// How money is counted.
    pub money: Money,
    /// Whether a later step compares whole source rows, so that every column has to be read.
    pub whole_rows: bool,
    /// Source columns that predicates look at besides the mapped ones.
    pub predicate_columns: Vec<String>,
    /// Which columns of a rejected row are kept with it.
    pub rejects: RejectColumns,
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

/// Which columns of a rejected row are kept with it, besides its reason, file and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectColumns {
    /// The text of a cell that cannot be parsed.
    Reasons,
    /// That, and the mapped columns as the source has them, under the pipeline's names.
    Mapped,
    /// That, and every column of the source, under `raw_` and its name.
    Raw,
}

/// A reason for which a row cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, in words.
    pub reason: String,
    /// Source column that holds the cell that is wrong, where there is one.
    pub cell: Option<String>,
}

impl IngestParams {
    /// Whether a source column is read at all.
    pub fn reads(&self, name: &str) -> bool {
        let whole = self.whole_rows || self.rejects == RejectColumns::Raw;
        let looked_at = self.predicate_columns.iter().any(|column| column == name);
        whole || looked_at || self.columns.mapped().iter().any(|(_, source)| *source == name)
    }
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
}

impl Columns {
    /// The mapped columns: the pipeline's name and the source's.
    pub fn mapped(&self) -> Vec<(&'static str, &str)> {
        let Self { customer_id, order_id, ordered_at, product_id, worth } = self;
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

/// How money is counted: integers of 10^-scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// Decimal places.
    pub scale: u8,
    /// ISO code, for people.
    pub currency: Option<String>,
}

impl Money {
    /// Money as people write it, from an expression in minor units: the exact number, rounded once.
    ///
    /// Polars divides a column by a literal as a product with the rounded reciprocal, which makes 116.85000000000001 of
    /// 11685/100; by a column it divides, so the divisor is made one.
    pub fn major(&self, minor: Expr) -> Expr {
        let zero = minor.clone() - minor.clone();
        let divisor = zero.cast(DataType::Float64) + lit(self.factor());
        minor.cast(DataType::Float64) / divisor
    }

    /// Minor units in one unit of money: 10^scale.
    pub fn factor(&self) -> f64 {
        10f64.powi(i32::from(self.scale))
    }
}

/// The order lines as a plan.
///
/// One row a source row. Columns: `source_file` u32, `source_row` u32, `customer_id` (text or i64, as the source has
/// it), `order_id` and `product_id` (likewise; null where not mapped), `ordered_at` datetime\[μs\], `day` date, `quantity` i64 (null
/// where not mapped), `unit_price` or `amount` i64 in minor units, `money` i64 in minor units, `text` of a record that is
/// none of the table's, `reason` u8: a code into
/// [`Lines::faults`] where the row cannot be parsed, else null; and the carried source columns.
pub struct Lines {
    /// The plan.
    pub frame: LazyFrame,
    /// What the codes in `reason` mean.
    pub faults: Vec<Fault>,
    /// Source columns that are carried along, under [`conform::carried_name`]: those with cells that may be faulty, and
    /// those that the rejects keep; all of them where whole rows are compared.
    pub carried: Vec<String>,
    /// What the rejects keep: name in the rejects, and source column.
    pub kept: Vec<(String, String)>,
}
