//! Lists with their files: of contacts, and of customers who are never on a list.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use tracing::warn;

use super::contacts::{self, Contacts};
use super::{Export, ExportInputs, ExportParams, Selection};

/// A list and the files that it needs.
#[derive(Debug, Clone)]
pub(crate) struct ListParams {
    pub(crate) export: ExportParams,
    pub(crate) contacts: Option<PathBuf>,
    /// Column of the customer id in the files.
    pub(crate) key: String,
    pub(crate) suppress: Option<PathBuf>,
}

/// A list whose files have been read.
pub(crate) struct ReadList {
    export: ExportParams,
    contacts: Option<Contacts>,
    suppressed: HashSet<String>,
}

impl ListParams {
    /// Reads the files. The error is a sentence.
    pub(crate) fn read(&self) -> Result<ReadList, String> {
        let contacts = match &self.contacts {
            Some(path) => Some(Contacts::new(&read_table(path)?, &self.key)?),
            None => None,
        };
        let rows = contacts.as_ref().map_or(0, |contacts| contacts.repeated);
        if rows > 0 {
            warn!(rows, "customers with several contacts: the first row counts");
        }
        let suppressed = match &self.suppress {
            Some(path) => {
                let has_emails = contacts.as_ref().is_some_and(Contacts::has_emails);
                contacts::suppressed(&read_table(path)?, &self.key, has_emails)?
            }
            None => HashSet::new(),
        };
        Ok(ReadList { export: self.export.clone(), contacts, suppressed })
    }
}

impl ReadList {
    /// Makes the list of these customers, and logs its warnings. The error is a sentence.
    pub(crate) fn make(
        self,
        customers: DataFrame,
        earlier: Option<DataFrame>,
    ) -> Result<Export, String> {
        let Self { export, contacts, suppressed } = self;
        let inputs = ExportInputs { customers, earlier, contacts, suppressed };
        let made = super::export(&export, &inputs)?;
        made.warnings.iter().for_each(|text| warn!("{text}"));
        Ok(made)
    }

    /// The same, but empty if customers are compared with an earlier time and there is none.
    pub(crate) fn make_in_run(
        self,
        customers: DataFrame,
        earlier: Option<DataFrame>,
    ) -> Result<Export, String> {
        let compares = self.export.selection != Selection::All;
        let earlier = earlier.or_else(|| {
            compares.then(|| {
                warn!("there is no run before, so that the list is empty");
                customers.clone()
            })
        });
        self.make(customers, earlier)
    }
}

/// A Parquet file, or a CSV file as text. The error is a sentence.
pub(crate) fn read_table(path: &Path) -> Result<DataFrame, String> {
    let unreadable = |reason: String| format!("{}: {reason}", path.display());
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    if suffix == Some("xlsx") {
        return Err(unreadable("workbooks are not read here; save it as CSV".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let frame = if suffix == Some("parquet") {
        ParquetReader::new(Cursor::new(bytes)).finish().map_err(|error| error.to_string())
    } else {
        let text = std::str::from_utf8(&bytes).map_err(|error| format!("not UTF-8: {error}"));
        text.and_then(read_csv)
    };
    frame.map_err(unreadable)
}

/// A CSV file whose cells are texts, or null if they are empty. Its separator is the most frequent
/// one of the first line.
fn read_csv(text: &str) -> Result<DataFrame, String> {
    let text = text.trim_start_matches('\u{feff}');
    let header = text.lines().next().unwrap_or_default();
    let count = |separator: &u8| header.bytes().filter(|byte| byte == separator).count();
    let separator = *b"|\t;,".iter().max_by_key(|separator| count(separator)).unwrap_or(&b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut columns = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        for (column, cell) in columns.iter_mut().zip(&record) {
            column.push((!cell.is_empty()).then(|| cell.to_owned()));
        }
    }
    let height = columns.first().map_or(0, Vec::len);
    let columns = names.iter().zip(columns).map(|(name, cells)| Column::new(name.into(), cells));
    DataFrame::new(height, columns.collect()).map_err(|error| error.to_string())
}

/// Whether a spreadsheet would run a text as a formula.
fn is_formula(text: &str) -> bool {
    let is_dialled = |b: u8| b.is_ascii_digit() || b" ()-./".contains(&b);
    let is_phone = text.strip_prefix('+').is_some_and(|phone| phone.bytes().all(is_dialled));
    text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_phone && text.parse::<f64>().is_err()
}

/// A text of a list as it was before it was neutralised.
pub(crate) fn original_text(text: &str) -> &str {
    text.strip_prefix('\'').filter(|text| is_formula(text)).unwrap_or(text)
}

/// A text with an apostrophe in front if a spreadsheet would run it as a formula.
pub(crate) fn neutralised_text(text: &str) -> Cow<'_, str> {
    if is_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// [`neutralised_text`] of all texts of a table.
pub(crate) fn neutralised(list: &DataFrame) -> PolarsResult<DataFrame> {
    let column = |column: &Column| {
        let Ok(texts) = column.str() else { return Ok(column.clone()) };
        let made: StringChunked = texts.iter().map(|text| text.map(neutralised_text)).collect();
        Ok(made.with_name(column.name().clone()).into_column())
    };
    let columns = list.try_apply_columns(column)?;
    DataFrame::new(list.height(), columns)
}
