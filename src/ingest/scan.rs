//! The lines of all files, as a plan per chunk. Each file has row numbers of its own.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{FILE_COLUMN, ParsedCell, with_parsed};
use super::chunk_source::{self, ChunkSource, RunSource};
use super::fill::FillSource;
use super::numbers::NumberParser;
use super::plans::PlanSource;
use super::runs::LineNumbers;
use super::schema_mapping::RowMapper;
use super::summary::SummarySource;
use super::text::{ComputedNumbers, CsvScan, CsvSource};
use super::{
    ChunkedLines, Computed, Fault, FileLines, Format, Grain, IngestParams, LinePlan, Lines,
    ReadError, SourceFile, sample::has_file, workbook,
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
        if params.sample.is_some() && !has_file(parsed.source, file) {
            continue;
        }
        let (numbers, others): (Vec<_>, Vec<_>) =
            parsed.cells.iter().cloned().partition(|cell| LineNumbers::is_number(cell));
        let texts = mapper.text_columns(parsed);
        let is_wanted = |computed: &&Arc<Computed>| {
            let mut cells = parsed.cells.iter();
            texts.contains(&computed.name) || cells.any(|c| c.source_column == computed.name)
        };
        let computed: Vec<&Arc<Computed>> = file.computed.iter().filter(is_wanted).collect();
        // Numbers are computed for each row, other columns for each run.
        let is_early = |computed: &&Arc<Computed>| {
            let is_number = numbers.iter().any(|cell| cell.source_column == computed.name);
            is_number || parsed.source.is_summary
        };
        let (early, late): (Vec<&Arc<Computed>>, Vec<_>) =
            computed.iter().copied().partition(is_early);
        let exprs = |computed: &[&Arc<Computed>]| -> Vec<Expr> {
            computed.iter().flat_map(|computed| computed.exprs()).collect()
        };
        let texts: Vec<String> =
            texts.into_iter().filter(|name| file.computed(name).is_none()).collect();
        // Keys of the path and computed columns are no columns of the reader.
        let is_of_path = |cell: &Arc<ParsedCell>| file.is_partition(&cell.source_column);
        let is_computed = |cell: &Arc<ParsedCell>| file.computed(&cell.source_column).is_some();
        // The holder of filled cells reads the whole file in any case, and parts would lack cells.
        let sample = params.sample.filter(|_| parsed.source.fill.is_none());
        let is_parsed_by_reader = parsed.source.set.format == Format::Csv
            && !parsed.source.is_summary
            && early.iter().all(|computed| computed.reads_decimals())
            && parsed.source.fill.is_none()
            && !numbers.iter().any(is_of_path);
        let numbers = LineNumbers { cells: numbers, quantity_scale: params.quantity_scale, grain };
        let is_read = |name: &str| {
            parsed.cells.iter().any(|cell| cell.source_column == name)
                || computed.iter().any(|computed| computed.reads.iter().any(|read| read == name))
                || mapper.carried.iter().any(|carried| carried == name)
        };
        let of_path = path_columns(file, is_read);
        let (chunks, plan): (Arc<dyn ChunkSource>, LinePlan) = if is_parsed_by_reader {
            let (unparsed, cells): (Vec<_>, Vec<_>) =
                others.into_iter().partition(|cell| is_of_path(cell) || is_computed(cell));
            let operands = late.iter().flat_map(|computed| &computed.reads);
            let operands = operands.filter(|name| !file.is_partition(name));
            let texts: PlIndexSet<&String> = texts.iter().chain(operands).collect();
            let text = &parsed.source.set.text;
            let (format, nulls) = (text.numbers.clone(), params.ids.nulls.clone());
            let decimals = NumberParser { format, nulls, scale: 0 };
            let columns = early.iter().map(|computed| Arc::clone(computed)).collect();
            let computed = ComputedNumbers { columns, decimals };
            let chunks = CsvSource::new(CsvScan {
                file: file.clone(),
                text: text.clone(),
                texts: texts.into_iter().cloned().collect(),
                cells,
                numbers: Some(numbers),
                computed: Some(computed),
                observer: observer.clone(),
                sample,
            });
            let plan = LinePlan::default().with_columns(of_path).with_columns(exprs(&late));
            (Arc::new(chunks), with_parsed(plan, &unparsed))
        } else {
            let is_parsed = |name: &String| parsed.cells.iter().any(|c| c.source_column == *name);
            let is_number = |name: &String| numbers.cells.iter().any(|c| c.source_column == *name);
            let fill = parsed.source.fill.as_ref();
            let is_operand = |name: &String| {
                computed.iter().any(|c| c.reads.contains(name))
                    || fill.is_some_and(|fill| fill.by == *name)
            };
            let names = file.columns.iter().map(|(name, _)| name);
            let names =
                names.filter(|name| texts.contains(name) || is_parsed(name) || is_operand(name));
            let names: Vec<String> = names.cloned().collect();
            let is_operand_of_run =
                |name: &String| late.iter().any(|computed| computed.reads.contains(name));
            let is_key = |name: &&String| {
                let is_parsed_alike = is_parsed(name) && !is_number(name);
                texts.contains(name) || is_parsed_alike || is_operand_of_run(name)
            };
            let mut keys: Vec<String> = names.iter().filter(is_key).cloned().collect();
            if parsed.source.set.format == Format::Workbook {
                let own = keys.clone();
                keys.extend(workbook::companions(&names, &own));
            }
            let can_fail = early.iter().filter(|computed| computed.can_fail());
            keys.extend(can_fail.map(|computed| workbook::error_name(&computed.name)));
            let mut rows: Arc<dyn ChunkSource> = match &parsed.source.query {
                Some(query) => Arc::new(PlanSource::of_query(query.clone(), file, names, sample)),
                None => chunk_source::open(&parsed.source.set, file, names, sample, observer),
            };
            if let Some(fill) = fill {
                let (fill, nulls) = (fill.clone(), params.ids.nulls.clone());
                rows = Arc::new(FillSource { rows, fill, nulls, filled: Default::default() });
            }
            let observer = observer.clone();
            let added = LinePlan::default().with_columns(of_path).with_columns(exprs(&early));
            let runs = RunSource { rows, added, numbers, keys, observer };
            let mut chunks: Arc<dyn ChunkSource> = Arc::new(runs);
            if parsed.source.is_summary {
                let name = file.name.clone();
                chunks = Arc::new(SummarySource { name, customers: chunks });
            }
            let plan = LinePlan::default().with_columns(exprs(&late));
            (chunks, with_parsed(plan, &others))
        };
        let plan = plan.with_column(lit(idx).cast(DataType::UInt32).alias(FILE_COLUMN));
        let mut plan = mapper.map_rows(plan, parsed);
        if let Some(rates) = &params.rates {
            plan = rates.convert(plan, |reason| mapper.faults.code(reason));
        }
        let name = parsed.source.scan_name(file);
        files.push(FileLines { name, chunks, plan });
    }
    let RowMapper { faults, carried, kept, .. } = mapper;
    // The money of unparsed lines in foreign currencies is not converted.
    let has_money = |fault: &Fault| params.rates.is_none() && fault.leaves_money();
    let faults = faults.0.into_iter().map(|fault| (has_money(&fault), fault));
    let faults = faults.map(|(has_money, fault)| (fault, has_money)).collect();
    Ok(Lines { lines: ChunkedLines { files, whole: None }, faults, carried, kept })
}

/// The keys of a file's path, and its name, as columns of text.
pub(super) fn path_columns(file: &SourceFile, is_read: impl Fn(&str) -> bool) -> Vec<Expr> {
    let columns = file.path_columns().filter(|(name, _)| is_read(name));
    columns
        .map(|(name, value)| match value {
            Some(value) => lit(value).alias(name),
            None => lit(NULL).cast(DataType::String).alias(name),
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
            let is_division = reason.contains("division by zero");
            let hint = if is_division { "; `a / nullif(b, 0)` is null if b is 0" } else { "" };
            Error::Data(format!("{}: {reason}{hint}", files.join(", ")))
        }
    }
}
