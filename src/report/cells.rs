//! Customers by recency and frequency score.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::Source;
use super::figure::{Cell, Figure, Kind, Table, TableOf};
use super::format;
use super::grid::Grid;
use super::values::{column, score_count};
use crate::columns::*;
use crate::score::Dimension;

/// The customers with one recency and one frequency score.
#[derive(Default, Clone)]
struct Customers<'a> {
    count: f64,
    money: f64,
    segments: BTreeMap<&'a str, u32>,
}

impl Customers<'_> {
    /// The segment of most of the customers, and the number of others: `Champions +1`.
    fn name(&self) -> String {
        let Some((name, _)) = self.segments.iter().max_by_key(|(_, customers)| **customers) else {
            return String::new();
        };
        match self.segments.len() - 1 {
            0 => (*name).to_owned(),
            others => format!("{name} +{others}"),
        }
    }
}

/// Customers with their segments, and mean monetary value, by recency score (rows, best first) and
/// frequency score.
pub(super) fn figures(bins: &Grid, source: &Source<'_>) -> PolarsResult<[Figure; 2]> {
    let (recency, frequency) = (column(source, R_SCORE)?, column(source, F_SCORE)?);
    let money = column(source, MONETARY)?;
    let segments = source.newest.column(SEGMENT)?.cast(&DataType::String)?;
    let n_recency = score_count(Dimension::Recency, bins, &recency);
    let n_frequency = score_count(Dimension::Frequency, bins, &frequency);
    let mut cells = vec![Customers::default(); n_recency * n_frequency];
    let scores = recency.iter().zip(&frequency);
    for (((r, f), money), segment) in scores.zip(&money).zip(segments.str()?.iter()) {
        let row = n_recency - *r as usize;
        let cell = row * n_frequency + (*f as usize).saturating_sub(1);
        if let Some(cell) = cells.get_mut(cell) {
            cell.count += 1.0;
            cell.money += money;
            *cell.segments.entry(segment.unwrap_or("")).or_default() += 1;
        }
    }
    let table = |cell: &dyn Fn(&Customers<'_>) -> Cell| {
        let rows = TableOf::new(0..n_recency);
        let score = |row: &usize| format!("R {}", n_recency - row);
        let table = rows.text_of("scores", R_SCORE, score);
        let add = |table: TableOf<usize>, f: usize| {
            let title = format!("F {}", f + 1);
            table.cells(&title, "", |row| cell(&cells[row * n_frequency + f]))
        };
        Table::from((0..n_frequency).fold(table, add)).shaded_from(1)
    };
    let best = cells.iter().max_by(|a, b| a.count.total_cmp(&b.count));
    let mut caption = "Number of customers with each recency score (R) and frequency score (F), \
                       and their segment. The best customers are at the top right, the lost ones \
                       at the bottom left."
        .to_owned();
    if cells.iter().any(|cell| cell.segments.len() > 1) {
        caption += " “+1” means one other segment.";
    }
    if let Some(best) = best.filter(|best| best.count > 0.0) {
        caption += &format!(
            " The largest cell has {} customers: {}.",
            format::count(best.count),
            best.name()
        );
    }
    let title = "Segments by recency and frequency";
    let named = table(&|cell| Cell { note: cell.name(), ..Kind::Count.cell(Some(cell.count)) });
    let count_figure = Figure::new("cells-customers", title, caption, named);
    let title = "Revenue per customer by recency and frequency";
    let caption = source.money.title("Mean monetary value of the customers with each two scores");
    let largest = cells.iter().map(|cell| cell.money / cell.count.max(1.0)).fold(0.0, f64::max);
    let kind = Kind::Decimals(if largest < 100.0 { source.money.decimals() } else { 0 });
    let mean = |cell: &Customers<'_>| (cell.count > 0.0).then(|| cell.money / cell.count);
    let means = table(&|cell| kind.cell(mean(cell)));
    let money_figure = Figure::new("cells-money", title, format!("{caption}."), means);
    Ok([count_figure, money_figure])
}
