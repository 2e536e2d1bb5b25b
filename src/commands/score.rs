//! `custseg score`: scores customers with the artefact of an earlier run.

use std::io::Write;
use std::path::Path;

use polars::prelude::*;
use serde_json::Value;
use tracing::warn;

use super::{log, stdio};
use crate::artefact::{PIPELINE, StoredArtefact};
use crate::cli::ScoreArgs;
use crate::config::{self, Request};
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::publish;
use crate::session::Scorer;

pub(super) fn score(arguments: &ScoreArgs, out: &mut impl Write) -> Result<(), Error> {
    if let Some(path) = &arguments.to {
        publish::writable_suffix(path)?;
    }
    let stored = StoredArtefact::open(&arguments.model)?;
    if arguments.stdio {
        return stdio::score_lines(&stored, out);
    }
    let overrides = overrides(arguments, &stored.pipeline()?)?;
    let request =
        Request { arguments: overrides, set: arguments.set.clone(), ..Request::default() };
    let scorer = Scorer::new(load_pipeline(&stored, request)?, &stored, arguments.as_of)?;
    let mut frame = scorer.score_sources(log::observer())?;
    match &arguments.to {
        Some(path) => Ok(publish::to_file(path, &mut frame)?),
        None => {
            // Through memory, so that a closed pipe is an error of output, not of Polars.
            let mut text = Vec::new();
            CsvWriter::new(&mut text).finish(&mut frame).map_err(Error::engine("score"))?;
            Ok(out.write_all(&text)?)
        }
    }
}

/// The artefact's pipeline, with the overrides of a request.
pub(super) fn load_pipeline(stored: &StoredArtefact, request: Request) -> Result<Pipeline, Error> {
    let pipeline = Some(stored.folder.join(PIPELINE));
    Ok(config::load(&Request { pipeline, ..request })?)
}

/// Overrides that replace the pipeline's sources.
fn overrides(arguments: &ScoreArgs, pipeline: &Value) -> Result<Vec<(String, String)>, Error> {
    let ingest = &pipeline["ingest"];
    let has_query = ingest["sources"].as_object().is_some_and(|sources| !sources.is_empty());
    if has_query || ingest.get("customers_summary").is_some_and(|summary| !summary.is_null()) {
        let reason = "customers of a pipeline with a `query` or a `customers_summary` are scored \
                      as tables: `custseg score --stdio`";
        return Err(Error::Usage(reason.to_owned()));
    }
    let n = usize::from(arguments.source);
    let transactions = &pipeline["ingest"]["transactions"];
    let source = match transactions {
        Value::Array(sources) => sources.get(n - 1),
        source => (n == 1).then_some(source),
    };
    let Some(mut source) = source.cloned() else {
        return Err(Error::Usage(format!("--source {n}: the pipeline has no such source")));
    };
    if transactions.is_array() {
        warn!(
            source = n,
            "the pipeline has several sources; customers are scored with this one alone"
        );
    }
    source["paths"] = paths(&arguments.inputs)?;
    let mut overrides = vec![("INPUT".to_owned(), format!("ingest.transactions={source}"))];
    if let Some(mut customers) = pipeline["ingest"].get("customers").cloned() {
        if arguments.customers.is_empty() {
            needs_no_attribute(&customers, &pipeline["models"])?;
        }
        customers["paths"] = paths(&arguments.customers)?;
        let customers = if arguments.customers.is_empty() { Value::Null } else { customers };
        overrides.push(("--customers".to_owned(), format!("ingest.customers={customers}")));
    }
    Ok(overrides)
}

/// Fails if a model uses an attribute of the customers' source.
fn needs_no_attribute(customers: &Value, models: &Value) -> Result<(), Error> {
    let attributes = customers["attributes"].as_array().map_or(&[][..], Vec::as_slice);
    for (model, options) in models.as_object().into_iter().flatten() {
        let features = options["features"].as_array().into_iter().flatten();
        let mut columns = features.map(|feature| feature.get("column").unwrap_or(feature));
        if let Some(column) = columns.find(|column| attributes.contains(column)) {
            return Err(Error::Usage(format!(
                "model `{model}` uses the customers' attribute {column}; name their file with \
                 --customers"
            )));
        }
    }
    Ok(())
}

/// Paths from the working directory, as absolute paths.
fn paths(paths: &[String]) -> Result<Value, Error> {
    let working_dir = std::env::current_dir()?;
    paths.iter().map(|path| absolute(path, &working_dir).map(Value::from)).collect()
}

fn absolute(path: &str, working_dir: &Path) -> Result<String, Error> {
    let is_pattern = path.contains(['*', '?', '[']) && !Path::new(path).exists();
    let absolute = match working_dir.to_str() {
        _ if path.is_empty() => None,
        // The name of the working directory is not a pattern.
        Some(folder) if is_pattern => Some(Path::new(&glob::Pattern::escape(folder)).join(path)),
        None if is_pattern => None,
        _ => Some(working_dir.join(path)),
    };
    absolute.as_deref().and_then(Path::to_str).map(str::to_owned).ok_or_else(|| {
        Error::Usage(format!("`{path}` in {} is not a path in UTF-8", working_dir.display()))
    })
}
