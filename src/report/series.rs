//! The input of charts: series and axes.

/// How bars of several series share a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bars {
    SideBySide,
    Stacked,
}

/// Position of the colour of reference lines in the palette.
const MUTED: usize = 9;

/// One series of a chart.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) name: String,
    pub(super) values: Vec<Option<f64>>,
    /// Position in the palette. `None` for the position of the series in its chart.
    pub(super) color: Option<usize>,
    /// From faint to full colour, 0 to 1.
    pub(super) shade: f64,
    /// Ends of an error bar for each value; empty for none.
    pub(super) bounds: Vec<Option<(f64, f64)>>,
    /// Whether values are printed beside the bars.
    pub(super) labelled: bool,
    pub(super) dashed: bool,
}

impl Data {
    pub(super) fn new(name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        Self {
            name: name.to_owned(),
            values: values.into_iter().collect(),
            color: None,
            shade: 1.0,
            bounds: Vec::new(),
            labelled: false,
            dashed: false,
        }
    }

    /// A dashed straight line, to compare another series with.
    pub(super) fn reference(name: &str, ends: [f64; 2]) -> Self {
        Self { color: Some(MUTED), dashed: true, ..Self::new(name, ends.map(Some)) }
    }

    /// Adds an error bar to each value.
    pub(super) fn with_bounds(self, bounds: impl IntoIterator<Item = Option<(f64, f64)>>) -> Self {
        Self { bounds: bounds.into_iter().collect(), ..self }
    }

    pub(super) fn labelled(self) -> Self {
        Self { labelled: true, ..self }
    }
}

/// Title, number format and range of an axis. Formats contain `{c}`, or `{t}` for thousands
/// separators.
#[derive(Debug, Clone, Default)]
pub(super) struct Axis {
    pub(super) title: String,
    pub(super) format: &'static str,
    /// Format of the values beside bars.
    pub(super) label: &'static str,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

impl Axis {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), format: "{t}", label: "{t}", min: None, max: None }
    }

    /// Amounts from 0 on.
    pub(super) fn amount(title: impl Into<String>) -> Self {
        Self { min: Some(0.0), ..Self::new(title) }
    }

    /// Percentages from 0 on.
    pub(super) fn percent(title: impl Into<String>) -> Self {
        Self { format: "{c} %", label: "{c} %", min: Some(0.0), ..Self::new(title) }
    }

    /// Values from 0 to 1.
    pub(super) fn unit(title: impl Into<String>) -> Self {
        Self { format: "{c}", label: "{:.2}", ..Self::new(title) }.range(0.0, 1.0)
    }

    pub(super) fn range(self, min: f64, max: f64) -> Self {
        Self { min: Some(min), max: Some(max), ..self }
    }
}
