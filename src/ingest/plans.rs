//! Sources that Polars reads by a plan: JSON lines, Arrow files, and the results of queries.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use polars::prelude::*;

use super::cell::ROW_COLUMN;
use super::chunk_source::{ChunkSource, lock};
use super::predicate::first_line;
use super::query::{LargestTable, Query};
use super::{Format, NumberFormat, SourceFile};

/// The plan of a file's rows, with their numbers.
pub(super) fn rows(path: &Path, format: Format) -> PolarsResult<LazyFrame> {
    let path = PlRefPath::try_from_path(path)?;
    let row_index = Some(RowIndex { name: ROW_COLUMN.into(), offset: 1 });
    if format == Format::JsonLines {
        let reader = LazyJsonLineReader::new(path).with_infer_schema_length(None);
        return reader.with_row_index(row_index).finish();
    }
    let args = UnifiedScanArgs { row_index, glob: false, ..UnifiedScanArgs::default() };
    LazyFrame::scan_ipc(path, IpcScanOptions::default(), args)
}

/// Columns and number of rows of a file.
fn header(file: &SourceFile, format: Format) -> PolarsResult<SourceFile> {
    let mut rows = rows(&file.path, format)?;
    let schema = rows.collect_schema()?;
    let columns = schema.iter().filter(|(name, _)| name.as_str() != ROW_COLUMN);
    let columns = columns.map(|(name, dtype)| (name.to_string(), dtype.clone())).collect();
    let count = rows.select([len()]).collect_with_engine(Engine::Streaming)?.unwrap_single();
    let count = count.columns()[0].cast(&DataType::UInt64)?.u64()?.get(0);
    Ok(SourceFile { columns, rows: count, ..file.clone() })
}

pub(super) fn arrow_header(file: &SourceFile) -> Result<SourceFile, String> {
    header(file, Format::Arrow).map_err(|error| first_line(&error))
}

pub(super) fn json_lines_header(
    file: &SourceFile,
    numbers: &NumberFormat,
) -> Result<SourceFile, String> {
    if let Some(reason) = invalid_line(&file.path)? {
        return Err(reason);
    }
    let file = header(file, Format::JsonLines).map_err(|error| first_line(&error))?;
    if numbers.decimal != '.' || numbers.thousands.is_some() {
        // Polars makes texts of the numbers of a field that also has texts.
        let is_text = |name: &str| file.dtype(name) == Some(&DataType::String);
        if let Some(name) = numeric_fields(&file.path)?.into_iter().find(|name| is_text(name)) {
            return Err(format!(
                "field `{name}` has numbers and texts: numbers of JSON have a point, so that \
                 `csv.decimal` and `csv.thousands` cannot hold for both"
            ));
        }
    }
    Ok(file)
}

/// The fields of the objects of a file that have a number.
fn numeric_fields(path: &Path) -> Result<PlIndexSet<String>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut fields = PlIndexSet::default();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| error.to_string())?;
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&line).unwrap_or_default();
        for (name, value) in object {
            if value.is_number() {
                fields.insert(name);
            }
        }
    }
    Ok(fields)
}

/// Why a file is no JSON lines: Polars does not say which line is at fault.
fn invalid_line(path: &Path) -> Result<Option<String>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    for (line, number) in BufReader::new(file).split(b'\n').zip(1..) {
        let line = line.map_err(|error| error.to_string())?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        if number == 1 && line.starts_with(b"\xef\xbb\xbf") {
            return Ok(Some("it begins with a byte order mark, which must be removed".to_owned()));
        }
        if number == 1 && line.trim_ascii_start().starts_with(b"[") {
            return Ok(Some("it is one JSON array: write one object per line".to_owned()));
        }
        if depth(&line) > DEEPEST {
            return Ok(Some(format!("line {number} is nested too deeply")));
        }
        match serde_json::from_slice::<serde::de::IgnoredAny>(&line) {
            Ok(_) if line.trim_ascii_start().starts_with(b"{") => {}
            Ok(_) => return Ok(Some(format!("line {number} is no JSON object"))),
            Err(error) => return Ok(Some(format!("line {number}: {error}"))),
        }
    }
    Ok(None)
}

/// Deepest nesting that Polars reads without exhausting its stack.
const DEEPEST: usize = 64;

/// How deeply brackets are nested, counting those within texts, too.
fn depth(line: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in line {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// What a plan reads.
enum Rows {
    /// A file.
    File(PathBuf, Format),
    Query(Arc<Query>),
}

/// The rows that a plan of Polars returns, in batches.
pub(super) struct PlanSource {
    rows: Rows,
    /// No rows.
    empty: DataFrame,
    /// Return only the first rows.
    first: Option<u32>,
    /// Rows of the file, or those that the query returned so far.
    count: AtomicU64,
    /// Batches of the plan, which runs on a thread of its own once the first batch is wanted.
    batches: Mutex<Option<Batches>>,
}

struct Batches {
    received: Receiver<PolarsResult<DataFrame>>,
    /// The largest table of a query.
    largest: Option<LargestTable>,
}

impl PlanSource {
    /// The columns `names` of a file.
    pub(super) fn of_file(
        file: &SourceFile,
        format: Format,
        names: Vec<String>,
        sample: Option<u32>,
    ) -> Self {
        let rows = Rows::File(file.path.clone(), format);
        let count = file.rows.unwrap_or(0).min(sample.map_or(u64::MAX, u64::from));
        Self { count: count.into(), ..Self::new(rows, file, names, sample) }
    }

    /// The columns `names` of a query, whose result is `file`.
    pub(super) fn of_query(
        query: Arc<Query>,
        file: &SourceFile,
        names: Vec<String>,
        sample: Option<u32>,
    ) -> Self {
        Self::new(Rows::Query(query), file, names, sample)
    }

    fn new(rows: Rows, file: &SourceFile, names: Vec<String>, first: Option<u32>) -> Self {
        let dtype = |name: &String| Field::new(name.as_str().into(), file.column_type(name));
        let row = Field::new(ROW_COLUMN.into(), IDX_DTYPE);
        let schema: Schema = names.iter().map(dtype).chain([row]).collect();
        let empty = DataFrame::empty_with_schema(&schema);
        Self { rows, empty, first, count: AtomicU64::new(0), batches: Mutex::default() }
    }

    fn start(&self) -> PolarsResult<Batches> {
        let (plan, largest) = match &self.rows {
            Rows::File(path, format) => (rows(path, *format)?, None),
            Rows::Query(query) => {
                let (plan, largest) = query.plan()?;
                (plan, Some(largest))
            }
        };
        let columns: Vec<Expr> = self.empty.get_column_names_owned().into_iter().map(col).collect();
        let (sender, received) = sync_channel(2);
        let batches = sender.clone();
        // True ends the plan: nothing reads its batches any more.
        let send = PlanCallback::new(move |batch| Ok(batches.send(Ok(batch)).is_err()));
        let plan = plan.select(columns);
        let plan = if let Some(first) = self.first { plan.limit(first) } else { plan };
        let plan = plan.sink_batches(send, false, None)?;
        thread::spawn(move || {
            if let Err(error) = plan.collect_with_engine(Engine::Streaming) {
                // If the receiver is gone, the scan has failed already.
                let _ = sender.send(Err(error));
            }
        });
        Ok(Batches { received, largest })
    }

    /// Checks the number of rows that a query has returned, with those of all further batches if
    /// there are too many.
    fn check_rows(&self, batches: &Batches, rows: usize) -> PolarsResult<()> {
        let (Rows::Query(query), Some(largest)) = (&self.rows, &batches.largest) else {
            return Ok(());
        };
        let mut count = self.count.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
        if query.too_many(count, largest).is_none() {
            return Ok(());
        }
        for batch in &batches.received {
            count += batch?.height() as u64;
        }
        query.too_many(count, largest).map_or(Ok(()), |error| Err(error.into()))
    }
}

impl ChunkSource for PlanSource {
    fn next(&self) -> PolarsResult<Option<DataFrame>> {
        let mut batches = lock(&self.batches);
        let batches = match &mut *batches {
            Some(batches) => batches,
            none => none.insert(self.start()?),
        };
        let Some(batch) = batches.received.recv().ok().transpose()? else { return Ok(None) };
        self.check_rows(batches, batch.height())?;
        Ok(Some(batch))
    }

    fn empty(&self) -> PolarsResult<DataFrame> {
        Ok(self.empty.clone())
    }

    fn promised_rows(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
