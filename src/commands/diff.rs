//! `custseg diff`: compares two runs: segments of customers, money, and metrics of models.

use std::path::Path;

use chrono::NaiveDate;
use polars::prelude::*;
use serde_json::{Map, Value, json};

use super::summary::cell;
use super::table::{draw, plain};
use crate::artefact::{DiffScope, differences};
use crate::columns::*;
use crate::error::Error;
use crate::evaluate::comparison;
use crate::manifest::Manifest;
use crate::publish::Published;
use crate::tables::TableId;

/// Number of moves in the text output.
const MOVES: usize = 20;

/// Two runs at one snapshot each.
pub(super) struct Comparison {
    runs: [Published; 2],
    dates: [NaiveDate; 2],
    moves: DataFrame,
    segments: DataFrame,
    metrics: DataFrame,
    definitions: Option<String>,
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
struct Total {
    customers: u32,
    money: f64,
}

impl Comparison {
    pub(super) fn new(paths: [&Path; 2], snapshot: Option<NaiveDate>) -> Result<Self, Error> {
        let engine = || Error::engine("diff");
        let [a, b] = [Published::open(paths[0])?, Published::open(paths[1])?];
        let dates = [snapshot_of(&a, snapshot)?, snapshot_of(&b, snapshot)?];
        let customers = [a.segments(dates[0])?, b.segments(dates[1])?];
        let metrics = match (a.table(TableId::Metrics)?, b.table(TableId::Metrics)?) {
            (Some(a), Some(b)) => comparison::metrics(&a, &b).map_err(engine())?,
            _ => DataFrame::empty(),
        };
        let moves = comparison::moves(&customers[0], &customers[1]).map_err(engine())?;
        let segments = comparison::segments(&moves).map_err(engine())?;
        let definitions =
            differences(&a.manifest.definition, &b.manifest.definition, DiffScope::Runs);
        Ok(Self { runs: [a, b], dates, moves, segments, metrics, definitions })
    }

    /// Customers and money of some moves.
    fn total(&self, moves: Expr) -> PolarsResult<Total> {
        let moves = self.moves.clone().lazy().filter(moves).collect()?;
        let customers = moves.column(CUSTOMERS)?.u32()?.sum().unwrap_or(0);
        let money = moves.column(MONEY)?.f64()?.iter().flatten().fold(0.0, |sum, x| sum + x);
        Ok(Total { customers, money })
    }

    /// Totals of all customers, of those in another segment, and of those only in the first or only
    /// in the second run.
    fn totals(&self) -> PolarsResult<[Total; 4]> {
        Ok([
            self.total(lit(true))?,
            self.total(col(FROM_SEGMENT).neq(col(TO_SEGMENT)))?,
            self.total(col(TO_SEGMENT).is_null())?,
            self.total(col(FROM_SEGMENT).is_null())?,
        ])
    }

    pub(super) fn describe(&self) -> PolarsResult<String> {
        let mut text = String::new();
        for ((ordinal, run), date) in ["first", "second"].iter().zip(&self.runs).zip(self.dates) {
            let Manifest { pipeline, run_id, version, .. } = &run.manifest;
            text += &format!("{ordinal:<7} {pipeline} {run_id} at {date} (version {version})\n");
        }
        if let Some(differences) = &self.definitions {
            text += &format!("different definitions: {differences}\n");
        }
        let [all, moved, only_first, only_second] = self.totals()?;
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

    /// One line of JSON.
    pub(super) fn to_json(&self) -> PolarsResult<String> {
        let [all, moved, only_first, only_second] = self.totals()?;
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
        let comparison = json!({
            "one": run(&self.runs[0], self.dates[0]),
            "other": run(&self.runs[1], self.dates[1]),
            "definitions": self.definitions,
            "customers": totals(|total| total.customers.into()),
            "money": totals(|total| total.money.into()),
            "moves": objects(&self.moves)?,
            "segments": objects(&self.segments)?,
            "metrics": objects(&self.metrics)?,
        });
        Ok(format!("{comparison}\n"))
    }
}

/// The rows of a table as JSON objects.
fn objects(frame: &DataFrame) -> PolarsResult<Vec<Map<String, Value>>> {
    let mut objects = vec![Map::new(); frame.height()];
    for column in frame.columns() {
        for (row, object) in objects.iter_mut().enumerate() {
            let value = match column.get(row)? {
                AnyValue::Null => Value::Null,
                AnyValue::Float64(number) => number.into(),
                AnyValue::UInt32(number) => number.into(),
                other => plain(column.name(), other).into(),
            };
            object.insert(column.name().to_string(), value);
        }
    }
    Ok(objects)
}
