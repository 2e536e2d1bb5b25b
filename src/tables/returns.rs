//! Returns and the orders they are matched to.

use super::{Table, int64, text, timestamp};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "returns",
    grain: "One row per part of a return that is matched to one order, or to none.",
    columns: &[
        text(CUSTOMER_ID),
        text(ORDER_ID),
        text(PRODUCT_ID),
        timestamp(ORDERED_AT),
        int64(UNITS).means("Number of returned units."),
        text(MATCHED_ORDER_ID),
    ],
};
