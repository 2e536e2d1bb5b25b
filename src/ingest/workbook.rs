//! Workbooks: sheets as tables, read cell by cell.
//!
//! A workbook has a type for each cell, not for each column. A column therefore becomes several:
//! the cells as the text that a CSV would have, and beside them the typed numbers and times, which
//! no text format applies to, and the errors. Their cells are no text.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use calamine::{
    DataType as CellType, Reader, SheetType, SheetVisible, Sheets, XlsxError, open_workbook_auto,
};
use polars::prelude::*;

use super::cell::{DATETIME, ROW_COLUMN};
use super::{Sheet, SourceFile};

/// Which sheets of a workbook are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SheetChoice {
    pub names: SheetNames,
    /// Index of the row with the column names. Default: the first row that is not empty.
    pub header_row: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SheetNames {
    /// The only sheet that has the required columns.
    #[default]
    Matching,
    All,
    Named(Vec<String>),
}

/// Name of the column with the typed numbers of a column.
pub(crate) fn number_name(column: &str) -> String {
    format!("custseg.number.{column}")
}

/// Name of the column with the typed times of a column.
pub(crate) fn time_name(column: &str) -> String {
    format!("custseg.time.{column}")
}

/// Name of the column with the errors of a column.
pub(super) fn error_name(column: &str) -> String {
    format!("custseg.error.{column}")
}

/// The columns with the other cells of columns: those of `keys`, and the errors of all `names`.
pub(super) fn companions(names: &[String], keys: &[String]) -> Vec<String> {
    let typed = keys.iter().flat_map(|key| [number_name(key), time_name(key)]);
    typed.chain(names.iter().map(|name| error_name(name))).collect()
}

/// A sheet that is read, with the names of its columns. Columns without a name are empty.
pub(super) struct Header {
    pub(super) sheet: Sheet,
    pub(super) names: Vec<String>,
}

/// The sheets to read. With [`SheetNames::Matching`], the one that has all `required` columns.
///
/// # Errors
/// A sheet does not exist or is empty, or several sheets have the required columns.
pub(super) fn headers(
    path: &Path,
    choice: &SheetChoice,
    required: &[&str],
) -> Result<Vec<Header>, String> {
    let mut workbook = open(path)?;
    let is_table = |sheet: &&calamine::Sheet| {
        sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible
    };
    let visible = workbook.sheets_metadata().iter().filter(is_table);
    let visible: Vec<String> = visible.map(|sheet| sheet.name.clone()).collect();
    let quoted = |names: &[String]| names.join("`, `");
    let wanted = match &choice.names {
        SheetNames::Named(names) => {
            let all = workbook.sheet_names();
            if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
                return Err(format!("no sheet `{unknown}`; it has `{}`", quoted(&all)));
            }
            if let Some((_, twice)) =
                names.iter().enumerate().find(|(i, n)| names[..*i].contains(n))
            {
                return Err(format!("sheet `{twice}` is listed twice"));
            }
            names.clone()
        }
        SheetNames::All | SheetNames::Matching => visible.clone(),
    };
    let mut headers = Vec::new();
    for name in wanted {
        headers.extend(header(&mut workbook, name, choice.header_row)?);
    }
    let has_required = |header: &Header| {
        required.iter().all(|column| header.names.iter().any(|name| name == column))
    };
    match choice.names {
        SheetNames::Matching => {
            let matching = headers.iter().filter(|header| has_required(header));
            let matching: Vec<String> = matching.map(|header| header.sheet.name.clone()).collect();
            if matching.len() > 1 {
                return Err(format!(
                    "the sheets `{}` have the mapped columns; choose with `workbook.sheet`: a name, \
                     a list, or `all`",
                    quoted(&matching)
                ));
            }
            // If none matches, the missing columns of the first sheet are reported.
            let position = headers.iter().position(has_required).unwrap_or(0);
            let chosen = headers.into_iter().nth(position);
            Ok(vec![chosen.ok_or("no sheet has a row with text")?])
        }
        _ if headers.is_empty() => Err("no sheet has a row with text".to_owned()),
        _ => Ok(headers),
    }
}

/// The header of a sheet, `None` if the sheet is empty.
fn header(
    workbook: &mut Workbook,
    sheet: String,
    row: Option<u32>,
) -> Result<Option<Header>, String> {
    let mut names: Vec<String> = Vec::new();
    let mut header_row = row;
    for_each_cell(workbook, &sheet, |row, column, cell| {
        let Some(text) = cell.text() else { return true };
        if row < *header_row.get_or_insert(row) {
            return true;
        }
        if header_row == Some(row) {
            names.resize(names.len().max(column as usize + 1), String::new());
            names[column as usize] = text.trim().to_owned();
        }
        header_row == Some(row)
    })?;
    let sheet = Sheet { name: sheet, header_row: header_row.unwrap_or(0) };
    Ok((!names.is_empty()).then_some(Header { sheet, names }))
}

/// A column of a sheet while it is read.
struct SheetColumn {
    texts: StringChunkedBuilder,
    numbers: Vec<Option<f64>>,
    times: Vec<Option<i64>>,
    errors: StringChunkedBuilder,
}

impl SheetColumn {
    fn new(name: &str) -> Self {
        let builder = |name: &str| StringChunkedBuilder::new(name.into(), 0);
        let (numbers, times) = (Vec::new(), Vec::new());
        Self { texts: builder(name), numbers, times, errors: builder(&error_name(name)) }
    }

    /// Appends empty cells up to a number of rows.
    fn fill(&mut self, rows: usize) {
        while self.numbers.len() < rows {
            self.push(&Cell::Empty);
        }
    }

    fn push(&mut self, cell: &Cell) {
        self.texts.append_option(match cell {
            Cell::Error(_) => None,
            cell => cell.text(),
        });
        self.numbers.push(if let Cell::Number(number) = cell { Some(*number) } else { None });
        self.times.push(if let Cell::Time(micros, _) = cell { Some(*micros) } else { None });
        self.errors.append_option(if let Cell::Error(text) = cell { Some(text) } else { None });
    }

    fn finish(self, name: &str) -> PolarsResult<[Column; 4]> {
        Ok([
            self.texts.finish().into_column(),
            Column::new(number_name(name).into(), self.numbers),
            Column::new(time_name(name).into(), self.times).cast(&DATETIME)?,
            self.errors.finish().into_column(),
        ])
    }
}

/// Which rows of a sheet to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    All,
    None,
}

/// The rows of a sheet: [`ROW_COLUMN`] and the wanted columns. Rows without any cell are left out.
pub(super) fn frame(
    file: &SourceFile,
    wanted: impl Fn(&str) -> bool,
    rows_to_read: Rows,
) -> Result<DataFrame, String> {
    let column = |(name, _): &(String, DataType)| wanted(name).then(|| SheetColumn::new(name));
    let mut columns: Vec<Option<SheetColumn>> = file.columns.iter().map(column).collect();
    let mut rows: Vec<u32> = Vec::new();
    if let (Rows::All, Some(Sheet { name, header_row })) = (rows_to_read, &file.sheet) {
        for_each_cell(&mut open(&file.path)?, name, |row, column, cell| {
            // Cells come row by row. Empty ones may be absent.
            if row <= *header_row || matches!(cell, Cell::Empty) {
                return true;
            }
            let number = row - header_row;
            if column as usize >= columns.len() {
                return true;
            }
            if rows.last() != Some(&number) {
                rows.push(number);
            }
            if let Some(Some(sheet_column)) = columns.get_mut(column as usize) {
                sheet_column.fill(rows.len() - 1);
                sheet_column.push(&cell);
            }
            true
        })?;
    }
    let height = rows.len();
    let mut frame = vec![Column::new(ROW_COLUMN.into(), rows)];
    for (column, (name, _)) in columns.into_iter().zip(&file.columns) {
        let Some(mut column) = column else { continue };
        column.fill(height);
        frame.extend(column.finish(name).map_err(|error| error.to_string())?);
    }
    DataFrame::new(height, frame).map_err(|error| error.to_string())
}

type Workbook = Sheets<BufReader<File>>;

fn open(path: &Path) -> Result<Workbook, String> {
    open_workbook_auto(path).map_err(|error| error.to_string())
}

/// Calls a function with row, column and value of each cell until it returns false.
fn for_each_cell(
    workbook: &mut Workbook,
    sheet: &str,
    mut call: impl FnMut(u32, u32, Cell) -> bool,
) -> Result<(), String> {
    // Only this format can be read without holding the sheet in memory.
    if let Sheets::Xlsx(workbook) = workbook {
        let text = |error: XlsxError| error.to_string();
        let mut cells = workbook.worksheet_cells_reader(sheet).map_err(text)?;
        while let Some(cell) = cells.next_cell().map_err(text)? {
            let (row, column) = cell.get_position();
            if !call(row, column, Cell::new(cell.get_value())) {
                break;
            }
        }
        return Ok(());
    }
    let range = workbook.worksheet_range(sheet).map_err(|error| error.to_string())?;
    let (first_row, first_column) = range.start().unwrap_or((0, 0));
    for (row, column, value) in range.used_cells() {
        let (row, column) = (first_row + row as u32, first_column + column as u32);
        if !call(row, column, Cell::new(value)) {
            break;
        }
    }
    Ok(())
}

/// The value of a cell.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Empty,
    Text(String),
    Number(f64),
    /// Microseconds of local time since 1970, and the time as text.
    Time(i64, String),
    Error(String),
}

impl Cell {
    fn new(value: &impl CellType) -> Self {
        if value.is_empty() {
            return Self::Empty;
        }
        if let Some(error) = value.get_error() {
            return Self::Error(error.to_string());
        }
        if let Some(number) = value.get_float().or(value.get_int().map(|x| x as f64)) {
            return Self::Number(number);
        }
        let iso = value.get_datetime_iso();
        let parsed = iso.and_then(|text| text.parse::<chrono::NaiveDateTime>().ok());
        let day = iso.and_then(|text| text.parse::<chrono::NaiveDate>().ok()?.and_hms_opt(0, 0, 0));
        let serial = value.get_datetime().filter(|time| !time.is_duration());
        let serial = serial.and_then(|time| {
            let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
            let day = chrono::NaiveDate::from_ymd_opt(year.into(), month.into(), day.into())?;
            day.and_hms_milli_opt(hour.into(), minute.into(), second.into(), milli.into())
        });
        let time = parsed.or(day).or(serial);
        if let Some(time) = time {
            let text = time.format("%Y-%m-%dT%H:%M:%S%.f").to_string();
            return Self::Time(time.and_utc().timestamp_micros(), text);
        }
        match value.get_string().or(iso).or(value.get_duration_iso()) {
            Some(text) => Self::Text(text.to_owned()),
            None => match (value.get_bool(), value.get_datetime()) {
                (Some(value), _) => Self::Text(value.to_string()),
                // A duration in days.
                (None, Some(duration)) => Self::Text(duration.as_f64().to_string()),
                _ => Self::Empty,
            },
        }
    }

    /// The cell as a CSV would have it, `None` if it is empty. Numbers are the shortest text that
    /// parses to the same float; whole numbers have no point.
    fn text(&self) -> Option<String> {
        match self {
            Self::Empty => None,
            Self::Text(text) | Self::Time(_, text) | Self::Error(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
        }
    }
}
