//! The ledger: what each step removed and what it left, in rows, customers, orders and money.
//!
//! A customer is left after step i where one of its rows survives that step, so one pass finds the furthest that each
//! customer gets, and the counts at every step follow from a running sum.

use polars::prelude::*;

use super::OrderBook;
use crate::clean::Reason;
use crate::columns::*;
use crate::equal;

/// One row a step and reason, and a first one for the raw rows.
///
/// Columns: `step` text, `reason` text (null for the raw rows), then what was removed: `rows`, `customers`, `orders` i64,
/// `money` f64; and the same four left. Rows and money add up exactly; a customer or an order vanishes
/// with its last row.
///
/// # Errors
/// What Polars says of the aggregation.
pub fn ledger(book: &OrderBook) -> PolarsResult<DataFrame> {
    let n = book.reasons.len();
    let fates = book.fates()?;
    let furthest = |key: &[&'static str]| -> PolarsResult<Vec<i128>> {
        let key =
            key.iter().map(|name| book.frame.column(name)).collect::<PolarsResult<Vec<_>>>()?;
        let known: Vec<bool> = key[0].is_not_null().iter().map(Option::unwrap_or_default).collect();
        let further = |a: u32, b: u32| fates[a as usize] > fates[b as usize];
        let mut reached = vec![0i128; n + 1];
        let firsts = equal::firsts(&key, &known, further)?;
        firsts.into_iter().for_each(|row| reached[usize::from(fates[row as usize])] += 1);
        Ok(reached)
    };
    let ((rows, money), (customers, orders)) = rayon::join(
        || (book.by_reason(LINES), book.by_reason(MONEY)),
        || rayon::join(|| furthest(&[CUSTOMER_ID]), || furthest(book.order_key())),
    );
    // Slot i holds what reason i removes; the last slot what is accepted.
    let removed = [rows?, customers?, orders?, money?];
    let shown: Vec<usize> =
        (0..n).filter(|&i| book.reasons[i].declared || removed[0][i] > 0).collect();
    let step = ["raw"].into_iter().chain(shown.iter().map(|&i| book.reasons[i].step.as_str()));
    let reason =
        [None].into_iter().chain(shown.iter().map(|&i| Some(book.reasons[i].reason.as_str())));
    let mut columns = vec![
        Column::new(STEP.into(), step.collect::<Vec<_>>()),
        Column::new(REASON.into(), reason.collect::<Vec<_>>()),
    ];
    let factor = book.money.factor();
    let names = [
        (ROWS, ROWS_LEFT),
        (CUSTOMERS, CUSTOMERS_LEFT),
        (ORDERS, ORDERS_LEFT),
        (MONEY, MONEY_LEFT),
    ];
    let mut left_columns = Vec::new();
    for ((name, name_left), slots) in names.into_iter().zip(&removed) {
        let mut left: i128 = slots.iter().sum();
        let (mut gone, mut stayed) = (vec![0i128], vec![left]);
        for &i in &shown {
            left -= slots[i];
            gone.push(slots[i]);
            stayed.push(left);
        }
        columns.push(counted(name, &gone, factor));
        left_columns.push(counted(name_left, &stayed, factor));
    }
    columns.append(&mut left_columns);
    DataFrame::new(shown.len() + 1, columns)
}

/// How many rows went for which reason, a line each; nothing where none went.
///
/// # Errors
/// What Polars says.
pub fn reasons(book: &OrderBook) -> PolarsResult<String> {
    in_words(book, |_| true)
}

/// As [`reasons`], of some reasons.
///
/// # Errors
/// What Polars says.
pub fn in_words(book: &OrderBook, told: impl Fn(&Reason) -> bool) -> PolarsResult<String> {
    let rows = book.rows_by_reason()?;
    let told = book.reasons.iter().zip(rows).filter(|(reason, rows)| *rows > 0 && told(reason));
    Ok(told
        .map(|(reason, rows)| format!("\n  {rows} rows: {}: {}", reason.step, reason.reason))
        .collect())
}

fn counted(name: &str, values: &[i128], factor: f64) -> Column {
    match name {
        MONEY | MONEY_LEFT => {
            Column::new(name.into(), values.iter().map(|&v| v as f64 / factor).collect::<Vec<_>>())
        }
        _ => Column::new(name.into(), values.iter().map(|&v| v as i64).collect::<Vec<_>>()),
    }
}
