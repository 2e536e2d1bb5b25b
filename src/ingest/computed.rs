//! Columns that are computed from others of their row: fields of nested columns, and SQL expressions.
//!
//! Cells of text have no type. Where SQL needs a number, in arithmetic, in a comparison with a number
//! or as the result of a number's mapping, they are read as the numbers of their source. A cell that
//! cannot be read so rejects its row. Elsewhere they are text. Missing cells are null.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{NullValues, fits_i64, is_text, map_texts, texts};
use super::numbers::{NumberParser, QUANTITY_SCALE};
use super::outcomes::map_columns;
use super::predicate::{PredicateError, first_line, parse_rowwise};
use super::source::{Format, NumberFormat, SourceFile};
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
        is_number: bool,
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
        match Self::sql(text, parsed, is_number, context) {
            Err(PredicateError::Unknown(_)) if !is_sql(text) => Ok(None),
            computed => computed.map(Some),
        }
    }

    fn sql(
        sql: &str,
        parsed: Expr,
        is_number: bool,
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
        let mut typer = Typer { context, errors: Vec::new() };
        let kind = if is_number { Kind::Number } else { Kind::Text };
        let value = typer.typed(parsed, kind)?;
        let errors = typer.errors;
        let error = (!errors.is_empty()).then(|| coalesce(&errors));
        let empty = DataFrame::empty_with_schema(&context.schema(&reads));
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
    fn schema(&self, names: &[String]) -> Schema {
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

    fn has_typed_cells(&self, name: &str) -> bool {
        self.format == Format::Workbook && !self.file.is_partition(name)
    }
}

/// What the cells of a column stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
}

/// Gives the columns of an expression their types.
struct Typer<'a> {
    context: SqlContext<'a>,
    /// Texts of cells that are no numbers.
    errors: Vec<Expr>,
}

impl Typer<'_> {
    fn typed(&mut self, expr: Expr, kind: Kind) -> Result<Expr, PredicateError> {
        Ok(match expr {
            Expr::Column(name) => match kind {
                Kind::Text => self.text(&name),
                Kind::Number => self.number(&name),
            },
            Expr::Alias(inner, name) => self.typed_arc(&inner, kind)?.alias(name),
            Expr::Cast { expr, dtype, options } => {
                let is_number =
                    matches!(&dtype, DataTypeExpr::Literal(dtype) if dtype.is_numeric());
                let kind = if is_number { Kind::Number } else { Kind::Text };
                Expr::Cast { expr: self.typed_arc(&expr, kind)?.into(), dtype, options }
            }
            Expr::BinaryExpr { left, op, right } => {
                let kind = self.operands(&left, op, &right)?;
                let (left, right) = (self.typed_arc(&left, kind)?, self.typed_arc(&right, kind)?);
                Expr::BinaryExpr { left: left.into(), op, right: right.into() }
            }
            Expr::Ternary { predicate, truthy, falsy } => Expr::Ternary {
                predicate: self.typed_arc(&predicate, Kind::Text)?.into(),
                truthy: self.typed_arc(&truthy, kind)?.into(),
                falsy: self.typed_arc(&falsy, kind)?.into(),
            },
            Expr::Function { input, function } => {
                let kind = self.arguments(&input, &function, kind);
                let input = input.into_iter().map(|expr| self.typed(expr, kind));
                Expr::Function { input: input.collect::<Result<_, _>>()?, function }
            }
            other if other.clone().meta().root_names().is_empty() => other,
            other => {
                // Lists of values, and other forms with a single input.
                let names = other.clone().meta().root_names();
                let mut replaced = PlHashMap::new();
                for name in names {
                    let column = self.typed(Expr::Column(name.clone()), Kind::Text)?;
                    replaced.insert(name, column);
                }
                other.map_expr(|expr| match &expr {
                    Expr::Column(name) => replaced.get(name).cloned().unwrap_or(expr),
                    _ => expr,
                })
            }
        })
    }

    fn typed_arc(&mut self, expr: &Arc<Expr>, kind: Kind) -> Result<Expr, PredicateError> {
        self.typed(Expr::clone(expr), kind)
    }

    /// The kind of both sides of an operator.
    fn operands(&self, left: &Expr, op: Operator, right: &Expr) -> Result<Kind, PredicateError> {
        use Operator::*;
        if matches!(op, Plus | Minus | Multiply | RustDivide | TrueDivide | FloorDivide | Modulus) {
            let is_time = self.is_time(left) || self.is_time(right);
            return Ok(if is_time { Kind::Text } else { Kind::Number });
        }
        if self.is_number(left) || self.is_number(right) {
            return Ok(Kind::Number);
        }
        let both = (self.text_column(left), self.text_column(right));
        if let (Lt | LtEq | Gt | GtEq, (Some(left), Some(right))) = (op, both) {
            return Err(PredicateError::Type(format!(
                "`{left}` and `{right}` are text, in which 10 is less than 9: compare \
                 CAST({left} AS DOUBLE) with a number"
            )));
        }
        Ok(Kind::Text)
    }

    /// The kind of a function's arguments, if its result has a kind.
    fn arguments(&self, input: &[Expr], function: &FunctionExpr, result: Kind) -> Kind {
        use FunctionExpr::*;
        match function {
            Abs
            | Negate
            | Sign
            | Pow(_)
            | Round { .. }
            | RoundSF { .. }
            | Truncate { .. }
            | Floor
            | Ceil
            | Log
            | Log1p
            | Exp => Kind::Number,
            Coalesce | FillNull | MaxHorizontal | MinHorizontal => {
                let any_number = input.iter().any(|expr| self.is_number(expr));
                if any_number { Kind::Number } else { result }
            }
            Boolean(BooleanFunction::IsIn { .. }) => {
                let any_number = input.iter().any(|expr| self.is_number(expr));
                if any_number { Kind::Number } else { Kind::Text }
            }
            _ => Kind::Text,
        }
    }

    fn dtype(&self, name: &str) -> DataType {
        self.context.file.column_type(name)
    }

    /// The name of a column of text.
    fn text_column(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Column(name) if is_text(&self.dtype(name)) => Some(name.to_string()),
            _ => None,
        }
    }

    fn is_time(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Column(name) => self.dtype(name).is_temporal(),
            Expr::Literal(value) => value.get_datatype().is_temporal(),
            Expr::Cast { dtype: DataTypeExpr::Literal(dtype), .. } => dtype.is_temporal(),
            Expr::BinaryExpr { left, right, .. } => self.is_time(left) || self.is_time(right),
            _ => false,
        }
    }

    /// Whether an expression is a number whatever its columns of text stand for.
    fn is_number(&self, expr: &Expr) -> bool {
        use FunctionExpr::*;
        match expr {
            Expr::Column(name) => self.dtype(name).is_numeric(),
            Expr::Literal(value) => match value.get_datatype() {
                DataType::List(values) => values.is_numeric(),
                dtype => dtype.is_numeric(),
            },
            Expr::Agg(AggExpr::Implode { input, .. }) => self.is_number(input),
            Expr::Alias(inner, _) => self.is_number(inner),
            Expr::Cast { dtype: DataTypeExpr::Literal(dtype), .. } => dtype.is_numeric(),
            Expr::BinaryExpr { op, .. } if op.is_arithmetic() => !self.is_time(expr),
            Expr::Ternary { truthy, falsy, .. } => self.is_number(truthy) || self.is_number(falsy),
            Expr::Function { input, function } => match function {
                Coalesce | FillNull | MaxHorizontal | MinHorizontal => {
                    input.iter().any(|expr| self.is_number(expr))
                }
                StringExpr(StringFunction::LenBytes | StringFunction::LenChars) => true,
                Abs
                | Negate
                | Sign
                | Pow(_)
                | Round { .. }
                | RoundSF { .. }
                | Truncate { .. }
                | Floor
                | Ceil
                | Log
                | Log1p
                | Exp => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// A column as text: missing cells are null. Typed columns stay as they are.
    fn text(&self, name: &str) -> Expr {
        if !is_text(&self.dtype(name)) {
            return col(name);
        }
        let nulls = self.context.nulls.clone();
        map_columns(vec![col(name)], DataType::String, move |columns| {
            let trimmed = map_texts(&texts(&columns[0])?, |text| nulls.text(text).map(Into::into));
            Ok(trimmed.into_column())
        })
    }

    /// A column as exact numbers. Notes its errors.
    fn number(&mut self, name: &str) -> Expr {
        let dtype = self.dtype(name);
        if fits_i64(&dtype) || dtype.is_decimal() || !(is_text(&dtype) || dtype.is_float()) {
            return col(name);
        }
        let SqlContext { numbers, nulls, .. } = self.context;
        let (format, nulls) = (numbers.clone(), nulls.clone());
        let parser = Arc::new(NumberParser { format, nulls, scale: QUANTITY_SCALE });
        let (of_value, of_error) = (parser.clone(), parser);
        let decimal = DataType::Decimal(38, QUANTITY_SCALE.into());
        let mut value = map_columns(vec![col(name)], decimal.clone(), move |columns| {
            of_value.decimals(&columns[0])
        });
        let mut error = map_columns(vec![col(name)], DataType::String, move |columns| {
            of_error.malformed(&columns[0])
        });
        if self.context.has_typed_cells(name) {
            let typed = col(workbook::number_name(name));
            error = when(typed.clone().is_null()).then(error).otherwise(lit(NULL));
            error = error.fill_null(col(workbook::error_name(name)));
            value = typed.cast(decimal).fill_null(value);
        }
        self.errors.push(error);
        value
    }
}
