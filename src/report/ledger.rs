//! The ledger: from source rows to accepted rows.

use polars::prelude::*;

use super::chart::{self, Axis};
use super::figure::{Figure, Kind, Section, Table, TableOf};
use super::grid::Row;
use super::{Source, format};
use crate::columns::*;
use crate::tables::TableId;

/// Reasons with a bar of their own.
const MAX_REASONS: usize = 6;

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(ledger) = source.grid(TableId::Ledger)? else { return Ok(None) };
    let rows: Vec<Row<'_>> = ledger.rows().collect();
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(None) };
    let read = first.number(ROWS_LEFT).unwrap_or(0.0);
    let accepted = last.number(ROWS_LEFT).unwrap_or(0.0);
    let lead = format!(
        "{} rows were read and {} of them ({}) were accepted. Each rejected row is counted once, \
         at the first step that rejects it. Rows and money add up from step to step.",
        format::count(read),
        format::count(accepted),
        format::share(if read > 0.0 { accepted / read } else { 0.0 }),
    );
    let (unit, unit_name) = if read < 1e7 { (1.0, "") } else { format::unit(read) };
    let row_steps = steps(&rows, [ROWS, ROWS_LEFT], unit);
    let row_chart = chart::waterfall(&row_steps, &Axis::new(format!("{unit_name}rows")));
    let money_left = rows.iter().filter_map(|row| row.number(MONEY_LEFT));
    let (unit, unit_name) = source.money.unit(money_left.map(f64::abs).fold(0.0, f64::max));
    // The money of rows that could not be read is unknown.
    let known = rows.iter().position(|row| row.number(MONEY_LEFT).is_some()).unwrap_or(0);
    let money_steps = steps(&rows[known..], [MONEY, MONEY_LEFT], unit);
    let money_chart = chart::waterfall(&money_steps, &Axis::new(unit_name));
    let table = table(&rows, source);
    let caption = "From the rows read to the rows accepted. Removed rows are red.";
    let row_figure = Figure::new("ledger-rows", "Rows", caption, table.clone());
    let caption = "The same steps in money, starting where the money of all rows is known. \
                   Removed money is red, added money is green: the total \
                   rises when rows of returns are removed.";
    let money_figure = Figure::new("ledger-money", "Money", caption, table);
    let figures = vec![row_figure.with_chart(row_chart), money_figure.with_chart(money_chart)];
    Ok(Some(Section { id: "ledger", title: "Rows read and rows accepted", lead, figures }))
}

/// The steps of a waterfall chart in multiples of `unit`: rows read, the change by each reason,
/// rows accepted. The smallest of many reasons are combined.
fn steps(rows: &[Row<'_>], [removed, left]: [&str; 2], unit: f64) -> Vec<(String, f64)> {
    let ([first, reasons @ ..], Some(last)) = (rows, rows.last()) else { return Vec::new() };
    let value = |row: &Row<'_>, column: &str| row.number(column).unwrap_or(0.0) / unit;
    let changes = reasons.iter().map(|row| {
        let reason = row.text(REASON).or(row.text(STEP)).unwrap_or("");
        (reason.to_owned(), -value(row, removed))
    });
    let mut changes: Vec<(String, f64)> = changes.filter(|(_, change)| *change != 0.0).collect();
    if changes.len() > MAX_REASONS {
        let mut sizes: Vec<f64> = changes.iter().map(|(_, change)| change.abs()).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        let (shown, others): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|(_, change)| change.abs() >= sizes[MAX_REASONS - 1]);
        changes = shown;
        let sum = others.iter().map(|(_, change)| change).sum();
        // Reasons as large as the last shown one are shown, too, so that none may be left.
        if !others.is_empty() {
            changes.push((format!("{} others", others.len()), sum));
        }
    }
    changes.insert(0, ("read".to_owned(), value(first, left)));
    changes.push(("accepted".to_owned(), value(last, left)));
    changes
}

fn table(rows: &[Row<'_>], source: &Source<'_>) -> Table {
    let money = Kind::Decimals(source.money.decimals());
    TableOf::new(rows.iter().copied())
        .text("step", STEP)
        .text("reason", REASON)
        .number_as("rows removed", "ledger.rows", ROWS, Kind::Count)
        .number_as("customers lost", "ledger.customers", CUSTOMERS, Kind::Count)
        .number_as("orders lost", "ledger.orders", ORDERS, Kind::Count)
        .number_as(&source.money.title("money removed"), "ledger.money", MONEY, money)
        .number("rows left", ROWS_LEFT, Kind::Count)
        .number("customers left", CUSTOMERS_LEFT, Kind::Count)
        .number(&source.money.title("money left"), MONEY_LEFT, money)
        .into()
}
