//! `ingest`: source files → [`Lines`], a plan with the pipeline's own columns. No row is read here.
//!
//! [`probe`] reads headers and footers, [`scan`] turns the checked files into one plan, [`conform`] gives each source
//! column its meaning and marks what cannot be parsed. [`diagnose`] looks for the line that a failed scan stumbled over. What is deliberately absent: the rules of `clean`.

use std::path::PathBuf;

use polars::prelude::{DataType, LazyFrame};

pub mod conform;
pub mod diagnose;
pub mod probe;
pub mod scan;
pub mod workbook;

pub use scan::{Reading, lines};

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
    /// Which source column holds what.
    pub columns: Columns,
    /// The store's time zone.
    pub timezone: chrono_tz::Tz,
    /// How money is counted.
    pub money: Money,
    /// Whether a later step compares whole source rows, so that every column has to be read.
    pub whole_rows: bool,
}

impl IngestParams {
    /// Whether a source column is read at all.
    pub fn reads(&self, name: &str) -> bool {
        let Columns { customer_id, order_id, ordered_at, product_id, worth } = &self.columns;
        let money = match worth {
            Worth::Priced { unit_price, .. } => unit_price,
            Worth::Amount { amount, .. } => amount,
        };
        let mapped = [
            Some(customer_id.as_str()),
            order_id.as_deref(),
            Some(ordered_at),
            product_id.as_deref(),
            worth.quantity(),
            Some(money),
        ];
        self.whole_rows || mapped.contains(&Some(name))
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
    /// Minor units in one unit of money: 10^scale.
    pub fn factor(&self) -> f64 {
        10f64.powi(i32::from(self.scale))
    }
}

/// The order lines as a plan.
///
/// One row a source row. Columns: `source_file` u32, `source_row` u32, `customer_id` (text or i64, as the source has
/// it), `order_id` and `product_id` (likewise; null where not mapped), `ordered_at` datetime\[μs\], `day` date, `quantity` i64 (null
/// where not mapped), `unit_price` or `amount` i64 in minor units, `money` i64 in minor units, `reason` u8: a code into
/// [`Lines::faults`] where the row cannot be parsed, else null. Where whole rows are compared, also every source
/// column under [`conform::whole_row_name`].
pub struct Lines {
    /// The plan.
    pub frame: LazyFrame,
    /// What the codes in `reason` mean.
    pub faults: Vec<String>,
    /// Names of the whole-row columns; empty where no step compares whole rows.
    pub whole_row: Vec<String>,
}
