//! Excel workbooks: the first sheet as a table of text, read cell by cell.
//!
//! A workbook has a type for each cell, not for each column. Every cell becomes the text that a CSV
//! would have: whole numbers as plain digits, timestamps as ISO 8601.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use calamine::{DataRef, Reader, Xlsx, XlsxCellReader, XlsxError, open_workbook};
use polars::prelude::*;

use super::SourceFile;

/// Format of the timestamps that [`frame`] writes. Excel's are exact to the millisecond.
pub(super) const TIMESTAMP_FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.3f";

/// Names of the columns: the first row of the first sheet.
pub(super) fn header(path: &Path) -> Result<Vec<String>, String> {
    with_cells(path, |cells| {
        let mut names: Vec<String> = Vec::new();
        while let Some(cell) = cells.next_cell().map_err(|error| error.to_string())? {
            let (row, column) = cell.get_position();
            if row > 0 {
                break;
            }
            names.resize(column as usize + 1, String::new());
            if let Some(name) = text(cell.get_value()) {
                names[column as usize] = name;
            }
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

/// The rows of the first sheet: the wanted columns as text, null for empty cells.
pub(super) fn frame(file: &SourceFile, wanted: impl Fn(&str) -> bool) -> Result<DataFrame, String> {
    let builder = |(name, _): &(String, DataType)| {
        wanted(name).then(|| StringChunkedBuilder::new(name.as_str().into(), 0))
    };
    let mut columns: Vec<Option<StringChunkedBuilder>> = file.columns.iter().map(builder).collect();
    // Rows appended to each column.
    let mut lengths = vec![0u32; columns.len()];
    let mut height = 0u32;
    with_cells(&file.path, |cells| {
        while let Some(cell) = cells.next_cell().map_err(|error| error.to_string())? {
            let (row, column) = cell.get_position();
            let Some(Some(builder)) = columns.get_mut(column as usize) else { continue };
            // Cells come row by row. Empty ones may be absent.
            if row > 0
                && let Some(value) = text(cell.get_value())
            {
                let length = &mut lengths[column as usize];
                (*length..row - 1).for_each(|_| builder.append_null());
                builder.append_value(&value);
                *length = row;
                height = height.max(row);
            }
        }
        Ok(())
    })?;
    let columns = columns.into_iter().zip(lengths).filter_map(|(builder, length)| {
        let mut builder = builder?;
        (length..height).for_each(|_| builder.append_null());
        Some(builder.finish().into_column())
    });
    DataFrame::new(height as usize, columns.collect()).map_err(|error| error.to_string())
}

type CellReader<'a> = XlsxCellReader<'a, BufReader<File>>;

fn with_cells<T>(
    path: &Path,
    read: impl FnOnce(&mut CellReader<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let mut workbook: Xlsx<_> =
        open_workbook(path).map_err(|error: XlsxError| error.to_string())?;
    let sheet = workbook.sheet_names().into_iter().next().ok_or("the workbook has no sheet")?;
    let mut cells = workbook.worksheet_cells_reader(&sheet).map_err(|error| error.to_string())?;
    read(&mut cells)
}

/// A cell as a CSV would have it, `None` if it is empty.
fn text(value: &DataRef<'_>) -> Option<String> {
    Some(match value {
        DataRef::Empty => return None,
        DataRef::Int(x) => x.to_string(),
        // The shortest text that parses to the same float. Whole numbers have no point.
        DataRef::Float(x) => x.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(x) => x.to_string(),
        DataRef::DateTime(timestamp) => {
            let (year, month, day, hour, minute, second, milli) = timestamp.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}")
        }
        DataRef::Error(error) => format!("{error:?}"),
    })
}
