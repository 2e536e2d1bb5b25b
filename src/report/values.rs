//! Recency, frequency and monetary value of all customers at the newest snapshot: where they lie, and where they are cut.

use polars::prelude::*;

use super::chart::{self, Axis, Data, Ink};
use super::figure::{Cell, Figure, Section, Table, number, text};
use super::grid::{Grid, Row, numbers};
use super::{Source, words};
use crate::columns::*;
use crate::score::Dimension;

/// Bars of a histogram over even steps, at most.
const BARS: f64 = 24.0;
/// Where bars begin within a power of ten, where values are many times as large as others.
const DECADE: [f64; 6] = [1.0, 1.5, 2.0, 3.0, 5.0, 7.0];
/// Shares of customers at which the table of the Pareto curve tells the share of money.
const TOLD: [f64; 6] = [0.01, 0.05, 0.1, 0.2, 0.5, 1.0];

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(bins) = source.grid("score_bins")? else { return Ok(None) };
    let mut figures = cells(source)?;
    for dimension in Dimension::ALL {
        figures.push(distribution(dimension, &bins, source)?);
    }
    figures.push(cuts(&bins, source));
    let lead = format!(
        "All {} customers at {}. Each dimension is cut into bins of about as many customers, as far as equal values allow; \
         what is recent, frequent or worth much scores high.",
        words::count(source.newest.height() as f64),
        source.snapshot
    );
    Ok(Some(Section { id: "values", title: "Recency, frequency and money", lead, figures }))
}

/// A column of the customers; what is null counts in nothing.
fn column(source: &Source<'_>, name: &str) -> PolarsResult<Vec<f64>> {
    Ok(numbers(source.newest.column(name)?)?.into_iter().flatten().collect())
}

/// How many customers, and how much money by customer, for each pair of a recency and a frequency score.
fn cells(source: &Source<'_>) -> PolarsResult<Vec<Figure>> {
    let scores = [R_SCORE, F_SCORE, MONETARY].map(|name| column(source, name));
    let [r, f, money] = scores;
    let (r, f, money) = (r?, f?, money?);
    let largest = |scores: &[f64]| scores.iter().copied().fold(1.0, f64::max) as usize;
    let (n_r, n_f) = (largest(&r), largest(&f));
    let (mut customers, mut spent) = (vec![0.0; n_r * n_f], vec![0.0; n_r * n_f]);
    for ((r, f), money) in r.iter().zip(&f).zip(&money) {
        // The best recency stands at the top.
        let at = (n_r - *r as usize) * n_f + *f as usize - 1;
        customers[at] += 1.0;
        spent[at] += money;
    }
    let mean: Vec<f64> = spent.iter().zip(&customers).map(|(spent, n): (&f64, &f64)| spent / n.max(1.0)).collect();
    let x: Vec<String> = (1..=n_f).map(|score| format!("F {score}")).collect();
    let y: Vec<String> = (1..=n_r).rev().map(|score| format!("R {score}")).collect();
    let table = || {
        let columns = vec![
            number("recency score", R_SCORE),
            number("frequency score", F_SCORE),
            number("customers", CUSTOMERS),
            number(&source.money.named("money a customer"), MONETARY),
        ];
        let rows = (0..n_r * n_f).map(|at| {
            vec![
                Cell::count(Some((n_r - at / n_f) as f64)),
                Cell::count(Some((at % n_f + 1) as f64)),
                Cell::count(Some(customers[at])),
                Cell::money(Some(mean[at]).filter(|_| customers[at] > 0.0), &source.money),
            ]
        });
        Table::new(columns, rows.collect())
    };
    let counts = Figure::new(
        "cells-customers",
        "Customers by recency and frequency",
        "How many customers have each pair of scores. The best are at the top right, the lost at the bottom left.",
        table(),
    );
    let worth = Figure::new(
        "cells-money",
        source.money.named("Money a customer by recency and frequency"),
        "The mean monetary value of the customers of each cell.",
        table(),
    );
    let title = "frequency score";
    Ok(vec![counts.drawn(chart::heatmap(&x, &y, &customers, title)), worth.drawn(chart::heatmap(&x, &y, &mean, title))])
}

/// How much of the money the biggest spenders bring.
pub(super) fn pareto(source: &Source<'_>) -> PolarsResult<Figure> {
    let mut sorted = column(source, MONETARY)?;
    sorted.sort_by(|a, b| b.total_cmp(a));
    let sums: Vec<f64> = std::iter::once(0.0)
        .chain(sorted.iter().scan(0.0, |sum, money| {
            *sum += money;
            Some(*sum)
        }))
        .collect();
    let all = sums.last().copied().filter(|all| *all != 0.0);
    // Of so many customers; part of one counts as a whole one.
    let share = |of: f64| all.map(|all| sums[((of * sorted.len() as f64).ceil() as usize).min(sorted.len())] / all);
    // The first few of them often bring most, so that steps are finer there.
    let x: Vec<f64> = (0..20).map(|tenth| f64::from(tenth) / 10.0).chain((2..=100).map(f64::from)).collect();
    let data = [
        Data::new("money", x.iter().map(|x| share(x / 100.0).map(|share| 100.0 * share)), Ink::First),
        Data::new("if all had spent the same", [Some(0.0), Some(100.0)], Ink::Muted).dashed(),
    ];
    let rows = TOLD.map(|of| vec![Cell::share(Some(of)), Cell::share(share(of))]);
    let table = Table::new(
        vec![number("customers, the biggest first", "pareto"), number("share of money", "pareto")],
        rows.into(),
    );
    let reading = format!(
        "The biggest fifth of the customers brought {} of the money.",
        share(0.2).map_or_else(|| words::NOTHING.to_owned(), words::share)
    );
    let x_axis = Axis::percent("share of customers, the biggest spenders first").from(0.0, 100.0);
    Ok(Figure::new("pareto", "Who brings the money", reading, table).drawn(chart::lines(
        &[x, vec![0.0, 100.0]],
        &data,
        &x_axis,
        &Axis::percent("share of money").from(0.0, 100.0),
    )))
}

/// Where the customers lie along a dimension, each bar parted by the scores of those in it.
fn distribution(dimension: Dimension, bins: &Grid, source: &Source<'_>) -> PolarsResult<Figure> {
    let of = |row: &Row<'_>| row.is(SNAPSHOT, &source.snapshot) && row.is(DIMENSION, dimension.value());
    let values = column(source, dimension.value())?;
    let scores = column(source, dimension.score())?;
    let edges = edges(&values, dimension);
    let highest = scores.iter().copied().fold(1.0, f64::max) as usize;
    let mut counts = vec![vec![0.0; edges.len()]; highest];
    for (value, score) in values.iter().zip(&scores) {
        let bar = edges.partition_point(|edge| edge <= value).saturating_sub(1);
        counts[*score as usize - 1][bar] += 1.0;
    }
    let data: Vec<Data> = counts
        .iter()
        .enumerate()
        .rev()
        .map(|(idx, counts)| {
            let shade = if highest > 1 { idx as f64 / (highest - 1) as f64 } else { 1.0 };
            let seen = counts.iter().map(|count| Some(*count).filter(|count| *count > 0.0));
            Data::new(&format!("score {}", idx + 1), seen, Ink::Shade(shade))
        })
        .collect();
    let (title, x_title) = match dimension {
        Dimension::Recency => ("Recency".to_owned(), "days since the last order".to_owned()),
        Dimension::Frequency => ("Frequency".to_owned(), frequency(source)),
        Dimension::Monetary => ("Monetary value".to_owned(), source.money.named("money")),
    };
    let columns = vec![number(&x_title, dimension.value()), number("customers", CUSTOMERS)];
    let rows = edges.iter().enumerate().map(|(bar, edge)| {
        let customers = counts.iter().map(|counts| counts[bar]).sum();
        vec![Cell::places(Some(*edge), usize::from(edge.fract() != 0.0) * 2), Cell::count(Some(customers))]
    });
    let bins = bins.rows().find(of).map(|row| (row.number(ASKED_BINS), row.number(ACHIEVED_BINS)));
    let reading = match bins {
        Some((Some(asked), Some(achieved))) if achieved < asked => format!(
            "Customers by {x_title}; each bar begins at its label. {asked} bins were asked for and {achieved} hold customers: \
             equal values are never parted."
        ),
        _ => format!("Customers by {x_title}; each bar begins at its label, and its shade is the score."),
    };
    let labels: Vec<String> = edges.iter().map(|edge| short(*edge)).collect();
    let figure =
        Figure::new(format!("values-{}", dimension.value()), title, reading, Table::new(columns, rows.collect()));
    Ok(figure.drawn(chart::columns(&labels, &data, &x_title, &Axis::amount("customers"), true)))
}

/// Where each dimension is cut, and how many customers that gives each score.
fn cuts(bins: &Grid, source: &Source<'_>) -> Figure {
    let columns = vec![
        text("dimension", DIMENSION),
        number("score", SCORE),
        number("from", LOWER),
        number("to", UPPER),
        number("customers", CUSTOMERS),
    ];
    let rows = bins.rows().filter(|row| row.is(SNAPSHOT, &source.snapshot)).map(|row| {
        let end = |value: Option<f64>| match row.is(DIMENSION, MONETARY) {
            true => Cell::money(value, &source.money),
            false => Cell::places(value, value.map_or(0, |value| usize::from(value.fract() != 0.0) * 2)),
        };
        vec![
            Cell::text(row.text(DIMENSION).unwrap_or_default()),
            Cell::count(row.number(SCORE)),
            end(row.number(LOWER)),
            end(row.number(UPPER)),
            Cell::count(row.number(CUSTOMERS)),
        ]
    });
    Figure::new(
        "cuts",
        "Where they are cut",
        "The cut points of each dimension, and the customers between them; the outermost bins are open.",
        Table::new(columns, rows.collect()),
    )
}

/// What frequency counts.
fn frequency(source: &Source<'_>) -> String {
    source.manifest["definition"]["rfm"]["frequency"].as_str().unwrap_or("orders").to_owned()
}

/// Where bars begin: at even steps for days, within powers of ten for what some have many times as much of as others.
fn edges(values: &[f64], dimension: Dimension) -> Vec<f64> {
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    if values.is_empty() {
        return vec![0.0];
    }
    if dimension == Dimension::Recency || high <= 0.0 {
        let step = [1.0, 2.0, 5.0]
            .iter()
            .flat_map(|unit| (0..12).map(move |power| unit * 10f64.powi(power)))
            .filter(|step| (high - low) / step <= BARS)
            .fold(f64::INFINITY, f64::min);
        let first = if step.is_finite() { (low / step).floor() * step } else { low };
        let bars = if step.is_finite() { ((high - first) / step) as usize + 1 } else { 1 };
        return (0..bars).map(|bar| first + step * bar as f64).collect();
    }
    let whole = dimension == Dimension::Frequency;
    let decades = (-2..13).flat_map(|power| DECADE.map(|unit| unit * 10f64.powi(power)));
    let mut edges: Vec<f64> = decades.filter(|edge| *edge <= high && !(whole && edge.fract() != 0.0)).collect();
    let smallest = values.iter().copied().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    edges.drain(..edges.partition_point(|edge| *edge <= smallest).saturating_sub(1));
    if low <= 0.0 {
        edges.insert(0, low.floor());
    }
    edges
}

/// A number in few characters: `1.5k`.
fn short(value: f64) -> String {
    let (by, name) = match value.abs() {
        big if big >= 1e9 => (1e9, "bn"),
        big if big >= 1e6 => (1e6, "m"),
        big if big >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let text = format!("{:.2}", value / by);
    format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::{edges, short};
    use crate::score::Dimension;

    #[test]
    fn every_value_lies_in_a_bar_and_every_bar_could_hold_one() {
        for (values, dimension, expected) in [
            (&[1.0, 374.0][..], Dimension::Recency, 19),
            (&[1.0, 1.0], Dimension::Recency, 1),
            (&[7.0], Dimension::Frequency, 1),
            (&[1.0, 12.0], Dimension::Frequency, 6),
            (&[-3.5, 0.0, 20.0], Dimension::Monetary, 2),
            (&[3.75, 30.0], Dimension::Monetary, 7),
            (&[-3.0, -1.0], Dimension::Monetary, 3),
            (&[0.0, 0.0], Dimension::Monetary, 1),
        ] {
            let edges = edges(values, dimension);
            assert_eq!(edges.len(), expected, "{values:?}: {edges:?}");
            assert!(edges.is_sorted() && values.iter().all(|value| edges[0] <= *value), "{values:?}: {edges:?}");
        }
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([0.0, 1.5, 15.0, 1500.0, 2e6, -0.5].map(short), ["0", "1.5", "15", "1.5k", "2m", "-0.5"]);
    }
}
