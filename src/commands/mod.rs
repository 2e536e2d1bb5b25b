//! The commands, one file each. Only these and `main` print.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::cli::{Command, Load, Overrides, PlanFormat, PlannedFor, Runs};
use crate::config::{self, Request};
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::publish::OnFailedGate;
use crate::remote::is_remote;
use crate::session::{RunOptions, Session};

mod artefact_input;
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

/// Runs a command. Data is written to `out`.
pub(crate) fn dispatch(command: &Command, out: &mut impl Write) -> Result<(), Error> {
    match command {
        Command::Run { load, engine, publish_anyway, only_new, skip_code, lineage } => {
            let on_failed_gate =
                if *publish_anyway { OnFailedGate::Publish } else { OnFailedGate::Keep };
            let arguments = run::Arguments {
                options: RunOptions { on_failed_gate, incremental: *only_new },
                skip_code: *skip_code,
                lineage: lineage.as_deref(),
            };
            run::run(&load_for_engine(load, engine.as_deref())?, arguments, out)
        }
        Command::Diff { one, other, snapshot, json } => {
            let runs = [local(one)?, local(other)?];
            if *json { diff::json(runs, *snapshot, out) } else { diff::text(runs, *snapshot, out) }
        }
        Command::Report { run, out: to } => report::report(local(run)?, to, out),
        Command::Simulate(arguments) => simulate::simulate(arguments, out),
        Command::Score(arguments) => {
            local(&arguments.model)?;
            score::score(arguments, out)
        }
        Command::Runs(arguments) => {
            let (Runs::List { folder, .. } | Runs::Prune { folder, .. }) = arguments;
            local(folder)?;
            runs::runs(arguments, out)
        }
        Command::Inspect { path, columns: true, .. } => dictionary::dictionary(local(path)?, out),
        Command::Inspect { path, json: true, .. } => inspect::json(local(path)?, out),
        Command::Inspect { path, .. } => inspect::text(local(path)?, out),
        Command::Schema { of, markdown: true } => schema::markdown(*of, out),
        Command::Schema { of, .. } => schema::json(*of, out),
        Command::Completions { shell } => manual::completions(*shell, out),
        Command::Man { to } => manual::pages(to),
        Command::Check(load) => check::check(&load_pipeline(load)?, out),
        Command::Explain(load) => explain::explain(&load_pipeline(load)?, out),
        Command::Plan { load, engine: PlannedFor::Spark, format: PlanFormat::Sql, to } => {
            plan::plan(&load_pipeline(load)?, to.as_deref(), out)
        }
        Command::Lint { file, manifest } => lint::lint(file, manifest.as_deref(), out),
        Command::Why { pipeline, customer_id, overrides } => {
            why::why(&load_named(pipeline, overrides)?, customer_id, out)
        }
        Command::Peek { pipeline, stage, rows, overrides } => {
            peek::peek(&load_named(pipeline, overrides)?, *stage, *rows, out)
        }
    }
}

/// A path of this machine. Only `run`, and the sources of a pipeline, may be in object stores.
fn local(path: &Path) -> Result<&Path, Error> {
    if is_remote(&path.to_string_lossy()) {
        return Err(Error::Usage(format!(
            "{}: object stores are only supported by `run` and in the paths of sources",
            path.display()
        )));
    }
    Ok(path)
}

fn load_pipeline(load: &Load) -> Result<Pipeline, Error> {
    load_for_engine(load, None)
}

fn load_named(pipeline: &Path, overrides: &Overrides) -> Result<Pipeline, Error> {
    load_pipeline(&Load { pipeline: Some(pipeline.to_owned()), overrides: overrides.clone() })
}

/// A pipeline, with its engine overridden if one is named.
fn load_for_engine(load: &Load, engine: Option<&str>) -> Result<Pipeline, Error> {
    let Overrides { set, as_of } = load.overrides.clone();
    let engine = engine.map(|engine| {
        let setting = match engine {
            "local" => "engine={}".to_owned(),
            remote => format!("engine.spark.remote={}", Value::from(remote)),
        };
        ("--engine".to_owned(), setting)
    });
    let arguments = engine.into_iter().collect();
    let pipeline = load.pipeline.clone();
    Ok(config::load(&Request { pipeline, arguments, set, as_of, ..Request::default() })?)
}

/// A session that shows its progress.
fn open(p: &Pipeline) -> Session<'_> {
    Session::open(p, log::observer())
}
