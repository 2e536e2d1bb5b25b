//! Cluster quality: silhouette and other internal indices of segments and clusters.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "cluster_quality",
    grain: "One row per group, clustering and feature space. A null segment is the whole clustering.",
    columns: &[
        date(SNAPSHOT),
        text(GROUPING),
        text(SPACE),
        text(SEGMENT),
        uint32(CUSTOMERS),
        float64(SILHOUETTE),
        float64(SILHOUETTE_ERROR),
        float64(WCSS),
        float64(DAVIES_BOULDIN),
        float64(CALINSKI_HARABASZ),
    ],
};
