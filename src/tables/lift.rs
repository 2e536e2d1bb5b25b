//! Lift and gain of models that rank customers.

use super::{Table, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "lift",
    grain: "One row per model, what it predicts, and tenth of its prediction.",
    columns: &[
        text(MODEL),
        text(PROTOCOL),
        text(LABEL).means(
            "What is predicted: the second of two labels, or `purchases` and `spend` of BTYD \
             models.",
        ),
        uint32(DECILE),
        uint32(CUSTOMERS),
        float64(PREDICTED).means("Mean prediction."),
        float64(ACTUAL).means("Mean outcome: for labels the share of customers with it."),
        float64(LIFT),
        float64(GAIN),
    ],
};
