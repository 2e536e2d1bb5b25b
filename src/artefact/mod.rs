//! The artefact: everything needed to score customers with the parameters that a run fitted.
//!
//! ```text
//! model/artefact.json     the record: format, versions, definitions, cut points, models,
//!                         and the hashes of the other files
//! model/pipeline.json     the pipeline without its paths, readable as any pipeline
//! model/map.json          its segment map
//! model/rates.csv         its exchange rates, if any
//! model/<model>.labels.…  the labels of a model, if they come from a file
//! model/<model>.parquet   a model's training customers: customer_id, features, label
//! model/snapshot.percentiles.parquet
//!                         the values at the newest snapshot that percentiles are taken from
//! ```
//!
//! A KNN model is its training customers: smartcore is fitted to them again. The refitted scaling
//! has to equal the recorded one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use serde_json::Value;

use crate::columns::LABEL;
use crate::error::{Class, StageError};
use crate::model::features::text;
use crate::model::{
    ClusterModel, Customers, Distributions, FittedModel, KmeansParams, Labels, ModelError,
    ModelParams, Samples,
};

mod differences;
mod record;

pub(crate) use differences::{DiffScope, differences};
use record::NO_HASH;
pub(crate) use record::{Artefact, ClusteringRecord, CutPointsRecord, ModelRecord};

/// Format that this version writes, and the only one that it reads.
///
/// Format 1 wrote numbers as text. In format 2 a constant feature had the spread 1.
pub(crate) const FORMAT: u32 = 3;

/// Folder within a run folder, and its files.
pub(crate) const FOLDER: &str = "model";
pub(crate) const RECORD: &str = "artefact.json";
pub(crate) const PIPELINE: &str = "pipeline.json";
pub(crate) const MAP: &str = "map.json";
pub(crate) const RATES: &str = "rates.csv";
pub(crate) const PERCENTILES: &str = "snapshot.percentiles.parquet";

const CHANGED: &str = "content does not match its hash";

/// Why an artefact cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtefactError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The path contains no artefact.
    #[error(
        "{}: no artefact found; expected a results folder, a run folder or its `{FOLDER}` folder",
        .0.display()
    )]
    Absent(PathBuf),
    /// Another version wrote the artefact.
    #[error(
        "{}: artefact format {format} is not supported (supported: {FORMAT}); {advice}",
        path.display()
    )]
    Format { path: PathBuf, format: u64, advice: &'static str },
    /// A file is incomplete or was changed.
    #[error("{}: artefact is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// The pipeline scores by rank.
    #[error(
        "the artefact of `{0}` has no cut points: its scores are ranks among all customers of a run"
    )]
    NoCutPoints(String),
    /// The pipeline does not match the artefact.
    #[error("the artefact was created with other definitions: {0}")]
    Differs(String),
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl StageError for ArtefactError {
    const STAGE: Option<&'static str> = Some("artefact");

    fn class(&self) -> Class {
        match self {
            Self::Io { .. } => Class::System,
            Self::Damaged { .. } | Self::Model(_) => Class::Data,
            _ => Class::Usage,
        }
    }
}

impl ArtefactError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    fn damaged(path: &Path, reason: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// A stored artefact whose files match their recorded hashes.
#[derive(Debug, Clone)]
pub(crate) struct StoredArtefact {
    pub folder: PathBuf,
    pub record: Artefact,
}

impl StoredArtefact {
    /// Opens an artefact folder, the artefact of a run folder, or that of the current run in a
    /// results folder.
    ///
    /// # Errors
    /// No artefact, another format, or a file that does not match its hash.
    pub(crate) fn open(path: &Path) -> Result<Self, ArtefactError> {
        let candidates = [path.to_owned(), path.join(FOLDER), path.join("current").join(FOLDER)];
        let folder = candidates
            .into_iter()
            .find(|folder| folder.join(RECORD).is_file())
            .ok_or_else(|| ArtefactError::Absent(path.to_owned()))?;
        // `current` is resolved once, so that all files are of one run.
        let folder = folder.canonicalize().unwrap_or(folder);
        let record = read_record(&folder.join(RECORD))?;
        for (name, recorded) in &record.files {
            let path = folder.join(name);
            if hash(&read(&path)?) != *recorded {
                return Err(ArtefactError::damaged(&path, CHANGED));
            }
        }
        Ok(Self { folder, record })
    }

    /// The pipeline without its paths.
    pub(crate) fn pipeline(&self) -> Result<Value, ArtefactError> {
        let path = self.folder.join(PIPELINE);
        serde_json::from_slice(&read(&path)?).map_err(|error| ArtefactError::damaged(&path, error))
    }

    /// Refits the models of a pipeline.
    pub(crate) fn models(&self, models: &[ModelParams]) -> Result<Vec<FittedModel>, ArtefactError> {
        let distributions = self.distributions()?;
        models.iter().map(|params| self.model(params, &distributions)).collect()
    }

    /// The fitted clusterings of a pipeline.
    pub(crate) fn cluster_models(
        &self,
        clusterings: &[KmeansParams],
    ) -> Result<Vec<ClusterModel>, ArtefactError> {
        let distributions = self.distributions()?;
        let models = self.record.cluster_models(clusterings)?.into_iter();
        Ok(models.map(|model| model.with_distributions(&distributions)).collect())
    }

    /// The distributions that percentiles are taken from. Empty if no feature needs them.
    fn distributions(&self) -> Result<Distributions, ArtefactError> {
        let Some(recorded) = &self.record.percentiles else { return Ok(Distributions::default()) };
        let path = self.folder.join(PERCENTILES);
        let file = File::open(&path).map_err(|error| ArtefactError::io(&path, error))?;
        let frame = ParquetReader::new(file).finish();
        let distributions = frame.and_then(|frame| Distributions::from_frame(&frame));
        let distributions = distributions.map_err(|error| ArtefactError::damaged(&path, error))?;
        if distributions.hash() != *recorded {
            return Err(ArtefactError::damaged(&path, CHANGED));
        }
        Ok(distributions)
    }

    fn model(
        &self,
        params: &ModelParams,
        distributions: &Distributions,
    ) -> Result<FittedModel, ArtefactError> {
        let path = self.folder.join(format!("{}.parquet", params.name));
        let record = self.record.models.iter().find(|record| record.name == params.name);
        let record = record.ok_or_else(|| {
            ArtefactError::damaged(&path, "the record does not contain this model")
        })?;
        let file = File::open(&path).map_err(|error| ArtefactError::io(&path, error))?;
        let (customers, labels) =
            training_data(file, params).map_err(|error| ArtefactError::damaged(&path, error))?;
        let mut fitted = FittedModel::fit(
            params,
            record.k,
            Samples::new(customers, &labels).with_names(&record.labels),
            Some(record.calibration.clone()),
            0,
        )?;
        if fitted.samples.names != record.labels || ModelRecord::from(&fitted) != *record {
            let reason = "refitted model differs from the recorded one";
            return Err(ArtefactError::damaged(&path, reason));
        }
        fitted.distributions = distributions.clone();
        Ok(fitted)
    }
}

/// BLAKE3 hash of a file's content, in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn read(path: &Path) -> Result<Vec<u8>, ArtefactError> {
    fs::read(path).map_err(|error| ArtefactError::io(path, error))
}

fn read_record(path: &Path) -> Result<Artefact, ArtefactError> {
    let bytes = read(path)?;
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|error| ArtefactError::damaged(path, error))?;
    let format = json["format"]
        .as_u64()
        .ok_or_else(|| ArtefactError::damaged(path, "`format` is missing"))?;
    if format != u64::from(FORMAT) {
        let advice = if format < u64::from(FORMAT) {
            "run the pipeline again to write a new artefact"
        } else {
            "use the version of custseg that wrote it, or a newer one"
        };
        return Err(ArtefactError::Format { path: path.to_owned(), format, advice });
    }
    let record: Artefact =
        serde_json::from_value(json).map_err(|error| ArtefactError::damaged(path, error))?;
    let hashed = String::from_utf8_lossy(&bytes).replacen(&record.blake3, NO_HASH, 1);
    if hash(hashed.as_bytes()) != record.blake3 {
        return Err(ArtefactError::damaged(path, CHANGED));
    }
    Ok(record)
}

fn training_data(file: File, params: &ModelParams) -> PolarsResult<(Customers, Labels)> {
    let frame = ParquetReader::new(file).finish()?;
    let labels = text(&frame, LABEL)?.iter().map(Some).collect();
    // Percentiles are stored, not the values that they were taken from.
    Ok((Customers::read(&params.features, &frame, &Distributions::default())?, labels))
}
