//! The segments at the newest snapshot: size, value, recommended action, and later purchases.

use polars::prelude::*;

use super::chart::{self, Axis, Bars, Data};
use super::figure::{Figure, Kind, Section, TableOf};
use super::grid::{Grid, Row};
use super::{Source, format, values};
use crate::columns::*;
use crate::tables::TableId;

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(profile) = source.grid(TableId::SegmentProfile)? else { return Ok(None) };
    let rows = profile.rows_with(SNAPSHOT, source.snapshot);
    let mut figures = vec![sizes(&rows, source)];
    figures.extend(values::pareto(source)?);
    figures.push(profiles(&rows, source));
    if let Some(validity) = source.grid(TableId::Validity)? {
        figures.extend(later_purchases(&validity, source));
    }
    let map = source.manifest.map_name();
    let mut lead = format!("{} segments, defined by the map “{map}”.", rows.len());
    let shares = rows
        .iter()
        .filter_map(|row| Some((row.number(MONEY_SHARE)?, row.number(SHARE)?, name(row))));
    let top = shares.max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((money, customers, name)) = top.filter(|(money, ..)| *money > 0.0) {
        lead += &format!(
            " The segment with the largest share of revenue is {name}: {} of the customers, {} of \
             revenue.",
            format::share(customers),
            format::share(money)
        );
    }
    Ok(Some(Section { id: "segments", title: "Segments", lead, figures }))
}

/// How stable the segments are: under other definitions, and with other customers. `None` if neither
/// was computed.
pub(super) fn stability(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let mut figures = Vec::new();
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

fn sizes(rows: &[Row<'_>], source: &Source<'_>) -> Figure {
    let names: Vec<&str> = rows.iter().map(name).collect();
    let percent = |column| rows.iter().map(move |row| row.percent(column));
    let data = [Data::new("customers", percent(SHARE)), Data::new("revenue", percent(MONEY_SHARE))];
    let money = Kind::Decimals(source.money.decimals());
    let table = TableOf::new(rows.iter().copied())
        .text("segment", SEGMENT)
        .number("customers", CUSTOMERS, Kind::Count)
        .number("share", SHARE, Kind::Share)
        .number(&source.money.title("revenue"), MONEY, money)
        .number("share of revenue", MONEY_SHARE, Kind::Share)
        .number("orders", ORDERS, Kind::Count);
    let caption = "Each segment’s share of the customers and of revenue.";
    Figure::new("segment-sizes", "Customers and revenue", caption, table)
        .with_chart(chart::horizontal_bars(&names, &data, &Axis::percent("share of total")))
}

fn profiles(rows: &[Row<'_>], source: &Source<'_>) -> Figure {
    let frequency = source.frequency();
    let money = Kind::Decimals(source.money.decimals());
    let title = |title| source.money.title(title);
    let [days, orders] = [median_of(RECENCY_DAYS), mean_of(FREQUENCY)];
    let [mean, median] = [mean_of(MONETARY), median_of(MONETARY)];
    let table = TableOf::new(rows.iter().copied())
        .text("segment", SEGMENT)
        .number("customers", CUSTOMERS, Kind::Count)
        .number_as("days since last order", RECENCY_DAYS, &days, Kind::Decimals(0))
        .number_as(&format!("{frequency} per customer"), FREQUENCY, &orders, Kind::Decimals(1))
        .number_as(&title("revenue per customer, mean"), MONETARY, &mean, money)
        .number_as(&title("revenue per customer, median"), MONETARY, &median, money)
        .number(&title("revenue per order"), AVERAGE_ORDER_VALUE, money)
        .text("recommended action", ACTION);
    let caption = format!(
        "Days are the median and {frequency} the mean over the customers of a segment. Monetary \
         value is {}.",
        values::monetary(source)
    );
    Figure::new("segment-profile", "Segment profiles and recommended actions", caption, table)
}

/// Purchases after the newest snapshot with a complete horizon.
fn later_purchases(validity: &Grid, source: &Source<'_>) -> Option<Figure> {
    let snapshot = validity.rows().filter_map(|row| row.text(SNAPSHOT)).max()?;
    let rows = validity.rows_with(SNAPSHOT, snapshot);
    let mut segments = rows.clone();
    segments.retain(|row| row.text(SEGMENT).is_some());
    let days = format::count(segments.first()?.number(HORIZON_DAYS)?);
    let [low_rate, high_rate] = [low(BUY_RATE), high(BUY_RATE)];
    let bounds =
        segments.iter().map(|row| Some((row.percent(&low_rate)?, row.percent(&high_rate)?)));
    let rates = segments.iter().map(|row| row.percent(BUY_RATE));
    let data = Data::new("bought", rates).with_bounds(bounds);
    let money = Kind::Decimals(source.money.decimals());
    let [low_money, high_money] = [low(MONEY_MEAN), high(MONEY_MEAN)];
    let table = TableOf::new(rows)
        .text_of("segment", SEGMENT, |row| row.text(SEGMENT).unwrap_or("all"))
        .number("customers", CUSTOMERS, Kind::Count)
        .number("bought", BUY_RATE, Kind::Share)
        .number_as("from", "interval", &low_rate, Kind::Share)
        .number_as("to", "interval", &high_rate, Kind::Share)
        .number(&source.money.title("money per customer"), MONEY_MEAN, money)
        .number_as("from", "interval", &low_money, money)
        .number_as("to", "interval", &high_money, money)
        .number_as("share of money", "validity.money_share", MONEY_SHARE, Kind::Share);
    let caption = format!(
        "Share of each segment at {snapshot} that bought in the next {days} days, with 95 % \
         intervals. The more the segments differ, the more useful the segmentation is."
    );
    let names: Vec<&str> = segments.iter().map(name).collect();
    let axis = Axis::percent(format!("bought within {days} days")).range(0.0, 100.0);
    let has_room = names.len() <= 2 * chart::MAX_SERIES;
    let chart = has_room.then(|| chart::bars(&names, &[data], "", &axis, Bars::SideBySide));
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
