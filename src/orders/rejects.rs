//! The rejected rows, written to a file as the lines pass.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use polars::prelude::*;

use super::groups::Groups;
use crate::clean::{MarkedLines, Reason};
use crate::columns::{REASON, SOURCE_FILE, SOURCE_ROW, STEP, TEXT};
use crate::ingest::{self, conform, verdicts};
use crate::watched::Watched;

/// How the rejected rows are named and where they go.
pub struct Rejects<'a> {
    /// Parquet file to write.
    pub path: &'a Path,
    /// Names of the source files, in the order of `source_file`.
    pub files: Vec<&'a str>,
    /// What the footer says of the file's making.
    pub metadata: KeyValueMetadata,
}

/// Rows that are written together.
const ROW_GROUP: usize = 1 << 18;
/// Pieces of rejected rows that may wait to be written; whoever has another waits too.
const WAITING: usize = 16;

/// The rejected rows on their way to a file, which a thread of its own writes.
///
/// A second consumer of the scan would do for it, but costs a tenth of the scan before it has seen a row.
pub(super) struct Writing {
    table: Arc<Table>,
    pieces: SyncSender<Option<DataFrame>>,
    thread: JoinHandle<PolarsResult<()>>,
}

impl Writing {
    /// Makes the file.
    pub(super) fn begin(rejects: &Rejects<'_>, lines: &MarkedLines) -> PolarsResult<Self> {
        let table = Arc::new(Table::new(rejects, lines)?);
        let none = table
            .rejected(&DataFrame::empty_with_schema(&*lines.frame.clone().collect_schema()?))?;
        let (file, metadata) = (Watched::create(rejects.path)?, rejects.metadata.clone());
        let (pieces, waiting) = sync_channel(WAITING);
        let thread = thread::spawn(move || write(file, none, metadata, waiting));
        Ok(Self { table, pieces, thread })
    }

    /// Lines with some columns, the rejected ones of which are written as they pass.
    pub(super) fn told(&self, lines: LazyFrame, columns: Vec<PlSmallStr>) -> LazyFrame {
        told(lines, columns, self.table.clone(), self.pieces.clone())
    }

    /// Does something while the last of what passed is written, and waits for both.
    pub(super) fn end<T>(self, meanwhile: impl FnOnce() -> PolarsResult<T>) -> PolarsResult<T> {
        // The plan may outlive its execution and hold the channel open, so that the end has to be said. Whether anybody hears it, the
        // writer tells.
        let _ = self.pieces.send(None);
        let done = meanwhile();
        let written = self
            .thread
            .join()
            .map_err(|_| polars_err!(ComputeError: "the writer of the rejects fell"))?;
        // Where the writer fails the scan does too, and knows less of it.
        written.and(done)
    }
}

/// As [`Writing::told`], of a plan to look at.
pub(super) fn shown(
    rejects: &Rejects<'_>,
    lines: &MarkedLines,
    columns: Vec<PlSmallStr>,
) -> PolarsResult<LazyFrame> {
    let table = Arc::new(Table::new(rejects, lines)?);
    Ok(told(lines.frame.clone(), columns, table, sync_channel(0).0))
}

fn told(
    lines: LazyFrame,
    mut columns: Vec<PlSmallStr>,
    table: Arc<Table>,
    pieces: SyncSender<Option<DataFrame>>,
) -> LazyFrame {
    columns.extend(table.looked_at().map(PlSmallStr::from));
    let mut known = PlHashSet::new();
    columns.retain(|column| known.insert(column.clone()));
    let told = move |lines: DataFrame| {
        let rejected = table.rejected(&lines)?;
        let gone = |_| polars_err!(ComputeError: "the writer of the rejects is gone");
        match rejected.height() {
            0 => {}
            _ => pieces.send(Some(rejected)).map_err(gone)?,
        }
        Ok(lines)
    };
    lines.select(columns.into_iter().map(col).collect::<Vec<_>>()).map(
        told,
        OptFlags::STREAMING,
        None,
        Some("REJECTS"),
    )
}

/// Writes pieces until there are no more.
fn write(
    mut file: Watched,
    none: DataFrame,
    metadata: KeyValueMetadata,
    pieces: Receiver<Option<DataFrame>>,
) -> PolarsResult<()> {
    let groups = |file: &mut Watched| {
        let mut groups = Groups::begin(file, none.schema(), metadata)?;
        let mut rows = none.clone();
        while let Ok(Some(piece)) = pieces.recv() {
            rows.vstack_mut_owned(piece)?;
            if rows.height() >= ROW_GROUP {
                groups.write(&mut std::mem::replace(&mut rows, none.clone()))?;
            }
        }
        if rows.height() > 0 {
            groups.write(&mut rows)?;
        }
        groups.end()
    };
    let written = groups(&mut file);
    match file.refused() {
        Some(refused) => Err(refused.into()),
        None => written,
    }
}

/// What the rejects say of lines, by the codes of their reasons and files.
struct Table {
    /// Step of each reason.
    steps: Column,
    /// Each reason.
    reasons: Column,
    /// Of each reason for which a line cannot be parsed, the column with the cell at fault, if it is one cell's.
    cells: Vec<Option<String>>,
    /// Name of each file.
    files: Column,
    /// What is kept of a row: name in the rejects, and column of the lines.
    kept: Vec<(String, String)>,
}

impl Table {
    fn new(rejects: &Rejects<'_>, lines: &MarkedLines) -> PolarsResult<Self> {
        let faults = lines.reasons.iter().take_while(|reason| reason.step == ingest::STAGE);
        Ok(Self {
            steps: words(STEP, lines.reasons.iter().map(|reason| reason.step.as_str()))?,
            reasons: words(REASON, lines.reasons.iter().map(|reason| reason.reason.as_str()))?,
            cells: faults.map(|fault| fault.cell.map(conform::cell_name)).collect(),
            files: words(SOURCE_FILE, rejects.files.iter().copied())?,
            kept: lines.kept.clone(),
        })
    }

    /// The columns of lines that the rejects are made of, some of them more than once.
    fn looked_at(&self) -> impl Iterator<Item = &str> {
        let cells = self.cells.iter().flatten().map(String::as_str);
        let kept = self.kept.iter().map(|(_, column)| column.as_str());
        [REASON, SOURCE_FILE, SOURCE_ROW, TEXT].into_iter().chain(cells).chain(kept)
    }

    /// The rejected ones of some lines.
    fn rejected(&self, lines: &DataFrame) -> PolarsResult<DataFrame> {
        let (reasons, files) = (lines.column(REASON)?, lines.column(SOURCE_FILE)?);
        let mut rows = Vec::new();
        verdicts::each_that_holds(&reasons.is_not_null(), |row| rows.push(row as IdxSize));
        let rows = IdxCa::from_vec(PlSmallStr::EMPTY, rows);
        let word = |words: &Column, codes: &Column| words.take(codes.cast(&IDX_DTYPE)?.idx()?);
        let reasons = reasons.take(&rows)?;
        let files = match files.as_scalar_column().filter(|_| !rows.is_empty()) {
            // Neighbours are of one file.
            Some(_) => word(&self.files, &files.head(Some(1)))?.new_from_index(0, rows.len()),
            None => word(&self.files, &files.take(&rows)?)?,
        };
        let mut columns = vec![
            word(&self.steps, &reasons)?,
            word(&self.reasons, &reasons)?,
            files,
            lines.column(SOURCE_ROW)?.take(&rows)?,
            self.text(lines, &rows, reasons.u8()?)?,
        ];
        for (name, column) in &self.kept {
            columns.push(
                lines.column(column)?.take(&rows)?.cast(&DataType::String)?.with_name(name.into()),
            );
        }
        DataFrame::new(rows.len(), columns)
    }

    /// The text of what is at fault where rows cannot be parsed; null where they are rejected for what they say.
    fn text(
        &self,
        lines: &DataFrame,
        rows: &IdxCa,
        reasons: &UInt8Chunked,
    ) -> PolarsResult<Column> {
        // Nearly no rows are.
        if !reasons.lt(self.cells.len() as u8).any() {
            return Ok(Column::full_null(TEXT.into(), rows.len(), &DataType::String));
        }
        let of_rows = |column: &str| lines.column(column)?.take(rows)?.cast(&DataType::String);
        let mut text = of_rows(TEXT)?;
        for (code, cell) in self.cells.iter().enumerate() {
            let faulty = reasons.equal(code as u8);
            if let Some(cell) = cell.as_ref().filter(|_| faulty.any()) {
                text = text.zip_with(&(!(&faulty) | text.is_not_null()), &of_rows(cell)?)?;
            }
        }
        Ok(text)
    }
}

/// A column of words, one a code, to be looked up in. They are an enum, which Parquet writes as text with a dictionary.
fn words<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> PolarsResult<Column> {
    let words: Vec<&str> = words.collect();
    let mut unique: Vec<&str> = Vec::new();
    words.iter().for_each(|word| {
        if !unique.contains(word) {
            unique.push(word);
        }
    });
    Column::new(name.into(), words)
        .cast(&DataType::from_frozen_categories(FrozenCategories::new(unique)?))
}

/// The first rejected row with one of some reasons: file, row and text.
///
/// # Errors
/// What Polars says of the rejects.
pub fn first_reject(
    path: &Path,
    reasons: &[Reason],
    told: impl Fn(&Reason) -> bool,
) -> PolarsResult<Option<String>> {
    let wanted = reasons
        .iter()
        .filter(|reason| told(reason))
        .map(|reason| col(REASON).eq(lit(reason.reason.as_str())));
    let wanted = wanted.reduce(|any, one| any.or(one)).unwrap_or(lit(false));
    let rejects = LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, Default::default())?;
    let first = rejects
        .filter(wanted)
        .sort([SOURCE_FILE, SOURCE_ROW], Default::default())
        .limit(1)
        .collect()?;
    let text = |name: &str| -> PolarsResult<Option<String>> {
        let column = first.column(name)?.cast(&DataType::String)?;
        Ok(column.str()?.iter().next().flatten().map(str::to_owned))
    };
    let (file, row, cell) = (text(SOURCE_FILE)?, text(SOURCE_ROW)?, text(TEXT)?);
    Ok(file
        .zip(row)
        .map(|(file, row)| format!("`{file}`, row {row}: {}", cell.unwrap_or_default())))
}
