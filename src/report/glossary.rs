//! The glossary at the end of the page.

use std::collections::BTreeSet;

use super::figure::{Heading, Section};
use super::slug;
use crate::columns::{self, *};
use crate::tables::TableId;

#[derive(Debug)]
pub(super) struct Definition {
    pub(super) id: String,
    pub(super) term: String,
    pub(super) meaning: String,
}

/// Terms for readers who are not analysts.
const WORDS: [&str; 14] = [
    SEGMENT,
    CUSTOMERS,
    SHARE,
    RECENCY_DAYS,
    FREQUENCY,
    MONETARY,
    MONEY,
    MONEY_SHARE,
    AVERAGE_ORDER_VALUE,
    R_SCORE,
    F_SCORE,
    COHORT,
    REASON,
    "pareto",
];
/// Terms that table headings do not use.
const MODEL_TERMS: [&str; 5] = ["recovery", "holdout", "out_of_time", "majority", "persistence"];

/// The meaning of a term, of a column in one table (`ledger.money`), or of a column.
fn meaning(term: &str) -> Option<&'static str> {
    let meaning = match term {
        "recovery" => {
            "A protocol. The labels are computed from the same features that the model uses, and \
             the model is tested on customers that it was not trained on. The result shows how \
             well the model reproduces the rules. It is not a forecast."
        }
        "holdout" => {
            "A protocol. The labels come from another source, or from features that the rules do \
             not use. The model is tested on customers that it was not trained on."
        }
        "out_of_time" => {
            "A protocol. The model is trained on one pair of snapshots and tested on a later pair. \
             All labels of the test are later than the training data."
        }
        "majority" => "A baseline: always the most frequent label of the training customers.",
        "persistence" => "A baseline for forecasts: every customer keeps today’s label.",
        "interval" => {
            "Ends of a 95 % bootstrap interval: customers are drawn at random many times, and the \
             number is computed each time."
        }
        "accuracy" => "Share of customers with a correctly predicted label, 0 to 1.",
        "balanced_accuracy" => {
            "Mean recall of all labels, 0 to 1. Small and large labels have the same weight."
        }
        "macro_f1" => "Mean F1 of all labels, 0 to 1. A label that is never predicted counts as 0.",
        "weighted_f1" => "Mean F1 of all labels, weighted by number of customers, 0 to 1.",
        "log_loss" => {
            "Mean of −ln(share of votes for the true label). Lower is better. A true label without \
             votes adds a large penalty."
        }
        "brier" => {
            "Squared difference between the shares of votes and the truth, summed over the labels \
             and averaged over the customers. 0 to 2, lower is better."
        }
        "precision" => "Of the customers predicted to have a label, the share that has it.",
        "recall" => "Of the customers that have a label, the share predicted to have it.",
        "f1" => "Harmonic mean of precision and recall, 0 to 1.",
        "support" => "Test customers that have the label.",
        "pareto" => {
            "Customers sorted by monetary value, highest first, and the share of all money that \
             the first of them spent."
        }
        "silhouette plot" => {
            "Silhouette of each customer: (b − a) / max(a, b). a is the mean distance to the \
             customer’s own group, b the mean distance to the nearest other group. Of more \
             than 10,000 customers, a sample of 5,000 is used, unless the pipeline requests all."
        }
        _ => {
            return match term.split_once('.') {
                Some((table, column)) => TableId::named(table)?.table().meaning(column),
                None => columns::meaning(term),
            };
        }
    };
    Some(meaning)
}

impl Heading {
    /// The anchor of the term. `None` for columns that users named.
    pub(super) fn anchor(&self) -> Option<String> {
        meaning(&self.term).map(|_| id(&self.term))
    }
}

fn id(term: &str) -> String {
    format!("def-{}", slug(term))
}

/// The terms that the sections use, sorted: for all readers, and those for analysts.
pub(super) fn glossary<'a>(
    sections: impl Iterator<Item = &'a Section> + Clone,
) -> [Vec<Definition>; 2] {
    let headings = sections
        .clone()
        .flat_map(|section| &section.figures)
        .flat_map(|figure| &figure.table.columns);
    let mut terms: BTreeSet<&str> = headings.map(|heading| heading.term.as_str()).collect();
    if sections.clone().any(|section| section.id == "models") {
        terms.extend(MODEL_TERMS);
    }
    let definitions = terms.into_iter().filter_map(|term| {
        let meaning = meaning(term)?.replace('`', "");
        Some(Definition { id: id(term), term: term.to_owned(), meaning })
    });
    let (words, terms) =
        definitions.partition(|definition: &Definition| WORDS.contains(&definition.term.as_str()));
    [words, terms]
}
