//! Small tables, row by row.

use std::collections::HashMap;

use polars::prelude::*;

/// A table whose cells can be asked for by row and column.
pub(super) struct Grid {
    texts: HashMap<String, Vec<Option<String>>>,
    numbers: HashMap<String, Vec<Option<f64>>>,
    height: usize,
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    grid: &'a Grid,
    at: usize,
}

impl Grid {
    pub(super) fn of(frame: &DataFrame) -> PolarsResult<Self> {
        let mut grid =
            Self { texts: HashMap::new(), numbers: HashMap::new(), height: frame.height() };
        for column in frame.columns() {
            let name = column.name().to_string();
            if column.dtype().is_primitive_numeric() || column.dtype().is_bool() {
                grid.numbers.insert(name, numbers(column)?);
            } else {
                grid.texts.insert(name, texts(column)?);
            }
        }
        Ok(grid)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> + Clone {
        (0..self.height).map(|at| Row { grid: self, at })
    }

    /// What stands in a column, each once, in the order of its first row; nulls left out.
    pub(super) fn distinct(&self, column: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for text in self.texts.get(column).into_iter().flatten().flatten() {
            if !found.contains(text) {
                found.push(text.clone());
            }
        }
        found
    }
}

impl<'a> Row<'a> {
    /// A text, or a date; none where it is null or no such column is there.
    pub(super) fn text(self, column: &str) -> Option<&'a str> {
        self.grid.texts.get(column)?.get(self.at)?.as_deref()
    }

    /// A number; none where it is null or no such column is there.
    pub(super) fn number(self, column: &str) -> Option<f64> {
        *self.grid.numbers.get(column)?.get(self.at)?
    }

    /// Whether a column holds this text.
    pub(super) fn is(self, column: &str, text: &str) -> bool {
        self.text(column) == Some(text)
    }
}

/// A column as numbers.
pub(super) fn numbers(column: &Column) -> PolarsResult<Vec<Option<f64>>> {
    Ok(column.cast(&DataType::Float64)?.f64()?.iter().collect())
}

/// A column as text.
pub(super) fn texts(column: &Column) -> PolarsResult<Vec<Option<String>>> {
    match column.dtype() {
        DataType::Date => Ok(column
            .date()?
            .as_date_iter()
            .map(|date| date.map(|date| date.to_string()))
            .collect()),
        _ => Ok(column
            .cast(&DataType::String)?
            .str()?
            .iter()
            .map(|text| text.map(str::to_owned))
            .collect()),
    }
}
