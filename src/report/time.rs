//! How segments change from snapshot to snapshot, and why.

use polars::prelude::*;

use super::Source;
use super::chart::{self, Axis, Bars, Data};
use super::figure::{Figure, Kind, Matrix, Section, TableOf};
use super::grid::{Grid, Row, distinct};
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
    let newest = TableOf::new(dates.iter().copied().rev().take(MAX_ROWS));
    let table = newest.text_of("snapshot", SNAPSHOT, |date| *date);
    let table = segments.iter().fold(table, |table, segment| {
        table.number_of(segment, "", Kind::Share, |date| share(date, segment))
    });
    let axis = Axis::percent("share of customers").range(0.0, 100.0);
    let chart = chart::bars(dates, &data, "snapshot", &axis, Bars::Stacked);
    let caption =
        format!("Share of each segment at each snapshot.{}", truncation_note(dates.len()));
    Figure::new("time-shares", "Segments over time", caption, table).with_chart(chart)
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

/// Changes of segment by cause. `None` if the causes are unknown.
fn causes(migration: &Grid) -> Option<Figure> {
    // Snapshots with their customers who changed by behaviour, by cut points, and not at all.
    let mut changes: Vec<(&str, [f64; 3])> = Vec::new();
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
        let percent = |(_, counts): &(&str, [f64; 3])| {
            Some(100.0 * counts[cause] / counts.iter().sum::<f64>().max(1.0))
        };
        Data::new(title, changes.iter().map(percent))
    };
    let data = [series("by behaviour", 0), series("by cut points", 1)];
    let table = TableOf::new(changes.iter().rev().take(MAX_ROWS))
        .text_of("snapshot", TO, |(date, _)| *date)
        .number_of("changed by behaviour", CUSTOMERS_BY_BEHAVIOUR, Kind::Count, |(_, n)| n[0])
        .number_of("changed by cut points", CUSTOMERS_BY_CUT_POINTS, Kind::Count, |(_, n)| n[1])
        .number_of("unchanged", "", Kind::Count, |(_, n)| n[2]);
    let caption = format!(
        "Customers of both snapshots who changed segment, by cause.{}",
        truncation_note(dates.len())
    );
    let axis = Axis::percent("share of customers");
    let chart = chart::bars(&dates, &data, "snapshot", &axis, Bars::Stacked);
    Some(Figure::new("causes", "Causes of the changes", caption, table).with_chart(chart))
}

/// How many customers would have another score under the cut points of an earlier snapshot.
fn cut_point_drift(drift: &Grid) -> Figure {
    let mut newest_first: Vec<Row<'_>> = drift.rows().collect();
    newest_first.reverse();
    let caption = format!(
        "Share of customers who would have another score under the cut points of the snapshot \
         before, or under the frozen cut points.{}",
        truncation_note(newest_first.len())
    );
    let table = TableOf::new(newest_first.into_iter().take(MAX_ROWS))
        .text("snapshot", SNAPSHOT)
        .text("cut points of", BASELINE_SNAPSHOT)
        .text("dimension", DIMENSION)
        .number("PSI", PSI, Kind::Decimals(4))
        .number("changed score", MOVED, Kind::Share)
        .number("their share of money", MONEY_MOVED, Kind::Share);
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
    let chart = chart::bars(&dates, &data, "snapshot", &axis, Bars::SideBySide);
    Figure::new("drift", "Drift of the cut points", caption, table).with_chart(chart)
}
