//! `orders` in SQL: one scan of the source gives the order facts and the ledger.

use super::Statement;
use super::clean::{KEYS, MARKED, is_return};
use super::text::{double, joined, quoted};
use crate::clean::Reason;
use crate::columns::*;
use crate::pipeline::Pipeline;

const STAGE: &str = "orders";
pub(super) const ORDERS_TABLE: &str = "custseg_orders";
/// Path of the counts of lines by reason and day, for checks and snapshot dates.
pub(super) const CALENDAR: &str = "work/calendar";
pub(super) const LEDGER_PATH: &str = "ledger";
pub(super) const LEDGER: &str = "custseg_ledger";
/// Column that orders the rows of the ledger: the code of the line outcome, -1 for the source.
#[cfg(feature = "spark")]
pub(super) const OUTCOME: &str = "outcome";
/// Number of accepted orders of negative money and returns of positive money.
pub(super) const NEGATIVE: &str = "negative_orders";
/// Outcome of accepted lines, greater than the code of every reason.
const ACCEPTED: u32 = 1000;

pub(super) fn statements(p: &Pipeline, reasons: &[Reason]) -> Vec<Statement> {
    vec![
        Statement::table(STAGE, ORDERS_TABLE, "work/orders", order_facts(p)),
        Statement::table(STAGE, "custseg_calendar", CALENDAR, calendar()),
        Statement::table(STAGE, LEDGER, LEDGER_PATH, ledger(p, reasons)),
    ]
}

/// The table of [`crate::orders::OrderFacts`]: one row per (customer, order, day, reason). Sums are
/// decimals, because 64-bit integers can overflow.
fn order_facts(p: &Pipeline) -> String {
    let keys = KEYS.join(", ");
    let grouped = format!(
        "SELECT {keys}, {REASON}, CAST(count(*) AS BIGINT) AS {LINES},\n\
         \x20 CAST(sum(CAST({QUANTITY} AS DECIMAL(20, 0))) AS DECIMAL(30, 0)) AS {UNITS},\n\
         \x20 CAST(sum(CAST({MONEY} AS DECIMAL(20, 0))) AS DECIMAL(30, 0)) AS {MONEY},\n\
         \x20 max({ORDERED_AT}) AS {ORDERED_AT}, {} AS {RETURNED}\n\
         FROM {MARKED}\n\
         GROUP BY {keys}, {REASON}",
        is_return(p)
    );
    if !p.ingest.has_orders() {
        return grouped;
    }
    // Lines without an order id are one order per customer and day.
    let zero = quoted("\0");
    format!(
        "SELECT {CUSTOMER_ID}, coalesce({ORDER_ID}, \
         concat({zero}, {CUSTOMER_ID}, {zero}, CAST({DAY} AS STRING))) AS {ORDER_ID}, {DAY}, \
         {REASON}, {LINES}, {UNITS}, {MONEY}, {ORDERED_AT}, {RETURNED}\nFROM ({grouped})"
    )
}

fn calendar() -> String {
    format!(
        "SELECT {REASON}, {DAY}, CAST(sum({LINES}) AS BIGINT) AS {LINES},\n\
         \x20 CAST(sum(CASE WHEN {REASON} IS NULL AND CASE WHEN {RETURNED} THEN {MONEY} > 0 ELSE \
         {MONEY} < 0 END THEN 1 ELSE 0 END) AS BIGINT) AS {NEGATIVE}\n\
         FROM {ORDERS_TABLE}\nGROUP BY {REASON}, {DAY}"
    )
}

/// Rows, customers, orders and money that each reason removes, and what is left after it. A
/// customer or an order is removed with its last line.
fn ledger(p: &Pipeline, reasons: &[Reason]) -> String {
    let rejected = reasons.iter().enumerate().map(|(code, reason)| {
        let Reason { step, reason, position, has_money, .. } = reason;
        let (step, reason) = (quoted(step), quoted(reason));
        format!("({code}, {step}, {reason}, {}, {has_money})", position.is_some())
    });
    let outcomes = rejected.chain([format!("({ACCEPTED}, 'accepted', '', false, true)")]);
    let order_columns: &[&str] =
        if p.ingest.has_orders() { &[ORDER_ID] } else { &[CUSTOMER_ID, DAY] };
    let factor = double(p.ingest.money.factor());
    let counts = [(ROWS, ROWS_LEFT), (CUSTOMERS, CUSTOMERS_LEFT), (ORDERS, ORDERS_LEFT)];
    let removed = counts.map(|(removed, _)| as_bigint(removed)).join(", ");
    let left = counts.map(|(_, left)| as_bigint(left)).join(", ");
    let left_sums = counts.map(|(removed, left)| format!("{} AS {left}", sum_after(removed)));
    format!(
        "WITH facts AS (\n\
         \x20 SELECT *, coalesce({REASON}, {ACCEPTED}) AS outcome FROM {ORDERS_TABLE}\n\
         ),\n\
         sums AS (\n\
         \x20 SELECT outcome, sum({LINES}) AS {ROWS}, sum({MONEY}) AS {MONEY}\n\
         \x20 FROM facts GROUP BY outcome\n\
         ),\n\
         outcomes AS (\n\
         \x20 SELECT f.outcome, f.{STEP}, f.{REASON}, f.declared,\n\
         \x20   CASE WHEN f.has_money OR s.{ROWS} IS NULL THEN 0 ELSE 1 END AS unknown,\n\
         \x20   coalesce(s.{ROWS}, 0) AS {ROWS},\n\
         \x20   coalesce(c.n, 0) AS {CUSTOMERS}, coalesce(o.n, 0) AS {ORDERS},\n\
         \x20   coalesce(s.{MONEY}, CAST(0 AS DECIMAL(38, 0))) AS {MONEY}\n\
         \x20 FROM (VALUES {}) AS f(outcome, {STEP}, {REASON}, declared, has_money)\n\
         \x20 LEFT JOIN sums AS s ON s.outcome = f.outcome\n\
         \x20 LEFT JOIN {} AS c ON c.outcome = f.outcome\n\
         \x20 LEFT JOIN {} AS o ON o.outcome = f.outcome\n\
         ),\n\
         steps AS (SELECT *, {}, {} AS {MONEY_LEFT}, {} AS unknown_left FROM outcomes)\n\
         SELECT -1 AS outcome, 'raw' AS {STEP}, CAST(NULL AS STRING) AS {REASON},\n\
         \x20 CAST(0 AS BIGINT) AS {ROWS}, CAST(0 AS BIGINT) AS {CUSTOMERS},\n\
         \x20 CAST(0 AS BIGINT) AS {ORDERS}, 0.0D AS {MONEY},\n\
         \x20 CAST(sum({ROWS}) AS BIGINT) AS {ROWS_LEFT},\n\
         \x20 CAST(sum({CUSTOMERS}) AS BIGINT) AS {CUSTOMERS_LEFT},\n\
         \x20 CAST(sum({ORDERS}) AS BIGINT) AS {ORDERS_LEFT},\n\
         \x20 CASE WHEN sum(unknown) = 0 THEN CAST(sum({MONEY}) AS DOUBLE) / {factor} END \
         AS {MONEY_LEFT}\n\
         FROM outcomes\n\
         UNION ALL\n\
         SELECT outcome, {STEP}, {REASON}, {removed},\n\
         \x20 CASE WHEN unknown = 0 THEN CAST({MONEY} AS DOUBLE) / {factor} END AS {MONEY},\n\
         \x20 {left}, CASE WHEN unknown_left = 0 THEN CAST({MONEY_LEFT} AS DOUBLE) / {factor} END \
         AS {MONEY_LEFT}\n\
         FROM steps WHERE outcome < {ACCEPTED} AND (declared OR {ROWS} > 0)",
        joined(outcomes, ", "),
        count_by_last_outcome(&[CUSTOMER_ID]),
        count_by_last_outcome(order_columns),
        left_sums.join(", "),
        sum_after(MONEY),
        sum_after("unknown"),
    )
}

/// Counts keys, of which the first column is not null, by the outcome of the last of their lines
/// that is removed.
fn count_by_last_outcome(key: &[&str]) -> String {
    format!(
        "(SELECT outcome, CAST(count(*) AS BIGINT) AS n FROM (\
         SELECT max(outcome) AS outcome FROM facts WHERE {} IS NOT NULL GROUP BY {}\
         ) GROUP BY outcome)",
        key[0],
        key.join(", ")
    )
}

/// The sum of a column over all later outcomes, which is what is left after an outcome.
fn sum_after(column: &str) -> String {
    format!(
        "coalesce(sum({column}) OVER (\
         ORDER BY outcome DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)"
    )
}

fn as_bigint(column: &str) -> String {
    format!("CAST({column} AS BIGINT) AS {column}")
}
