//! Segment profile: size and value of every segment.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "segment_profile",
    grain: "One row per segment and snapshot, in the order of the map.",
    columns: &[
        date(SNAPSHOT),
        text(SEGMENT),
        uint32(CUSTOMERS),
        float64(SHARE),
        uint32(ORDERS),
        float64(MONEY).means("Money of the customers, in units of the currency."),
        float64(MONEY_SHARE).means("Share of the money of all segments. Below 0 or above 1 if returns make the money of a segment negative."),
        float64(MEAN_OF).pattern(),
        float64(MEDIAN_OF).pattern(),
        float64(AVERAGE_ORDER_VALUE),
        float64(SUM_OF).pattern(),
        text(ACTION),
    ],
};
