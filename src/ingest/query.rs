//! Transactions that a SQL query makes of several tables.

use std::sync::Arc;

use polars::prelude::*;
use polars::sql::SQLContext;

use super::cell::{NullValues, ROW_COLUMN};
use super::outcomes::map_column;
use super::predicate::first_line;
use super::{FileSet, Format, ReadError, SourceFile, chunk_source, plans, query_check, scan};
use crate::progress::{ScanObserver, Silent};

/// A `SELECT` over named tables.
#[derive(Debug, Clone)]
pub struct Query {
    pub sql: String,
    /// Names and files, each with at least one.
    pub tables: Vec<(String, FileSet)>,
    /// Rows that the query may return, as a multiple of those of its largest table.
    pub max_rows_factor: f64,
    /// Cells of text that are null.
    pub nulls: NullValues,
}

/// The rows of the largest table, which bound those of the query.
#[derive(Debug, Clone)]
pub(super) struct LargestTable {
    pub(super) name: String,
    pub(super) rows: u64,
}

impl Query {
    /// Functions of SQL that read files, which would be no inputs of the run.
    const READERS: [&'static str; 4] = ["read_csv", "read_parquet", "read_ipc", "read_json"];

    /// Columns of the result, without reading a row.
    ///
    /// # Errors
    /// Invalid SQL, or types that do not fit.
    pub fn schema(&self) -> Result<Vec<(String, DataType)>, String> {
        let lower = self.sql.to_lowercase();
        if let Some(reader) = Self::READERS.iter().find(|reader| lower.contains(*reader)) {
            return Err(format!("`{reader}` is not supported: list the file in `ingest.sources`"));
        }
        let tables: Vec<(&str, Vec<(String, DataType)>)> =
            self.tables.iter().map(|(name, set)| (name.as_str(), table_columns(set))).collect();
        query_check::check(&self.sql, &tables)?;
        let empty = tables.into_iter().map(|(name, columns)| {
            let columns = columns.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype));
            let empty = DataFrame::empty_with_schema(&columns.collect::<Schema>()).lazy();
            (name.to_owned(), widened(empty))
        });
        let mut result = self.execute(empty).map_err(message)?;
        let schema = result.collect_schema().map_err(message)?;
        Ok(schema.iter().map(|(name, dtype)| (name.to_string(), dtype.clone())).collect())
    }

    fn execute(
        &self,
        tables: impl Iterator<Item = (String, LazyFrame)>,
    ) -> PolarsResult<LazyFrame> {
        let mut context = SQLContext::new();
        tables.for_each(|(name, table)| context.register(&name, table));
        context.execute(&self.sql)
    }

    /// The plan of the result with row numbers, and the largest table. Tables of text are read.
    pub(super) fn plan(&self) -> PolarsResult<(LazyFrame, LargestTable)> {
        let mut tables = Vec::new();
        let mut largest = LargestTable { name: String::new(), rows: 0 };
        for (name, set) in &self.tables {
            let (table, rows) = self.table(set)?;
            tables.push((name.clone(), table));
            if rows >= largest.rows {
                largest = LargestTable { name: name.clone(), rows };
            }
        }
        let result = self.execute(tables.into_iter())?;
        Ok((result.with_row_index(ROW_COLUMN, Some(1)), largest))
    }

    fn table(&self, set: &FileSet) -> PolarsResult<(LazyFrame, u64)> {
        let names = table_columns(set).into_iter().map(|(name, _)| col(name)).collect::<Vec<_>>();
        let (mut parts, mut rows) = (Vec::new(), 0);
        for file in &set.files {
            let (part, rows_of_file) = match set.format {
                Format::Parquet => {
                    let path = PlRefPath::try_from_path(&file.path)?;
                    let args = ScanArgsParquet { glob: false, ..ScanArgsParquet::default() };
                    (LazyFrame::scan_parquet(path, args)?, file.rows)
                }
                Format::JsonLines | Format::Arrow => {
                    (plans::rows(&file.path, set.format)?, file.rows)
                }
                Format::Csv | Format::Workbook => {
                    let frame = self.cells(set, file)?;
                    let height = frame.height() as u64;
                    (frame.lazy(), Some(height))
                }
            };
            parts.push(part.with_columns(scan::path_columns(file, |_| true)).select(&names));
            rows += rows_of_file.unwrap_or(0);
        }
        Ok((widened(concat(parts, UnionArgs::default())?), rows))
    }

    /// The cells of a file of text. Missing cells are null.
    fn cells(&self, set: &FileSet, file: &SourceFile) -> PolarsResult<DataFrame> {
        let observer: Arc<dyn ScanObserver> = Arc::new(Silent);
        let names: Vec<String> = file.columns.iter().map(|(name, _)| name.clone()).collect();
        let source = chunk_source::open(set, file, names.clone(), None, &observer);
        let rows = chunk_source::read_all(&*source)?;
        // The rows of a table have no rejects of their own.
        if let Some(error) = source.first_bad() {
            return Err(error.into());
        }
        let cell = |name: &String| {
            let nulls = self.nulls.clone();
            map_column(col(name), DataType::String, move |cells| nulls.texts(cells)).alias(name)
        };
        rows.lazy().select(names.iter().map(cell).collect::<Vec<_>>()).collect()
    }

    /// All files of all tables.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.tables.iter().flat_map(|(_, set)| &set.files)
    }

    /// The error if the query returned so many rows; `None` if it may.
    pub(super) fn too_many(&self, rows: u64, largest: &LargestTable) -> Option<ReadError> {
        let LargestTable { name, rows: of_table } = largest;
        let factor = rows as f64 / (*of_table).max(1) as f64;
        (factor > self.max_rows_factor).then(|| {
            let reason = format!(
                "the query returns {rows} rows, {factor:.2} times the {of_table} rows of its \
                 largest source, `{name}`: a join multiplies rows, or a union adds them; \
                 `max_rows_factor` ({}) allows more",
                self.max_rows_factor
            );
            ReadError::Table { name: "ingest.transactions.query".to_owned(), reason }
        })
    }
}

/// Columns of a table: those of its first file, the keys of its path, and the name of the file.
fn table_columns(set: &FileSet) -> Vec<(String, DataType)> {
    let Some(first) = set.files.first() else { return Vec::new() };
    let own = first.columns.iter().cloned();
    let of_path = first.path_columns().map(|(name, _)| (name.to_owned(), DataType::String));
    own.chain(of_path).collect()
}

/// Numbers in types whose sums and products do not wrap around, and that keep decimals in a
/// division.
fn widened(table: LazyFrame) -> LazyFrame {
    use DataType::*;
    let wide = |name: &str, dtype: DataType| col(name).cast(dtype);
    let mut schema = table.clone();
    let Ok(schema) = schema.collect_schema() else { return table };
    let columns = schema.iter().filter_map(|(name, dtype)| match dtype {
        Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 => Some(wide(name, Int64)),
        UInt64 => Some(wide(name, Int128)),
        Decimal(precision @ ..=38, scale) if *precision < 38 || *scale < 6 => {
            Some(wide(name, Decimal(38, (*scale).max(6))))
        }
        _ => None,
    });
    let columns: Vec<Expr> = columns.collect();
    table.with_columns(columns)
}

fn message(error: PolarsError) -> String {
    first_line(&error)
}
