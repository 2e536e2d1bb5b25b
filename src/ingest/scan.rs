//! One scan a file, each with its row index, then concatenated: Polars' own index would run on over the files.

use std::sync::Arc;

use polars::prelude::*;

use super::text::{CsvScan, ParsedCells, ROW_COLUMN, ReadCount};
use super::{FileSet, Format, IngestParams, Lines, SourceFile, conform, probe, workbook};

/// Column of a source's plan that holds the file's index; none that a source would have itself.
pub(super) const FILE_COLUMN: &str = "custseg.source_file";

/// How much of the source a plan is made over.
#[derive(Debug, Clone, Copy)]
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
    let files = params
        .sources
        .iter()
        .flat_map(|source| source.set.files.iter().map(move |file| (source, file)));
    let (mut plans, mut read) = (Vec::new(), Vec::new());
    for (idx, (source, file)) in files.enumerate() {
        let file_idx = lit(idx as u32).cast(DataType::UInt32).alias(FILE_COLUMN);
        let cells = match source.set.format {
            Format::Csv => {
                let count = Arc::new(ReadCount::default());
                read.push(count.clone());
                csv(&source.set, file, conformer.texts(source), conformer.made(source), count)?
            }
            Format::Parquet | Format::Xlsx => {
                let wanted = |name: &str| params.reads(source, name);
                conformer.parse(rows(&source.set, file, wanted, reading)?, source)
            }
        };
        plans.push(conformer.conform(cells.with_column(file_idx), source, file));
    }
    let mut frame =
        concat(plans, UnionArgs { rechunk: false, maintain_order: false, ..Default::default() })?;
    if let Some(rates) = &params.rates {
        frame = rates.convert(frame, |reason| conformer.code(reason));
    }
    Ok(Lines {
        frame,
        faults: conformer.faults,
        carried: conformer.carried,
        kept: conformer.kept,
        read,
    })
}

/// The plan of the records of a CSV file.
pub(super) fn csv(
    set: &FileSet,
    file: &SourceFile,
    texts: Vec<String>,
    parsed: Vec<ParsedCells>,
    count: Arc<ReadCount>,
) -> PolarsResult<LazyFrame> {
    let has = |column: &String| file.columns.iter().any(|(name, _)| name == column);
    let texts = texts.into_iter().filter(has).collect();
    CsvScan { file: file.clone(), text: set.text.clone(), texts, parsed }.plan(count)
}

/// The plan of the rows of a Parquet file or a workbook, as they stand.
pub(super) fn rows(
    set: &FileSet,
    file: &SourceFile,
    wanted: impl Fn(&str) -> bool,
    reading: Reading,
) -> PolarsResult<LazyFrame> {
    if set.format == Format::Parquet {
        let row_index = Some(RowIndex { name: ROW_COLUMN.into(), offset: 1 });
        let path = PlRefPath::try_from_path(&file.path)?;
        return LazyFrame::scan_parquet(
            path,
            ScanArgsParquet { row_index, glob: false, ..Default::default() },
        );
    }
    let frame = match reading {
        Reading::Rows => {
            let names = file.columns.iter().map(|(name, _)| name.as_str());
            let wanted: Vec<&str> = names.filter(|name| wanted(name)).collect();
            workbook::frame(&file.path, &wanted)
                .map_err(|words| polars_err!(ComputeError: "{words}"))?
        }
        Reading::Headers => DataFrame::empty_with_schema(&probe::schema_of(&file.columns)),
    };
    Ok(frame.lazy().with_row_index(ROW_COLUMN, Some(1)))
}
