//! Cohorts: customers by their first purchase, and how many came back.

use polars::prelude::*;

use super::Source;
use super::figure::{Figure, Kind, Section, Table, TableOf};
use super::format;
use super::grid::{Grid, Row, distinct};
use crate::columns::*;
use crate::tables::TableId;

/// Cohorts shown, the newest.
const MAX_COHORTS: usize = 24;
/// Periods shown after the first.
const MAX_PERIODS: usize = 12;

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(table) = source.grid(TableId::Cohorts)? else { return Ok(None) };
    let options = &source.manifest.definition["evaluate"]["cohorts"];
    let period = options["by"].as_str().unwrap_or("month");
    let cohorts = Cohorts::new(&table, period);
    let all = distinct(table.rows(), COHORT).len();
    let mut lead = format!(
        "Customers by the {period} of their first purchase: {all} cohorts. The first one also \
         contains customers who bought before the source begins.",
    );
    let later = [1, 6].into_iter().filter_map(|n| {
        let plural = if n == 1 { "" } else { "s" };
        let share = format::share(came_back(&table, n)?);
        Some(format!("{share} bought again {n} {period}{plural} later"))
    });
    let later: Vec<String> = later.collect();
    if !later.is_empty() {
        lead += &format!(" Of the others, {}.", later.join(", "));
    }
    if all > MAX_COHORTS {
        lead += &format!(" The tables show the newest {MAX_COHORTS}, the Parquet file all.");
    }
    let retention = Figure::new(
        "cohort-retention",
        "Customers who came back",
        format!(
            "Share of each cohort that bought in each {period} after its first, in per cent. The \
             last {period} of each row may not have ended. Darker cells have larger numbers."
        ),
        Table::from(cohorts.table(RETENTION, Kind::Share)).shaded_from(3),
    )
    .filterable();
    let money = Kind::Decimals(source.money.decimals());
    let revenue = Figure::new(
        "cohort-money",
        &source.money.title("Revenue per customer"),
        format!(
            "All that a customer of the cohort spent until the end of each {period}, on average."
        ),
        Table::from(cohorts.table(CUMULATIVE_MONEY_MEAN, money)).shaded_from(2),
    );
    let figures = vec![retention, revenue];
    Ok(Some(Section { id: "cohorts", title: "Cohorts", lead, figures }))
}

/// Share of all customers who bought in the n-th period after the first, of the cohorts after the
/// first one for which it has ended.
fn came_back(table: &Grid, n: usize) -> Option<f64> {
    let rows = table.rows().filter(|row| row.number(PERIOD) == Some(n as f64));
    let first = table.rows().next()?.text(COHORT)?;
    let rows = rows.filter(|row| row.number(COMPLETE) == Some(1.0) && !row.is(COHORT, first));
    let rows: Vec<Row<'_>> = rows.collect();
    let sum = |column: &str| rows.iter().filter_map(|row| row.number(column)).sum::<f64>();
    let customers = sum(CUSTOMERS);
    (customers > 0.0).then(|| sum(BUYERS) / customers)
}

/// The newest cohorts as rows, their periods as columns.
struct Cohorts<'a> {
    period: &'a str,
    names: Vec<&'a str>,
    /// Rows of the table by cohort.
    rows: Vec<Vec<Row<'a>>>,
    /// Number of periods shown.
    periods: usize,
}

impl<'a> Cohorts<'a> {
    fn new(table: &'a Grid, period: &'a str) -> Self {
        let mut names = distinct(table.rows(), COHORT);
        names.drain(..names.len().saturating_sub(MAX_COHORTS));
        let rows: Vec<Vec<Row<'_>>> =
            names.iter().map(|name| table.rows_with(COHORT, name)).collect();
        let periods = rows.iter().map(Vec::len).max().unwrap_or(0).min(MAX_PERIODS + 1);
        Self { period, names, rows, periods }
    }

    /// `2011-03` for months, `2011 Q1` for quarters.
    fn label(&self, cohort: usize) -> String {
        let name = self.names[cohort];
        let (year, month) = (name.get(..4).unwrap_or(""), name.get(5..7).unwrap_or(""));
        match self.period {
            "month" => format!("{year}-{month}"),
            "quarter" => format!("{year} Q{}", month.parse().unwrap_or(1usize).div_ceil(3)),
            _ => name.to_owned(),
        }
    }

    fn value(&self, cohort: usize, period: usize, column: &str) -> Option<f64> {
        self.rows[cohort].get(period)?.number(column)
    }

    fn table(&self, column: &str, kind: Kind) -> TableOf<usize> {
        let table = TableOf::new(0..self.names.len())
            .text_of("cohort", COHORT, |cohort| self.label(*cohort))
            .number_of("customers", CUSTOMERS, Kind::Count, |cohort| {
                self.value(*cohort, 0, CUSTOMERS)
            });
        (0..self.periods).fold(table, |table, period| {
            let value = |cohort: &usize| self.value(*cohort, period, column);
            table.number_of(&period.to_string(), "", kind, value)
        })
    }
}
