//! One plan of all files. Each file has a row index of its own, since the index that Polars adds to
//! a scan of several files continues over them.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{FILE_COLUMN, ROW_COLUMN, with_parsed};
use super::schema_mapping::RowMapper;
use super::text::{CsvScan, ReadCount};
use super::{Fault, FileSet, Format, IngestParams, Lines, ReadError, SourceFile, workbook};
use crate::error::Error;
use crate::progress::ScanObserver;

/// How much of the source a plan covers.
#[derive(Debug, Clone, Copy)]
pub enum Reading {
    /// All rows. Workbooks are read immediately, since Polars has no lazy scan for them.
    Rows,
    /// Headers and footers. Workbooks have no rows in the plan.
    Headers,
}

/// The rows that a scan must return: those of footers and workbooks, and the records read of CSV.
#[derive(Debug, Clone, Default)]
pub struct PromisedRows {
    rows: u64,
    /// One count for each CSV file. They grow while the plan runs.
    records: Vec<Arc<ReadCount>>,
}

impl PromisedRows {
    /// Compares with the rows that arrived: the engine must not lose a chunk. An error has both
    /// numbers.
    pub fn reconcile(&self, arrived: u64) -> Result<(), String> {
        let promised = self.rows + self.records.iter().map(|count| count.records()).sum::<u64>();
        if promised == arrived {
            Ok(())
        } else {
            Err(format!("the source has {promised} rows, but {arrived} arrived"))
        }
    }
}

/// The plan of all lines of all files.
pub fn lines(
    params: &IngestParams,
    reading: Reading,
    observer: Arc<dyn ScanObserver>,
) -> PolarsResult<Lines> {
    let mapper = RowMapper::new(params);
    let (mut plans, mut promised) = (Vec::new(), PromisedRows::default());
    for (parsed, idx) in mapper.files.iter().zip(0u32..) {
        let (source, file) = (parsed.source, parsed.file);
        // Keys of the path are no columns of the reader.
        let (of_path, of_file): (Vec<_>, Vec<_>) =
            parsed.cells.iter().cloned().partition(|c| file.is_partition(&c.source_column));
        let cells = match source.set.format {
            Format::Csv => {
                let count = Arc::new(ReadCount::default());
                promised.records.push(count.clone());
                CsvScan {
                    file: file.clone(),
                    text: source.set.text.clone(),
                    texts: mapper.text_columns(parsed),
                    cells: of_file,
                    count,
                    observer: observer.clone(),
                }
                .plan()?
            }
            Format::Parquet | Format::Workbook => {
                let wanted = |name: &str| params.reads(source, name);
                let (plan, height) = rows(&source.set, file, wanted, reading)?;
                promised.rows += height;
                with_parsed(plan, &of_file)
            }
        };
        let cells = with_partitions(cells, file);
        let cells = with_parsed(cells, &of_path);
        let cells = cells.with_column(lit(idx).cast(DataType::UInt32).alias(FILE_COLUMN));
        plans.push(mapper.map_rows(cells, parsed));
    }
    let mut frame = concat(plans, UnionArgs { maintain_order: false, ..Default::default() })?;
    if let Some(rates) = &params.rates {
        frame = rates.convert(frame, |reason| mapper.faults.code(reason));
    }
    let RowMapper { faults, carried, kept, .. } = mapper;
    // The money of unparsed lines in foreign currencies is not converted.
    let has_money = |fault: &Fault| params.rates.is_none() && fault.leaves_money();
    let faults = faults.0.into_iter().map(|fault| (has_money(&fault), fault));
    let faults = faults.map(|(has_money, fault)| (fault, has_money)).collect();
    Ok(Lines { frame, faults, carried, kept, promised })
}

/// Adds the keys of a file's path as columns of text.
pub(super) fn with_partitions(plan: LazyFrame, file: &SourceFile) -> LazyFrame {
    let keys = file.partitions.iter().filter(|(key, _)| file.is_partition(key));
    let columns: Vec<Expr> = keys
        .map(|(key, value)| match value {
            Some(value) => lit(value.as_str()).alias(key),
            None => lit(NULL).cast(DataType::String).alias(key),
        })
        .collect();
    if columns.is_empty() { plan } else { plan.with_columns(columns) }
}

/// The plan of the unparsed rows of a Parquet file or a workbook, and their number.
pub(super) fn rows(
    set: &FileSet,
    file: &SourceFile,
    wanted: impl Fn(&str) -> bool,
    reading: Reading,
) -> PolarsResult<(LazyFrame, u64)> {
    if set.format == Format::Parquet {
        let row_index = Some(RowIndex { name: ROW_COLUMN.into(), offset: 1 });
        // Polars would let a key of the path replace a column of the file.
        let hive_options = HiveOptions { enabled: Some(false), ..Default::default() };
        let args = ScanArgsParquet { row_index, hive_options, glob: false, ..Default::default() };
        let plan = LazyFrame::scan_parquet(PlRefPath::try_from_path(&file.path)?, args)?;
        return Ok((plan, file.rows.unwrap_or(0)));
    }
    let frame = workbook::frame(file, wanted, reading);
    let frame = frame.map_err(|reason| polars_err!(ComputeError: "{reason}"))?;
    let height = frame.height() as u64;
    Ok((frame.lazy(), height))
}

/// Converts an error of the scan. Names the files, and separates faults of the data from those of
/// the machine.
pub fn scan_error(params: &IngestParams) -> impl FnOnce(PolarsError) -> Error + '_ {
    move |source| match source {
        _ if let Some(error) = ReadError::from_polars(&source) => error.into(),
        PolarsError::IO { .. } => Error::Engine { stage: "orders", source },
        _ => {
            let files: Vec<&str> = params.files().map(|file| file.name.as_str()).collect();
            // The lines after the first are advice about options of Polars.
            let message = source.to_string();
            let reason = message.lines().next().unwrap_or("");
            Error::Data(format!("{}: {reason}", files.join(", ")))
        }
    }
}
