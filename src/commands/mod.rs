//! One file a command. Only these and `main` print.

use std::io::Write;
use std::path::Path;

use polars::prelude::{Schema, SchemaNamesAndDtypes};
use serde_json::Value;

use crate::cli::{Command, Load, Overrides, PlanFormat, PlannedFor, Runs};
use custseg::config::{self, Request};
use custseg::error::Error;
use custseg::pipeline::{How, Pipeline, Scanned};
use custseg::remote::is_remote;

mod check;
mod dictionary;
mod diff;
mod explain;
mod inspect;
pub(crate) mod lineage;
mod lint;
pub(crate) mod log;
mod manual;
mod peek;
mod plan;
mod report;
mod run;
mod runs;
mod schema;
mod score;
mod simulate;
mod stdio;
mod summary;
mod table;
mod why;

/// Runs a command; what it prints on `out` is data.
pub(crate) fn dispatch(command: &Command, out: &mut impl Write) -> Result<(), Error> {
    match command {
        Command::Run { load, engine, publish_anyway, only_new, skip_code, lineage } => {
            let told = lineage.is_some().then_some(lineage::scanned as fn(&Scanned<'_>));
            let how = How { publish_anyway: *publish_anyway, only_new: *only_new, told };
            run::run(
                &loaded_for(load, engine.as_deref())?,
                how,
                *skip_code,
                lineage.as_deref(),
                out,
            )
        }
        Command::Diff { one, other, snapshot, json } => {
            diff::diff([local(one)?, local(other)?], *snapshot, *json, out)
        }
        Command::Report { run, out: to } => report::report(local(run)?, to, out),
        Command::Simulate(asked) => simulate::simulate(asked, out),
        Command::Score(asked) => {
            local(&asked.model)?;
            score::score(asked, out)
        }
        Command::Runs(asked) => {
            let (Runs::List { place, .. } | Runs::Prune { place, .. }) = asked;
            local(place)?;
            runs::runs(asked, out)
        }
        Command::Inspect { path, columns: true, .. } => dictionary::dictionary(local(path)?, out),
        Command::Inspect { path, json, .. } => inspect::inspect(local(path)?, *json, out),
        Command::Schema { of, markdown } => schema::schema(*of, *markdown, out),
        Command::Completions { shell } => manual::completions(*shell, out),
        Command::Man { to } => manual::pages(to),
        Command::Check(load) => check::check(&loaded(load)?, out),
        Command::Explain(load) => explain::explain(&loaded(load)?, out),
        Command::Plan { load, engine: PlannedFor::Spark, format: PlanFormat::Sql, to } => {
            plan::plan(&loaded(load)?, to.as_deref(), out)
        }
        Command::Lint { file, manifest } => lint::lint(file, manifest.as_deref(), out),
        Command::Why { pipeline, customer_id, overrides } => {
            let load = Load { pipeline: Some(pipeline.clone()), overrides: overrides.clone() };
            why::why(&loaded(&load)?, customer_id, out)
        }
        Command::Peek { pipeline, stage, rows, overrides } => {
            let load = Load { pipeline: Some(pipeline.clone()), overrides: overrides.clone() };
            peek::peek(&loaded(&load)?, *stage, *rows, out)
        }
    }
}

/// A path of this machine; only runs read from stores and write to them.
fn local(path: &Path) -> Result<&Path, Error> {
    match is_remote(&path.to_string_lossy()) {
        true => Err(Error::Usage(format!(
            "{}: only `run` and paths of sources go to object stores",
            path.display()
        ))),
        false => Ok(path),
    }
}

fn loaded(load: &Load) -> Result<Pipeline, Error> {
    loaded_for(load, None)
}

/// A pipeline for an engine, where one is named.
fn loaded_for(load: &Load, engine: Option<&str>) -> Result<Pipeline, Error> {
    let Overrides { set, as_of } = load.overrides.clone();
    let engine = engine.map(|engine| match engine {
        "local" => "engine={}".to_owned(),
        remote => format!("engine.spark.remote={}", Value::from(remote)),
    });
    let given = engine.map(|engine| ("--engine".to_owned(), engine)).into_iter().collect();
    Ok(config::load(&Request { pipeline: load.pipeline.clone(), given, set, as_of })?)
}

/// A schema in one line.
fn schema_line(schema: &Schema) -> String {
    let columns = schema.iter_names_and_dtypes().map(|(name, dtype)| format!("{name} {dtype}"));
    columns.collect::<Vec<_>>().join(" · ")
}
