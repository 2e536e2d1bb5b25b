//! The commands. Only these and `main` print.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::{
    Command, Load, LoadNamed, Overrides, PlanFormat, PlannedFor, RunArgs, Runs, SchemaOf,
};
use crate::config::map_spec::MapSpec;
use crate::config::spec::PipelineSpec;
use crate::config::{self, Request, shape};
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::remote::is_remote;

mod diff;
mod explain;
mod export;
mod init;
mod inspect;
pub(crate) mod lineage;
mod lint;
pub(crate) mod log;
mod manual;
mod peek;
mod report;
mod run;
mod runs;
mod score;
mod simulate;
mod stages;
mod stdio;
mod summary;
mod table;
mod why;

use diff::Comparison;

/// Runs a command. Data is written to `out`.
pub(crate) fn dispatch(command: &Command, out: &mut impl Write) -> Result<(), Error> {
    match command {
        Command::Init(arguments) => init::init(arguments, out),
        Command::Demo { dir } => {
            let pipeline = Some(init::demo(dir)?);
            let p = config::load(&Request { pipeline, ..Request::default() })?;
            run::run(&p, &RunArgs::default(), out)
        }
        Command::Run(arguments) => {
            let p = load_pipeline(&arguments.load, arguments.engine.as_deref())?;
            run::run(&p, arguments, out)
        }
        Command::Diff { run_a, run_b, snapshot, json } => {
            let comparison = Comparison::new([local(run_a)?, local(run_b)?], *snapshot)?;
            let text = if *json { comparison.to_json() } else { comparison.describe() };
            Ok(out.write_all(text.map_err(Error::engine("diff"))?.as_bytes())?)
        }
        Command::Export(arguments) => export::export(arguments, out),
        Command::Report(arguments) => report::report(arguments, out),
        Command::Simulate(arguments) => simulate::simulate(arguments, out),
        Command::Score(arguments) => {
            local(&arguments.model)?;
            score::score(arguments, out)
        }
        Command::Runs(arguments) => {
            let (Runs::List { dir, .. } | Runs::Prune { dir, .. }) = arguments;
            local(dir)?;
            runs::runs(arguments, out)
        }
        Command::Inspect { path, columns: true, .. } => inspect::dictionary(local(path)?, out),
        Command::Inspect { path, json: true, .. } => inspect::json(local(path)?, out),
        Command::Inspect { path, .. } => inspect::text(local(path)?, out),
        Command::Schema { of, markdown } => {
            let text = match (of, markdown) {
                (SchemaOf::Pipeline, false) => format!("{:#}\n", shape::schema::<PipelineSpec>()),
                (SchemaOf::Pipeline, true) => shape::reference::<PipelineSpec>(),
                (SchemaOf::Map, false) => format!("{:#}\n", shape::schema::<MapSpec>()),
                (SchemaOf::Map, true) => shape::reference::<MapSpec>(),
            };
            Ok(out.write_all(text.as_bytes())?)
        }
        Command::Completions { shell } => manual::completions(*shell, out),
        Command::Man { dir } => manual::pages(dir),
        Command::Check { load, rows } => explain::check(load_pipeline(load, None)?, *rows, out),
        Command::Explain(load) => explain::explain(&load_pipeline(load, None)?, out),
        Command::Plan { load, engine: PlannedFor::Spark, format: PlanFormat::Sql, to } => {
            explain::plan(&load_pipeline(load, None)?, to.as_deref(), out)
        }
        Command::Lint { file, manifest } => lint::lint(file, manifest.as_deref(), out),
        Command::Why { load, customer_id } => why::why(&load_named(load)?, customer_id, out),
        Command::Peek { load, stage, rows } => peek::peek(&load_named(load)?, *stage, *rows, out),
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

fn load_named(load: &LoadNamed) -> Result<Pipeline, Error> {
    let LoadNamed { pipeline, overrides } = load.clone();
    load_pipeline(&Load { pipeline: Some(pipeline), overrides }, None)
}

/// The only pipeline in the working directory or in `pipelines`.
fn only_pipeline() -> Result<PathBuf, Error> {
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in [".", "pipelines"] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let is_pipeline = |path: &PathBuf| {
            let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
            let text = if is_yaml { std::fs::read_to_string(path) } else { Ok(String::new()) };
            text.is_ok_and(|text| text.lines().any(|line| line.starts_with("ingest:")))
        };
        found.extend(paths.filter(is_pipeline));
    }
    found.sort();
    let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Error::Usage(
            "no pipeline given, and none in this folder or in ./pipelines; `custseg init FILE` writes one \
             for your data, `custseg demo` runs an example"
                .to_owned(),
        )),
        _ => Err(Error::Usage(format!("which pipeline? {}", names.join(", ")))),
    }
}

/// A pipeline, with its engine overridden if one is named.
fn load_pipeline(load: &Load, engine: Option<&str>) -> Result<Pipeline, Error> {
    let Load { pipeline, overrides: Overrides { set, as_of } } = load.clone();
    let pipeline = match pipeline {
        Some(path) => Some(path),
        None => Some(only_pipeline()?),
    };
    let setting = engine.map(|engine| match engine {
        "local" => "engine={}".to_owned(),
        remote => format!("engine.spark.remote={}", Value::from(remote)),
    });
    let arguments = setting.map(|setting| ("--engine".to_owned(), setting)).into_iter().collect();
    Ok(config::load(&Request { pipeline, arguments, set, as_of, ..Request::default() })?)
}
