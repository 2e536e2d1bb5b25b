//! `config`: parses and validates YAML into a [`Pipeline`], reporting all errors at once.
//!
//! `tree` parses to nodes with spans, `shape` checks them against the schema of `spec` or
//! `map_spec`, and `compile` validates the meaning against headers and footers of the source.
//! `config` depends on the params of every other module; no other module depends on `config`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::ingest::Format;
use crate::pipeline::Pipeline;
use crate::segment::SegmentMap;

mod checks;
pub mod checks_spec;
pub mod clean_spec;
mod compile;
mod definition;
pub mod diagnostics;
mod evaluate;
mod files;
mod files_spec;
pub mod ingest_spec;
pub mod lists;
mod map;
pub mod map_spec;
pub mod model_spec;
mod models;
mod query;
mod reference;
mod rfm;
mod score;
pub mod score_spec;
pub mod shape;
mod source;
pub mod spec;
mod steps;
mod summary;
mod text;
pub mod tree;
mod validator;
mod variables;

use diagnostics::{Diagnostic, Diagnostics, Kind, Span};
pub(crate) use files::{missing_file, similar_file};
use tree::Node;

/// The pipeline that runs if no file is given.
pub const DEFAULT_PIPELINE: &str = include_str!("../../pipelines/cdnow.yaml");
/// Path of the default pipeline below the working directory; its relative paths start there.
pub const DEFAULT_PATH: &str = "pipelines/cdnow.yaml";

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The YAML file; the embedded default if `None`.
    pub pipeline: Option<PathBuf>,
    /// Overrides from other arguments: the argument's name and `section.key=value`.
    pub arguments: Vec<(String, String)>,
    /// `section.key=value` overrides, in order.
    pub set: Vec<String>,
    /// Overrides `rfm.snapshots`.
    pub as_of: Option<String>,
    /// Whether the source files are needed.
    pub source_files: SourceFiles,
}

/// Whether the source files of a pipeline are needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceFiles {
    /// Their paths are resolved, and their headers and footers are read.
    #[default]
    Read,
    /// Their paths are ignored. The pipeline has no source files.
    None,
}

/// A parsed YAML file.
pub(crate) struct Document {
    tree: Node,
    /// JSON pointers of values that violate the schema and were left out.
    invalid: Vec<String>,
    /// The YAML's own source text. Others are arguments.
    source: usize,
    /// Folder of the YAML.
    folder: PathBuf,
    source_files: SourceFiles,
    /// Whether the pipeline may publish. Customers are scored without that.
    publishes: bool,
}

impl Document {
    /// Folder that a relative path at a JSON pointer starts from: that of the YAML, or the working
    /// directory if the path is an argument.
    fn base(&self, pointer: &str) -> &Path {
        let is_own = self.tree.value_span(pointer).source == self.source;
        if is_own { &self.folder } else { Path::new("") }
    }
}

/// Loads a pipeline. Reads the YAML and the headers and footers of its sources, but no rows.
pub fn load(request: &Request) -> Result<Pipeline, Diagnostics> {
    collect(|diagnostics| load_into(request, diagnostics))
}

/// Loads a segment map from its own file or from a pipeline that names one. The map may leave codes
/// uncovered.
pub fn load_map(path: &Path) -> Result<SegmentMap, Diagnostics> {
    collect(|diagnostics| map::load(path, diagnostics))
}

fn collect<T>(load: impl FnOnce(&mut Diagnostics) -> Option<T>) -> Result<T, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let loaded = load(&mut diagnostics);
    diagnostics.sort();
    match loaded {
        Some(loaded) if diagnostics.list.is_empty() => Ok(loaded),
        _ => Err(diagnostics),
    }
}

fn load_into(request: &Request, diagnostics: &mut Diagnostics) -> Option<Pipeline> {
    let mut document = match &request.pipeline {
        Some(path) => read(path, diagnostics)?,
        None => parse(DEFAULT_PATH.as_ref(), DEFAULT_PIPELINE, diagnostics)?,
    };
    document.source_files = request.source_files;
    document.publishes = request.arguments.is_empty();
    apply_overrides(request, &mut document.tree, diagnostics);
    report_open_questions(&mut document, diagnostics);
    let spec: spec::PipelineSpec = deserialize(&mut document, diagnostics)?;
    compile::compile(&spec, &document, diagnostics)
}

fn read(path: &Path, diagnostics: &mut Diagnostics) -> Option<Document> {
    let name = path.display();
    if Format::from_name(&name.to_string()).is_ok() {
        let message = format!("`{name}` has data, and is no pipeline");
        let hint = Some(format!("`custseg init {name}` writes a pipeline for it"));
        diagnostics.list.push(Diagnostic { kind: Kind::Config, span: None, message, hint });
        return None;
    }
    let (kind, message) = match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => return parse(path, &text, diagnostics),
        Ok(Err(error)) => {
            let offset = error.utf8_error().valid_up_to();
            let message = format!("`{name}` is not UTF-8 text: invalid byte at offset {offset}");
            (Kind::Config, message)
        }
        Err(error) => {
            let message = format!("cannot read `{name}`: {error}");
            let hint = files::similar_file(path);
            diagnostics.list.push(Diagnostic { kind: Kind::Input, span: None, message, hint });
            return None;
        }
    };
    diagnostics.list.push(Diagnostic { kind, span: None, message, hint: None });
    None
}

fn parse(path: &Path, text: &str, diagnostics: &mut Diagnostics) -> Option<Document> {
    let source = diagnostics.add_source(path.display().to_string(), text);
    let parsed = tree::parse(text, source);
    let mut tree = parsed.map_err(|diagnostic| diagnostics.list.push(diagnostic)).ok()?;
    variables::expand(&mut tree, &|name| std::env::var(name).ok(), diagnostics);
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Some(Document {
        tree,
        invalid: Vec::new(),
        source,
        folder,
        source_files: SourceFiles::Read,
        publishes: true,
    })
}

/// Applies `--set`, `--as-of` and other arguments, each as a source text of its own.
fn apply_overrides(request: &Request, tree: &mut Node, diagnostics: &mut Diagnostics) {
    let set =
        request.set.iter().enumerate().map(|(i, text)| (format!("--set #{}", i + 1), text.clone()));
    let as_of =
        request.as_of.iter().map(|date| ("--as-of".to_owned(), format!("rfm.snapshots={date}")));
    tree.expand("segment", "map");
    for (name, text) in request.arguments.iter().cloned().chain(set).chain(as_of) {
        let source = diagnostics.add_source(name, text.as_str());
        if let Err(message) = apply_override(&text, source, tree) {
            let span = Some(Span { source, bytes: 0..text.len() });
            diagnostics.list.push(Diagnostic { kind: Kind::Config, span, message, hint: None });
        }
    }
}

/// Reports each value that is still `TODO`, with the comment on its line, and nothing else of it.
fn report_open_questions(document: &mut Document, diagnostics: &mut Diagnostics) {
    for pointer in document.tree.open_questions() {
        let span = document.tree.value_span(&pointer);
        let text = &diagnostics.sources[span.source].text;
        let line = text.get(span.bytes.start..).and_then(|rest| rest.lines().next());
        let comment = line.and_then(|line| line.split_once('#'));
        let comment = comment.map(|(_, text)| text.trim().trim_start_matches("TODO:").trim());
        let key = tree::pointer_segments(&pointer).filter(|key| key.parse::<usize>().is_err());
        let message = format!("`{}` is still TODO", key.last().unwrap_or_default());
        let hint = comment.map(str::to_owned);
        diagnostics.list.push(Diagnostic { kind: Kind::Config, span: Some(span), message, hint });
        document.invalid.push(pointer);
    }
}

fn apply_override(text: &str, source: usize, tree: &mut Node) -> Result<(), String> {
    let (path, value) = text.split_once('=').ok_or("expected `section.key=value`")?;
    let mut node = tree::parse(value, source).map_err(|diagnostic| diagnostic.message)?;
    // The parsed value starts after the `=` of its source text.
    let offset = path.len() + 1;
    node.update_spans(&mut |span| span.bytes = span.bytes.start + offset..span.bytes.end + offset);
    tree.set(path.trim(), node)
}

/// Checks the schema and deserializes. Values that violate the schema are left out, so that errors
/// of meaning elsewhere are reported in the same run.
///
/// Returns the spec if enough of it is left.
fn deserialize<T: DeserializeOwned + schemars::JsonSchema>(
    document: &mut Document,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let mut violations = shape::violations::<T>(&document.tree);
    let parsed =
        violations.iter().filter(|violation| document.tree.parse_variable(&violation.pointer));
    if parsed.count() > 0 {
        violations = shape::violations::<T>(&document.tree);
    }
    violations.retain(|violation| !document.invalid.contains(&violation.pointer));
    let mut json = document.tree.to_json();
    for violation in violations {
        diagnostics.list.extend(violation.diagnostic);
        document.invalid.push(violation.pointer);
    }
    // Later items of a list are removed first, so that pointers to earlier ones stay valid.
    document.invalid.sort_by(|a, b| b.cmp(a));
    document.invalid.iter().for_each(|pointer| remove(&mut json, pointer));
    let spec = serde_json::from_value(json);
    if let Err(error) = &spec
        && document.invalid.is_empty()
    {
        let span = Some(document.tree.span.clone());
        let message = error.to_string();
        diagnostics.list.push(Diagnostic { kind: Kind::Config, span, message, hint: None });
    }
    spec.ok()
}

fn remove(json: &mut Json, pointer: &str) {
    let Some((parent, _)) = pointer.rsplit_once('/') else { return };
    let Some(key) = tree::pointer_segments(pointer).last() else { return };
    match json.pointer_mut(parent) {
        Some(Json::Object(entries)) => {
            entries.shift_remove(&key);
        }
        Some(Json::Array(items)) => {
            if let Some(index) = key.parse().ok().filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}
