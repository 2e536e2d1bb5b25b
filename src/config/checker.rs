//! Collects problems of meaning, each at its place, and keeps quiet where a fault of shape was told already.

use std::path::Path;

use chrono::NaiveDate;

use super::Document;
use super::problem::{Kind, Problem, Problems};

/// Collects problems of one document, each at its place.
pub(super) struct Checker<'a> {
    document: &'a Document,
    /// Pointers of what the check of the shape left out.
    faulty: &'a [String],
    problems: &'a mut Problems,
}

impl<'a> Checker<'a> {
    /// A checker of one document.
    pub(super) fn new(
        document: &'a Document,
        faulty: &'a [String],
        problems: &'a mut Problems,
    ) -> Self {
        Self { document, faulty, problems }
    }

    /// Folder that the document's paths start from.
    pub(super) fn base(&self) -> &Path {
        &self.document.base
    }

    /// Tells of a problem at a JSON pointer, unless a fault of shape there or around it was already told: what was
    /// left out for it would only be told of again as missing.
    pub(super) fn problem(
        &mut self,
        kind: Kind,
        pointer: &str,
        message: String,
        hint: Option<String>,
    ) {
        let told = self.faulty.iter().any(|fault| {
            let section = fault.rsplit_once('/').map_or("", |(section, _)| section);
            let in_list =
                fault.rsplit('/').next().is_some_and(|last| last.parse::<usize>().is_ok());
            within(pointer, fault)
                || (!section.is_empty() && within(section, pointer))
                // The items of a list have moved up where one was left out, so their places are no longer known.
                || (in_list && within(pointer, section))
        });
        if !told {
            let place = Some(self.document.tree.value_place(pointer));
            let message = match self.document.tree.secret(pointer) {
                Some(secret) => message.replace(&format!("`{secret}`"), "the value of a variable"),
                None => message,
            };
            self.problems.push(Problem { kind, place, message, hint });
        }
    }

    /// A date, or `None` where the text is none.
    pub(super) fn date(&mut self, pointer: &str, text: &str, hint: &str) -> Option<NaiveDate> {
        let parsed = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        if parsed.is_none() {
            self.problem(
                Kind::Config,
                pointer,
                format!("`{text}` is not a date"),
                Some(hint.to_owned()),
            );
        }
        parsed
    }

    pub(super) fn wrong(&mut self, pointer: &str, message: impl Into<String>) {
        self.problem(Kind::Config, pointer, message.into(), None);
    }
}

fn within(pointer: &str, section: &str) -> bool {
    pointer == section || pointer.strip_prefix(section).is_some_and(|rest| rest.starts_with('/'))
}
