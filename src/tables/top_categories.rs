//! Best-selling categories.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "top_categories",
    grain: "One row per category and snapshot.",
    columns: &[
        date(SNAPSHOT),
        uint32(PLACE),
        text(CATEGORY),
        float64(MONEY).means("Money of the category, in units of the currency."),
    ],
};
