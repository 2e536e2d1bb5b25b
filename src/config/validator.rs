//! Collects diagnostics of one document by JSON pointer, except for parts that the schema check
//! has already reported.

use std::path::PathBuf;

use chrono::NaiveDate;

use super::Document;
use super::diagnostics::{Diagnostic, Diagnostics, Kind};
use super::ingest_spec::ColumnsSpec;
use crate::ingest::IdFormat;

pub(super) struct Validator<'a> {
    pub(super) document: &'a Document,
    /// What holds for all sources.
    pub(super) sources: SourceRules,
    diagnostics: &'a mut Diagnostics,
}

/// What holds for all sources of a pipeline.
#[derive(Debug, Default)]
pub(super) struct SourceRules {
    pub(super) ids: IdFormat,
    /// Local folder of the results. `None` if nothing is published there.
    pub(super) output: Option<PathBuf>,
}

impl<'a> Validator<'a> {
    pub(super) fn new(document: &'a Document, diagnostics: &'a mut Diagnostics) -> Self {
        Self { document, sources: SourceRules::default(), diagnostics }
    }

    /// Reports a problem at a JSON pointer, unless a schema violation at or around it was reported.
    /// Otherwise a value that was left out for its violation would be reported again as missing.
    pub(super) fn report(
        &mut self,
        kind: Kind,
        pointer: &str,
        message: String,
        hint: Option<String>,
    ) {
        if self.document.invalid.iter().any(|invalid| overlaps(pointer, invalid)) {
            return;
        }
        let span = Some(self.document.tree.value_span(pointer));
        let message = match self.document.tree.environment_text(pointer) {
            Some(secret) => message.replace(&format!("`{secret}`"), "the value of a variable"),
            None => message,
        };
        self.diagnostics.list.push(Diagnostic { kind, span, message, hint });
    }

    /// Reports an error in the configuration.
    pub(super) fn report_invalid(&mut self, pointer: &str, message: impl Into<String>) {
        self.report(Kind::Config, pointer, message.into(), None);
    }

    /// Reports an error in the configuration, with what to do about it.
    pub(super) fn report_with_hint(
        &mut self,
        pointer: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.report(Kind::Config, pointer, message.into(), Some(hint.into()));
    }

    /// Reports an error in the configuration and returns `None`.
    pub(super) fn fail<T>(&mut self, pointer: &str, message: impl Into<String>) -> Option<T> {
        self.report_invalid(pointer, message);
        None
    }

    /// Reports an error in the configuration, with what to do about it, and returns `None`.
    pub(super) fn fail_with_hint<T>(
        &mut self,
        pointer: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.report_with_hint(pointer, message, hint);
        None
    }

    /// Parses a date; reports a text that is not one and returns `None`.
    pub(super) fn date(&mut self, pointer: &str, text: &str, hint: &str) -> Option<NaiveDate> {
        match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Ok(date) => Some(date),
            Err(_) => self.fail_with_hint(pointer, format!("`{text}` is not a date"), hint),
        }
    }

    /// Reports an option whose columns are not mapped in all sources.
    pub(super) fn require_columns(
        &mut self,
        pointer: &str,
        option: &str,
        names: &[&str],
        sources: &[&ColumnsSpec],
    ) {
        let is_mapped = |name: &&str| sources.iter().all(|source| source.get(name).is_some());
        if !names.iter().all(is_mapped) {
            let names = names.join("` and `");
            let message = format!("`{option}` requires `{names}` in `ingest.transactions.columns`");
            self.report_invalid(pointer, message);
        }
    }
}

/// Whether a schema violation at `invalid` may be the cause of a problem at `pointer`.
fn overlaps(pointer: &str, invalid: &str) -> bool {
    let (section, last) = invalid.rsplit_once('/').unwrap_or(("", invalid));
    // Items move up if one before them is left out, so their pointers are no longer reliable.
    let is_list_item = last.parse::<usize>().is_ok();
    is_within(pointer, invalid)
        || (!section.is_empty() && is_within(section, pointer))
        || (is_list_item && is_within(pointer, section))
}

fn is_within(pointer: &str, section: &str) -> bool {
    pointer == section || pointer.strip_prefix(section).is_some_and(|rest| rest.starts_with('/'))
}
