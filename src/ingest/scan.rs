//! One scan a file, each with its row index, then concatenated: Polars' own index would run on over the files.

use std::sync::Arc;

use polars::prelude::*;

use super::{FileSet, Format, IngestParams, Lines, SourceFile, Walked, conform, probe, walk, workbook};

/// Column of a source's plan that holds the file's index; none that a source would have itself.
pub(super) const FILE_COLUMN: &str = "custseg.source_file";

/// How much of the source a plan is made over.
#[derive(Debug, Clone, Copy)]
pub enum Reading<'a> {
    /// All of it, as the walk found it. A workbook's rows are read now, since Polars has no plan for them.
    Rows(&'a [Walked]),
    /// Headers and footers: a workbook stands in the plan without rows.
    Headers,
}

/// The plan of all lines of all files.
///
/// # Errors
/// What Polars says of a plan that cannot be made, or a workbook that cannot be read.
pub fn lines(params: &IngestParams, reading: Reading<'_>) -> PolarsResult<Lines> {
    let conformer = conform::Conformer::new(params);
    let files = params.sources.iter().flat_map(|source| source.set.files.iter().map(move |file| (source, file)));
    let mut plans = Vec::new();
    for (idx, (source, file)) in files.enumerate() {
        let file_idx = lit(idx as u32).cast(DataType::UInt32).alias(FILE_COLUMN);
        let walked = match reading {
            Reading::Rows(walked) => walked.get(idx),
            Reading::Headers => None,
        };
        let wanted = |name: &str| params.reads(source, name);
        let frame = scan_file(&source.set, file, wanted, reading, walked)?.with_column(file_idx);
        let mut plan = conformer.conform(frame, source, file);
        if let Some(walked) = walked.filter(|walked| !walked.bad.is_empty()) {
            let schema = plan.collect_schema()?;
            plans.push(conformer.bad_records(idx, &walked.bad, &schema)?.lazy());
        }
        plans.push(plan);
    }
    let mut frame = concat(plans, UnionArgs { rechunk: false, maintain_order: false, ..Default::default() })?;
    if let Some(rates) = &params.rates {
        frame = rates.convert(frame, |reason| conformer.code(reason));
    }
    Ok(Lines { frame, faults: conformer.faults, carried: conformer.carried, kept: conformer.kept })
}

/// The plan of one file's rows as they stand.
pub(super) fn scan_file(
    set: &FileSet,
    file: &SourceFile,
    wanted: impl Fn(&str) -> bool,
    reading: Reading<'_>,
    walked: Option<&Walked>,
) -> PolarsResult<LazyFrame> {
    let rewritten = walked.and_then(|walked| walked.rewritten.as_ref());
    let path = PlRefPath::try_from_path(rewritten.unwrap_or(&file.path))?;
    let row_index = Some(RowIndex { name: walk::ROW_COLUMN.into(), offset: 1 });
    match set.format {
        Format::Parquet => {
            LazyFrame::scan_parquet(path, ScanArgsParquet { row_index, glob: false, ..Default::default() })
        }
        // Everything is read as text: a reader that parses turns bad cells into nulls without a word, and parses
        // dates at four times the cost of the scan.
        Format::Csv if rewritten.is_some() => {
            let mut schema = probe::schema_of(&file.columns);
            schema.with_column(walk::ROW_COLUMN.into(), DataType::UInt32);
            csv(set, path, schema).finish()
        }
        Format::Csv => csv(set, path, probe::schema_of(&file.columns)).with_row_index(row_index).finish(),
        Format::Xlsx => {
            let frame = match reading {
                Reading::Rows(_) => {
                    let names = file.columns.iter().map(|(name, _)| name.as_str());
                    let wanted: Vec<&str> = names.filter(|name| wanted(name)).collect();
                    workbook::frame(&file.path, &wanted).map_err(|words| polars_err!(ComputeError: "{words}"))?
                }
                Reading::Headers => DataFrame::empty_with_schema(&probe::schema_of(&file.columns)),
            };
            Ok(frame.lazy().with_row_index(walk::ROW_COLUMN, Some(1)))
        }
    }
}

fn csv(set: &FileSet, path: PlRefPath, schema: Schema) -> LazyCsvReader {
    LazyCsvReader::new(path)
        .with_has_header(true)
        .with_separator(set.text.separator)
        .with_schema(Some(Arc::new(schema)))
        .with_missing_is_null(true)
        .with_truncate_ragged_lines(false)
        .with_glob(false)
}
