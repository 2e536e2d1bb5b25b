//! The segments at the newest snapshot: size, value, recommended action, and later purchases.

use std::cmp::Ordering;

use polars::prelude::*;

use super::chart::{self, Axis, Data};
use super::figure::{Cell, Figure, Kind, Section, TableOf};
use super::grid::{Grid, Row};
use super::time::Moves;
use super::{Source, cells, format, time, values};
use crate::columns::*;
use crate::tables::TableId;

/// Segments that have bars.
const MAX_BARS: usize = 16;

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(profile) = source.grid(TableId::SegmentProfile)? else { return Ok(None) };
    let rows = profile.rows_with(SNAPSHOT, source.snapshot);
    let moves = Moves::new(source)?;
    let mut figures = vec![overview(&rows, moves.as_ref(), source)];
    if let Some(bins) = source.grid(TableId::ScoreBins)? {
        figures.extend(cells::figures(&bins, source)?);
    }
    figures.push(sizes(&rows, source));
    figures.extend(values::pareto(source)?);
    figures.extend(map(&rows, source));
    figures.push(positions(&rows, source));
    if let Some(validity) = source.grid(TableId::Validity)? {
        figures.extend(later_purchases(&validity, source));
    }
    if let Some(uplift) = source.grid(TableId::Uplift)? {
        figures.push(campaigns(&uplift, source));
    }
    let map = source.manifest.map_name();
    let lead = format!("{} segments, defined by the map “{map}”.", rows.len());
    Ok(Some(Section { id: "segments", title: "Segments", lead, figures }))
}

/// How stable the segments are: under other definitions, and with other customers. `None` if neither
/// was computed.
pub(super) fn stability(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let mut figures = Vec::new();
    if let Some(drift) = source.grid(TableId::Drift)? {
        figures.push(time::cut_point_drift(&drift));
    }
    if let Some(sensitivity) = source.grid(TableId::Sensitivity)? {
        figures.push(alternatives(&sensitivity, source));
    }
    if let Some(stability) = source.grid(TableId::Stability)? {
        figures.push(resampled(&stability));
    }
    let lead = "How many customers would be in another segment if definitions or customers were \
                different.";
    let title = "Stability";
    Ok((!figures.is_empty()).then(|| Section {
        id: "robustness",
        title,
        lead: lead.into(),
        figures,
    }))
}

fn name<'a>(row: &Row<'a>) -> &'a str {
    row.text(SEGMENT).unwrap_or("")
}

/// The order of two rows by a column.
fn by_number(a: &Row<'_>, b: &Row<'_>, column: &str) -> Ordering {
    let [a, b] = [a, b].map(|row| row.number(column).unwrap_or(f64::NEG_INFINITY));
    a.total_cmp(&b)
}

/// The segment with the largest number in a column.
fn largest<'a>(rows: &[Row<'a>], column: &str) -> Option<Row<'a>> {
    let number = |row: &Row<'_>| row.number(column).unwrap_or(0.0);
    let rows = rows.iter().copied().filter(|row| number(row) > 0.0);
    rows.max_by(|a, b| number(a).total_cmp(&number(b)))
}

/// All that a marketer needs to know of each segment.
fn overview(rows: &[Row<'_>], moves: Option<&Moves>, source: &Source<'_>) -> Figure {
    let frequency = source.frequency();
    let money = Kind::Decimals(source.money.decimals());
    let title = |title| source.money.title(title);
    let [days, orders, mean] = [median_of(RECENCY_DAYS), mean_of(FREQUENCY), mean_of(MONETARY)];
    let mut table = TableOf::new(rows.iter().copied())
        .text("segment", SEGMENT)
        .number("customers", CUSTOMERS, Kind::Count)
        .number("share of customers", SHARE, Kind::Share);
    if let Some(moves) = moves {
        table = table.cells("change in customers", "", |row| {
            let before = moves.count(|from, _| from == row.text(SEGMENT));
            let change = row.number(CUSTOMERS).unwrap_or(0.0) - before;
            Cell { shown: format::change(change), ..Kind::Count.cell(Some(change)) }
        });
    }
    let table = table
        .number(&title("revenue"), MONEY, money)
        .number("share of revenue", MONEY_SHARE, Kind::Share)
        .number_as("days since last order", RECENCY_DAYS, &days, Kind::Decimals(0))
        .number_as(&format!("{frequency} per customer"), FREQUENCY, &orders, Kind::Decimals(1))
        .number_as(&title("revenue per customer"), MONETARY, &mean, money)
        .number(&title("revenue per order"), AVERAGE_ORDER_VALUE, money)
        .text("recommended action", ACTION);
    let mut caption = format!(
        "Days are the median over the customers of a segment, {frequency} and revenue per customer \
         the mean. Revenue is {}.",
        values::monetary(source)
    );
    if let Some(moves) = moves {
        caption += &format!(" The change is since {}.", moves.since);
    }
    let mut by_money = rows.to_vec();
    by_money.retain(|row| row.number(MONEY_SHARE).is_some_and(|share| share > 0.0));
    by_money.sort_by(|a, b| by_number(b, a, MONEY_SHARE));
    let most: Vec<String> = by_money
        .iter()
        .take(3)
        .map(|row| {
            format!("{} ({})", name(row), format::share(row.number(MONEY_SHARE).unwrap_or(0.0)))
        })
        .collect();
    if !most.is_empty() {
        caption += &format!(" Most revenue: {}.", most.join(", "));
    }
    Figure::new("segment-profile", "All segments", caption, table).filterable()
}

fn sizes(rows: &[Row<'_>], source: &Source<'_>) -> Figure {
    let mut shown = rows.to_vec();
    if shown.len() > MAX_BARS {
        shown.sort_by(|a, b| by_number(b, a, MONEY));
        shown.truncate(MAX_BARS);
    }
    let names: Vec<&str> = shown.iter().map(name).collect();
    let percent = |column| shown.iter().map(move |row| row.percent(column));
    let data = [Data::new("customers", percent(SHARE)), Data::new("revenue", percent(MONEY_SHARE))];
    let money = Kind::Decimals(source.money.decimals());
    let table = TableOf::new(rows.iter().copied())
        .text("segment", SEGMENT)
        .number("customers", CUSTOMERS, Kind::Count)
        .number("share", SHARE, Kind::Share)
        .number(&source.money.title("revenue"), MONEY, money)
        .number("share of revenue", MONEY_SHARE, Kind::Share)
        .number("orders", ORDERS, Kind::Count);
    let mut caption = "Each segment’s share of the customers and of revenue.".to_owned();
    if let Some(top) = largest(rows, MONEY_SHARE) {
        caption += &format!(
            " {}: {} of the customers, {} of revenue.",
            name(&top),
            format::share(top.number(SHARE).unwrap_or(0.0)),
            format::share(top.number(MONEY_SHARE).unwrap_or(0.0))
        );
    }
    if shown.len() < rows.len() {
        caption += &format!(" The chart has the {MAX_BARS} segments with the most revenue.");
    }
    Figure::new("segment-sizes", "Customers and revenue", caption, table)
        .with_chart(chart::horizontal_bars(&names, &data, &Axis::percent("share of total")))
}

/// Segments as areas in proportion to their customers. `None` if there are too many colours.
fn map(rows: &[Row<'_>], source: &Source<'_>) -> Option<Figure> {
    let items = rows.iter().filter_map(|row| {
        Some((name(row), row.number(CUSTOMERS).filter(|customers| *customers > 0.0)?))
    });
    let items: Vec<(&str, f64)> = items.collect();
    if items.is_empty() || items.len() > chart::MAX_SERIES {
        return None;
    }
    let table = TableOf::new(rows.iter().copied()).text("segment", SEGMENT).number(
        "customers",
        CUSTOMERS,
        Kind::Count,
    );
    let top = largest(rows, CUSTOMERS)?;
    let caption = format!(
        "The area of each segment is its number of customers. {} is the largest, {} of {}.",
        name(&top),
        format::count(top.number(CUSTOMERS)?),
        format::count(source.newest.height() as f64)
    );
    let figure = Figure::new("segment-map", "Sizes of the segments", caption, table);
    Some(figure.with_chart(chart::treemap(&items)))
}

/// Segments by their recency and frequency.
fn positions(rows: &[Row<'_>], source: &Source<'_>) -> Figure {
    let [days, orders] = [median_of(RECENCY_DAYS), mean_of(FREQUENCY)];
    let frequency = format!("{} per customer", source.frequency());
    let items = rows.iter().filter_map(|row| {
        let point = [row.number(&days)?, row.number(&orders)?, row.number(CUSTOMERS)?];
        Some((name(row), point))
    });
    let items: Vec<(&str, [f64; 3])> = items.collect();
    let table = TableOf::new(rows.iter().copied())
        .text("segment", SEGMENT)
        .number_as("days since last order", RECENCY_DAYS, &days, Kind::Decimals(0))
        .number_as(&frequency, FREQUENCY, &orders, Kind::Decimals(1))
        .number("customers", CUSTOMERS, Kind::Count);
    let mut caption = "Each circle is a segment, and its area the number of customers. Customers \
                       at the top left buy often and bought lately."
        .to_owned();
    if let Some(top) = largest(rows, &orders) {
        caption += &format!(
            " {} buy most often: {} {frequency}.",
            name(&top),
            format::decimals(top.number(&orders).unwrap_or(0.0), 1)
        );
    }
    let axis = |title: &str| Axis { min: Some(0.0), ..Axis::new(title) };
    let has_room = (1..=chart::MAX_SERIES).contains(&items.len());
    let chart = has_room
        .then(|| chart::bubbles(&items, &axis("days since last order, median"), &axis(&frequency)));
    Figure::new("segment-positions", "Segments by recency and frequency", caption, table)
        .with_chart(chart)
}

/// Customers on earlier lists against their control groups.
fn campaigns(uplift: &Grid, source: &Source<'_>) -> Figure {
    let money = Kind::Decimals(source.money.decimals());
    let kind = |row: &Row<'_>| if row.is(MEASURE, BUY_RATE) { Kind::Share } else { money };
    let number = |column: &'static str| move |row: &Row<'_>| kind(row).cell(row.number(column));
    let table = TableOf::new(uplift.rows())
        .text("campaign", CAMPAIGN)
        .text("since", SINCE)
        .number("days", HORIZON_DAYS, Kind::Count)
        .text_of("measure", MEASURE, |row| {
            if row.is(MEASURE, BUY_RATE) { "bought" } else { "money per customer" }
        })
        .number("on the list", TREATED_CUSTOMERS, Kind::Count)
        .number("held back", CONTROL_CUSTOMERS, Kind::Count)
        .cells("on the list", TREATED, number(TREATED))
        .cells("held back", CONTROL, number(CONTROL))
        .cells("difference", DIFFERENCE, number(DIFFERENCE))
        .cells("from", "interval", number(LOW))
        .cells("to", "interval", number(HIGH));
    let is_clear = |row: &Row<'_>| row.number(LOW) > Some(0.0);
    let clear = uplift.rows().filter(is_clear).filter_map(|row| row.text(CAMPAIGN));
    let mut clear: Vec<&str> = clear.collect();
    clear.dedup();
    let mut caption = "Customers on the list of a campaign, and the customers who were held back: \
                       how many bought, and what they spent, less returns. The interval has the difference in 95 \
                       of 100 cases."
        .to_owned();
    let below = uplift.rows().filter(|row| row.number(HIGH).is_some_and(|high| high < 0.0));
    let mut below: Vec<&str> = below.filter_map(|row| row.text(CAMPAIGN)).collect();
    below.dedup();
    for (names, title) in [(clear, "above"), (below, "below")] {
        caption += &match names.as_slice() {
            [] => format!(" No difference is clearly {title} zero."),
            names => format!(" Clearly {title} zero: {}.", names.join(", ")),
        };
    }
    Figure::new("uplift", "Effect of campaigns", caption, table)
}

/// Purchases after the newest snapshot with a complete horizon.
fn later_purchases(validity: &Grid, source: &Source<'_>) -> Option<Figure> {
    let snapshot = validity.rows().filter_map(|row| row.text(SNAPSHOT)).max()?;
    let rows = validity.rows_with(SNAPSHOT, snapshot);
    let mut segments = rows.clone();
    segments.retain(|row| row.text(SEGMENT).is_some());
    let days = format::count(segments.first()?.number(HORIZON_DAYS)?);
    let [low_rate, high_rate] = [low(BUY_RATE), high(BUY_RATE)];
    let rates = segments.iter().map(|row| row.percent(BUY_RATE));
    let data = Data::new("bought", rates);
    let money = Kind::Decimals(source.money.decimals());
    let [low_money, high_money] = [low(MONEY_MEAN), high(MONEY_MEAN)];
    let table = TableOf::new(rows)
        .text_of("segment", SEGMENT, |row| row.text(SEGMENT).unwrap_or("all"))
        .number("customers", CUSTOMERS, Kind::Count)
        .number("bought", BUY_RATE, Kind::Share)
        .number_as("from", "interval", &low_rate, Kind::Share)
        .number_as("to", "interval", &high_rate, Kind::Share)
        .number(&source.money.title("revenue per customer"), MONEY_MEAN, money)
        .number_as("from", "interval", &low_money, money)
        .number_as("to", "interval", &high_money, money)
        .number_as("share of revenue", "validity.money_share", MONEY_SHARE, Kind::Share);
    let mut caption = format!(
        "Share of each segment at {snapshot} that bought in the next {days} days, with 95 % \
         intervals. The more the segments differ, the more useful the segmentation is."
    );
    if let Some(top) = largest(&segments, BUY_RATE) {
        let rate = format::share(top.number(BUY_RATE).unwrap_or(0.0));
        caption += &format!(" {} bought most often: {rate}.", name(&top));
    }
    let names: Vec<&str> = segments.iter().map(name).collect();
    let axis = Axis::percent(format!("bought within {days} days")).range(0.0, 100.0);
    let chart = chart::horizontal_bars(&names, &[data], &axis);
    Some(Figure::new("validity", "Later purchases", caption, table).with_chart(chart))
}

/// How many customers of each segment resampled cut points move.
fn resampled(stability: &Grid) -> Figure {
    let whole: Vec<Row<'_>> = stability.rows().filter(|row| row.text(SEGMENT).is_none()).collect();
    let table = TableOf::new(stability.rows())
        .number("customers resampled", SAMPLE, Kind::Count)
        .text_of("segment", SEGMENT, |row| row.text(SEGMENT).unwrap_or("all"))
        .number("customers", CUSTOMERS, Kind::Count)
        .number("moved", MOVED, Kind::Share)
        .number("95 % of the resamples below", HIGH, Kind::Share)
        .number("adjusted Rand index", ADJUSTED_RAND, Kind::Decimals(3));
    let mut caption = "Cut points depend on who happens to be a customer. They are computed again \
                       from resampled customers, and all customers are segmented by them."
        .to_owned();
    if let Some(first) = whole.first()
        && let (Some(moved), Some(high)) = (first.number(MOVED), first.number(HIGH))
    {
        caption += &format!(
            " On average {} of the customers move, in one of twenty resamples more than {}.",
            format::share(moved),
            format::share(high)
        );
    }
    Figure::new("stability", "Stability of the segments", caption, table)
}

/// Effect of other definitions of frequency or monetary value.
fn alternatives(sensitivity: &Grid, source: &Source<'_>) -> Figure {
    let table = TableOf::new(sensitivity.rows_with(SNAPSHOT, source.snapshot))
        .text("dimension", DIMENSION)
        .text("alternative definition", ALTERNATIVE)
        .number("changed score", SCORE_MOVED, Kind::Share)
        .number("changed segment", SEGMENT_MOVED, Kind::Share)
        .number("their share of money", MONEY_MOVED, Kind::Share);
    let caption = "Share of customers that would have another score or another segment if a \
                   dimension were defined differently.";
    Figure::new("sensitivity", "Alternative definitions", caption, table)
}
