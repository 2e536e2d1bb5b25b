//! Gives the parts of a SQL expression over source columns their types.
//!
//! Cells of text have no type. Where SQL needs a number, in arithmetic, in a comparison with a
//! number or as the result of a number's mapping, they are read as the numbers of their source. A
//! cell that cannot be read so rejects its row, if the expression uses it. Elsewhere they are text.
//! Missing cells are null. All numbers are decimals, so that neither floats nor small integers make
//! a wrong result.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::is_text;
use super::computed::{SqlContext, decimal_name};
use super::decimal::{DECIMAL, decimal, units_of_decimal};
use super::decimal_columns;
use super::numbers::NumberParser;
use super::outcomes::map_columns;
use super::predicate::{PredicateError, first_line};
use super::{NumberFormat, workbook};

/// A typed expression, and the text of its first cell that is no number.
pub(super) struct Typed {
    pub(super) value: Expr,
    pub(super) error: Option<Expr>,
}

impl Typed {
    fn plain(value: Expr) -> Self {
        Self { value, error: None }
    }
}

/// The first error.
fn first_error(errors: impl IntoIterator<Item = Option<Expr>>) -> Option<Expr> {
    errors.into_iter().flatten().reduce(Expr::fill_null)
}

/// What an expression reads where it needs a number of a column of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cells {
    /// The text.
    Raw,
    /// A column of its decimals, and one of the cells that are none.
    Decimals,
}

pub(super) struct Typer<'a> {
    pub(super) context: SqlContext<'a>,
    /// Types of the columns that the expression reads.
    pub(super) schema: Schema,
    pub(super) cells: Cells,
}

impl Typer<'_> {
    /// An expression whose columns of text are text.
    pub(super) fn text(&self, expr: Expr) -> Result<Typed, PredicateError> {
        match expr {
            Expr::Column(name) => Ok(Typed::plain(self.text_column(&name))),
            other => self.typed(other, Self::text),
        }
    }

    /// An expression as a number.
    pub(super) fn number(&self, expr: Expr) -> Result<Typed, PredicateError> {
        let typed = match expr {
            Expr::Column(name) => return Ok(self.number_column(&name)),
            Expr::Literal(ref value) if value.get_datatype().is_primitive_numeric() => {
                return Ok(Typed::plain(decimal_literal(value)));
            }
            other => self.typed(other, Self::number)?,
        };
        match self.dtype(&typed.value)? {
            DataType::String => self.number_of_text(typed),
            // Integers wrap around.
            dtype if dtype.is_integer() => {
                Ok(Typed { value: typed.value.cast(DECIMAL), error: typed.error })
            }
            _ => Ok(typed),
        }
    }

    /// The parts of an expression typed. `result` types the parts that are its result.
    fn typed(
        &self,
        expr: Expr,
        result: impl Fn(&Self, Expr) -> Result<Typed, PredicateError>,
    ) -> Result<Typed, PredicateError> {
        let result = |expr: Expr| result(self, expr);
        Ok(match expr {
            Expr::Alias(inner, name) => {
                let Typed { value, error } = result(Expr::clone(&inner))?;
                Typed { value: value.alias(name), error }
            }
            Expr::Cast { expr, dtype, options } => {
                let to_number =
                    matches!(&dtype, DataTypeExpr::Literal(dtype) if dtype.is_numeric());
                let inner = Expr::clone(&expr);
                let Typed { value, error } =
                    if to_number { self.number(inner)? } else { self.text(inner)? };
                // TRY_CAST gives null.
                let error = error.filter(|_| options.is_strict());
                Typed { value: Expr::Cast { expr: value.into(), dtype, options }, error }
            }
            Expr::BinaryExpr { left, op, right } => self.operator(&left, op, &right)?,
            Expr::Ternary { predicate, truthy, falsy } => {
                let predicate = self.text(Expr::clone(&predicate))?;
                let (yes, no) = (result(Expr::clone(&truthy))?, result(Expr::clone(&falsy))?);
                let none = || lit(NULL).cast(DataType::String);
                let of_branch = (yes.error.is_some() || no.error.is_some()).then(|| {
                    let [yes, no] = [yes.error, no.error].map(|e| e.unwrap_or_else(none));
                    when(predicate.value.clone()).then(yes).otherwise(no)
                });
                let value = when(predicate.value).then(yes.value).otherwise(no.value);
                Typed { value, error: first_error([predicate.error, of_branch]) }
            }
            Expr::Function { input, function: FunctionExpr::Coalesce } => {
                let is_number = input.iter().any(|expr| self.is_number(expr));
                let type_of = |expr: Expr| if is_number { self.number(expr) } else { result(expr) };
                let inputs = input.into_iter().map(type_of).collect::<Result<Vec<_>, _>>()?;
                // An input counts only if those before it are null.
                let mut error = None;
                for Typed { value, error: own } in inputs.iter().rev() {
                    let later: Option<Expr> = error;
                    let later = later.map(|later| {
                        when(value.clone().is_null()).then(later).otherwise(lit(NULL))
                    });
                    error = first_error([own.clone(), later]);
                }
                let values: Vec<Expr> = inputs.into_iter().map(|typed| typed.value).collect();
                Typed { value: coalesce(&values), error }
            }
            Expr::Function { input, function } => self.function(input, function)?,
            other if other.clone().meta().root_names().is_empty() => Typed::plain(other),
            other => {
                // Lists of values, and other forms with a single input.
                let value = other.map_expr(|expr| match &expr {
                    Expr::Column(name) => self.text_column(name),
                    _ => expr,
                });
                Typed::plain(value)
            }
        })
    }

    fn operator(&self, left: &Expr, op: Operator, right: &Expr) -> Result<Typed, PredicateError> {
        use Operator::*;
        let is_time = self.is_time(left)? || self.is_time(right)?;
        let is_arithmetic =
            matches!(op, Plus | Minus | Multiply | RustDivide | TrueDivide | FloorDivide | Modulus);
        let are_numbers = self.is_number(left) || self.is_number(right);
        let is_logic = matches!(op, And | Or | Xor | LogicalAnd | LogicalOr);
        if is_time && !is_arithmetic && are_numbers {
            return Err(PredicateError::Type(
                "compares a date with a number: write DATE '2011-12-10'".to_owned(),
            ));
        }
        let ordered = matches!(op, Lt | LtEq | Gt | GtEq);
        if let (true, false, Some(left), Some(right)) =
            (ordered, are_numbers, self.column_of_text(left), self.column_of_text(right))
        {
            return Err(PredicateError::Type(format!(
                "`{left}` and `{right}` are text, in which 10 is less than 9: compare \
                 CAST({left} AS DOUBLE) with a number"
            )));
        }
        let as_numbers = !is_time && !is_logic && (is_arithmetic || are_numbers);
        let side = |expr: &Expr| {
            if as_numbers { self.number(expr.clone()) } else { self.text(expr.clone()) }
        };
        let (left, right) = (side(left)?, side(right)?);
        let error = first_error([left.error, right.error]);
        let (left, right) = (left.value, right.value);
        let is_decimal = |value: &Expr| Ok(self.dtype(value)? == DECIMAL);
        let value = if op == Multiply && is_decimal(&left)? && is_decimal(&right)? {
            map_columns(vec![left, right], DECIMAL, |columns| {
                decimal_columns::product(&columns[0], &columns[1])
            })
        } else {
            Expr::BinaryExpr { left: left.into(), op, right: right.into() }
        };
        Ok(Typed { value, error })
    }

    fn function(&self, input: Vec<Expr>, function: FunctionExpr) -> Result<Typed, PredicateError> {
        use FunctionExpr::*;
        let of_numbers = match &function {
            function if is_numeric(function) => true,
            FillNull | MaxHorizontal | MinHorizontal | Boolean(BooleanFunction::IsIn { .. }) => {
                input.iter().any(|expr| self.is_number(expr))
            }
            _ => false,
        };
        let function = match function {
            // As in other databases: 2.5 is rounded to 3.
            Round { decimals, .. } => Round { decimals, mode: RoundMode::HalfAwayFromZero },
            other => other,
        };
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for expr in input {
            if matches!(&function, Pow(_)) && matches!(&expr, Expr::Literal(_)) {
                values.push(expr);
                continue;
            }
            let typed = if of_numbers { self.number(expr)? } else { self.text(expr)? };
            values.push(typed.value);
            errors.push(typed.error);
        }
        let value = Expr::Function { input: values, function };
        Ok(Typed { value, error: first_error(errors) })
    }

    /// The type of an expression over the columns of the source.
    fn dtype(&self, expr: &Expr) -> Result<DataType, PredicateError> {
        let empty = DataFrame::empty_with_schema(&self.schema).lazy();
        let mut result = empty.select([expr.clone().alias("result")]);
        let schema = result.collect_schema();
        let schema = schema.map_err(|error| PredicateError::Type(first_line(&error)))?;
        Ok(schema.get("result").cloned().unwrap_or(DataType::Null))
    }

    fn is_time(&self, expr: &Expr) -> Result<bool, PredicateError> {
        if expr.clone().meta().root_names().is_empty() && matches!(expr, Expr::Literal(_)) {
            let Expr::Literal(value) = expr else { return Ok(false) };
            return Ok(value.get_datatype().is_temporal());
        }
        // Arithmetic over columns of text has no type yet.
        Ok(self.dtype(expr).is_ok_and(|dtype| dtype.is_temporal()))
    }

    fn column_of_text(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Column(name) if is_text(&self.context.file.column_type(name)) => {
                Some(name.to_string())
            }
            _ => None,
        }
    }

    /// Whether an expression is a number whatever its columns of text stand for.
    fn is_number(&self, expr: &Expr) -> bool {
        use FunctionExpr::*;
        match expr {
            Expr::Column(name) => self.context.file.column_type(name).is_numeric(),
            Expr::Literal(value) => match value.get_datatype() {
                DataType::List(values) => values.is_numeric(),
                dtype => dtype.is_numeric(),
            },
            Expr::Agg(AggExpr::Implode { input, .. }) => self.is_number(input),
            Expr::Alias(inner, _) => self.is_number(inner),
            Expr::Cast { dtype: DataTypeExpr::Literal(dtype), .. } => dtype.is_numeric(),
            Expr::BinaryExpr { op, left, right } if op.is_arithmetic() => {
                let is_time = |expr: &Expr| self.is_time(expr).unwrap_or(false);
                !is_time(left) && !is_time(right)
            }
            Expr::Ternary { truthy, falsy, .. } => self.is_number(truthy) || self.is_number(falsy),
            Expr::Function { input, function } => match function {
                Coalesce | FillNull | MaxHorizontal | MinHorizontal => {
                    input.iter().any(|expr| self.is_number(expr))
                }
                StringExpr(StringFunction::LenBytes | StringFunction::LenChars) => true,
                function => is_numeric(function),
            },
            _ => false,
        }
    }

    /// A column as text: missing cells are null. Typed columns stay as they are.
    fn text_column(&self, name: &str) -> Expr {
        if !is_text(&self.context.file.column_type(name)) {
            return col(name);
        }
        let nulls = self.context.nulls.clone();
        map_columns(vec![col(name)], DataType::String, move |columns| nulls.texts(&columns[0]))
    }

    /// A column as decimals.
    fn number_column(&self, name: &str) -> Typed {
        let dtype = self.context.file.column_type(name);
        if !is_text(&dtype) && !dtype.is_numeric() {
            return Typed::plain(col(name));
        }
        if !is_text(&dtype) {
            return Typed::plain(self.decimals(col(name)));
        }
        if self.cells == Cells::Decimals {
            let error = Some(col(workbook::error_name(name)));
            return Typed { value: col(decimal_name(name)), error };
        }
        let Typed { mut value, mut error } = self.parsed(col(name), self.context.numbers.clone());
        if self.context.has_typed_cells(name) {
            let typed = col(workbook::number_name(name));
            value = self.decimals(typed.clone()).fill_null(value);
            error = error.map(|error| when(typed.is_null()).then(error).otherwise(lit(NULL)));
            error = first_error([error, Some(col(workbook::error_name(name)))]);
        }
        Typed { value, error }
    }

    /// A text that an expression makes, as a number.
    fn number_of_text(&self, typed: Typed) -> Result<Typed, PredicateError> {
        let names = typed.value.clone().meta().root_names();
        let marks = self.context.numbers;
        let has_marks = marks.decimal != '.' || marks.thousands.is_some();
        for name in &names {
            let is_number = self.context.file.column_type(name).is_numeric();
            // The text of a typed number has a point, which may be a mark of thousands in others.
            if is_number || (has_marks && self.context.has_typed_cells(name)) {
                return Err(PredicateError::Type(format!(
                    "makes a text of the numbers of `{name}`, which would be read as a number again"
                )));
            }
        }
        let is_literal = names.is_empty();
        let plain = NumberFormat { decimal: '.', thousands: None, ..marks.clone() };
        let format = if is_literal { plain } else { marks.clone() };
        let Typed { value, error } = self.parsed(typed.value, format);
        Ok(Typed { value, error: first_error([typed.error, error]) })
    }

    fn parser(&self, format: NumberFormat) -> Arc<NumberParser> {
        Arc::new(NumberParser { format, nulls: self.context.nulls.clone(), scale: 0 })
    }

    /// Typed numbers as decimals.
    fn decimals(&self, cells: Expr) -> Expr {
        let parser = self.parser(self.context.numbers.clone());
        map_columns(vec![cells], DECIMAL, move |columns| parser.decimals(&columns[0]))
    }

    /// Texts as decimals, and those that are no numbers.
    fn parsed(&self, cells: Expr, format: NumberFormat) -> Typed {
        let parser = self.parser(format);
        let of_error = parser.clone();
        let value =
            map_columns(vec![cells.clone()], DECIMAL, move |columns| parser.decimals(&columns[0]));
        let error = map_columns(vec![cells], DataType::String, move |columns| {
            of_error.malformed(&columns[0])
        });
        Typed { value, error: Some(error) }
    }
}

/// Whether a function makes a number of a number.
fn is_numeric(function: &FunctionExpr) -> bool {
    use FunctionExpr::*;
    matches!(
        function,
        Abs | Negate
            | Sign
            | Pow(_)
            | Round { .. }
            | RoundSF { .. }
            | Truncate { .. }
            | Floor
            | Ceil
            | Log
            | Log1p
            | Exp
    )
}

/// A number of SQL as the decimal that it is written as.
fn decimal_literal(value: &LiteralValue) -> Expr {
    let exact = value.to_any_value().and_then(|number| {
        if value.get_datatype().is_float() {
            decimal(&number.extract::<f64>()?.to_string())
        } else {
            units_of_decimal(number.extract::<i128>()?, 0)
        }
    });
    match exact {
        Some(number) => {
            let DataType::Decimal(precision, scale) = DECIMAL else { return lit(NULL) };
            let number = AnyValue::Decimal(number, precision, scale);
            lit(Scalar::new(DECIMAL, number.into_static()))
        }
        None => Expr::Literal(value.clone()),
    }
}
