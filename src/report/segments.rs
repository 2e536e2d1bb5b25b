//! The segments at the newest snapshot: how large they are, what they are worth, and what to do about them.

use polars::prelude::*;

use super::chart::{self, Axis, Data, Ink};
use super::figure::{Cell, Figure, Section, Table, number, text};
use super::grid::{Grid, Row};
use super::{Source, values, words};
use crate::columns::*;

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(profile) = source.grid("segment_profile")? else { return Ok(None) };
    let rows: Vec<Row<'_>> =
        profile.rows().filter(|row| row.is(SNAPSHOT, &source.snapshot)).collect();
    let mut figures = vec![sizes(&rows, source)];
    figures.extend(values::pareto(source)?);
    figures.push(portrait(&rows, source));
    if let Some(validity) = source.grid("validity")? {
        figures.extend(later(&validity, source));
    }
    if let Some(sensitivity) = source.grid("sensitivity")? {
        figures.push(otherwise(&sensitivity, source));
    }
    let map = source.manifest["definition"]["segment"]["name"].as_str().unwrap_or_default();
    let mut lead = format!("{} segments by the map “{map}”.", rows.len());
    let shares = |row: &Row<'_>| Some((row.number(MONEY_SHARE)?, row.number(SHARE)?, name(row)));
    let top = rows.iter().filter_map(shares).max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((money, customers, name)) = top.filter(|(money, ..)| *money > 0.0) {
        let (money, customers) = (words::share(money), words::share(customers));
        lead += &format!(
            " The largest share of the money is that of {name}: {customers} of the customers, {money} of the money."
        );
    }
    Ok(Some(Section { id: "segments", title: "Segments", lead, figures }))
}

fn name(row: &Row<'_>) -> String {
    row.text(SEGMENT).unwrap_or_default().to_owned()
}

fn sizes(rows: &[Row<'_>], source: &Source<'_>) -> Figure {
    let names: Vec<String> = rows.iter().map(name).collect();
    let percent = |column: &str| {
        rows.iter().map(|row| row.number(column).map(|share| 100.0 * share)).collect::<Vec<_>>()
    };
    let data = [
        Data::new("customers", percent(SHARE), Ink::First).labelled(),
        Data::new("money", percent(MONEY_SHARE), Ink::Second).labelled(),
    ];
    let columns = vec![
        text("segment", SEGMENT),
        number("customers", CUSTOMERS),
        number("share", SHARE),
        number(&source.money.named("money"), MONEY),
        number("share of money", MONEY_SHARE),
        number("orders", ORDERS),
    ];
    let cells = rows.iter().map(|row| {
        vec![
            Cell::text(name(row)),
            Cell::count(row.number(CUSTOMERS)),
            Cell::share(row.number(SHARE)),
            Cell::money(row.number(MONEY), &source.money),
            Cell::share(row.number(MONEY_SHARE)),
            Cell::count(row.number(ORDERS)),
        ]
    });
    Figure::new(
        "segment-sizes",
        "Customers and money",
        "Each segment’s share of the customers, beside its share of their money.",
        Table::new(columns, cells.collect()),
    )
    .drawn(chart::rows(&names, &data, &Axis::percent("share of all")))
}

fn portrait(rows: &[Row<'_>], source: &Source<'_>) -> Figure {
    let columns = vec![
        text("segment", SEGMENT),
        number("customers", CUSTOMERS),
        number("days since last order", RECENCY_DAYS),
        number(&format!("{} a customer", source.frequency()), FREQUENCY),
        number(&source.money.named("monetary value, mean"), MONETARY),
        number(&source.money.named("monetary value, median"), MONETARY),
        number(&source.money.named("money an order"), AVERAGE_ORDER_VALUE),
        text("what to do", ACTION),
    ];
    let cells = rows.iter().map(|row| {
        vec![
            Cell::text(name(row)),
            Cell::count(row.number(CUSTOMERS)),
            Cell::places(row.number(&median_of(RECENCY_DAYS)), 0),
            Cell::places(row.number(&mean_of(FREQUENCY)), 1),
            Cell::money(row.number(&mean_of(MONETARY)), &source.money),
            Cell::money(row.number(&median_of(MONETARY)), &source.money),
            Cell::money(row.number(AVERAGE_ORDER_VALUE), &source.money),
            Cell::text(row.text(ACTION).unwrap_or_default()),
        ]
    });
    Figure::new(
        "segment-profile",
        "Who they are, and what to do",
        format!(
            "Days are the median, {} the mean by customer. Monetary value is {}.",
            source.frequency(),
            values::monetary(source)
        ),
        Table::new(columns, cells.collect()),
    )
}

/// What the segments did later, where the source goes on long enough to tell.
fn later(validity: &Grid, source: &Source<'_>) -> Option<Figure> {
    let snapshot = validity.rows().filter_map(|row| row.text(SNAPSHOT)).max()?.to_owned();
    let all: Vec<Row<'_>> = validity.rows().filter(|row| row.is(SNAPSHOT, &snapshot)).collect();
    let rows: Vec<&Row<'_>> = all.iter().filter(|row| row.text(SEGMENT).is_some()).collect();
    let days = words::count(rows.first()?.number(HORIZON_DAYS)?);
    let percent = |value: Option<f64>| value.map(|value| 100.0 * value);
    let mut data =
        Data::new("bought", rows.iter().map(|row| percent(row.number(BUY_RATE))), Ink::First);
    data.bounds = rows
        .iter()
        .map(|row| {
            Some((percent(row.number(&low(BUY_RATE)))?, percent(row.number(&high(BUY_RATE)))?))
        })
        .collect();
    let columns = vec![
        text("segment", SEGMENT),
        number("customers", CUSTOMERS),
        number("bought", BUY_RATE),
        number("from", "interval"),
        number("to", "interval"),
        number(&source.money.named("money a customer"), MONEY_MEAN),
        number("from", "interval"),
        number("to", "interval"),
        number("share of money", "validity.money_share"),
    ];
    let cells = all.iter().map(|row| {
        vec![
            Cell::text(row.text(SEGMENT).unwrap_or("all")),
            Cell::count(row.number(CUSTOMERS)),
            Cell::share(row.number(BUY_RATE)),
            Cell::share(row.number(&low(BUY_RATE))),
            Cell::share(row.number(&high(BUY_RATE))),
            Cell::money(row.number(MONEY_MEAN), &source.money),
            Cell::money(row.number(&low(MONEY_MEAN)), &source.money),
            Cell::money(row.number(&high(MONEY_MEAN)), &source.money),
            Cell::share(row.number(MONEY_SHARE)),
        ]
    });
    let names: Vec<String> = rows.iter().map(|row| name(row)).collect();
    let reading = format!(
        "Share of each segment at {snapshot} that bought in the {days} days after it, with 95 % intervals. A segmentation is \
         worth something where these differ."
    );
    let axis = Axis { max: Some(100.0), ..Axis::percent(format!("bought within {days} days")) };
    let figure = Figure::new(
        "validity",
        "What they did next",
        reading,
        Table::new(columns, cells.collect()),
    );
    if names.len() > 2 * chart::MANY {
        return Some(figure);
    }
    Some(figure.drawn(chart::columns(&names, &[data], "", &axis, false)))
}

/// What would be if frequency or monetary value were something else.
fn otherwise(sensitivity: &Grid, source: &Source<'_>) -> Figure {
    let columns = vec![
        text("dimension", DIMENSION),
        text("defined instead by", ALTERNATIVE),
        number("other score", SCORE_MOVED),
        number("other segment", SEGMENT_MOVED),
        number("their share of money", MONEY_MOVED),
    ];
    let rows = sensitivity.rows().filter(|row| row.is(SNAPSHOT, &source.snapshot)).map(|row| {
        vec![
            Cell::text(row.text(DIMENSION).unwrap_or_default()),
            Cell::text(row.text(ALTERNATIVE).unwrap_or_default()),
            Cell::share(row.number(SCORE_MOVED)),
            Cell::share(row.number(SEGMENT_MOVED)),
            Cell::share(row.number(MONEY_MOVED)),
        ]
    });
    Figure::new(
        "sensitivity",
        "Were it defined otherwise",
        "How many customers would get another score, or another segment, if a dimension were defined another way.",
        Table::new(columns, rows.collect()),
    )
}
