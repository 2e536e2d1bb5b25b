//! `custseg run`: runs the pipeline. The summary goes to standard error, one line of JSON to standard output.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tracing::info;

use super::lineage::RunReporter;
use super::{log, summary};
use crate::error::Error;
use crate::lineage::State;
use crate::manifest::Output;
use crate::pipeline::Pipeline;
use crate::publish::Published;
use crate::session::{self, Outcome, RunOptions};
use crate::spark;

/// Command line of a run.
pub(super) struct Arguments<'a> {
    pub(super) options: RunOptions,
    /// Exit with 99 if nothing is new.
    pub(super) skip_code: bool,
    /// File or URL that receives lineage events.
    pub(super) lineage: Option<&'a str>,
}

pub(super) fn run(
    p: &Pipeline,
    arguments: Arguments<'_>,
    out: &mut impl Write,
) -> Result<(), Error> {
    if p.engine.is_some() && (arguments.lineage.is_some() || arguments.options.incremental) {
        let message = "--lineage and --only-new are not supported with a Spark engine";
        return Err(Error::Usage(message.to_owned()));
    }
    let reporter = Arc::new(RunReporter::start(p, arguments.lineage)?);
    let result = compute(p, &arguments, reporter.clone(), out);
    match &result {
        Ok(()) | Err(Error::UpToDate) => {}
        Err(error) => reporter.end(&State::Fail(&error.to_string())),
    }
    result
}

fn compute(
    p: &Pipeline,
    arguments: &Arguments<'_>,
    reporter: Arc<RunReporter>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let started = Instant::now();
    let outcome = match &p.engine {
        None => session::run(p, arguments.options, reporter.clone())?,
        Some(cluster) => spark::run(p, cluster)?,
    };
    let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let line = match &outcome {
        Outcome::UpToDate(run) => {
            info!("up to date: inputs, definition and version are those of the published run");
            let run_id = &run.manifest.run_id;
            reporter.end(&State::Complete { run_id, outputs: &[], tables: None });
            up_to_date_line(p, run, seconds)
        }
        Outcome::Published { manifest, tables, reused } => {
            let state = State::Complete {
                run_id: &manifest.run_id,
                outputs: &manifest.outputs,
                tables: Some(tables),
            };
            reporter.end(&state);
            log::clear();
            if !log::is_json() {
                let mut text = Vec::new();
                summary::print(p, tables, manifest, &mut text)?;
                log::write(&String::from_utf8_lossy(&text));
            }
            let reused: Vec<String> = reused.iter().map(ToString::to_string).collect();
            let measured: Vec<&String> =
                manifest.snapshots.iter().filter(|date| !reused.contains(date)).collect();
            json!({
                "run_id": manifest.run_id,
                "pipeline": manifest.pipeline,
                "snapshots": manifest.snapshots,
                "measured": measured,
                "rows": manifest.rows,
                "seconds": seconds,
                "path": p.publish.to.current_path(),
                "run_path": p.publish.to.run_path(&manifest.run_id),
                "outputs": paths(&manifest.outputs),
            })
        }
    };
    writeln!(out, "{line}")?;
    if arguments.skip_code && matches!(outcome, Outcome::UpToDate(_)) {
        return Err(Error::UpToDate);
    }
    Ok(())
}

fn up_to_date_line(p: &Pipeline, run: &Published, seconds: f64) -> Value {
    let manifest = &run.manifest;
    json!({
        "run_id": manifest.run_id,
        "pipeline": p.name,
        "nothing_new": true,
        "snapshots": manifest.snapshots,
        "rows": manifest.rows,
        "seconds": seconds,
        "path": p.publish.to.current_path(),
        "run_path": p.publish.to.run_path(&manifest.run_id),
        "outputs": paths(&manifest.outputs),
    })
}

fn paths(outputs: &[Output]) -> Vec<&str> {
    outputs.iter().map(|output| output.path.as_str()).collect()
}
