//! Silhouettes of single customers.

use super::{Table, float64, text};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "silhouettes",
    grain: "One row per customer of the newest snapshot and grouping. Empty if the silhouettes are \
            of a sample.",
    columns: &[
        text(GROUPING),
        text(CUSTOMER_ID),
        float64(SILHOUETTE).means("Silhouette of the customer, -1 to 1."),
    ],
};
