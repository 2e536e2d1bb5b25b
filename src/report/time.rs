//! How segments change from snapshot to snapshot, and why.

use polars::prelude::*;

use super::figure::{Figure, Kind, Matrix, Section, Table, number, number_of, text, text_of};
use super::grid::{Grid, Row, distinct};
use super::series::{Axis, Bars, Data};
use super::{Source, chart};
use crate::columns::*;
use crate::tables::TableId;

/// Row of customers without a segment at the earlier of two snapshots, column of customers without
/// one at the later.
const NO_SEGMENT: [&str; 2] = ["(new)", "(inactive)"];
/// Rows shown of a long table, newest first.
const MAX_ROWS: usize = 48;

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let profile = source.grid(TableId::SegmentProfile)?;
    let (Some(profile), Some(migration)) = (profile, source.grid(TableId::Migration)?) else {
        return Ok(None);
    };
    let segments = distinct(profile.rows_with(SNAPSHOT, source.snapshot), SEGMENT);
    let dates = distinct(profile.rows(), SNAPSHOT);
    let first = dates.first().copied().unwrap_or("");
    let mut lead = format!("{} snapshots, from {first} to {}.", dates.len(), source.snapshot);
    let mut figures = vec![shares(&profile, &segments, &dates)];
    figures.extend(migrations(&migration, &segments, source));
    if let Some(causes) = causes(&migration) {
        lead += " A customer changes segment for one of two reasons: the customer’s behaviour \
                 (including days without a purchase), or a change of the cut points. The page \
                 counts the two reasons separately.";
        figures.push(causes);
    }
    if let Some(drift) = source.grid(TableId::Drift)? {
        figures.push(cut_point_drift(&drift));
    }
    Ok(Some(Section { id: "time", title: "Over time", lead, figures }))
}

fn shares(profile: &Grid, segments: &[&str], dates: &[&str]) -> Figure {
    let share = |date: &str, segment: &str| {
        profile.find(&[(SNAPSHOT, date), (SEGMENT, segment)])?.number(SHARE)
    };
    let mut shown = segments.to_vec();
    if shown.len() > chart::MAX_SERIES {
        // The smallest segments are combined.
        let newest = dates.last().copied().unwrap_or("");
        let size = |segment: &str| share(newest, segment).unwrap_or(0.0);
        shown.sort_by(|a, b| size(b).total_cmp(&size(a)));
        shown.truncate(chart::MAX_SERIES - 1);
    }
    let series = |segment: &&str| {
        let shares = dates.iter().map(|date| Some(100.0 * share(date, segment)?));
        Data::new(segment, shares)
    };
    let mut data: Vec<Data> = shown.iter().map(series).collect();
    if shown.len() < segments.len() {
        let others = segments.iter().filter(|segment| !shown.contains(segment));
        let sums = dates.iter().map(|date| {
            let shares = others.clone().filter_map(|segment| share(date, segment));
            Some(100.0 * shares.sum::<f64>())
        });
        data.push(Data::new("all others", sums));
    }
    let mut columns = vec![text_of("snapshot", SNAPSHOT, |date: &&str| (*date).to_owned())];
    columns.extend(segments.iter().map(|segment| {
        number_of(segment, "", Kind::Share, move |date: &&str| share(date, segment))
    }));
    let table = Table::new(dates.iter().copied().rev().take(MAX_ROWS), columns);
    let axis = Axis::percent("share of customers").range(0.0, 100.0);
    let caption =
        format!("Share of each segment at each snapshot.{}", truncation_note(dates.len()));
    Figure::new("time-shares", "Segments over time", caption, table).with_chart(chart::bars(
        dates,
        &data,
        "snapshot",
        &axis,
        Bars::Stacked,
    ))
}

/// A sentence for tables with more than [`MAX_ROWS`] rows.
fn truncation_note(rows: usize) -> String {
    if rows <= MAX_ROWS {
        return String::new();
    }
    format!(" The table shows the newest {MAX_ROWS} of {rows} rows. The Parquet file contains all.")
}

/// Customers by segment at the last two snapshots.
fn migrations(migration: &Grid, segments: &[&str], source: &Source<'_>) -> Option<Figure> {
    let to = source.snapshot;
    let mut rows = migration.rows_with(TO, to);
    let from = rows.iter().filter_map(|row| row.text(FROM)).max()?;
    rows.retain(|row| row.is(FROM, from));
    let labels: Vec<Option<&str>> = segments.iter().copied().map(Some).chain([None]).collect();
    let matrix = Matrix::new(&rows, [FROM_SEGMENT, TO_SEGMENT], &labels, NO_SEGMENT);
    let [new, inactive] = NO_SEGMENT;
    let caption = format!(
        "Customers by segment at {from} (rows) and at {to} (columns). Customers on the diagonal \
         did not change segment. {new} means: no segment at {from}. {inactive} means: no segment \
         at {to}."
    );
    let table = matrix.table(&format!("at {from}"), FROM_SEGMENT);
    let heatmap = matrix.heatmap(&format!("segment at {to}"));
    Some(Figure::new("migration", "Changes of segment", caption, table).with_chart(heatmap))
}

/// A snapshot with its customers who changed by behaviour, by cut points, and not at all.
type Changes<'a> = (&'a str, [f64; 3]);

/// Changes of segment by cause. `None` if the causes are unknown.
fn causes(migration: &Grid) -> Option<Figure> {
    let mut changes: Vec<Changes<'_>> = Vec::new();
    for row in migration.rows() {
        let (Some(date), Some(from), Some(to)) =
            (row.text(TO), row.text(FROM_SEGMENT), row.text(TO_SEGMENT))
        else {
            continue;
        };
        let counts = if from == to {
            [0.0, 0.0, row.number(CUSTOMERS)?]
        } else {
            [row.number(CUSTOMERS_BY_BEHAVIOUR)?, row.number(CUSTOMERS_BY_CUT_POINTS)?, 0.0]
        };
        match changes.last_mut() {
            Some((last, sums)) if *last == date => {
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
            _ => changes.push((date, counts)),
        }
    }
    let dates: Vec<&str> = changes.iter().map(|(date, _)| *date).collect();
    let series = |title, cause: usize| {
        let percent = |(_, counts): &Changes<'_>| {
            Some(100.0 * counts[cause] / counts.iter().sum::<f64>().max(1.0))
        };
        Data::new(title, changes.iter().map(percent))
    };
    let data = [series("by behaviour", 0), series("by cut points", 1)];
    let count = |title: &str, term: &str, cause: usize| {
        number_of(title, term, Kind::Count, move |(_, counts): &&Changes<'_>| counts[cause])
    };
    let columns = vec![
        text_of("snapshot", TO, |(date, _): &&Changes<'_>| (*date).to_owned()),
        count("changed by behaviour", CUSTOMERS_BY_BEHAVIOUR, 0),
        count("changed by cut points", CUSTOMERS_BY_CUT_POINTS, 1),
        count("unchanged", "", 2),
    ];
    let caption = format!(
        "Customers of both snapshots who changed segment, by cause.{}",
        truncation_note(dates.len())
    );
    let table = Table::new(changes.iter().rev().take(MAX_ROWS), columns);
    let axis = Axis::percent("share of customers");
    let chart = chart::bars(&dates, &data, "snapshot", &axis, Bars::Stacked);
    Some(Figure::new("causes", "Causes of the changes", caption, table).with_chart(chart))
}

/// How many customers would have another score under the cut points of an earlier snapshot.
fn cut_point_drift(drift: &Grid) -> Figure {
    let columns = vec![
        text("snapshot", SNAPSHOT),
        text("cut points of", BASELINE_SNAPSHOT),
        text("dimension", DIMENSION),
        number("PSI", PSI, Kind::Decimals(4)),
        number("changed score", MOVED, Kind::Share),
        number("their share of money", MONEY_MOVED, Kind::Share),
    ];
    let rows: Vec<Row<'_>> = drift.rows().collect();
    let caption = format!(
        "Share of customers who would have another score under the cut points of the snapshot \
         before, or under the frozen cut points.{}",
        truncation_note(rows.len())
    );
    let dates = distinct(drift.rows(), SNAPSHOT);
    let series = |dimension| {
        let moved = dates.iter().map(|date| {
            let mut rows = drift.rows_with(SNAPSHOT, date);
            rows.retain(|row| row.is(DIMENSION, dimension));
            let latest_baseline = rows.iter().max_by_key(|row| row.text(BASELINE_SNAPSHOT));
            latest_baseline?.percent(MOVED)
        });
        Data::new(dimension, moved)
    };
    let data = [RECENCY_DAYS, FREQUENCY, MONETARY].map(series);
    let axis = Axis::percent("customers with a changed score");
    let table = Table::new(rows.into_iter().rev().take(MAX_ROWS), columns);
    Figure::new("drift", "Drift of the cut points", caption, table).with_chart(chart::bars(
        &dates,
        &data,
        "snapshot",
        &axis,
        Bars::SideBySide,
    ))
}
