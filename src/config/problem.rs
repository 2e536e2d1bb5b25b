//! Problems of a pipeline's text: collected, never thrown one by one, and printed with the line they are about.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::remote::masked;

/// A text that problems can point into: the YAML file, a segment map, or one `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path as the user gave it, or `--set #2`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A stretch of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Index into [`Problems::sources`].
    pub source: usize,
    /// Bytes of the source's text.
    pub span: Range<usize>,
}

/// Whose fault a problem is; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The YAML or the command line: exit code 2.
    Config,
    /// The data break what the pipeline says of them: exit code 3.
    Data,
    /// A file cannot be read: exit code 4.
    Input,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whose fault it is.
    pub kind: Kind,
    /// Where it stands; `None` only where there is no text to point into.
    pub place: Option<Place>,
    /// What was found and what was expected.
    pub message: String,
    /// The nearest valid name, or what to do.
    pub hint: Option<String>,
}

/// Every problem of one load, with the texts they point into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    /// The texts, in the order in which they were read.
    pub sources: Vec<Source>,
    /// The problems, sorted by place when the load ends.
    pub list: Vec<Problem>,
}

impl std::error::Error for Problems {}

impl Problems {
    /// Adds a text to point into and returns its index.
    pub fn add_source(&mut self, name: impl Into<String>, text: impl Into<String>) -> usize {
        self.sources.push(Source { name: name.into(), text: text.into() });
        self.sources.len() - 1
    }

    /// Adds a problem.
    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Sorts by place, so that the report reads from top to bottom, and drops repetitions.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|p| {
            p.place.as_ref().map_or((usize::MAX, 0), |place| (place.source, place.span.start))
        });
        self.list.dedup();
    }

    /// 2 where the YAML is at fault anywhere, else 3 for the data, else 4 for unreadable files.
    pub fn exit_code(&self) -> u8 {
        let has = |kind| self.list.iter().any(|p| p.kind == kind);
        match (has(Kind::Config), has(Kind::Data)) {
            (true, _) => 2,
            (false, true) => 3,
            (false, false) => 4,
        }
    }

    fn fmt_one(&self, problem: &Problem) -> String {
        let title = Level::ERROR.primary_title(problem.message.as_str());
        let group = match &problem.place {
            Some(place) => {
                let source = &self.sources[place.source];
                let text = masked(&source.text);
                let end = place.span.end.min(text.len());
                let start = place.span.start.min(end);
                title.element(
                    Snippet::source(text)
                        .path(source.name.as_str())
                        .annotation(AnnotationKind::Primary.span(start..end)),
                )
            }
            None => annotate_snippets::Group::with_title(title),
        };
        let group = match &problem.hint {
            Some(hint) => group.element(Level::HELP.message(hint.as_str())),
            None => group,
        };
        Renderer::plain().render(&[group])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            writeln!(f, "{}\n", self.fmt_one(problem))?;
        }
        let count = self.list.len();
        write!(f, "{count} problem{}", if count == 1 { "" } else { "s" })
    }
}

/// The valid name nearest to a wrong one, if any is near enough to be meant.
pub fn nearest<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    valid
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// "expected one of `a`, `b`", with the nearest one first where the name looks like a slip.
pub fn hint<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let mut names: Vec<String> =
        valid.clone().into_iter().map(|name| format!("`{name}`")).collect();
    names.dedup();
    let all = match names.as_slice() {
        [] => "none is valid here".to_owned(),
        [one] => format!("the only one valid here is {one}"),
        many => format!("expected one of {}", many.join(", ")),
    };
    match nearest(wrong, valid) {
        Some(name) => format!("did you mean `{name}`? {all}"),
        None => all,
    }
}
