//! Row-wise access to small tables.

use std::collections::HashSet;

use polars::prelude::*;

use crate::columns::{CHOSEN, K, METRIC, MODEL, VALUE};

/// A small table whose columns are texts and 64-bit floats. Dates are text, true is 1.
pub(super) struct Grid(DataFrame);

#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    grid: &'a Grid,
    index: usize,
}

impl Grid {
    pub(super) fn new(frame: &DataFrame) -> PolarsResult<Self> {
        let columns = frame.try_apply_columns(|column| {
            let is_number = column.dtype().is_primitive_numeric() || column.dtype().is_bool();
            column.cast(if is_number { &DataType::Float64 } else { &DataType::String })
        });
        DataFrame::new(frame.height(), columns?).map(Self)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> + Clone {
        (0..self.0.height()).map(|index| Row { grid: self, index })
    }

    pub(super) fn rows_with(&self, column: &str, text: &str) -> Vec<Row<'_>> {
        self.rows().filter(|row| row.is(column, text)).collect()
    }

    /// The first row with each of these texts in the column before it.
    pub(super) fn find(&self, texts: &[(&str, &str)]) -> Option<Row<'_>> {
        self.rows().find(|row| texts.iter().all(|(column, text)| row.is(column, text)))
    }
}

impl<'a> Row<'a> {
    /// `None` if null, or if the table has no such column of text.
    pub(super) fn text(self, column: &str) -> Option<&'a str> {
        self.grid.0.column(column).ok()?.str().ok()?.get(self.index)
    }

    /// `None` if null, or if the table has no such column of numbers.
    pub(super) fn number(self, column: &str) -> Option<f64> {
        self.grid.0.column(column).ok()?.f64().ok()?.get(self.index)
    }

    /// A share of 1 in per cent.
    pub(super) fn percent(self, column: &str) -> Option<f64> {
        self.number(column).map(|share| 100.0 * share)
    }

    pub(super) fn is(self, column: &str, text: &str) -> bool {
        self.text(column) == Some(text)
    }
}

/// The tried numbers of clusters or neighbours of one model.
pub(super) struct Sweep<'a> {
    pub(super) model: &'a str,
    pub(super) rows: Vec<Row<'a>>,
    /// The tried numbers, in order.
    pub(super) ks: Vec<f64>,
    pub(super) chosen: Option<f64>,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(model: &'a str, sweep: &'a Grid) -> Self {
        let rows = sweep.rows_with(MODEL, model);
        let mut ks: Vec<f64> = rows.iter().filter_map(|row| row.number(K)).collect();
        ks.dedup();
        let chosen = rows.iter().find(|row| row.number(CHOSEN) == Some(1.0));
        let chosen = chosen.and_then(|row| row.number(K));
        Self { model, rows, ks, chosen }
    }

    pub(super) fn value(&self, k: f64, metric: &str) -> Option<f64> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.number(K) == Some(k) && row.is(METRIC, metric))?.number(VALUE)
    }

    /// Text of a table cell.
    pub(super) fn yes_if_chosen(&self, k: f64) -> &'static str {
        if self.chosen == Some(k) { "yes" } else { "" }
    }

    /// Label of a number in a chart. The chosen one has a star.
    pub(super) fn label(&self, k: f64) -> String {
        if self.chosen == Some(k) { format!("{k}*") } else { k.to_string() }
    }
}

/// Distinct texts of a column in order of first occurrence, without null.
pub(super) fn distinct<'a>(rows: impl IntoIterator<Item = Row<'a>>, column: &str) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let texts = rows.into_iter().filter_map(|row| row.text(column));
    texts.filter(|text| seen.insert(*text)).collect()
}
