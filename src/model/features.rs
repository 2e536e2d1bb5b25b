//! From the table to points: the customers of one snapshot with their features and label codes.

use chrono::NaiveDate;
use polars::prelude::*;

use super::{ModelError, ModelParams};
use crate::columns::{CUSTOMER_ID, SEGMENT, SNAPSHOT};
use crate::rfm::day;
use crate::segment::Segmented;

/// Customers as points.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Customer ids, ascending bytewise.
    pub ids: Vec<String>,
    /// Features, shape (n_customers, n_features): signed log1p, not yet scaled; all finite.
    pub points: Vec<Vec<f64>>,
    /// Label codes, indices into `names`.
    pub labels: Vec<usize>,
    /// Labels, ascending bytewise.
    pub names: Vec<String>,
}

/// The customers of one snapshot as points, labelled by their segment.
///
/// # Errors
/// A feature that is null or not finite.
pub fn samples(params: &ModelParams, segmented: &Segmented, snapshot: NaiveDate) -> Result<Samples, ModelError> {
    let frame = segmented.frame.clone().lazy().filter(col(SNAPSHOT).eq(day(snapshot))).collect()?;
    let text = |name: &str| -> PolarsResult<Vec<String>> {
        Ok(frame.column(name)?.str()?.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
    };
    let ids = text(CUSTOMER_ID)?;
    let segments = text(SEGMENT)?;
    let mut names = segments.clone();
    names.sort();
    names.dedup();
    let code = |name: &String| names.binary_search(name).unwrap_or_default();
    let labels = segments.iter().map(code).collect();
    let mut points = vec![Vec::with_capacity(params.features.len()); ids.len()];
    for feature in &params.features {
        let column = frame.column(feature)?.cast(&DataType::Float64)?;
        for (customer, (point, value)) in points.iter_mut().zip(column.f64()?.iter()).enumerate() {
            let value = value.map(signed_log1p).filter(|value| value.is_finite());
            point.push(value.ok_or_else(|| ModelError::NotFinite {
                model: params.name.clone(),
                feature: feature.clone(),
                customer: ids[customer].clone(),
            })?);
        }
    }
    Ok(Samples { ids, points, labels, names })
}

/// log(1 + x) for x ≥ 0, and mirrored for x < 0, where net spending may lie.
pub fn signed_log1p(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}
