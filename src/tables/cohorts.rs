//! Retention and money of customers by the period of their first purchase.

use super::{Table, boolean, date, float64, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "cohorts",
    grain: "One row per cohort and period that begins before the newest snapshot.",
    columns: &[
        date(COHORT),
        uint32(PERIOD),
        uint32(CUSTOMERS).means("Customers of the cohort."),
        uint32(BUYERS).means("Customers of the cohort with a purchase in the period."),
        float64(RETENTION),
        float64(MONEY).means("Money that the cohort spent in the period, less returns."),
        float64(MONEY_MEAN).means("The same per customer of the cohort."),
        float64(CUMULATIVE_MONEY_MEAN),
        boolean(COMPLETE),
    ],
};
