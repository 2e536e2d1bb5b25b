//! Diagnostics of a configuration: collected during a load and printed with the source lines.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::error::{Class, StageError};
use crate::remote::masked;

/// A text that diagnostics point into: the YAML file, a segment map, or one `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// Path as given by the user, or `--set #2`.
    pub name: String,
    pub text: String,
}

/// A range of one source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Index into [`Diagnostics::sources`].
    pub source: usize,
    pub bytes: Range<usize>,
}

/// The cause of a diagnostic, which decides the exit code, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The YAML or the command line: exit code 2.
    Config,
    /// The data contradict the configuration: exit code 3.
    Data,
    /// A file cannot be read: exit code 4.
    Input,
}

/// One error in the configuration or its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub kind: Kind,
    /// `None` only if there is no text to point into.
    pub span: Option<Span>,
    /// What is wrong and what was expected.
    pub message: String,
    /// The nearest valid name, or what to do.
    pub hint: Option<String>,
}

/// Every diagnostic of one load, with the texts they point into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// The texts, in the order in which they were read.
    pub sources: Vec<SourceText>,
    /// Sorted by span at the end of a load.
    pub list: Vec<Diagnostic>,
}

impl std::error::Error for Diagnostics {}

impl StageError for Diagnostics {
    const STAGE: Option<&'static str> = None;
    const IS_REPORT: bool = true;

    /// Usage if any diagnostic is about the configuration, else data if any is about data.
    fn class(&self) -> Class {
        match self.list.iter().map(|diagnostic| diagnostic.kind).min() {
            Some(Kind::Config) => Class::Usage,
            Some(Kind::Data) => Class::Data,
            Some(Kind::Input) | None => Class::System,
        }
    }
}

impl Diagnostics {
    /// Adds a text to point into and returns its index.
    pub fn add_source(&mut self, name: impl Into<String>, text: impl Into<String>) -> usize {
        self.sources.push(SourceText { name: name.into(), text: text.into() });
        self.sources.len() - 1
    }

    /// Sorts by span and removes duplicates.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|diagnostic| match &diagnostic.span {
            Some(span) => (span.source, span.bytes.start),
            None => (usize::MAX, 0),
        });
        self.list.dedup();
    }

    fn render(&self, diagnostic: &Diagnostic) -> String {
        let title = Level::ERROR.primary_title(diagnostic.message.as_str());
        let mut group = match &diagnostic.span {
            Some(Span { source, bytes }) => {
                let source = &self.sources[*source];
                let text = masked(&source.text);
                let end = bytes.end.min(text.len());
                let start = bytes.start.min(end);
                let annotation = AnnotationKind::Primary.span(start..end);
                let snippet = Snippet::source(text).path(source.name.as_str());
                title.element(snippet.annotation(annotation))
            }
            None => Group::with_title(title),
        };
        if let Some(hint) = &diagnostic.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.list {
            writeln!(f, "{}\n", self.render(diagnostic))?;
        }
        let count = self.list.len();
        write!(f, "{count} problem{}", if count == 1 { "" } else { "s" })
    }
}

/// The valid name most similar to `unknown`, if any is similar enough to be a misspelling.
pub fn nearest<'a>(unknown: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = unknown.to_lowercase();
    valid
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// "expected one of `a`, `b`", preceded by "did you mean" if a valid name is similar.
pub fn hint<'a>(unknown: &str, valid: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let mut names: Vec<String> =
        valid.clone().into_iter().map(|name| format!("`{name}`")).collect();
    names.dedup();
    let expected = match names.as_slice() {
        [] => "no name is valid here".to_owned(),
        [name] => format!("expected {name}"),
        _ => format!("expected one of {}", names.join(", ")),
    };
    match nearest(unknown, valid) {
        Some(name) => format!("did you mean `{name}`? {expected}"),
        None => expected,
    }
}
