//! CSV as a plan: chunks of records become frames of text cells and parsed cells.
//!
//! Polars' own reader reports neither bad records nor their text, and it parses every cell of every
//! row. Its streaming engine has no public API for custom sources. The plan therefore starts from a
//! frame of empty request rows. When a number of them has passed, one chunk is read.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polars::prelude::*;

use super::cell::{FAULT_COLUMN, ParsedCell, ROW_COLUMN, TEXT_COLUMN};
use super::chunks::{CHUNK, Chunk, Chunks, ReadError};
use super::dict_column::{DictBuilder, DictColumn};
use super::fault::RECORD_FAULTS;
use super::records::{self, BadRecord, CsvDialect};
use super::{SourceFile, TextFormat};
use crate::progress::ScanObserver;

/// Request rows of one chunk: about as many as the engine passes on at a time.
const REQUEST_ROWS: usize = 100_000;
/// Assumed compression ratio. The last request row reads what exceeds it.
const COMPRESSION_RATIO: u64 = 64;

pub(super) struct CsvScan {
    pub(super) file: SourceFile,
    pub(super) text: TextFormat,
    /// Source columns to return as text.
    pub(super) texts: Vec<String>,
    /// Columns to parse. Their text is returned only in chunks with a fault.
    pub(super) cells: Vec<Arc<ParsedCell>>,
    pub(super) count: Arc<ReadCount>,
    pub(super) observer: Arc<dyn ScanObserver>,
}

/// The number of records that were read of a file, and the first bad one.
#[derive(Debug, Default)]
pub(super) struct ReadCount {
    records: AtomicU64,
    first_bad: Mutex<Option<(u64, ReadError)>>,
}

impl ReadCount {
    /// Records read so far, including bad ones.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    pub(super) fn first_bad(&self) -> Option<ReadError> {
        lock(&self.first_bad).as_ref().map(|(_, error)| error.clone())
    }

    fn add_bad(&self, row: u64, bad: &BadRecord, name: &str) {
        let mut first = lock(&self.first_bad);
        if first.as_ref().is_none_or(|(earlier, _)| row < *earlier) {
            let reason = format!("row {row} has {}: {}", RECORD_FAULTS[bad.fault], bad.text);
            *first = Some((row, ReadError::broken(name, bad.line, reason)));
        }
    }
}

impl CsvScan {
    /// The plan of the file's records, one row each. Columns: [`ROW_COLUMN`], [`TEXT_COLUMN`],
    /// [`FAULT_COLUMN`], the texts, and for each parsed column its values, fault codes and text.
    pub(super) fn plan(self) -> PolarsResult<LazyFrame> {
        let size = std::fs::metadata(&self.file.path)?.len();
        let is_plain = self.file.name.to_lowercase().ends_with(".csv");
        let ratio = if is_plain { 1 } else { COMPRESSION_RATIO };
        let chunks = size.saturating_mul(ratio) as usize / CHUNK + 1;
        let height = chunks.saturating_mul(REQUEST_ROWS).min(IdxSize::MAX as usize);
        let name = format!("chunk requests for {}", self.file.name);
        let requests = Column::full_null(name.into(), height, &DataType::Null);
        let requests = DataFrame::new(height, vec![requests])?.lazy();
        let feed = Feed::default();
        let empty = self.frame(Chunk { first: 1, ..Chunk::default() }, &feed)?;
        let schema = empty.schema().clone();
        let passed = AtomicUsize::new(0);
        let read = move |requests: DataFrame| {
            let before = passed.fetch_add(requests.height(), Ordering::Relaxed);
            let mut frame = empty.clone();
            for _ in 0..requested_chunks(before..before + requests.height(), height) {
                let Some(next) = self.next(&feed)? else { break };
                frame = if frame.height() == 0 { next } else { frame.vstack(&next)? };
            }
            Ok(frame)
        };
        let schema = move |_: &Schema| Ok(schema.clone());
        Ok(requests.map(read, OptFlags::STREAMING, Some(Arc::new(schema)), Some("CSV SCAN")))
    }

    /// The frame of the next chunk, `None` at the end of the file.
    fn next(&self, feed: &Feed) -> PolarsResult<Option<DataFrame>> {
        let spare = lock(&feed.spare).pop().unwrap_or_default();
        let chunk = match &mut *lock(&feed.chunks) {
            Some(chunks) => chunks.next(spare)?,
            none => {
                let SourceFile { path, name, .. } = &self.file;
                none.insert(Chunks::open(path, name, self.text.separator)?).next(spare)?
            }
        };
        chunk.map(|chunk| self.frame(chunk, feed)).transpose()
    }

    /// The source columns to read: the texts, then those of the parsed cells.
    fn column_names(&self) -> Vec<&str> {
        let parsed = self.cells.iter().map(|cell| cell.source_column.as_str());
        let parsed: PlIndexSet<&str> = parsed.collect();
        self.texts.iter().map(String::as_str).chain(parsed).collect()
    }

    /// Reads a chunk, and returns its memory to the feed as soon as its cells are copied.
    fn frame(&self, chunk: Chunk, feed: &Feed) -> PolarsResult<DataFrame> {
        let position = |column: &&str| {
            let position = self.file.columns.iter().position(|(name, _)| name == column);
            position.ok_or_else(|| polars_err!(ColumnNotFound: "{column}"))
        };
        let names = self.column_names();
        let positions = names.iter().map(position).collect::<PolarsResult<Vec<usize>>>()?;
        // The header is record 0 and no row.
        let header = usize::from(chunk.first == 0);
        let rows = chunk.records - header;
        let first_row = chunk.first.max(1);
        let mut builders: Vec<DictBuilder> =
            positions.iter().map(|_| DictBuilder::with_capacity(rows)).collect();
        let dialect = CsvDialect {
            name: &self.file.name,
            separator: self.text.separator,
            encoding: self.text.encoding,
            width: self.file.columns.len(),
        };
        let push = |idx: usize, cell: &[u8]| builders[idx].push(cell);
        let mut bad = records::read(&chunk, &dialect, &positions, push)?;
        self.count.records.fetch_add(rows as u64, Ordering::Relaxed);
        for bad in &mut bad {
            bad.index -= header;
            self.count.add_bad(first_row + bad.index as u64, bad, &self.file.name);
        }
        self.observer.bytes_read(chunk.bytes.len());
        lock(&feed.spare).push(chunk.bytes);
        let numbers: Result<Vec<u32>, _> =
            (first_row..first_row + rows as u64).map(u32::try_from).collect();
        let numbers = numbers
            .map_err(|_| polars_err!(ComputeError: "more than 4,294,967,295 records in a file"))?;
        let dicts = builders.into_iter().zip(&names);
        let dicts: PolarsResult<Vec<DictColumn>> =
            dicts.map(|(builder, name)| builder.finish(name)).collect();
        let dicts = dicts?;
        let (texts, parsed) = dicts.split_at(self.texts.len());
        let mut columns = vec![Column::new(ROW_COLUMN.into(), numbers)];
        columns.extend(bad_record_columns(&bad, rows)?);
        for text in texts {
            columns.push(text.expand(&text.distinct)?);
        }
        for (name, dict) in names[self.texts.len()..].iter().zip(parsed) {
            let mut has_fault = false;
            for cell in self.cells.iter().filter(|cell| cell.source_column == **name) {
                let parsed = cell.apply(&dict.distinct)?;
                // The first cell is empty and has no text.
                has_fault |= parsed.get(1).is_some_and(|codes| {
                    codes.slice(1, codes.len()).null_count() + 1 < codes.len()
                });
                for column in &parsed {
                    columns.push(dict.expand(column)?);
                }
            }
            if !self.texts.iter().any(|text| text == name) {
                columns.push(if has_fault {
                    dict.expand(&dict.distinct)?
                } else {
                    Column::full_null((*name).into(), rows, &DataType::String)
                });
            }
        }
        DataFrame::new(rows, columns)
    }
}

/// Chunks that a range of the request rows requests. The last row requests all that are left.
fn requested_chunks(passed: Range<usize>, height: usize) -> usize {
    if passed.end >= height {
        usize::MAX
    } else {
        passed.end / REQUEST_ROWS - passed.start / REQUEST_ROWS
    }
}

/// A file from which several threads take chunks, one at a time.
#[derive(Default)]
struct Feed {
    /// Opened by the first request.
    chunks: Mutex<Option<Chunks>>,
    /// Memory of chunks that were read.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Locks a mutex. Its value is valid even if another thread panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text and the fault of bad records, null for good ones.
fn bad_record_columns(bad: &[BadRecord], rows: usize) -> PolarsResult<[Column; 2]> {
    if bad.is_empty() {
        return Ok([(TEXT_COLUMN, DataType::String), (FAULT_COLUMN, DataType::UInt8)]
            .map(|(name, dtype)| Column::full_null(name.into(), rows, &dtype)));
    }
    let (mut texts, mut faults) = (vec![None; rows], vec![None; rows]);
    for bad in bad {
        texts[bad.index] = Some(bad.text.as_str());
        faults[bad.index] = Some(bad.fault as u32);
    }
    let faults = Column::new(FAULT_COLUMN.into(), faults).cast(&DataType::UInt8)?;
    Ok([Column::new(TEXT_COLUMN.into(), texts), faults])
}
