//! Fingerprints of snapshots: two snapshots with the same fingerprint are equal, regardless of all
//! other rows of the source.

use std::hash::{BuildHasher, Hash, Hasher};

use chrono::NaiveDate;
use foldhash::quality::{FixedState, FoldHasher};
use polars::prelude::*;
use rayon::prelude::*;

use super::RfmParams;
use crate::columns::*;
use crate::ingest::LookupTable;
use crate::orders::OrderFacts;

/// A row that affects the snapshots after its day. Days count from 1970-01-01.
struct Event {
    day: i32,
    /// The day that must be within the window; `None` if the event counts at any distance.
    windowed_day: Option<i32>,
    hash: u64,
}

/// One fingerprint per date, over all rows of the order facts that count at the date. The hashes of
/// the rows are summed, so the order of the rows does not matter.
pub fn fingerprints(
    params: &RfmParams,
    facts: &OrderFacts,
    customers: Option<&LookupTable>,
    dates: &[NaiveDate],
) -> PolarsResult<Vec<String>> {
    let events = events(params, facts)?;
    // Attributes have no date and count at every snapshot.
    let mut attributes = 0u64;
    if let Some(customers) = customers {
        let names: Vec<&str> =
            customers.frame.get_column_names().into_iter().map(|name| name.as_str()).collect();
        attributes = row_hashes(&customers.frame, &names)?.into_iter().fold(0, u64::wrapping_add);
    }
    let window = params.window.map(|days| i32::try_from(days).unwrap_or(i32::MAX));
    let fingerprint = |date: &NaiveDate| {
        let as_of = date.signed_duration_since(NaiveDate::default()).num_days() as i32;
        let first = window.map_or(i32::MIN, |days| as_of.saturating_sub(days));
        let counts =
            |event: &&Event| event.day < as_of && event.windowed_day.is_none_or(|day| day >= first);
        let hashes = events.iter().filter(counts).map(|event| event.hash);
        let sum = hashes.fold(attributes, u64::wrapping_add);
        blake3::hash(&sum.to_le_bytes()).to_hex()[..32].to_owned()
    };
    Ok(dates.par_iter().map(fingerprint).collect())
}

fn events(params: &RfmParams, facts: &OrderFacts) -> PolarsResult<Vec<Event>> {
    // The first line of a customer counts for `min_history_days` even outside the window.
    let windowed = (params.min_history_days == 0).then_some(DAY);
    let accepted = facts.accepted().collect()?;
    let columns = [CUSTOMER_ID, ORDER_ID, DAY, LINES, UNITS, MONEY, ORDERED_AT, RETURNED];
    let mut events = Vec::with_capacity(accepted.height());
    add_events(&mut events, &accepted, &columns, DAY, windowed)?;
    // The full return of an order is an event of its own, on its own day.
    let returned = accepted.filter(&accepted.column(RETURNED_ON)?.is_not_null())?;
    let columns = [CUSTOMER_ID, ORDER_ID, DAY, RETURNED_ON];
    add_events(&mut events, &returned, &columns, RETURNED_ON, windowed)?;
    if let Some(products) = &facts.products {
        add_events(&mut events, products, &[CUSTOMER_ID, PRODUCT_ID, DAY], DAY, None)?;
    }
    if let Some(sold) = &facts.categories {
        add_events(&mut events, sold, &[CUSTOMER_ID, CATEGORY, DAY, MONEY], DAY, Some(DAY))?;
    }
    Ok(events)
}

/// Adds an event per row: the hash over `columns`, on the date in the column `day`.
fn add_events(
    events: &mut Vec<Event>,
    frame: &DataFrame,
    columns: &[&str],
    day: &str,
    windowed_day: Option<&str>,
) -> PolarsResult<()> {
    let days = |name: &str| PolarsResult::Ok(frame.column(name)?.date()?.physical());
    let mut windowed_days = windowed_day.map(days).transpose()?.map(|days| days.iter());
    for (hash, day) in row_hashes(frame, columns)?.into_iter().zip(days(day)?.iter()) {
        let windowed_day = windowed_days.as_mut().and_then(Iterator::next).flatten();
        // Accepted lines always have a day.
        events.push(Event { day: day.unwrap_or(i32::MIN), windowed_day, hash });
    }
    Ok(())
}

/// One hash per row over the named columns.
fn row_hashes(frame: &DataFrame, names: &[&str]) -> PolarsResult<Vec<u64>> {
    const PART: usize = 1 << 16;
    let parts: Vec<DataFrame> =
        (0..frame.height()).step_by(PART).map(|start| frame.slice(start as i64, PART)).collect();
    let hashes: Vec<Vec<u64>> =
        parts.par_iter().map(|part| part_hashes(part, names)).collect::<PolarsResult<_>>()?;
    Ok(hashes.concat())
}

fn part_hashes(frame: &DataFrame, names: &[&str]) -> PolarsResult<Vec<u64>> {
    // A fixed seed, so that equal rows have equal hashes in all runs.
    let mut hashers = vec![FixedState::with_seed(0).build_hasher(); frame.height()];
    for name in names {
        let column = frame.column(name)?.as_materialized_series().to_physical_repr().rechunk();
        match column.dtype() {
            DataType::Int32 => feed(&mut hashers, column.i32()?.iter()),
            DataType::Int64 => feed(&mut hashers, column.i64()?.iter()),
            DataType::Int128 => feed(&mut hashers, column.i128()?.iter()),
            DataType::UInt32 => feed(&mut hashers, column.u32()?.iter()),
            DataType::Boolean => feed(&mut hashers, column.bool()?.iter()),
            DataType::Binary => feed(&mut hashers, column.binary()?.iter()),
            DataType::String => feed(&mut hashers, column.str()?.iter()),
            // Attributes may have any type.
            _ => feed(&mut hashers, frame.column(name)?.cast(&DataType::String)?.str()?.iter()),
        }
    }
    Ok(hashers.into_iter().map(|hasher| hasher.finish()).collect())
}

fn feed(hashers: &mut [FoldHasher<'static>], values: impl Iterator<Item = impl Hash>) {
    hashers.iter_mut().zip(values).for_each(|(hasher, value)| value.hash(hasher));
}
