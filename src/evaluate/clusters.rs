//! What the clusters are like, and what each number of neighbours or clusters that was tried gave.

use polars::prelude::*;

use super::cohesion::by_number;
use crate::columns::*;
use crate::model::{Clustered, Tried};

/// One row a (clustering, cluster, column): the clusters of the newest snapshot, and the mean of recency, frequency, monetary value and of
/// every other column of numbers that the clustering compares, in its own unit.
///
/// Columns: `model`, `cluster` text, `customers` u32, `share` f64, `column` text, `mean` f64.
///
/// # Errors
/// What Polars says.
pub fn clusters(clustered: &[Clustered], newest: &DataFrame) -> PolarsResult<DataFrame> {
    let (mut models, mut names, mut customers, mut shares) =
        (Vec::new(), Vec::new(), Vec::<u32>::new(), Vec::new());
    let (mut columns, mut means) = (Vec::new(), Vec::new());
    for one in clustered {
        let labels = one.labels();
        let total = labels.codes.iter().flatten().count() as f64;
        let mut order: Vec<&String> = one.places.names.iter().collect();
        order.sort();
        let mut measured = [RECENCY_DAYS, FREQUENCY, MONETARY].map(str::to_owned).to_vec();
        let more = one.places.params.features.iter().map(|feature| feature.column.clone());
        for name in more {
            let numeric =
                newest.column(&name).is_ok_and(|column| column.dtype().is_primitive_numeric());
            if numeric && !measured.contains(&name) {
                measured.push(name);
            }
        }
        for name in order {
            let inside: Vec<bool> = labels.iter().map(|label| label == Some(name)).collect();
            let n = inside.iter().filter(|inside| **inside).count();
            for column in &measured {
                let values = newest.column(column)?.cast(&DataType::Float64)?;
                let values = values.f64()?.iter().zip(&inside).filter(|(_, inside)| **inside);
                let mut values: Vec<f64> = values.filter_map(|(value, _)| value).collect();
                // Sums of floats depend on their order.
                values.sort_by(f64::total_cmp);
                models.push(one.places.params.name.clone());
                names.push(name.clone());
                customers.push(n as u32);
                shares.push(n as f64 / total);
                columns.push(column.clone());
                means.push(
                    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64),
                );
            }
        }
    }
    df![MODEL => models, CLUSTER => names, CUSTOMERS => customers, SHARE => shares, COLUMN => columns, MEAN => means]
}

/// One row a (model, number, metric): of a KNN the figure that its number of neighbours was chosen by, of a clustering `wcss`,
/// `silhouette`, `davies_bouldin`, `calinski_harabasz` and `largest_share` (of customers in the largest cluster).
///
/// Columns: `model` text, `k` u32, `metric` text, `value` f64, `standard_error` f64 over the folds, null for clusterings, `chosen` bool.
///
/// # Errors
/// What Polars says.
pub fn k_sweep(tuned: &[(String, Vec<Tried>)], clustered: &[Clustered]) -> PolarsResult<DataFrame> {
    let (mut models, mut numbers, mut metrics) = (Vec::new(), Vec::<u32>::new(), Vec::new());
    let (mut values, mut errors, mut chosen) = (Vec::new(), Vec::new(), Vec::new());
    for (model, tried) in tuned {
        for one in tried {
            models.push(model.clone());
            numbers.push(one.k as u32);
            metrics.push(one.metric);
            values.push(Some(one.value));
            errors.push(one.standard_error);
            chosen.push(one.chosen);
        }
    }
    for one in clustered {
        for (k, metric, value) in by_number(one) {
            models.push(one.places.params.name.clone());
            numbers.push(k as u32);
            metrics.push(metric);
            values.push(value);
            errors.push(None);
            chosen.push(k == one.taken().k);
        }
    }
    df![MODEL => models, K => numbers, METRIC => metrics, VALUE => values, STANDARD_ERROR => errors, CHOSEN => chosen]
}
