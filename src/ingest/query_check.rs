//! What a query must not say: forms that Polars reads differently from other databases, or that
//! have no error where they are wrong.

use std::ops::ControlFlow;

use polars::prelude::DataType;
use sqlparser::ast::{
    BinaryOperator, Cte, Expr, Ident, JoinConstraint, JoinOperator, Query, Select, SelectItem,
    SetExpr, Statement, TableFactor, visit_expressions,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

/// Functions with a text as result.
const TEXT_FUNCTIONS: [&str; 14] = [
    "CONCAT",
    "CONCAT_WS",
    "INITCAP",
    "LEFT",
    "LOWER",
    "LTRIM",
    "REPLACE",
    "RIGHT",
    "RTRIM",
    "SPLIT_PART",
    "SUBSTR",
    "SUBSTRING",
    "TRIM",
    "UPPER",
];

/// Checks a query over tables with these columns.
///
/// # Errors
/// It is no single `SELECT`, or has a form that is not supported.
pub(super) fn check(sql: &str, tables: &[(&str, Vec<(String, DataType)>)]) -> Result<(), String> {
    let statements =
        Parser::parse_sql(&GenericDialect {}, sql).map_err(|error| error.to_string())?;
    let [Statement::Query(query)] = statements.as_slice() else {
        return Err("expected a single SELECT".to_owned());
    };
    let mut checker = Checker { tables, texts: Vec::new() };
    // A later name may stand for an expression over earlier ones.
    for _ in 0..3 {
        checker.query(query)?;
    }
    checker.additions(query)
}

struct Checker<'a> {
    tables: &'a [(&'a str, Vec<(String, DataType)>)],
    /// Names that stand for texts in the query.
    texts: Vec<String>,
}

impl Checker<'_> {
    fn query(&mut self, query: &Query) -> Result<(), String> {
        for Cte { alias, query, .. } in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = &alias.name.value;
            if self.tables.iter().any(|(table, _)| table.eq_ignore_ascii_case(name)) {
                return Err(format!("`WITH {name}` has the name of a source: use another one"));
            }
            self.query(query)?;
        }
        self.set(&query.body)
    }

    fn set(&mut self, set: &SetExpr) -> Result<(), String> {
        match set {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                self.set(left)?;
                self.set(right)
            }
            _ => Ok(()),
        }
    }

    fn select(&mut self, select: &Select) -> Result<(), String> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr, alias } = item
                && self.is_text(expr)
                && !self.texts.contains(&alias.value)
            {
                self.texts.push(alias.value.clone());
            }
        }
        for table in &select.from {
            self.table(&table.relation)?;
            for join in &table.joins {
                self.table(&join.relation)?;
                if let Some(JoinConstraint::On(condition)) = constraint(&join.join_operator)
                    && !is_equality(condition)
                {
                    return Err(format!(
                        "`ON {condition}`: only equal columns are supported; filter a table before it \
                         is joined, as in `JOIN (SELECT * FROM t WHERE …) AS t USING (id)`"
                    ));
                }
            }
        }
        Ok(())
    }

    fn table(&mut self, table: &TableFactor) -> Result<(), String> {
        match table {
            TableFactor::Derived { subquery, .. } => self.query(subquery),
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.table(&table_with_joins.relation)
            }
            _ => Ok(()),
        }
    }

    /// Reports sums of texts, which Polars joins: 10 + 2 would be 102.
    fn additions(&self, query: &Query) -> Result<(), String> {
        let found = visit_expressions(query, |expr| match expr {
            Expr::BinaryOp { left, op: BinaryOperator::Plus, right }
                if self.is_text(left) || self.is_text(right) =>
            {
                ControlFlow::Break(expr.to_string())
            }
            _ => ControlFlow::Continue(()),
        });
        match found {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(sum) => Err(format!(
                "`{sum}` adds texts: columns of CSV and workbooks are text, write CAST(x AS DOUBLE)"
            )),
        }
    }

    fn is_text(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Identifier(name) => self.is_text_column(name),
            Expr::CompoundIdentifier(names) => {
                names.last().is_some_and(|name| self.is_text_column(name))
            }
            Expr::Nested(inner) => self.is_text(inner),
            Expr::Value(value) => value.clone().into_string().is_some(),
            Expr::Trim { .. } | Expr::Substring { .. } => true,
            Expr::Cast { data_type, .. } => {
                let name = data_type.to_string().to_uppercase();
                ["VARCHAR", "TEXT", "STRING", "CHAR"].iter().any(|text| name.starts_with(text))
            }
            Expr::Function(function) => {
                let name = function.name.to_string().to_uppercase();
                let is_passed_on = ["COALESCE", "IFNULL", "NULLIF", "MIN", "MAX", "FIRST", "LAST"];
                let arguments = function.args.to_string();
                let argument = arguments.trim_matches(['(', ')']).split(',').next();
                let argument = argument.unwrap_or_default().trim().trim_matches('"');
                TEXT_FUNCTIONS.contains(&name.as_str())
                    || (is_passed_on.contains(&name.as_str())
                        && self.is_text_column(&Ident::new(
                            argument.rsplit('.').next().unwrap_or_default(),
                        )))
            }
            Expr::Case { conditions, else_result, .. } => {
                conditions.iter().any(|when| self.is_text(&when.result))
                    || else_result.as_ref().is_some_and(|result| self.is_text(result))
            }
            Expr::BinaryOp { left, op: BinaryOperator::Plus, right } => {
                self.is_text(left) || self.is_text(right)
            }
            Expr::BinaryOp { op, .. } => *op == BinaryOperator::StringConcat,
            _ => false,
        }
    }

    /// Whether a name is a column of text in one of the tables, or stands for a text.
    fn is_text_column(&self, name: &Ident) -> bool {
        let columns = self.tables.iter().flat_map(|(_, columns)| columns);
        let mut columns = columns.filter(|(column, _)| *column == name.value);
        self.texts.contains(&name.value) || columns.any(|(_, dtype)| *dtype == DataType::String)
    }
}

fn constraint(join: &JoinOperator) -> Option<&JoinConstraint> {
    use JoinOperator::*;
    match join {
        Join(constraint)
        | Inner(constraint)
        | Left(constraint)
        | LeftOuter(constraint)
        | Right(constraint)
        | RightOuter(constraint)
        | FullOuter(constraint)
        | Semi(constraint)
        | LeftSemi(constraint)
        | RightSemi(constraint)
        | Anti(constraint)
        | LeftAnti(constraint)
        | RightAnti(constraint) => Some(constraint),
        _ => None,
    }
}

/// Whether a condition compares columns for equality, one or several.
fn is_equality(condition: &Expr) -> bool {
    let is_column = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    match condition {
        Expr::Nested(inner) => is_equality(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            is_equality(left) && is_equality(right)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            is_column(left) && is_column(right)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_would_be_read_wrongly_are_refused() {
        let columns = |names: &[&str], dtype: DataType| {
            names.iter().map(|name| ((*name).to_owned(), dtype.clone())).collect::<Vec<_>>()
        };
        let text = columns(&["k", "s", "v", "w"], DataType::String);
        let typed = columns(&["k", "n", "m"], DataType::Int64);
        let tables = [("a", text), ("b", typed)];
        for (sql, refused) in [
            ("SELECT * FROM a JOIN b ON a.k = b.k", None),
            ("SELECT * FROM a JOIN b ON (a.k = b.k) AND a.s = b.s", None),
            ("SELECT * FROM a JOIN b USING (k)", None),
            ("SELECT * FROM a JOIN b ON a.k = b.k AND b.s = 'new'", Some("only equal columns")),
            ("SELECT * FROM a LEFT JOIN b ON a.k = b.k AND a.n >= b.m", Some("only equal")),
            ("SELECT * FROM (SELECT * FROM a JOIN b ON a.k < b.k) x", Some("only equal columns")),
            ("WITH a AS (SELECT * FROM a) SELECT * FROM a", Some("the name of a source")),
            ("WITH c AS (SELECT * FROM a) SELECT * FROM c", None),
            ("SELECT n + m AS v FROM b", None),
            ("SELECT v + w AS x FROM a", Some("`v + w` adds texts")),
            ("SELECT sum(a.v + 1) AS x FROM a", Some("adds texts")),
            ("SELECT replace(v, 'x', '') + CAST(w AS DOUBLE) AS x FROM a", Some("adds texts")),
            ("SELECT CAST(v AS DOUBLE) + CAST(w AS DOUBLE) AS x FROM a", None),
            ("SELECT p + q FROM (SELECT v AS p, w AS q FROM a) t", Some("`p + q` adds texts")),
            ("SELECT coalesce(v, w) + 1 FROM a", Some("adds texts")),
            ("SELECT * FROM a; SELECT * FROM b", Some("a single SELECT")),
            ("INSERT INTO a VALUES (1)", Some("a single SELECT")),
        ] {
            let result = check(sql, &tables);
            match refused {
                None => assert_eq!(result, Ok(()), "{sql}"),
                Some(reason) => {
                    assert!(result.as_ref().is_err_and(|e| e.contains(reason)), "{sql}: {result:?}")
                }
            }
        }
    }
}
