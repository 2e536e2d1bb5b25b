//! Binds the mapped columns to what the headers and footers of the source really hold.

use std::path::PathBuf;

use polars::prelude::DataType;

use super::checker::Checker;
use super::ingest_spec::*;
use super::problem::{Kind, hint};
use super::text;
use crate::columns::*;
use crate::ingest::probe::{self, ProbeError};
use crate::ingest::{
    Columns, FileSet, Format, KeyedParams, Rates, Source, SourceFile, TextFormat, Worth,
};
use crate::remote::RemoteError;

/// Columns of the segments that an attribute may not be called like.
const OURS: [&str; 23] = [
    SNAPSHOT,
    CUSTOMER_ID,
    LAST_ORDER_AT,
    RECENCY_DAYS,
    FREQUENCY,
    MONETARY,
    RETURNED_MONEY,
    R_SCORE,
    F_SCORE,
    M_SCORE,
    RFM_CODE,
    SEGMENT,
    PREVIOUS_SEGMENT,
    SEGMENT_SINCE,
    SNAPSHOTS_IN_SEGMENT,
    REASON,
    RFM_SCORE,
    TENURE_DAYS,
    MEAN_GAP_DAYS,
    GAP_DAYS_STD,
    AVERAGE_ORDER_VALUE,
    N_PRODUCTS,
    RULE,
];

/// Which types a mapped column may have in Parquet; elsewhere all is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Identity,
    Moment,
    Number,
    Anything,
}

impl Wanted {
    fn fits(self, dtype: &DataType) -> bool {
        match self {
            Self::Identity => {
                let text = *dtype == DataType::String || dtype.is_categorical() || dtype.is_enum();
                dtype.is_integer() || dtype.is_float() || text
            }
            Self::Moment => matches!(dtype, DataType::Date | DataType::Datetime(_, _)),
            Self::Number => dtype.is_primitive_numeric() || dtype.is_decimal(),
            Self::Anything => !dtype.is_nested(),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Identity => "text or a whole number",
            Self::Moment => "a date or a datetime",
            Self::Number => "a number",
            Self::Anything => "a plain value",
        }
    }
}

/// The sources of transactions; `None` where something is wrong with one, which `checker` has then been told.
pub(super) fn sources(spec: &TransactionSources, checker: &mut Checker<'_>) -> Option<Vec<Source>> {
    let mut sources = Vec::new();
    let mut sound = true;
    let mut seen: Vec<PathBuf> = Vec::new();
    let first = spec
        .each()
        .first()
        .map(|(_, first)| (first.columns.order_id.is_some(), first.csv.on_bad_row));
    for (at, source) in spec.each() {
        if first.is_some_and(|(has_orders, _)| has_orders != source.columns.order_id.is_some()) {
            let message = "`order_id` is mapped in one source and not in another; an order has to mean one thing";
            checker.wrong(&format!("{at}/columns"), message);
            sound = false;
        }
        if first.is_some_and(|(_, on_bad_row)| on_bad_row != source.csv.on_bad_row) {
            checker.wrong(
                &format!("{at}/csv/on_bad_row"),
                "the sources of a run agree on `on_bad_row`",
            );
            sound = false;
        }
        match bind(source, &at, &mut seen, checker) {
            Some(source) => sources.push(source),
            None => sound = false,
        }
    }
    sound.then_some(sources)
}

/// One source: its files, their one format, and the checked column names.
fn bind(
    spec: &TransactionsSpec,
    at: &str,
    seen: &mut Vec<PathBuf>,
    checker: &mut Checker<'_>,
) -> Option<Source> {
    let text = text::text(&spec.csv, &format!("{at}/csv"), checker);
    let columns = columns(&spec.columns, at, checker);
    let set = file_set(&spec.paths, text?, at, seen, checker)?;
    let columns = columns?;
    let mut all_fit = true;
    for (key, name, wanted) in mapped(&spec.columns) {
        let pointer = format!("{at}/columns/{key}");
        for file in &set.files {
            all_fit &= fits(file, set.format, at, &pointer, name, wanted, checker);
        }
    }
    all_fit.then_some(Source { set, columns })
}

/// The customers' source.
pub(super) fn customers(spec: &CustomersSpec, checker: &mut Checker<'_>) -> Option<KeyedParams> {
    let at = "/ingest/customers";
    for (i, name) in spec.attributes.iter().enumerate() {
        let pointer = format!("{at}/attributes/{i}");
        if taken(name) {
            checker.wrong(&pointer, format!("`{name}` is the name of a column of the segments"));
        } else if spec.attributes[..i].contains(name) {
            checker.wrong(&pointer, format!("attribute `{name}` is named twice"));
        }
    }
    keyed(spec, at, checker)
}

/// Whether the segments have, or may have, a column of that name.
fn taken(name: &str) -> bool {
    let of_models = ["_label", "_confidence", "_margin", "_novelty"];
    let of_why = ["_to_next", "_next_segment"];
    let generated = of_models.iter().chain(&of_why).any(|ending| name.ends_with(ending));
    let share = name.strip_prefix("category_").is_some_and(|rest| rest.ends_with("_share"));
    OURS.contains(&name) || name == LABEL || generated || share || name.contains("source.")
}

/// A table with one row a key.
pub(super) fn keyed(
    spec: &CustomersSpec,
    at: &str,
    checker: &mut Checker<'_>,
) -> Option<KeyedParams> {
    let text = text::text(&spec.csv, &format!("{at}/csv"), checker)?;
    let set = file_set(&spec.paths, text, at, &mut Vec::new(), checker)?;
    let mut all_fit = true;
    let attributes = spec.attributes.iter().enumerate();
    let wanted =
        attributes.map(|(i, name)| (format!("{at}/attributes/{i}"), name, Wanted::Anything));
    for (pointer, name, wanted) in
        [(format!("{at}/key"), &spec.key, Wanted::Identity)].into_iter().chain(wanted)
    {
        for file in &set.files {
            all_fit &= fits(file, set.format, at, &pointer, name, wanted, checker);
        }
    }
    all_fit.then(|| KeyedParams { set, key: spec.key.clone(), attributes: spec.attributes.clone() })
}

/// What foreign money is worth: `Some(None)` where no rates are asked for.
pub(super) fn rates(spec: &IngestSpec, checker: &mut Checker<'_>) -> Option<Option<Rates>> {
    let MoneySpec { currency, rates, .. } = &spec.money;
    let foreign =
        spec.transactions.each().into_iter().find(|(_, source)| source.columns.currency.is_some());
    let Some(own) = currency else {
        let at = foreign.map(|(at, _)| format!("{at}/columns/currency"));
        let at = at.or(rates.as_ref().map(|_| "/ingest/money/rates".to_owned()));
        return match at {
            None => Some(None),
            Some(at) => {
                let message =
                    "the pipeline's own currency has to be known: `ingest.money.currency`";
                checker.wrong(&at, message);
                None
            }
        };
    };
    let Some(path) = rates else { return Some(None) };
    let pointer = "/ingest/money/rates";
    if foreign.is_none() {
        checker.wrong(pointer, "no source maps `currency`, so that nothing could be converted");
        return None;
    }
    let full = checker.base().join(path);
    if !full.is_file() {
        checker.problem(
            Kind::Input,
            pointer,
            format!("no table of rates at `{}`", full.display()),
            None,
        );
        return None;
    }
    match Rates::read(&full, path, own) {
        Ok(rates) => Some(Some(rates)),
        Err(words) => {
            checker.problem(Kind::Data, pointer, format!("`{path}`: {words}"), None);
            None
        }
    }
}

/// Key, source column and wanted type of every mapped column.
fn mapped(spec: &ColumnsSpec) -> Vec<(&'static str, &str, Wanted)> {
    let ColumnsSpec {
        customer_id,
        order_id,
        ordered_at,
        product_id,
        quantity,
        unit_price,
        amount,
        currency,
        category,
    } = spec;
    let always = [
        ("customer_id", Some(customer_id), Wanted::Identity),
        ("order_id", order_id.as_ref(), Wanted::Identity),
        ("ordered_at", Some(ordered_at), Wanted::Moment),
        ("product_id", product_id.as_ref(), Wanted::Identity),
        ("quantity", quantity.as_ref(), Wanted::Number),
        ("unit_price", unit_price.as_ref(), Wanted::Number),
        ("amount", amount.as_ref(), Wanted::Number),
        ("currency", currency.as_ref(), Wanted::Identity),
        ("category", category.as_ref(), Wanted::Identity),
    ];
    always
        .into_iter()
        .filter_map(|(key, name, wanted)| Some((key, name?.as_str(), wanted)))
        .collect()
}

fn columns(spec: &ColumnsSpec, at: &str, checker: &mut Checker<'_>) -> Option<Columns> {
    let worth = match (&spec.quantity, &spec.unit_price, &spec.amount) {
        (Some(quantity), Some(unit_price), None) => {
            Worth::Priced { quantity: quantity.clone(), unit_price: unit_price.clone() }
        }
        (quantity, None, Some(amount)) => {
            Worth::Amount { amount: amount.clone(), quantity: quantity.clone() }
        }
        _ => {
            let message = "money comes either from `quantity` and `unit_price`, or from `amount`";
            checker.problem(Kind::Config, &format!("{at}/columns"), message.to_owned(), None);
            return None;
        }
    };
    Some(Columns {
        customer_id: spec.customer_id.clone(),
        order_id: spec.order_id.clone(),
        ordered_at: spec.ordered_at.clone(),
        product_id: spec.product_id.clone(),
        currency: spec.currency.clone(),
        category: spec.category.clone(),
        worth,
    })
}

/// The files and their one format.
fn file_set(
    patterns: &[String],
    text: TextFormat,
    at: &str,
    seen: &mut Vec<PathBuf>,
    checker: &mut Checker<'_>,
) -> Option<FileSet> {
    let mut found: Vec<(SourceFile, Format)> = Vec::new();
    let mut failed = false;
    for (idx, pattern) in patterns.iter().enumerate() {
        let pointer = format!("{at}/paths/{idx}");
        let paths = match probe::files(pattern, checker.base()) {
            Ok(paths) => paths,
            Err(error) => {
                failed = true;
                checker.problem(kind(&error), &pointer, error.to_string(), None);
                continue;
            }
        };
        for file in paths {
            // Of what is remote the URL tells whether it is the same.
            let place =
                if file.fetched.is_some() { PathBuf::from(&file.name) } else { file.path.clone() };
            if seen.contains(&place) {
                failed = true;
                checker.problem(
                    Kind::Config,
                    &pointer,
                    format!("`{}` is named twice", file.name),
                    None,
                );
                continue;
            }
            seen.push(place);
            match probe::probe(file, text.separator, text.encoding) {
                Ok((format, file)) => found.push((file, format)),
                Err(error) => {
                    failed = true;
                    checker.problem(kind(&error), &pointer, error.to_string(), None);
                }
            }
        }
    }
    let (first, format) =
        found.first().filter(|_| !failed).map(|(file, format)| (file.name.clone(), *format))?;
    if let Some((other, _)) = found.iter().find(|(_, of)| *of != format) {
        let message = format!("one source does not mix formats: `{first}` and `{}`", other.name);
        checker.problem(Kind::Config, &format!("{at}/paths"), message, None);
        return None;
    }
    Some(FileSet { files: found.into_iter().map(|(file, _)| file).collect(), format, text })
}

fn kind(error: &ProbeError) -> Kind {
    match error {
        ProbeError::Pattern { .. } | ProbeError::Suffix { .. } | ProbeError::Scheme(_) => {
            Kind::Config
        }
        ProbeError::Broken { .. } => Kind::Data,
        ProbeError::Remote(RemoteError::Url { .. }) => Kind::Config,
        ProbeError::NoMatch { .. }
        | ProbeError::EmptyFolder(_)
        | ProbeError::NothingRemote(_)
        | ProbeError::Remote(_)
        | ProbeError::Io { .. } => Kind::Input,
    }
}

fn fits(
    file: &SourceFile,
    format: Format,
    at: &str,
    pointer: &str,
    name: &str,
    wanted: Wanted,
    checker: &mut Checker<'_>,
) -> bool {
    let names = file.columns.iter().map(|(column, _)| column.as_str());
    match file.columns.iter().find(|(column, _)| column == name) {
        None => {
            let message = format!("`{}` has no column `{name}`", file.name);
            let hint = match file.columns.as_slice() {
                [(only, _)] if format == Format::Csv => {
                    format!(
                        "the header is the one column `{only}`: is `{}.csv.separator` right?",
                        dotted(at)
                    )
                }
                _ => hint(name, names),
            };
            checker.problem(Kind::Config, pointer, message, Some(hint));
            false
        }
        Some((_, dtype)) if format == Format::Parquet && !wanted.fits(dtype) => {
            let message = format!(
                "column `{name}` of `{}` is {dtype}, expected {}",
                file.name,
                wanted.words()
            );
            checker.problem(Kind::Config, pointer, message, None);
            false
        }
        Some(_) => true,
    }
}

/// A JSON pointer as the command line writes paths.
fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}
