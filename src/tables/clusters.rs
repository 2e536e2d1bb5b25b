//! Clusters: what each cluster looks like.

use super::{Table, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "clusters",
    grain: "One row per feature of a cluster.",
    columns: &[
        text(MODEL),
        text(CLUSTER),
        uint32(CUSTOMERS),
        float64(SHARE).means("Share of the customers in the cluster, 0 to 1."),
        text(COLUMN),
        float64(MEAN),
    ],
};
