//! `clean`: [`Lines`] → [`MarkedLines`]. Steps mark lines with the reason for their rejection and
//! filter nothing. The first step that rejects a line wins. Returns are matched with purchases
//! among the lines that all steps accept. Reading rows and counting marks is left to `orders`.

use polars::prelude::*;

use crate::columns::{CUSTOMER_ID, QUANTITY, REASON, RETURNED, SOURCE_FILE, SOURCE_ROW};
use crate::ingest::cell::is_empty_cell;
use crate::ingest::{self, ChunkedLines, Fault, Lines, outcomes};

mod duplicates;
pub mod returns;
pub mod steps;

pub use duplicates::{Duplicates, Keep, KeyColumn};
pub use returns::Pairs;
pub use steps::{LineField, ReturnPolicy, ReturnRule, Step};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `ingest` for lines that cannot be parsed, `clean` for lines without a customer id, otherwise
    /// the YAML key of the step.
    pub step: String,
    pub reason: String,
    /// The pipeline's name of the invalid cell, if a single cell cannot be parsed.
    pub cell: Option<&'static str>,
    /// Index of the step in `clean`, if it is a step of the user. The ledger lists its reasons even
    /// if they apply to no line.
    pub position: Option<usize>,
    /// Whether the money of such lines is known.
    pub has_money: bool,
}

impl Reason {
    fn of_step(step: &Step, position: usize, reason: String) -> Self {
        let step = step.name().to_owned();
        Self { step, reason, cell: None, position: Some(position), has_money: true }
    }
}

/// The order lines with their outcomes.
///
/// Columns as in [`Lines`], with `reason` extended to all steps: an index into
/// [`MarkedLines::reasons`], null if the line is accepted.
pub struct MarkedLines {
    pub lines: ChunkedLines,
    /// The meaning of the codes in `reason`, in the order of the steps.
    pub reasons: Vec<Reason>,
    /// Which lines are cancellations that are kept, and how they are treated.
    pub returns: Option<(ReturnRule, ReturnPolicy)>,
    /// Source cells that the rejects keep: column name in the rejects, and column of the lines.
    pub kept: Vec<(String, String)>,
    pub has_whole_quantities: bool,
}

impl MarkedLines {
    /// Whether a line, or a group of lines, is an accepted cancellation.
    pub fn is_return(&self) -> Expr {
        is_return(self.returns.as_ref())
    }

    /// Whether lines of one order can differ in being cancellations. Their column [`RETURNED`] says so.
    pub fn has_return_lines(&self) -> bool {
        matches!(self.returns, Some((ReturnRule::When(_), _)))
    }
}

fn is_return(returns: Option<&(ReturnRule, ReturnPolicy)>) -> Expr {
    returns.map_or(lit(false), |(rule, _)| match rule {
        ReturnRule::OrderPrefix(_) => rule.is_return(),
        ReturnRule::When(_) => col(RETURNED),
    })
}

/// Marks every line with the first reason that applies to it. `pairs` lists the returns without a
/// purchase if returns are matched; without `pairs` no return is rejected for that.
pub fn mark(steps: &[Step], lines: Lines, pairs: Option<&Pairs>) -> PolarsResult<MarkedLines> {
    let schema = lines.lines.schema()?;
    let returns =
        steps.iter().find_map(Step::kept_returns).map(|(rule, policy)| (rule.clone(), policy));
    let step = ingest::STAGE.to_owned();
    let unparsable = |(Fault { reason, cell, is_filter }, has_money)| Reason {
        step: if is_filter { "where".to_owned() } else { step.clone() },
        reason,
        cell,
        position: None,
        has_money,
    };
    let reasons = lines.faults.into_iter().map(unparsable).collect();
    let mut marker = Marker { lines: lines.lines, reasons, pending: Vec::new() };
    if let Some((rule @ ReturnRule::When(_), _)) = &returns {
        marker.lines.add_column(&rule.is_return().alias(RETURNED));
    }
    for (position, step) in steps.iter().enumerate() {
        // A line that an earlier step rejected is not the original of a duplicate.
        if matches!(step, Step::DropDuplicates(_)) {
            marker.flush();
            marker.lines.hold_all();
        }
        let is_return = is_return(returns.as_ref());
        for (reason, predicate) in step.rejections(is_return, &schema, &lines.carried) {
            marker.reject(Reason::of_step(step, position, reason), predicate);
        }
    }
    // Lines without a customer id are always rejected.
    if !steps.iter().any(Step::drops_missing_customers) {
        let [step, reason] = ["clean", "customer_id missing"].map(str::to_owned);
        let reason = Reason { step, reason, cell: None, position: None, has_money: true };
        marker.reject(reason, is_empty_cell(CUSTOMER_ID, schema.get(CUSTOMER_ID)));
    }
    if let Some(position) = steps.iter().position(Step::matches_returns) {
        let reason = "no earlier purchase to undo".to_owned();
        let reason = Reason::of_step(&steps[position], position, reason);
        let is_unmatched = pairs.map_or(lit(false), |pairs| pairs.is_unmatched(line_number()));
        marker.flush();
        marker.reject(reason, is_unmatched);
    }
    marker.flush();
    Ok(MarkedLines {
        lines: marker.lines,
        reasons: marker.reasons,
        returns,
        kept: lines.kept,
        has_whole_quantities: schema.get(QUANTITY).is_some_and(DataType::is_integer),
    })
}

/// Collects consecutive rowwise predicates into one expression.
struct Marker {
    lines: ChunkedLines,
    reasons: Vec<Reason>,
    pending: Vec<(u8, Expr)>,
}

impl Marker {
    fn reject(&mut self, reason: Reason, predicate: Expr) {
        self.pending.push((self.reasons.len() as u8, predicate));
        self.reasons.push(reason);
    }

    /// Writes the pending predicates to `reason` if it is still null.
    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let code = outcomes::first_match(std::mem::take(&mut self.pending));
            self.lines.add_column(&col(REASON).fill_null(code).alias(REASON));
        }
    }
}

/// Number of a line among all lines of the run, ordered by file and row: file · 2³² + row; u64.
pub fn line_number() -> Expr {
    col(SOURCE_FILE).cast(DataType::UInt64) * lit(1u64 << 32)
        + col(SOURCE_ROW).cast(DataType::UInt64)
}
