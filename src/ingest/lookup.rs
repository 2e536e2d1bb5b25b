//! Lookup tables, with one row a key: attributes of customers, or the values that a check accepts.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{common_type, is_empty};
use super::scan::{self, Reading};
use super::text::{CsvScan, ReadCount};
use super::{CsvError, FileSet, Format, SourceFile};
use crate::columns::N;
use crate::progress::Silent;

/// Checked options of a lookup table.
#[derive(Debug, Clone)]
pub struct LookupParams {
    pub set: FileSet,
    /// Source column of the key.
    pub key: String,
    /// Other source columns to read.
    pub attributes: Vec<String>,
}

/// A table with one row a key.
#[derive(Debug, Clone)]
pub struct LookupTable {
    /// The key as text under the name it was read for, then the attributes in the source's types
    /// (text from CSV and workbooks).
    pub frame: DataFrame,
    /// Rows of the source.
    pub rows: u32,
    /// Rows without a key, which are skipped.
    pub without_key: u32,
    /// Keys with more than one row. The first row is used.
    pub repeated_keys: u32,
}

/// Why a lookup table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Bad records fail the run: unlike transactions, lookup tables have no rejects.
    #[error(transparent)]
    Csv(#[from] CsvError),
    #[error("`{name}`: {source}")]
    Read {
        /// The file, or the first of them.
        name: String,
        source: PolarsError,
    },
}

impl LookupTable {
    /// Reads a table. Its key column is called `name`.
    ///
    /// # Errors
    /// A file that cannot be read, or a bad CSV record.
    pub fn read(params: &LookupParams, name: &str) -> Result<Self, LookupError> {
        let mut parts = Vec::new();
        for file in &params.set.files {
            let count = Arc::new(ReadCount::default());
            let part =
                params.read_file(file, name, &count).map_err(
                    |source| match CsvError::from_polars(&source) {
                        Some(error) => LookupError::Csv(error),
                        None => LookupError::Read { name: file.name.clone(), source },
                    },
                )?;
            if let Some(error) = count.first_bad() {
                return Err(error.into());
            }
            parts.push(part.lazy());
        }
        let all = concat(parts, UnionArgs::default()).and_then(LazyFrame::collect);
        all.and_then(|all| Self::by_key(&all, name)).map_err(|source| {
            let name = params.set.files[0].name.clone();
            LookupError::Read { name, source }
        })
    }

    /// Keeps the first row of every key.
    fn by_key(all: &DataFrame, name: &str) -> PolarsResult<Self> {
        let keyed = all.clone().lazy().filter(is_empty(col(name)).not()).collect()?;
        let keys = keyed.clone().lazy().group_by([col(name)]).agg([len().alias(N)]).collect()?;
        let repeated = keys.column(N)?.u32()?.iter().flatten().filter(|n| *n > 1).count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Self {
            rows: count(all.height()),
            without_key: count(all.height() - keyed.height()),
            repeated_keys: count(repeated),
            frame: keyed.lazy().filter(col(name).is_first_distinct()).collect()?,
        })
    }
}

impl LookupParams {
    fn read_file(
        &self,
        file: &SourceFile,
        key_name: &str,
        count: &Arc<ReadCount>,
    ) -> PolarsResult<DataFrame> {
        let columns: Vec<String> =
            [&self.key].into_iter().chain(&self.attributes).cloned().collect();
        let rows = match self.set.format {
            Format::Csv => CsvScan {
                file: file.clone(),
                text: self.set.text.clone(),
                texts: columns,
                cells: Vec::new(),
                count: count.clone(),
                observer: Arc::new(Silent),
            }
            .plan()?,
            Format::Parquet | Format::Xlsx => {
                let wanted = |name: &str| columns.iter().any(|column| column == name);
                scan::rows(&self.set, file, wanted, Reading::Rows)?.0
            }
        };
        // Integer keys with gaps are floats in files of pandas.
        let key = if file.dtype(&self.key).is_some_and(DataType::is_float) {
            col(&self.key).cast(DataType::Int64)
        } else {
            col(&self.key)
        };
        let attribute = |name: &String| {
            col(name).cast(common_type(self.set.files.iter().filter_map(|file| file.dtype(name))))
        };
        let mut selected = vec![key.cast(DataType::String).alias(key_name)];
        selected.extend(self.attributes.iter().map(attribute));
        rows.select(selected).collect()
    }
}
