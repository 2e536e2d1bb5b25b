//! Tables with one row a key: what is known of the customers besides their purchases, or the values that a check accepts.

use std::sync::Arc;

use polars::prelude::*;

use super::scan::{self, Reading};
use super::text::ReadCount;
use super::{CsvError, FileSet, Format, SourceFile, conform};
use crate::columns::N;

/// Checked options of a keyed table.
#[derive(Debug, Clone)]
pub struct KeyedParams {
    /// Its files.
    pub set: FileSet,
    /// Source column that holds the key.
    pub key: String,
    /// Source columns that are wanted besides.
    pub attributes: Vec<String>,
}

/// A table with one row a key.
///
/// Columns: the key as text under the name it was read for, then the attributes as the source has them; text from CSV and
/// workbooks.
#[derive(Debug, Clone)]
pub struct Keyed {
    /// The table.
    pub frame: DataFrame,
    /// Rows of the source.
    pub rows: u32,
    /// Rows without a key, which belong to nothing.
    pub without_key: u32,
    /// Keys that stand in more than one row, of which the first holds.
    pub repeated_keys: u32,
}

/// Why a keyed table cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyedError {
    /// Its bytes are not to be believed. Unlike a transaction, a row that cannot be read has no other place to go.
    #[error(transparent)]
    Csv(#[from] CsvError),
    /// Its files do not read as they promised.
    #[error("`{name}`: {source}")]
    Read {
        /// The first file.
        name: String,
        /// What Polars said.
        source: PolarsError,
    },
}

impl Keyed {
    /// Reads a table whose key is to be called `name`.
    ///
    /// # Errors
    /// Files that cannot be read, and the first record that is none of the table's.
    pub fn read(params: &KeyedParams, name: &str) -> Result<Self, KeyedError> {
        let wanted = |name: &str| {
            name == params.key || params.attributes.iter().any(|column| column == name)
        };
        let mut parts = Vec::new();
        for file in &params.set.files {
            let count = Arc::new(ReadCount::default());
            let read = || -> PolarsResult<DataFrame> {
                let texts = [&params.key].into_iter().chain(&params.attributes).cloned().collect();
                let rows = match params.set.format {
                    Format::Csv => scan::csv(&params.set, file, texts, Vec::new(), count.clone())?,
                    Format::Parquet | Format::Xlsx => {
                        scan::rows(&params.set, file, wanted, Reading::Rows)?
                    }
                };
                rows.select(params.columns(name, file)).collect()
            };
            let part = read().map_err(|source| match CsvError::of(&source) {
                Some(error) => KeyedError::Csv(error),
                None => KeyedError::Read { name: file.name.clone(), source },
            });
            parts.push(part?.lazy());
            count.first_bad().map_or(Ok(()), Err)?;
        }
        let all = concat(parts, UnionArgs::default()).and_then(LazyFrame::collect);
        let name_of_first =
            params.set.files.first().map(|file| file.name.clone()).unwrap_or_default();
        all.and_then(|all| Self::of(&all, name))
            .map_err(|source| KeyedError::Read { name: name_of_first, source })
    }

    fn of(all: &DataFrame, name: &str) -> PolarsResult<Self> {
        let known = all.clone().lazy().filter(conform::empty(col(name)).not()).collect()?;
        let keys = known.clone().lazy().group_by([col(name)]).agg([len().alias(N)]).collect()?;
        let repeated = keys.column(N)?.u32()?.iter().flatten().filter(|n| *n > 1).count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Self {
            rows: count(all.height()),
            without_key: count(all.height() - known.height()),
            repeated_keys: count(repeated),
            frame: known.lazy().filter(col(name).is_first_distinct()).collect()?,
        })
    }
}

impl KeyedParams {
    fn columns(&self, name: &str, file: &SourceFile) -> Vec<Expr> {
        let is_float =
            file.columns.iter().any(|(column, dtype)| *column == self.key && dtype.is_float());
        let key = if is_float { col(&self.key).cast(DataType::Int64) } else { col(&self.key) };
        let attribute = |attribute: &String| {
            let same = |file: &'_ SourceFile| {
                file.columns.iter().find(|(column, _)| column == attribute).cloned()
            };
            let dtypes: Vec<DataType> =
                self.set.files.iter().filter_map(same).map(|(_, dtype)| dtype).collect();
            col(attribute).cast(conform::common_type(dtypes.iter().map(Some)))
        };
        [key.cast(DataType::String).alias(name)]
            .into_iter()
            .chain(self.attributes.iter().map(attribute))
            .collect()
    }
}
