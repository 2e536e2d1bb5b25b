//! Reliability of the models: confidence against accuracy.

use super::{Table, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "reliability",
    grain: "One row per model and confidence decile.",
    columns: &[
        text(MODEL),
        text(PROTOCOL),
        float64(LOWER).means("Lower end of the confidence decile."),
        float64(UPPER).means("Upper end of the confidence decile."),
        uint32(CUSTOMERS),
        float64(CONFIDENCE),
        float64(ACCURACY),
    ],
};
