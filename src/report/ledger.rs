//! The ledger: from source rows to accepted rows.

use polars::prelude::*;

use super::chart::{self, Axis, Data};
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
    let removed = removed(&rows);
    let names: Vec<&str> = removed.iter().map(|(name, _)| name.as_str()).collect();
    let data = [Data::new("rows", removed.iter().map(|(_, rows)| Some(*rows)))];
    let axis = Axis { min: Some(0.0), ..Axis::new("rows removed") };
    let chart = (!names.is_empty()).then(|| chart::horizontal_bars(&names, &data, &axis));
    let mut caption = "Rows removed by reason, and what is left after each step. Money that is \
                       removed may be negative: the total rises when rows of returns are removed."
        .to_owned();
    if let Some((name, rows)) = removed.iter().max_by(|a, b| a.1.total_cmp(&b.1)) {
        caption += &format!(" The most frequent reason is {name}, {} rows.", format::count(*rows));
    }
    let figure = Figure::new("ledger-rows", "Rows", caption, table(&rows, source));
    let mut figures = vec![figure.with_chart(chart)];
    figures.extend(examples(source)?);
    figures.extend(checks(source));
    Ok(Some(Section { id: "ledger", title: "Data quality", lead, figures }))
}

/// A rejected row for each reason.
fn examples(source: &Source<'_>) -> PolarsResult<Option<Figure>> {
    let Some(examples) = source.grid(TableId::Rejects)? else { return Ok(None) };
    let file = |row: &Row<'_>| {
        let path = row.text(SOURCE_FILE).unwrap_or("");
        path.rsplit('/').next().unwrap_or(path).to_owned()
    };
    let table = TableOf::new(examples.rows())
        .text("reason", REASON)
        .text_of("file", SOURCE_FILE, file)
        .number("row", SOURCE_ROW, Kind::Count)
        .text_of("value", TEXT, |row| row.text(TEXT).unwrap_or(""));
    let caption = "The first rejected row of each reason. rejects.parquet has all.";
    Ok(Some(Figure::new("rejects", "Examples", caption, table)))
}

/// The results of the checks. `None` without checks.
fn checks(source: &Source<'_>) -> Option<Figure> {
    let checks = &source.manifest.checks;
    let passed = checks.iter().filter(|check| check.passed).count();
    let table = TableOf::new(checks)
        .text_of("check", "", |check| format!("{} {}", check.check, check.on))
        .text_of("expected", "", |check| check.expected.clone())
        .number_of("measured", "", Kind::Short, |check| check.measured)
        .text_of("result", "", |check| if check.passed { "passed" } else { "failed" });
    let caption = format!("{passed} of {} checks passed.", checks.len());
    (!checks.is_empty()).then(|| Figure::new("checks", "Checks", caption, table))
}

/// The reasons that removed rows, with their number. The smallest of many reasons are combined.
fn removed(rows: &[Row<'_>]) -> Vec<(String, f64)> {
    let removed = rows.iter().skip(1).filter_map(|row| {
        let reason = row.text(REASON).or(row.text(STEP)).unwrap_or("");
        Some((reason.to_owned(), row.number(ROWS).filter(|rows| *rows > 0.0)?))
    });
    let mut removed: Vec<(String, f64)> = removed.collect();
    if removed.len() > MAX_REASONS {
        let mut sizes: Vec<f64> = removed.iter().map(|(_, rows)| *rows).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        let (shown, others): (Vec<_>, Vec<_>) =
            removed.into_iter().partition(|(_, rows)| *rows >= sizes[MAX_REASONS - 1]);
        removed = shown;
        // Reasons as large as the last shown one are shown, too, so that none may be left.
        if !others.is_empty() {
            let sum = others.iter().map(|(_, rows)| rows).sum();
            removed.push((format!("{} others", others.len()), sum));
        }
    }
    removed
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
