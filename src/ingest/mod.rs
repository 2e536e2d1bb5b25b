//! `ingest`: source files → [`Lines`], plans with the pipeline's own columns. No row is read here.
//!
//! `discover` finds files, [`probe`] reads their headers and footers. [`scan`] makes a plan for
//! each of the checked files. In it, `text` reads CSV (cut into `chunks` of `records`, whose
//! distinct cells `dict_column` collects), [`schema_mapping`] maps source columns to the
//! pipeline's, `parse` (with `numbers`, `timestamps` and `ids`) parses cells and marks faults, and
//! [`rates`] converts foreign money. The rules of `clean` are not applied here.

use polars::prelude::{DataType, Expr, Float64Chunked, IntoColumn, lit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::CUSTOMER_ID;

pub(crate) mod advice;
pub mod cell;
pub mod chunk_source;
pub mod chunked_lines;
mod chunks;
pub mod computed;
pub mod csv_layout;
pub mod csv_rewrite;
mod decimal;
mod decimal_columns;
mod dict_column;
pub mod discover;
pub mod fault;
pub mod fill;
pub(crate) mod guess;
pub mod ids;
pub mod lookup;
pub mod numbers;
pub mod outcomes;
pub mod parse;
mod plans;
pub mod predicate;
pub mod probe;
pub mod query;
mod query_check;
pub mod rates;
mod records;
pub(crate) mod runs;
mod sample;
pub mod scan;
pub mod schema_mapping;
pub mod source;
pub mod summary;
mod text;
pub mod timestamp_format;
mod timestamps;
mod typer;
mod unpack;
pub mod workbook;

pub use cell::NullValues;
pub use chunk_source::ChunkSource;
pub use chunked_lines::{ChunkedLines, FileLines, LinePlan};
pub use chunks::ReadError;
pub use computed::Computed;
pub use fault::Fault;
pub use ids::{IdCase, IdFormat};
pub use lookup::{LookupParams, LookupTable};
pub use predicate::Predicate;
pub use rates::Rates;
pub use runs::Grain;
pub use scan::{lines, scan_error};
pub use source::{
    Columns, FileSet, Format, LineAmount, NumberFormat, OnBadRow, Sheet, Source, SourceFile,
    TextFormat,
};
pub use timestamp_format::{TimestampFormat, Timestamps};

/// The stage's name in the ledger and the rejects.
pub const STAGE: &str = "ingest";

#[derive(Debug, Clone)]
pub struct IngestParams {
    /// At least one.
    pub sources: Vec<Source>,
    /// Table with one row a customer, and the attributes to take from it.
    pub customers: Option<LookupParams>,
    pub on_bad_row: OnBadRow,
    /// Largest share of rows that cannot be parsed. `None` is the default bound.
    pub max_rejected: Option<f64>,
    pub ids: IdFormat,
    /// Decimals of quantities: 0, or [`numbers::QUANTITY_SCALE`] if they may be fractional.
    pub quantity_scale: u8,
    /// Time zone in which timestamps become local days.
    pub timezone: chrono_tz::Tz,
    pub money: Money,
    /// Without rates, only lines in the pipeline's currency are accepted.
    pub rates: Option<Rates>,
    /// Whether a later step compares whole source rows, so that every column has to be read.
    pub whole_rows: bool,
    /// Unmapped source columns that predicates and checks read.
    pub inspected: Vec<String>,
    /// Columns of the lines that no later stage reads. They are left out of the plan, so that
    /// reading one is an error.
    pub unread: Vec<&'static str>,
    pub rejects: RejectColumns,
    /// Read about so many rows of at most three files of each source. `None`: all.
    pub sample: Option<u32>,
}

/// What `rejects.parquet` keeps of a rejected row: the text of an unparsable cell (`reasons`), also
/// the mapped columns (`mapped`), or also every source column as `raw_<name>` (`raw`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectColumns {
    #[default]
    Reasons,
    Mapped,
    Raw,
}

impl IngestParams {
    /// All files of all sources. Their order defines `source_file`.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.sources.iter().flat_map(|source| &source.set.files)
    }

    /// The predicates of the sources that leave out rows.
    pub fn filters(&self) -> impl Iterator<Item = &Predicate> {
        self.sources.iter().filter_map(|source| source.filter.as_ref())
    }

    /// The files that are read for the transactions: of the sources, and of the tables of queries.
    pub fn input_files(&self) -> impl Iterator<Item = &SourceFile> {
        self.sources.iter().flat_map(Source::file_sets).flat_map(|set| &set.files)
    }

    /// Whether every source has an order column. Either all have one or none.
    pub fn has_orders(&self) -> bool {
        self.sources.iter().all(|source| source.columns.order_id.is_some())
    }

    /// How the ids of a column are compared. Only customer ids can ignore case.
    pub(crate) fn id_format(&self, name: &str) -> IdFormat {
        let case = if name == CUSTOMER_ID { self.ids.case } else { IdCase::Keep };
        IdFormat { nulls: self.ids.nulls.clone(), case }
    }

    /// A quantity in units: i64, or f64 if quantities may be fractional.
    pub(crate) fn quantity(&self, value: Expr) -> Expr {
        if self.quantity_scale == 0 {
            return value;
        }
        let unit = 10f64.powi(self.quantity_scale.into());
        outcomes::map_column(value, DataType::Float64, move |quantities| {
            let quantities = quantities.i64()?;
            let units: Float64Chunked = quantities
                .apply_nonnull_values_generic(DataType::Float64, |quantity| quantity as f64 / unit);
            Ok(units.into_column())
        })
    }

    pub(crate) fn reads_all_columns(&self) -> bool {
        self.whole_rows || self.rejects == RejectColumns::Raw
    }

    /// Whether a source column is read at all.
    pub fn reads(&self, source: &Source, name: &str) -> bool {
        self.reads_all_columns() || self.reads_by_name(source, name)
    }

    /// Whether a mapping, a predicate or a check names a source column.
    fn reads_by_name(&self, source: &Source, name: &str) -> bool {
        self.inspected.iter().any(|column| column == name)
            || source.columns.mapped().iter().any(|(_, column)| *column == name)
    }
}

/// Money as whole numbers of minor units, 10^-scale of the currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Money {
    pub scale: u8,
    pub currency: Option<String>,
    /// Whether the sources have amounts in minor units.
    pub is_minor: bool,
}

impl Money {
    /// Decimals of the sources' amounts.
    pub(crate) fn read_scale(&self) -> u8 {
        if self.is_minor { 0 } else { self.scale }
    }

    /// Converts minor units to units of the currency: f64, the exact quotient rounded once.
    pub fn major(&self, minor: Expr) -> Expr {
        exact_quotient(minor, self.scale)
    }

    /// Minor units in one unit of the currency: 10^scale.
    pub fn factor(&self) -> f64 {
        10f64.powi(i32::from(self.scale))
    }
}

/// `value` / 10^`scale`: f64, rounded once.
///
/// Polars divides a column by a literal as a product with the rounded reciprocal, which makes
/// 116.85000000000001 of 11685/100. It divides by a column exactly, so the divisor is a column.
fn exact_quotient(value: Expr, scale: u8) -> Expr {
    let zero = value.clone() - value.clone();
    let divisor = zero.cast(DataType::Float64) + lit(10f64.powi(i32::from(scale)));
    value.cast(DataType::Float64) / divisor
}

/// The order lines as plans, one row a source row or a run of them.
///
/// | column | type | null if |
/// |---|---|---|
/// | `source_file`, `source_row` | u32, of the first row | never |
/// | `lines` | u32, the number of source rows | never |
/// | `customer_id` | text or i64, as in the sources | empty |
/// | `order_id` | text or i64 | not mapped |
/// | `product_id`, `category` | text or i64; absent if unread | not mapped |
/// | `ordered_at` | datetime\[μs\] | unparsed |
/// | `day` | date | unparsed |
/// | `quantity` | i64, or f64 if quantities may be fractional; of the first row | not mapped |
/// | `unit_price`, `amount` | i64, minor units of the line's currency; of the first row | the other one is mapped |
/// | `units` | i64, the sum of the quantities as they are read | none is known |
/// | `currency` | text | not mapped |
/// | `money` | i64, the sum in minor units of the pipeline's currency | it cannot be parsed |
/// | `text` | text of a bad CSV record | the record is good |
/// | `reason` | u8, an index into [`Lines::faults`] | the row can be parsed |
///
/// The carried columns follow.
pub struct Lines {
    pub lines: ChunkedLines,
    /// The meaning of the codes in `reason`, and whether the money of such lines is known.
    pub faults: Vec<(Fault, bool)>,
    /// Source columns that the plan carries under [`schema_mapping::carried_name`]: the inspected
    /// ones, or all if whole rows are compared or kept.
    pub carried: Vec<String>,
    /// Columns that the rejects keep of a row: name in the rejects, name in the plan.
    pub kept: Vec<(String, String)>,
}
