//! `custseg run`. The summary goes to standard error, one line of JSON to standard output.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tracing::info;

use super::lineage::RunReporter;
use super::{log, summary};
use crate::cli::RunArgs;
use crate::error::Error;
use crate::lineage::State;
use crate::pipeline::Pipeline;
use crate::publish::{OnFailedGate, Replaceable};
use crate::session::{self, Outcome, RunOptions};
use crate::spark;

pub(super) fn run(p: &Pipeline, arguments: &RunArgs, out: &mut impl Write) -> Result<(), Error> {
    if p.engine.is_some() && (arguments.lineage.is_some() || arguments.only_new) {
        let message = "--lineage and --only-new are not supported with a Spark engine";
        return Err(Error::Usage(message.to_owned()));
    }
    let reporter = Arc::new(RunReporter::start(p, arguments.lineage.as_deref())?);
    let result = compute(p, arguments, reporter.clone(), out);
    match &result {
        Ok(()) | Err(Error::UpToDate) => {}
        Err(error) => reporter.end(&State::Fail(&error.to_string())),
    }
    result
}

fn compute(
    p: &Pipeline,
    arguments: &RunArgs,
    reporter: Arc<RunReporter>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let started = Instant::now();
    let replaceable = Replaceable { other_pipeline: arguments.force, later: arguments.allow_older };
    let outcome = match &p.engine {
        None => {
            let on_failed_gate =
                if arguments.publish_anyway { OnFailedGate::Publish } else { OnFailedGate::Keep };
            let options =
                RunOptions { on_failed_gate, incremental: arguments.only_new, replaceable };
            session::run(p, options, reporter.clone())?
        }
        Some(cluster) => spark::run(p, cluster, replaceable)?,
    };
    let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let (manifest, measured) = match &outcome {
        Outcome::UpToDate(run) => {
            info!("up to date: inputs, definition and version are those of the published run");
            let run_id = &run.manifest.run_id;
            reporter.end(&State::Complete { run_id, outputs: &[], tables: None });
            (&run.manifest, None)
        }
        Outcome::Published { manifest, tables, reused } => {
            reporter.end(&State::Complete {
                run_id: &manifest.run_id,
                outputs: &manifest.outputs,
                tables: Some(tables),
            });
            log::clear();
            if !log::is_json() {
                let mut text = Vec::new();
                summary::print(p, tables, manifest, &mut text)?;
                log::write(&String::from_utf8_lossy(&text));
            }
            let reused: Vec<String> = reused.iter().map(ToString::to_string).collect();
            let measured = manifest.snapshots.iter().filter(|date| !reused.contains(date));
            (&**manifest, Some(measured.collect::<Vec<_>>()))
        }
    };
    let outputs: Vec<&str> = manifest.outputs.iter().map(|output| output.path.as_str()).collect();
    let mut line = json!({
        "run_id": manifest.run_id,
        "pipeline": p.name,
        "nothing_new": measured.is_none().then_some(true),
        "snapshots": manifest.snapshots,
        "measured": measured,
        "rows": manifest.rows,
        "seconds": seconds,
        "path": p.publish.to.current_path(),
        "run_path": p.publish.to.run_path(&manifest.run_id),
        "outputs": outputs,
    });
    // `nothing_new` or `measured`.
    line.as_object_mut().into_iter().for_each(|line| line.retain(|_, value| !value.is_null()));
    let is_terminal = std::io::stdout().is_terminal();
    if arguments.json || !is_terminal {
        writeln!(out, "{line}")?;
    } else {
        writeln!(out, "Report: {}/report.html", p.publish.to.current_path().display())?;
    }
    if arguments.skip_code && matches!(outcome, Outcome::UpToDate(_)) {
        return Err(Error::UpToDate);
    }
    Ok(())
}
