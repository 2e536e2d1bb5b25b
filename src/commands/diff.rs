//! `custseg diff`: who is in another segment in one run than in another, how much money that is, and which figures differ.

use std::io::Write;
use std::path::Path;

use chrono::NaiveDate;
use polars::prelude::*;
use serde_json::{Map, Value, json};

use super::summary::cell;
use super::table::drawn;
use custseg::artefact::{Which, differences};
use custseg::columns::*;
use custseg::error::Error;
use custseg::evaluate::comparison;
use custseg::publish::Published;

/// Rows of moves that people are shown.
const SHOWN: usize = 20;

/// Two runs at one snapshot each.
struct Pair {
    runs: [Published; 2],
    dates: [NaiveDate; 2],
    moves: DataFrame,
    segments: DataFrame,
    metrics: DataFrame,
    definitions: Option<String>,
}

pub(super) fn diff(
    places: [&Path; 2],
    snapshot: Option<NaiveDate>,
    as_json: bool,
    out: &mut impl Write,
) -> Result<(), Error> {
    let [one, other] = places;
    let pair = compare([Published::at(one)?, Published::at(other)?], snapshot)?;
    match as_json {
        true => writeln!(out, "{}", in_json(&pair).map_err(Error::engine("diff"))?)?,
        false => write!(out, "{}", in_words(&pair).map_err(Error::engine("diff"))?)?,
    }
    Ok(())
}

fn compare(runs: [Published; 2], snapshot: Option<NaiveDate>) -> Result<Pair, Error> {
    let date = |run: &Published| {
        let dates = run.snapshots();
        let wanted = match snapshot {
            Some(date) => dates.contains(&date).then_some(date),
            None => dates.last().copied(),
        };
        wanted.ok_or_else(|| {
            let dates: Vec<String> = dates.iter().map(ToString::to_string).collect();
            let wanted = snapshot.map_or_else(String::new, |date| format!(" {date}"));
            Error::Usage(format!(
                "{} has no snapshot{wanted}; it has {}",
                run.folder.display(),
                dates.join(", ")
            ))
        })
    };
    let dates = [date(&runs[0])?, date(&runs[1])?];
    let [one, other] = [runs[0].segments(dates[0])?, runs[1].segments(dates[1])?];
    let [figures, other_figures] = [runs[0].table("metrics")?, runs[1].table("metrics")?];
    let made = || -> PolarsResult<(DataFrame, DataFrame, DataFrame)> {
        let moves = comparison::moves(&one, &other)?;
        let segments = comparison::segments(&moves)?;
        let metrics = match (&figures, &other_figures) {
            (Some(one), Some(other)) => comparison::metrics(one, other)?,
            _ => DataFrame::empty(),
        };
        Ok((moves, segments, metrics))
    };
    let (moves, segments, metrics) = made().map_err(Error::engine("diff"))?;
    let definitions =
        differences(&runs[0].manifest["definition"], &runs[1].manifest["definition"], Which::Runs);
    Ok(Pair { runs, dates, moves, segments, metrics, definitions })
}

/// Customers of all moves, and of those to another segment, from nowhere, and to nowhere.
fn totals(moves: &DataFrame) -> PolarsResult<[(u32, f64); 4]> {
    let (from, to) = (moves.column(FROM_SEGMENT)?.str()?, moves.column(TO_SEGMENT)?.str()?);
    let counts = moves.column(CUSTOMERS)?.u32()?.iter().zip(moves.column(MONEY)?.f64()?.iter());
    let mut totals = [(0, 0.0); 4];
    for ((from, to), (customers, money)) in from.iter().zip(to.iter()).zip(counts) {
        let kind = match (from, to) {
            (Some(from), Some(to)) if from == to => None,
            (Some(_), Some(_)) => Some(1),
            (None, _) => Some(2),
            (_, None) => Some(3),
        };
        for which in [Some(0), kind].into_iter().flatten() {
            totals[which].0 += customers.unwrap_or(0);
            totals[which].1 += money.unwrap_or(0.0);
        }
    }
    Ok(totals)
}

fn in_words(pair: &Pair) -> PolarsResult<String> {
    let [one, other] = &pair.runs;
    let named = |run: &Published, date: NaiveDate| {
        format!(
            "{} {} at {date} (version {})",
            run.text("pipeline"),
            run.text("run_id"),
            run.text("version")
        )
    };
    let mut text =
        format!("one    {}\nother  {}\n", named(one, pair.dates[0]), named(other, pair.dates[1]));
    if let Some(words) = &pair.definitions {
        text += &format!("defined otherwise: {words}\n");
    }
    let [all, moved, came, left] = totals(&pair.moves)?;
    let share = if all.0 == 0 { 0.0 } else { f64::from(moved.0) / f64::from(all.0) * 100.0 };
    text += &format!(
        "\n{} customers: {} in another segment ({share:.1} %, money {:.2}), {} only in the other, {} only in the one\n",
        all.0, moved.0, moved.1, came.0, left.0
    );
    let away = col(FROM_SEGMENT).neq_missing(col(TO_SEGMENT));
    let away = pair.moves.clone().lazy().filter(away).collect()?;
    if away.height() > 0 {
        let columns = [FROM_SEGMENT, TO_SEGMENT, CUSTOMERS, MONEY];
        text += &format!("\n{}\n", drawn(&away.head(Some(SHOWN)), &columns, cell)?);
        if away.height() > SHOWN {
            text += &format!(" and {} more ways; --json has them all\n", away.height() - SHOWN);
        }
    }
    let right = format!("{CUSTOMERS}_right");
    text += &format!(
        "\nsegments, in the one and in the other\n{}\n",
        drawn(&pair.segments, &[SEGMENT, CUSTOMERS, &right], cell)?
    );
    match pair.metrics.height() {
        0 => text += "\nno figure of a model differs\n",
        _ => {
            let value = format!("{VALUE}_right");
            let figure = |name: &str, value: AnyValue<'_>| match value {
                AnyValue::Float64(figure) => format!("{figure:.4}"),
                other => cell(name, other),
            };
            let columns = [MODEL, PROTOCOL, METRIC, VALUE, &value];
            text += &format!(
                "\nfigures, in the one and in the other\n{}\n",
                drawn(&pair.metrics, &columns, figure)?
            );
        }
    }
    Ok(text)
}

fn in_json(pair: &Pair) -> PolarsResult<Value> {
    let [all, moved, came, left] = totals(&pair.moves)?;
    let run = |run: &Published, date: NaiveDate| json!({ "run_id": run.text("run_id"), "pipeline": run.text("pipeline"), "snapshot": date.to_string() });
    Ok(json!({
        "one": run(&pair.runs[0], pair.dates[0]),
        "other": run(&pair.runs[1], pair.dates[1]),
        "definitions": pair.definitions,
        "customers": { "all": all.0, "moved": moved.0, "only_other": came.0, "only_one": left.0 },
        "money": { "all": all.1, "moved": moved.1, "only_other": came.1, "only_one": left.1 },
        "moves": rows(&pair.moves)?,
        "segments": rows(&pair.segments)?,
        "metrics": rows(&pair.metrics)?,
    }))
}

/// A table as a list of objects.
fn rows(frame: &DataFrame) -> PolarsResult<Vec<Value>> {
    let one = |row: usize| -> PolarsResult<Value> {
        let mut object = Map::new();
        for column in frame.columns() {
            let value = match column.get(row)? {
                value if value.get_str().is_some() => value.get_str().into(),
                AnyValue::Null => Value::Null,
                AnyValue::Float64(number) => number.into(),
                AnyValue::UInt32(number) => number.into(),
                other => other.to_string().into(),
            };
            object.insert(column.name().to_string(), value);
        }
        Ok(Value::Object(object))
    };
    (0..frame.height()).map(one).collect()
}
