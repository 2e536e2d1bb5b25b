//! Ledger: what every cleaning step removed.

use super::{Table, float64, int64, text};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "ledger",
    grain: "One row per cleaning step and reason, in order. The first row is the source.",
    columns: &[
        text(STEP),
        text(REASON).means("Why the rows were rejected. Empty for the source."),
        int64(ROWS),
        int64(CUSTOMERS).means("Customers that disappear with the rejected rows."),
        int64(ORDERS).means("Orders that disappear with the rejected rows."),
        float64(MONEY).means("Money of the rejected rows. Negative for returns. Null if it cannot be parsed."),
        int64(ROWS_LEFT),
        int64(CUSTOMERS_LEFT),
        int64(ORDERS_LEFT),
        float64(MONEY_LEFT).means("Money that is left. Null while rows with unparsed money are left."),
    ],
};
