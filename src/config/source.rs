//! Binds the mapped columns to what the headers and footers of the source really hold.

use encoding_rs::Encoding;
use polars::prelude::DataType;

use super::checker::Checker;
use super::problem::{Kind, hint};
use super::spec::{ColumnsSpec, TransactionsSpec};
use crate::ingest::probe::{self, ProbeError};
use crate::ingest::{Columns, Format, SourceFile, Worth};

/// Pointer of the section that names the files.
const AT: &str = "/ingest/transactions";

/// Which types a mapped column may have in Parquet; elsewhere all is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Identity,
    Moment,
    Number,
}

impl Wanted {
    fn fits(self, dtype: &DataType) -> bool {
        match self {
            Self::Identity => dtype.is_integer() || dtype.is_float() || *dtype == DataType::String,
            Self::Moment => matches!(dtype, DataType::Date | DataType::Datetime(_, _)),
            Self::Number => dtype.is_primitive_numeric() || dtype.is_decimal(),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Identity => "text or a whole number",
            Self::Moment => "a date or a datetime",
            Self::Number => "a number",
        }
    }
}

/// The files, their one format, and the checked column names; `None` where something is wrong, which `checker` has
/// then been told.
pub(super) fn bind(
    spec: &TransactionsSpec,
    separator: u8,
    encoding: &'static Encoding,
    checker: &mut Checker<'_>,
) -> Option<(Vec<SourceFile>, Format, Columns)> {
    let columns = columns(&spec.columns, checker);
    let files = files(spec, separator, encoding, checker)?;
    let (_, format) = *files.first().map(|(file, format)| (file, format)).as_ref()?;
    let format = *format;
    if let Some((other, _)) = files.iter().find(|(_, of)| *of != format) {
        let first = &files[0].0.name;
        let message = format!("one run does not mix formats: `{first}` and `{}`", other.name);
        checker.problem(Kind::Config, &format!("{AT}/paths"), message, None);
        return None;
    }
    let files: Vec<SourceFile> = files.into_iter().map(|(file, _)| file).collect();
    let columns = columns?;
    let mut all_fit = true;
    for (key, name, wanted) in mapped(&spec.columns) {
        let pointer = format!("{AT}/columns/{key}");
        for file in &files {
            all_fit &= fits(file, format, &pointer, name, wanted, checker);
        }
    }
    all_fit.then_some((files, format, columns))
}

/// Key, source column and wanted type of every mapped column.
fn mapped(spec: &ColumnsSpec) -> Vec<(&'static str, &str, Wanted)> {
    let ColumnsSpec { customer_id, order_id, ordered_at, product_id, quantity, unit_price, amount } = spec;
    let always = [
        ("customer_id", Some(customer_id), Wanted::Identity),
        ("order_id", order_id.as_ref(), Wanted::Identity),
        ("ordered_at", Some(ordered_at), Wanted::Moment),
        ("product_id", product_id.as_ref(), Wanted::Identity),
        ("quantity", quantity.as_ref(), Wanted::Number),
        ("unit_price", unit_price.as_ref(), Wanted::Number),
        ("amount", amount.as_ref(), Wanted::Number),
    ];
    always.into_iter().filter_map(|(key, name, wanted)| Some((key, name?.as_str(), wanted))).collect()
}

fn columns(spec: &ColumnsSpec, checker: &mut Checker<'_>) -> Option<Columns> {
    let worth = match (&spec.quantity, &spec.unit_price, &spec.amount) {
        (Some(quantity), Some(unit_price), None) => {
            Worth::Priced { quantity: quantity.clone(), unit_price: unit_price.clone() }
        }
        (quantity, None, Some(amount)) => Worth::Amount { amount: amount.clone(), quantity: quantity.clone() },
        _ => {
            let message = "money comes either from `quantity` and `unit_price`, or from `amount`";
            checker.problem(Kind::Config, &format!("{AT}/columns"), message.to_owned(), None);
            return None;
        }
    };
    Some(Columns {
        customer_id: spec.customer_id.clone(),
        order_id: spec.order_id.clone(),
        ordered_at: spec.ordered_at.clone(),
        product_id: spec.product_id.clone(),
        worth,
    })
}

fn files(
    spec: &TransactionsSpec,
    separator: u8,
    encoding: &'static Encoding,
    checker: &mut Checker<'_>,
) -> Option<Vec<(SourceFile, Format)>> {
    let mut found: Vec<(SourceFile, Format)> = Vec::new();
    let mut failed = false;
    for (idx, pattern) in spec.paths.iter().enumerate() {
        let pointer = format!("{AT}/paths/{idx}");
        let paths = match probe::files(pattern, checker.base()) {
            Ok(paths) => paths,
            Err(error) => {
                failed = true;
                checker.problem(kind(&error), &pointer, error.to_string(), None);
                continue;
            }
        };
        for path in paths {
            let name = path.strip_prefix(checker.base()).unwrap_or(&path).display().to_string();
            if found.iter().any(|(file, _)| file.path == path) {
                failed = true;
                checker.problem(Kind::Config, &pointer, format!("`{name}` is named twice"), None);
                continue;
            }
            match probe::probe(&path, &name, separator, encoding) {
                Ok((format, file)) => found.push((file, format)),
                Err(error) => {
                    failed = true;
                    checker.problem(kind(&error), &pointer, error.to_string(), None);
                }
            }
        }
    }
    (!failed).then_some(found)
}

fn kind(error: &ProbeError) -> Kind {
    match error {
        ProbeError::Pattern { .. } | ProbeError::Suffix { .. } => Kind::Config,
        ProbeError::Broken { .. } => Kind::Data,
        ProbeError::NoMatch { .. } | ProbeError::EmptyFolder(_) | ProbeError::Io { .. } => Kind::Input,
    }
}

fn fits(
    file: &SourceFile,
    format: Format,
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
                    format!("the header is the one column `{only}`: is `ingest.transactions.csv.separator` right?")
                }
                _ => hint(name, names),
            };
            checker.problem(Kind::Config, pointer, message, Some(hint));
            false
        }
        Some((_, dtype)) if format == Format::Parquet && !wanted.fits(dtype) => {
            let message = format!("column `{name}` of `{}` is {dtype}, expected {}", file.name, wanted.words());
            checker.problem(Kind::Config, pointer, message, None);
            false
        }
        Some(_) => true,
    }
}
