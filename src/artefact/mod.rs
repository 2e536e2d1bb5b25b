//! The artefact: all that is needed to score customers by what a run learnt, without learning anew.
//!
//! ```text
//! model/artefact.json     the record: format, versions, definitions, cut points, models, and the hashes of the other files
//! model/pipeline.json     the pipeline without its paths; it reads as any pipeline does
//! model/map.json          its segment map
//! model/rates.csv         its rates of exchange, where it has some
//! model/<model>.labels.…  the labels that it was given, where it was given some
//! model/<model>.parquet   the customers that a model learnt from: customer_id, the columns that it measures, label
//! ```
//!
//! The format has a number. A program reads the formats up to its own, back to the oldest that it can still understand; all others are
//! refused. A KNN is its customers, so that fitting smartcore to the same table again is the same model; that the scale comes out as
//! it was written down is checked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::columns::LABEL;
use crate::model::features::text;
use crate::model::space::{Axes, Space};
use crate::model::{Customers, FeatureParams, KmeansParams, ModelError, ModelParams, Places, Samples, Trained};
use crate::rfm::Fitted;
use crate::score::{CutPoints, Dimension, Yardstick};

mod differences;
mod exact;

pub use differences::{Which, differences};
pub use exact::Exact;
use exact::{exact, plain};

/// Number of the format that this program writes.
pub const FORMAT: u32 = 1;
/// The oldest format that this program reads.
pub const OLDEST: u32 = 1;
/// Folder of the artefact in a run's folder.
pub const FOLDER: &str = "model";
/// The record.
pub const RECORD: &str = "artefact.json";
/// The pipeline.
pub const PIPELINE: &str = "pipeline.json";
/// The segment map.
pub const MAP: &str = "map.json";
/// The rates of exchange.
pub const RATES: &str = "rates.csv";
/// What stands in the record for its own hash while that is taken.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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
    /// Labels, ascending.
    pub labels: Vec<String>,
    /// The axes of each feature.
    pub features: Vec<FeatureRecord>,
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

/// Why an artefact cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is none.
    #[error("{}: no artefact is here; name the folder of results, of a run, or of its `{FOLDER}`", .0.display())]
    Absent(PathBuf),
    /// It is of a format that this program does not read.
    #[error(
        "{}: this artefact has format {format}, but this program reads formats {OLDEST} to {FORMAT}; {advice}",
        path.display()
    )]
    Format {
        /// The record.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// What to do.
        advice: &'static str,
    },
    /// It is not as it was written.
    #[error("{}: this artefact is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Scores of this artefact depend on who else is there.
    #[error("the artefact of `{0}` has no cut points: its scores go by rank, which depends on who else is there")]
    NoCutPoints(String),
    /// It was made by other definitions.
    #[error("the artefact was made by other definitions: {0}")]
    Differs(String),
    /// A model cannot be had from it.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// An artefact with the folder that it stands in; every file is as it was written.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The folder.
    pub folder: PathBuf,
    /// The record.
    pub record: Artefact,
}

impl Opened {
    /// Opens an artefact, by its folder, its run's, or the folder of results whose `current` is then meant, and checks every file against its hash.
    ///
    /// # Errors
    /// None there, another format, or one that is damaged.
    pub fn at(place: &Path) -> Result<Self, ArtefactError> {
        let places = [place.to_owned(), place.join(FOLDER), place.join("current").join(FOLDER)];
        let found = places.into_iter().find(|folder| folder.join(RECORD).is_file());
        let folder = found.ok_or_else(|| ArtefactError::Absent(place.to_owned()))?;
        // Resolved once, so that all that is read is of one run.
        let folder = folder.canonicalize().unwrap_or(folder);
        let path = folder.join(RECORD);
        let damaged = |reason: String| ArtefactError::Damaged { path: path.clone(), reason };
        let read = |path: &Path| fs::read(path).map_err(|source| ArtefactError::Io { path: path.to_owned(), source });
        let bytes = read(&path)?;
        let json: Value = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let format = json["format"].as_u64().ok_or_else(|| damaged("it names no format".to_owned()))?;
        if format < u64::from(OLDEST) {
            let advice = "run the pipeline again to make a new one";
            return Err(ArtefactError::Format { path, format, advice });
        }
        if format > u64::from(FORMAT) {
            let advice = "a newer program made it";
            return Err(ArtefactError::Format { path, format, advice });
        }
        let record: Artefact = serde_json::from_value(json).map_err(|error| damaged(error.to_string()))?;
        let written = String::from_utf8_lossy(&bytes).replacen(&record.blake3, NO_HASH, 1);
        if hash(written.as_bytes()) != record.blake3 {
            return Err(damaged("it is not as it was written".to_owned()));
        }
        for (name, written) in &record.files {
            if hash(&read(&folder.join(name))?) != *written {
                let reason = "it is not as it was written".to_owned();
                return Err(ArtefactError::Damaged { path: folder.join(name), reason });
            }
        }
        Ok(Self { folder, record })
    }

    /// The pipeline without its paths.
    ///
    /// # Errors
    /// A file that is no JSON.
    pub fn pipeline(&self) -> Result<Value, ArtefactError> {
        let path = self.folder.join(PIPELINE);
        let bytes = fs::read(&path).map_err(|source| ArtefactError::Io { path: path.clone(), source })?;
        serde_json::from_slice(&bytes).map_err(|error| ArtefactError::Damaged { path, reason: error.to_string() })
    }

    /// The models as they were asked, for a pipeline that has them.
    ///
    /// # Errors
    /// A table that is not as the record says.
    pub fn models(&self, models: &[ModelParams]) -> Result<Vec<Trained>, ArtefactError> {
        models.iter().map(|params| self.model(params)).collect()
    }

    fn model(&self, params: &ModelParams) -> Result<Trained, ArtefactError> {
        let path = self.folder.join(format!("{}.parquet", params.name));
        let damaged = |reason: String| ArtefactError::Damaged { path: path.clone(), reason };
        let record = self.record.models.iter().find(|record| record.name == params.name);
        let record = record.ok_or_else(|| damaged("the record does not know this model".to_owned()))?;
        let file = File::open(&path).map_err(|source| ArtefactError::Io { path: path.clone(), source })?;
        let read = || -> PolarsResult<(DataFrame, Vec<String>)> {
            let frame = ParquetReader::new(file).finish()?;
            let labels = text(&frame, LABEL)?;
            Ok((frame, labels))
        };
        let (frame, labels) = read().map_err(|error| damaged(error.to_string()))?;
        let labels: Vec<Option<String>> = labels.into_iter().map(Some).collect();
        let customers = Customers::of(&params.features, &frame).map_err(|error| damaged(error.to_string()))?;
        let trained = Trained::fit(params, record.k, Samples::of(&customers, &labels))?;
        let same = trained.samples.names == record.labels && ModelRecord::of(&trained) == *record;
        if same { Ok(trained) } else { Err(damaged("the model does not come out as it was".to_owned())) }
    }
}

impl Artefact {
    /// The cut points.
    ///
    /// # Errors
    /// Scores by rank, or a record that does not hold what it should.
    pub fn yardstick(&self) -> Result<Yardstick, ArtefactError> {
        let kept = self.cut_points.as_ref().ok_or_else(|| ArtefactError::NoCutPoints(self.pipeline.clone()))?;
        let points = kept.dimensions.each_ref().map(|cut| CutPoints::new(plain(&cut.points), cut.upper));
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
            let record = record.ok_or_else(|| ArtefactError::Damaged { path: RECORD.into(), reason: reason() })?;
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
        let Self { centre: Exact(centre), spread: Exact(spread), fill: Exact(fill), indicator, .. } = *self;
        Axes { centre, spread, fill, indicator, levels: self.levels.clone() }
    }
}

impl ClusteringRecord {
    /// Of a clustering.
    pub fn of(places: &Places) -> Self {
        Self {
            name: places.params.name.clone(),
            features: places.params.features.iter().zip(&places.space.axes).map(FeatureRecord::of).collect(),
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
            labels: trained.samples.names.clone(),
            features: trained.params.features.iter().zip(&trained.space.axes).map(FeatureRecord::of).collect(),
        }
    }
}

/// The hash of a file's content.
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn date(text: &str) -> Result<NaiveDate, ArtefactError> {
    text.parse().map_err(|_| ArtefactError::Damaged { path: RECORD.into(), reason: format!("`{text}` is no date") })
}
