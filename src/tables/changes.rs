//! Changes of segment since the run before.

use super::{Table, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "changes",
    grain: "One row per segment in the run before and segment in this one, if the run has one \
            snapshot.",
    columns: &[
        text(FROM_SEGMENT).means("Segment in the run before. Null if the customer was not in it."),
        text(TO_SEGMENT).means("Segment in this run. Null if the customer is not in it."),
        uint32(CUSTOMERS),
        float64(MONEY).means("Monetary value in this run, or in the run before for those who left."),
    ],
};
