//! `custseg score --stdio`: reads customers and writes their segments, one line each, for engines
//! that pipe rows.

use std::io::{self, BufRead, BufReader, Write};

use polars::prelude::*;

use super::score::load_pipeline;
use super::table::plain;
use crate::artefact::StoredArtefact;
use crate::columns::*;
use crate::config::{Request, SourceFiles};
use crate::error::{Class, Error};
use crate::rfm::Snapshots;
use crate::session::{InputColumn, InputKind, Scorer};

/// Size of the input buffer. Its lines are scored together.
const BUFFER: usize = 1 << 20;
/// Text for null, as Hive and Spark write it.
const NULL: &str = "\\N";

pub(super) fn score_lines(stored: &StoredArtefact, out: &mut impl Write) -> Result<(), Error> {
    // The customers are measured already: there are no source files, no cleaning and no checks.
    let arguments =
        ["clean", "checks"].map(|section| (section.to_owned(), format!("{section}=[]"))).to_vec();
    let request = Request { arguments, source_files: SourceFiles::None, ..Request::default() };
    let mut p = load_pipeline(stored, request)?;
    // Apart from what is done to lines, of which there are none, it is the artefact's pipeline.
    p.definition = stored.record.definition.clone();
    let scorer = Scorer::new(p, stored, None)?;
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
            write(&scorer.score(snapshots)?, &output, out)?;
            out.flush()?;
        }
        if is_end {
            return Ok(());
        }
    }
}

fn output_columns(scorer: &Scorer) -> Vec<String> {
    let scores = [CUSTOMER_ID, R_SCORE, F_SCORE, M_SCORE, RFM_CODE, SEGMENT].map(str::to_owned);
    scores.into_iter().chain(scorer.model_columns()).collect()
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
        let text =
            String::from_utf8(line).map_err(|_| self.error(self.pending.len(), "not UTF-8"))?;
        self.pending.push(text.trim_end_matches(['\n', '\r']).to_owned());
        Ok(true)
    }

    /// An error in a pending line. Lines are counted from 1.
    fn error(&self, idx: usize, reason: &str) -> Error {
        let source = format!("line {}: {reason}", self.before + idx + 1).into();
        Error::Stage { stage: Some("score"), class: Class::Data, report: false, source }
    }

    /// The pending lines as measured customers of the artefact's snapshot.
    fn parse(&mut self, columns: &[InputColumn], scorer: &Scorer) -> Result<DataFrame, Error> {
        let mut cells: Vec<Vec<Option<&str>>> = vec![Vec::new(); columns.len()];
        for (idx, line) in self.pending.iter().enumerate() {
            let fields: Vec<&str> = line.split('\t').collect();
            if fields.len() != columns.len() {
                let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                let expected = format!("{}: {}", names.len(), names.join(", "));
                let reason = format!("{} fields instead of {expected}", fields.len());
                return Err(self.error(idx, &reason));
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
                self.error(idx, &format!("{}: expected {expected}, found `{cell}`", column.name))
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
    let cells = cells.iter().enumerate();
    cells.map(|(idx, cell)| cell.map(|cell| parse(cell).ok_or(idx)).transpose()).collect()
}

/// Writes tab-separated rows.
fn write(frame: &DataFrame, columns: &[String], out: &mut impl Write) -> Result<(), Error> {
    let frame = frame.select(columns).map_err(Error::engine("score"))?;
    for row in 0..frame.height() {
        let mut cells = Vec::with_capacity(frame.width());
        for column in frame.columns() {
            cells.push(match column.get(row).map_err(Error::engine("score"))? {
                AnyValue::Null => NULL.to_owned(),
                value => plain(column.name(), value),
            });
        }
        writeln!(out, "{}", cells.join("\t"))?;
    }
    Ok(())
}
