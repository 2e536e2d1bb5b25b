//! What a snapshot depends on, as a hash: two snapshots with the same are the same, whatever else the source holds.

use std::hash::{BuildHasher, Hash, Hasher};

use chrono::NaiveDate;
use foldhash::quality::{FixedState, FoldHasher};
use polars::prelude::*;
use rayon::prelude::*;

use super::RfmParams;
use crate::columns::{
    CATEGORY, CUSTOMER_ID, DAY, LINES, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID, REASON, RETURNED,
    UNDONE_ON, UNITS,
};
use crate::ingest::Keyed;
use crate::orders::OrderBook;

/// Something that a snapshot depends on if it lies before it.
struct Event {
    /// When it happened; for what is undone, when that was.
    day: i32,
    /// The day that has to lie within the window; none for what counts whenever it was.
    within: Option<i32>,
    /// Hash of what happened.
    hash: u64,
}

/// One hash a date, of every row of the order book that counts at it. The order of rows does not matter: their hashes are summed.
///
/// # Errors
/// What Polars says.
pub fn inputs(
    params: &RfmParams,
    book: &OrderBook,
    customers: Option<&Keyed>,
    dates: &[NaiveDate],
) -> PolarsResult<Vec<String>> {
    let events = events(params, book)?;
    // Attributes have no date, so they count at every one.
    let attributes = match customers {
        None => 0,
        Some(customers) => {
            let names: Vec<&str> =
                customers.frame.get_column_names().into_iter().map(|name| name.as_str()).collect();
            rows(&customers.frame, &names)?.into_iter().fold(0, u64::wrapping_add)
        }
    };
    let epoch = NaiveDate::default();
    let of_date = |date: &NaiveDate| {
        let as_of = date.signed_duration_since(epoch).num_days() as i32;
        let first = params
            .window
            .map_or(i32::MIN, |days| as_of.saturating_sub(i32::try_from(days).unwrap_or(i32::MAX)));
        let counted = events
            .iter()
            .filter(|event| event.day < as_of && event.within.is_none_or(|day| day >= first));
        let sum = counted.fold(attributes, |sum, event| sum.wrapping_add(event.hash));
        blake3::hash(&sum.to_le_bytes()).to_hex()[..32].to_owned()
    };
    Ok(dates.par_iter().map(of_date).collect())
}

fn events(params: &RfmParams, book: &OrderBook) -> PolarsResult<Vec<Event>> {
    // How long a customer is known looks beyond the window.
    let windowed = |day: i32| Some(day).filter(|_| params.min_history_days == 0);
    let frame = &book.frame;
    let accepted = frame.column(REASON)?.is_null();
    let bought = [CUSTOMER_ID, ORDER_ID, DAY, LINES, UNITS, MONEY, ORDERED_AT, RETURNED];
    let mut events = Vec::with_capacity(frame.height());
    let days = days(frame, DAY)?;
    for ((hash, day), _) in
        rows(frame, &bought)?.into_iter().zip(&days).zip(accepted.iter()).filter(is_accepted)
    {
        let day = day.unwrap_or(i32::MIN);
        events.push(Event { day, within: windowed(day), hash });
    }
    // That an order is undone is an event of its own, on its own day.
    let undone = self::days(frame, UNDONE_ON)?;
    if undone.iter().any(Option::is_some) {
        let hashes = rows(frame, &[CUSTOMER_ID, ORDER_ID, DAY, UNDONE_ON])?
            .into_iter()
            .zip(undone)
            .zip(&days);
        for (((hash, undone), day), _) in hashes.zip(accepted.iter()).filter(is_accepted) {
            let day = day.unwrap_or(i32::MIN);
            events.extend(undone.map(|undone| Event { day: undone, within: windowed(day), hash }));
        }
    }
    if let Some(products) = &book.products {
        let hashes = rows(products, &[CUSTOMER_ID, PRODUCT_ID, DAY])?
            .into_iter()
            .zip(self::days(products, DAY)?);
        events.extend(hashes.map(|(hash, day)| Event {
            day: day.unwrap_or(i32::MIN),
            within: None,
            hash,
        }));
    }
    if let Some(sold) = &book.categories {
        let hashes = rows(sold, &[CUSTOMER_ID, CATEGORY, DAY, MONEY])?
            .into_iter()
            .zip(self::days(sold, DAY)?);
        events.extend(hashes.map(|(hash, day)| Event {
            day: day.unwrap_or(i32::MIN),
            within: day,
            hash,
        }));
    }
    Ok(events)
}

/// Whether a row of the book is one of those that no step objected to.
fn is_accepted<T>(row: &(T, Option<bool>)) -> bool {
    row.1 == Some(true)
}

fn days(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<i32>>> {
    Ok(frame.column(name)?.date()?.physical().iter().collect())
}

/// One hash a row, of some columns.
fn rows(frame: &DataFrame, names: &[&str]) -> PolarsResult<Vec<u64>> {
    const PART: usize = 1 << 16;
    let parts: Vec<DataFrame> =
        (0..frame.height()).step_by(PART).map(|at| frame.slice(at as i64, PART)).collect();
    let hashes: Vec<Vec<u64>> =
        parts.par_iter().map(|part| part_of_rows(part, names)).collect::<PolarsResult<_>>()?;
    Ok(hashes.concat())
}

fn part_of_rows(frame: &DataFrame, names: &[&str]) -> PolarsResult<Vec<u64>> {
    // Without a random key, so that equal rows of two runs have equal hashes.
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
            // Attributes may be of any type; all can be written as text.
            _ => feed(&mut hashers, frame.column(name)?.cast(&DataType::String)?.str()?.iter()),
        }
    }
    Ok(hashers.into_iter().map(|hasher| hasher.finish()).collect())
}

fn feed(hashers: &mut [FoldHasher<'static>], values: impl Iterator<Item = impl Hash>) {
    hashers.iter_mut().zip(values).for_each(|(hasher, value)| value.hash(hasher));
}
