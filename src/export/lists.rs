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
}

/// A Parquet file, or a CSV file as text. Its separator is the most frequent one of the first line.
/// The error is a sentence.
pub(crate) fn read_table(path: &Path) -> Result<DataFrame, String> {
    let unreadable = |reason: String| format!("{}: {reason}", path.display());
    if path.extension().is_some_and(|suffix| suffix == "xlsx") {
        return Err(unreadable("workbooks are not read here; save it as CSV".to_owned()));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let frame = if path.extension().is_some_and(|suffix| suffix == "parquet") {
        ParquetReader::new(Cursor::new(bytes)).finish()
    } else {
        if let Err(error) = std::str::from_utf8(&bytes) {
            return Err(unreadable(format!("not UTF-8: {error}")));
        }
        let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = |separator: &u8| header.iter().filter(|byte| *byte == separator).count();
        let separator = *b"|\t;,".iter().max_by_key(|separator| count(separator)).unwrap_or(&b',');
        // Without inference: numbers such as 00123 stay text.
        let options = CsvReadOptions::default()
            .with_infer_schema_length(Some(0))
            .map_parse_options(|options| options.with_separator(separator));
        options.into_reader_with_file_handle(Cursor::new(bytes)).finish()
    };
    frame.map_err(|error| unreadable(error.to_string()))
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
