//! One scan a file, each with its row index, then concatenated: Polars' own index would run on over the files.

use std::sync::Arc;

use polars::prelude::*;

use super::{Format, IngestParams, Lines, SourceFile, conform, probe, workbook};
use crate::columns::{SOURCE_FILE, SOURCE_ROW};

/// How much of the source a plan is made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All of it. A workbook's rows are read now, since Polars has no plan for them.
    Rows,
    /// Headers and footers: a workbook stands in the plan without rows.
    Headers,
}

/// The plan of all lines of all files.
///
/// # Errors
/// What Polars says of a plan that cannot be made, or a workbook that cannot be read.
pub fn lines(params: &IngestParams, reading: Reading) -> PolarsResult<Lines> {
    let conformer = conform::Conformer::new(params);
    let carried = conformer.carried();
    let mut plans = Vec::with_capacity(params.files.len());
    for (idx, file) in params.files.iter().enumerate() {
        let frame =
            scan_file(params, file, reading)?.with_column(lit(idx as u32).cast(DataType::UInt32).alias(SOURCE_FILE));
        plans.push(conformer.conform(frame, file, &carried));
    }
    let frame = concat(plans, UnionArgs { rechunk: false, maintain_order: false, ..Default::default() })?;
    Ok(Lines { frame, faults: conformer.faults(), carried, kept: conformer.kept() })
}

fn scan_file(params: &IngestParams, file: &SourceFile, reading: Reading) -> PolarsResult<LazyFrame> {
    let path = PlRefPath::try_from_path(&file.path)?;
    let row_index = Some(RowIndex { name: SOURCE_ROW.into(), offset: 1 });
    match params.format {
        Format::Parquet => {
            LazyFrame::scan_parquet(path, ScanArgsParquet { row_index, glob: false, ..Default::default() })
        }
        // Everything is read as text: a reader that parses turns bad cells into nulls without a word, and parses
        // dates at four times the cost of the scan.
        Format::Csv => LazyCsvReader::new(path)
            .with_has_header(true)
            .with_separator(params.separator)
            .with_schema(Some(Arc::new(probe::schema_of(&file.columns))))
            .with_row_index(row_index)
            .with_missing_is_null(true)
            .with_truncate_ragged_lines(false)
            .with_glob(false)
            .finish(),
        Format::Xlsx => {
            let frame = match reading {
                Reading::Rows => {
                    let names = file.columns.iter().map(|(name, _)| name.as_str());
                    let wanted: Vec<&str> = names.filter(|name| params.reads(name)).collect();
                    workbook::frame(&file.path, &wanted).map_err(|words| polars_err!(ComputeError: "{words}"))?
                }
                Reading::Headers => DataFrame::empty_with_schema(&probe::schema_of(&file.columns)),
            };
            Ok(frame.lazy().with_row_index(SOURCE_ROW, Some(1)))
        }
    }
}
