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

impl Samples {
    /// Some of the customers, in the order of the indices.
    pub fn at(&self, indices: &[usize]) -> Self {
        Self {
            ids: indices.iter().map(|&i| self.ids[i].clone()).collect(),
            points: indices.iter().map(|&i| self.points[i].clone()).collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            names: self.names.clone(),
        }
    }

    /// Customers with their labels, as they were written down.
    pub fn labelled(ids: Vec<String>, points: Vec<Vec<f64>>, labels: &[String]) -> Self {
        let mut names = labels.to_vec();
        names.sort();
        names.dedup();
        let code = |name: &String| names.binary_search(name).unwrap_or_default();
        Self { ids, points, labels: labels.iter().map(code).collect(), names }
    }
}

/// The customers of one snapshot as points, labelled by their segment.
///
/// # Errors
/// A feature that is null or not finite.
pub fn samples(params: &ModelParams, segmented: &Segmented, snapshot: NaiveDate) -> Result<Samples, ModelError> {
    let frame = segmented.frame.clone().lazy().filter(col(SNAPSHOT).eq(day(snapshot))).collect()?;
    let ids = text(&frame, CUSTOMER_ID)?;
    let points = points(params, &frame, &ids)?;
    Ok(Samples::labelled(ids, points, &text(&frame, SEGMENT)?))
}

/// A column of text.
pub(crate) fn text(frame: &DataFrame, name: &str) -> PolarsResult<Vec<String>> {
    Ok(frame.column(name)?.str()?.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
}

/// The features of every row, not yet scaled.
///
/// # Errors
/// A feature that is null or not finite.
pub fn points(params: &ModelParams, frame: &DataFrame, ids: &[String]) -> Result<Vec<Vec<f64>>, ModelError> {
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
    Ok(points)
}

/// log(1 + x) for x ≥ 0, and mirrored for x < 0, where net spending may lie.
pub fn signed_log1p(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}
