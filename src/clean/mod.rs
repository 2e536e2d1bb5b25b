//! `clean`: [`Lines`] → [`MarkedLines`]. Steps mark lines with the reason for which they are rejected; they filter nothing.
//!
//! The first step to object to a line wins. What is deliberately absent: the reading of rows, and the counting of what
//! was marked; both are the business of `orders`.

use polars::prelude::*;

use crate::columns::{CUSTOMER_ID, REASON, SOURCE_FILE, SOURCE_ROW};
use crate::ingest::{self, Fault, Lines, conform};

pub mod predicate;
pub mod steps;

pub use predicate::Predicate;
pub use steps::{LineField, ReturnPolicy, Step};

/// A step's name and the words for what it objects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `ingest` for lines that cannot be parsed, `clean` for those of nobody, else the YAML key of the step.
    pub step: String,
    /// What is wrong with the line.
    pub reason: String,
    /// Source column that holds the cell at fault, where a line cannot be parsed.
    pub cell: Option<String>,
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
}

/// The reason for lines that no step asked to drop, but that belong to no customer.
const NOBODY: &str = "customer_id missing";

/// Marks every line with the first reason that applies to it.
///
/// # Errors
/// What Polars says of a plan that cannot be made.
pub fn mark(steps: &[Step], lines: Lines) -> PolarsResult<MarkedLines> {
    let fault = |fault: Fault| Reason {
        step: ingest::STAGE.to_owned(),
        reason: fault.reason,
        declared: false,
        cell: fault.cell,
    };
    let mut reasons: Vec<Reason> = lines.faults.into_iter().map(fault).collect();
    let objection = |step: &Step, reason| Reason { step: step.name().to_owned(), reason, declared: true, cell: None };
    let mut frame = lines.frame;
    let returns = steps.iter().find_map(Step::kept_returns).map(|(prefix, policy)| (prefix.to_owned(), policy));
    let returned = || returns.as_ref().map_or(lit(false), |(prefix, _)| steps::begins(prefix));
    // Runs of row-wise steps become one expression. A step that compares lines is a plan of its own, since lines that
    // an earlier step rejected must not count as the first of their kind.
    let mut pending: Vec<Expr> = Vec::new();
    for step in steps {
        match step.objections(returned()) {
            steps::Objections::Rowwise(objections) => {
                for (reason, predicate) in objections {
                    reasons.push(objection(step, reason));
                    pending.push(predicate);
                }
            }
            steps::Objections::Repeated(reason, columns) => {
                frame = settle(frame, &mut pending, reasons.len());
                reasons.push(objection(step, reason));
                pending.push(repeated(columns, &lines.carried)?);
            }
        }
    }
    // A line of nobody can be put into no segment, whether a step says so or not.
    let said = |step: &Step| matches!(step, Step::DropMissing(fields) if fields.contains(&LineField::CustomerId));
    if !steps.iter().any(said) {
        reasons.push(Reason { step: "clean".to_owned(), reason: NOBODY.to_owned(), declared: false, cell: None });
        pending.push(conform::blank(col(CUSTOMER_ID)));
    }
    let frame = settle(frame, &mut pending, reasons.len());
    Ok(MarkedLines { frame, reasons, returns, kept: lines.kept })
}

/// Puts the pending predicates, whose codes end before `next`, into `reason` where it is still null.
fn settle(frame: LazyFrame, pending: &mut Vec<Expr>, next: usize) -> LazyFrame {
    if pending.is_empty() {
        return frame;
    }
    let start = next - pending.len();
    let verdict = conform::first_of(pending.drain(..), start);
    frame.with_column(when(col(REASON).is_null()).then(verdict).otherwise(col(REASON)).alias(REASON))
}

/// Whether an accepted line has an equal one before it: in an earlier file, or further up in its own.
fn repeated(columns: Vec<Expr>, carried: &[String]) -> PolarsResult<Expr> {
    let position = col(SOURCE_FILE).cast(DataType::UInt64) * lit(1u64 << 32) + col(SOURCE_ROW).cast(DataType::UInt64);
    let mut equal = match columns.is_empty() {
        true => carried.iter().map(|name| col(conform::carried_name(name))).collect(),
        false => columns,
    };
    equal.push(col(REASON).is_null());
    Ok(position.clone().gt(position.min().over(equal)?))
}
