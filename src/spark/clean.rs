//! `clean` in SQL: steps mark lines with the reason for which they are rejected.

use super::text::{any, day, first_of, quoted};
use super::{Statement, ingest};
use crate::clean::steps::Repeated;
use crate::clean::{LineField, Reason, ReturnPolicy, Step};
use crate::columns::*;
use crate::pipeline::Pipeline;

const STAGE: &str = "clean";
/// The view of the marked lines.
pub(super) const MARKED: &str = "custseg_marked";

/// The view of the lines with their verdicts, as [`crate::clean::MarkedLines`] has them.
pub(super) fn marked(p: &Pipeline, reasons: &[Reason]) -> Statement {
    let carried = ingest::carried(p).into_iter().map(|(_, carried)| carried);
    let columns =
        COLUMNS.map(str::to_owned).into_iter().chain(carried).collect::<Vec<_>>().join(", ");
    let from = format!("SELECT {columns}, {REASON} FROM {}", ingest::LINES);
    let mut marker = Marker { columns, from, pending: Vec::new() };
    let returned = returned(p);
    for (position, step) in p.clean.iter().enumerate() {
        let codes = (0..reasons.len()).filter(|&code| reasons[code].position == Some(position));
        let objections = objections(step, &returned);
        if let Step::DropDuplicates(_) = step {
            marker.settle();
            marker.repeated(p);
        }
        marker.pending.extend(objections.into_iter().zip(codes.map(|code| code.to_string())));
    }
    // A line of nobody can be put into no segment, whether a step says so or not.
    let nobody =
        reasons.iter().position(|reason| reason.step == STAGE && reason.position.is_none());
    marker.pending.extend(nobody.map(|code| (blank(LineField::CustomerId), code.to_string())));
    marker.settle();
    Statement::view(STAGE, MARKED, marker.from)
}

/// Whether a line, or a group of lines, is a cancellation that is kept.
pub(super) fn returned(p: &Pipeline) -> String {
    let kept = p.clean.iter().find_map(Step::kept_returns);
    kept.map_or("false".to_owned(), |(prefix, _)| begins(prefix))
}

/// Column that tells lines equal to an earlier one.
const REPEATED: &str = "repeated";

/// Columns of the lines beside the verdict.
const COLUMNS: [&str; 9] =
    [CUSTOMER_ID, ORDER_ID, PRODUCT_ID, ORDERED_AT, DAY, QUANTITY, UNIT_PRICE, AMOUNT, MONEY];

struct Marker {
    columns: String,
    from: String,
    pending: Vec<(String, String)>,
}

impl Marker {
    /// Puts the pending objections into the reason where there is none yet.
    fn settle(&mut self) {
        if !self.pending.is_empty() {
            let verdict = first_of(std::mem::take(&mut self.pending), "NULL");
            self.from = format!(
                "SELECT {}, CAST(coalesce({REASON}, {verdict}) AS INT) AS {REASON}\nFROM ({})",
                self.columns, self.from
            );
        }
    }

    /// Numbers the accepted lines that are equal in every source column. Which of them is the first makes no difference.
    fn repeated(&mut self, p: &Pipeline) {
        let whole: Vec<String> =
            ingest::carried(p).into_iter().map(|(_, carried)| carried).collect();
        let whole = whole.join(", ");
        self.from = format!(
            "SELECT {}, {REASON},\n  {REASON} IS NULL AND row_number() OVER (PARTITION BY {REASON} IS NULL, {whole} ORDER BY {DAY}) > 1 AS {REPEATED}\nFROM ({})",
            self.columns, self.from
        );
    }
}

/// What a step objects to, in the order of its reasons.
fn objections(step: &Step, returned: &str) -> Vec<String> {
    match step {
        Step::DropMissing(fields) => fields.iter().map(|field| blank(*field)).collect(),
        Step::Cancellations { order_id_prefix, policy: ReturnPolicy::Drop } => {
            vec![begins(order_id_prefix)]
        }
        Step::Cancellations { .. } => Vec::new(),
        Step::KeepPositive(fields) => {
            let low = |field: &LineField| {
                format!("(coalesce({} <= 0, false) AND NOT {returned})", field.column())
            };
            fields.iter().map(low).collect()
        }
        Step::DropDuplicates(Repeated::Exact | Repeated::By(_)) => vec![REPEATED.to_owned()],
        Step::NonProductLines { codes, pattern } => {
            let listed = codes.iter().map(|code| format!("{PRODUCT_ID} = {}", quoted(code)));
            let matched = pattern
                .iter()
                .map(|pattern| format!("{PRODUCT_ID} RLIKE {}", quoted(&to_end(pattern))));
            vec![format!("coalesce({}, false)", any(listed.chain(matched)))]
        }
        Step::Where(predicate) => vec![format!("NOT coalesce({}, false)", predicate.sql)],
        Step::DateRange { from, until } => {
            let before = from.iter().map(|from| format!("coalesce({DAY} < {}, false)", day(*from)));
            before
                .chain(
                    until.iter().map(|until| format!("coalesce({DAY} >= {}, false)", day(*until))),
                )
                .collect()
        }
    }
}

/// A pattern whose end is that of the text: to Java a dollar sign stands before a last line end, too.
fn to_end(pattern: &str) -> String {
    pattern.replace('$', "\\z")
}

fn begins(prefix: &str) -> String {
    format!("coalesce(startswith({ORDER_ID}, {}), false)", quoted(prefix))
}

fn blank(field: LineField) -> String {
    let column = field.column();
    match field {
        LineField::CustomerId | LineField::OrderId | LineField::ProductId => {
            format!("coalesce({column} = '', true)")
        }
        _ => format!("{column} IS NULL"),
    }
}

/// Columns of the lines that are not known to anybody after `clean`.
pub(super) const KEYS: [&str; 3] = [CUSTOMER_ID, ORDER_ID, DAY];
