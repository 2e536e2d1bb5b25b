//! `orders` in SQL: the one scan of the source, into the order book and the ledger.

use super::Statement;
use super::clean::{KEYS, MARKED, returned};
use super::text::{double, quoted};
use crate::clean::Reason;
use crate::columns::*;
use crate::pipeline::Pipeline;

const STAGE: &str = "orders";
/// The order book.
pub(super) const ORDERS_TABLE: &str = "custseg_orders";
/// Lines, money and days by their fate: what checks and dates are judged by.
pub(super) const CALENDAR: &str = "work/calendar";
/// Where the ledger stands.
pub(super) const LEDGER_PATH: &str = "ledger";
/// The ledger.
#[cfg(feature = "spark")]
pub(super) const LEDGER: &str = "custseg_ledger";
/// Column of the ledger that tells the order of its rows.
#[cfg(feature = "spark")]
pub(super) const FATE: &str = "fate";
/// Code of lines that no step objects to: beyond every reason.
const ACCEPTED: u32 = 1000;

pub(super) fn statements(p: &Pipeline, reasons: &[Reason]) -> Vec<Statement> {
    vec![
        Statement::table(STAGE, ORDERS_TABLE, "work/orders", book(p)),
        Statement::table(STAGE, "custseg_calendar", CALENDAR, calendar()),
        Statement::table(STAGE, "custseg_ledger", LEDGER_PATH, ledger(p, reasons)),
    ]
}

/// One row a (customer, order, day, reason), as [`crate::orders::OrderBook`] has them. Sums are of decimals: those of whole numbers
/// would wrap, or fail, long before a store has so many lines.
fn book(p: &Pipeline) -> String {
    let keys = KEYS.join(", ");
    format!(
        "SELECT {keys}, {REASON}, CAST(count(*) AS BIGINT) AS {LINES},\n\
         \x20 CAST(sum(CAST({QUANTITY} AS DECIMAL(20, 0))) AS DECIMAL(30, 0)) AS {UNITS},\n\
         \x20 CAST(sum(CAST({MONEY} AS DECIMAL(20, 0))) AS DECIMAL(30, 0)) AS {MONEY},\n\
         \x20 max({ORDERED_AT}) AS {ORDERED_AT}, {} AS {RETURNED}\n\
         FROM {MARKED}\n\
         GROUP BY {keys}, {REASON}",
        returned(p)
    )
}

fn calendar() -> String {
    format!(
        "SELECT {REASON}, {DAY}, CAST(sum({LINES}) AS BIGINT) AS {LINES}\n\
         FROM {ORDERS_TABLE}\nGROUP BY {REASON}, {DAY}"
    )
}

/// What each reason removed, and what was left: a customer or an order goes with its last line.
fn ledger(p: &Pipeline, reasons: &[Reason]) -> String {
    let fates = reasons.iter().enumerate().map(|(code, reason)| {
        let Reason { step, reason, declared, .. } = reason;
        format!("({code}, {}, {}, {declared})", quoted(step), quoted(reason))
    });
    let fates: Vec<String> =
        fates.chain([format!("({ACCEPTED}, 'accepted', '', false)")]).collect();
    let key = match p.ingest.has_orders() {
        true => (ORDER_ID.to_owned(), ORDER_ID),
        false => (format!("{CUSTOMER_ID}, {DAY}"), CUSTOMER_ID),
    };
    let furthest = |key: &str, present: &str| {
        format!(
            "(SELECT fate, CAST(count(*) AS BIGINT) AS n FROM (SELECT max(fate) AS fate FROM book WHERE {present} IS NOT NULL GROUP BY {key}) GROUP BY fate)"
        )
    };
    let factor = double(p.ingest.money.factor());
    // What is left after a fate is what comes later.
    let left = |column: &str| {
        format!(
            "coalesce(sum({column}) OVER (ORDER BY fate DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)"
        )
    };
    let counts = [(ROWS, ROWS_LEFT), (CUSTOMERS, CUSTOMERS_LEFT), (ORDERS, ORDERS_LEFT)];
    let removed: Vec<String> =
        counts.iter().map(|(name, _)| format!("CAST({name} AS BIGINT) AS {name}")).collect();
    let stayed: Vec<String> =
        counts.iter().map(|(_, name)| format!("CAST({name} AS BIGINT) AS {name}")).collect();
    let lefts: Vec<String> =
        counts.iter().map(|(name, left_name)| format!("{} AS {left_name}", left(name))).collect();
    format!(
        "WITH book AS (SELECT *, coalesce({REASON}, {ACCEPTED}) AS fate FROM {ORDERS_TABLE}),\n\
         sums AS (SELECT fate, sum({LINES}) AS {ROWS}, sum({MONEY}) AS {MONEY} FROM book GROUP BY fate),\n\
         fates AS (\n\
         \x20 SELECT f.fate, f.{STEP}, f.{REASON}, f.declared,\n\
         \x20   coalesce(s.{ROWS}, 0) AS {ROWS}, coalesce(c.n, 0) AS {CUSTOMERS}, coalesce(o.n, 0) AS {ORDERS},\n\
         \x20   coalesce(s.{MONEY}, CAST(0 AS DECIMAL(38, 0))) AS {MONEY}\n\
         \x20 FROM (VALUES {}) AS f(fate, {STEP}, {REASON}, declared)\n\
         \x20 LEFT JOIN sums AS s ON s.fate = f.fate\n\
         \x20 LEFT JOIN {} AS c ON c.fate = f.fate\n\
         \x20 LEFT JOIN {} AS o ON o.fate = f.fate\n\
         ),\n\
         steps AS (SELECT *, {}, {} AS {MONEY_LEFT} FROM fates)\n\
         SELECT -1 AS fate, 'raw' AS {STEP}, CAST(NULL AS STRING) AS {REASON},\n\
         \x20 CAST(0 AS BIGINT) AS {ROWS}, CAST(0 AS BIGINT) AS {CUSTOMERS}, CAST(0 AS BIGINT) AS {ORDERS}, 0.0D AS {MONEY},\n\
         \x20 CAST(sum({ROWS}) AS BIGINT) AS {ROWS_LEFT}, CAST(sum({CUSTOMERS}) AS BIGINT) AS {CUSTOMERS_LEFT},\n\
         \x20 CAST(sum({ORDERS}) AS BIGINT) AS {ORDERS_LEFT}, CAST(sum({MONEY}) AS DOUBLE) / {factor} AS {MONEY_LEFT}\n\
         FROM fates\n\
         UNION ALL\n\
         SELECT fate, {STEP}, {REASON}, {}, CAST({MONEY} AS DOUBLE) / {factor} AS {MONEY},\n\
         \x20 {}, CAST({MONEY_LEFT} AS DOUBLE) / {factor} AS {MONEY_LEFT}\n\
         FROM steps WHERE fate < {ACCEPTED} AND (declared OR {ROWS} > 0)",
        fates.join(", "),
        furthest(CUSTOMER_ID, CUSTOMER_ID),
        furthest(&key.0, key.1),
        lefts.join(", "),
        left(MONEY),
        removed.join(", "),
        stayed.join(", "),
    )
}
