//! `ingest`: source files → [`Lines`], a plan with the pipeline's own columns. No row is read here.
//!
//! [`probe`] reads headers and footers, [`scan`] turns the checked files into one plan, in which `text` reads CSV (cut into
//! `chunks` of `records`, whose distinct `cells` are parsed), [`conform`] gives each source column its meaning and marks what cannot be parsed, [`rates`] turns foreign money into
//! the pipeline's. What is deliberately absent: the rules of `clean`.

use std::sync::Arc;

use polars::prelude::{DataType, Expr, LazyFrame, lit};

mod cells;
mod chunks;
pub mod conform;
pub mod keyed;
pub mod numbers;
pub mod parse;
pub mod probe;
pub mod rates;
pub mod scan;
mod records;
pub mod source;
mod text;
pub mod verdicts;
pub mod workbook;

pub use chunks::CsvError;
pub use keyed::{Keyed, KeyedError, KeyedParams};
pub use rates::Rates;
pub use records::UNDECODABLE;
pub use scan::{Reading, lines};
pub use source::{
    Columns, FileSet, Format, Numbers, OnBadRow, Source, SourceFile, TextFormat, Worth,
};
pub use text::ReadCount;

/// The stage's name in the ledger and the rejects.
pub const STAGE: &str = "ingest";

/// Checked options of `ingest`.
#[derive(Debug, Clone)]
pub struct IngestParams {
    /// The sources of transactions; at least one.
    pub sources: Vec<Source>,
    /// What is known of the customers besides.
    pub customers: Option<KeyedParams>,
    /// What becomes of rows that cannot be parsed.
    pub on_bad_row: OnBadRow,
    /// The store's time zone.
    pub timezone: chrono_tz::Tz,
    /// How money is counted.
    pub money: Money,
    /// What foreign money is worth; without it no other currency than the pipeline's is taken.
    pub rates: Option<Rates>,
    /// Whether a later step compares whole source rows, so that every column has to be read.
    pub whole_rows: bool,
    /// Source columns that predicates and checks look at besides the mapped ones.
    pub looked_at: Vec<String>,
    /// Columns of the lines that nothing looks at. They are left out, so that whoever does look at one is told.
    pub unread: Vec<&'static str>,
    /// Which columns of a rejected row are kept with it.
    pub rejects: RejectColumns,
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
    /// The pipeline's name of the cell that is wrong, where there is one.
    pub cell: Option<&'static str>,
}

impl IngestParams {
    /// All files of all sources, in the order of `source_file`.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.sources.iter().flat_map(|source| &source.set.files)
    }

    /// Whether the sources know orders: all of them do, or none.
    pub fn has_orders(&self) -> bool {
        self.sources.iter().all(|source| source.columns.order_id.is_some())
    }

    /// Whether a column of a source is read at all.
    pub fn reads(&self, source: &Source, name: &str) -> bool {
        let whole = self.whole_rows || self.rejects == RejectColumns::Raw;
        let looked_at = self.looked_at.iter().any(|column| column == name);
        whole || looked_at || source.columns.mapped().iter().any(|(_, column)| *column == name)
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
/// One row a source row. Columns: `source_file` u32, `source_row` u32, `customer_id` (text or i64, as the sources have
/// it), `order_id`, `product_id` and `category` (likewise; null where not mapped; the last two only where something looks at them), `ordered_at` datetime\[μs\], `day` date, `quantity` i64 (null
/// where not mapped), `unit_price` and `amount` i64 in minor units of the line's own currency (one of them null), `currency` text (null where no source maps it), `money` i64 in
/// minor units of the pipeline's currency, `text` of a record that is none of the table's, `reason` u8: a code into
/// [`Lines::faults`] where the row cannot be parsed, else null; and the carried columns.
pub struct Lines {
    /// The plan.
    pub frame: LazyFrame,
    /// What the codes in `reason` mean.
    pub faults: Vec<Fault>,
    /// Source columns that are carried along under [`conform::carried_name`]: those that are looked at, and all of
    /// them where whole rows are compared or kept.
    pub carried: Vec<String>,
    /// What the rejects keep of a row: name in the rejects, and column of the lines.
    pub kept: Vec<(String, String)>,
    /// What was read of every CSV file, once it is.
    pub read: Vec<Arc<ReadCount>>,
}
