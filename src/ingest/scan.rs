//! One plan of all files. Each file has a row index of its own, since the index that Polars adds to
//! a scan of several files continues over them.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{FILE_COLUMN, ROW_COLUMN};
use super::schema_mapping::RowMapper;
use super::text::{CsvScan, ReadCount};
use super::{FileSet, Format, IngestParams, Lines, ReadError, SourceFile, workbook};
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
    let parsed = mapper.sources.iter();
    let files = parsed.flat_map(|parsed| parsed.source.set.files.iter().map(move |f| (parsed, f)));
    let (mut plans, mut promised) = (Vec::new(), PromisedRows::default());
    for ((parsed, file), idx) in files.zip(0u32..) {
        let source = parsed.source;
        let cells = match source.set.format {
            Format::Csv => {
                let count = Arc::new(ReadCount::default());
                promised.records.push(count.clone());
                CsvScan {
                    file: file.clone(),
                    text: source.set.text.clone(),
                    texts: mapper.text_columns(source, file),
                    cells: parsed.exprs(),
                    count,
                    observer: observer.clone(),
                }
                .plan()?
            }
            Format::Parquet | Format::Xlsx => {
                let wanted = |name: &str| params.reads(source, name);
                let (plan, height) = rows(&source.set, file, wanted, reading)?;
                promised.rows += height;
                plan.with_columns(parsed.exprs().into_values().flatten().collect::<Vec<_>>())
            }
        };
        let cells = cells.with_column(lit(idx).cast(DataType::UInt32).alias(FILE_COLUMN));
        plans.push(mapper.map_rows(cells, parsed, file));
    }
    let mut frame = concat(plans, UnionArgs { maintain_order: false, ..Default::default() })?;
    if let Some(rates) = &params.rates {
        frame = rates.convert(frame, |reason| mapper.faults.code(reason));
    }
    let RowMapper { faults, carried, kept, .. } = mapper;
    Ok(Lines { frame, faults: faults.0, carried, kept, promised })
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
        let args = ScanArgsParquet { row_index, glob: false, ..Default::default() };
        let plan = LazyFrame::scan_parquet(PlRefPath::try_from_path(&file.path)?, args)?;
        return Ok((plan, file.rows.unwrap_or(0)));
    }
    let frame = match reading {
        Reading::Rows => {
            workbook::frame(file, wanted).map_err(|reason| polars_err!(ComputeError: "{reason}"))?
        }
        Reading::Headers => {
            let columns = file.columns.iter();
            let schema = columns.map(|(name, dtype)| (name.as_str().into(), dtype.clone()));
            DataFrame::empty_with_schema(&schema.collect())
        }
    };
    let height = frame.height() as u64;
    Ok((frame.lazy().with_row_index(ROW_COLUMN, Some(1)), height))
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
