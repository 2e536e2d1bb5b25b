//! The first screen: the numbers that matter in a sentence, and what to do about the segments.

use polars::prelude::*;

use super::time::Moves;
use super::{Source, format};
use crate::columns::*;
use crate::tables::TableId;

/// Share of the customers or of revenue from which a segment has a card.
const SMALLEST: f64 = 0.01;
/// Number of cards.
const CARDS: usize = 4;
/// Number of segments whose change is in the sentence.
const CHANGES: usize = 3;
/// Number of slipping segments that the sentence names.
const NAMES: usize = 3;

/// What to do about a segment.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) segment: String,
    pub(super) customers: String,
    pub(super) revenue: String,
    pub(super) share: String,
    pub(super) description: String,
    pub(super) action: String,
    /// The unrounded numbers of customers and revenue.
    pub(super) exact: [f64; 2],
}

/// A segment at the newest snapshot.
struct Segment<'a> {
    name: &'a str,
    customers: f64,
    share: f64,
    money: f64,
    money_share: f64,
    action: &'a str,
    /// Whether its mean customer bought more often, and longer ago, than half of all customers.
    is_slipping: bool,
}

/// The sentence. `None` without revenue.
pub(super) fn sentence(source: &Source<'_>) -> PolarsResult<Option<String>> {
    with_segments(source, |segments| {
        let best = segments.iter().max_by(|a, b| a.money_share.total_cmp(&b.money_share))?;
        if best.money_share <= 0.0 {
            return None;
        }
        let mut sentence = format!(
            "{} {} ({} of the customers) bring {} of revenue.",
            format::count(best.customers),
            best.name,
            format::share(best.share),
            format::share(best.money_share)
        );
        let slipping: Vec<&Segment<'_>> = segments
            .iter()
            .filter(|segment| segment.is_slipping && segment.customers > 0.0)
            .collect();
        let sum = |of: fn(&Segment<'_>) -> f64| slipping.iter().map(|segment| of(segment)).sum();
        let (customers, money): (f64, f64) = (sum(|one| one.customers), sum(|one| one.money));
        if customers > 0.0 && money > 0.0 {
            let names: Vec<&str> = slipping.iter().map(|segment| segment.name).collect();
            let names = if names.len() <= NAMES {
                format!(" ({})", names.join(", "))
            } else {
                String::new()
            };
            sentence += &format!(
                " {} customers who used to buy often stay away{names}; they have spent {}.",
                format::count(customers),
                source.money.round(money)
            );
        }
        Some(sentence)
    })
}

/// What changed since the snapshot or the run before, as a sentence. `None` without one.
pub(super) fn changes(source: &Source<'_>) -> PolarsResult<Option<String>> {
    let Some(moves) = Moves::new(source)? else { return Ok(None) };
    let new = moves.count(|from, to| from.is_none() && to.is_some());
    with_segments(source, |segments| {
        let change = |segment: &Segment<'_>| {
            segment.customers - moves.count(|from, _| from == Some(segment.name))
        };
        let mut changes: Vec<(f64, &str)> =
            segments.iter().map(|segment| (change(segment), segment.name)).collect();
        changes.retain(|(change, _)| *change != 0.0);
        changes.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
        let shown = changes.iter().take(CHANGES);
        let shown: Vec<String> =
            shown.map(|(change, name)| format!("{name} {}", format::change(*change))).collect();
        let changes = if shown.is_empty() {
            String::new()
        } else {
            format!(" Segments that changed most: {}.", shown.join(", "))
        };
        let since = &moves.since;
        Some(format!("Since {since}, {} customers are new.{changes}", format::count(new)))
    })
}

/// The cards: segments that slip away first, then those with the most revenue. Tiny segments, and
/// those without an action, have none.
pub(super) fn cards(source: &Source<'_>) -> PolarsResult<Vec<Card>> {
    let cards = with_segments(source, |segments| {
        let mut chosen: Vec<&Segment<'_>> = segments
            .iter()
            .filter(|segment| {
                segment.share.max(segment.money_share) >= SMALLEST && !segment.action.is_empty()
            })
            .collect();
        chosen.sort_by(|a, b| b.is_slipping.cmp(&a.is_slipping).then(b.money.total_cmp(&a.money)));
        chosen.truncate(CARDS);
        let card = |segment: &Segment<'_>| Card {
            segment: segment.name.to_owned(),
            customers: format::count(segment.customers),
            revenue: source.money.round(segment.money),
            share: format::share(segment.money_share),
            description: description(source, segment.name).to_owned(),
            action: segment.action.to_owned(),
            exact: [segment.customers, segment.money],
        };
        Some(chosen.into_iter().map(card).collect())
    });
    Ok(cards?.unwrap_or_default())
}

/// What the map says of a segment.
fn description<'a>(source: &'a Source<'_>, name: &str) -> &'a str {
    let segments = source.manifest.definition["segment"]["segments"].as_array();
    let segment = segments.into_iter().flatten().find(|one| one["name"].as_str() == Some(name));
    segment.and_then(|segment| segment["description"].as_str()).unwrap_or("")
}

fn with_segments<T>(
    source: &Source<'_>,
    make: impl FnOnce(&[Segment<'_>]) -> Option<T>,
) -> PolarsResult<Option<T>> {
    let Some(profile) = source.grid(TableId::SegmentProfile)? else { return Ok(None) };
    let median = |name: &str| -> PolarsResult<f64> {
        let column = source.newest.column(name)?.cast(&DataType::Float64)?;
        Ok(column.f64()?.median().unwrap_or(f64::NAN))
    };
    let (days, orders) = (median(RECENCY_DAYS)?, median(FREQUENCY)?);
    let (median_days, mean_orders) = (median_of(RECENCY_DAYS), mean_of(FREQUENCY));
    let rows = profile.rows_with(SNAPSHOT, source.snapshot);
    let segments = rows.iter().filter_map(|row| {
        Some(Segment {
            name: row.text(SEGMENT)?,
            customers: row.number(CUSTOMERS)?,
            share: row.number(SHARE).unwrap_or(0.0),
            money: row.number(MONEY).unwrap_or(0.0),
            money_share: row.number(MONEY_SHARE).unwrap_or(0.0),
            action: row.text(ACTION).unwrap_or(""),
            is_slipping: row.number(&median_days).is_some_and(|own| own > days)
                && row.number(&mean_orders).is_some_and(|own| own > orders),
        })
    });
    Ok(make(&segments.collect::<Vec<_>>()))
}
