//! The text of a pipeline.

use std::fmt::Write;

use super::Draft;
use super::layouts::Layout;
use super::sample::Sheets;
use super::writer::Writer;

impl Writer<'_> {
    pub(super) fn yaml(
        self,
        columns: &[(&str, String, &str)],
        layout: &Layout,
        fill: Option<&str>,
        filter: Option<(String, String)>,
    ) -> Draft {
        let mut yaml = String::new();
        let Self { sample, paths, name, questions, csv, clean, rest, money, is_utc } = self;
        let mut line = |text: &str| {
            let _ = writeln!(yaml, "{text}");
        };
        line(&format!(
            "# Written by `custseg init` from {} sampled rows of {}.",
            sample.cells.height(),
            paths[0]
        ));
        if let Some(known) = layout.name() {
            line(&format!("# The columns are those of {known}."));
        }
        if !questions.is_empty() {
            line(&format!(
                "# {} to answer: search for TODO.",
                if questions.len() == 1 {
                    "1 question".to_owned()
                } else {
                    format!("{} questions", questions.len())
                }
            ));
        }
        line(&format!("name: {name}"));
        line("ingest:");
        line("  transactions:");
        let paths: Vec<String> = paths.iter().map(|path| quoted(path)).collect();
        line(&format!("    paths: [{}]", paths.join(", ")));
        if let Some(format) = sample.declared {
            let name = serde_json::to_value(format).unwrap_or_default();
            line(&format!("    format: {}", name.as_str().unwrap_or_default()));
        }
        if sample.sheets != Sheets::One || sample.header_row.is_some() {
            let own = sample.file.sheet.as_ref().map(|sheet| quoted(&sheet.name));
            let (sheet, comment) = match sample.sheets {
                Sheets::Alike => ("all".to_owned(), "   # guess: the sheets have the same columns"),
                _ => (own.unwrap_or_default(), "   # guess: this sheet has the best known columns"),
            };
            let row = sample.header_row.map(|row| format!(", header_row: {}", row + 1));
            let row = row.unwrap_or_default();
            line(&format!("    workbook: {{ sheet: {sheet}{row} }}{comment}"));
        }
        if !csv.is_empty() {
            line("    csv:");
            csv.iter().for_each(|option| line(&format!("      {option}")));
        }
        if let Some(fill) = fill {
            line(&format!("    fill: {fill}"));
        }
        if let Some((filter, comment)) = filter {
            line(&format!("    where: {}   # {comment}", quoted(&filter)));
        }
        if is_utc {
            line("    timestamps: utc");
        }
        line("    columns:");
        for (ours, column, comment) in columns {
            let comment =
                if comment.is_empty() { String::new() } else { format!("   # {comment}") };
            line(&format!("      {ours}: {}{comment}", quoted(column)));
        }
        rest.iter().for_each(|option| line(option));
        if !money.is_empty() {
            line(&format!("  money: {{ {} }}", money.join(", ")));
        }
        if !clean.is_empty() {
            line("clean:");
            clean.iter().for_each(|step| line(step));
        }
        line("segment: default");
        line(&format!("publish: {{ to: {} }}", quoted(&format!("{name}-results"))));
        Draft { yaml, questions }
    }
}

/// A name of a column in SQL.
pub(super) fn sql_name(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A text as YAML: in quotes unless it is plain.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = text.chars().next().is_some_and(char::is_alphabetic)
        && text.chars().all(|c| c.is_alphanumeric() || "_ ./".contains(c))
        && !text.ends_with(' ')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
