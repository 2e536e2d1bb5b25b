//! `clean` in SQL: steps mark lines with the reason for their rejection.

use super::text::{any, day, first_match, is_blank_text, joined, quoted};
use super::{Statement, ingest};
use crate::clean::{LineField, Reason, ReturnPolicy, ReturnRule, Step};
use crate::columns::*;
use crate::pipeline::Pipeline;

const STAGE: &str = "clean";
pub(super) const MARKED: &str = "custseg_marked";
/// Whether an equal accepted line exists before this one.
const REPEATED: &str = "repeated";

/// Columns of the marked lines besides the reason.
const COLUMNS: [&str; 9] =
    [CUSTOMER_ID, ORDER_ID, PRODUCT_ID, ORDERED_AT, DAY, QUANTITY, UNIT_PRICE, AMOUNT, MONEY];
pub(super) const KEYS: [&str; 3] = [CUSTOMER_ID, ORDER_ID, DAY];

/// The view of [`crate::clean::MarkedLines`].
pub(super) fn marked(p: &Pipeline, reasons: &[Reason]) -> Statement {
    let source_columns = || ingest::carried(p).into_iter().map(|(_, carried)| carried);
    let columns = joined(COLUMNS.map(str::to_owned).into_iter().chain(source_columns()), ", ");
    let mut lines = format!("SELECT {columns}, {REASON} FROM {}", ingest::LINES);
    // Conditions and reason codes that are not part of the query yet.
    let mut pending = Vec::new();
    let is_return = is_return(p);
    for (position, step) in p.clean.iter().enumerate() {
        if let Step::DropDuplicates(_) = step {
            // Lines that equal another in every source column: any of them may be the first.
            lines = format!(
                "SELECT {columns}, {REASON},\n\
                 \x20 {REASON} IS NULL AND row_number() OVER (PARTITION BY {REASON} IS NULL, {} \
                 ORDER BY {DAY}) > 1 AS {REPEATED}\nFROM ({})",
                joined(source_columns(), ", "),
                with_reasons(&columns, lines, std::mem::take(&mut pending))
            );
        }
        let codes = (0..reasons.len()).filter(|&code| reasons[code].position == Some(position));
        let conditions = rejections(step, &is_return);
        pending.extend(conditions.into_iter().zip(codes.map(|code| code.to_string())));
    }
    // Lines without a customer id are always rejected: they cannot be segmented.
    let without_customer =
        reasons.iter().position(|reason| reason.step == STAGE && reason.position.is_none());
    let is_blank = is_blank(LineField::CustomerId);
    pending.extend(without_customer.map(|code| (is_blank, code.to_string())));
    Statement::view(STAGE, MARKED, &with_reasons(&columns, lines, pending))
}

/// Adds reasons to a query of lines, for lines that have none yet.
fn with_reasons(columns: &str, lines: String, cases: Vec<(String, String)>) -> String {
    if cases.is_empty() {
        return lines;
    }
    let reason = first_match(cases, "NULL");
    format!(
        "SELECT {columns}, CAST(coalesce({REASON}, {reason}) AS INT) AS {REASON}\nFROM ({lines})"
    )
}

/// Whether a line, or a row of order facts, is a return that is kept.
pub(super) fn is_return(p: &Pipeline) -> String {
    let kept = p.clean.iter().find_map(Step::kept_returns);
    kept.map_or("false".to_owned(), |(rule, _)| of_rule(rule))
}

/// The conditions under which a step rejects a line, in the order of its reasons.
fn rejections(step: &Step, is_return: &str) -> Vec<String> {
    match step {
        Step::DropMissing(fields) => fields.iter().map(|field| is_blank(*field)).collect(),
        Step::Cancellations { rule, policy: ReturnPolicy::Drop } => vec![of_rule(rule)],
        Step::Cancellations { .. } => Vec::new(),
        Step::KeepPositive(fields) => {
            let columns = fields.iter().map(|field| field.column());
            let is_low =
                |column: &str| format!("(coalesce({column} <= 0, false) AND NOT {is_return})");
            columns.map(is_low).collect()
        }
        Step::DropDuplicates(_) => vec![REPEATED.to_owned()],
        Step::NonProductLines { codes, pattern } => {
            let listed = codes.iter().map(|code| format!("{PRODUCT_ID} = {}", quoted(code)));
            let matched = pattern.iter().map(|pattern| {
                // In Java `$` also matches before a final line break.
                format!("{PRODUCT_ID} RLIKE {}", quoted(&pattern.replace('$', "\\z")))
            });
            vec![format!("coalesce({}, false)", any(listed.chain(matched)))]
        }
        Step::Where(predicate) => vec![format!("NOT coalesce({}, false)", predicate.sql)],
        Step::DateRange { from, until } => {
            let before = from.map(|from| format!("coalesce({DAY} < {}, false)", day(from)));
            let after = until.map(|until| format!("coalesce({DAY} >= {}, false)", day(until)));
            before.into_iter().chain(after).collect()
        }
    }
}

fn of_rule(rule: &ReturnRule) -> String {
    match rule {
        ReturnRule::OrderPrefix(prefix) => has_order_prefix(prefix),
        ReturnRule::When(predicate) => format!("coalesce({}, false)", predicate.sql),
    }
}

fn has_order_prefix(prefix: &str) -> String {
    format!("coalesce(startswith({ORDER_ID}, {}), false)", quoted(prefix))
}

fn is_blank(field: LineField) -> String {
    let column = field.column();
    match field {
        LineField::CustomerId | LineField::OrderId | LineField::ProductId => is_blank_text(column),
        _ => format!("{column} IS NULL"),
    }
}
