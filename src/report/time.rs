//! How segments change from snapshot to snapshot, and why.

use polars::prelude::*;

use super::Source;
use super::chart::{self, Axis, Data, Ink};
use super::figure::{Cell, Figure, Section, Table, number, text};
use super::grid::{Grid, Row};
use crate::columns::*;

/// Who comes or goes between two snapshots.
const NOT_YET: &str = "(not there yet)";
const NO_MORE: &str = "(gone)";
/// Rows of a long table that are shown, the newest.
const LAST: usize = 48;

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let profile = source.grid("segment_profile")?;
    let (Some(profile), Some(migration)) = (profile, source.grid("migration")?) else {
        return Ok(None);
    };
    let segments: Vec<String> = profile
        .rows()
        .filter(|row| row.is(SNAPSHOT, &source.snapshot))
        .filter_map(|row| row.text(SEGMENT))
        .map(str::to_owned)
        .collect();
    let dates = profile.distinct(SNAPSHOT);
    let mut figures = vec![shares(&profile, &segments, &dates)];
    figures.extend(moved(&migration, &segments, source));
    let causes = causes(&migration);
    let told = match causes {
        Some(_) => {
            " A customer moves by what it does or does not do (days that pass without a purchase are behaviour too), or because the cut \
             points moved under it; the two are told apart."
        }
        None => "",
    };
    figures.extend(causes);
    if let Some(drift) = source.grid("drift")? {
        figures.push(drifted(&drift));
    }
    let first = dates.first().map_or("", String::as_str);
    let lead = format!("{} snapshots, from {first} to {}.{told}", dates.len(), source.snapshot);
    Ok(Some(Section { id: "time", title: "Over time", lead, figures }))
}

fn shares(profile: &Grid, segments: &[String], dates: &[String]) -> Figure {
    let share = |date: &str, segment: &str| {
        profile
            .rows()
            .find(|row| row.is(SNAPSHOT, date) && row.is(SEGMENT, segment))
            .and_then(|row| row.number(SHARE))
    };
    // More than a legend has room for are drawn as one.
    let mut shown = segments.to_vec();
    if shown.len() > chart::MANY {
        let newest = dates.last().map_or("", String::as_str);
        shown.sort_by(|a, b| {
            share(newest, b).unwrap_or(0.0).total_cmp(&share(newest, a).unwrap_or(0.0))
        });
        shown.truncate(chart::MANY - 1);
    }
    let mut data: Vec<Data> = shown
        .iter()
        .enumerate()
        .map(|(idx, segment)| {
            let shares = dates.iter().map(|date| share(date, segment).map(|share| 100.0 * share));
            Data::new(segment, shares, Ink::Nth(idx))
        })
        .collect();
    if shown.len() < segments.len() {
        let others = segments.iter().filter(|segment| !shown.contains(segment));
        let sum =
            |date: &String| others.clone().filter_map(|segment| share(date, segment)).sum::<f64>();
        data.push(Data::new(
            "all others",
            dates.iter().map(|date| Some(100.0 * sum(date))),
            Ink::Nth(shown.len()),
        ));
    }
    let mut columns = vec![text("snapshot", SNAPSHOT)];
    columns.extend(segments.iter().map(|segment| number(segment, "")));
    let rows = dates.iter().rev().take(LAST).map(|date| {
        let mut row = vec![Cell::text(date)];
        row.extend(segments.iter().map(|segment| Cell::share(share(date, segment))));
        row
    });
    let axis = Axis { max: Some(100.0), ..Axis::percent("share of customers") };
    Figure::new(
        "time-shares",
        "Segments over time",
        format!(
            "Each segment’s share of the customers, at every snapshot.{}",
            newest_only(dates.len())
        ),
        Table::new(columns, rows.collect()),
    )
    .drawn(chart::columns(dates, &data, "snapshot", &axis, true))
}

/// What is said of a table that shows the newest of many rows.
fn newest_only(rows: usize) -> String {
    if rows > LAST {
        format!(" The table has the newest {LAST} of {rows}; all stand in the Parquet files.")
    } else {
        String::new()
    }
}

/// Who moved where between the last two snapshots.
fn moved(migration: &Grid, segments: &[String], source: &Source<'_>) -> Option<Figure> {
    let rows: Vec<Row<'_>> = migration.rows().filter(|row| row.is(TO, &source.snapshot)).collect();
    let from = rows.iter().filter_map(|row| row.text(FROM)).max()?.to_owned();
    let (mut y, mut x) = (segments.to_vec(), segments.to_vec());
    y.push(NOT_YET.to_owned());
    x.push(NO_MORE.to_owned());
    let mut cells = vec![0.0; x.len() * y.len()];
    for row in rows.iter().filter(|row| row.is(FROM, &from)) {
        let at = |names: &[String], name: Option<&str>| match name {
            Some(name) => names.iter().position(|other| other == name),
            None => Some(names.len() - 1),
        };
        if let (Some(i), Some(j)) = (at(&y, row.text(FROM_SEGMENT)), at(&x, row.text(TO_SEGMENT))) {
            cells[i * x.len() + j] += row.number(CUSTOMERS).unwrap_or_default();
        }
    }
    let mut columns = vec![text(&format!("at {from}"), FROM_SEGMENT)];
    columns.extend(x.iter().map(|segment| number(segment, "")));
    let table = y.iter().zip(cells.chunks(x.len())).map(|(segment, cells)| {
        let mut row = vec![Cell::text(segment)];
        row.extend(cells.iter().map(|customers| Cell::count(Some(*customers))));
        row
    });
    let reading = format!(
        "Customers by their segment at {from} (rows) and at {} (columns). Those on the diagonal stayed.",
        source.snapshot
    );
    let figure =
        Figure::new("migration", "Who moved where", reading, Table::new(columns, table.collect()));
    if x.len() > chart::CELLS {
        return Some(figure);
    }
    Some(figure.drawn(chart::heatmap(&x, &y, &cells, &format!("segment at {}", source.snapshot))))
}

/// How many moved by what they did, and how many because the cut points moved; nothing where that cannot be told.
fn causes(migration: &Grid) -> Option<Figure> {
    let mut pairs: Vec<(String, [f64; 3])> = Vec::new();
    for row in migration.rows() {
        let (Some(to), Some(a), Some(b)) =
            (row.text(TO), row.text(FROM_SEGMENT), row.text(TO_SEGMENT))
        else {
            continue;
        };
        let stayed = if a == b { row.number(CUSTOMERS)? } else { 0.0 };
        let counts = match a == b {
            true => [0.0, 0.0, stayed],
            false => {
                [row.number(CUSTOMERS_BY_BEHAVIOUR)?, row.number(CUSTOMERS_BY_CUT_POINTS)?, 0.0]
            }
        };
        match pairs.last_mut().filter(|(last, _)| last == to) {
            Some((_, sums)) => sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count),
            None => pairs.push((to.to_owned(), counts)),
        }
    }
    let dates: Vec<String> = pairs.iter().map(|(to, _)| to.clone()).collect();
    let share = |of: usize| {
        pairs
            .iter()
            .map(move |(_, counts)| Some(100.0 * counts[of] / counts.iter().sum::<f64>().max(1.0)))
    };
    let data = [
        Data::new("by behaviour", share(0), Ink::First),
        Data::new("by the cut points", share(1), Ink::Second),
    ];
    let columns = vec![
        text("to the snapshot", TO),
        number("moved by behaviour", CUSTOMERS_BY_BEHAVIOUR),
        number("moved by the cut points", CUSTOMERS_BY_CUT_POINTS),
        number("stayed", ""),
    ];
    let rows = pairs.iter().rev().take(LAST).map(|(to, counts)| {
        let mut row = vec![Cell::text(to)];
        row.extend(counts.iter().map(|count| Cell::count(Some(*count))));
        row
    });
    let figure = Figure::new(
        "causes",
        "Why they moved",
        format!(
            "Of the customers who were there at both snapshots, how many are in another segment, by cause.{}",
            newest_only(dates.len())
        ),
        Table::new(columns, rows.collect()),
    );
    Some(figure.drawn(chart::columns(
        &dates,
        &data,
        "to the snapshot",
        &Axis::percent("share of customers"),
        true,
    )))
}

/// How far the cut points of each snapshot lie from those before.
fn drifted(drift: &Grid) -> Figure {
    let columns = vec![
        text("snapshot", SNAPSHOT),
        text("cut points of", BASE),
        text("of", DIMENSION),
        number("PSI", PSI),
        number("other by them", MOVED),
        number("their share of money", MONEY_MOVED),
    ];
    let mut rows: Vec<Vec<Cell>> = drift
        .rows()
        .map(|row| {
            vec![
                Cell::text(row.text(SNAPSHOT).unwrap_or_default()),
                Cell::text(row.text(BASE).unwrap_or_default()),
                Cell::text(row.text(DIMENSION).unwrap_or_default()),
                Cell::places(row.number(PSI), 4),
                Cell::share(row.number(MOVED)),
                Cell::share(row.number(MONEY_MOVED)),
            ]
        })
        .collect();
    let reading = format!(
        "How many customers of each snapshot would score otherwise by the cut points of the one before, or of the one whose cut points are \
         kept.{}",
        newest_only(rows.len())
    );
    rows.reverse();
    rows.truncate(LAST);
    let mut near: Vec<(&str, &str)> = Vec::new();
    for row in drift.rows() {
        let (Some(snapshot), Some(base)) = (row.text(SNAPSHOT), row.text(BASE)) else { continue };
        // Of several snapshots that it is compared with, the last.
        match near.iter_mut().find(|(date, _)| *date == snapshot) {
            Some((_, nearest)) => *nearest = base.max(nearest),
            None => near.push((snapshot, base)),
        }
    }
    let dates: Vec<String> = near.iter().map(|(date, _)| (*date).to_owned()).collect();
    let moved = |dimension: &str, ink: Ink| {
        let row = |(date, base): &(&str, &str)| {
            drift.rows().find(|row| {
                row.is(SNAPSHOT, date) && row.is(BASE, base) && row.is(DIMENSION, dimension)
            })
        };
        let values = near
            .iter()
            .map(|of| row(of).and_then(|row| row.number(MOVED)).map(|moved| 100.0 * moved));
        Data::new(dimension, values, ink)
    };
    let shown = [RECENCY_DAYS, FREQUENCY, MONETARY]
        .into_iter()
        .enumerate()
        .map(|(idx, name)| moved(name, Ink::Nth(idx)));
    let axis = Axis::percent("customers with another score");
    Figure::new("drift", "Drift of the cut points", reading, Table::new(columns, rows))
        .drawn(chart::columns(&dates, &shown.collect::<Vec<_>>(), "snapshot", &axis, false))
}
