//! A data frame drawn for a terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use polars::prelude::*;

/// The named columns of a frame: text to the left, numbers to the right, each value in the words of `cell`.
pub(super) fn drawn(
    frame: &DataFrame,
    columns: &[&str],
    cell: fn(column: &str, value: AnyValue<'_>) -> String,
) -> PolarsResult<String> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns);
    for row in 0..frame.height() {
        let mut cells = Vec::with_capacity(columns.len());
        for name in columns {
            cells.push(cell(name, frame.column(name)?.get(row)?));
        }
        table.add_row(cells);
    }
    for (idx, name) in columns.iter().enumerate() {
        let column = table
            .column_mut(idx)
            .filter(|_| frame.column(name).is_ok_and(|c| c.dtype().is_primitive_numeric()));
        if let Some(column) = column {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(table.trim_fmt())
}

/// Rows of text under a header; the numbered columns hold numbers, to the right.
pub(super) fn rows<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    numbers: &[usize],
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    rows.for_each(|row| {
        table.add_row(row);
    });
    for idx in numbers {
        if let Some(column) = table.column_mut(*idx) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A value as it is; nothing for null.
pub(super) fn plain(_column: &str, value: AnyValue<'_>) -> String {
    // Polars has two kinds of text, and writes one of them in quotes.
    if let Some(text) = value.get_str() {
        return text.to_owned();
    }
    match value {
        AnyValue::Null => String::new(),
        // Polars writes large floats in powers of ten.
        AnyValue::Float64(x) => x.to_string(),
        other => other.to_string(),
    }
}
