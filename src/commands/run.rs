//! `custseg run`: runs the pipeline, tells people what came out on standard error, and programs on standard output.

use std::io::Write;
use std::time::Instant;

use serde_json::json;

use super::summary;
use custseg::error::Error;
use custseg::pipeline::{self, How, Pipeline};

pub(super) fn run(p: &Pipeline, how: How, out: &mut impl Write) -> Result<(), Error> {
    let started = Instant::now();
    let (manifest, tables) = pipeline::run(p, how)?;
    let seconds = started.elapsed().as_secs_f64();
    summary::print(p, &tables, &manifest, &mut std::io::stderr().lock())?;
    let current = p.publish.to.canonicalize()?.join("current");
    let line = json!({
        "run_id": manifest.run_id,
        "pipeline": manifest.pipeline,
        "snapshots": manifest.snapshots,
        "rows": manifest.rows,
        "seconds": (seconds * 1000.0).round() / 1000.0,
        "path": current,
        "outputs": manifest.outputs.iter().map(|output| &output.path).collect::<Vec<_>>(),
    });
    writeln!(out, "{line}")?;
    Ok(())
}
