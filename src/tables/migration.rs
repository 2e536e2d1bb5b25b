//! Migration between consecutive snapshots.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "migration",
    grain: "One row per pair of consecutive snapshots, source segment and target segment.",
    columns: &[
        date(FROM),
        date(TO),
        text(FROM_SEGMENT),
        text(TO_SEGMENT),
        uint32(CUSTOMERS),
        float64(MONEY).means("Money of the customers, in units of the currency."),
        uint32(CUSTOMERS_BY_BEHAVIOUR),
        uint32(CUSTOMERS_BY_CUT_POINTS),
        float64(MONEY_BY_BEHAVIOUR),
        float64(MONEY_BY_CUT_POINTS),
    ],
};
