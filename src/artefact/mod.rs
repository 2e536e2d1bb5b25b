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

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use polars::prelude::*;
use serde_json::Value;

use crate::columns::LABEL;
use crate::model::features::text;
use crate::model::{Customers, Labels, ModelError, ModelParams, Samples, Trained};

mod differences;
mod exact;
mod record;

pub use differences::{Which, differences};
pub use exact::Exact;
use record::NO_HASH;
pub use record::{
    Artefact, CalibrationRecord, ClusteringRecord, FeatureRecord, KeptCut, KeptCuts, ModelRecord,
};

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
    #[error(
        "the artefact of `{0}` has no cut points: its scores go by rank, which depends on who else is there"
    )]
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
        let read = |path: &Path| {
            fs::read(path).map_err(|source| ArtefactError::Io { path: path.to_owned(), source })
        };
        let bytes = read(&path)?;
        let json: Value =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let format =
            json["format"].as_u64().ok_or_else(|| damaged("it names no format".to_owned()))?;
        if format < u64::from(OLDEST) {
            let advice = "run the pipeline again to make a new one";
            return Err(ArtefactError::Format { path, format, advice });
        }
        if format > u64::from(FORMAT) {
            let advice = "a newer program made it";
            return Err(ArtefactError::Format { path, format, advice });
        }
        let record: Artefact =
            serde_json::from_value(json).map_err(|error| damaged(error.to_string()))?;
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
        let bytes =
            fs::read(&path).map_err(|source| ArtefactError::Io { path: path.clone(), source })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ArtefactError::Damaged { path, reason: error.to_string() })
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
        let record =
            record.ok_or_else(|| damaged("the record does not know this model".to_owned()))?;
        let file =
            File::open(&path).map_err(|source| ArtefactError::Io { path: path.clone(), source })?;
        let read = || -> PolarsResult<(DataFrame, Labels)> {
            let frame = ParquetReader::new(file).finish()?;
            let labels = text(&frame, LABEL)?.iter().map(Some).collect();
            Ok((frame, labels))
        };
        let (frame, labels) = read().map_err(|error| damaged(error.to_string()))?;
        let customers =
            Customers::of(&params.features, &frame).map_err(|error| damaged(error.to_string()))?;
        let trained = Trained::calibrated(
            params,
            record.k,
            Samples::of(customers, &labels).with_names(&record.labels),
            Some(record.calibration.calibrator()),
        )?;
        let same = trained.samples.names == record.labels && ModelRecord::of(&trained) == *record;
        if same {
            Ok(trained)
        } else {
            Err(damaged("the model does not come out as it was".to_owned()))
        }
    }
}

/// The hash of a file's content.
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
