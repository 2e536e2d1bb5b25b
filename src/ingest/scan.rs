//! One plan of all files. Each file has a row index of its own, since the index that Polars adds to
//! a scan of several files continues over them.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{FILE_COLUMN, ROW_COLUMN};
use super::schema_mapping::RowMapper;
use super::text::{CsvScan, ReadCount};
use super::{FileSet, Format, IngestParams, Lines, SourceFile, probe, workbook};
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
    /// Compares with the rows that arrived: the engine must not lose a chunk.
    ///
    /// # Errors
    /// A message with both numbers if they differ.
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
///
/// # Errors
/// A Parquet file that cannot be scanned, or a workbook that cannot be read.
pub fn lines(
    params: &IngestParams,
    reading: Reading,
    observer: Arc<dyn ScanObserver>,
) -> PolarsResult<Lines> {
    let mapper = RowMapper::new(params);
    let files = params
        .sources
        .iter()
        .flat_map(|source| source.set.files.iter().map(move |file| (source, file)));
    let (mut plans, mut promised) = (Vec::new(), PromisedRows::default());
    for (idx, (source, file)) in files.enumerate() {
        let file_idx = lit(idx as u32).cast(DataType::UInt32).alias(FILE_COLUMN);
        let cells = match source.set.format {
            Format::Csv => {
                let count = Arc::new(ReadCount::default());
                promised.records.push(count.clone());
                CsvScan {
                    file: file.clone(),
                    text: source.set.text.clone(),
                    texts: mapper.text_columns(source, file),
                    cells: mapper.cell_exprs(source),
                    count,
                    observer: observer.clone(),
                }
                .plan()?
            }
            Format::Parquet | Format::Xlsx => {
                let wanted = |name: &str| params.reads(source, name);
                let (plan, height) = rows(&source.set, file, wanted, reading)?;
                promised.rows += height;
                mapper.parse(plan, source)
            }
        };
        plans.push(mapper.map_rows(cells.with_column(file_idx), source, file));
    }
    let mut frame =
        concat(plans, UnionArgs { rechunk: false, maintain_order: false, ..Default::default() })?;
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
            let names = file.columns.iter().map(|(name, _)| name.as_str());
            let wanted: Vec<&str> = names.filter(|name| wanted(name)).collect();
            workbook::frame(&file.path, &wanted)
                .map_err(|reason| polars_err!(ComputeError: "{reason}"))?
        }
        Reading::Headers => DataFrame::empty_with_schema(&probe::schema_of(&file.columns)),
    };
    let height = frame.height() as u64;
    Ok((frame.lazy().with_row_index(ROW_COLUMN, Some(1)), height))
}
