//! `custseg export`: writes customers of a run as a list for a mailing or a platform.

use std::collections::HashSet;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::*;
use serde_json::json;
use tracing::warn;

use super::local;
use crate::cli::ExportArgs;
use crate::columns::CUSTOMER_ID;
use crate::error::Error;
use crate::export::{self, Contacts, Export, ExportInputs, ExportParams};
use crate::publish::{self, Published};

pub(super) fn export(arguments: &ExportArgs, out: &mut impl Write) -> Result<(), Error> {
    for path in [&arguments.to, &arguments.control_to].into_iter().flatten() {
        publish::writable_suffix(path)?;
        let is_read = |input: &&PathBuf| match (input.canonicalize(), path.canonicalize()) {
            (Ok(input), Ok(output)) => input == output,
            _ => false,
        };
        let inputs = [&arguments.contacts, &arguments.suppress];
        if let Some(input) = inputs.into_iter().flatten().find(is_read) {
            return Err(Error::Usage(format!("{} is read and written", input.display())));
        }
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
    let contacts = match &arguments.contacts {
        Some(path) => {
            let contacts = Contacts::new(&read(path)?, &arguments.key).map_err(Error::Usage)?;
            if contacts.repeated > 0 {
                let rows = contacts.repeated;
                warn!(rows, "customers with several contacts: the first row counts");
            }
            Some(contacts)
        }
        None => None,
    };
    let suppressed = match &arguments.suppress {
        Some(path) => {
            let has_emails = contacts.as_ref().is_some_and(Contacts::has_emails);
            export::suppressed(&read(path)?, &arguments.key, has_emails).map_err(Error::Usage)?
        }
        None => HashSet::new(),
    };
    let params = ExportParams {
        selection: arguments.what.into(),
        segments: arguments.segment.clone(),
        layout: arguments.layout.into(),
        hash: arguments.hash,
        control: arguments.control.unwrap_or(0.0),
        columns: arguments.columns.clone(),
    };
    let customers = run.segments(newest).map_err(Error::reading)?;
    let inputs = ExportInputs { customers, earlier, contacts, suppressed };
    let Export { list, control, counts, warnings } =
        export::export(&params, &inputs).map_err(Error::Usage)?;
    warnings.iter().for_each(|text| warn!("{text}"));
    let mut list = neutralised(list).map_err(Error::engine("export"))?;
    if let Some(path) = &arguments.control_to {
        let ids = Column::new(CUSTOMER_ID.into(), control);
        let ids = DataFrame::new(ids.len(), vec![ids]);
        publish::to_file(path, &mut ids.map_err(Error::engine("export"))?)?;
    }
    let Some(path) = &arguments.to else {
        // Through memory, so that a closed pipe is an error of output, not of Polars.
        let mut text = Vec::new();
        CsvWriter::new(&mut text).finish(&mut list).map_err(Error::engine("export"))?;
        return Ok(out.write_all(&text)?);
    };
    publish::to_file(path, &mut list)?;
    let record = json!({
        "run_id": run.manifest.run_id,
        "snapshot": newest.to_string(),
        "path": path,
        "customers": counts,
    });
    Ok(writeln!(out, "{record}")?)
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
        return match dates {
            [.., before, _] => segments(run, *before),
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
    match other.manifest.dates().last() {
        Some(date) => segments(&other, *date),
        None => Err(Error::Usage(format!("--since: {since} has no snapshot"))),
    }
}

/// A Parquet file, or a CSV file as text. Its separator is the most frequent one of the first line.
fn read(path: &Path) -> Result<DataFrame, Error> {
    let unreadable = |reason: String| Error::Usage(format!("{}: {reason}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let frame = if path.extension().is_some_and(|suffix| suffix == "parquet") {
        ParquetReader::new(Cursor::new(bytes)).finish()
    } else {
        if let Err(error) = std::str::from_utf8(&bytes) {
            return Err(unreadable(format!("not UTF-8: {error}")));
        }
        let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let count = |separator: &u8| header.iter().filter(|byte| *byte == separator).count();
        let separator = *b"|\t;,".iter().max_by_key(|separator| count(separator)).unwrap_or(&b',');
        // Without inference: numbers such as 00123 stay text.
        let options = CsvReadOptions::default()
            .with_infer_schema_length(Some(0))
            .map_parse_options(|options| options.with_separator(separator));
        options.into_reader_with_file_handle(Cursor::new(bytes)).finish()
    };
    frame.map_err(|error| unreadable(error.to_string()))
}

/// Texts that a spreadsheet would run as formulas get an apostrophe in front.
fn neutralised(list: DataFrame) -> PolarsResult<DataFrame> {
    let is_formula = |text: &str| {
        let is_dialled = |b: u8| b.is_ascii_digit() || b" ()-./".contains(&b);
        let is_phone = text.strip_prefix('+').is_some_and(|phone| phone.bytes().all(is_dialled));
        text.starts_with(['=', '+', '-', '@', '\t', '\r'])
            && !is_phone
            && text.parse::<f64>().is_err()
    };
    let column = |column: &Column| {
        let Ok(texts) = column.str() else { return Ok(column.clone()) };
        let made: StringChunked = texts
            .iter()
            .map(|text| {
                text.map(|text| if is_formula(text) { format!("'{text}") } else { text.to_owned() })
            })
            .collect();
        Ok(made.with_name(column.name().clone()).into_column())
    };
    let columns = list.try_apply_columns(column)?;
    DataFrame::new(list.height(), columns)
}
