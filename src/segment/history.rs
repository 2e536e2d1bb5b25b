//! How long customers have been in their segment, and which one they were in before.

use chrono::NaiveDate;
use polars::prelude::*;

use crate::columns::*;

/// The segments of the previous snapshot, sorted by customer_id.
#[derive(Debug, Default)]
pub(crate) struct History {
    ids: StringChunked,
    segments: StringChunked,
    stays: Vec<Stay>,
}

/// Uninterrupted time of a customer in a segment.
#[derive(Debug, Clone, Copy)]
struct Stay {
    since: NaiveDate,
    snapshots: u32,
}

impl History {
    /// Adds three columns after `segment` to the customers of one snapshot, which are sorted by
    /// customer_id: `previous_segment` text, the segment at the previous snapshot, null for
    /// customers who were not in it; `segment_since` date, the first of the consecutive snapshots
    /// in the segment; and `snapshots_in_segment` u32, their number, at least 1. Snapshots must be
    /// added in ascending order.
    pub(crate) fn add(&mut self, mut frame: DataFrame) -> PolarsResult<DataFrame> {
        let date = frame.column(SNAPSHOT)?.date()?.as_date_iter().next().flatten();
        let since =
            date.ok_or_else(|| polars_err!(ComputeError: "a snapshot without customers"))?;
        let ids = frame.column(CUSTOMER_ID)?.str()?.clone();
        let segments = frame.column(SEGMENT)?.str()?.clone();
        let mut previous_segments = Vec::with_capacity(ids.len());
        let mut stays = Vec::with_capacity(ids.len());
        let previous = self.ids.iter().zip(self.segments.iter()).zip(&self.stays);
        let mut previous = previous.peekable();
        for (id, segment) in ids.iter().zip(segments.iter()) {
            // Both are sorted by customer_id.
            while previous.next_if(|((other, _), _)| *other < id).is_some() {}
            let before = previous.next_if(|((other, _), _)| *other == id);
            previous_segments.push(before.and_then(|((_, segment), _)| segment));
            stays.push(match before {
                Some(((_, other), stay)) if other == segment => {
                    Stay { snapshots: stay.snapshots + 1, ..*stay }
                }
                _ => Stay { since, snapshots: 1 },
            });
        }
        drop(previous);
        let since: Vec<NaiveDate> = stays.iter().map(|stay| stay.since).collect();
        let snapshots: Vec<u32> = stays.iter().map(|stay| stay.snapshots).collect();
        let after = frame.try_get_column_index(SEGMENT)? + 1;
        frame.insert_column(after, Column::new(PREVIOUS_SEGMENT.into(), previous_segments))?;
        frame.insert_column(after + 1, Column::new(SEGMENT_SINCE.into(), since))?;
        frame.insert_column(after + 2, Column::new(SNAPSHOTS_IN_SEGMENT.into(), snapshots))?;
        *self = Self { ids, segments, stays };
        Ok(frame)
    }
}
