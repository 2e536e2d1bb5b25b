//! Sensitivity to other definitions of frequency and monetary value.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "sensitivity",
    grain: "One row per alternative definition and snapshot.",
    columns: &[
        date(SNAPSHOT),
        text(DIMENSION),
        text(ALTERNATIVE),
        uint32(CUSTOMERS),
        float64(SCORE_MOVED),
        float64(SEGMENT_MOVED),
        float64(MONEY_MOVED),
    ],
};
