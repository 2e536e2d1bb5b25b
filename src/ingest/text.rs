//! CSV as chunks of rows: cells as text, and parsed cells.
//!
//! Polars' own reader reports neither bad records nor their text, and it parses every cell of every
//! row.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::vec;

use polars::prelude::*;

use super::cell::{FAULT_COLUMN, ParsedCell, ROW_COLUMN, TEXT_COLUMN};
use super::chunk_source::{ChunkSource, lock};
use super::chunks::{Chunk, Chunks, ReadError};
use super::computed::{Computed, decimal_name};
use super::dict_column::{DictBuilder, DictColumn};
use super::fault::RECORD_FAULTS;
use super::numbers::NumberParser;
use super::records::{self, BadRecord, CsvDialect};
use super::runs::{LineNumbers, RunStarts, Runs};
use super::workbook::error_name;
use super::{Grain, SourceFile, TextFormat, sample};
use crate::progress::ScanObserver;

/// Numbers that are computed from the decimals of other columns.
pub(super) struct ComputedNumbers {
    pub(super) columns: Vec<Arc<Computed>>,
    /// How the decimals are read.
    pub(super) decimals: NumberParser,
}

/// What to read of a CSV file.
pub(super) struct CsvScan {
    pub(super) file: SourceFile,
    pub(super) text: TextFormat,
    /// Source columns to return as text.
    pub(super) texts: Vec<String>,
    /// Columns to parse, besides those of the numbers. Their text is returned only in chunks with
    /// a fault.
    pub(super) cells: Vec<Arc<ParsedCell>>,
    /// The numbers of lines, by which rows become runs. `None` for other tables.
    pub(super) numbers: Option<LineNumbers>,
    pub(super) computed: Option<ComputedNumbers>,
    pub(super) observer: Arc<dyn ScanObserver>,
    /// Read about so many records instead of all.
    pub(super) sample: Option<u32>,
}

/// A CSV file from which several threads take chunks. They cut it one at a time, and read the
/// chunks in parallel.
pub(super) struct CsvSource {
    scan: CsvScan,
    /// Opened by the first thread.
    chunks: Mutex<Option<Records>>,
    /// Memory of chunks that were read.
    spare: Mutex<Vec<Vec<u8>>>,
    /// Records read so far, including bad ones.
    records: AtomicU64,
    first_bad: Mutex<Option<(u64, ReadError)>>,
}

/// The records to read.
enum Records {
    All(Chunks),
    Sample(vec::IntoIter<Chunk>),
}

impl CsvSource {
    pub(super) fn new(scan: CsvScan) -> Self {
        let (chunks, spare, first_bad) = Default::default();
        Self { scan, chunks, spare, records: AtomicU64::new(0), first_bad }
    }

    fn add_bad(&self, row: u64, bad: &BadRecord) {
        let mut first = lock(&self.first_bad);
        if first.as_ref().is_none_or(|(earlier, _)| row < *earlier) {
            let reason = format!("row {row} has {}: {}", RECORD_FAULTS[bad.fault], bad.text);
            *first = Some((row, ReadError::broken(&self.scan.file.name, bad.line, reason)));
        }
    }

    /// The next chunk, in memory that was used before.
    fn next_chunk(&self) -> Result<Option<Chunk>, ReadError> {
        let spare = lock(&self.spare).pop().unwrap_or_default();
        let mut records = lock(&self.chunks);
        let records = match &mut *records {
            Some(records) => records,
            none => none.insert(self.open()?),
        };
        match records {
            Records::All(chunks) => chunks.next(spare),
            Records::Sample(chunks) => Ok(chunks.next()),
        }
    }

    fn open(&self) -> Result<Records, ReadError> {
        let CsvScan { file: SourceFile { path, name, .. }, text, sample, .. } = &self.scan;
        let mut chunks = Chunks::open(path, name, text)?;
        Ok(match sample {
            None => Records::All(chunks),
            Some(rows) => Records::Sample(
                sample::records(&mut chunks, text.separator, *rows as usize)?.into_iter(),
            ),
        })
    }
}

impl ChunkSource for CsvSource {
    fn next(&self) -> PolarsResult<Option<DataFrame>> {
        let Some(chunk) = self.next_chunk()? else { return Ok(None) };
        let CsvRows { frame, rows, first, bad } = self.scan.rows(&chunk)?;
        self.records.fetch_add(rows as u64, Ordering::Relaxed);
        bad.iter().for_each(|bad| self.add_bad(first + bad.index as u64, bad));
        self.scan.observer.bytes_read(chunk.bytes.len());
        lock(&self.spare).push(chunk.bytes);
        Ok(Some(frame))
    }

    fn empty(&self) -> PolarsResult<DataFrame> {
        Ok(self.scan.rows(&Chunk { first: 1, ..Chunk::default() })?.frame)
    }

    fn promised_rows(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    fn first_bad(&self) -> Option<ReadError> {
        lock(&self.first_bad).as_ref().map(|(_, error)| error.clone())
    }
}

/// The rows of a chunk.
///
/// Columns: those of the numbers, [`ROW_COLUMN`], [`TEXT_COLUMN`], [`FAULT_COLUMN`], and for each
/// other column to read its values, fault codes and text.
struct CsvRows {
    /// One row for each run.
    frame: DataFrame,
    rows: usize,
    /// Number of the first row.
    first: u64,
    /// The bad records, with their indices among the rows.
    bad: Vec<BadRecord>,
}

impl CsvScan {
    fn cells(&self) -> impl Iterator<Item = &Arc<ParsedCell>> {
        self.cells.iter().chain(self.numbers.iter().flat_map(|numbers| &numbers.cells))
    }

    /// The source columns to read.
    fn column_names(&self) -> PlIndexSet<&str> {
        let computed = || self.computed.iter().flat_map(|computed| &computed.columns);
        let is_computed = |name: &&str| computed().any(|computed| computed.name == **name);
        let parsed = self.cells().map(|cell| cell.source_column.as_str());
        let parsed = parsed.filter(|name| !is_computed(name));
        let operands = computed().flat_map(|computed| &computed.reads);
        let texts = self.texts.iter().chain(operands).map(String::as_str);
        texts.chain(parsed).collect()
    }

    /// The computed columns, and those of their errors.
    fn compute<'d>(
        &self,
        rows: usize,
        dict_of: impl Fn(&str) -> PolarsResult<&'d DictColumn>,
    ) -> PolarsResult<Vec<Column>> {
        let Some(numbers) = &self.computed else { return Ok(Vec::new()) };
        let mut columns = Vec::new();
        for computed in &numbers.columns {
            let mut decimals = Vec::new();
            for name in &computed.reads {
                let dict = dict_of(name)?;
                let cells = numbers.decimals.decimals(&dict.distinct)?;
                decimals.push(dict.expand(&cells)?.with_name(decimal_name(name).into()));
                let errors = numbers.decimals.malformed(&dict.distinct)?;
                decimals.push(dict.expand(&errors)?.with_name(error_name(name).into()));
            }
            columns.extend(computed.of_columns(DataFrame::new(rows, decimals)?)?);
        }
        Ok(columns)
    }

    fn rows(&self, chunk: &Chunk) -> PolarsResult<CsvRows> {
        // The header is record 0 and no row.
        let rows = chunk.records - usize::from(chunk.first == 0);
        let first = chunk.first.max(1);
        let row_number = |row: usize| {
            u32::try_from(first + row as u64)
                .map_err(|_| polars_err!(ComputeError: "more than 4,294,967,295 records in a file"))
        };
        let dialect = CsvDialect {
            name: &self.file.name,
            separator: self.text.separator,
            encoding: self.text.encoding,
            width: self.file.columns.len(),
        };
        let fields = records::read(chunk, &dialect)?;
        let names = self.column_names();
        let dicts: Vec<DictColumn> = names
            .iter()
            .map(|name| {
                let position = self.file.columns.iter().position(|(own, _)| own == name);
                let position = position.ok_or_else(|| polars_err!(ColumnNotFound: "{name}"))?;
                let mut cells = DictBuilder::with_capacity(rows);
                fields.for_each(position, |text, range| cells.push(text, range));
                cells.finish(name)
            })
            .collect::<PolarsResult<_>>()?;
        let dict_of = |name: &str| {
            let index = names.get_index_of(name);
            index.map(|index| &dicts[index]).ok_or_else(|| polars_err!(ColumnNotFound: "{name}"))
        };
        let computed = self.compute(rows, dict_of)?;
        let (runs, mut columns) = self.runs(rows, &fields.bad, &computed, dict_of)?;
        for column in &computed {
            columns.push(runs.take(column)?);
        }
        let numbers = (0..rows).map(row_number).collect::<PolarsResult<Vec<u32>>>()?;
        columns.push(Column::new(ROW_COLUMN.into(), runs.first(numbers)));
        for column in bad_record_columns(&fields.bad, rows)? {
            columns.push(runs.take(&column)?);
        }
        for (name, dict) in names.iter().zip(&dicts) {
            // Numbers at fault are runs of their own, so the text of the first row is the text.
            let mut has_fault = false;
            for cell in self.cells().filter(|cell| cell.source_column == **name) {
                let parsed = cell.apply(&dict.distinct)?;
                // The first cell is empty and has no text.
                has_fault |= parsed.get(1).is_some_and(|codes| {
                    codes.slice(1, codes.len()).null_count() + 1 < codes.len()
                });
                if !LineNumbers::is_number(cell) {
                    for column in &parsed {
                        columns.push(dict.expand_to(column, &runs)?);
                    }
                }
            }
            columns.push(if has_fault || self.texts.iter().any(|text| text == name) {
                dict.expand_to(&dict.distinct, &runs)?
            } else {
                Column::full_null((*name).into(), runs.len(), &DataType::String)
            });
        }
        let frame = DataFrame::new(runs.len(), columns)?;
        Ok(CsvRows { frame, rows, first, bad: fields.bad })
    }

    /// The runs of a chunk, and the columns of its numbers.
    fn runs<'d>(
        &self,
        rows: usize,
        bad: &[BadRecord],
        computed: &[Column],
        dict_of: impl Fn(&str) -> PolarsResult<&'d DictColumn>,
    ) -> PolarsResult<(Runs, Vec<Column>)> {
        let Some(numbers) = &self.numbers else { return Ok((Runs::of_rows(rows), Vec::new())) };
        let mut starts = RunStarts::new(rows);
        if numbers.grain == Grain::Runs {
            let keys = self.texts.iter().chain(self.cells.iter().map(|cell| &cell.source_column));
            for key in keys.collect::<PlIndexSet<_>>() {
                starts.mark(&dict_of(key)?.rows);
            }
            bad.iter().for_each(|bad| starts.separate(bad.index));
            for errors in computed.iter().filter(|column| column.dtype() == &DataType::String) {
                starts.mark_changes(errors)?;
            }
        }
        let mut parsed = Vec::new();
        for cell in &numbers.cells {
            let own = computed.iter().find(|column| column.name() == cell.source_column.as_str());
            if let Some(column) = own {
                parsed.extend(cell.apply(column)?);
                continue;
            }
            let dict = dict_of(&cell.source_column)?;
            for column in cell.apply(&dict.distinct)? {
                parsed.push(dict.expand(&column)?);
            }
        }
        numbers.runs(starts, &parsed)
    }
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
