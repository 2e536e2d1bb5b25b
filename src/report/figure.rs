//! What a page is made of: sections of figures, each a picture, what it shows in words, and its numbers.

use super::chart::Undrawn;
use super::words::{self, Money, NOTHING};

/// A part of the page.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What it is about.
    pub(super) lead: String,
    pub(super) figures: Vec<Figure>,
}

/// A picture with its numbers.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) id: String,
    pub(super) title: String,
    /// What the picture shows, in a sentence or two.
    pub(super) reading: String,
    /// The chart; none where the numbers say it better.
    pub(super) picture: Option<Picture>,
    pub(super) table: Table,
}

/// A chart, or why there is none.
#[derive(Debug)]
pub(super) enum Picture {
    /// Inline SVG, whose texts are escaped.
    Drawn(String),
    /// What the charting library said.
    Undrawn(String),
}

/// The numbers of a figure.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Heading>,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// The head of a column.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    pub(super) title: String,
    /// The term that the guide explains.
    pub(super) term: Option<String>,
    pub(super) numeric: bool,
}

/// What stands in a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) shown: String,
    /// The number as the published table has it.
    pub(super) exact: Option<f64>,
    pub(super) numeric: bool,
}

impl Figure {
    pub(super) fn new(
        id: impl Into<String>,
        title: impl Into<String>,
        reading: impl Into<String>,
        table: Table,
    ) -> Self {
        Self { id: id.into(), title: title.into(), reading: reading.into(), picture: None, table }
    }

    /// Whether it takes the whole width: a table of many columns.
    pub(super) fn wide(&self) -> bool {
        self.picture.is_none() && self.table.columns.len() > 6
    }

    /// With a chart. One that cannot be drawn leaves the numbers.
    pub(super) fn drawn(self, chart: Result<String, Undrawn>) -> Self {
        let picture = match chart {
            Ok(svg) => Picture::Drawn(svg),
            Err(error) => Picture::Undrawn(error.to_string()),
        };
        Self { picture: Some(picture), ..self }
    }
}

impl Table {
    pub(super) fn new(columns: Vec<Heading>, rows: Vec<Vec<Cell>>) -> Self {
        Self { columns, rows }
    }
}

/// A column of text that the guide tells of.
pub(super) fn text(title: &str, term: &str) -> Heading {
    Heading {
        title: title.to_owned(),
        term: Some(term.to_owned()).filter(|term| !term.is_empty()),
        numeric: false,
    }
}

/// A column of numbers that the guide tells of.
pub(super) fn number(title: &str, term: &str) -> Heading {
    Heading { numeric: true, ..text(title, term) }
}

impl Cell {
    fn of(value: Option<f64>, shown: impl Fn(f64) -> String) -> Self {
        let exact = value.filter(|value| value.is_finite());
        Self { shown: exact.map_or_else(|| NOTHING.to_owned(), shown), exact, numeric: true }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { shown: text.into(), exact: None, numeric: false }
    }

    pub(super) fn count(value: Option<f64>) -> Self {
        Self::of(value, words::count)
    }

    pub(super) fn share(value: Option<f64>) -> Self {
        Self::of(value, words::share)
    }

    pub(super) fn places(value: Option<f64>, places: usize) -> Self {
        Self::of(value, |value| words::places(value, places))
    }

    pub(super) fn money(value: Option<f64>, money: &Money) -> Self {
        Self::of(value, |value| money.exact(value))
    }
}
