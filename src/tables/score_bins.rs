//! Score bins: cut points and customers of every score.

use super::{Table, date, float64, text, uint8, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "score_bins",
    grain: "One row per score of a dimension and snapshot.",
    columns: &[
        date(SNAPSHOT),
        text(DIMENSION),
        uint8(SCORE),
        float64(LOWER),
        float64(UPPER),
        uint32(CUSTOMERS),
        uint8(REQUESTED_BINS),
        uint8(EFFECTIVE_BINS),
    ],
};
