//! Stability of segments under resampling.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "stability",
    grain: "One row per size of the resamples and segment. A null segment is all customers.",
    columns: &[
        date(SNAPSHOT),
        uint32(SAMPLE),
        text(SEGMENT),
        uint32(CUSTOMERS),
        float64(MOVED)
            .means("Mean share of customers in another segment by the resampled cut points."),
        float64(HIGH).means("The share that 95 % of the resamples do not exceed."),
        float64(ADJUSTED_RAND),
    ],
};
