//! The ledger: from source rows to accepted rows.

use polars::prelude::*;

use super::figure::{Figure, Kind, Section, Table, number, text};
use super::grid::Row;
use super::series::Axis;
use super::{Source, chart, format};
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
    let money_left = rows.iter().filter_map(|row| row.number(MONEY_LEFT));
    let (unit, money_unit) = source.money.unit(money_left.map(f64::abs).fold(0.0, f64::max));
    let money_steps = steps(&rows, [MONEY, MONEY_LEFT], unit);
    let table = table(&rows, source);
    let figures = vec![
        Figure::new(
            "ledger-rows",
            "Rows",
            "From the rows read to the rows accepted. Removed rows are red.",
            table.clone(),
        )
        .with_chart(chart::waterfall(&row_steps, &Axis::new(format!("{unit_name}rows")))),
        Figure::new(
            "ledger-money",
            "Money",
            "The same steps in money. Removed money is red, added money is green: the total rises \
             when rows of returns are removed.",
            table,
        )
        .with_chart(chart::waterfall(&money_steps, &Axis::new(money_unit))),
    ];
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
        changes.push((format!("{} others", others.len()), sum));
    }
    changes.insert(0, ("read".to_owned(), value(first, left)));
    changes.push(("accepted".to_owned(), value(last, left)));
    changes
}

fn table(rows: &[Row<'_>], source: &Source<'_>) -> Table {
    let money = Kind::Decimals(source.money.decimals());
    let columns = vec![
        text("step", STEP),
        text("reason", REASON),
        number("rows removed", ROWS, Kind::Count).with_term("ledger.rows"),
        number("customers lost", CUSTOMERS, Kind::Count).with_term("ledger.customers"),
        number("orders lost", ORDERS, Kind::Count).with_term("ledger.orders"),
        number(&source.money.title("money removed"), MONEY, money).with_term("ledger.money"),
        number("rows left", ROWS_LEFT, Kind::Count),
        number("customers left", CUSTOMERS_LEFT, Kind::Count),
        number(&source.money.title("money left"), MONEY_LEFT, money),
    ];
    Table::new(rows.iter().copied(), columns)
}
