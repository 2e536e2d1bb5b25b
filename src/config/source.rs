//! Resolves source files and checks the mapped columns against their headers and footers.

use std::path::PathBuf;

use polars::prelude::DataType;

use super::SourceFiles;
use super::diagnostics::{Kind, hint};
use super::ingest_spec::*;
use super::text;
use super::validator::Validator;
use crate::columns::*;
use crate::ingest::probe::{self, ProbeError};
use crate::ingest::{
    Columns, FileSet, Format, LineAmount, LookupParams, Rates, Source, SourceFile, TextFormat,
};
use crate::remote::RemoteError;

/// Required type of a Parquet column. Columns of other formats are text and always fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnType {
    Id,
    Timestamp,
    Number,
    Scalar,
}

impl ColumnType {
    /// The required type of one of the pipeline's columns.
    fn of(column: &str) -> Self {
        match column {
            ORDERED_AT => Self::Timestamp,
            QUANTITY | UNIT_PRICE | AMOUNT => Self::Number,
            _ => Self::Id,
        }
    }

    /// A description of the expected type if `dtype` does not fit.
    fn mismatch(self, dtype: &DataType) -> Option<&'static str> {
        let is_text = *dtype == DataType::String || dtype.is_categorical() || dtype.is_enum();
        let (fits, expected) = match self {
            Self::Id => {
                (dtype.is_integer() || dtype.is_float() || is_text, "text or a whole number")
            }
            Self::Timestamp => {
                (matches!(dtype, DataType::Date | DataType::Datetime(_, _)), "a date or a datetime")
            }
            Self::Number => (dtype.is_primitive_numeric() || dtype.is_decimal(), "a number"),
            Self::Scalar => (!dtype.is_nested(), "a scalar value"),
        };
        (!fits).then_some(expected)
    }
}

/// A column that every file of a set must have: JSON pointer of its option, name and type.
type RequiredColumn<'a> = (String, &'a str, ColumnType);

/// The sources of transactions. `None` if one is invalid.
pub(super) fn sources(
    spec: &TransactionSources,
    validator: &mut Validator<'_>,
) -> Option<Vec<Source>> {
    let specs = spec.each();
    let (_, first) = specs.first()?;
    let mut sources = Vec::with_capacity(specs.len());
    let mut seen: Vec<PathBuf> = Vec::new();
    for (at, source) in &specs {
        let mut valid = Some(());
        if first.columns.order_id.is_some() != source.columns.order_id.is_some() {
            let message = "`order_id` must be mapped in all sources or in none";
            valid = validator.fail(&format!("{at}/columns"), message);
        }
        if first.csv.on_bad_row != source.csv.on_bad_row {
            let message = "`on_bad_row` must be the same in all sources";
            valid = validator.fail(&format!("{at}/csv/on_bad_row"), message);
        }
        sources.push(valid.and(bind(source, at, &mut seen, validator)));
    }
    // All sources are checked before the first failure returns, so that each is reported.
    sources.into_iter().collect()
}

/// Resolves the files of one source and checks its mapped columns.
fn bind(
    spec: &TransactionsSpec,
    at: &str,
    seen: &mut Vec<PathBuf>,
    validator: &mut Validator<'_>,
) -> Option<Source> {
    let text = text::text(&spec.csv, &format!("{at}/csv"), validator);
    let columns = columns(&spec.columns, at, validator);
    let set = file_set(&spec.paths, text?, at, seen, validator)?;
    let columns = columns?;
    let required = columns.mapped().into_iter();
    let required: Vec<_> = required
        .map(|(key, name)| (format!("{at}/columns/{key}"), name, ColumnType::of(key)))
        .collect();
    check_columns(&set, at, &required, validator)?;
    Some(Source { set, columns })
}

pub(super) fn customers(
    spec: &CustomersSpec,
    validator: &mut Validator<'_>,
) -> Option<LookupParams> {
    let at = "/ingest/customers";
    for (i, name) in spec.attributes.iter().enumerate() {
        let pointer = format!("{at}/attributes/{i}");
        if is_reserved(name) {
            let message = format!("attribute `{name}` has the name of a result column");
            validator.report_with_hint(&pointer, message, "rename the column in the source");
        } else if spec.attributes[..i].contains(name) {
            validator.report_invalid(&pointer, format!("duplicate attribute `{name}`"));
        }
    }
    lookup(spec, at, validator)
}

/// Whether the segments have, or may have, a column of that name.
fn is_reserved(name: &str) -> bool {
    const SUFFIXES: [&str; 6] =
        ["_label", "_confidence", "_margin", "_novelty", "_to_next", "_next_segment"];
    match name {
        SNAPSHOT | CUSTOMER_ID | LAST_ORDER_AT | RECENCY_DAYS | FREQUENCY | MONETARY
        | RETURNED_MONEY | R_SCORE | F_SCORE | M_SCORE | RFM_CODE | SEGMENT | PREVIOUS_SEGMENT
        | SEGMENT_SINCE | SNAPSHOTS_IN_SEGMENT | REASON | RFM_SCORE | TENURE_DAYS
        | MEAN_GAP_DAYS | GAP_DAYS_STD | AVERAGE_ORDER_VALUE | N_PRODUCTS | RULE | LABEL => true,
        _ => {
            SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
                || name.strip_prefix("category_").is_some_and(|rest| rest.ends_with("_share"))
                || name.contains("source.")
        }
    }
}

/// A table with one row per key.
pub(super) fn lookup(
    spec: &CustomersSpec,
    at: &str,
    validator: &mut Validator<'_>,
) -> Option<LookupParams> {
    let text = text::text(&spec.csv, &format!("{at}/csv"), validator)?;
    let set = file_set(&spec.paths, text, at, &mut Vec::new(), validator)?;
    let mut required = vec![(format!("{at}/key"), spec.key.as_str(), ColumnType::Id)];
    for (i, name) in spec.attributes.iter().enumerate() {
        required.push((format!("{at}/attributes/{i}"), name, ColumnType::Scalar));
    }
    check_columns(&set, at, &required, validator)?;
    Some(LookupParams { set, key: spec.key.clone(), attributes: spec.attributes.clone() })
}

/// Exchange rates: `Some(None)` if none are configured, `None` if they are invalid.
pub(super) fn rates(spec: &IngestSpec, validator: &mut Validator<'_>) -> Option<Option<Rates>> {
    const POINTER: &str = "/ingest/money/rates";
    let MoneySpec { currency, rates, .. } = &spec.money;
    let sources = spec.transactions.each();
    let foreign = sources.iter().find(|(_, source)| source.columns.currency.is_some());
    let Some(own) = currency else {
        let pointer = match (foreign, rates) {
            (Some((at, _)), _) => format!("{at}/columns/currency"),
            (None, Some(_)) => POINTER.to_owned(),
            (None, None) => return Some(None),
        };
        let message = "`ingest.money.currency` is required if lines have a currency";
        return validator.fail(&pointer, message);
    };
    let Some(path) = rates else { return Some(None) };
    if foreign.is_none() {
        let message = "`rates` requires `currency` in `ingest.transactions.columns`";
        return validator.fail(POINTER, message);
    }
    let full = validator.document.base.join(path);
    if !full.is_file() {
        let message = format!("exchange rates not found: `{}`", full.display());
        validator.report(Kind::Input, POINTER, message, None);
        return None;
    }
    let report = |error| {
        validator.report(Kind::Data, POINTER, format!("`{path}`: {error}"), None);
    };
    Rates::read(&full, path, own).map_err(report).ok().map(Some)
}

fn columns(spec: &ColumnsSpec, at: &str, validator: &mut Validator<'_>) -> Option<Columns> {
    let line_amount = match (&spec.quantity, &spec.unit_price, &spec.amount) {
        (Some(quantity), Some(unit_price), None) => {
            LineAmount::Priced { quantity: quantity.clone(), unit_price: unit_price.clone() }
        }
        (quantity, None, Some(amount)) => {
            LineAmount::Amount { amount: amount.clone(), quantity: quantity.clone() }
        }
        _ => {
            let message = "expected either `quantity` and `unit_price`, or `amount`";
            return validator.fail(&format!("{at}/columns"), message);
        }
    };
    Some(Columns {
        customer_id: spec.customer_id.clone(),
        order_id: spec.order_id.clone(),
        ordered_at: spec.ordered_at.clone(),
        product_id: spec.product_id.clone(),
        currency: spec.currency.clone(),
        category: spec.category.clone(),
        line_amount,
    })
}

/// The files of some paths, which must have one format. `seen` are the files of other sources.
fn file_set(
    patterns: &[String],
    text: TextFormat,
    at: &str,
    seen: &mut Vec<PathBuf>,
    validator: &mut Validator<'_>,
) -> Option<FileSet> {
    if validator.document.source_files == SourceFiles::None {
        return Some(FileSet { files: Vec::new(), format: Format::Csv, text });
    }
    let mut probed: Vec<(Format, SourceFile)> = Vec::new();
    let mut is_valid = true;
    for (i, pattern) in patterns.iter().enumerate() {
        let pointer = format!("{at}/paths/{i}");
        let files = probe::files(pattern, &validator.document.base);
        let mut report = |kind: Kind, message: String| {
            is_valid = false;
            validator.report(kind, &pointer, message, None);
        };
        let files = files.map_err(|error| report(kind(&error), error.to_string()));
        for file in files.into_iter().flatten() {
            // Downloaded files have a new temporary path each time, but the same URL.
            let id =
                if file.fetched.is_some() { PathBuf::from(&file.name) } else { file.path.clone() };
            if seen.contains(&id) {
                report(Kind::Config, format!("file `{}` is listed twice", file.name));
                continue;
            }
            seen.push(id);
            match probe::probe(file, text.separator, text.encoding) {
                Ok(file) => probed.push(file),
                Err(error) => report(kind(&error), error.to_string()),
            }
        }
    }
    if !is_valid {
        return None;
    }
    let (format, first) = probed.first()?;
    if let Some((_, other)) = probed.iter().find(|(other, _)| other != format) {
        let message = format!(
            "all files of a source must have one format, found `{}` and `{}`",
            first.name, other.name
        );
        return validator.fail(&format!("{at}/paths"), message);
    }
    let format = *format;
    Some(FileSet { files: probed.into_iter().map(|(_, file)| file).collect(), format, text })
}

fn kind(error: &ProbeError) -> Kind {
    use ProbeError::*;
    match error {
        Pattern { .. } | Suffix { .. } | Scheme(_) | Remote(RemoteError::Url { .. }) => {
            Kind::Config
        }
        Broken { .. } => Kind::Data,
        NoMatch { .. } | EmptyFolder(_) | NothingRemote(_) | Remote(_) | Io { .. } => Kind::Input,
    }
}

/// Requires that every file has the columns in suitable types.
fn check_columns(
    set: &FileSet,
    at: &str,
    required: &[RequiredColumn<'_>],
    validator: &mut Validator<'_>,
) -> Option<()> {
    let mut valid = Some(());
    for (pointer, name, column_type) in required {
        for file in &set.files {
            let Some((_, dtype)) = file.columns.iter().find(|(other, _)| other == name) else {
                let message = format!("`{}` has no column `{name}`", file.name);
                let hint = missing_column_hint(name, file, set.format, at);
                valid = validator.fail_with_hint(pointer, message, hint);
                continue;
            };
            if set.format == Format::Parquet
                && let Some(expected) = column_type.mismatch(dtype)
            {
                let file = &file.name;
                let message =
                    format!("column `{name}` of `{file}` is {dtype}, expected {expected}");
                valid = validator.fail(pointer, message);
            }
        }
    }
    valid
}

fn missing_column_hint(name: &str, file: &SourceFile, format: Format, at: &str) -> String {
    match file.columns.as_slice() {
        [(only, _)] if format == Format::Csv => {
            let section = at.trim_start_matches('/').replace('/', ".");
            format!("the header has one column, `{only}`; check `{section}.csv.separator`")
        }
        columns => hint(name, columns.iter().map(|(column, _)| column.as_str())),
    }
}
