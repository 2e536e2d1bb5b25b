//! Columns that are computed from others of their row: fields of nested columns, and SQL expressions.

use polars::prelude::*;

use super::cell::NullValues;
use super::predicate::{PredicateError, first_line, parse_rowwise};
use super::source::{Format, NumberFormat, SourceFile};
use super::typer::{Typed, Typer};
use super::workbook;

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
        Self { name, dtype, reads: Vec::new(), value, error: None }
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
        Some(Self { name, dtype, reads, value, error: None })
    }

    /// A field of a nested column, or the value of a SQL expression. `None` if the text is neither: it
    /// is the name of a column that the file does not have.
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
        let typer = Typer { context, schema: context.schema(&reads) };
        let Typed { value, error } = match wanted {
            Wanted::Number => typer.number(parsed)?,
            Wanted::Text => typer.text(parsed)?,
        };
        let empty = DataFrame::empty_with_schema(&typer.schema);
        let result = empty.lazy().select([value.clone().alias(sql)]).collect();
        let result = result.map_err(|error| PredicateError::Type(first_line(&error)))?;
        let dtype = result.columns()[0].dtype().clone();
        Ok(Self { name: sql.to_owned(), dtype, reads, value, error })
    }

    /// Whether rows may have a cell that is no number.
    pub(super) fn can_fail(&self) -> bool {
        self.error.is_some()
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
