//! Exit codes of the stage's errors.

use polars::prelude::PolarsError;

use super::{CsvError, IngestParams, LookupError, STAGE};
use crate::error::{Class, Error, StageError};

impl StageError for CsvError {
    const STAGE: Option<&'static str> = Some(STAGE);

    fn class(&self) -> Class {
        match self {
            Self::Broken { .. } => Class::Data,
            Self::Io { .. } => Class::System,
        }
    }
}

impl StageError for LookupError {
    const STAGE: Option<&'static str> = Some(STAGE);

    fn class(&self) -> Class {
        match self {
            Self::Csv(error) => error.class(),
            Self::Read { .. } => Class::Data,
        }
    }
}

/// Converts an error of the scan. Names the files, and separates faults of the data from those of
/// the machine.
pub fn scan_error(params: &IngestParams) -> impl FnOnce(PolarsError) -> Error + '_ {
    move |source| match source {
        _ if let Some(error) = CsvError::from_polars(&source) => error.into(),
        PolarsError::IO { .. } => Error::Engine { stage: "orders", source },
        _ => {
            let files: Vec<&str> = params.files().map(|file| file.name.as_str()).collect();
            // The lines after the first are advice about options of Polars.
            let message = source.to_string();
            let reason = message.lines().next().unwrap_or("");
            Error::Data(format!("{}: {reason}", files.join(", ")))
        }
    }
}
