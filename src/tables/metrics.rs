//! Metrics of the models and their baselines.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "metrics",
    grain: "One row per metric of a model or baseline at a snapshot, over all classes or for one.",
    columns: &[
        text(MODEL),
        text(PROTOCOL),
        date(SNAPSHOT).means("Snapshot of the labels. Earlier ones are of a backtest."),
        text(METRIC),
        text(LABEL),
        float64(VALUE),
        float64(LOW),
        float64(HIGH),
        uint32(N),
    ],
};
