//! Predictive validity: what segments did after the snapshot.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "validity",
    grain: "One row per segment and snapshot. A null segment is all customers.",
    columns: &[
        date(SNAPSHOT),
        uint32(HORIZON_DAYS),
        text(SEGMENT),
        uint32(CUSTOMERS),
        uint32(BUYERS),
        float64(BUY_RATE),
        float64(MONEY).means("Money that the segment spent within the horizon."),
        float64(MONEY_SHARE)
            .means("Share of the money that all customers spent within the horizon, 0 to 1."),
        float64(MONEY_MEAN),
        float64(LOW_OF).pattern(),
        float64(HIGH_OF).pattern(),
    ],
};
