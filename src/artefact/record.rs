//! The record: the fitted parameters of a run as JSON.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ArtefactError, RECORD, hash};
use crate::model::calibrate::Calibrator;
use crate::model::space::{Axes, Space};
use crate::model::{Btyd, BtydParams, ClusterModel, Distributions, FittedModel, KmeansParams};
use crate::rfm::Fitted;
use crate::score::{CutPoints, Dimension, FrozenCutPoints};

/// Stands in for the record's own hash while that hash is computed.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The record of an artefact.
///
/// Numbers keep every bit in JSON: serde_json is built with `float_roundtrip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Artefact {
    pub format: u32,
    /// Version of custseg that wrote the artefact.
    pub version: String,
    pub pipeline: String,
    pub definition_hash: String,
    /// The part of the pipeline that numbers depend on.
    pub definition: Value,
    /// Newest snapshot of the run: 2011-12-10.
    pub snapshot: String,
    /// Null if scores are ranks, which depend on all customers of a run.
    pub cut_points: Option<CutPointsRecord>,
    /// Monetary value at the quantile of `cap_outliers`. Null if the pipeline does not winsorise.
    pub limit: Option<f64>,
    /// Top categories, most money first. Null without `top_categories`.
    pub categories: Option<Vec<String>>,
    pub models: Vec<ModelRecord>,
    pub clusterings: Vec<ClusteringRecord>,
    /// BTYD models by name.
    pub btyd: BTreeMap<String, Btyd>,
    /// Hash of the distributions that percentiles are taken from. Null if no feature needs them.
    pub percentiles: Option<String>,
    /// Hash of each other file by its name.
    pub files: BTreeMap<String, String>,
    /// Hash of this record, computed with zeros in place of this hash.
    pub blake3: String,
}

/// Cut points with the score distribution of the customers that they were computed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CutPointsRecord {
    pub snapshot: String,
    /// Recency, frequency and monetary value.
    pub dimensions: [DimensionRecord; 3],
}

/// Cut points of one dimension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DimensionRecord {
    pub dimension: String,
    /// Ascending. -inf if even the lowest value is in a higher bin.
    #[serde(with = "json_numbers")]
    pub points: Vec<f64>,
    /// Whether a value equal to a cut point takes the upper bin.
    pub upper: bool,
    /// Customers by score, from 1 on.
    pub customers: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    /// File name of the training customers without `.parquet`.
    pub name: String,
    pub customers: usize,
    /// Number of neighbours that vote.
    pub k: usize,
    pub calibration: Calibrator,
    /// Labels, ascending.
    pub labels: Vec<String>,
    pub features: Vec<Axes>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClusteringRecord {
    pub name: String,
    pub features: Vec<Axes>,
    pub clusters: Vec<String>,
    /// Centroids, in the order of the names.
    pub centroids: Vec<Vec<f64>>,
}

impl Artefact {
    /// The cut points, to score other customers with.
    ///
    /// # Errors
    /// Scores by rank, or a damaged record.
    pub(crate) fn frozen(&self) -> Result<FrozenCutPoints, ArtefactError> {
        let Some(record) = &self.cut_points else {
            return Err(ArtefactError::NoCutPoints(self.pipeline.clone()));
        };
        Ok(FrozenCutPoints {
            date: date(&record.snapshot)?,
            points: record.dimensions.each_ref().map(|dimension| CutPoints {
                points: dimension.points.clone(),
                upper: dimension.upper,
            }),
            counts: record.dimensions.each_ref().map(|dimension| dimension.customers.clone()),
        })
    }

    /// The fitted clusterings of a pipeline.
    pub(super) fn cluster_models(
        &self,
        clusterings: &[KmeansParams],
    ) -> Result<Vec<ClusterModel>, ArtefactError> {
        clusterings.iter().map(|params| self.cluster_model(params)).collect()
    }

    fn cluster_model(&self, params: &KmeansParams) -> Result<ClusterModel, ArtefactError> {
        let record = self.clusterings.iter().find(|record| record.name == params.name);
        let record = record.ok_or_else(|| {
            damaged(format!("the record does not contain the clustering `{}`", params.name))
        })?;
        Ok(ClusterModel {
            params: params.clone(),
            space: Space {
                model: params.name.clone(),
                features: params.features.clone(),
                axes: record.features.clone(),
            },
            distributions: Distributions::default(),
            centroids: record.centroids.clone(),
            names: record.clusters.clone(),
        })
    }

    /// The fitted BTYD models of a pipeline.
    pub(crate) fn btyd_models(&self, models: &[BtydParams]) -> Result<Vec<Btyd>, ArtefactError> {
        let fitted = |params: &BtydParams| {
            let model = self.btyd.get(&params.name).cloned();
            let name = &params.name;
            model.ok_or_else(|| damaged(format!("the record does not contain the model `{name}`")))
        };
        models.iter().map(fitted).collect()
    }

    /// Newest snapshot of the run.
    pub(crate) fn snapshot(&self) -> Result<NaiveDate, ArtefactError> {
        date(&self.snapshot)
    }

    /// Fitted parameters other than the cut points.
    pub(crate) fn fitted(&self) -> Fitted {
        Fitted { limit: self.limit, categories: self.categories.clone() }
    }

    /// The record as JSON, with its own hash.
    #[expect(clippy::expect_used, reason = "plain data with text keys always serialises")]
    pub(crate) fn to_json(&self) -> String {
        let unhashed = Self { blake3: NO_HASH.to_owned(), ..self.clone() };
        let text = serde_json::to_string_pretty(&unhashed).expect("a record serialises") + "\n";
        text.replacen(NO_HASH, &hash(text.as_bytes()), 1)
    }
}

impl From<&FrozenCutPoints> for CutPointsRecord {
    fn from(frozen: &FrozenCutPoints) -> Self {
        let dimensions = Dimension::ALL.map(|dimension| {
            let points = &frozen.points[dimension as usize];
            DimensionRecord {
                dimension: dimension.value().to_owned(),
                points: points.points.clone(),
                upper: points.upper,
                customers: frozen.counts[dimension as usize].clone(),
            }
        });
        Self { snapshot: frozen.date.to_string(), dimensions }
    }
}

impl From<&ClusterModel> for ClusteringRecord {
    fn from(model: &ClusterModel) -> Self {
        Self {
            name: model.params.name.clone(),
            features: model.space.axes.clone(),
            clusters: model.names.clone(),
            centroids: model.centroids.clone(),
        }
    }
}

impl From<&FittedModel> for ModelRecord {
    fn from(model: &FittedModel) -> Self {
        Self {
            name: model.params.name.clone(),
            customers: model.samples.labels.len(),
            k: model.k,
            calibration: model.calibrator.clone(),
            labels: model.samples.names.clone(),
            features: model.space.axes.clone(),
        }
    }
}

fn date(text: &str) -> Result<NaiveDate, ArtefactError> {
    text.parse().map_err(|_| damaged(format!("`{text}` is not a date")))
}

fn damaged(reason: String) -> ArtefactError {
    ArtefactError::Damaged { path: RECORD.into(), reason }
}

/// Numbers in JSON, which has no infinity and no NaN: these are written as text (`"-inf"`).
mod json_numbers {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use serde_json::{Value, json};

    pub(super) fn serialize<S: Serializer>(numbers: &[f64], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(numbers.iter().map(|number| {
            if number.is_finite() { json!(number) } else { json!(number.to_string()) }
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let number = |value: Value| {
            let number = value.as_str().map_or(value.as_f64(), |text| text.parse().ok());
            number.ok_or_else(|| D::Error::custom(format!("{value} is not a number")))
        };
        Vec::<Value>::deserialize(from)?.into_iter().map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimension(points: Vec<f64>) -> DimensionRecord {
        DimensionRecord {
            dimension: "monetary".to_owned(),
            points,
            upper: false,
            customers: vec![],
        }
    }

    #[test]
    fn cut_points_keep_every_bit_in_json() {
        let finite = [0.1 + 0.2, 250.194, 1.0 / 3.0, -0.0, 5.0, 5e-324, 1e300];
        let points = [&finite[..], &[f64::NEG_INFINITY, f64::INFINITY, f64::NAN]].concat();
        let text = serde_json::to_string_pretty(&dimension(points.clone())).unwrap();
        let from_text: DimensionRecord = serde_json::from_str(&text).unwrap();
        // The record is read through a `Value`.
        let value: Value = serde_json::from_str(&text).unwrap();
        let from_value: DimensionRecord = serde_json::from_value(value).unwrap();
        for record in [from_text, from_value] {
            let bits = |points: &[f64]| points.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&record.points), bits(&points), "{text}");
        }
        assert!(text.contains("\"-inf\""), "{text}");
    }

    #[test]
    fn text_that_is_not_a_number_is_an_error() {
        let text = serde_json::to_string(&dimension(vec![1.5])).unwrap().replace("1.5", "\"one\"");
        let error = serde_json::from_str::<DimensionRecord>(&text).unwrap_err().to_string();
        assert!(error.starts_with("\"one\" is not a number"), "{error}");
    }
}
