//! Cluster profiles, and the sweep over numbers of neighbours and clusters.

use polars::prelude::*;

use super::cluster_quality::sweep_metrics;
use super::column;
use crate::columns::*;
use crate::model::{CandidateScore, Clustered};

/// The table `clusters`: the mean of every numeric column by cluster, at the newest snapshot. One
/// row per (clustering, cluster, column), with recency, frequency, monetary value and the other
/// numeric features of the clustering.
///
/// Columns: `model`, `cluster` text, `customers` u32, `share` f64, `column` text, `mean` f64.
pub(super) fn clusters(clusterings: &[Clustered], newest: &DataFrame) -> PolarsResult<DataFrame> {
    struct ClusterMean<'a> {
        model: &'a str,
        cluster: &'a str,
        customers: usize,
        share: f64,
        column: &'a str,
        mean: Option<f64>,
    }

    let mut rows = Vec::new();
    for clustered in clusterings {
        let model = &clustered.model;
        let labels = clustered.labels();
        let total = labels.codes.iter().flatten().count() as f64;
        let mut names: Vec<&str> = model.names.iter().map(String::as_str).collect();
        names.sort_unstable();
        let mut measured = vec![RECENCY_DAYS, FREQUENCY, MONETARY];
        for feature in &model.params.features {
            let name = feature.column.as_str();
            let is_number =
                newest.column(name).is_ok_and(|column| column.dtype().is_primitive_numeric());
            if is_number && !measured.contains(&name) {
                measured.push(name);
            }
        }
        for cluster in names {
            let is_member: Vec<bool> = labels.iter().map(|label| label == Some(cluster)).collect();
            let customers = is_member.iter().filter(|is_member| **is_member).count();
            for &name in &measured {
                let values = newest.column(name)?.cast(&DataType::Float64)?;
                let members =
                    values.f64()?.iter().zip(&is_member).filter(|(_, is_member)| **is_member);
                rows.push(ClusterMean {
                    model: &model.params.name,
                    cluster,
                    customers,
                    share: customers as f64 / total,
                    column: name,
                    mean: mean(members.filter_map(|(value, _)| value).collect()),
                });
            }
        }
    }
    df![
        MODEL => column(&rows, |row| row.model),
        CLUSTER => column(&rows, |row| row.cluster),
        CUSTOMERS => column(&rows, |row| row.customers as u32),
        SHARE => column(&rows, |row| row.share),
        COLUMN => column(&rows, |row| row.column),
        MEAN => column(&rows, |row| row.mean),
    ]
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
///
/// Columns: `model` text, `k` u32, `metric` text, `value` f64, `standard_error` f64 over the folds,
/// null for clusterings, `chosen` bool.
pub fn k_sweep(
    tuned: &[(String, Vec<CandidateScore>)],
    clusterings: &[Clustered],
) -> PolarsResult<DataFrame> {
    struct SweepMetric<'a> {
        model: &'a str,
        k: usize,
        metric: &'static str,
        value: Option<f64>,
        standard_error: Option<f64>,
        chosen: bool,
    }

    let mut rows = Vec::new();
    for (model, candidates) in tuned {
        rows.extend(candidates.iter().map(|candidate| SweepMetric {
            model,
            k: candidate.k,
            metric: candidate.metric,
            value: Some(candidate.value),
            standard_error: Some(candidate.standard_error),
            chosen: candidate.chosen,
        }));
    }
    for clustered in clusterings {
        let chosen = clustered.chosen_clustering().k;
        rows.extend(sweep_metrics(clustered).into_iter().map(|(k, metric, value)| SweepMetric {
            model: &clustered.model.params.name,
            k,
            metric,
            value,
            standard_error: None,
            chosen: k == chosen,
        }));
    }
    df![
        MODEL => column(&rows, |row| row.model),
        K => column(&rows, |row| row.k as u32),
        METRIC => column(&rows, |row| row.metric),
        VALUE => column(&rows, |row| row.value),
        STANDARD_ERROR => column(&rows, |row| row.standard_error),
        CHOSEN => column(&rows, |row| row.chosen),
    ]
}
