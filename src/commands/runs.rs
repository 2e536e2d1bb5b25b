//! `custseg runs`: lists or removes the runs of a destination.

use std::io::Write;

use chrono::{DateTime, Utc};
use indicatif::BinaryBytes;
use serde_json::{Value, json};

use super::table::draw_rows;
use crate::cli::Runs;
use crate::error::Error;
use crate::publish::runs::{self, Run};

pub(super) fn runs(arguments: &Runs, out: &mut impl Write) -> Result<(), Error> {
    match arguments {
        Runs::List { dir, json } => {
            let runs = runs::list(dir).map_err(Error::reading)?;
            if *json {
                runs.iter().try_for_each(|run| writeln!(out, "{}", to_json(run)))?;
            } else if runs.is_empty() {
                writeln!(out, "no runs in {}", dir.display())?;
            } else {
                writeln!(out, "{}", draw(&runs))?;
            }
            Ok(())
        }
        Runs::Prune { dir, keep, dry_run: true } => {
            let runs = runs::list(dir).map_err(Error::reading)?;
            report(&runs::too_old(&runs, *keep as usize), "would be removed", out)
        }
        Runs::Prune { dir, keep, .. } => {
            let removed = runs::prune_unlocked(dir, *keep as usize).map_err(Error::reading)?;
            report(&removed.iter().collect::<Vec<_>>(), "removed", out)
        }
    }
}

fn report(runs: &[&Run], verb: &str, out: &mut impl Write) -> Result<(), Error> {
    for run in runs {
        writeln!(out, "{} {verb}", run.name)?;
    }
    let bytes = runs.iter().map(|run| run.bytes).sum();
    let plural = if runs.len() == 1 { "" } else { "s" };
    Ok(writeln!(out, "{} run{plural} {verb}, {}", runs.len(), BinaryBytes(bytes))?)
}

fn state(run: &Run) -> &'static str {
    match (&run.manifest, run.failed()) {
        (None, true) => "checks failed",
        (_, true) => "gates failed",
        (None, false) => "damaged",
        (Some(_), false) => "whole",
    }
}

fn written(run: &Run) -> String {
    DateTime::<Utc>::from(run.written).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn to_json(run: &Run) -> Value {
    let manifest = run.manifest.as_ref();
    json!({
        "name": run.name,
        "current": run.current,
        "state": state(run),
        "written": written(run),
        "snapshots": manifest.map(|manifest| &manifest.snapshots),
        "rows": manifest.map(|manifest| manifest.rows),
        "bytes": run.bytes,
        "path": run.folder,
    })
}

fn draw(runs: &[Run]) -> String {
    let header = ["", "run", "written", "state", "snapshots", "customer rows", "size"];
    let row = |run: &Run| {
        let manifest = run.manifest.as_ref();
        let snapshots = match manifest.map_or(&[][..], |manifest| &manifest.snapshots) {
            [] => String::new(),
            [date] => date.clone(),
            dates @ [first, .., last] => format!("{} from {first} to {last}", dates.len()),
        };
        let rows = manifest.map_or_else(String::new, |manifest| manifest.rows.segments.to_string());
        [
            if run.current { "*" } else { "" }.to_owned(),
            run.name.clone(),
            written(run),
            state(run).to_owned(),
            snapshots,
            rows,
            BinaryBytes(run.bytes).to_string(),
        ]
    };
    draw_rows(header, runs.iter().map(row), &[5, 6])
}
