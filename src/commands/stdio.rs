//! `custseg score --stdio`: reads customers and writes their segments, one line each, for engines
//! that pipe rows.

use std::io::{self, BufRead, BufReader, Write};

use polars::prelude::*;

use super::artefact_input;
use crate::artefact::StoredArtefact;
use crate::columns::*;
use crate::error::{Class, Error, StageError};
use crate::rfm::Snapshots;
use crate::session::{InputColumn, InputKind, Scorer};

/// Size of the input buffer. Its lines are scored together.
const BUFFER: usize = 1 << 20;
/// Text for null, as Hive and Spark write it.
const NULL: &str = "\\N";

/// A line that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
struct RowError {
    /// Number of the line, from 1.
    line: usize,
    reason: String,
}

impl StageError for RowError {
    const STAGE: Option<&'static str> = Some("score");

    fn class(&self) -> Class {
        Class::Data
    }
}

pub(super) fn score_lines(stored: &StoredArtefact, out: &mut impl Write) -> Result<(), Error> {
    let scorer = Scorer::new(artefact_input::load_without_sources(stored)?, stored, None)?;
    let columns = scorer.columns();
    let output = output_columns(&scorer);
    let mut input = BufReader::with_capacity(BUFFER, io::stdin());
    let mut lines = Lines::default();
    loop {
        let is_end = !lines.read(&mut input)?;
        // Interactive input is answered line by line, other input buffer by buffer.
        let is_drained = input.buffer().is_empty();
        if !lines.pending.is_empty() && (is_drained || is_end) {
            let frame = lines.parse(&columns, &scorer)?;
            let snapshots = Snapshots { frame, dates: vec![scorer.as_of()], tables: Vec::new() };
            write(&scorer.score(snapshots)?, &output, out).map_err(Error::engine("score"))??;
            out.flush()?;
        }
        if is_end {
            return Ok(());
        }
    }
}

fn output_columns(scorer: &Scorer) -> Vec<String> {
    let scores = [CUSTOMER_ID, R_SCORE, F_SCORE, M_SCORE, RFM_CODE, SEGMENT].map(str::to_owned);
    let of_models = scorer
        .model_names()
        .flat_map(|model| [label(model), confidence(model), margin(model), novelty(model)]);
    scores.into_iter().chain(of_models).collect()
}

/// Input lines that are not scored yet.
#[derive(Default)]
struct Lines {
    pending: Vec<String>,
    /// Number of lines before them.
    before: usize,
}

impl Lines {
    /// Reads a line. Returns `false` at the end of the input.
    fn read(&mut self, input: &mut impl BufRead) -> Result<bool, Error> {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        let text = String::from_utf8(line)
            .map_err(|_| self.error(self.pending.len(), "not UTF-8".to_owned()))?;
        self.pending.push(text.trim_end_matches(['\n', '\r']).to_owned());
        Ok(true)
    }

    fn error(&self, idx: usize, reason: String) -> RowError {
        RowError { line: self.before + idx + 1, reason }
    }

    /// The pending lines as measured customers of the artefact's snapshot.
    fn parse(&mut self, columns: &[InputColumn], scorer: &Scorer) -> Result<DataFrame, Error> {
        let mut cells: Vec<Vec<Option<&str>>> = vec![Vec::new(); columns.len()];
        for (idx, line) in self.pending.iter().enumerate() {
            let fields: Vec<&str> = line.split('\t').collect();
            if fields.len() != columns.len() {
                let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                let reason = format!(
                    "{} fields instead of {}: {}",
                    fields.len(),
                    columns.len(),
                    names.join(", ")
                );
                return Err(self.error(idx, reason).into());
            }
            for (cells, field) in cells.iter_mut().zip(fields) {
                cells.push((field != NULL).then_some(field));
            }
        }
        let rows = self.pending.len();
        let mut parsed = vec![Column::new(SNAPSHOT.into(), vec![scorer.as_of(); rows])];
        for (column, cells) in columns.iter().zip(&cells) {
            parsed.push(parse_column(column, cells).map_err(|idx| {
                let cell = cells[idx].unwrap_or(NULL);
                let expected = column.kind.expected();
                self.error(idx, format!("{}: expected {expected}, found `{cell}`", column.name))
            })?);
        }
        let frame = DataFrame::new(rows, parsed).map_err(Error::engine("score"))?;
        self.before += rows;
        self.pending.clear();
        Ok(frame)
    }
}

/// A column of cells. The error is the index of the first invalid cell.
fn parse_column(column: &InputColumn, cells: &[Option<&str>]) -> Result<Column, usize> {
    let name = PlSmallStr::from_str(&column.name);
    Ok(match column.kind {
        InputKind::Text => Column::new(name, cells),
        InputKind::Id => Column::new(name, required(cells, |cell| Some(cell.to_owned()))?),
        InputKind::Days => Column::new(name, required(cells, |cell| cell.parse::<i32>().ok())?),
        InputKind::Count => Column::new(name, required(cells, |cell| cell.parse::<u32>().ok())?),
        InputKind::Money => Column::new(name, required(cells, finite)?),
        InputKind::Number => Column::new(name, optional(cells, finite)?),
    })
}

fn finite(cell: &str) -> Option<f64> {
    cell.parse::<f64>().ok().filter(|value| value.is_finite())
}

fn required<T>(cells: &[Option<&str>], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, usize> {
    cells.iter().enumerate().map(|(idx, cell)| cell.and_then(&parse).ok_or(idx)).collect()
}

fn optional<T>(
    cells: &[Option<&str>],
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, usize> {
    let parsed = cells.iter().enumerate().map(|(idx, cell)| match cell {
        Some(cell) => parse(cell).map(Some).ok_or(idx),
        None => Ok(None),
    });
    parsed.collect()
}

/// Writes tab-separated rows.
fn write(
    frame: &DataFrame,
    columns: &[String],
    out: &mut impl Write,
) -> PolarsResult<io::Result<()>> {
    let columns: Vec<&Column> =
        columns.iter().map(|name| frame.column(name)).collect::<PolarsResult<_>>()?;
    for row in 0..frame.height() {
        let cells = columns
            .iter()
            .map(|column| Ok(cell(column.get(row)?)))
            .collect::<PolarsResult<Vec<_>>>()?;
        if let Err(error) = writeln!(out, "{}", cells.join("\t")) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

fn cell(value: AnyValue<'_>) -> String {
    // Polars has two types of text and quotes one of them.
    if let Some(text) = value.get_str() {
        return text.to_owned();
    }
    match value {
        AnyValue::Null => NULL.to_owned(),
        AnyValue::Float64(number) => number.to_string(),
        other => other.to_string(),
    }
}
