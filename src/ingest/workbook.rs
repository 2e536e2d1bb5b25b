//! Excel workbooks: the first sheet as a table of text, read cell by cell.
//!
//! A workbook has types a cell, not a column, so every cell becomes the text that a CSV would hold: whole numbers as plain
//! digits, moments as ISO 8601. From there on a workbook is treated as CSV is.

use std::path::Path;

use calamine::{DataRef, Reader, Xlsx, XlsxCellReader, open_workbook};
use polars::prelude::*;

/// Format of the moments that [`frame`] writes, to the millisecond, which is as fine as Excel's are.
pub(super) const MOMENT_FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.3f";

/// Names of the columns: the first row of the first sheet.
///
/// # Errors
/// What is wrong with the workbook, in words.
pub(super) fn header(path: &Path) -> Result<Vec<String>, String> {
    with_cells(path, |cells| {
        let mut names: Vec<String> = Vec::new();
        while let Some(cell) = cells.next_cell().map_err(|error| error.to_string())? {
            let (row, column) = cell.get_position();
            if row > 0 {
                break;
            }
            names.resize(column as usize + 1, String::new());
            names[column as usize] = text(cell.get_value()).unwrap_or_default();
        }
        match names.iter().position(String::is_empty) {
            _ if names.is_empty() => {
                Err("the first sheet has no header in its first row".to_owned())
            }
            Some(column) => Err(format!("column {} of the first sheet has no name", column + 1)),
            None => Ok(names),
        }
    })
}

/// The rows of the first sheet: the wanted columns as text, null where a cell is empty.
///
/// # Errors
/// What is wrong with the workbook, in words.
pub(super) fn frame(path: &Path, wanted: &[&str]) -> Result<DataFrame, String> {
    let header = header(path)?;
    let mut columns: Vec<Option<StringChunkedBuilder>> = header
        .iter()
        .map(|name| {
            wanted
                .contains(&name.as_str())
                .then(|| StringChunkedBuilder::new(name.as_str().into(), 0))
        })
        .collect();
    let mut filled = vec![0u32; columns.len()];
    let mut height = 0u32;
    with_cells(path, |cells| {
        while let Some(cell) = cells.next_cell().map_err(|error| error.to_string())? {
            let (row, column) = cell.get_position();
            let Some(Some(builder)) = columns.get_mut(column as usize) else { continue };
            // Cells come row by row; those that are empty may be left out.
            if let (true, Some(value)) = (row > 0, text(cell.get_value())) {
                let filled = &mut filled[column as usize];
                (*filled..row - 1).for_each(|_| builder.append_null());
                builder.append_value(&value);
                *filled = row;
                height = height.max(row);
            }
        }
        Ok(())
    })?;
    let columns = columns.into_iter().zip(filled).filter_map(|(builder, filled)| {
        let mut builder = builder?;
        (filled..height).for_each(|_| builder.append_null());
        Some(builder.finish().into_column())
    });
    DataFrame::new(height as usize, columns.collect()).map_err(|error| error.to_string())
}

type Cells<'a> = XlsxCellReader<'a, std::io::BufReader<std::fs::File>>;

fn with_cells<T>(
    path: &Path,
    read: impl FnOnce(&mut Cells<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let mut workbook: Xlsx<_> =
        open_workbook(path).map_err(|error: calamine::XlsxError| error.to_string())?;
    let sheet = workbook.sheet_names().into_iter().next().ok_or("the workbook has no sheet")?;
    let mut cells = workbook.worksheet_cells_reader(&sheet).map_err(|error| error.to_string())?;
    read(&mut cells)
}

/// A cell as a CSV would hold it; `None` where it is empty.
fn text(value: &DataRef<'_>) -> Option<String> {
    Some(match value {
        DataRef::Empty => return None,
        DataRef::Int(x) => x.to_string(),
        // The shortest text that reads back as the same float; whole numbers come without a point.
        DataRef::Float(x) => x.to_string(),
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(x) => x.to_string(),
        DataRef::DateTime(moment) => {
            let (year, month, day, hour, minute, second, milli) = moment.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}")
        }
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(error) => format!("{error:?}"),
    })
}
