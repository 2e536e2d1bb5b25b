//! Why a run failed, and the exit code that follows: the one place where it is decided.

use std::io;
use std::path::PathBuf;

use polars::prelude::PolarsError;

use crate::artefact::ArtefactError;
use crate::config::problem::Problems;
use crate::ingest::{CsvError, IngestParams, KeyedError};
use crate::model::ModelError;
use crate::publish::PublishError;
use crate::rfm::RfmError;
use crate::simulate::write::WriteError;
use crate::spark::Refusal;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline's text, or what it says of its sources, is wrong.
    #[error("{0}")]
    Config(#[from] Problems),
    /// The command line asks for something that is not there.
    #[error("{0}")]
    Usage(String),
    /// A source file cannot be read.
    #[error("ingest: cannot read {}: {source}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A CSV file cannot be read to its end.
    #[error("ingest: {0}")]
    Csv(#[from] CsvError),
    /// A table beside the transactions cannot be read.
    #[error("ingest: {0}")]
    Keyed(#[from] KeyedError),
    /// Checks failed; what the run left behind is told with them.
    #[error("checks: {failed} of {of} failed; nothing was published\n{words}  what the run found stands in {}", place.display())]
    Checks {
        /// How many failed.
        failed: usize,
        /// Of how many.
        of: usize,
        /// Every verdict, a line each.
        words: String,
        /// Folder with the checks, the ledger and the rejects.
        place: PathBuf,
    },
    /// A source file is not what its header or footer promised.
    #[error("orders: the source does not hold what it promised: {0}")]
    Data(String),
    /// `rfm` found nothing to measure.
    #[error("rfm: {0}")]
    Rfm(#[from] RfmError),
    /// A model cannot be had.
    #[error("model: {0}")]
    Model(#[from] ModelError),
    /// A cluster is not there, or fails.
    #[error("{stage}: {words}")]
    Spark {
        /// The stage that was at work.
        stage: &'static str,
        /// What the cluster says, its first line.
        words: String,
    },
    /// Parts of the pipeline have no form in SQL.
    #[error("spark: these have no form in SQL that gives the same numbers:{}", in_words(.0))]
    Refused(Vec<Refusal>),
    /// Nothing is new, and that is to be told by the exit code.
    #[error("nothing is new")]
    NothingNew,
    /// A piped row cannot be read.
    #[error("score: line {line}: {words}")]
    Row {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        words: String,
    },
    /// An artefact cannot be used.
    #[error("artefact: {0}")]
    Artefact(#[from] ArtefactError),
    /// The run could not be published.
    #[error("publish: {0}")]
    Publish(#[from] PublishError),
    /// Results or a file that a command is to show cannot be read.
    #[error("{0}")]
    Shown(PublishError),
    /// The engine failed where it should not.
    #[error("{stage}: {source}")]
    Engine {
        /// The stage.
        stage: &'static str,
        /// What Polars said.
        source: PolarsError,
    },
    /// Made-up lines cannot be written.
    #[error("simulate: {0}")]
    Simulate(#[from] WriteError),
    /// Output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// Wraps what Polars says in a stage.
    pub fn engine(stage: &'static str) -> impl FnOnce(PolarsError) -> Self {
        move |source| Self::Engine { stage, source }
    }

    /// Tells faults of the data from those of the machine in what the scan says, and names the files. Polars' first line
    /// is enough; the others are advice about options that are not ours.
    pub fn scan(ingest: &IngestParams) -> impl FnOnce(PolarsError) -> Self + '_ {
        move |source| match source {
            _ if let Some(error) = CsvError::of(&source) => Self::Csv(error),
            PolarsError::IO { .. } => Self::Engine { stage: "orders", source },
            _ => {
                let words = source.to_string();
                let files: Vec<&str> = ingest.files().map(|file| file.name.as_str()).collect();
                Self::Data(format!(
                    "{}: {}",
                    files.join(", "),
                    words.lines().next().unwrap_or_default()
                ))
            }
        }
    }

    /// The exit code: 1 a gate failed, 2 usage or YAML, 3 data, 4 input, output, lock or engine.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(problems) => problems.exit_code(),
            Self::NothingNew => 99,
            Self::Usage(_) | Self::Refused(_) => 2,
            Self::Data(_) | Self::Csv(CsvError::Broken { .. }) => 3,
            Self::Keyed(KeyedError::Csv(CsvError::Broken { .. }) | KeyedError::Read { .. }) => 3,
            Self::Checks { .. } | Self::Row { .. } => 3,
            Self::Csv(CsvError::Io { .. }) | Self::Keyed(_) => 4,
            Self::Rfm(RfmError::Engine(_)) => 4,
            Self::Rfm(_) => 3,
            Self::Model(ModelError::Smartcore { .. } | ModelError::Engine(_)) => 4,
            Self::Model(_) => 3,
            Self::Artefact(ArtefactError::Io { .. }) => 4,
            Self::Artefact(ArtefactError::Damaged { .. } | ArtefactError::Model(_)) => 3,
            Self::Artefact(_) => 2,
            Self::Publish(PublishError::Gates { .. }) => 1,
            Self::Publish(PublishError::Suffix(_)) => 2,
            Self::Input { .. }
            | Self::Spark { .. }
            | Self::Publish(_)
            | Self::Shown(_)
            | Self::Engine { .. } => 4,
            Self::Simulate(WriteError::Suffix(_)) => 2,
            Self::Simulate(_) | Self::Output(_) => 4,
        }
    }
}

fn in_words(refused: &[Refusal]) -> String {
    refused.iter().map(|Refusal { key, why }| format!("\n  {key}: {why}")).collect()
}
