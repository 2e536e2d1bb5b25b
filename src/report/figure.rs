//! The contents of a page: sections of figures, each with a caption, a chart and a table.

use std::borrow::Cow;

use super::chart::Drawn;
use super::grid::Row;
use super::{format, slug};
use crate::columns::CUSTOMERS;
use crate::export::neutralised_text;

#[derive(Debug)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) lead: String,
    pub(super) figures: Vec<Figure>,
}

/// Rows of a table that is open.
const LONG: usize = 12;

/// A chart with its numbers.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) id: String,
    pub(super) title: String,
    /// What the chart shows, in one to three sentences.
    pub(super) caption: String,
    /// `None` for a table without a chart.
    pub(super) chart: Option<Drawn>,
    pub(super) table: Table,
    /// Whether the rows can be filtered.
    pub(super) is_list: bool,
}

impl Figure {
    pub(super) fn new(
        id: &str,
        title: &str,
        caption: impl Into<String>,
        table: impl Into<Table>,
    ) -> Self {
        let [id, title] = [id, title].map(str::to_owned);
        Self {
            id,
            title,
            caption: caption.into(),
            chart: None,
            table: table.into(),
            is_list: false,
        }
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

    /// Lets readers filter the rows.
    pub(super) fn filterable(self) -> Self {
        Self { is_list: true, ..self }
    }

    /// The table as CSV, as the address of a link.
    pub(super) fn csv(&self) -> String {
        let mut text = String::from("data:text/csv;charset=utf-8,");
        let titles = self.table.columns.iter().map(|heading| heading.title.clone());
        let rows = self.table.rows.iter().map(|row| row.iter().map(Cell::plain).collect());
        for row in std::iter::once(titles.collect::<Vec<String>>()).chain(rows) {
            let fields = row.iter().map(|field| match neutralised_text(field) {
                field if field.contains([',', '"', '\n']) => {
                    Cow::from(format!("\"{}\"", field.replace('"', "\"\"")))
                }
                field => field,
            });
            let line: Vec<Cow<'_, str>> = fields.collect();
            line.join(",").bytes().chain([b'\n']).for_each(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b',' | b'.' | b'-' | b'_' => {
                    text.push(char::from(byte));
                }
                _ => text += &format!("%{byte:02X}"),
            });
        }
        text
    }

    /// Whether the table is closed: a long one that is not a list.
    pub(super) fn is_closed(&self) -> bool {
        self.chart.is_none() && !self.is_list && self.table.rows.len() > LONG
    }

    /// Adds a chart, if any. If it could not be drawn, the page shows the reason and the table.
    pub(super) fn with_chart(self, chart: impl Into<Option<Drawn>>) -> Self {
        Self { chart: chart.into(), ..self }
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
    /// From no colour to the strongest, 0 to 1. `None` in tables without colours.
    pub(super) shade: Option<f64>,
    /// A second line of text. Empty for none.
    pub(super) note: String,
}

impl Cell {
    pub(super) fn text(shown: impl Into<String>) -> Self {
        let note = String::new();
        Self { shown: shown.into(), exact: None, numeric: false, shade: None, note }
    }

    /// For CSV: the unrounded number, or the text.
    fn plain(&self) -> String {
        match self.exact {
            Some(number) => number.to_string(),
            None if self.numeric => self.note.clone(),
            None => self.shown.clone(),
        }
    }
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
        Cell { exact, numeric: true, ..Cell::text(shown) }
    }
}

/// A table under construction, with one row per item.
pub(super) struct TableOf<T> {
    items: Vec<T>,
    table: Table,
}

impl<T> TableOf<T> {
    pub(super) fn new(items: impl IntoIterator<Item = T>) -> Self {
        let items: Vec<T> = items.into_iter().collect();
        let rows = items.iter().map(|_| Vec::new()).collect();
        Self { items, table: Table { columns: Vec::new(), rows } }
    }

    fn column(mut self, heading: Heading, cell: impl Fn(&T) -> Cell) -> Self {
        self.table.columns.push(heading);
        for (row, item) in self.table.rows.iter_mut().zip(&self.items) {
            row.push(cell(item));
        }
        self
    }

    pub(super) fn text_of<S: Into<String>>(
        self,
        title: &str,
        term: &str,
        text: impl Fn(&T) -> S,
    ) -> Self {
        let heading = Heading { title: title.to_owned(), term: term.to_owned(), numeric: false };
        self.column(heading, |item: &T| Cell::text(text(item)))
    }

    pub(super) fn number_of<N: Into<Option<f64>>>(
        self,
        title: &str,
        term: &str,
        kind: Kind,
        number: impl Fn(&T) -> N,
    ) -> Self {
        self.cells(title, term, |item| kind.cell(number(item).into()))
    }

    /// Adds a column of numbers of several kinds.
    pub(super) fn cells(self, title: &str, term: &str, cell: impl Fn(&T) -> Cell) -> Self {
        let heading = Heading { title: title.to_owned(), term: term.to_owned(), numeric: true };
        self.column(heading, cell)
    }
}

impl TableOf<Row<'_>> {
    /// Adds a text column of a published table; null is blank.
    pub(super) fn text(self, title: &str, column: &str) -> Self {
        self.text_of(title, column, |row| row.text(column).unwrap_or(""))
    }

    /// Adds a numeric column of a published table.
    pub(super) fn number(self, title: &str, column: &str, kind: Kind) -> Self {
        self.number_as(title, column, column, kind)
    }

    /// Adds a numeric column with another glossary term than its name.
    pub(super) fn number_as(self, title: &str, term: &str, column: &str, kind: Kind) -> Self {
        self.number_of(title, term, kind, |row| row.number(column))
    }
}

impl<T> From<TableOf<T>> for Table {
    fn from(table: TableOf<T>) -> Self {
        table.table
    }
}

impl Table {
    /// Colours the numbers from this column on: the larger, the stronger.
    pub(super) fn shaded_from(mut self, column: usize) -> Self {
        let cells = |rows: &[Vec<Cell>]| -> f64 {
            let cells = rows.iter().flat_map(|row| row.iter().skip(column));
            cells.filter_map(|cell| cell.exact).fold(0.0, f64::max)
        };
        let largest = cells(&self.rows);
        for cell in self.rows.iter_mut().flat_map(|row| row.iter_mut().skip(column)) {
            // By the root, so that small numbers differ from zero.
            cell.shade =
                cell.exact.map(|exact| (exact.max(0.0) / largest.max(f64::MIN_POSITIVE)).sqrt());
        }
        self
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

    /// A sentence about the share on the diagonal.
    pub(super) fn diagonal_note(&self) -> String {
        let n = self.names[1].len();
        let diagonal: f64 = self.counts.iter().step_by(n + 1).sum();
        let all: f64 = self.counts.iter().sum();
        format!(" {} of the customers are on the diagonal.", format::share(diagonal / all.max(1.0)))
    }

    /// `corner` and `term` describe the labels of the rows.
    pub(super) fn table(&self, corner: &str, term: &str) -> Table {
        let [y, x] = &self.names;
        let count = |row: usize, index: usize| self.counts[row * x.len() + index];
        let table = TableOf::new(0..y.len()).text_of(corner, term, |row| y[*row].as_str());
        let add = |table: TableOf<usize>, (index, name): (usize, &String)| {
            table.number_of(name, "", Kind::Count, |row| count(*row, index))
        };
        Table::from(x.iter().enumerate().fold(table, add)).shaded_from(1)
    }
}
