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
        float64(MONEY_SHARE),
        float64("recency_days_mean"),
        float64("recency_days_median"),
        float64("frequency_mean"),
        float64("frequency_median"),
        float64("monetary_mean"),
        float64("monetary_median"),
        float64(AVERAGE_ORDER_VALUE),
        text(ACTION),
    ],
};
