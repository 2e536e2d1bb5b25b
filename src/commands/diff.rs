//! `custseg diff`: compares two runs: segments of customers, money, and metrics of models.

use std::io::Write;
use std::path::Path;

use chrono::NaiveDate;
use polars::prelude::*;
use serde_json::{Map, Value, json};

use super::summary::cell;
use super::table::draw;
use crate::artefact::{DiffScope, differences};
use crate::columns::*;
use crate::error::Error;
use crate::evaluate::comparison;
use crate::publish::Published;
use crate::tables::TableId;

/// Number of moves in the text output.
const MOVES: usize = 20;

/// Two runs at one snapshot each.
struct Comparison {
    runs: [Published; 2],
    dates: [NaiveDate; 2],
    moves: DataFrame,
    segments: DataFrame,
    metrics: DataFrame,
    definitions: Option<String>,
}

pub(super) fn text(
    runs: [&Path; 2],
    snapshot: Option<NaiveDate>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let comparison = Comparison::new(runs, snapshot)?;
    Ok(write!(out, "{}", comparison.describe().map_err(Error::engine("diff"))?)?)
}

pub(super) fn json(
    runs: [&Path; 2],
    snapshot: Option<NaiveDate>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let comparison = Comparison::new(runs, snapshot)?;
    Ok(writeln!(out, "{}", comparison.to_json().map_err(Error::engine("diff"))?)?)
}

/// The requested snapshot of a run, or its newest one.
fn snapshot_of(run: &Published, requested: Option<NaiveDate>) -> Result<NaiveDate, Error> {
    let dates = run.manifest.dates();
    let date = match requested {
        Some(date) => dates.contains(&date).then_some(date),
        None => dates.last().copied(),
    };
    date.ok_or_else(|| {
        let requested = requested.map_or_else(String::new, |date| format!(" {date}"));
        Error::Usage(format!(
            "{} has no snapshot{requested}; available: {}",
            run.folder.display(),
            run.manifest.snapshots.join(", ")
        ))
    })
}

/// Customers and money of a kind of move.
#[derive(Clone, Copy, Default)]
struct Total {
    customers: u32,
    money: f64,
}

/// Totals by kind of move.
#[derive(Default)]
struct Totals {
    all: Total,
    /// To another segment.
    moved: Total,
    only_first: Total,
    only_second: Total,
}

impl Comparison {
    fn new(paths: [&Path; 2], snapshot: Option<NaiveDate>) -> Result<Self, Error> {
        let [first, second] = paths;
        let runs = [Published::open(first)?, Published::open(second)?];
        let dates = [snapshot_of(&runs[0], snapshot)?, snapshot_of(&runs[1], snapshot)?];
        let customers = [runs[0].segments(dates[0])?, runs[1].segments(dates[1])?];
        let metrics = [runs[0].table(TableId::Metrics)?, runs[1].table(TableId::Metrics)?];
        let engine = || Error::engine("diff");
        let moves = comparison::moves(&customers[0], &customers[1]).map_err(engine())?;
        let segments = comparison::segments(&moves).map_err(engine())?;
        let metrics = match &metrics {
            [Some(first), Some(second)] => comparison::metrics(first, second).map_err(engine())?,
            _ => DataFrame::empty(),
        };
        let [first, second] = &runs;
        let definitions =
            differences(&first.manifest.definition, &second.manifest.definition, DiffScope::Runs);
        Ok(Self { runs, dates, moves, segments, metrics, definitions })
    }

    fn totals(&self) -> PolarsResult<Totals> {
        let mut totals = Totals::default();
        let from = self.moves.column(FROM_SEGMENT)?.str()?;
        let to = self.moves.column(TO_SEGMENT)?.str()?;
        let customers = self.moves.column(CUSTOMERS)?.u32()?;
        let money = self.moves.column(MONEY)?.f64()?;
        let segments = from.iter().zip(to.iter());
        for ((from, to), (customers, money)) in segments.zip(customers.iter().zip(money.iter())) {
            let kind = match (from, to) {
                (Some(from), Some(to)) if from == to => None,
                (Some(_), Some(_)) => Some(&mut totals.moved),
                (None, _) => Some(&mut totals.only_second),
                (_, None) => Some(&mut totals.only_first),
            };
            for total in kind.into_iter().chain([&mut totals.all]) {
                total.customers += customers.unwrap_or(0);
                total.money += money.unwrap_or(0.0);
            }
        }
        Ok(totals)
    }

    fn describe(&self) -> PolarsResult<String> {
        let [first, second] = &self.runs;
        let title = |run: &Published, date: NaiveDate| {
            let manifest = &run.manifest;
            format!(
                "{} {} at {date} (version {})",
                manifest.pipeline, manifest.run_id, manifest.version
            )
        };
        let mut text = format!(
            "first   {}\nsecond  {}\n",
            title(first, self.dates[0]),
            title(second, self.dates[1])
        );
        if let Some(differences) = &self.definitions {
            text += &format!("different definitions: {differences}\n");
        }
        let Totals { all, moved, only_first, only_second } = self.totals()?;
        let share = f64::from(moved.customers) / f64::from(all.customers.max(1)) * 100.0;
        text += &format!(
            "\n{} customers: {} in another segment ({share:.1} %, money {:.2}), {} only in the second run, {} only in the first\n",
            all.customers,
            moved.customers,
            moved.money,
            only_second.customers,
            only_first.customers
        );
        let is_move = col(FROM_SEGMENT).neq_missing(col(TO_SEGMENT));
        let moves = self.moves.clone().lazy().filter(is_move).collect()?;
        if moves.height() > 0 {
            let columns = [FROM_SEGMENT, TO_SEGMENT, CUSTOMERS, MONEY];
            text += &format!("\n{}\n", draw(&moves.head(Some(MOVES)), &columns, cell)?);
            if moves.height() > MOVES {
                let more = moves.height() - MOVES;
                text += &format!(" and {more} more moves; --json lists all\n");
            }
        }
        let right = format!("{CUSTOMERS}_right");
        text += &format!(
            "\nsegments in the first and in the second run\n{}\n",
            draw(&self.segments, &[SEGMENT, CUSTOMERS, &right], cell)?
        );
        if self.metrics.height() == 0 {
            return Ok(text + "\nno metric of a model differs\n");
        }
        let right = format!("{VALUE}_right");
        let columns = [MODEL, PROTOCOL, METRIC, VALUE, &right];
        let table = draw(&self.metrics, &columns, |name, value| match value {
            AnyValue::Float64(metric) => format!("{metric:.4}"),
            other => cell(name, other),
        })?;
        Ok(text + &format!("\nmetrics in the first and in the second run\n{table}\n"))
    }

    fn to_json(&self) -> PolarsResult<Value> {
        let Totals { all, moved, only_first, only_second } = self.totals()?;
        let run = |run: &Published, date: NaiveDate| {
            json!({
                "run_id": run.manifest.run_id,
                "pipeline": run.manifest.pipeline,
                "snapshot": date.to_string(),
            })
        };
        let totals = |value: fn(&Total) -> Value| {
            json!({
                "all": value(&all),
                "moved": value(&moved),
                "only_other": value(&only_second),
                "only_one": value(&only_first),
            })
        };
        Ok(json!({
            "one": run(&self.runs[0], self.dates[0]),
            "other": run(&self.runs[1], self.dates[1]),
            "definitions": self.definitions,
            "customers": totals(|total| total.customers.into()),
            "money": totals(|total| total.money.into()),
            "moves": objects(&self.moves)?,
            "segments": objects(&self.segments)?,
            "metrics": objects(&self.metrics)?,
        }))
    }
}

/// The rows of a table as JSON objects.
fn objects(frame: &DataFrame) -> PolarsResult<Vec<Value>> {
    (0..frame.height()).map(|row| object(frame, row)).collect()
}

fn object(frame: &DataFrame, row: usize) -> PolarsResult<Value> {
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
}
