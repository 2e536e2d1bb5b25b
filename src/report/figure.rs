//! The contents of a page: sections of figures, each with a caption, a chart and a table.

use super::chart::{self, ChartError};
use super::grid::Row;
use super::{format, slug};
use crate::columns::CUSTOMERS;

#[derive(Debug)]
pub(super) struct Section {
    /// Anchor of the section.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// Introduction below the title.
    pub(super) lead: String,
    pub(super) figures: Vec<Figure>,
}

/// A chart with its numbers.
#[derive(Debug)]
pub(super) struct Figure {
    /// Anchor of the figure.
    pub(super) id: String,
    pub(super) title: String,
    /// What the chart shows, in one to three sentences.
    pub(super) caption: String,
    /// `None` for a table without a chart.
    pub(super) chart: Option<Chart>,
    pub(super) table: Table,
}

#[derive(Debug)]
pub(super) enum Chart {
    /// Inline SVG with escaped text.
    Svg(String),
    /// Why the chart could not be drawn.
    Failed(String),
}

impl Figure {
    pub(super) fn new(
        id: &str,
        title: impl Into<String>,
        caption: impl Into<String>,
        table: Table,
    ) -> Self {
        Self { id: id.to_owned(), title: title.into(), caption: caption.into(), chart: None, table }
    }

    /// Adds the name of a model to the anchor and to the title.
    pub(super) fn of_model(self, model: &str) -> Self {
        let id = format!("{}-{}", self.id, slug(model));
        Self { id, title: format!("{model}: {}", self.title), ..self }
    }

    /// Whether the figure takes the whole width: a table of many columns without a chart.
    pub(super) fn wide(&self) -> bool {
        self.chart.is_none() && self.table.columns.len() > 6
    }

    /// Adds a chart, if any. If it could not be drawn, the page shows the reason and the table.
    pub(super) fn with_chart(self, svg: impl Into<Option<Result<String, ChartError>>>) -> Self {
        let failed = |error: ChartError| Chart::Failed(error.to_string());
        Self { chart: svg.into().map(|svg| svg.map_or_else(failed, Chart::Svg)), ..self }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) columns: Vec<Heading>,
    pub(super) rows: Vec<Vec<Cell>>,
}

#[derive(Debug, Clone)]
pub(super) struct Heading {
    pub(super) title: String,
    /// Glossary term of the column; empty for none.
    pub(super) term: String,
    pub(super) numeric: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) shown: String,
    /// The unrounded number, as in the published table.
    pub(super) exact: Option<f64>,
    pub(super) numeric: bool,
}

/// How a number is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Count,
    /// A share of 1, in per cent.
    Share,
    /// A number with this many decimals.
    Decimals(usize),
    /// A number with two decimals, or none if it is whole.
    Short,
}

impl Kind {
    pub(super) fn cell(self, value: Option<f64>) -> Cell {
        let exact = value.filter(|value| value.is_finite());
        let shown = match (exact, self) {
            (None, _) => format::NO_VALUE.to_owned(),
            (Some(value), Self::Share) => format::share(value),
            (Some(value), Self::Decimals(decimals)) => format::decimals(value, decimals),
            (Some(value), Self::Short) if value.fract() != 0.0 => format::decimals(value, 2),
            (Some(value), Self::Count | Self::Short) => format::count(value),
        };
        Cell { shown, exact, numeric: true }
    }
}

/// A column of a table: its heading, and the cell of each item.
pub(super) struct TableColumn<'a, T> {
    heading: Heading,
    cell: Box<dyn Fn(&T) -> Cell + 'a>,
}

/// A column of text.
pub(super) fn text_of<'a, T>(
    title: &str,
    term: &str,
    value: impl Fn(&T) -> String + 'a,
) -> TableColumn<'a, T> {
    let heading = Heading { title: title.to_owned(), term: term.to_owned(), numeric: false };
    let cell = move |item: &T| Cell { shown: value(item), exact: None, numeric: false };
    TableColumn { heading, cell: Box::new(cell) }
}

/// A column of numbers.
pub(super) fn number_of<'a, T, N: Into<Option<f64>>>(
    title: &str,
    term: &str,
    kind: Kind,
    value: impl Fn(&T) -> N + 'a,
) -> TableColumn<'a, T> {
    cells_of(title, term, move |item| kind.cell(value(item).into()))
}

/// A column of numbers of several kinds.
pub(super) fn cells_of<'a, T>(
    title: &str,
    term: &str,
    cell: impl Fn(&T) -> Cell + 'a,
) -> TableColumn<'a, T> {
    let heading = Heading { title: title.to_owned(), term: term.to_owned(), numeric: true };
    TableColumn { heading, cell: Box::new(cell) }
}

/// A text column of a published table; null is blank.
pub(super) fn text<'a>(title: &str, column: &str) -> TableColumn<'a, Row<'a>> {
    let name = column.to_owned();
    text_of(title, column, move |row: &Row<'_>| row.text(&name).unwrap_or("").to_owned())
}

/// A numeric column of a published table.
pub(super) fn number<'a>(title: &str, column: &str, kind: Kind) -> TableColumn<'a, Row<'a>> {
    let name = column.to_owned();
    number_of(title, column, kind, move |row: &Row<'_>| row.number(&name))
}

impl<T> TableColumn<'_, T> {
    /// Replaces the glossary term.
    pub(super) fn with_term(mut self, term: &str) -> Self {
        self.heading.term = term.to_owned();
        self
    }
}

impl Table {
    /// A table with one row per item.
    pub(super) fn new<T>(
        items: impl IntoIterator<Item = T>,
        columns: Vec<TableColumn<'_, T>>,
    ) -> Self {
        let cells = |item| columns.iter().map(|column| (column.cell)(&item)).collect();
        let rows = items.into_iter().map(cells).collect();
        Self { columns: columns.into_iter().map(|column| column.heading).collect(), rows }
    }
}

/// Customers by two labels: the rows and the columns of a table.
pub(super) struct Matrix {
    names: [Vec<String>; 2],
    /// Row-major.
    counts: Vec<f64>,
}

impl Matrix {
    /// Counts the customers of published rows by the labels in two of their columns. `null` names
    /// the missing labels. Rows with a label that is not in `labels` do not count.
    pub(super) fn new(
        rows: &[Row<'_>],
        columns: [&str; 2],
        labels: &[Option<&str>],
        null: [&str; 2],
    ) -> Self {
        let mut counts = vec![0.0; labels.len() * labels.len()];
        for row in rows {
            let position = |column| labels.iter().position(|label| *label == row.text(column));
            if let [Some(y), Some(x)] = columns.map(position) {
                counts[y * labels.len() + x] += row.number(CUSTOMERS).unwrap_or(0.0);
            }
        }
        let name = |null, label: &Option<&str>| label.unwrap_or(null).to_owned();
        let names = null.map(|null| labels.iter().map(|label| name(null, label)).collect());
        Self { names, counts }
    }

    /// `corner` and `term` describe the labels of the rows.
    pub(super) fn table(&self, corner: &str, term: &str) -> Table {
        let [y, x] = &self.names;
        let mut columns = vec![text_of(corner, term, |row: &usize| y[*row].clone())];
        columns.extend(x.iter().enumerate().map(|(index, name)| {
            number_of(name, "", Kind::Count, move |row: &usize| self.counts[row * x.len() + index])
        }));
        Table::new(0..y.len(), columns)
    }

    /// `None` if a heatmap has no room for the labels.
    pub(super) fn heatmap(&self, x_title: &str) -> Option<Result<String, ChartError>> {
        let [y, x] = &self.names;
        let has_room = x.len() <= chart::MAX_HEATMAP_LABELS;
        has_room.then(|| chart::heatmap(x, y, &self.counts, x_title))
    }
}
