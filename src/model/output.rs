//! Output columns shared by KNN models and clusterings.

use std::iter::repeat_n;

use polars::prelude::*;

use crate::columns;

pub(super) struct ModelOutput<'a> {
    pub(super) label: Option<&'a str>,
    pub(super) confidence: Option<f64>,
    pub(super) margin: f64,
    pub(super) novelty: f64,
    pub(super) probability: Option<f64>,
}

/// Adds `<name>_label`, `<name>_confidence`, `<name>_margin` and `<name>_novelty`. The outputs are
/// of the last rows; the rows before them are null.
pub(super) fn add_output_columns(
    frame: &mut DataFrame,
    name: &str,
    outputs: &[Option<ModelOutput<'_>>],
) -> PolarsResult<()> {
    let rows = repeat_n(&None, frame.height() - outputs.len()).chain(outputs);
    let labels: Vec<Option<&str>> = rows.map(|output| output.as_ref()?.label).collect();
    let numbers = |value| numbers(frame.height(), outputs, value);
    let columns = [
        Column::new(columns::label(name).into(), labels),
        Column::new(columns::confidence(name).into(), numbers(|output| output.confidence)),
        Column::new(columns::margin(name).into(), numbers(|output| Some(output.margin))),
        Column::new(columns::novelty(name).into(), numbers(|output| Some(output.novelty))),
    ];
    columns.into_iter().try_for_each(|column| frame.with_column(column).map(|_| ()))
}

/// Adds `<name>_probability`.
pub(super) fn add_probability(
    frame: &mut DataFrame,
    name: &str,
    outputs: &[Option<ModelOutput<'_>>],
) -> PolarsResult<()> {
    let values = numbers(frame.height(), outputs, |output| output.probability);
    frame.with_column(Column::new(columns::probability(name).into(), values)).map(|_| ())
}

/// A number of each output, after nulls for the rows before them.
fn numbers(
    height: usize,
    outputs: &[Option<ModelOutput<'_>>],
    value: fn(&ModelOutput<'_>) -> Option<f64>,
) -> Vec<Option<f64>> {
    let rows = repeat_n(&None, height - outputs.len()).chain(outputs);
    rows.map(|output| output.as_ref().and_then(value)).collect()
}
