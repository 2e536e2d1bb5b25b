//! `custseg score --stdio`: customers in, their segments out, a line each, for engines that pipe rows.

use std::io::{self, BufRead, BufReader, Write};

use polars::prelude::*;
use serde_json::{Value, json};

use super::score;
use custseg::artefact::Opened;
use custseg::columns::*;
use custseg::error::Error;
use custseg::pipeline::{InputColumn, InputKind, Scorer};
use custseg::rfm::Snapshots;
use custseg::scratch::Scratch;

/// Bytes that are read at once, and their lines answered together.
const BUFFER: usize = 1 << 20;
/// What stands for null, as Hive and Spark write it.
const NULL_TEXT: &str = "\\N";

pub(super) fn answer(opened: &Opened, recipe: Value, out: &mut impl Write) -> Result<(), Error> {
    let mut p = without_sources(opened, &recipe)?;
    // It is the artefact's own pipeline, but for what concerns lines, of which there are none.
    p.definitions = opened.record.definition.clone();
    let scorer = Scorer::of(p, opened, None)?;
    let columns = scorer.columns();
    let shown = shown(&scorer);
    let mut input = BufReader::with_capacity(BUFFER, io::stdin());
    let (mut chunk, mut number) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        let read = input.read_until(b'\n', &mut line)?;
        if read > 0 {
            let text = String::from_utf8(line);
            let text = text.map_err(|_| Error::Row {
                line: number + chunk.len() + 1,
                words: "no UTF-8 text".to_owned(),
            })?;
            chunk.push(text.trim_end_matches(['\n', '\r']).to_owned());
        }
        // Whoever asks line by line gets its answers so; whoever sends many at once gets them together.
        let drained = input.buffer().is_empty();
        if !chunk.is_empty() && (drained || read == 0) {
            let frame = self::read(&scorer, &columns, &chunk, number)?;
            number += chunk.len();
            chunk.clear();
            let snapshots = Snapshots { frame, dates: vec![scorer.as_of()], tables: Vec::new() };
            write(&scorer.measured(snapshots)?, &shown, out)?;
            out.flush()?;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// The artefact's pipeline over files that have its columns and no row, since rows come from elsewhere.
fn without_sources(opened: &Opened, recipe: &Value) -> Result<custseg::pipeline::Pipeline, Error> {
    let folder = Scratch::folder()?;
    let empty = |name: &str, spec: &Value, columns: Vec<&Value>| -> Result<Value, Error> {
        let separator = spec["csv"]["separator"].as_str().unwrap_or(",");
        let mut names: Vec<&str> = columns.into_iter().filter_map(Value::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let names: Vec<String> =
            names.into_iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        let path = folder.path().join(name);
        tempfile::NamedTempFile::new_in(folder.path()).and_then(|mut file| {
            writeln!(file, "{}", names.join(separator))?;
            file.persist(&path).map_err(|error| error.error)
        })?;
        Ok(json!([path]))
    };
    let source = score::source(recipe, 1).cloned().unwrap_or_default();
    let columns =
        source["columns"].as_object().into_iter().flatten().map(|(_, name)| name).collect();
    let lines = empty("lines.csv", &source, columns)?;
    let mut given = vec![
        ("source".to_owned(), score::transactions(source, &lines)),
        // No line is there to be cleaned.
        ("clean".to_owned(), "clean=[]".to_owned()),
    ];
    if let Some(customers) = recipe["ingest"].get("customers") {
        let attributes = customers["attributes"].as_array().into_iter().flatten();
        let path =
            empty("customers.csv", customers, attributes.chain([&customers["key"]]).collect())?;
        given.push(("customers".to_owned(), format!("ingest.customers.paths={path}")));
    }
    score::load(opened, given, &[])
}

/// The columns that are written.
fn shown(scorer: &Scorer) -> Vec<String> {
    let own = [CUSTOMER_ID, R_SCORE, F_SCORE, M_SCORE, RFM_CODE, SEGMENT].map(str::to_owned);
    let of_models = scorer
        .models()
        .flat_map(|model| [label(model), confidence(model), margin(model), novelty(model)]);
    own.into_iter().chain(of_models).collect()
}

/// Lines as customers of the snapshot that the artefact is of.
fn read(
    scorer: &Scorer,
    columns: &[InputColumn],
    lines: &[String],
    before: usize,
) -> Result<DataFrame, Error> {
    let mut cells: Vec<Vec<Option<&str>>> = vec![Vec::with_capacity(lines.len()); columns.len()];
    for (i, line) in lines.iter().enumerate() {
        let parts: Vec<&str> = line.split('\t').collect();
        if parts.len() != columns.len() {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let words = format!(
                "{} fields instead of {}: {}",
                parts.len(),
                columns.len(),
                names.join(", ")
            );
            return Err(Error::Row { line: before + i + 1, words });
        }
        for (cells, part) in cells.iter_mut().zip(parts) {
            cells.push(Some(part).filter(|part| *part != NULL_TEXT));
        }
    }
    let mut found = vec![Column::new(SNAPSHOT.into(), vec![scorer.as_of(); lines.len()])];
    for (InputColumn { name, kind }, cells) in columns.iter().zip(&cells) {
        let wrong = |row: usize| {
            let cell = cells[row].unwrap_or(NULL_TEXT);
            Error::Row {
                line: before + row + 1,
                words: format!("{name}: `{cell}` is {}", kind.refused()),
            }
        };
        let label = PlSmallStr::from_str(name);
        found.push(match kind {
            InputKind::Text => Column::new(label, cells),
            InputKind::Id => {
                Column::new(label, needed(cells, |cell| Some(cell.to_owned())).map_err(wrong)?)
            }
            InputKind::Days => {
                Column::new(label, needed(cells, |cell| cell.parse::<i32>().ok()).map_err(wrong)?)
            }
            InputKind::Count => {
                Column::new(label, needed(cells, |cell| cell.parse::<u32>().ok()).map_err(wrong)?)
            }
            InputKind::Money => Column::new(label, needed(cells, finite).map_err(wrong)?),
            InputKind::Number => {
                let odd =
                    cells.iter().position(|cell| cell.is_some_and(|cell| finite(cell).is_none()));
                match odd {
                    Some(row) => return Err(wrong(row)),
                    None => Column::new(
                        label,
                        cells.iter().map(|cell| cell.and_then(finite)).collect::<Vec<_>>(),
                    ),
                }
            }
        });
    }
    DataFrame::new(lines.len(), found).map_err(Error::engine("score"))
}

fn finite(cell: &str) -> Option<f64> {
    cell.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Values that all have to be there; else the row that lacks one.
fn needed<T>(cells: &[Option<&str>], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, usize> {
    cells.iter().enumerate().map(|(row, cell)| cell.and_then(&parse).ok_or(row)).collect()
}

fn write(frame: &DataFrame, columns: &[String], out: &mut impl Write) -> Result<(), Error> {
    let columns: Vec<&Column> = columns
        .iter()
        .map(|name| frame.column(name))
        .collect::<PolarsResult<_>>()
        .map_err(Error::engine("score"))?;
    for row in 0..frame.height() {
        for (i, column) in columns.iter().enumerate() {
            let tab = if i > 0 { "\t" } else { "" };
            match column.get(row).map_err(Error::engine("score"))? {
                // Polars has two kinds of text, and writes one of them in quotes.
                value if value.get_str().is_some() => {
                    write!(out, "{tab}{}", value.get_str().unwrap_or_default())?
                }
                AnyValue::Null => write!(out, "{tab}{NULL_TEXT}")?,
                AnyValue::Float64(number) => write!(out, "{tab}{number}")?,
                other => write!(out, "{tab}{other}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
