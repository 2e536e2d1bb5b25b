//! Tables for a terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use polars::prelude::*;

/// Some columns of a frame: text left, numbers right. `cell` formats each value.
pub(super) fn draw(
    frame: &DataFrame,
    columns: &[&str],
    cell: fn(column: &str, value: AnyValue<'_>) -> String,
) -> PolarsResult<String> {
    let mut table = new_table();
    table.set_header(columns);
    for row in 0..frame.height() {
        let cells = columns.iter().map(|name| Ok(cell(name, frame.column(name)?.get(row)?)));
        table.add_row(cells.collect::<PolarsResult<Vec<String>>>()?);
    }
    for (idx, name) in columns.iter().enumerate() {
        if frame.column(name)?.dtype().is_primitive_numeric() {
            align_right(&mut table, idx);
        }
    }
    Ok(table.trim_fmt())
}

/// Rows of text under a header. The columns `numbers` are aligned right.
pub(super) fn draw_rows<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    numbers: &[usize],
) -> String {
    let mut table = new_table();
    table.set_header(header);
    rows.for_each(|row| {
        table.add_row(row);
    });
    numbers.iter().for_each(|idx| align_right(&mut table, *idx));
    table.trim_fmt()
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn align_right(table: &mut Table, idx: usize) {
    if let Some(column) = table.column_mut(idx) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// A value as text. Null is empty.
pub(super) fn plain(_column: &str, value: AnyValue<'_>) -> String {
    // Polars has two types of text and quotes one of them.
    if let Some(text) = value.get_str() {
        return text.to_owned();
    }
    match value {
        AnyValue::Null => String::new(),
        // Polars writes large floats with exponents.
        AnyValue::Float64(x) => x.to_string(),
        other => other.to_string(),
    }
}
