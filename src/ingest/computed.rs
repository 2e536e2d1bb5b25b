//! Columns that are computed from others of their row: fields of nested columns, and SQL
//! expressions.

use polars::prelude::*;

use super::cell::NullValues;
use super::decimal::DECIMAL;
use super::predicate::{PredicateError, first_line, parse_rowwise};
use super::source::{Format, NumberFormat, SourceFile};
use super::typer::{Cells, Typed, Typer};
use super::{LinePlan, workbook};

/// A column that is computed from others of its row.
#[derive(Debug, Clone)]
pub struct Computed {
    /// The path or the SQL.
    pub name: String,
    pub dtype: DataType,
    /// Columns of the file and keys of its path.
    pub reads: Vec<String>,
    value: Expr,
    /// Text of the first cell that is no number, null if there is none.
    error: Option<Expr>,
    /// The same over [`decimal_name`] and the errors of the columns that are read, if all of them
    /// are read as numbers only, and are text.
    of_decimals: Option<(Expr, Option<Expr>)>,
}

/// Name of the column with the cells of a text column as decimals.
pub(super) fn decimal_name(column: &str) -> String {
    format!("custseg.decimal.{column}")
}

/// What columns of text stand for in the result of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Text,
    Number,
}

/// The parts of a source's definition that SQL over its columns depends on.
#[derive(Debug, Clone, Copy)]
pub struct SqlContext<'a> {
    pub file: &'a SourceFile,
    pub format: Format,
    pub numbers: &'a NumberFormat,
    pub nulls: &'a NullValues,
}

/// Whether a text is meant as SQL rather than as the name of a column.
fn is_sql(text: &str) -> bool {
    const SIGNS: [char; 9] = ['(', ')', '\'', '"', '+', '*', '/', '|', '='];
    text.contains(SIGNS) || text.contains(" - ") || text.to_uppercase().starts_with("CASE ")
}

impl Computed {
    /// A column of empty texts, which its source replaces.
    pub(super) fn empty_text(name: String) -> Self {
        let (dtype, value) = (DataType::String, lit(""));
        Self { name, dtype, reads: Vec::new(), value, error: None, of_decimals: None }
    }

    /// A field of a nested column by its path, such as `customer.email`. `None` if there is none.
    fn field(path: &str, file: &SourceFile) -> Option<Self> {
        let mut parts = path.split('.');
        let root = parts.next()?;
        let mut dtype = file.columns.iter().find(|(name, _)| name == root)?.1.clone();
        let mut value = col(root);
        for part in parts {
            let DataType::Struct(fields) = dtype else { return None };
            dtype = fields.iter().find(|field| field.name().as_str() == part)?.dtype().clone();
            value = value.struct_().field_by_name(part);
        }
        let (name, reads) = (path.to_owned(), vec![root.to_owned()]);
        Some(Self { name, dtype, reads, value, error: None, of_decimals: None })
    }

    /// A field of a nested column, or the value of a SQL expression. `None` if the text is neither:
    /// it is the name of a column that the file does not have.
    ///
    /// # Errors
    /// Invalid SQL, an unknown column, or types that do not fit.
    pub fn new(
        text: &str,
        wanted: Wanted,
        context: SqlContext<'_>,
    ) -> Result<Option<Self>, PredicateError> {
        if let Some(field) = Self::field(text, context.file) {
            return Ok(Some(field));
        }
        let parsed = match parse_rowwise(text) {
            // `order date` would be a column with another name.
            Ok(Expr::Alias(..)) => return Ok(None),
            Ok(Expr::Column(_)) if !text.starts_with('"') => return Ok(None),
            Err(_) if !is_sql(text) => return Ok(None),
            parsed => parsed?,
        };
        match Self::sql(text, parsed, wanted, context) {
            Err(PredicateError::Unknown(_)) if !is_sql(text) => Ok(None),
            computed => computed.map(Some),
        }
    }

    fn sql(
        sql: &str,
        parsed: Expr,
        wanted: Wanted,
        context: SqlContext<'_>,
    ) -> Result<Self, PredicateError> {
        let mut reads: Vec<String> = Vec::new();
        for name in parsed.clone().meta().root_names() {
            let SqlContext { file, .. } = context;
            if file.dtype(&name).is_none() {
                return Err(PredicateError::Unknown(name.to_string()));
            }
            if file.repeated.iter().any(|repeated| *repeated == name) {
                let (file, name) = (file.name.clone(), name.to_string());
                return Err(PredicateError::Repeated { file, name });
            }
            if !reads.iter().any(|read| *read == name) {
                reads.push(name.to_string());
            }
        }
        if let Some(name) = reads.iter().find(|name| {
            matches!(context.file.column_type(name), DataType::Decimal(precision, _) if precision > 38)
        }) {
            return Err(PredicateError::Type(format!("`{name}` has more than 38 digits")));
        }
        let typer = Typer { context, schema: context.schema(&reads), cells: Cells::Raw };
        let Typed { value, error } = match wanted {
            Wanted::Number => typer.number(parsed.clone())?,
            Wanted::Text => typer.text(parsed.clone())?,
        };
        let empty = DataFrame::empty_with_schema(&typer.schema);
        let result = empty.lazy().select([value.clone().alias(sql)]).collect();
        let result = result.map_err(|error| PredicateError::Type(first_line(&error)))?;
        let dtype = result.columns()[0].dtype().clone();
        let of_decimals = match wanted {
            Wanted::Number if context.format == Format::Csv => {
                Self::of_decimals(parsed, context, &reads)?
            }
            _ => None,
        };
        Ok(Self { name: sql.to_owned(), dtype, reads, value, error, of_decimals })
    }

    /// An expression over decimals, if it reads nothing else.
    fn of_decimals(
        parsed: Expr,
        context: SqlContext<'_>,
        reads: &[String],
    ) -> Result<Option<(Expr, Option<Expr>)>, PredicateError> {
        let mut schema = context.schema(reads);
        for name in reads {
            schema.with_column(decimal_name(name).into(), DECIMAL);
            schema.with_column(workbook::error_name(name).into(), DataType::String);
        }
        let Typed { value, error } =
            Typer { context, schema, cells: Cells::Decimals }.number(parsed)?;
        let is_decimal = |name: &PlSmallStr| {
            let mut names = reads.iter().filter(|name| !context.file.is_partition(name));
            names.any(|read| {
                [decimal_name(read), workbook::error_name(read)].contains(&name.to_string())
            })
        };
        let mut roots = value.clone().meta().root_names();
        roots.extend(error.iter().flat_map(|error| error.clone().meta().root_names()));
        Ok(roots.iter().all(is_decimal).then_some((value, error)))
    }

    /// Whether rows may have a cell that is no number.
    pub(super) fn can_fail(&self) -> bool {
        self.error.is_some()
    }

    pub(super) fn reads_decimals(&self) -> bool {
        self.of_decimals.is_some()
    }

    /// The column and the text of its errors, from the cells of `decimals` in rows.
    pub(super) fn of_columns(&self, decimals: DataFrame) -> PolarsResult<Vec<Column>> {
        let Some((value, error)) = &self.of_decimals else { return Ok(Vec::new()) };
        let error = error.clone().map(|error| error.alias(workbook::error_name(&self.name)));
        let exprs = [value.clone().alias(self.name.as_str())].into_iter().chain(error);
        let rows = decimals.height();
        let plan = LinePlan::default().select(exprs.collect());
        let columns = plan.apply(decimals).collect()?.columns().to_vec().into_iter();
        // A constant has one row.
        let filled = |column: Column| {
            if column.len() == rows { column } else { column.new_from_index(0, rows) }
        };
        Ok(columns.map(filled).collect())
    }

    /// The expressions of the column, and of the text of its errors.
    pub(super) fn exprs(&self) -> impl Iterator<Item = Expr> {
        let error = self.error.clone();
        let error = error.map(|error| error.alias(workbook::error_name(&self.name)));
        [self.value.clone().alias(self.name.as_str())].into_iter().chain(error)
    }
}

impl SqlContext<'_> {
    /// Types of columns of the file, with the columns of typed cells that a workbook has.
    pub(super) fn schema(&self, names: &[String]) -> Schema {
        let mut schema = Schema::default();
        for name in names {
            schema.with_column(name.as_str().into(), self.file.column_type(name));
            if self.has_typed_cells(name) {
                schema.with_column(workbook::number_name(name).into(), DataType::Float64);
                schema.with_column(workbook::error_name(name).into(), DataType::String);
            }
        }
        schema
    }

    pub(super) fn has_typed_cells(&self, name: &str) -> bool {
        self.format == Format::Workbook && !self.file.is_partition(name)
    }
}
