//! How to read the page: what every number on it means.

use super::figure::Section;
use super::slug;
use crate::columns;

/// A term and what it means.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) id: String,
    pub(super) term: String,
    pub(super) meaning: String,
}

/// Terms that are no columns.
const TERMS: [(&str, &str); 18] = [
    (
        "recovery",
        "A protocol: labels that are a function of what the model sees, on customers held out. It says how well neighbours re-learn the rules, and nothing of the future.",
    ),
    (
        "holdout",
        "A protocol: labels from elsewhere, or of features that the rules do not know, on customers held out.",
    ),
    (
        "out_of_time",
        "A protocol: learnt from one pair of snapshots, tried on a later one, whose labels lie after all that was learnt.",
    ),
    ("majority", "A baseline: always the label that is most frequent among what was learnt."),
    ("persistence", "A baseline for what lies ahead: the label of today."),
    (
        "interval",
        "Ends of a 95 % interval by the bootstrap: customers drawn anew, many times over.",
    ),
    ("accuracy", "Share of customers whose label was told rightly, 0 to 1."),
    (
        "balanced_accuracy",
        "Mean of the recalls of all labels, so that small ones count as much as large ones, 0 to 1.",
    ),
    ("macro_f1", "Mean of the F1 of all labels, 0 to 1; a label that is never told counts zero."),
    ("weighted_f1", "Mean of the F1 of all labels, each by its number of customers, 0 to 1."),
    (
        "log_loss",
        "Mean of −ln of the share of votes that the true label had; lower is better, and a label without any vote weighs heavily.",
    ),
    (
        "brier",
        "Mean over customers of the squared differences between shares of votes and the truth, summed over labels: 0 to 2, lower is better.",
    ),
    ("precision", "Of those that were told to have a label, the share that has it."),
    ("recall", "Of those that have a label, the share that was told so."),
    ("f1", "Harmonic mean of precision and recall, 0 to 1."),
    ("support", "Customers that have the label in truth, among those that the model was tried on."),
    (
        "pareto",
        "Customers in the order of their monetary value, the biggest spenders first, and the share of all money that the first so many of them spent.",
    ),
    (
        "silhouette plot",
        "Silhouettes of single customers: (b − a) / max(a, b), with a the mean distance to the own group and b that to the next one. Of more than 50,000 customers, those of a sample of about 10,000, stratified by group.",
    ),
];

/// What a term means: one of the page's own, a column of a table (`ledger.money`), or a column of any.
fn meaning(term: &str) -> Option<&'static str> {
    let own = TERMS.iter().find(|(name, _)| *name == term).map(|(_, meaning)| *meaning);
    own.or_else(|| match term.split_once('.') {
        Some((table, column)) => columns::meaning_in(table, column),
        None => columns::meaning(term),
    })
}

/// The anchor of a term, where it has a meaning: columns of the user's own have none.
pub(super) fn anchor(term: Option<&String>) -> Option<String> {
    term.filter(|term| meaning(term).is_some()).map(|term| format!("def-{}", slug(term)))
}

/// The terms that the sections use, by their names.
pub(super) fn guide(sections: &[Section]) -> Vec<Definition> {
    let headings = sections
        .iter()
        .flat_map(|section| &section.figures)
        .flat_map(|figure| &figure.table.columns);
    let mut terms: Vec<&str> = headings.filter_map(|heading| heading.term.as_deref()).collect();
    if sections.iter().any(|section| section.id == "models") {
        terms.extend(TERMS[..5].iter().map(|(term, _)| term));
    }
    terms.sort_unstable();
    terms.dedup();
    let told = terms.into_iter().filter_map(|term| {
        let meaning = meaning(term)?.replace('`', "");
        Some(Definition { id: format!("def-{}", slug(term)), term: term.to_owned(), meaning })
    });
    told.collect()
}
