//! Drift of scores and segments under the cut points of another snapshot.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "drift",
    grain: "One row per snapshot, baseline snapshot and dimension or segment.",
    columns: &[
        date(SNAPSHOT),
        date(BASELINE_SNAPSHOT),
        text(DIMENSION).means("`recency_days`, `frequency`, `monetary` or `segment`."),
        uint32(CUSTOMERS),
        float64(PSI),
        float64(MOVED),
        float64(MONEY_MOVED),
    ],
};
