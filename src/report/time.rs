//! How segments change since the run before, or from snapshot to snapshot, and why.

use polars::prelude::*;

use super::chart::{self, Axis, Bars, Data};
use super::figure::{Figure, Kind, Matrix, Section, TableOf};
use super::grid::{Grid, Row, distinct};
use super::{Source, format};
use crate::columns::*;
use crate::tables::TableId;

/// Row of customers without a segment at the earlier of two snapshots, column of customers without
/// one at the later.
const NO_SEGMENT: [&str; 2] = ["(new)", "(inactive)"];
/// Rows shown of a long table, newest first.
const MAX_ROWS: usize = 48;

/// The moves of customers that the page shows: since the snapshot before, or of a run with one
/// snapshot since the run before.
pub(super) struct Moves {
    table: Grid,
    /// The columns `from` and `to` of the snapshots; the table has none of a run with one snapshot.
    dates: Option<[String; 2]>,
    /// Date of the earlier customers.
    pub(super) since: String,
}

impl Moves {
    pub(super) fn new(source: &Source<'_>) -> PolarsResult<Option<Self>> {
        if let Some(table) = source.grid(TableId::Migration)? {
            let from = table.rows_with(TO, source.snapshot).into_iter();
            let Some(since) = from.filter_map(|row| row.text(FROM)).max().map(str::to_owned) else {
                return Ok(None);
            };
            let dates = Some([since.clone(), source.snapshot.to_owned()]);
            return Ok(Some(Self { table, dates, since }));
        }
        let compared = source.manifest.compared_with.as_ref();
        let (Some(table), Some(compared)) = (source.grid(TableId::Changes)?, compared) else {
            return Ok(None);
        };
        Ok(Some(Self { table, dates: None, since: compared.snapshot.clone() }))
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let is_shown = |row: &Row<'_>| match &self.dates {
            Some([from, to]) => row.is(FROM, from) && row.is(TO, to),
            None => true,
        };
        self.table.rows().filter(is_shown).collect()
    }

    /// Customers of the moves that are chosen by their segments before and now.
    pub(super) fn count(&self, chosen: impl Fn(Option<&str>, Option<&str>) -> bool) -> f64 {
        let is_chosen = |row: &Row<'_>| chosen(row.text(FROM_SEGMENT), row.text(TO_SEGMENT));
        let rows = self.rows();
        rows.iter().filter(|row| is_chosen(row)).filter_map(|row| row.number(CUSTOMERS)).sum()
    }
}

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let profile = source.grid(TableId::SegmentProfile)?;
    let (Some(profile), Some(moves)) = (profile, Moves::new(source)?) else { return Ok(None) };
    let segments = distinct(profile.rows_with(SNAPSHOT, source.snapshot), SEGMENT);
    let dates = distinct(profile.rows(), SNAPSHOT);
    let changed = moves.count(|from, to| from.is_some() && to.is_some() && from != to);
    let [new, inactive] =
        [moves.count(|from, _| from.is_none()), moves.count(|_, to| to.is_none())];
    let mut lead = format!(
        "Since {}, {} customers changed segment, {} are new, and {} are no longer customers.",
        moves.since,
        format::count(changed),
        format::count(new),
        format::count(inactive)
    );
    if let Some(compared) = source.manifest.compared_with.as_ref().filter(|_| dates.len() == 1) {
        lead += &format!(" The comparison is with run {}.", compared.run_id);
        if let Some(differences) = &compared.differences {
            lead += &format!(" Its definitions differ: {differences}.");
        }
    }
    let mut figures = vec![in_and_out(&moves, &segments)];
    if dates.len() > 1 {
        let first = dates.first().copied().unwrap_or("");
        lead += &format!(" {} snapshots, from {first} to {}.", dates.len(), source.snapshot);
        figures.push(shares(&profile, &segments, &dates));
    }
    figures.push(matrix(&moves, &segments, source));
    if moves.dates.is_some()
        && let Some(causes) = causes(&moves.table)
    {
        lead += " A customer changes segment for one of two reasons: the customer’s behaviour \
                 (including days without a purchase), or a change of the cut points. The page \
                 counts the two reasons separately.";
        figures.push(causes);
    }
    Ok(Some(Section { id: "time", title: "What changed", lead, figures }))
}

/// Customers who entered and left each segment.
fn in_and_out(moves: &Moves, segments: &[&str]) -> Figure {
    let [before, now, entered, left] = [0, 1, 2, 3].map(|what| {
        move |segment: &&str| {
            moves.count(|from, to| {
                let (was, is) = (from == Some(*segment), to == Some(*segment));
                [was, is, is && !was, was && !is][what]
            })
        }
    });
    let grown = segments
        .iter()
        .max_by(|a, b| (now(a) - before(a)).abs().total_cmp(&(now(b) - before(b)).abs()));
    let mut caption = format!("Customers of each segment at {} and now.", moves.since);
    if let Some(segment) = grown {
        caption += &format!(
            " The largest change: {segment}, {} customers.",
            format::change(now(segment) - before(segment))
        );
    }
    let table = TableOf::new(segments.iter().copied())
        .text_of("segment", SEGMENT, |segment| *segment)
        .number_of("before", CUSTOMERS, Kind::Count, before)
        .number_of("entered", "", Kind::Count, entered)
        .number_of("left", "", Kind::Count, left)
        .number_of("now", CUSTOMERS, Kind::Count, now);
    Figure::new("in-and-out", "Who entered and who left", caption, table).filterable()
}

/// Customers by segment before and now.
fn matrix(moves: &Moves, segments: &[&str], source: &Source<'_>) -> Figure {
    let rows = moves.rows();
    // Segments that only an earlier definition had come last.
    let mut all = segments.to_vec();
    let earlier = distinct(rows.iter().copied(), FROM_SEGMENT);
    all.extend(earlier.into_iter().filter(|name| !segments.contains(name)));
    let labels: Vec<Option<&str>> = all.into_iter().map(Some).chain([None]).collect();
    let matrix = Matrix::new(&rows, [FROM_SEGMENT, TO_SEGMENT], &labels, NO_SEGMENT);
    let [new, inactive] = NO_SEGMENT;
    let (from, to) = (&moves.since, source.snapshot);
    let caption = format!(
        "Customers by segment at {from} (rows) and at {to} (columns). Customers on the diagonal \
         did not change segment. {new} means: no segment at {from}. {inactive} means: no segment \
         at {to}.{}",
        matrix.diagonal_note()
    );
    let table = matrix.table(&format!("at {from}"), FROM_SEGMENT);
    Figure::new("migration", "Changes of segment", caption, table)
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
    let mut caption =
        format!("Share of each segment at each snapshot.{}", truncation_note(dates.len()));
    if let [first, .., last] = dates {
        let change = |segment: &str| {
            share(last, segment).unwrap_or(0.0) - share(first, segment).unwrap_or(0.0)
        };
        let most = segments.iter().max_by(|a, b| change(a).abs().total_cmp(&change(b).abs()));
        if let Some(segment) = most {
            let [before, now] = [first, last].map(|date| share(date, segment).unwrap_or(0.0));
            caption += &format!(
                " The largest change is that of {segment}: from {} to {}.",
                format::share(before),
                format::share(now)
            );
        }
    }
    Figure::new("time-shares", "Segments over time", caption, table).with_chart(chart)
}

/// A sentence for tables with more than [`MAX_ROWS`] rows.
fn truncation_note(rows: usize) -> String {
    if rows <= MAX_ROWS {
        return String::new();
    }
    format!(" The table shows the newest {MAX_ROWS} of {rows} rows. The Parquet file contains all.")
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
    let mut caption = format!(
        "Customers of both snapshots who changed segment, by cause.{}",
        truncation_note(dates.len())
    );
    if let Some((date, [behaviour, cut_points, _])) = changes.last() {
        caption += &format!(
            " At {date}, {} changed by behaviour and {} by cut points.",
            format::count(*behaviour),
            format::count(*cut_points)
        );
    }
    let axis = Axis::percent("share of customers");
    let chart = chart::bars(&dates, &data, "snapshot", &axis, Bars::Stacked);
    Some(Figure::new("causes", "Causes of the changes", caption, table).with_chart(chart))
}

/// How many customers would have another score under the cut points of an earlier snapshot.
pub(super) fn cut_point_drift(drift: &Grid) -> Figure {
    let mut newest_first: Vec<Row<'_>> = drift.rows().collect();
    newest_first.reverse();
    let mut caption = format!(
        "Share of customers who would have another score under the cut points of the snapshot \
         before, or under the frozen cut points.{}",
        truncation_note(newest_first.len())
    );
    let moved = |row: &Row<'_>| row.number(MOVED).unwrap_or(0.0);
    let most = newest_first.iter().copied().max_by(|a, b| moved(a).total_cmp(&moved(b)));
    if let Some((row, dimension)) = most.and_then(|row| Some((row, row.text(DIMENSION)?))) {
        caption += &format!(
            " The most is {} of the customers, in {dimension} at {}.",
            format::share(moved(&row)),
            row.text(SNAPSHOT).unwrap_or("")
        );
    }
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
