//! Outliers of monetary value.

use super::{Table, date, float64, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "outliers",
    grain: "One row per snapshot.",
    columns: &[
        date(SNAPSHOT),
        float64(QUANTILE),
        float64(LIMIT),
        uint32(CUSTOMERS),
        float64(EXCESS_MONEY),
    ],
};
