//! Cluster profiles, and the sweep over numbers of neighbours and clusters.

use polars::prelude::*;
use rayon::prelude::*;

use super::cluster_geometry::{
    ClusterGeometry, SilhouetteMode, Silhouettes, calinski_harabasz, davies_bouldin,
};
use crate::columns::*;
use crate::model::lloyd::Clustering;
use crate::model::{CandidateScore, Clustered, Labels};
use crate::tables::table_rows;

table_rows! {
    struct ClusterMean<'a> {
        MODEL => model: &'a str,
        CLUSTER => cluster: String,
        CUSTOMERS => customers: u32,
        SHARE => share: f64,
        COLUMN => column: &'a str,
        MEAN => mean: Option<f64>,
    }

    struct SweepMetric<'a> {
        MODEL => model: &'a str,
        K => k: u32,
        METRIC => metric: &'static str,
        VALUE => value: Option<f64>,
        /// `None` for clusterings.
        STANDARD_ERROR => standard_error: Option<f64>,
        CHOSEN => chosen: bool,
    }
}

/// The table `clusters`: the mean of every numeric column by cluster, at the newest snapshot. One
/// row per (clustering, cluster, column), with recency, frequency, monetary value and the other
/// numeric features of the clustering.
pub(super) fn clusters(clusterings: &[Clustered], newest: &DataFrame) -> PolarsResult<DataFrame> {
    let mut rows = Vec::new();
    for clustered in clusterings {
        let params = &clustered.model.params;
        let Labels { names, codes } = clustered.labels();
        let total = codes.iter().flatten().count() as f64;
        let mut measured = vec![RECENCY_DAYS, FREQUENCY, MONETARY];
        for feature in &params.features {
            let name = feature.column.as_str();
            let is_number =
                newest.column(name).is_ok_and(|column| column.dtype().is_primitive_numeric());
            if is_number && !measured.contains(&name) {
                measured.push(name);
            }
        }
        for (idx, cluster) in names.iter().enumerate() {
            let is_member: BooleanChunked = codes.iter().map(|code| *code == Some(idx)).collect();
            let members = newest.filter(&is_member)?;
            for &column in &measured {
                let values = members.column(column)?.cast(&DataType::Float64)?;
                rows.push(ClusterMean {
                    model: &params.name,
                    cluster: cluster.clone(),
                    customers: members.height() as u32,
                    share: members.height() as f64 / total,
                    column,
                    mean: mean(values.f64()?.iter().flatten().collect()),
                });
            }
        }
    }
    ClusterMean::frame(rows)
}

/// `None` without values.
fn mean(mut values: Vec<f64>) -> Option<f64> {
    // Sums of floats depend on their order.
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The table `k_sweep`: one row per (model, number, metric). KNN models have the metric that chose
/// their number of neighbours. Clusterings have `wcss`, `silhouette`, `davies_bouldin`,
/// `calinski_harabasz` and `largest_share` (of customers in the largest cluster).
pub fn k_sweep(
    tuned: &[(String, Vec<CandidateScore>)],
    clusterings: &[Clustered],
    mode: SilhouetteMode,
) -> PolarsResult<DataFrame> {
    let tuned = tuned.iter().flat_map(|(model, candidates)| {
        candidates.iter().map(|candidate| SweepMetric {
            model,
            k: candidate.k as u32,
            metric: candidate.metric,
            value: Some(candidate.value),
            standard_error: Some(candidate.standard_error),
            chosen: candidate.chosen,
        })
    });
    SweepMetric::frame(tuned.chain(clusterings.iter().flat_map(|one| sweep_metrics(one, mode))))
}

/// The metrics of every number of clusters that was tried.
fn sweep_metrics(clustered: &Clustered, mode: SilhouetteMode) -> Vec<SweepMetric<'_>> {
    let points = &clustered.projection.points;
    let distinct = points.distinct();
    let chosen = clustered.chosen_clustering().k;
    let metrics = |&Clustering { k, ref codes, wcss, .. }: &Clustering| {
        let geometries = ClusterGeometry::all(points, &distinct, codes, k);
        let largest = geometries.iter().map(ClusterGeometry::len).max().unwrap_or(0);
        let silhouettes = Silhouettes::of(&geometries, mode);
        let silhouette = silhouettes.map(|silhouettes| silhouettes.mean(None).0);
        [
            (WCSS, Some(wcss)),
            (SILHOUETTE, silhouette),
            (DAVIES_BOULDIN, davies_bouldin(&geometries)),
            (CALINSKI_HARABASZ, calinski_harabasz(&geometries)),
            (LARGEST_SHARE, Some(largest as f64 / points.len().max(1) as f64)),
        ]
        .map(|(metric, value)| SweepMetric {
            model: &clustered.model.params.name,
            k: k as u32,
            metric,
            value,
            standard_error: None,
            chosen: k == chosen,
        })
    };
    clustered.candidates.par_iter().flat_map_iter(metrics).collect()
}
