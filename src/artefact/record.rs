//! The record: what a run learnt, as JSON.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exact::{Exact, exact, plain};
use super::{ArtefactError, RECORD, hash};
use crate::model::calibrate::Calibrator;
use crate::model::space::{Axes, Space};
use crate::model::{FeatureParams, KmeansParams, Places, Trained};
use crate::rfm::Fitted;
use crate::score::{CutPoints, Dimension, Yardstick};

/// What stands in the record for its own hash while that is taken.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The record of an artefact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artefact {
    /// Number of the format.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Hash of the definitions.
    pub definition_hash: String,
    /// What the numbers depend on.
    pub definition: Value,
    /// The newest snapshot of the run: 2011-12-10.
    pub snapshot: String,
    /// The cut points, null where scores go by rank: these depend on who else is there.
    pub cut_points: Option<KeptCuts>,
    /// The monetary value at the quantile of `cap_outliers`, where it caps.
    pub limit: Option<Exact>,
    /// The categories that sold most, in order, where shares in them are told.
    pub categories: Option<Vec<String>>,
    /// The KNN models.
    pub models: Vec<ModelRecord>,
    /// The clusterings.
    pub clusterings: Vec<ClusteringRecord>,
    /// Hash of each other file by its name.
    pub files: BTreeMap<String, String>,
    /// Hash of this record, with zeros in the hash's own place.
    pub blake3: String,
}

/// Cut points with what is known of the customers that they are from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptCuts {
    /// The snapshot of these customers.
    pub snapshot: String,
    /// Recency, frequency and monetary value.
    pub dimensions: [KeptCut; 3],
}

/// Cut points of one dimension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptCut {
    /// Column of the dimension.
    pub dimension: String,
    /// Cut points as text, ascending; -inf where even the lowest value lies beyond one.
    pub points: Vec<Exact>,
    /// Whether a value equal to a cut point takes the upper bin.
    pub upper: bool,
    /// Customers by score, from 1 on.
    pub customers: Vec<u32>,
}

/// One KNN model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Its name; its file is this with `.parquet`.
    pub name: String,
    /// Customers that it learnt from.
    pub customers: usize,
    /// Number of neighbours that vote.
    pub k: usize,
    /// What confidence is calibrated by: nothing, the points of a rising line (`isotonic`), or slope and offset (`platt`).
    pub calibration: CalibrationRecord,
    /// Labels, ascending.
    pub labels: Vec<String>,
    /// The axes of each feature.
    pub features: Vec<FeatureRecord>,
}

/// What confidence is calibrated by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationRecord {
    /// Nothing.
    None,
    /// Points of a rising line.
    Isotonic(Vec<[Exact; 2]>),
    /// Slope and offset.
    Platt([Exact; 2]),
}

impl CalibrationRecord {
    fn of(calibrator: &Calibrator) -> Self {
        match calibrator {
            Calibrator::None => Self::None,
            Calibrator::Isotonic(line) => {
                Self::Isotonic(line.iter().map(|(x, y)| [Exact(*x), Exact(*y)]).collect())
            }
            Calibrator::Platt { a, b } => Self::Platt([Exact(*a), Exact(*b)]),
        }
    }

    /// As it is applied.
    pub fn calibrator(&self) -> Calibrator {
        match self {
            Self::None => Calibrator::None,
            Self::Isotonic(line) => {
                Calibrator::Isotonic(line.iter().map(|[Exact(x), Exact(y)]| (*x, *y)).collect())
            }
            Self::Platt([Exact(a), Exact(b)]) => Calibrator::Platt { a: *a, b: *b },
        }
    }
}

/// One clustering.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusteringRecord {
    /// Its name.
    pub name: String,
    /// The axes of each feature.
    pub features: Vec<FeatureRecord>,
    /// Names of the clusters.
    pub clusters: Vec<String>,
    /// Their centroids, in the same order.
    pub centroids: Vec<Vec<Exact>>,
}

/// The axes of one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureRecord {
    /// Column of the segments.
    pub column: String,
    /// What is taken off a number, after its logarithm where that is taken.
    pub centre: Exact,
    /// What it is then divided by.
    pub spread: Exact,
    /// What stands for a missing number.
    pub fill: Exact,
    /// Whether an axis tells who has no value.
    pub indicator: bool,
    /// Values that have an axis each.
    pub levels: Vec<String>,
}

impl Artefact {
    /// The cut points.
    ///
    /// # Errors
    /// Scores by rank, or a record that does not hold what it should.
    pub fn yardstick(&self) -> Result<Yardstick, ArtefactError> {
        let kept = self
            .cut_points
            .as_ref()
            .ok_or_else(|| ArtefactError::NoCutPoints(self.pipeline.clone()))?;
        let points =
            kept.dimensions.each_ref().map(|cut| CutPoints::new(plain(&cut.points), cut.upper));
        let counts = kept.dimensions.each_ref().map(|cut| cut.customers.clone());
        Ok(Yardstick { date: date(&kept.snapshot)?, points, counts })
    }

    /// The clusterings, for a pipeline that has them.
    ///
    /// # Errors
    /// A record that does not know one of them.
    pub fn places(&self, clusterings: &[KmeansParams]) -> Result<Vec<Places>, ArtefactError> {
        let one = |params: &KmeansParams| {
            let record = self.clusterings.iter().find(|record| record.name == params.name);
            let reason = || format!("it does not know the clustering `{}`", params.name);
            let record = record
                .ok_or_else(|| ArtefactError::Damaged { path: RECORD.into(), reason: reason() })?;
            Ok(Places {
                params: params.clone(),
                space: Space { axes: record.features.iter().map(FeatureRecord::axes).collect() },
                centroids: record.centroids.iter().map(|centroid| plain(centroid)).collect(),
                names: record.clusters.clone(),
            })
        };
        clusterings.iter().map(one).collect()
    }

    /// The newest snapshot of the run.
    ///
    /// # Errors
    /// A record that does not hold a date.
    pub fn snapshot(&self) -> Result<NaiveDate, ArtefactError> {
        date(&self.snapshot)
    }

    /// What was found over all customers besides the cut points.
    pub fn fitted(&self) -> Fitted {
        Fitted { limit: self.limit.map(|Exact(limit)| limit), categories: self.categories.clone() }
    }

    /// The record as it is written.
    pub fn to_json(&self) -> String {
        // The record is plain data with text keys, which cannot fail to serialise.
        let blank = Self { blake3: NO_HASH.to_owned(), ..self.clone() };
        let text = serde_json::to_string_pretty(&blank).unwrap_or_default() + "\n";
        text.replacen(NO_HASH, &hash(text.as_bytes()), 1)
    }
}

impl KeptCuts {
    /// As they are written down.
    pub fn of(yardstick: &Yardstick) -> Self {
        let dimensions = Dimension::ALL.map(|dimension| {
            let points = &yardstick.points[dimension as usize];
            KeptCut {
                dimension: dimension.value().to_owned(),
                points: exact(points.points()),
                upper: points.upper(),
                customers: yardstick.counts[dimension as usize].clone(),
            }
        });
        Self { snapshot: yardstick.date.to_string(), dimensions }
    }
}

impl FeatureRecord {
    fn of((feature, axes): (&FeatureParams, &Axes)) -> Self {
        Self {
            column: feature.column.clone(),
            centre: Exact(axes.centre),
            spread: Exact(axes.spread),
            fill: Exact(axes.fill),
            indicator: axes.indicator,
            levels: axes.levels.clone(),
        }
    }

    fn axes(&self) -> Axes {
        let Self {
            centre: Exact(centre), spread: Exact(spread), fill: Exact(fill), indicator, ..
        } = *self;
        Axes { centre, spread, fill, indicator, levels: self.levels.clone() }
    }
}

impl ClusteringRecord {
    /// Of a clustering.
    pub fn of(places: &Places) -> Self {
        Self {
            name: places.params.name.clone(),
            features: places
                .params
                .features
                .iter()
                .zip(&places.space.axes)
                .map(FeatureRecord::of)
                .collect(),
            clusters: places.names.clone(),
            centroids: places.centroids.iter().map(|centroid| exact(centroid)).collect(),
        }
    }
}

impl ModelRecord {
    /// Of a model as it is asked.
    pub fn of(trained: &Trained) -> Self {
        Self {
            name: trained.params.name.clone(),
            customers: trained.samples.customers.len(),
            k: trained.k,
            calibration: CalibrationRecord::of(&trained.calibrator),
            labels: trained.samples.names.clone(),
            features: trained
                .params
                .features
                .iter()
                .zip(&trained.space.axes)
                .map(FeatureRecord::of)
                .collect(),
        }
    }
}

fn date(text: &str) -> Result<NaiveDate, ArtefactError> {
    text.parse().map_err(|_| ArtefactError::Damaged {
        path: RECORD.into(),
        reason: format!("`{text}` is no date"),
    })
}
