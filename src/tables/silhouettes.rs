//! Silhouettes of single customers.

use super::{Table, float64, text};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "silhouettes",
    grain: "One row per customer of the newest snapshot and grouping. Above 50,000 customers, a sample of about 10,000.",
    columns: &[
        text(GROUPING),
        text(CUSTOMER_ID),
        float64(SILHOUETTE).means("Silhouette of the customer, -1 to 1."),
    ],
};
