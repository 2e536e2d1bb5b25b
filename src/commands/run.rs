//! `custseg run`: runs the pipeline, tells people what came out on standard error, and programs on standard output.

use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};
use tracing::info;

use super::{lineage, log, summary};
use custseg::error::Error;
use custseg::lineage::State;
use custseg::pipeline::{self, How, Outcome, Pipeline};
use custseg::spark;

pub(super) fn run(
    p: &Pipeline,
    how: How,
    skip_code: bool,
    lineage: Option<&str>,
    out: &mut impl Write,
) -> Result<(), Error> {
    if p.engine.is_some() && (lineage.is_some() || how.only_new) {
        let words = "--lineage and --only-new know what this machine reads; a cluster computes all, and tells nobody";
        return Err(Error::Usage(words.to_owned()));
    }
    lineage.map_or(Ok(()), |to| lineage::begin(p, to))?;
    let outcome = told(p, how, skip_code, out);
    match &outcome {
        Ok(()) | Err(Error::NothingNew) => {}
        Err(error) => lineage::end(&State::Fail(&error.to_string())),
    }
    outcome
}

/// Runs the pipeline and tells what came out.
fn told(p: &Pipeline, how: How, skip_code: bool, out: &mut impl Write) -> Result<(), Error> {
    let started = Instant::now();
    let outcome = match &p.engine {
        None => pipeline::run(p, how)?,
        Some(cluster) => spark::run(p, cluster)?,
    };
    let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    let (manifest, stayed) = match outcome {
        Outcome::NothingNew(run) => {
            info!("nothing is new: inputs, definitions and version are those of the published run");
            lineage::end(&State::Complete {
                run_id: run.text("run_id"),
                outputs: &[],
                tables: None,
            });
            let line = json!({
                "run_id": run.text("run_id"),
                "pipeline": p.name,
                "nothing_new": true,
                "snapshots": run.manifest["snapshots"],
                "rows": run.manifest["rows"],
                "seconds": seconds,
                "path": p.publish.shown(),
                "run_path": p.publish.run(run.text("run_id")),
                "outputs": run.manifest["outputs"].as_array().into_iter().flatten().map(|output| &output["path"]).collect::<Vec<&Value>>(),
            });
            writeln!(out, "{line}")?;
            return if skip_code { Err(Error::NothingNew) } else { Ok(()) };
        }
        Outcome::Published { manifest, tables, stayed } => {
            let (run_id, outputs) = (manifest.run_id.as_str(), manifest.outputs.as_slice());
            lineage::end(&State::Complete { run_id, outputs, tables: Some(&tables) });
            log::clear();
            if !log::is_json() {
                let mut words = Vec::new();
                summary::print(p, &tables, &manifest, &mut words)?;
                log::say(&String::from_utf8_lossy(&words));
            }
            (manifest, stayed)
        }
    };
    let stayed: Vec<String> = stayed.iter().map(ToString::to_string).collect();
    let measured: Vec<&String> =
        manifest.snapshots.iter().filter(|date| !stayed.contains(date)).collect();
    let line = json!({
        "run_id": manifest.run_id,
        "pipeline": manifest.pipeline,
        "snapshots": manifest.snapshots,
        "measured": measured,
        "rows": manifest.rows,
        "seconds": seconds,
        "path": p.publish.shown(),
        "run_path": p.publish.run(&manifest.run_id),
        "outputs": manifest.outputs.iter().map(|output| &output.path).collect::<Vec<_>>(),
    });
    writeln!(out, "{line}")?;
    Ok(())
}
