//! `custseg runs`: the runs that stand in a place.

use std::io::Write;

use chrono::{DateTime, Utc};
use indicatif::BinaryBytes;
use serde_json::{Value, json};

use super::table;
use crate::cli::Runs;
use custseg::error::Error;
use custseg::publish::runs::{self, Run};

pub(super) fn runs(asked: &Runs, out: &mut impl Write) -> Result<(), Error> {
    match asked {
        Runs::List { place, json: true } => {
            for run in runs::list(place).map_err(Error::Shown)? {
                writeln!(out, "{}", as_json(&run))?;
            }
        }
        Runs::List { place, json: false } => {
            let found = runs::list(place).map_err(Error::Shown)?;
            match found.is_empty() {
                true => writeln!(out, "no run stands in {}", place.display())?,
                false => writeln!(out, "{}", drawn(&found))?,
            }
        }
        Runs::Prune { place, keep, dry_run } => {
            let keep = *keep as usize;
            let gone = match dry_run {
                true => runs::too_old(&runs::list(place).map_err(Error::Shown)?, keep)
                    .into_iter()
                    .cloned()
                    .collect(),
                false => runs::prune_at(place, keep).map_err(Error::Shown)?,
            };
            let verb = if *dry_run { "would go" } else { "removed" };
            for run in &gone {
                writeln!(out, "{} {verb}", run.name)?;
            }
            let bytes = gone.iter().map(|run| run.bytes).sum();
            let plural = if gone.len() == 1 { "" } else { "s" };
            writeln!(out, "{} run{plural} {verb}, {}", gone.len(), BinaryBytes(bytes))?;
        }
    }
    Ok(())
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

fn as_json(run: &Run) -> Value {
    let of = |key: &str| run.manifest.as_ref().map(|manifest| manifest[key].clone());
    json!({
        "name": run.name,
        "current": run.current,
        "state": state(run),
        "written": written(run),
        "snapshots": of("snapshots"),
        "rows": of("rows"),
        "bytes": run.bytes,
        "path": run.folder,
    })
}

fn drawn(found: &[Run]) -> String {
    let header = ["", "run", "written", "state", "snapshots", "customer rows", "size"];
    let row = |run: &Run| {
        let manifest = run.manifest.as_ref();
        let dates: Vec<&str> = manifest
            .map(|manifest| {
                manifest["snapshots"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect()
            })
            .unwrap_or_default();
        let snapshots = match dates.as_slice() {
            [] => String::new(),
            [one] => (*one).to_owned(),
            [first, .., last] => format!("{} from {first} to {last}", dates.len()),
        };
        let rows = manifest.and_then(|manifest| manifest["rows"]["segments"].as_u64());
        [
            if run.current { "*" } else { "" }.to_owned(),
            run.name.clone(),
            written(run),
            state(run).to_owned(),
            snapshots,
            rows.map(|rows| rows.to_string()).unwrap_or_default(),
            BinaryBytes(run.bytes).to_string(),
        ]
    };
    table::rows(header, found.iter().map(row), &[5, 6])
}
