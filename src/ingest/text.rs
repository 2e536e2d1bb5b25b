//! CSV as a plan: chunks of records become frames with their cells as text, or parsed where that is asked for.
//!
//! Polars' own reader tells nothing of a record that is none of the table's, and parses every cell of every row. Its streaming engine
//! has no source of one's own either, so a frame of tickets stands in for one, which holds nothing but its height: for so many of them
//! that pass, the next chunk is read.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use polars::prelude::*;

use super::cells::{Cells, Told};
use super::chunks::{CHUNK, Chunk, Chunks, CsvError};
use super::records::{self, BadRecord, FAULTS, Writing};
use super::{SourceFile, TextFormat};
use crate::progress;

/// Column of a source's plan that holds the number of the row in its source.
pub(super) const ROW_COLUMN: &str = "custseg.source_row";
/// Column of a CSV file's plan that holds the text of a record that is none of the table's.
pub(super) const TEXT_COLUMN: &str = "custseg.text";
/// Column of a CSV file's plan that holds what is wrong with such a record: an index into [`FAULTS`].
pub(super) const FAULT_COLUMN: &str = "custseg.fault";
/// Tickets that a chunk costs: about as many as the engine takes at a time.
const FARE: usize = 100_000;
/// How often a packed file's size its content is believed to be; what is beyond it is read with the last ticket.
const PACKED: u64 = 64;

/// What is read of a CSV file.
pub(super) struct CsvScan {
    pub(super) file: SourceFile,
    pub(super) text: TextFormat,
    /// Source columns that are wanted as text.
    pub(super) texts: Vec<String>,
    /// Source columns that are parsed.
    pub(super) parsed: Vec<ParsedCells>,
}

/// What is made of one source column, cell by cell.
pub(super) struct ParsedCells {
    /// The source column; its text stands beside what is made of it, but only in chunks where a fault was found.
    pub(super) column: String,
    /// Expressions over the column that look at one cell alone.
    pub(super) made: Vec<Expr>,
    /// Names of those that tell of a fault.
    pub(super) faults: Vec<String>,
}

/// How many records of a file were read, for whoever wants to be sure that all of them arrived; and the first bad one.
#[derive(Debug, Default)]
pub struct ReadCount {
    records: AtomicU64,
    first_bad: Mutex<Option<(u64, CsvError)>>,
}

impl ReadCount {
    /// Records that were read so far, bad ones included.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// What there is to say of the first record that is none of the table's.
    pub(super) fn first_bad(&self) -> Option<CsvError> {
        self.first_bad
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|(_, error)| error.clone())
    }

    fn tell(&self, row: u64, bad: &BadRecord, name: &str) {
        let words = format!("row {row} has {}: {}", FAULTS[bad.fault], bad.text);
        let error = CsvError::Broken { name: name.to_owned(), line: bad.line, words };
        let mut first = self.first_bad.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(earlier, _)| row < *earlier) {
            *first = Some((row, error));
        }
    }
}

impl CsvScan {
    /// The plan of the file's records, one row each. Columns: [`ROW_COLUMN`] u32, [`TEXT_COLUMN`], [`FAULT_COLUMN`] u8, the wanted
    /// texts, and what is made of the parsed columns.
    pub(super) fn plan(self, count: Arc<ReadCount>) -> PolarsResult<LazyFrame> {
        let size = std::fs::metadata(&self.file.path)?.len();
        let packed = !self.file.name.to_lowercase().ends_with(".csv");
        let chunks = size.saturating_mul(if packed { PACKED } else { 1 }) / CHUNK as u64 + 1;
        let height = usize::try_from(chunks)
            .unwrap_or(usize::MAX)
            .saturating_mul(FARE)
            .min(IdxSize::MAX as usize);
        let tickets = DataFrame::new(
            height,
            vec![Column::full_null(
                format!("tickets for {}", self.file.name).into(),
                height,
                &DataType::Null,
            )],
        )?;
        let schema = Arc::new(self.schema()?);
        let (feed, passed) = (Feed::default(), AtomicUsize::new(0));
        let empty = DataFrame::empty_with_schema(&schema);
        let read = move |tickets: DataFrame| {
            let before = passed.fetch_add(tickets.height(), Ordering::Relaxed);
            let due = due(before..before + tickets.height(), height);
            let mut frame = empty.clone();
            for _ in 0..due {
                let Some(next) = self.next(&feed, &count)? else { break };
                frame = match frame.height() {
                    0 => next,
                    _ => frame.vstack(&next)?,
                };
            }
            Ok(frame)
        };
        let schema = move |_: &Schema| Ok(schema.clone());
        Ok(tickets.lazy().map(read, OptFlags::STREAMING, Some(Arc::new(schema)), Some("CSV SCAN")))
    }

    fn next(&self, feed: &Feed, count: &ReadCount) -> PolarsResult<Option<DataFrame>> {
        let open = || Chunks::open(&self.file.path, &self.file.name, self.text.separator);
        let chunk = feed.next(open).map_err(CsvError::into_polars)?;
        let Some(chunk) = chunk else { return Ok(None) };
        let columns: Vec<&String> =
            self.texts.iter().chain(self.parsed.iter().map(|one| &one.column)).collect();
        let place =
            |column: &&String| self.file.columns.iter().position(|(name, _)| name == *column);
        let places: Option<Vec<usize>> = columns.iter().map(place).collect();
        let places = places.ok_or_else(|| polars_err!(ColumnNotFound: "{columns:?}"))?;
        // The header is record 0.
        let rows = chunk.records - usize::from(chunk.first == 0);
        let mut cells: Vec<Cells> = places.iter().map(|_| Cells::with_capacity(rows)).collect();
        let writing = Writing {
            name: &self.file.name,
            separator: self.text.separator,
            encoding: self.text.encoding,
            width: self.file.columns.len(),
        };
        let bad = records::read(&chunk, &writing, &places, |idx, cell| cells[idx].push(cell));
        let bad = bad.map_err(CsvError::into_polars)?;
        count.records.fetch_add(rows as u64, Ordering::Relaxed);
        bad.iter().for_each(|bad| count.tell(chunk.first + bad.place as u64, bad, &self.file.name));
        progress::bytes(chunk.bytes.len());
        let (first, header) = (chunk.first.max(1), chunk.first == 0);
        feed.done(chunk);
        let told: PolarsResult<Vec<Told>> =
            cells.into_iter().zip(columns).map(|(cells, name)| cells.finish(name)).collect();
        self.frame(first, rows, &told?, &bad, u64::from(header)).map(Some)
    }

    /// The rows of a chunk. `header` is 1 where the chunk's first record is the header, which is no row.
    fn frame(
        &self,
        first: u64,
        rows: usize,
        told: &[Told],
        bad: &[BadRecord],
        header: u64,
    ) -> PolarsResult<DataFrame> {
        let numbers =
            (first..first + rows as u64).map(u32::try_from).collect::<Result<Vec<u32>, _>>();
        let numbers = numbers
            .map_err(|_| polars_err!(ComputeError: "more than 4,294,967,295 records in a file"))?;
        let (texts, parsed) = told.split_at(self.texts.len());
        let mut columns = vec![Column::new(ROW_COLUMN.into(), numbers)];
        columns.extend(about(bad, rows, header as usize)?);
        for told in texts {
            columns.push(told.by_row(&told.distinct)?);
        }
        for (one, told) in self.parsed.iter().zip(parsed) {
            let distinct = &told.distinct;
            let made = DataFrame::new(distinct.len(), vec![distinct.clone()])?
                .lazy()
                .select(&one.made)
                .collect()?;
            // Only a fault makes its text worth the while; the first of the distinct cells is the empty one, which has none.
            let texts = made.slice(1, made.height());
            let told_of = |fault: &String| {
                texts.column(fault).is_ok_and(|codes| codes.null_count() < codes.len())
            };
            let sound = !one.faults.iter().any(told_of);
            if !self.texts.contains(&one.column) {
                columns.push(match sound {
                    true => Column::full_null(one.column.as_str().into(), rows, &DataType::String),
                    false => told.by_row(distinct)?,
                });
            }
            for column in made.columns() {
                columns.push(told.by_row(column)?);
            }
        }
        DataFrame::new(rows, columns)
    }

    fn schema(&self) -> PolarsResult<Schema> {
        let bad = about(&[], 0, 0)?;
        let row = Column::new_empty(ROW_COLUMN.into(), &DataType::UInt32);
        let all = [vec![row], bad].concat();
        let mut schema: Schema =
            all.iter().map(|column| (column.name().clone(), column.dtype().clone())).collect();
        for name in &self.texts {
            schema.with_column(name.as_str().into(), DataType::String);
        }
        for one in &self.parsed {
            let name = PlSmallStr::from_str(&one.column);
            let cell: Schema = [(name.clone(), DataType::String)].into_iter().collect();
            schema.with_column(name, DataType::String);
            let made =
                DataFrame::empty_with_schema(&cell).lazy().select(&one.made).collect_schema()?;
            schema.merge(made.as_ref().clone());
        }
        Ok(schema)
    }
}

/// How many chunks are due when these tickets pass, of so many.
fn due(passed: Range<usize>, all: usize) -> usize {
    match passed.end >= all {
        true => usize::MAX,
        false => passed.end / FARE - passed.start / FARE,
    }
}

/// A file that several readers take chunks from, one at a time.
#[derive(Default)]
struct Feed {
    /// `None` until somebody asks.
    chunks: Mutex<Option<Chunks>>,
    /// Memory of chunks that were read.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Feed {
    fn next(
        &self,
        open: impl FnOnce() -> Result<Chunks, CsvError>,
    ) -> Result<Option<Chunk>, CsvError> {
        let spare =
            self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *chunks {
            Some(chunks) => chunks.next(spare),
            none => none.insert(open()?).next(spare),
        }
    }

    fn done(&self, chunk: Chunk) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(chunk.bytes);
    }
}

/// What is said of bad records, in two columns: their text and their fault.
fn about(bad: &[BadRecord], rows: usize, header: usize) -> PolarsResult<Vec<Column>> {
    if bad.is_empty() {
        let nothing = |name: &str, dtype| Column::full_null(name.into(), rows, &dtype);
        return Ok(vec![
            nothing(TEXT_COLUMN, DataType::String),
            nothing(FAULT_COLUMN, DataType::UInt8),
        ]);
    }
    let (mut texts, mut faults) = (vec![None; rows], vec![None; rows]);
    for bad in bad {
        let row = bad.place - header;
        (texts[row], faults[row]) = (Some(bad.text.as_str()), Some(bad.fault as u32));
    }
    let faults = Column::new(FAULT_COLUMN.into(), faults).cast(&DataType::UInt8)?;
    Ok(vec![Column::new(TEXT_COLUMN.into(), texts), faults])
}
