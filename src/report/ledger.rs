//! From raw rows to accepted ones.

use polars::prelude::*;

use super::chart::{self, Axis};
use super::figure::{Cell, Figure, Section, Table, number, text};
use super::grid::{Grid, Row};
use super::{Source, words};
use crate::columns::*;

/// How many reasons have a bar of their own.
const SHOWN: usize = 6;

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(ledger) = source.grid("ledger")? else { return Ok(None) };
    let rows: Vec<Row<'_>> = ledger.rows().collect();
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(None) };
    let of = |row: &Row<'_>, column: &str| row.number(column).unwrap_or_default();
    let (raw, accepted) = (of(first, ROWS_LEFT), of(last, ROWS_LEFT));
    let lead = format!(
        "{} rows were read, and {} of them ({}) count. Every other row was turned away by the first step that objected to it; rows \
         and money add up, step by step.",
        words::count(raw),
        words::count(accepted),
        words::share(if raw > 0.0 { accepted / raw } else { 0.0 }),
    );
    let table = || table(&ledger, source);
    let (unit, unit_name) = if raw < 1e7 { (1.0, "") } else { words::unit(raw) };
    let reading = "From the rows that were read to those that count; what went is red.";
    let in_rows = Figure::new("ledger-rows", "Rows", reading, table()).drawn(chart::waterfall(
        &steps(&rows, ROWS, ROWS_LEFT, unit),
        &Axis::new(format!("{unit_name}rows")),
    ));
    let largest = rows.iter().map(|row| of(row, MONEY_LEFT).abs()).fold(0.0, f64::max);
    let (unit, unit_name) = source.money.unit(largest);
    let in_money = Figure::new(
        "ledger-money",
        "Money",
        "The same steps in money; what went is red, what came back is green: without rows of returns, money is more.",
        table(),
    )
    .drawn(chart::waterfall(&steps(&rows, MONEY, MONEY_LEFT, unit), &Axis::new(unit_name)));
    Ok(Some(Section {
        id: "ledger",
        title: "What was read, and what counts",
        lead,
        figures: vec![in_rows, in_money],
    }))
}

/// What each reason took away, from what was read to what is left; small ones of many together.
fn steps(rows: &[Row<'_>], removed: &str, left: &str, unit: f64) -> Vec<(String, f64)> {
    let value = |row: &Row<'_>, column: &str| row.number(column).unwrap_or_default() / unit;
    let mut taken: Vec<(String, f64)> = rows[1..]
        .iter()
        .map(|row| {
            (
                row.text(REASON).or(row.text(STEP)).unwrap_or_default().to_owned(),
                -value(row, removed),
            )
        })
        .filter(|(_, taken)| *taken != 0.0)
        .collect();
    if taken.len() > SHOWN {
        let mut by_size: Vec<f64> = taken.iter().map(|(_, taken)| taken.abs()).collect();
        by_size.sort_by(|a, b| b.total_cmp(a));
        let smallest = by_size[SHOWN - 1];
        let (shown, others): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(|(_, taken)| taken.abs() >= smallest);
        taken = shown;
        taken.push((
            format!("{} others", others.len()),
            others.iter().map(|(_, taken)| taken).sum(),
        ));
    }
    let end = |row: Option<&Row<'_>>| row.map_or(0.0, |row| value(row, left));
    let mut steps = vec![("read".to_owned(), end(rows.first()))];
    steps.extend(taken);
    steps.push(("accepted".to_owned(), end(rows.last())));
    steps
}

fn table(ledger: &Grid, source: &Source<'_>) -> Table {
    let columns = vec![
        text("step", STEP),
        text("reason", REASON),
        number("rows removed", "ledger.rows"),
        number("customers lost", "ledger.customers"),
        number("orders lost", "ledger.orders"),
        number(&source.money.named("money removed"), "ledger.money"),
        number("rows left", ROWS_LEFT),
        number("customers left", CUSTOMERS_LEFT),
        number(&source.money.named("money left"), MONEY_LEFT),
    ];
    let rows = ledger.rows().map(|row| {
        vec![
            Cell::text(row.text(STEP).unwrap_or_default()),
            Cell::text(row.text(REASON).unwrap_or_default()),
            Cell::count(row.number(ROWS)),
            Cell::count(row.number(CUSTOMERS)),
            Cell::count(row.number(ORDERS)),
            Cell::money(row.number(MONEY), &source.money),
            Cell::count(row.number(ROWS_LEFT)),
            Cell::count(row.number(CUSTOMERS_LEFT)),
            Cell::money(row.number(MONEY_LEFT), &source.money),
        ]
    });
    Table::new(columns, rows.collect())
}
