//! The ledger: what each step removed and what it left, in rows, customers, orders and money.
//!
//! A customer is left after step i where one of its rows survives that step, so one pass finds the furthest that each
//! customer gets, and the counts at every step follow from a running sum.

use polars::prelude::*;

use super::{OrderBook, all_streamed};
use crate::clean::Reason;
use crate::columns::*;

/// Code for rows that no step objects to: beyond every reason.
const ACCEPTED: u32 = u32::MAX;

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
    let fate = col(REASON).cast(DataType::UInt32).fill_null(lit(ACCEPTED)).alias(REASON);
    let rows = book.frame.clone().lazy().with_column(fate);
    let sums = [col(LINES).cast(DataType::UInt64).sum(), col(MONEY).sum()];
    let sums = rows.clone().group_by([col(REASON)]).agg(sums);
    let furthest = |key: Vec<Expr>, present: &str| {
        let known = rows.clone().filter(col(present).is_not_null());
        let each = known.group_by(key).agg([col(REASON).max()]);
        each.group_by([col(REASON)]).agg([len().alias(N)])
    };
    let customers = furthest(vec![col(CUSTOMER_ID)], CUSTOMER_ID);
    let orders = match book.has_orders {
        true => furthest(book.order_key(), ORDER_ID),
        false => furthest(book.order_key(), CUSTOMER_ID),
    };
    let [sums, customers, orders] = all_streamed([sums, customers, orders])?;
    let by_fate = |frame: &DataFrame, name: &str| -> PolarsResult<Vec<i128>> {
        // Slot i holds what reason i removes; the last slot what is accepted.
        let mut slots = vec![0i128; n + 1];
        let fates = frame.column(REASON)?.u32()?.clone();
        let values = frame.column(name)?.cast(&DataType::Int128)?;
        for (fate, value) in fates.iter().zip(values.i128()?.iter()) {
            let slot = fate.map_or(n, |fate| (fate as usize).min(n));
            slots[slot] += value.unwrap_or(0);
        }
        Ok(slots)
    };
    let removed = [by_fate(&sums, LINES)?, by_fate(&customers, N)?, by_fate(&orders, N)?, by_fate(&sums, MONEY)?];
    let shown: Vec<usize> = (0..n).filter(|&i| book.reasons[i].declared || removed[0][i] > 0).collect();
    let step = ["raw"].into_iter().chain(shown.iter().map(|&i| book.reasons[i].step.as_str()));
    let reason = [None].into_iter().chain(shown.iter().map(|&i| Some(book.reasons[i].reason.as_str())));
    let mut columns = vec![
        Column::new(STEP.into(), step.collect::<Vec<_>>()),
        Column::new(REASON.into(), reason.collect::<Vec<_>>()),
    ];
    let factor = book.money.factor();
    let names = [(ROWS, ROWS_LEFT), (CUSTOMERS, CUSTOMERS_LEFT), (ORDERS, ORDERS_LEFT), (MONEY, MONEY_LEFT)];
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
    Ok(told.map(|(reason, rows)| format!("\n  {rows} rows: {}: {}", reason.step, reason.reason)).collect())
}

fn counted(name: &str, values: &[i128], factor: f64) -> Column {
    match name {
        MONEY | MONEY_LEFT => Column::new(name.into(), values.iter().map(|&v| v as f64 / factor).collect::<Vec<_>>()),
        _ => Column::new(name.into(), values.iter().map(|&v| v as i64).collect::<Vec<_>>()),
    }
}
