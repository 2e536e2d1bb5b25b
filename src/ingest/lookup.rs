//! Lookup tables, with one row a key: attributes of customers, or the values that a check accepts.

use std::slice;
use std::sync::Arc;

use polars::prelude::*;

use super::cell::common_type;
use super::{FileSet, IdFormat, ReadError, SourceFile, chunk_source, scan};
use crate::columns::N;
use crate::progress::{ScanObserver, Silent};

#[derive(Debug, Clone)]
pub struct LookupParams {
    pub set: FileSet,
    /// Source column of the key.
    pub key: String,
    /// Other source columns to read.
    pub attributes: Vec<String>,
    /// How keys are compared.
    pub ids: IdFormat,
}

#[derive(Debug, Clone)]
pub struct LookupTable {
    /// The key as text under the name it was read for, then the attributes in the source's types
    /// (text from CSV and workbooks).
    pub frame: DataFrame,
    pub rows: u32,
    /// Rows without a key, which are skipped.
    pub without_key: u32,
    /// Keys with more than one row. The first row is used.
    pub repeated_keys: u32,
}

impl LookupTable {
    /// Reads a table. Its key column is called `name`. Bad records are errors: unlike transactions,
    /// lookup tables have no rejects.
    pub fn read(params: &LookupParams, name: &str) -> Result<Self, ReadError> {
        let files = &params.set.files;
        let read = |file: &SourceFile| match params.read_file(file, name) {
            Ok(part) => Ok(part.lazy()),
            Err(error) => Err(ReadError::table(&file.name, &error)),
        };
        let parts = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let all = concat(parts, UnionArgs::default()).and_then(LazyFrame::collect);
        all.and_then(|all| Self::by_key(&all, name))
            .map_err(|error| ReadError::table(&files[0].name, &error))
    }

    /// Keeps the first row of every key.
    fn by_key(all: &DataFrame, name: &str) -> PolarsResult<Self> {
        let keyed = all.clone().lazy().filter(col(name).is_not_null()).collect()?;
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
    fn read_file(&self, file: &SourceFile, key_name: &str) -> PolarsResult<DataFrame> {
        let columns = [slice::from_ref(&self.key), &self.attributes].concat();
        let columns: Vec<String> =
            columns.into_iter().filter(|name| !file.is_partition(name)).collect();
        let observer: Arc<dyn ScanObserver> = Arc::new(Silent);
        let source = chunk_source::open(&self.set, file, columns, None, &observer);
        let rows = chunk_source::read_all(&*source)?;
        if let Some(error) = source.first_bad() {
            return Err(error.into());
        }
        let attribute = |name: &String| {
            col(name).cast(common_type(self.set.files.iter().filter_map(|file| file.dtype(name))))
        };
        let key = self.ids.spelled(col(&self.key), file.bytes(&self.key));
        let mut selected = vec![key.alias(key_name)];
        selected.extend(self.attributes.iter().map(attribute));
        rows.lazy().with_columns(scan::path_columns(file, |_| true)).select(selected).collect()
    }
}
