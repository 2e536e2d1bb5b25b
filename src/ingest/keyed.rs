//! Tables with one row a key: what is known of the customers besides their purchases, or the values that a check accepts.

use std::path::Path;

use polars::prelude::*;

use super::scan::{Reading, scan_file};
use super::{FileSet, OnBadRow, SourceFile, WalkError, conform, walk};
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
    Walk(#[from] WalkError),
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
    /// Reads a table whose key is to be called `name`; files that have to be written anew go into `scratch`.
    ///
    /// # Errors
    /// Files that cannot be read, and the first record that is none of the table's.
    pub fn read(params: &KeyedParams, name: &str, scratch: &Path) -> Result<Self, KeyedError> {
        let name_of_first = params.set.files.first().map(|file| file.name.clone()).unwrap_or_default();
        // A folder of its own: the transactions' rewritten files stand in the same place.
        let own = tempfile::tempdir_in(scratch);
        let own = own.map_err(|source| WalkError::Io { name: name_of_first.clone(), source })?;
        let walked = walk(&params.set, OnBadRow::Fail, own.path(), 0)?;
        let read = || -> PolarsResult<DataFrame> {
            let files = params.set.files.iter().enumerate();
            let plans = files.map(|(idx, file)| {
                let rows = Reading::Rows(&walked);
                let wanted = |name: &str| name == params.key || params.attributes.iter().any(|column| column == name);
                Ok(scan_file(&params.set, file, wanted, rows, walked.get(idx))?.select(params.columns(name, file)))
            });
            concat(plans.collect::<PolarsResult<Vec<_>>>()?, UnionArgs::default())?.collect()
        };
        read().and_then(|all| Self::of(&all, name)).map_err(|source| KeyedError::Read { name: name_of_first, source })
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
        let is_float = file.columns.iter().any(|(column, dtype)| *column == self.key && dtype.is_float());
        let key = if is_float { col(&self.key).cast(DataType::Int64) } else { col(&self.key) };
        let attribute = |attribute: &String| {
            let same = |file: &'_ SourceFile| file.columns.iter().find(|(column, _)| column == attribute).cloned();
            let dtypes: Vec<DataType> = self.set.files.iter().filter_map(same).map(|(_, dtype)| dtype).collect();
            col(attribute).cast(conform::common_type(dtypes.iter().map(Some)))
        };
        [key.cast(DataType::String).alias(name)].into_iter().chain(self.attributes.iter().map(attribute)).collect()
    }
}
