//! Resolves source files and checks the mapped columns against their headers and footers.

use std::path::PathBuf;
use std::sync::Arc;

use polars::prelude::DataType;

use super::SourceFiles;
use super::diagnostics::{Kind, hint};
use super::files::{Paths, SeenFiles};
use super::ingest_spec::*;
use super::query::{filled, query, tables};
use super::text;
use super::validator::Validator;
use crate::columns::*;
use crate::ingest::TimestampFormat;
use crate::ingest::cell::{has_text, is_text};
use crate::ingest::computed::{SqlContext, Wanted};
use crate::ingest::predicate::PredicateError;
use crate::ingest::probe;
use crate::ingest::summary;
use crate::ingest::{
    Columns, Computed, FileSet, Format, LineAmount, LookupParams, Rates, Source, SourceFile,
};

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
        if *dtype == DataType::Null {
            return None;
        }
        let is_decimal = matches!(dtype, DataType::Decimal(precision, _) if *precision <= 38);
        let is_number = dtype.is_integer() || dtype.is_float() || is_decimal;
        let (fits, expected) = match self {
            Self::Id => (
                is_number || is_text(dtype) || *dtype == DataType::Binary,
                "text, a whole number or a UUID",
            ),
            Self::Timestamp => (
                is_text(dtype)
                    || dtype.is_integer()
                    || matches!(dtype, DataType::Date | DataType::Datetime(_, _)),
                "a date, a datetime, text or a whole number",
            ),
            Self::Number => (is_number || is_text(dtype), "a number of at most 38 digits, or text"),
            Self::Scalar => (
                has_text(dtype) || matches!(dtype, DataType::Binary | DataType::Duration(_)),
                "a scalar value",
            ),
        };
        (!fits).then_some(expected)
    }
}

/// A column that every file of a set must have: JSON pointer of its option, name and type.
type RequiredColumn<'a> = (String, &'a str, ColumnType);

/// The sources of transactions. `None` if one is invalid.
pub(super) fn sources(spec: &IngestSpec, validator: &mut Validator<'_>) -> Option<Vec<Source>> {
    let specs = spec.transactions.each();
    let mut seen = SeenFiles::new();
    let tables = tables(&spec.sources, &mut seen, validator);
    if !spec.sources.is_empty() && specs.iter().all(|(_, source)| source.query.is_none()) {
        let message = "only a `query` of `ingest.transactions` reads `sources`";
        validator.report_invalid("/ingest/sources", message);
    }
    let (_, first) = specs.first()?;
    let mut sources = Vec::with_capacity(specs.len());
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
        let bound = bind(source, (at, tables.as_deref()), &mut seen, validator);
        sources.push(valid.and(bound));
    }
    // All sources are checked before the first failure returns, so that each is reported.
    sources.into_iter().collect()
}

/// Resolves the files of one source and checks its mapped columns.
fn bind(
    spec: &TransactionsSpec,
    (at, tables): (&str, Option<&[(String, FileSet)]>),
    seen: &mut SeenFiles,
    validator: &mut Validator<'_>,
) -> Option<Source> {
    let text = text::text(&spec.csv, &format!("{at}/csv"), validator);
    let columns = columns(&spec.columns, at, validator);
    let (text, columns) = (text?, columns?);
    let required = columns.mapped().into_iter();
    let required: Vec<_> = required
        .map(|(key, name)| (format!("{at}/columns/{key}"), name, ColumnType::of(key)))
        .collect();
    let paths = Paths { patterns: &spec.paths, workbook: &spec.workbook, format: spec.format, at };
    let names: Vec<&str> = required.iter().map(|(_, name, _)| *name).collect();
    let query = match (&spec.query, &*spec.paths) {
        (None, []) => return validator.fail(at, "expected `paths` or `query`"),
        (Some(_), [_, ..]) => {
            let message = "a query reads `ingest.sources`, not `paths`";
            return validator.fail(&format!("{at}/paths"), message);
        }
        (None, _) if spec.max_rows_factor.is_some() => {
            let message = "`max_rows_factor` applies to a `query`";
            return validator.fail(&format!("{at}/max_rows_factor"), message);
        }
        (None, _) => None,
        (Some(_), []) if validator.document.source_files == SourceFiles::None => None,
        (Some(sql), []) => Some(query(sql, spec, (at, tables?), validator)?),
    };
    let mut set = match &query {
        Some((_, columns)) => {
            let file = SourceFile::new(PathBuf::new(), "the query".to_owned());
            let files = vec![SourceFile { columns: columns.clone(), ..file }];
            FileSet { files, format: Format::Arrow, text }
        }
        None => paths.file_set(text, &names, seen, validator)?,
    };
    compute_columns(&mut set, &required, validator)?;
    check_columns(&set, at, &required, validator)?;
    let fill = match &spec.fill {
        Some(fill) => Some(filled(fill, (at, &columns), &set, validator)?),
        None => None,
    };
    let query = query.map(|(query, _)| Arc::new(query));
    let timestamps = spec.timestamps;
    let mut columns = columns;
    let is_summary = at == SUMMARY;
    if is_summary {
        let (name, orders) = summary::orders();
        set.files.iter_mut().for_each(|file| file.computed.push(orders.clone()));
        columns.order_id = Some(name);
    }
    Some(Source { set, columns, timestamps, filter: None, fill, is_summary, query })
}

/// Adds the columns that the mapping computes: fields of nested columns, and SQL.
fn compute_columns(
    set: &mut FileSet,
    required: &[RequiredColumn<'_>],
    validator: &mut Validator<'_>,
) -> Option<()> {
    let mut valid = Some(());
    let nulls = validator.sources.ids.nulls.clone();
    for (pointer, name, column_type) in required {
        for file in &mut set.files {
            if file.dtype(name).is_some() {
                continue;
            }
            let context = SqlContext {
                file: &*file,
                format: set.format,
                numbers: &set.text.numbers,
                nulls: &nulls,
            };
            let is_number = *column_type == ColumnType::Number;
            let wanted = if is_number { Wanted::Number } else { Wanted::Text };
            match Computed::new(name, wanted, context) {
                Ok(computed) => file.computed.extend(computed.map(Arc::new)),
                Err(error) => {
                    let hint = match &error {
                        PredicateError::Unknown(name) => Some(hint(name, file.column_names())),
                        _ => None,
                    };
                    let message = format!("`{name}` for `{}`: {error}", file.name);
                    validator.report(Kind::Config, pointer, message, hint);
                    valid = None;
                }
            }
        }
    }
    valid
}

pub(super) fn customers(
    spec: &CustomersSpec,
    validator: &mut Validator<'_>,
) -> Option<LookupParams> {
    let at = "/ingest/customers";
    for (i, name) in spec.attributes.iter().enumerate() {
        let pointer = format!("{at}/attributes/{i}");
        if is_reserved(&name.to_lowercase()) {
            let message = format!("attribute `{name}` has the name of a result column");
            validator.report_with_hint(&pointer, message, "rename the column in the source");
        } else if *name == spec.key {
            let message = format!("attribute `{name}` is the key, which every table has already");
            validator.report_invalid(&pointer, message);
        } else if spec.attributes[..i].iter().any(|other| other.eq_ignore_ascii_case(name)) {
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
    let mut required = vec![(format!("{at}/key"), spec.key.as_str(), ColumnType::Id)];
    for (i, name) in spec.attributes.iter().enumerate() {
        required.push((format!("{at}/attributes/{i}"), name, ColumnType::Scalar));
    }
    let paths = Paths { patterns: &spec.paths, workbook: &spec.workbook, format: spec.format, at };
    let names: Vec<&str> = required.iter().map(|(_, name, _)| *name).collect();
    let set = paths.file_set(text, &names, &mut SeenFiles::new(), validator)?;
    check_columns(&set, at, &required, validator)?;
    let (key, attributes) = (spec.key.clone(), spec.attributes.clone());
    Some(LookupParams { set, key, attributes, ids: validator.sources.ids.clone() })
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
    let full = validator.document.base(POINTER).join(path);
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

/// Requires that every file has the columns in suitable types, each once.
fn check_columns(
    set: &FileSet,
    at: &str,
    required: &[RequiredColumn<'_>],
    validator: &mut Validator<'_>,
) -> Option<()> {
    let mut valid = Some(());
    let names: Vec<&str> = required.iter().map(|(_, name, _)| *name).collect();
    for (pointer, name, column_type) in required {
        for file in &set.files {
            let Some(dtype) = file.dtype(name) else {
                let message = format!("`{}` has no column `{name}`", file.name);
                let hint = missing_column_hint(name, file, set, (at, &names));
                valid = validator.fail_with_hint(pointer, message, hint);
                continue;
            };
            if file.repeated.iter().any(|repeated| repeated == name) {
                let message = format!("`{}` has column `{name}` twice", file.name);
                valid = validator.fail(pointer, message);
            } else if *column_type == ColumnType::Timestamp
                && dtype.is_integer()
                && !set.text.datetime_formats.iter().any(TimestampFormat::reads_digits)
            {
                let message = format!(
                    "column `{name}` of `{}` is {dtype}, which no declared format reads",
                    file.name
                );
                let hint = "for numbers such as 20240301 or seconds since 1970, set \
                            `csv.datetime_formats` to [\"%Y%m%d\"] or [epoch_s]";
                valid = validator.fail_with_hint(pointer, message, hint);
            } else if let Some(expected) = column_type.mismatch(dtype) {
                let file = &file.name;
                let message =
                    format!("column `{name}` of `{file}` is {dtype}, expected {expected}");
                valid = validator.fail(pointer, message);
            }
        }
    }
    valid
}

fn missing_column_hint(
    name: &str,
    file: &SourceFile,
    set: &FileSet,
    (at, required): (&str, &[&str]),
) -> String {
    let section = at.trim_start_matches('/').replace('/', ".");
    let columns = || hint(name, file.column_names());
    match (set.format, file.columns.as_slice()) {
        (Format::Csv, _) if let Some(hint) = probe::header_hint(file, &set.text, required) => hint,
        (Format::Csv, [(only, _)]) => {
            format!("the header has one column, `{only}`; check `{section}.csv.separator`")
        }
        (Format::Csv, _) => {
            let columns = columns();
            let is_close = columns.starts_with("did you mean");
            if is_close {
                columns
            } else {
                format!(
                    "{columns}; if the first line is no header, set `csv.header: false` or `csv.skip_rows`"
                )
            }
        }
        (Format::Workbook, _) if let Some(sheet) = &file.sheet => format!(
            "read from sheet `{}`: {}; `{section}.workbook` chooses sheets and the header row",
            sheet.name,
            columns()
        ),
        _ => columns(),
    }
}
