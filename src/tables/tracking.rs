//! Tracking of BTYD models: repeat purchases by week, actual and expected.

use super::{Table, boolean, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "tracking",
    grain: "One row per BTYD model and week since the first purchase of the source.",
    columns: &[
        text(MODEL),
        uint32(WEEK),
        float64(ACTUAL).means("Repeat purchases of all customers up to the end of the week."),
        float64(EXPECTED).means("Expected repeat purchases up to the end of the week."),
        boolean(IS_FORECAST),
    ],
};
