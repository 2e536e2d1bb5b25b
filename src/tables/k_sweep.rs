//! Sweep over the number of clusters or neighbours.

use super::{Table, boolean, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "k_sweep",
    grain: "One row per number of clusters or neighbours and metric.",
    columns: &[
        text(MODEL),
        uint32(K),
        text(METRIC),
        float64(VALUE),
        float64(STANDARD_ERROR),
        boolean(CHOSEN),
    ],
};
