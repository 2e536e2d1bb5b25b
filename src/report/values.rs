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
    let mut figures = cells(&bins, source)?;
    for dimension in Dimension::ALL {
        figures.push(distribution(dimension, &bins, source)?);
    }
    figures.push(cuts(&bins, source));
    let lead = format!(
        "All {} customers at {}. Scores begin at 1; what is recent, frequent or worth much scores high. Monetary value is {}.",
        words::count(source.newest.height() as f64),
        source.snapshot,
        monetary(source)
    );
    Ok(Some(Section { id: "values", title: "Recency, frequency and money", lead, figures }))
}

/// A column of the customers; what is null counts in nothing.
fn column(source: &Source<'_>, name: &str) -> PolarsResult<Vec<f64>> {
    Ok(numbers(source.newest.column(name)?)?.into_iter().flatten().collect())
}

/// How many customers, and how much money by customer, for each pair of a recency and a frequency score.
fn cells(bins: &Grid, source: &Source<'_>) -> PolarsResult<Vec<Figure>> {
    let scores = [R_SCORE, F_SCORE, MONETARY].map(|name| column(source, name));
    let [r, f, money] = scores;
    let (r, f, money) = (r?, f?, money?);
    // As many as were asked for: the highest that anybody has may be lower.
    let asked = |dimension: Dimension, scores: &[f64]| {
        let rows = bins.rows().filter(|row| row.is(DIMENSION, dimension.value()));
        rows.filter_map(|row| row.number(ASKED_BINS))
            .chain(scores.iter().copied())
            .fold(1.0, f64::max) as usize
    };
    let (n_r, n_f) = (asked(Dimension::Recency, &r), asked(Dimension::Frequency, &f));
    let (mut customers, mut spent) = (vec![0.0; n_r * n_f], vec![0.0; n_r * n_f]);
    for ((r, f), money) in r.iter().zip(&f).zip(&money) {
        // The best recency stands at the top.
        let at = (n_r - *r as usize) * n_f + (*f as usize).saturating_sub(1);
        if let (Some(customers), Some(spent)) = (customers.get_mut(at), spent.get_mut(at)) {
            *customers += 1.0;
            *spent += money;
        }
    }
    let mean: Vec<f64> =
        spent.iter().zip(&customers).map(|(spent, n): (&f64, &f64)| spent / n.max(1.0)).collect();
    let x: Vec<String> = (1..=n_f).map(|score| format!("F {score}")).collect();
    let y: Vec<String> = (1..=n_r).rev().map(|score| format!("R {score}")).collect();
    let table = || {
        let columns = vec![
            number("recency score", R_SCORE),
            number("frequency score", F_SCORE),
            number("customers", CUSTOMERS),
            number(&source.money.named("monetary value, mean"), MONETARY),
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
    let largest = mean.iter().copied().fold(0.0, f64::max);
    let (unit, unit_name) = if largest < 1e6 {
        (1.0, source.money.currency.clone())
    } else {
        source.money.unit(largest)
    };
    let worth = Figure::new(
        "cells-money",
        "Monetary value by recency and frequency",
        format!(
            "The mean by customer of each cell{}; 0 where there is nobody.",
            in_units(&unit_name)
        ),
        table(),
    );
    let drawn: Vec<f64> = mean.iter().map(|mean| mean / unit).collect();
    let title = "frequency score";
    Ok(vec![
        counts.drawn(chart::heatmap(&x, &y, &customers, title)),
        worth.drawn(chart::heatmap(&x, &y, &drawn, title)),
    ])
}

/// How much of the money the biggest spenders bring.
pub(super) fn pareto(source: &Source<'_>) -> PolarsResult<Option<Figure>> {
    // Means of orders or days add up to nothing.
    if !["", "net", "gross"].contains(&source.monetary()) {
        return Ok(None);
    }
    let mut sorted = column(source, MONETARY)?;
    sorted.sort_by(|a, b| b.total_cmp(a));
    let sums: Vec<f64> = std::iter::once(0.0)
        .chain(sorted.iter().scan(0.0, |sum, money| {
            *sum += money;
            Some(*sum)
        }))
        .collect();
    let Some(all) = sums.last().copied().filter(|all| *all > 0.0) else { return Ok(None) };
    // Of so many customers; part of one counts as a whole one.
    let share =
        |of: f64| sums[((of * sorted.len() as f64).ceil() as usize).min(sorted.len())] / all;
    // The first few of them often have most, so that steps are finer there.
    let x: Vec<f64> =
        (0..20).map(|tenth| f64::from(tenth) / 10.0).chain((2..=100).map(f64::from)).collect();
    let data = [
        Data::new("monetary value", x.iter().map(|x| Some(100.0 * share(x / 100.0))), Ink::First),
        Data::new("if all had the same", [Some(0.0), Some(100.0)], Ink::Muted).dashed(),
    ];
    let rows = TOLD.map(|of| vec![Cell::share(Some(of)), Cell::share(Some(share(of)))]);
    let columns = vec![
        number("customers, the biggest first", "pareto"),
        number("share of monetary value", "pareto"),
    ];
    let reading = format!(
        "The biggest fifth of the customers has {} of all monetary value, which is {}.",
        words::share(share(0.2)),
        monetary(source)
    );
    let x_axis = Axis::percent("share of customers, the biggest first").from(0.0, 100.0);
    let y_axis = Axis::percent("share of monetary value");
    // With returns the first of them may have more than all.
    let most = data[0].values.iter().flatten().copied().fold(100.0, f64::max);
    let y_axis = if most > 100.0 { y_axis } else { y_axis.from(0.0, 100.0) };
    let figure =
        Figure::new("pareto", "Who brings the money", reading, Table::new(columns, rows.into()));
    Ok(Some(figure.drawn(chart::lines(&[x, vec![0.0, 100.0]], &data, &x_axis, &y_axis))))
}

/// Where the customers lie along a dimension, each bar parted by the scores of those in it.
fn distribution(dimension: Dimension, bins: &Grid, source: &Source<'_>) -> PolarsResult<Figure> {
    let of =
        |row: &Row<'_>| row.is(SNAPSHOT, &source.snapshot) && row.is(DIMENSION, dimension.value());
    let values = column(source, dimension.value())?;
    let scores = column(source, dimension.score())?;
    let edges = edges(&values, dimension);
    let highest = scores.iter().copied().fold(1.0, f64::max) as usize;
    let mut counts = vec![vec![0.0; edges.len()]; highest];
    for (value, score) in values.iter().zip(&scores) {
        let bar = edges.partition_point(|edge| edge <= value).saturating_sub(1);
        if let Some(counts) = counts.get_mut((*score as usize).saturating_sub(1)) {
            counts[bar] += 1.0;
        }
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
        Dimension::Frequency => ("Frequency".to_owned(), source.frequency().to_owned()),
        Dimension::Monetary => ("Monetary value".to_owned(), source.money.named("monetary value")),
    };
    let mut columns =
        vec![number(&format!("{x_title} from"), dimension.value()), number("customers", CUSTOMERS)];
    columns.extend(
        (1..=highest).rev().map(|score| number(&format!("score {score}"), dimension.score())),
    );
    let rows = edges.iter().enumerate().map(|(bar, edge)| {
        let of: Vec<f64> = counts.iter().rev().map(|counts| counts[bar]).collect();
        let mut row = vec![Cell::places(Some(*edge), usize::from(edge.fract() != 0.0) * 2)];
        row.extend(
            [of.iter().sum::<f64>()]
                .iter()
                .chain(&of)
                .map(|customers| Cell::count(Some(*customers))),
        );
        row
    });
    let bins = bins.rows().find(of).map(|row| (row.number(ASKED_BINS), row.number(ACHIEVED_BINS)));
    let reading = match bins {
        Some((Some(asked), Some(achieved))) if achieved < asked => format!(
            "Customers by {x_title}; each bar begins at its label, and its shade is the score. {asked} bins were asked for, and \
             {achieved} hold customers."
        ),
        _ => format!(
            "Customers by {x_title}; each bar begins at its label, and its shade is the score."
        ),
    };
    let labels: Vec<String> = edges.iter().map(|edge| short(*edge)).collect();
    let figure = Figure::new(
        format!("values-{}", dimension.value()),
        title,
        reading,
        Table::new(columns, rows.collect()),
    );
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
            false => {
                Cell::places(value, value.map_or(0, |value| usize::from(value.fract() != 0.0) * 2))
            }
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

/// What monetary value is, in words.
pub(super) fn monetary(source: &Source<'_>) -> String {
    let steps =
        source.manifest["definition"]["clean"].as_array().map(Vec::as_slice).unwrap_or_default();
    let policy =
        steps.iter().find_map(|step| step["cancellations"]["policy"].as_str()).unwrap_or("drop");
    let what = match (source.monetary(), policy) {
        ("mean_per_order", _) => "the mean of an order",
        ("mean_per_day", _) => "the mean of a day with a purchase",
        (_, "drop") => "all that was spent",
        ("gross", _) | ("", "separate") => "all that was spent, returns left aside",
        _ => "all that was spent, less what came back",
    };
    let window =
        source.manifest["definition"]["rfm"]["window"].as_str().filter(|window| *window != "all");
    let within = window.map(|window| format!(" within {window}")).unwrap_or_default();
    let capped = steps.iter().any(|step| step["cap_outliers"]["policy"] == "winsorise");
    format!("{what}{within}{}", if capped { ", capped at a quantile" } else { "" })
}

/// A unit in brackets, where there is one.
fn in_units(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" ({unit})") }
}

/// Where bars begin: at even steps for days, within powers of ten for what some have many times as much of as others.
fn edges(values: &[f64], dimension: Dimension) -> Vec<f64> {
    let (low, high) = values
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
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
    let mut edges: Vec<f64> =
        decades.filter(|edge| *edge <= high && !(whole && edge.fract() != 0.0)).collect();
    let smallest =
        values.iter().copied().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
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
            assert!(
                edges.is_sorted() && values.iter().all(|value| edges[0] <= *value),
                "{values:?}: {edges:?}"
            );
        }
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(
            [0.0, 1.5, 15.0, 1500.0, 2e6, -0.5].map(short),
            ["0", "1.5", "15", "1.5k", "2m", "-0.5"]
        );
    }
}
