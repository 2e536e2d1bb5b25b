//! `custseg score --stdio`: customers in, their segments out, a line each, for engines that pipe rows.

use std::io::{self, BufRead, Write};

use polars::prelude::*;
use serde_json::{Value, json};

use super::score;
use custseg::artefact::Opened;
use custseg::columns::*;
use custseg::error::Error;
use custseg::pipeline::Scorer;
use custseg::rfm::Snapshots;

/// Lines that are answered together.
const CHUNK: usize = 8192;
/// What stands for null, as Hive and Spark write it.
const NULL_TEXT: &str = "\\N";

pub(super) fn answer(opened: &Opened, recipe: Value, out: &mut impl Write) -> Result<(), Error> {
    let scorer = Scorer::of(without_sources(opened, &recipe)?, opened, None)?;
    let columns = scorer.columns();
    let shown = shown(&scorer);
    let mut lines = io::stdin().lock().lines();
    let mut number = 0;
    loop {
        let chunk: Vec<String> = lines.by_ref().take(CHUNK).collect::<Result<_, _>>()?;
        if chunk.is_empty() {
            return Ok(());
        }
        let frame = read(&scorer, &columns, &chunk, number)?;
        number += chunk.len();
        let snapshots = Snapshots { frame, dates: vec![scorer.as_of()], tables: Vec::new() };
        write(&scorer.measured(snapshots)?, &shown, out)?;
        out.flush()?;
    }
}

/// The artefact's pipeline over a file that has its columns and no row, since rows come from elsewhere.
fn without_sources(opened: &Opened, recipe: &Value) -> Result<custseg::pipeline::Pipeline, Error> {
    let source = score::source(recipe, 1).cloned().unwrap_or_default();
    let separator = source["csv"]["separator"].as_str().unwrap_or(",");
    let names: Vec<&str> =
        source["columns"].as_object().into_iter().flatten().filter_map(|(_, name)| name.as_str()).collect();
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile()?;
    writeln!(
        file,
        "{}",
        names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect::<Vec<_>>().join(separator)
    )?;
    let given = vec![
        ("source".to_owned(), score::transactions(source, &json!([file.path()]))),
        ("customers".to_owned(), "ingest.customers=null".to_owned()),
    ];
    score::load(opened, given, &[])
}

/// The columns that are written.
fn shown(scorer: &Scorer) -> Vec<String> {
    let own = [CUSTOMER_ID, R_SCORE, F_SCORE, M_SCORE, RFM_CODE, SEGMENT].map(str::to_owned);
    let of_models = scorer.models().flat_map(|model| [label(model), confidence(model), margin(model), novelty(model)]);
    own.into_iter().chain(of_models).collect()
}

/// Lines as customers of the snapshot that the artefact is of.
fn read(scorer: &Scorer, columns: &[String], lines: &[String], before: usize) -> Result<DataFrame, Error> {
    let mut ids = Vec::with_capacity(lines.len());
    let mut values: Vec<Vec<Option<f64>>> = vec![Vec::with_capacity(lines.len()); columns.len() - 1];
    for (i, line) in lines.iter().enumerate() {
        let wrong = |words: String| Error::Row { line: before + i + 1, words };
        let cells: Vec<&str> = line.split('\t').collect();
        if cells.len() != columns.len() {
            let names = columns.join(", ");
            return Err(wrong(format!("{} fields instead of {}: {names}", cells.len(), columns.len())));
        }
        ids.push(cells[0]);
        for ((cell, name), values) in cells[1..].iter().zip(&columns[1..]).zip(&mut values) {
            let value: Option<f64> = match *cell {
                NULL_TEXT => None,
                text => Some(text.parse().map_err(|_| wrong(format!("{name}: `{text}` is no number")))?),
            };
            let own = [RECENCY_DAYS, FREQUENCY, MONETARY].contains(&name.as_str());
            if value.is_some_and(|value| !value.is_finite()) || (own && value.is_none()) {
                return Err(wrong(format!("{name}: `{cell}` is no number")));
            }
            values.push(value);
        }
    }
    let numbers = values.into_iter().zip(&columns[1..]).map(|(values, name)| Column::new(name.as_str().into(), values));
    let made = || -> PolarsResult<DataFrame> {
        let snapshot = Column::new(SNAPSHOT.into(), vec![scorer.as_of(); lines.len()]);
        let all = [snapshot, Column::new(CUSTOMER_ID.into(), ids)].into_iter().chain(numbers).collect();
        let typed = [(RECENCY_DAYS, DataType::Int32), (FREQUENCY, DataType::UInt32)];
        let typed = typed.map(|(name, dtype)| col(name).strict_cast(dtype));
        DataFrame::new(lines.len(), all)?.lazy().with_columns(typed).collect()
    };
    made().map_err(|error| Error::Row {
        line: before + 1,
        words: format!("or a later line: {}", error.to_string().lines().next().unwrap_or_default()),
    })
}

fn write(frame: &DataFrame, columns: &[String], out: &mut impl Write) -> Result<(), Error> {
    let columns: Vec<&Column> =
        columns.iter().map(|name| frame.column(name)).collect::<PolarsResult<_>>().map_err(Error::engine("score"))?;
    for row in 0..frame.height() {
        for (i, column) in columns.iter().enumerate() {
            let tab = if i > 0 { "\t" } else { "" };
            match column.get(row).map_err(Error::engine("score"))? {
                AnyValue::Null => write!(out, "{tab}{NULL_TEXT}")?,
                AnyValue::String(text) => write!(out, "{tab}{text}")?,
                AnyValue::Float64(number) => write!(out, "{tab}{number}")?,
                other => write!(out, "{tab}{other}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
