//! `custseg score`: scores customers by the artefact of an earlier run.

use std::io::Write;
use std::path::Path;

use polars::prelude::*;
use serde_json::{Value, json};
use tracing::warn;

use super::stdio;
use crate::cli::Score;
use custseg::artefact::{Opened, PIPELINE};
use custseg::config::{self, Request};
use custseg::error::Error;
use custseg::pipeline::Scorer;
use custseg::publish;

pub(super) fn score(asked: &Score, out: &mut impl Write) -> Result<(), Error> {
    asked.to.as_deref().map(publish::writable).transpose()?;
    let opened = Opened::at(&asked.model)?;
    let recipe = opened.pipeline()?;
    if asked.stdio {
        return stdio::answer(&opened, recipe, out);
    }
    let scorer =
        Scorer::of(load(&opened, given(asked, &recipe)?, &asked.set)?, &opened, asked.as_of)?;
    let mut frame = scorer.sources()?;
    match &asked.to {
        None => {
            // Through memory, so that a reader that has seen enough is told from an engine that failed.
            let mut text = Vec::new();
            CsvWriter::new(&mut text).finish(&mut frame).map_err(Error::engine("score"))?;
            Ok(out.write_all(&text)?)
        }
        Some(path) => Ok(publish::to_file(path, &mut frame)?),
    }
}

/// The artefact's pipeline with what is given.
pub(super) fn load(
    opened: &Opened,
    given: Vec<(String, String)>,
    set: &[String],
) -> Result<custseg::pipeline::Pipeline, Error> {
    let pipeline = Some(opened.folder.join(PIPELINE));
    Ok(config::load(&Request { pipeline, given, set: set.to_vec(), as_of: None })?)
}

/// The sources in place of the pipeline's own.
fn given(asked: &Score, recipe: &Value) -> Result<Vec<(String, String)>, Error> {
    let n = usize::from(asked.source);
    let source = source(recipe, n)
        .ok_or_else(|| Error::Usage(format!("--source {n}: the pipeline has no such source")))?;
    if recipe["ingest"]["transactions"].is_array() {
        warn!(
            source = n,
            "the pipeline has several sources; customers are scored by what is given of this one alone"
        );
    }
    let mut given =
        vec![("INPUT".to_owned(), transactions(source.clone(), &paths(&asked.inputs)?))];
    if let Some(mut customers) = recipe["ingest"].get("customers").cloned() {
        customers["paths"] = paths(&asked.customers)?;
        let customers = if asked.customers.is_empty() { Value::Null } else { customers };
        given.push(("--customers".to_owned(), format!("ingest.customers={customers}")));
    }
    Ok(given)
}

/// One of the pipeline's sources of transactions, counted from 1.
pub(super) fn source(recipe: &Value, n: usize) -> Option<&Value> {
    match &recipe["ingest"]["transactions"] {
        Value::Array(sources) => sources.get(n.checked_sub(1)?),
        one => Some(one).filter(|_| n == 1),
    }
}

/// A source with other paths, as an override.
pub(super) fn transactions(mut source: Value, paths: &Value) -> String {
    source["paths"] = paths.clone();
    format!("ingest.transactions={source}")
}

/// Paths from the working directory, for a pipeline that stands elsewhere.
fn paths(given: &[String]) -> Result<Value, Error> {
    let here = std::env::current_dir()?;
    let one = |path: &String| {
        let full = match path.contains(['*', '?', '[']) && !Path::new(path).exists() {
            // The folder's own name is no pattern.
            true => here.to_str().map(|here| Path::new(&glob::Pattern::escape(here)).join(path)),
            false => Some(here.join(path)),
        };
        let full =
            full.filter(|_| !path.is_empty()).and_then(|full| full.to_str().map(str::to_owned));
        full.ok_or_else(|| {
            Error::Usage(format!(
                "`{path}`, seen from {}, is no path that can be written as text",
                here.display()
            ))
        })
    };
    Ok(json!(given.iter().map(one).collect::<Result<Vec<_>, _>>()?))
}
