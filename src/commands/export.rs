//! `custseg export`: writes customers of a run as a list for a mailing or a platform.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::*;
use serde_json::json;
use tracing::warn;

use super::local;
use crate::artefact::{DiffScope, differences};
use crate::cli::ExportArgs;
use crate::error::Error;
use crate::export::{self, Export, ExportParams, Layout, ListParams};
use crate::publish::{self, Published};

pub(super) fn export(arguments: &ExportArgs, out: &mut impl Write) -> Result<(), Error> {
    for path in [&arguments.to, &arguments.groups_to].into_iter().flatten() {
        publish::writable_suffix(path)?;
        outside_of_runs(path)?;
        let is_read = |input: &&PathBuf| match (input.canonicalize(), path.canonicalize()) {
            (Ok(input), Ok(output)) => input == output,
            _ => false,
        };
        let inputs = [&arguments.contacts, &arguments.suppress];
        if let Some(input) = inputs.into_iter().flatten().find(is_read) {
            return Err(Error::Usage(format!("{} is read and written", input.display())));
        }
    }
    if let Some(path) = &arguments.groups_to {
        if arguments.to.as_ref() == Some(path) {
            return Err(Error::Usage("--to and --groups-to are one file".to_owned()));
        }
        if publish::writable_suffix(path)? == "xlsx" {
            return Err(Error::Usage("--groups-to: expected .csv or .parquet".to_owned()));
        }
    }
    if let (Layout::Xlsx, Some(path)) = (arguments.layout, &arguments.to)
        && publish::writable_suffix(path)? != "xlsx"
    {
        return Err(Error::Usage("--for xlsx: expected a name that ends in .xlsx".to_owned()));
    }
    let run = Published::open(local(&arguments.run)?).map_err(Error::reading)?;
    let dates = run.manifest.dates();
    let Some(newest) = dates.last().copied() else {
        return Err(Error::Usage(format!("{} has no snapshot", arguments.run.display())));
    };
    let names = run.manifest.segment_names();
    for segment in &arguments.segment {
        if !names.contains(&segment.as_str()) {
            let names = names.join(", ");
            return Err(Error::Usage(format!("no segment `{segment}`; the run has: {names}")));
        }
    }
    let earlier = earlier(arguments, &run, &dates)?;
    let params = ListParams {
        export: ExportParams {
            selection: arguments.what,
            segments: arguments.segment.clone(),
            layout: arguments.layout,
            hash: arguments.hash,
            control: arguments.control.unwrap_or(0.0),
            columns: arguments.columns.clone(),
        },
        contacts: arguments.contacts.clone(),
        key: arguments.key.clone(),
        suppress: arguments.suppress.clone(),
    };
    let customers = run.segments(newest).map_err(Error::reading)?;
    let made = params.read().and_then(|list| list.make(customers, earlier));
    let made = made.map_err(Error::Usage)?;
    let Export { list, groups, counts, .. } = &made;
    if let Some(path) = &arguments.groups_to {
        publish::list_to_file(path, groups)?;
    }
    let Some(path) = &arguments.to else {
        // Through memory, so that a closed pipe is an error of output, not of Polars.
        let mut text = Vec::new();
        let mut list = export::neutralised(list).map_err(Error::engine("export"))?;
        CsvWriter::new(&mut text).finish(&mut list).map_err(Error::engine("export"))?;
        return Ok(out.write_all(&text)?);
    };
    publish::list_to_file(path, list)?;
    made.check_size(path.metadata()?.len());
    let record = json!({
        "run_id": run.manifest.run_id,
        "snapshot": newest.to_string(),
        "path": path,
        "customers": counts,
    });
    Ok(writeln!(out, "{record}")?)
}

/// Refuses to write into a published run.
pub(super) fn outside_of_runs(path: &Path) -> Result<(), Error> {
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    let is_run = |folder: &Path| folder.join("manifest.json").is_file();
    match parent.iter().flat_map(|parent| parent.ancestors()).find(|folder| is_run(folder)) {
        Some(run) => {
            let reason = format!("{} is in the run {}", path.display(), run.display());
            Err(Error::Usage(format!("{reason}; published runs do not change")))
        }
        None => Ok(()),
    }
}

/// The customers at the time that the newest snapshot is compared with: another run, a date, or the
/// snapshot before.
fn earlier(
    arguments: &ExportArgs,
    run: &Published,
    dates: &[NaiveDate],
) -> Result<Option<DataFrame>, Error> {
    let segments = |run: &Published, date| run.segments(date).map(Some).map_err(Error::reading);
    let Some(since) = &arguments.since else {
        return match (dates, &run.manifest.compared_with) {
            ([.., before, _], _) => segments(run, *before),
            (_, Some(earlier)) => {
                if let Some(differences) = &earlier.differences {
                    warn!(differences, "the definitions of the run before differ");
                }
                // Older runs may have been removed.
                let folder = run.folder.with_file_name(&earlier.run_id);
                let earlier = Published::open(&folder).ok();
                Ok(earlier.and_then(|run| run.segments(*run.manifest.dates().last()?).ok()))
            }
            _ => Ok(None),
        };
    };
    if let Ok(date) = since.parse::<NaiveDate>() {
        if dates.contains(&date) {
            return segments(run, date);
        }
        let available = run.manifest.snapshots.join(", ");
        return Err(Error::Usage(format!("--since: no snapshot {date}; available: {available}")));
    }
    let other = Published::open(local(Path::new(since))?).map_err(Error::reading)?;
    let [own, theirs] = [run, &other].map(|run| run.manifest.pipeline.as_str());
    if own != theirs {
        let reason = format!("--since: that run is of `{theirs}`, this one of `{own}`");
        return Err(Error::Usage(reason));
    }
    let definitions = [&other, run].map(|run| &run.manifest.definition);
    if let Some(differences) = differences(definitions[0], definitions[1], DiffScope::Runs) {
        warn!(differences, "the definitions of the two runs differ");
    }
    match other.manifest.dates().last() {
        Some(date) => segments(&other, *date),
        None => Err(Error::Usage(format!("--since: {since} has no snapshot"))),
    }
}
