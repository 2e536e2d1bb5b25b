//! `config`: YAML text → [`Pipeline`], through one door, with every problem told at once.
//!
//! `tree` parses to a located tree, `shape` checks it against the schema of `spec` or `map_spec`, `compile` checks the meaning against
//! the headers and footers of the source. `config` knows every room's params; no room knows `config`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::pipeline::Pipeline;
use crate::segment::SegmentMap;

mod checker;
mod checks;
pub mod checks_spec;
pub mod clean_spec;
pub mod engine_spec;
pub mod compile;
mod evaluate;
pub mod ingest_spec;
mod map;
pub mod map_spec;
pub mod model_spec;
mod models;
pub mod problem;
mod reference;
mod score;
pub mod score_spec;
pub mod shape;
pub mod source;
pub mod spec;
pub mod steps;
mod text;
pub mod tree;
mod variables;

use problem::{Kind, Place, Problem, Problems};
use tree::Node;

/// The pipeline that runs where none is named, as it stands in `pipelines/`.
pub const DEFAULT_PIPELINE: &str = include_str!("../../pipelines/cdnow.yaml");
/// Where the default pipeline's paths start from, under the working directory.
pub const DEFAULT_PATH: &str = "pipelines/cdnow.yaml";

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The YAML file; the embedded default where none is named.
    pub pipeline: Option<PathBuf>,
    /// What the command line gives beside the file: the name to tell problems by, and `section.key=value`.
    pub given: Vec<(String, String)>,
    /// `section.key=value` overrides, in order.
    pub set: Vec<String>,
    /// Overrides `rfm.snapshots`.
    pub as_of: Option<String>,
}

/// A text that problems point into, with its tree.
pub(crate) struct Document {
    tree: Node,
    base: PathBuf,
}

/// Loads a pipeline: reads the YAML and the headers and footers of its sources, but no row.
///
/// # Errors
/// Every problem that was found.
pub fn load(request: &Request) -> Result<Pipeline, Problems> {
    let mut problems = Problems::default();
    let pipeline = load_into(request, &mut problems);
    problems.sort();
    match (pipeline, problems.is_empty()) {
        (Some(pipeline), true) => Ok(pipeline),
        _ => Err(problems),
    }
}

/// The segment map of a file that is a map itself, or of a pipeline that names one, whatever it leaves uncovered.
///
/// # Errors
/// Every problem that was found.
pub fn load_map(path: &Path) -> Result<SegmentMap, Problems> {
    let mut problems = Problems::default();
    let map = map::with_holes(path, &mut problems);
    problems.sort();
    map.filter(|_| problems.is_empty()).ok_or(problems)
}

fn load_into(request: &Request, problems: &mut Problems) -> Option<Pipeline> {
    let mut document = match &request.pipeline {
        Some(path) => read(path, &path.display().to_string(), problems)?,
        None => parse(DEFAULT_PATH.as_ref(), DEFAULT_PATH, DEFAULT_PIPELINE.to_owned(), problems)?,
    };
    overrides(request, &mut document.tree, problems);
    let (spec, faulty) = shaped::<spec::PipelineSpec>(&mut document, problems);
    compile::compile(&spec?, &document, &faulty, problems)
}

/// Reads and parses a YAML file.
fn read(path: &Path, name: &str, problems: &mut Problems) -> Option<Document> {
    let read =
        fs::read(path).map_err(|error| (Kind::Input, format!("cannot read `{name}`: {error}")));
    let text = read.and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            (Kind::Config, format!("`{name}` is not UTF-8 text: byte {at} does not belong there"))
        })
    });
    match text {
        Ok(text) => parse(path, name, text, problems),
        Err((kind, message)) => {
            problems.push(Problem { kind, place: None, message, hint: None });
            None
        }
    }
}

fn parse(path: &Path, name: &str, text: String, problems: &mut Problems) -> Option<Document> {
    let source = problems.add_source(name, text.clone());
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    match tree::parse(&text, source) {
        Ok(mut tree) => {
            let lookup = |name: &str| std::env::var(name).ok();
            variables::expand(&mut tree, &lookup, &mut |problem| problems.push(problem));
            Some(Document { tree, base })
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Puts `--set` and `--as-of` into the tree, each as a source of its own.
fn overrides(request: &Request, tree: &mut Node, problems: &mut Problems) {
    let as_of =
        request.as_of.iter().map(|date| ("--as-of".to_owned(), format!("rfm.snapshots={date}")));
    let set =
        request.set.iter().enumerate().map(|(i, text)| (format!("--set #{}", i + 1), text.clone()));
    for (name, text) in request.given.iter().cloned().chain(set).chain(as_of) {
        let source = problems.add_source(name, text.clone());
        let whole = Place { source, span: 0..text.len() };
        let wrong = |message: String, hint: Option<String>| Problem {
            kind: Kind::Config,
            place: Some(whole.clone()),
            message,
            hint,
        };
        let Some((path, value)) = text.split_once('=') else {
            problems.push(wrong("expected section.key=value".to_owned(), None));
            continue;
        };
        let outcome = tree::parse(value, source)
            .map_err(|problem| wrong(problem.message, None))
            .map(|mut node| {
                // It was parsed from the tail of its source.
                let by = path.len() + 1;
                node.move_places(&mut |place| {
                    place.span = place.span.start + by..place.span.end + by
                });
                node
            })
            .and_then(|node| tree.set(path.trim(), node).map_err(|message| wrong(message, None)));
        if let Err(problem) = outcome {
            problems.push(problem);
        }
    }
}

/// Checks the shape and deserialises. Where the shape has faults, what is at fault is left out and the rest is read all
/// the same, so that faults of meaning elsewhere are told in the same run.
///
/// Returns the spec if enough of it is left, and the pointers of what was left out.
pub(crate) fn shaped<T: DeserializeOwned + schemars::JsonSchema>(
    document: &mut Document,
    problems: &mut Problems,
) -> (Option<T>, Vec<String>) {
    let mut faults = shape::faults::<T>(&document.tree);
    let pointers = faults.iter().flatten().map(|fault| fault.pointer.as_str());
    if pointers.filter(|pointer| document.tree.read_anew(pointer)).count() > 0 {
        faults = shape::faults::<T>(&document.tree);
    }
    let mut json = document.tree.to_json();
    let mut faulty = Vec::new();
    match faults {
        Ok(faults) => {
            for fault in faults {
                fault.problem.into_iter().for_each(|problem| problems.push(problem));
                faulty.push(fault.pointer);
            }
        }
        Err(message) => problems.push(whole(document, message)),
    }
    // Later items of a list go first, so that the places of the earlier ones stay true.
    faulty.sort_by(|a, b| b.cmp(a));
    faulty.iter().for_each(|pointer| remove(&mut json, pointer));
    match serde_json::from_value(json) {
        Ok(spec) => (Some(spec), faulty),
        Err(error) => {
            if faulty.is_empty() {
                problems.push(whole(document, error.to_string()));
            }
            (None, faulty)
        }
    }
}

fn whole(document: &Document, message: String) -> Problem {
    Problem { kind: Kind::Config, place: Some(document.tree.place.clone()), message, hint: None }
}

fn remove(json: &mut Json, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let last = last.replace("~1", "/").replace("~0", "~");
    match json.pointer_mut(parent) {
        Some(Json::Object(entries)) => {
            entries.shift_remove(&last);
        }
        Some(Json::Array(items)) => {
            if let Some(idx) = last.parse::<usize>().ok().filter(|idx| *idx < items.len()) {
                items.remove(idx);
            }
        }
        _ => {}
    }
}
