//! Tables for a terminal.

use std::os::fd::AsFd;

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

/// Number of characters in a line of a terminal. `None` if the output is no terminal.
pub(super) fn terminal_width(output: impl AsFd) -> Option<usize> {
    terminal_size::terminal_size_of(output).map(|(width, _)| width.0.into())
}

/// The columns of which [`draw`] makes lines of at most `width` characters, and those that are left
/// out for it: of `dispensable`, the first.
pub(super) fn fit<'c>(
    frame: &DataFrame,
    columns: &[&'c str],
    dispensable: &[&'c str],
    width: Option<usize>,
    cell: fn(column: &str, value: AnyValue<'_>) -> String,
) -> PolarsResult<(Vec<&'c str>, Vec<&'c str>)> {
    let mut shown = columns.to_vec();
    let mut left_out = Vec::new();
    let Some(width) = width else { return Ok((shown, left_out)) };
    for name in dispensable {
        let table = draw(frame, &shown, cell)?;
        if table.lines().all(|line| line.chars().count() <= width) {
            break;
        }
        shown.retain(|column| column != name);
        left_out.push(*name);
    }
    Ok((shown, left_out))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_left_out_until_a_table_fits() {
        let frame = df!["name" => ["Champions"], "rows" => [604], "money" => ["4,303,871.89"]];
        let frame = frame.unwrap();
        let fit = |width| {
            let columns = ["name", "rows", "money"];
            fit(&frame, &columns, &["money", "rows"], width, plain).unwrap()
        };
        // " Champions   604  4,303,871.89" has 30 characters.
        assert_eq!(fit(None).1, Vec::<&str>::new());
        assert_eq!(fit(Some(30)).1, Vec::<&str>::new());
        assert_eq!(fit(Some(29)), (vec!["name", "rows"], vec!["money"]));
        assert_eq!(fit(Some(3)), (vec!["name"], vec!["money", "rows"]));
    }
}
