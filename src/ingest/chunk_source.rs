//! Rows of a file as chunks, which several threads take in turns.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use polars::prelude::*;

use super::cell::ROW_COLUMN;
use super::plans::PlanSource;
use super::runs::LineNumbers;
use super::text::{CsvScan, CsvSource};
use super::{FileSet, Format, LinePlan, ReadError, SourceFile, sample, workbook};
use crate::progress::{ScanObserver, Silent};

/// A source of rows, or of the runs that they form.
pub trait ChunkSource: Send + Sync {
    /// Some of the rows that were not returned before, in any order; `None` if there are none. An
    /// error ends the scan.
    fn next(&self) -> PolarsResult<Option<DataFrame>>;
    /// A chunk without rows. It needs only the file's header or footer.
    fn empty(&self) -> PolarsResult<DataFrame>;
    /// Rows that all chunks must have together, known once they are read: those of a footer or a
    /// sheet, or the records that the reader counted.
    fn promised_rows(&self) -> u64;
    /// The first bad record that was read.
    fn first_bad(&self) -> Option<ReadError> {
        None
    }
}

/// Locks a mutex. Its value is valid even if another thread panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The unparsed rows of a file, or a sample of them: [`ROW_COLUMN`] and the columns `names`. CSV
/// has more.
pub(super) fn open(
    set: &FileSet,
    file: &SourceFile,
    names: Vec<String>,
    sample: Option<u32>,
    observer: &Arc<dyn ScanObserver>,
) -> Arc<dyn ChunkSource> {
    match set.format {
        Format::Csv => {
            let (file, text, observer) = (file.clone(), set.text.clone(), observer.clone());
            let (cells, numbers) = (Vec::new(), None);
            let texts = names;
            let scan =
                CsvScan { file, text, texts, cells, numbers, computed: None, observer, sample };
            Arc::new(CsvSource::new(scan))
        }
        Format::Parquet => {
            let (path, rows) = (file.path.clone(), file.rows.unwrap_or(0));
            let (footer, next) = (OnceLock::new(), AtomicUsize::new(0));
            let parts = sample.map(|wanted| sample::parts(rows, wanted.into()));
            Arc::new(ParquetSource { path, names, rows, footer, next, parts })
        }
        Format::JsonLines | Format::Arrow => {
            Arc::new(PlanSource::of_file(file, set.format, names, sample))
        }
        Format::Workbook => {
            let (file, rows) = (file.clone(), AtomicU64::new(0));
            Arc::new(SheetSource { file, names, rows, is_read: Mutex::new(false) })
        }
    }
}

/// The columns `names` of the first chunk of a file.
pub fn first_rows(set: &FileSet, file: &SourceFile, names: Vec<String>) -> PolarsResult<DataFrame> {
    let observer: Arc<dyn ScanObserver> = Arc::new(Silent);
    let rows = open(set, file, names, None, &observer);
    let empty = rows.empty()?;
    Ok(rows.next()?.unwrap_or(empty))
}

/// Reads a whole file, in the order of its rows.
pub(super) fn read_all(source: &dyn ChunkSource) -> PolarsResult<DataFrame> {
    let mut all = source.empty()?;
    while let Some(chunk) = source.next()? {
        all.vstack_mut_owned(chunk)?;
    }
    all.sort([ROW_COLUMN], SortMultipleOptions::default())
}

/// A Parquet file, of which each thread decodes a row group at a time.
struct ParquetSource {
    path: PathBuf,
    names: Vec<String>,
    /// Rows of its footer when the pipeline was loaded.
    rows: u64,
    footer: OnceLock<Footer>,
    /// Index of the next row group or part.
    next: AtomicUsize,
    /// Rows to read instead of all.
    parts: Option<Vec<Range<u64>>>,
}

struct Footer {
    metadata: FileMetadataRef,
    /// The footer without its row groups.
    rest: FileMetadata,
    /// Number of the first row of each row group.
    firsts: Vec<u64>,
}

impl ParquetSource {
    fn reader(&self) -> PolarsResult<ParquetReader<File>> {
        let reader = ParquetReader::new(File::open(&self.path)?);
        Ok(reader.with_columns(Some(self.names.clone())).read_parallel(ParallelStrategy::None))
    }

    fn footer(&self) -> PolarsResult<&Footer> {
        if let Some(footer) = self.footer.get() {
            return Ok(footer);
        }
        let metadata = self.reader()?.get_metadata()?.clone();
        let rest = FileMetadata { row_groups: Vec::new(), ..FileMetadata::clone(&metadata) };
        let mut next = 1;
        let mut firsts = Vec::with_capacity(metadata.row_groups.len());
        for group in &metadata.row_groups {
            firsts.push(next);
            next += group.num_rows() as u64;
        }
        Ok(self.footer.get_or_init(|| Footer { metadata, rest, firsts }))
    }
}

impl ChunkSource for ParquetSource {
    fn next(&self) -> PolarsResult<Option<DataFrame>> {
        let Footer { metadata, rest, firsts } = self.footer()?;
        let idx = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(parts) = &self.parts {
            let Some(Range { start, end }) = parts.get(idx) else { return Ok(None) };
            let row_index = RowIndex { name: ROW_COLUMN.into(), offset: 1 };
            let slice = (*start as usize, (end - start) as usize);
            let reader = self.reader()?.with_slice(Some(slice)).with_row_index(Some(row_index));
            return reader.finish().map(Some);
        }
        let (Some(group), Some(first)) = (metadata.row_groups.get(idx), firsts.get(idx)) else {
            return Ok(None);
        };
        // With the whole footer, the reader would visit all row groups.
        let (row_groups, num_rows) = (vec![group.clone()], group.num_rows());
        let only = FileMetadata { row_groups, num_rows, ..rest.clone() };
        let offset = IdxSize::try_from(*first)
            .map_err(|_| polars_err!(ComputeError: "more than 4,294,967,295 rows in a file"))?;
        let row_index = RowIndex { name: ROW_COLUMN.into(), offset };
        // Without columns the reader takes the number of rows from the slice.
        let reader = self.reader()?.with_slice(Some((0, num_rows)));
        let mut reader = reader.with_row_index(Some(row_index));
        reader.set_metadata(Arc::new(only));
        reader.finish().map(Some)
    }

    fn empty(&self) -> PolarsResult<DataFrame> {
        let row_index = Some(RowIndex { name: ROW_COLUMN.into(), offset: 1 });
        self.reader()?.with_row_index(row_index).with_slice(Some((0, 0))).finish()
    }

    fn promised_rows(&self) -> u64 {
        match &self.parts {
            Some(parts) => parts.iter().map(|part| part.end - part.start).sum(),
            None => self.rows,
        }
    }
}

/// A sheet of a workbook, read at once.
struct SheetSource {
    file: SourceFile,
    names: Vec<String>,
    rows: AtomicU64,
    is_read: Mutex<bool>,
}

impl SheetSource {
    fn frame(&self, rows: workbook::Rows) -> PolarsResult<DataFrame> {
        let wanted = |name: &str| self.names.iter().any(|wanted| wanted == name);
        workbook::frame(&self.file, wanted, rows)
            .map_err(|reason| polars_err!(ComputeError: "{reason}"))
    }
}

impl ChunkSource for SheetSource {
    fn next(&self) -> PolarsResult<Option<DataFrame>> {
        if std::mem::replace(&mut *lock(&self.is_read), true) {
            return Ok(None);
        }
        let frame = self.frame(workbook::Rows::All)?;
        self.rows.store(frame.height() as u64, Ordering::Relaxed);
        Ok(Some(frame))
    }

    fn empty(&self) -> PolarsResult<DataFrame> {
        self.frame(workbook::Rows::None)
    }

    fn promised_rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

/// The runs of the rows of another source.
pub(super) struct RunSource {
    pub(super) rows: Arc<dyn ChunkSource>,
    /// Adds the keys of the file's path, and computed columns.
    pub(super) added: LinePlan,
    pub(super) numbers: LineNumbers,
    /// Columns in which the rows of a run are equal.
    pub(super) keys: Vec<String>,
    pub(super) observer: Arc<dyn ScanObserver>,
}

impl RunSource {
    fn reduce(&self, chunk: DataFrame) -> PolarsResult<DataFrame> {
        let chunk =
            if self.added.is_empty() { chunk } else { self.added.apply(chunk).collect()? };
        self.numbers.reduce(&chunk, &self.keys)
    }
}

impl ChunkSource for RunSource {
    fn next(&self) -> PolarsResult<Option<DataFrame>> {
        let Some(chunk) = self.rows.next()? else { return Ok(None) };
        self.observer.rows_read(chunk.height());
        self.reduce(chunk).map(Some)
    }

    fn empty(&self) -> PolarsResult<DataFrame> {
        self.reduce(self.rows.empty()?)
    }

    fn promised_rows(&self) -> u64 {
        self.rows.promised_rows()
    }
}

/// Rows in memory.
pub struct FrameSource {
    frame: DataFrame,
    /// Rows that were returned.
    passed: AtomicU64,
}

impl FrameSource {
    const ROWS: u64 = 1 << 16;

    pub fn new(frame: DataFrame) -> Self {
        Self { frame, passed: AtomicU64::new(0) }
    }
}

impl ChunkSource for FrameSource {
    fn next(&self) -> PolarsResult<Option<DataFrame>> {
        let start = self.passed.fetch_add(Self::ROWS, Ordering::Relaxed);
        let is_left = start < self.promised_rows();
        Ok(is_left.then(|| self.frame.slice(start as i64, Self::ROWS as usize)))
    }

    fn empty(&self) -> PolarsResult<DataFrame> {
        Ok(self.frame.clear())
    }

    fn promised_rows(&self) -> u64 {
        self.frame.height() as u64
    }
}
