//! `clean`: [`Lines`] → [`MarkedLines`]. Steps mark lines with the reason for which they are rejected; they filter nothing.
//!
//! The first step to object to a line wins; returns are paired with purchases among the lines that all steps accept. What is
//! deliberately absent: the reading of rows, and the counting of what was marked; both are the business of `orders`.

use std::sync::Arc;

use polars::prelude::*;

use crate::columns::{CUSTOMER_ID, REASON, SOURCE_FILE, SOURCE_ROW};
use crate::ingest::{self, Fault, Lines, ReadCount, conform, verdicts};

pub mod predicate;
mod repeats;
pub mod returns;
pub mod steps;

pub use predicate::Predicate;
pub use returns::Pairs;
pub use steps::{LineField, ReturnPolicy, Step};

/// A step's name and the words for what it objects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `ingest` for lines that cannot be parsed, `clean` for those of nobody, else the YAML key of the step.
    pub step: String,
    /// What is wrong with the line.
    pub reason: String,
    /// The pipeline's name of the cell at fault, where a line cannot be parsed.
    pub cell: Option<&'static str>,
    /// Index of the step in `clean`, where it is one of the user's.
    pub position: Option<usize>,
    /// Whether the ledger shows the reason even if no line has it: true for what the user asked for.
    pub declared: bool,
}

/// The order lines with their verdicts.
///
/// As [`Lines`], with `reason` now over all steps: a code into [`MarkedLines::reasons`], null where the line is
/// accepted.
pub struct MarkedLines {
    /// The plan.
    pub frame: LazyFrame,
    /// What the codes in `reason` mean, in the order of the steps.
    pub reasons: Vec<Reason>,
    /// Prefix of the order ids of cancellations that are kept, and what becomes of their money.
    pub returns: Option<(String, ReturnPolicy)>,
    /// What the rejects keep of a row: name there, and source column.
    pub kept: Vec<(String, String)>,
    /// What was read of every CSV file, once it is.
    pub read: Vec<Arc<ReadCount>>,
}

impl MarkedLines {
    /// Whether a line, or a group of lines, is a cancellation that is kept.
    pub fn returned(&self) -> Expr {
        returned(self.returns.as_ref())
    }
}

fn returned(returns: Option<&(String, ReturnPolicy)>) -> Expr {
    returns.map_or(lit(false), |(prefix, _)| steps::begins(prefix))
}

/// The reason for lines that no step asked to drop, but that belong to no customer.
const NOBODY: &str = "customer_id missing";

/// The reason for a return that nothing can be found for.
const UNMATCHED: &str = "no earlier purchase to undo";

/// Marks every line with the first reason that applies to it. Where returns are matched, `pairs` says which of them
/// have nothing to undo; before it is known, none is taken for such.
///
/// # Errors
/// What Polars says of a plan that cannot be made.
pub fn mark(steps: &[Step], lines: Lines, pairs: Option<&Pairs>) -> PolarsResult<MarkedLines> {
    let mut frame = lines.frame;
    let schema = frame.collect_schema()?;
    let mut marker = Marker { frame, reasons: Vec::new(), pending: Vec::new() };
    marker.reasons.extend(lines.faults.into_iter().map(|Fault { reason, cell }| Reason {
        step: ingest::STAGE.to_owned(),
        reason,
        declared: false,
        cell,
        position: None,
    }));
    let returns = steps
        .iter()
        .find_map(Step::kept_returns)
        .map(|(prefix, policy)| (prefix.to_owned(), policy));
    for (position, step) in steps.iter().enumerate() {
        let words = |reason| Reason {
            step: step.name().to_owned(),
            reason,
            declared: true,
            cell: None,
            position: Some(position),
        };
        match step.objections(returned(returns.as_ref()), &schema) {
            steps::Objections::Rowwise(objections) => {
                objections
                    .into_iter()
                    .for_each(|(reason, predicate)| marker.object(words(reason), predicate));
            }
            // A step that compares lines needs the verdicts before it: lines that an earlier step rejected must not
            // count as the first of their kind.
            steps::Objections::Repeated(reason, columns) => {
                marker.settle();
                marker.object(words(reason), repeated(columns, &lines.carried));
            }
        }
    }
    // A line of nobody can be put into no segment, whether a step says so or not.
    let said = |step: &Step| matches!(step, Step::DropMissing(fields) if fields.contains(&LineField::CustomerId));
    if !steps.iter().any(said) {
        let step = "clean".to_owned();
        let nobody =
            Reason { step, reason: NOBODY.to_owned(), declared: false, cell: None, position: None };
        marker.object(nobody, conform::blank(CUSTOMER_ID, schema.get(CUSTOMER_ID)));
    }
    if let Some(position) = steps.iter().position(Step::matches_returns) {
        let unmatched = pairs.map_or(lit(false), |pairs| pairs.is_unmatched(line_number()));
        let (step, reason) = (steps[position].name().to_owned(), UNMATCHED.to_owned());
        marker.settle();
        marker.object(
            Reason { step, reason, declared: true, cell: None, position: Some(position) },
            unmatched,
        );
    }
    marker.settle();
    // The tickets of CSV are used once: however many consumers there are, they share what was read.
    Ok(MarkedLines {
        frame: marker.frame.cache(),
        reasons: marker.reasons,
        returns,
        kept: lines.kept,
        read: lines.read,
    })
}

/// Runs of objections that look at one line alone become one expression.
struct Marker {
    frame: LazyFrame,
    reasons: Vec<Reason>,
    pending: Vec<(u8, Expr)>,
}

impl Marker {
    fn object(&mut self, reason: Reason, predicate: Expr) {
        self.pending.push((self.reasons.len() as u8, predicate));
        self.reasons.push(reason);
    }

    /// Puts the pending predicates into `reason` where it is still null.
    fn settle(&mut self) {
        if !self.pending.is_empty() {
            let verdict = verdicts::first_of(std::mem::take(&mut self.pending));
            self.frame =
                self.frame.clone().with_column(col(REASON).fill_null(verdict).alias(REASON));
        }
    }
}

/// A line's place among all lines of the run: first by file, then by row.
pub fn line_number() -> Expr {
    col(SOURCE_FILE).cast(DataType::UInt64) * lit(1u64 << 32)
        + col(SOURCE_ROW).cast(DataType::UInt64)
}

/// Whether an accepted line has an equal one before it: in an earlier file, or further up in its own.
fn repeated(columns: Vec<Expr>, carried: &[String]) -> Expr {
    let equal = match columns.is_empty() {
        true => carried.iter().map(|name| col(conform::carried_name(name))).collect(),
        false => columns,
    };
    repeats::repeated(equal, col(REASON).is_null(), line_number())
}
