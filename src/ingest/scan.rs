//! The lines of all files, as a plan per chunk. Each file has row numbers of its own.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{FILE_COLUMN, ParsedCell, with_parsed};
use super::chunk_source::{self, ChunkSource, RunSource};
use super::runs::LineNumbers;
use super::schema_mapping::RowMapper;
use super::text::{CsvScan, CsvSource};
use super::{
    ChunkedLines, Fault, FileLines, Format, Grain, IngestParams, LinePlan, Lines, ReadError,
    SourceFile, workbook,
};
use crate::error::Error;
use crate::progress::ScanObserver;

/// The lines of all files. No row is read yet.
pub fn lines(
    params: &IngestParams,
    grain: Grain,
    observer: &Arc<dyn ScanObserver>,
) -> PolarsResult<Lines> {
    let mapper = RowMapper::new(params);
    let mut files = Vec::new();
    for (parsed, idx) in mapper.files.iter().zip(0u32..) {
        let file = parsed.file;
        let (numbers, others): (Vec<_>, Vec<_>) =
            parsed.cells.iter().cloned().partition(|cell| LineNumbers::is_number(cell));
        // Keys of the path are no columns of the reader.
        let is_of_path = |cell: &Arc<ParsedCell>| file.is_partition(&cell.source_column);
        let is_parsed_by_reader =
            parsed.source.set.format == Format::Csv && !numbers.iter().any(is_of_path);
        let texts = mapper.text_columns(parsed);
        let numbers = LineNumbers { cells: numbers, quantity_scale: params.quantity_scale, grain };
        let of_path = partitions(file);
        let (chunks, plan): (Arc<dyn ChunkSource>, LinePlan) = if is_parsed_by_reader {
            let (unparsed, cells): (Vec<_>, Vec<_>) = others.into_iter().partition(is_of_path);
            let chunks = CsvSource::new(CsvScan {
                file: file.clone(),
                text: parsed.source.set.text.clone(),
                texts,
                cells,
                numbers: Some(numbers),
                observer: observer.clone(),
            });
            let plan = LinePlan::default().with_columns(of_path);
            (Arc::new(chunks), with_parsed(plan, &unparsed))
        } else {
            let is_parsed = |name: &String| parsed.cells.iter().any(|c| c.source_column == *name);
            let is_number = |name: &String| numbers.cells.iter().any(|c| c.source_column == *name);
            let names = file.columns.iter().map(|(name, _)| name);
            let names = names.filter(|name| texts.contains(name) || is_parsed(name));
            let names: Vec<String> = names.cloned().collect();
            let is_key = |name: &String| texts.contains(name) || !is_number(name);
            let mut keys: Vec<String> = names.iter().filter(|name| is_key(name)).cloned().collect();
            if parsed.source.set.format == Format::Workbook {
                keys.extend(workbook::companions(&names, &keys));
            }
            let rows = chunk_source::open(&parsed.source.set, file, names, observer);
            let observer = observer.clone();
            let chunks = RunSource { rows, partitions: of_path, numbers, keys, observer };
            (Arc::new(chunks), with_parsed(LinePlan::default(), &others))
        };
        let plan = plan.with_column(lit(idx).cast(DataType::UInt32).alias(FILE_COLUMN));
        let mut plan = mapper.map_rows(plan, parsed);
        if let Some(rates) = &params.rates {
            plan = rates.convert(plan, |reason| mapper.faults.code(reason));
        }
        let name = format!("{} {}", parsed.source.set.format.scan_name(), file.name);
        files.push(FileLines { name, chunks, plan });
    }
    let RowMapper { faults, carried, kept, .. } = mapper;
    // The money of unparsed lines in foreign currencies is not converted.
    let has_money = |fault: &Fault| params.rates.is_none() && fault.leaves_money();
    let faults = faults.0.into_iter().map(|fault| (has_money(&fault), fault));
    let faults = faults.map(|(has_money, fault)| (fault, has_money)).collect();
    Ok(Lines { lines: ChunkedLines { files, whole: None }, faults, carried, kept })
}

/// The keys of a file's path as columns of text.
pub(super) fn partitions(file: &SourceFile) -> Vec<Expr> {
    let keys = file.partitions.iter().filter(|(key, _)| file.is_partition(key));
    keys.map(|(key, value)| match value {
        Some(value) => lit(value.as_str()).alias(key),
        None => lit(NULL).cast(DataType::String).alias(key),
    })
    .collect()
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
