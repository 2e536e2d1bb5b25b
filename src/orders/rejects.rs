//! Writes the rejected rows to a Parquet file during the scan.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use polars::prelude::*;

use super::fold::{Consumer, Merge};
use crate::clean::{MarkedLines, Reason};
use crate::columns::{LINES, REASON, SOURCE_FILE, SOURCE_ROW, STEP, TEXT};
use crate::error_keeping_file::ErrorKeepingFile;
use crate::ingest::{self, outcomes, schema_mapping};

/// The Parquet file for the rejected rows, and the metadata of its footer.
pub struct Rejects<'a> {
    pub path: &'a Path,
    /// Names of the source files, in the order of `source_file`. `None` for the rows of a query.
    pub files: Vec<Option<&'a str>>,
    pub metadata: KeyValueMetadata,
}

/// Minimum rows of a row group, except the last.
const ROW_GROUP: usize = 1 << 18;
/// Batches that may wait for the writer thread before the scan blocks.
const QUEUE_LENGTH: usize = 16;

/// Writes rejected rows on a thread of its own.
pub(super) struct RejectsWriter {
    thread: JoinHandle<PolarsResult<()>>,
}

impl RejectsWriter {
    /// The writer, and the consumer that sends rejected lines to it until it is dropped.
    pub(super) fn create(
        rejects: &Rejects<'_>,
        lines: &MarkedLines,
    ) -> PolarsResult<(Self, Consumer)> {
        let table = Arc::new(RejectsTable::new(rejects, lines)?);
        let schema = lines.lines.schema()?;
        let empty = table.rejected(&DataFrame::empty_with_schema(&schema))?;
        let mut file = ErrorKeepingFile::create(rejects.path)?;
        let metadata = rejects.metadata.clone();
        let (batches, received) = sync_channel(QUEUE_LENGTH);
        let thread = thread::spawn(move || {
            let batches = received.into_iter();
            let written = write_batches(&mut file, &empty, metadata, batches, ROW_GROUP);
            match file.last_error() {
                Some(error) => Err(error.into()),
                None => written,
            }
        });
        Ok((Self { thread }, table.consumer(batches)))
    }

    /// Runs `meanwhile` while the writer finishes, and waits for both. The consumer must be dropped.
    pub(super) fn finish<T>(self, meanwhile: impl FnOnce() -> PolarsResult<T>) -> PolarsResult<T> {
        let result = meanwhile();
        let panicked = |_| polars_err!(ComputeError: "the rejects writer thread panicked");
        // If the writer fails, the scan fails too, with a less specific error.
        self.thread.join().map_err(panicked)?.and(result)
    }
}

/// Writes batches with the schema of `empty` as a Parquet file. A row group has at least
/// `row_group` rows, except the last.
fn write_batches(
    file: impl Write,
    empty: &DataFrame,
    metadata: KeyValueMetadata,
    batches: impl Iterator<Item = DataFrame>,
    row_group: usize,
) -> PolarsResult<()> {
    let mut writer = ParquetWriter::new(file)
        .with_compression(ParquetCompression::Zstd(None))
        .with_key_value_metadata(Some(metadata))
        .batched(empty.schema())?;
    let mut rows = empty.clone();
    for batch in batches {
        rows.vstack_mut_owned(batch)?;
        if rows.height() >= row_group {
            writer.write_batch(rows.rechunk_mut())?;
            rows = empty.clone();
        }
    }
    if rows.height() > 0 {
        writer.write_batch(rows.rechunk_mut())?;
    }
    writer.finish().map(|_size| ())
}

/// Converts rejected lines to rows of the rejects.
pub(super) struct RejectsTable {
    /// Step and text of each reason, by its code.
    steps: Column,
    reasons: Column,
    /// Column with the invalid cell of each parse fault, by the code of the reason; `None` if the
    /// fault is not in a single cell.
    cells: Vec<Option<String>>,
    /// Names of the files, by their index.
    files: Column,
    /// Source cells to keep: column name in the rejects, and column of the lines.
    kept: Vec<(String, String)>,
}

impl RejectsTable {
    pub(super) fn new(rejects: &Rejects<'_>, lines: &MarkedLines) -> PolarsResult<Self> {
        let last_fault = lines.reasons.iter().rposition(|reason| reason.step == ingest::STAGE);
        let faults = &lines.reasons[..last_fault.map_or(0, |last| last + 1)];
        Ok(Self {
            steps: enum_column(STEP, lines.reasons.iter().map(|reason| reason.step.as_str()))?,
            reasons: enum_column(REASON, lines.reasons.iter().map(|r| r.reason.as_str()))?,
            cells: faults.iter().map(|fault| fault.cell.map(schema_mapping::cell_name)).collect(),
            files: enum_column(SOURCE_FILE, rejects.files.iter().copied())?,
            kept: lines.kept.clone(),
        })
    }

    /// Sends rejected lines to the writer. Its own result is empty.
    pub(super) fn consumer(self: Arc<Self>, batches: SyncSender<DataFrame>) -> Consumer {
        let columns: PlIndexSet<&str> = self.columns_read().collect();
        let reads = columns.into_iter().map(col).collect();
        let stopped = |_| polars_err!(ComputeError: "the rejects writer thread has stopped");
        let reduce = move |lines: &DataFrame| {
            let rejected = self.rejected(lines)?;
            if rejected.height() > 0 {
                batches.send(rejected).map_err(stopped)?;
            }
            Ok(DataFrame::empty())
        };
        Consumer { reads, reduce: Box::new(reduce), merge: Merge::Concat }
    }

    /// The columns of the lines that the rejects require, possibly with duplicates.
    fn columns_read(&self) -> impl Iterator<Item = &str> {
        let cells = self.cells.iter().flatten().map(String::as_str);
        let kept = self.kept.iter().map(|(_, column)| column.as_str());
        [REASON, SOURCE_FILE, SOURCE_ROW, LINES, TEXT].into_iter().chain(cells).chain(kept)
    }

    fn rejected(&self, lines: &DataFrame) -> PolarsResult<DataFrame> {
        // A line stands for adjacent rows.
        let (mut rows, mut numbers) = (Vec::new(), Vec::new());
        let [firsts, counts] = [SOURCE_ROW, LINES].map(|name| lines.column(name));
        let (firsts, counts) = (firsts?.u32()?, counts?.u32()?);
        outcomes::for_each_true(&lines.column(REASON)?.is_not_null(), |line| {
            let count = counts.get(line).unwrap_or(1);
            rows.extend(std::iter::repeat_n(line as IdxSize, count as usize));
            numbers.extend(firsts.get(line).iter().flat_map(|first| *first..first + count));
        });
        let rows = IdxCa::from_vec(PlSmallStr::EMPTY, rows);
        let reasons = lines.column(REASON)?.take(&rows)?;
        let files = lines.column(SOURCE_FILE)?;
        let files = if files.as_scalar_column().is_some() && !rows.is_empty() {
            // All lines are of one file.
            decode(&self.files, &files.head(Some(1)))?.new_from_index(0, rows.len())
        } else {
            decode(&self.files, &files.take(&rows)?)?
        };
        let mut columns = vec![
            decode(&self.steps, &reasons)?,
            decode(&self.reasons, &reasons)?,
            files,
            Column::new(SOURCE_ROW.into(), numbers),
            self.text(lines, &rows, reasons.u8()?)?,
        ];
        for (name, column) in &self.kept {
            let cells = lines.column(column)?.take(&rows)?.cast(&DataType::String)?;
            columns.push(cells.with_name(name.into()));
        }
        DataFrame::new(rows.len(), columns)
    }

    /// Text of the record or cell that cannot be parsed; null for rows rejected by `clean`.
    fn text(
        &self,
        lines: &DataFrame,
        rows: &IdxCa,
        reasons: &UInt8Chunked,
    ) -> PolarsResult<Column> {
        // Parse faults are rare.
        if !reasons.lt(self.cells.len() as u8).any() {
            return Ok(Column::full_null(TEXT.into(), rows.len(), &DataType::String));
        }
        let mut text = lines.column(TEXT)?.take(rows)?.cast(&DataType::String)?;
        for (code, cell) in self.cells.iter().enumerate() {
            let is_faulty = reasons.equal(code as u8);
            if let Some(cell) = cell
                && is_faulty.any()
            {
                let cells = lines.column(cell)?.take(rows)?.cast(&DataType::String)?;
                text = text.zip_with(&(!is_faulty | text.is_not_null()), &cells)?;
            }
        }
        Ok(text)
    }
}

/// The values at the indices `codes`.
fn decode(values: &Column, codes: &Column) -> PolarsResult<Column> {
    values.take(codes.cast(&IDX_DTYPE)?.idx()?)
}

/// An enum column, which Parquet stores as text with a dictionary.
fn enum_column<'a>(
    name: &str,
    values: impl Iterator<Item = impl Into<Option<&'a str>>>,
) -> PolarsResult<Column> {
    let values: Vec<Option<&str>> = values.map(Into::into).collect();
    let categories: PlIndexSet<&str> = values.iter().copied().flatten().collect();
    let dtype = DataType::from_frozen_categories(FrozenCategories::new(categories)?);
    Column::new(name.into(), values).cast(&dtype)
}

/// A rejected row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// `None` for a row of a query.
    pub file: Option<String>,
    row: String,
    pub text: String,
    pub reason: String,
}

impl fmt::Display for RejectedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, row, text, .. } = self;
        write!(f, "`{}`, row {row}: {text}", file.as_deref().unwrap_or("the query"))
    }
}

/// The first rejected rows whose reason `include` selects, at most `n`.
pub fn first_rejects(
    path: &Path,
    reasons: &[Reason],
    include: impl Fn(&Reason) -> bool,
    n: u32,
) -> PolarsResult<Vec<RejectedRow>> {
    let is_included = reasons
        .iter()
        .filter(|reason| include(reason))
        .map(|reason| col(REASON).eq(lit(reason.reason.as_str())))
        .reduce(Expr::or)
        .unwrap_or(lit(false));
    let rejects = LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, Default::default())?;
    let first = rejects
        .filter(is_included)
        .sort([SOURCE_FILE, SOURCE_ROW], Default::default())
        .limit(n)
        .select(
            [SOURCE_FILE, SOURCE_ROW, TEXT, REASON].map(|name| col(name).cast(DataType::String)),
        )
        .collect()?;
    let cell =
        |name: &str, row| PolarsResult::Ok(first.column(name)?.str()?.get(row).map(str::to_owned));
    let rejected = (0..first.height()).map(|row| {
        Ok(RejectedRow {
            file: cell(SOURCE_FILE, row)?,
            row: cell(SOURCE_ROW, row)?.unwrap_or_default(),
            text: cell(TEXT, row)?.unwrap_or_default(),
            reason: cell(REASON, row)?.unwrap_or_default(),
        })
    });
    rejected.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ascending and descending numbers, both ends of their range, long strings and nulls, in
    /// several row groups.
    #[test]
    fn written_rows_are_read_back() {
        let rows = 1000u32;
        let number = |row: u32| match row % 10 {
            0 => u32::MAX - row,
            1 => rows - row,
            2 => 1 << 31,
            _ => row,
        };
        let long = |row: u32| "a text of more than twelve bytes, ".repeat(row as usize % 5);
        let text = |row: u32| row.is_multiple_of(3).then(|| long(row));
        let numbers = Column::new(SOURCE_ROW.into(), (0..rows).map(number).collect::<Vec<_>>());
        let texts = Column::new(TEXT.into(), (0..rows).map(text).collect::<Vec<_>>());
        let steps = enum_column(STEP, (0..rows).map(|row| ["a", "b"][row as usize % 2])).unwrap();
        let frame = DataFrame::new(rows as usize, vec![steps, numbers, texts]).unwrap();
        let mut file = Vec::new();
        let metadata = KeyValueMetadata::from_static(Vec::new());
        let batches = [frame.slice(0, 1), frame.slice(1, 998), frame.clear(), frame.slice(999, 1)];
        write_batches(&mut file, &frame.clear(), metadata, batches.into_iter(), 1).unwrap();
        let read = ParquetReader::new(std::io::Cursor::new(file)).finish().unwrap();
        assert!(read.equals_missing(&frame), "{read}");
    }
}
