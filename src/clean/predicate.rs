//! SQL predicates over lines: parsed by polars-sql, given the pipeline's names, and held to one line at a time.

use chrono::NaiveDate;
use polars::prelude::*;
use polars::sql::sql_expr;

use crate::columns::*;
use crate::ingest::{Money, conform};

/// Names that a predicate may use besides the source's own columns.
pub const NAMES: [&str; 10] = [
    CUSTOMER_ID,
    ORDER_ID,
    ORDERED_AT,
    DAY,
    PRODUCT_ID,
    QUANTITY,
    UNIT_PRICE,
    AMOUNT,
    CURRENCY,
    CATEGORY,
];

/// A parsed predicate.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    /// What the user wrote.
    pub sql: String,
    /// The predicate over the lines' columns; true for lines to keep.
    pub keep: Expr,
    /// Source columns that it looks at, besides the mapped ones.
    pub source_columns: Vec<String>,
}

/// Why a predicate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PredicateError {
    /// It is no SQL expression.
    #[error("not a SQL expression: {0}")]
    Syntax(String),
    /// It names a column that is neither the pipeline's nor the source's.
    #[error("no column is called `{0}`")]
    Unknown(String),
    /// It looks at more than one line.
    #[error("looks at more than one line: an aggregate, a window or a subquery")]
    NotRowwise,
    /// Its types do not go together, or it is neither true nor false.
    #[error("{0}")]
    Type(String),
}

impl Predicate {
    /// Parses a predicate. The pipeline's names come first: ids are text, `ordered_at` a local moment, `day` a date,
    /// `quantity` a whole number, `unit_price` and `amount` are money. Other names are the source's columns, as text.
    ///
    /// # Errors
    /// What is wrong with it, before any line is read.
    pub fn parse(
        sql: &str,
        mapped: &[&str],
        source: &[String],
        money: &Money,
    ) -> Result<Self, PredicateError> {
        let parsed = rowwise(sql)?;
        let mut source_columns = Vec::new();
        for name in parsed.clone().meta().root_names() {
            let ours = name == DAY || mapped.contains(&name.as_str());
            if !ours && !source.iter().any(|column| *column == name.as_str()) {
                return Err(PredicateError::Unknown(name.to_string()));
            }
            if !ours && !source_columns.contains(&name.to_string()) {
                source_columns.push(name.to_string());
            }
        }
        let keep = parsed.map_expr(|e| match &e {
            Expr::Column(name) if source_columns.contains(&name.to_string()) => {
                col(conform::carried_name(name)).cast(DataType::String)
            }
            Expr::Column(name) => line_column(name, money),
            // DATE '2011-12-10'; Polars warns of the cast that polars-sql makes of it.
            Expr::Cast { expr, dtype: DataTypeExpr::Literal(DataType::Date), .. } => {
                day(expr).unwrap_or(e)
            }
            _ => e,
        });
        let predicate = Self { sql: sql.to_owned(), keep, source_columns };
        predicate.check()?;
        Ok(predicate)
    }

    /// Tries the types on a frame without rows.
    fn check(&self) -> Result<(), PredicateError> {
        let datetime = DataType::Datetime(TimeUnit::Microseconds, None);
        let ours = NAMES.iter().map(|&name| match name {
            ORDERED_AT => (name.to_owned(), datetime.clone()),
            DAY => (name.to_owned(), DataType::Date),
            QUANTITY | UNIT_PRICE | AMOUNT => (name.to_owned(), DataType::Int64),
            _ => (name.to_owned(), DataType::String),
        });
        let theirs =
            self.source_columns.iter().map(|name| (conform::carried_name(name), DataType::String));
        let schema: Schema = ours
            .chain(theirs)
            .map(|(name, dtype)| (PlSmallStr::from_string(name), dtype))
            .collect();
        is_true_or_false(&self.keep, &schema)
    }
}

/// Parses an expression that looks at one row alone.
fn rowwise(sql: &str) -> Result<Expr, PredicateError> {
    let parsed = sql_expr(sql).map_err(|error| PredicateError::Syntax(first_line(&error)))?;
    let many = |e: &Expr| match e {
        // The list of an IN.
        Expr::Agg(AggExpr::Implode { .. }) => false,
        Expr::Agg(_) | Expr::Over { .. } | Expr::Len | Expr::SubPlan(..) => true,
        _ => false,
    };
    if parsed.into_iter().any(many) {
        return Err(PredicateError::NotRowwise);
    }
    Ok(parsed)
}

/// Tries an expression on a frame without rows.
fn is_true_or_false(expr: &Expr, schema: &Schema) -> Result<(), PredicateError> {
    let tried =
        DataFrame::empty_with_schema(schema).lazy().select([expr.clone().alias(REASON)]).collect();
    let dtype = tried.map_err(|error| PredicateError::Type(first_line(&error)))?;
    match dtype.dtypes().as_slice() {
        [DataType::Boolean] => Ok(()),
        [other] => {
            Err(PredicateError::Type(format!("expected something true or false, found {other}")))
        }
        _ => Err(PredicateError::NotRowwise),
    }
}

/// Parses a condition over the columns of a table, held to one row at a time.
///
/// # Errors
/// What is wrong with it, before any row is there.
pub fn condition(sql: &str, schema: &Schema) -> Result<Expr, PredicateError> {
    let parsed = rowwise(sql)?;
    let names = parsed.clone().meta().root_names();
    if let Some(name) = names.iter().find(|name| schema.get(name).is_none()) {
        return Err(PredicateError::Unknown(name.to_string()));
    }
    is_true_or_false(&parsed, schema)?;
    Ok(parsed)
}

/// A column of the lines by the name that the user gives it: one of the pipeline's, or one of the source's, which is
/// text; and the source column, where it is one.
///
/// # Errors
/// A name that is neither.
pub fn column(
    name: &str,
    mapped: &[&str],
    source: &[String],
    money: &Money,
) -> Result<(Expr, Option<String>), PredicateError> {
    match name == DAY || mapped.contains(&name) {
        true => Ok((line_column(name, money), None)),
        false if source.iter().any(|column| column == name) => {
            Ok((col(conform::carried_name(name)).cast(DataType::String), Some(name.to_owned())))
        }
        false => Err(PredicateError::Unknown(name.to_owned())),
    }
}

/// A literal text as a day, if it is one.
fn day(text: &Expr) -> Option<Expr> {
    let Expr::Literal(literal) = text else { return None };
    let text = literal.extract_str()?.to_owned();
    let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?;
    Some(lit(date).cast(DataType::Date))
}

fn line_column(name: &str, money: &Money) -> Expr {
    match name {
        CUSTOMER_ID | ORDER_ID | PRODUCT_ID | CATEGORY => col(name).cast(DataType::String),
        UNIT_PRICE | AMOUNT => money.major(col(name)),
        _ => col(name),
    }
}

fn first_line(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
