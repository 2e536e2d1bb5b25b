//! What a snapshot says of the ones before it: how long a customer has been in its segment, and where it was before.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::{CUSTOMER_ID, PREVIOUS_SEGMENT, SEGMENT, SEGMENT_SINCE, SNAPSHOTS_IN_SEGMENT};
use crate::rfm::by_snapshot;

/// How a customer stands at one snapshot.
#[derive(Debug, Clone, Copy)]
struct Stay<'a> {
    segment: &'a str,
    since: NaiveDate,
    snapshots: u32,
}

/// Adds three columns after `segment`: `previous_segment` text, the customer's segment at the snapshot before, null where it was not
/// in it; `segment_since` date, the first of the unbroken row of snapshots at which it has been in its segment; and
/// `snapshots_in_segment` u32, how many these are, at least 1. Rows stand sorted by (snapshot, customer_id).
///
/// # Errors
/// A column that is missing.
pub fn looking_back(mut frame: DataFrame) -> PolarsResult<DataFrame> {
    let parts = by_snapshot(&frame)?;
    let columns: Vec<(NaiveDate, StringChunked, StringChunked)> = parts
        .iter()
        .map(|(date, part)| {
            Ok((
                *date,
                part.column(CUSTOMER_ID)?.str()?.clone(),
                part.column(SEGMENT)?.str()?.clone(),
            ))
        })
        .collect::<PolarsResult<_>>()?;
    let (mut previous, mut since, mut snapshots) = (Vec::new(), Vec::new(), Vec::new());
    let mut before: Vec<(&str, Stay<'_>)> = Vec::new();
    for (date, ids, segments) in &columns {
        let mut now = Vec::with_capacity(ids.len());
        let mut earlier = before.iter().peekable();
        for (id, segment) in ids.iter().zip(segments.iter()) {
            let (id, segment) = (id.unwrap_or_default(), segment.unwrap_or_default());
            // Both are sorted by customer_id.
            while earlier.next_if(|(other, _)| *other < id).is_some() {}
            let was = earlier.next_if(|(other, _)| *other == id).map(|(_, stay)| *stay);
            let stay = match was {
                Some(stay) if stay.segment == segment => {
                    Stay { snapshots: stay.snapshots + 1, ..stay }
                }
                _ => Stay { segment, since: *date, snapshots: 1 },
            };
            previous.push(was.map(|stay| stay.segment));
            since.push(stay.since);
            snapshots.push(stay.snapshots);
            now.push((id, stay));
        }
        before = now;
    }
    let added = [
        Column::new(PREVIOUS_SEGMENT.into(), previous),
        Column::new(SEGMENT_SINCE.into(), since),
        Column::new(SNAPSHOTS_IN_SEGMENT.into(), snapshots),
    ];
    let after = frame.try_get_column_index(SEGMENT)? + 1;
    for (i, column) in added.into_iter().enumerate() {
        frame.insert_column(after + i, column)?;
    }
    Ok(frame)
}
