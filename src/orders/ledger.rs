//! The ledger: rows, customers, orders and money that each step removes and leaves.
//!
//! A customer is left after step i if one of its rows passes that step. One pass therefore finds
//! the last step that each customer reaches, and a running sum gives the count after every step.

use polars::prelude::*;

use super::OrderFacts;
use crate::clean::Reason;
use crate::columns::*;
use crate::dedup;

/// One row per step and reason, after a first row for the raw rows.
///
/// Columns: `step` text, `reason` text (null for the raw rows), then what the step removed: `rows`,
/// `customers`, `orders` i64, `money` f64; and the same four for what is left. Rows and money add
/// up exactly. Money is null if lines are counted whose money cannot be parsed. A customer or an
/// order counts as removed with its last row.
pub fn ledger(facts: &OrderFacts) -> PolarsResult<DataFrame> {
    let n = facts.reasons.len();
    let outcomes = facts.outcomes()?;
    let ((rows, money), (customers, orders)) = rayon::join(
        || (facts.by_reason(LINES), facts.by_reason(MONEY)),
        || {
            rayon::join(
                || count_by_last_outcome(facts, &outcomes, &[CUSTOMER_ID]),
                || count_by_last_outcome(facts, &outcomes, facts.order_key()),
            )
        },
    );
    // Slot i counts what reason i removes; the last slot counts what is accepted.
    let rows = rows?;
    let is_none: Vec<bool> = rows.iter().map(|rows| *rows == 0).collect();
    let listed: Vec<usize> =
        (0..n).filter(|&i| facts.reasons[i].position.is_some() || rows[i] > 0).collect();
    let mut steps = vec!["raw"];
    let mut reasons = vec![None];
    for &i in &listed {
        steps.push(facts.reasons[i].step.as_str());
        reasons.push(Some(facts.reasons[i].reason.as_str()));
    }
    let mut columns = vec![Column::new(STEP.into(), steps), Column::new(REASON.into(), reasons)];
    let mut left_columns = Vec::new();
    let counts = [
        (ROWS, ROWS_LEFT, rows),
        (CUSTOMERS, CUSTOMERS_LEFT, customers?),
        (ORDERS, ORDERS_LEFT, orders?),
        (MONEY, MONEY_LEFT, money?),
    ];
    for (name, name_left, slots) in counts {
        let is_known = |i: usize| name != MONEY || facts.reasons[i].has_money;
        // Reasons with lines of unknown money, from each reason on.
        let unknown_from =
            |from: usize| listed[from..].iter().any(|&i| !is_known(i) && !is_none[i]);
        let mut left: i128 = slots.iter().sum();
        let mut removed_column = vec![Some(0i128)];
        let mut left_column = vec![(!unknown_from(0)).then_some(left)];
        for (n, &i) in listed.iter().enumerate() {
            left -= slots[i];
            removed_column.push((is_known(i) || is_none[i]).then_some(slots[i]));
            left_column.push((!unknown_from(n + 1)).then_some(left));
        }
        let factor = (name == MONEY).then(|| facts.money.factor());
        columns.push(ledger_column(name, &removed_column, factor));
        left_columns.push(ledger_column(name_left, &left_column, factor));
    }
    columns.append(&mut left_columns);
    DataFrame::new(listed.len() + 1, columns)
}

/// Number of distinct keys by the last outcome of their rows. Rows whose first key column is null
/// are left out.
fn count_by_last_outcome(
    facts: &OrderFacts,
    outcomes: &[u8],
    key: &[&str],
) -> PolarsResult<Vec<i128>> {
    let key = key.iter().map(|name| facts.frame.column(name)).collect::<PolarsResult<Vec<_>>>()?;
    let has_key: Vec<bool> = key[0].is_not_null().iter().map(|value| value == Some(true)).collect();
    let is_later = |a: u32, b: u32| outcomes[a as usize] > outcomes[b as usize];
    let mut counts = vec![0i128; facts.reasons.len() + 1];
    for row in dedup::first_occurrences(&key, &has_key, is_later)? {
        counts[usize::from(outcomes[row as usize])] += 1;
    }
    Ok(counts)
}

/// A float column if the values are money with this factor, otherwise an integer column.
fn ledger_column(name: &str, values: &[Option<i128>], money_factor: Option<f64>) -> Column {
    let values = values.iter();
    match money_factor {
        Some(factor) => {
            let money = values.map(|value| Some((*value)? as f64 / factor));
            Column::new(name.into(), money.collect::<Vec<_>>())
        }
        None => {
            let counts = values.map(|value| Some((*value)? as i64));
            Column::new(name.into(), counts.collect::<Vec<_>>())
        }
    }
}

/// Rejected rows per reason, for the reasons that `include` selects: one line per reason with at
/// least one row, each after a line break.
pub fn describe_rejected(
    facts: &OrderFacts,
    include: impl Fn(&Reason) -> bool,
) -> PolarsResult<String> {
    let rows = facts.rows_by_reason()?;
    let rejected =
        facts.reasons.iter().zip(rows).filter(|(reason, rows)| *rows > 0 && include(reason));
    Ok(rejected
        .map(|(reason, rows)| format!("\n  {rows} rows: {}: {}", reason.step, reason.reason))
        .collect())
}
