//! SQL predicates over lines, parsed by polars-sql. They use the pipeline's column names and may
//! read one line at a time only.

use chrono::NaiveDate;
use polars::prelude::*;
use polars::sql::sql_expr;

use super::cell::has_text;
use super::source::FILE_NAME;
use super::{Money, Source, schema_mapping};
use crate::columns::*;

#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    pub sql: String,
    /// Boolean expression over the columns of the lines; true for lines to keep.
    pub keep: Expr,
    /// Source columns that the predicate reads in addition to the mapped columns.
    pub source_columns: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum PredicateError {
    #[error("not a SQL expression: {0}")]
    Syntax(String),
    #[error("unknown column `{0}`")]
    Unknown(String),
    #[error("`{file}` has column `{name}` twice")]
    Repeated { file: String, name: String },
    #[error("column `{name}` is {dtype}, which predicates and checks cannot read")]
    NoText { name: String, dtype: String },
    #[error("reads more than one line: aggregates, windows and subqueries are not supported")]
    NotRowwise,
    #[error("{0}")]
    Type(String),
}

impl Predicate {
    /// Parses a predicate and checks its types without reading a line.
    ///
    /// The pipeline's names take precedence: ids are text, `ordered_at` a local timestamp, `day` a
    /// date, `quantity` an integer, `unit_price` and `amount` are money. All other names are
    /// columns of the source, as text.
    pub fn parse(sql: &str, names: &SourceNames<'_>) -> Result<Self, PredicateError> {
        let parsed = parse_rowwise(sql)?;
        let mut columns: PlIndexMap<PlSmallStr, Expr> = PlIndexMap::default();
        let mut source_columns = Vec::new();
        for name in parsed.clone().meta().root_names() {
            if !columns.contains_key(&name) {
                let (expr, source_column) = names.column(&name)?;
                source_columns.extend(source_column);
                columns.insert(name, expr);
            }
        }
        let keep = parsed.map_expr(|expr| match &expr {
            Expr::Column(name) => columns.get(name).cloned().unwrap_or(expr),
            // DATE '2011-12-10': Polars warns about the cast that polars-sql creates for it.
            Expr::Cast { expr: text, dtype: DataTypeExpr::Literal(DataType::Date), .. } => {
                date_literal(text).unwrap_or(expr)
            }
            _ => expr,
        });
        let schema = line_schema(&source_columns, names.quantity_type());
        let keep = widened(keep, &schema);
        check_comparisons(&keep, &schema)?;
        check_boolean(&keep, &schema)?;
        Ok(Self { sql: sql.to_owned(), keep, source_columns })
    }
}

/// Types of the columns that a predicate can read.
fn line_schema(source_columns: &[String], quantity: DataType) -> Schema {
    let mut schema = Schema::default();
    for name in [CUSTOMER_ID, ORDER_ID, PRODUCT_ID, CURRENCY, CATEGORY] {
        schema.with_column(name.into(), DataType::String);
    }
    schema.with_column(QUANTITY.into(), quantity);
    for name in [UNIT_PRICE, AMOUNT] {
        schema.with_column(name.into(), DataType::Int64);
    }
    schema.with_column(ORDERED_AT.into(), DataType::Datetime(TimeUnit::Microseconds, None));
    schema.with_column(DAY.into(), DataType::Date);
    for name in source_columns {
        schema.with_column(schema_mapping::carried_name(name).into(), DataType::String);
    }
    schema
}

/// Computes sums and products of integers in 128 bits: those of 32 bits wrap around.
fn widened(expr: Expr, schema: &Schema) -> Expr {
    use Operator::{Minus, Multiply, Plus};
    let is_integer = |expr: &Expr| {
        let mut plan =
            DataFrame::empty_with_schema(schema).lazy().select([expr.clone().alias(REASON)]);
        let schema = plan.collect_schema();
        schema.is_ok_and(|schema| schema.get(REASON).is_some_and(DataType::is_integer))
    };
    let wide = |expr: &Expr| Arc::new(expr.clone().cast(DataType::Int128));
    expr.map_expr(|expr| match expr {
        Expr::BinaryExpr { left, op: op @ (Plus | Minus | Multiply), right }
            if is_integer(&left) && is_integer(&right) =>
        {
            Expr::BinaryExpr { left: wide(&left), op, right: wide(&right) }
        }
        other => other,
    })
}

pub(super) fn parse_rowwise(sql: &str) -> Result<Expr, PredicateError> {
    let parsed = sql_expr(sql).map_err(|error| PredicateError::Syntax(first_line(&error)))?;
    let is_rowwise = |expr: &Expr| match expr {
        // The list of an IN.
        Expr::Agg(AggExpr::Implode { .. }) => true,
        Expr::Agg(_) | Expr::Over { .. } | Expr::Len | Expr::SubPlan(..) => false,
        _ => true,
    };
    if parsed.into_iter().all(is_rowwise) { Ok(parsed) } else { Err(PredicateError::NotRowwise) }
}

/// Evaluates an expression on an empty frame, which reports type errors.
fn check_boolean(expr: &Expr, schema: &Schema) -> Result<(), PredicateError> {
    let plan = DataFrame::empty_with_schema(schema).lazy().select([expr.clone().alias(REASON)]);
    let result = plan.collect().map_err(|error| PredicateError::Type(first_line(&error)))?;
    match result.dtypes().as_slice() {
        [DataType::Boolean] => Ok(()),
        [other] => {
            let found = match other {
                DataType::String => "text".to_owned(),
                other if other.is_numeric() => "a number".to_owned(),
                other if other.is_temporal() => "a date".to_owned(),
                other => other.to_string(),
            };
            Err(PredicateError::Type(format!("expected a boolean, found {found}")))
        }
        _ => Err(PredicateError::NotRowwise),
    }
}

/// Dates are stored as numbers, and Polars compares them with numbers.
fn check_comparisons(expr: &Expr, schema: &Schema) -> Result<(), PredicateError> {
    let dtype = |expr: &Expr| {
        let mut plan =
            DataFrame::empty_with_schema(schema).lazy().select([expr.clone().alias("x")]);
        plan.collect_schema().ok()?.get("x").cloned()
    };
    for part in expr {
        let Expr::BinaryExpr { left, op, right } = part else { continue };
        let sides = [dtype(left), dtype(right)].map(|dtype| dtype.unwrap_or(DataType::Null));
        let any = |is: fn(&DataType) -> bool| sides.iter().any(is);
        if op.is_comparison() && any(DataType::is_temporal) && any(DataType::is_numeric) {
            let reason = "compares a date with a number: write DATE '2011-12-10'";
            return Err(PredicateError::Type(reason.to_owned()));
        }
    }
    Ok(())
}

/// Parses a rowwise condition over the columns of `schema`.
pub fn condition(sql: &str, schema: &Schema) -> Result<Expr, PredicateError> {
    let parsed = parse_rowwise(sql)?;
    let names = parsed.clone().meta().root_names();
    if let Some(name) = names.iter().find(|name| schema.get(name).is_none()) {
        return Err(PredicateError::Unknown(name.to_string()));
    }
    let parsed = widened(parsed, schema);
    check_boolean(&parsed, schema)?;
    Ok(parsed)
}

/// Column names that predicates and checks may use.
pub struct SourceNames<'a> {
    /// The pipeline's names of the columns that at least one source maps.
    mapped: PlIndexSet<&'a str>,
    /// All columns of all sources.
    columns: Vec<String>,
    /// Columns that a file has twice, with the file.
    repeated: PlHashMap<String, String>,
    /// Columns without a text, with their type.
    without_text: PlHashMap<String, String>,
    money: Money,
    has_whole_quantities: bool,
}

impl<'a> SourceNames<'a> {
    pub fn new(sources: &'a [Source], money: &Money, quantity_scale: u8) -> Self {
        let mapped = sources.iter().flat_map(|source| source.columns.mapped());
        let files = || sources.iter().flat_map(|source| &source.set.files);
        let columns = files().flat_map(|file| &file.columns);
        let without_text = columns.filter(|(_, dtype)| !has_text(dtype));
        Self {
            mapped: mapped.map(|(name, _)| name).collect(),
            columns: schema_mapping::all_columns(files()),
            repeated: files()
                .flat_map(|file| file.repeated.iter().map(|name| (name.clone(), file.name.clone())))
                .collect(),
            without_text: without_text.map(|(n, dtype)| (n.clone(), dtype.to_string())).collect(),
            money: money.clone(),
            has_whole_quantities: quantity_scale == 0,
        }
    }

    /// A column that stands in a text without the quotes that its name needs.
    pub(crate) fn unquoted(&self, sql: &str) -> Option<&str> {
        let is_plain = |c: char| c.is_alphanumeric() || c == '_';
        let mut names = self.columns.iter().filter(|name| !name.chars().all(is_plain));
        names.find(|name| sql.replace(&format!("\"{name}\""), "").contains(*name)).map(|n| &**n)
    }

    fn quantity_type(&self) -> DataType {
        if self.has_whole_quantities { DataType::Int64 } else { DataType::Float64 }
    }

    /// The text of [`Self::column`], to compare with values. Whole quantities have no decimals.
    pub fn text(&self, name: &str) -> Result<(Expr, Option<String>), PredicateError> {
        let (value, source_column) = self.column(name)?;
        let text = value.cast(DataType::String);
        let is_float = name == QUANTITY && !self.has_whole_quantities;
        let text = if is_float { text.str().replace(lit(r"\.0$"), lit(""), false) } else { text };
        Ok((text, source_column))
    }

    /// A column of the lines, to compare with the same column of other lines.
    pub fn key(&self, name: &str) -> Result<(Expr, Option<String>), PredicateError> {
        match self.column(name)? {
            (_, None) => Ok((col(name), None)),
            (column, source_column) => Ok((column, source_column)),
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &str> + Clone {
        self.mapped.iter().copied().chain(self.columns.iter().map(String::as_str))
    }

    /// A column of the lines: a name of the pipeline, or a column of the source, which is text and
    /// also returned by name.
    pub fn column(&self, name: &str) -> Result<(Expr, Option<String>), PredicateError> {
        if name == DAY || self.mapped.contains(name) {
            Ok((line_column(name, &self.money), None))
        } else if let Some(file) = self.repeated.get(name) {
            Err(PredicateError::Repeated { file: file.clone(), name: name.to_owned() })
        } else if let Some(dtype) = self.without_text.get(name) {
            Err(PredicateError::NoText { name: name.to_owned(), dtype: dtype.clone() })
        } else if name == FILE_NAME || self.columns.iter().any(|column| column == name) {
            let cell = col(schema_mapping::carried_name(name)).cast(DataType::String);
            Ok((cell, Some(name.to_owned())))
        } else {
            Err(PredicateError::Unknown(name.to_owned()))
        }
    }
}

fn date_literal(text: &Expr) -> Option<Expr> {
    let Expr::Literal(literal) = text else { return None };
    let date = NaiveDate::parse_from_str(literal.extract_str()?, "%Y-%m-%d").ok()?;
    Some(lit(date).cast(DataType::Date))
}

fn line_column(name: &str, money: &Money) -> Expr {
    match name {
        CUSTOMER_ID | ORDER_ID | PRODUCT_ID | CATEGORY => col(name).cast(DataType::String),
        UNIT_PRICE | AMOUNT => money.major(col(name)),
        _ => col(name),
    }
}

pub(super) fn first_line(error: &PolarsError) -> String {
    error.to_string().lines().take(1).collect()
}
