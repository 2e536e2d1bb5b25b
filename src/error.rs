//! Why a command failed, and its exit code. Imports no stage: a stage's error type implements
//! [`StageError`].

use std::io;
use std::path::PathBuf;

use polars::prelude::PolarsError;

/// Class of a failure. Each class has one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Gate,
    /// The command line or the YAML is wrong.
    Usage,
    /// The data break a declared or default expectation.
    Data,
    /// Input, output, lock or engine failed.
    System,
    /// There is nothing new, and the caller asked for an exit code that says so.
    UpToDate,
}

impl Class {
    /// The exit code of the process.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Gate => 1,
            Self::Usage => 2,
            Self::Data => 3,
            Self::System => 4,
            Self::UpToDate => 99,
        }
    }
}

/// An error type of one stage.
pub trait StageError: std::error::Error + Send + Sync + 'static {
    const STAGE: Option<&'static str>;
    /// Whether the message is a report of its own, which is printed without `error: `.
    const IS_REPORT: bool = false;

    fn class(&self) -> Class;
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line names something that does not exist or cannot be combined.
    #[error("{0}")]
    Usage(String),
    /// A source file cannot be read.
    #[error("ingest: cannot read {}: {source}", path.display())]
    Input { path: PathBuf, source: io::Error },
    /// Checks failed. The ledger, the rejects and the results of the checks are kept for inspection.
    #[error(
        "checks: {failed} of {total} failed; nothing was published\n{results}  ledger and rejects are kept in {}",
        folder.display()
    )]
    Checks {
        failed: usize,
        total: usize,
        /// All results, one line each.
        results: String,
        /// Folder with the checks, the ledger and the rejects.
        folder: PathBuf,
    },
    /// The source data contradict their header or footer, or cannot be read without ambiguity.
    #[error("orders: {0}")]
    Data(String),
    /// Polars failed in a stage.
    #[error("{stage}: {source}")]
    Engine { stage: &'static str, source: PolarsError },
    #[error("{}{source}", stage.map_or_else(String::new, |stage| format!("{stage}: ")))]
    Stage {
        stage: Option<&'static str>,
        class: Class,
        /// Whether the message is a report of its own.
        report: bool,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing is new, with `--skip-code`.
    #[error("nothing is new")]
    UpToDate,
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl<E: StageError> From<E> for Error {
    fn from(error: E) -> Self {
        let class = error.class();
        Self::Stage { stage: E::STAGE, class, report: E::IS_REPORT, source: Box::new(error) }
    }
}

impl Error {
    /// Attaches a stage to an error of Polars.
    pub fn engine(stage: &'static str) -> impl FnOnce(PolarsError) -> Self {
        move |source| Self::Engine { stage, source }
    }

    /// An error of a command that only reads results: without the stage's prefix.
    pub fn reading(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        let source = Box::new(error);
        Self::Stage { stage: None, class: Class::System, report: false, source }
    }

    /// Exit code of the process: 1 gate, 2 usage or YAML, 3 data, 4 input, output, lock or engine.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => Class::Usage,
            Self::Data(_) | Self::Checks { .. } => Class::Data,
            Self::Input { .. } | Self::Engine { .. } | Self::Output(_) => Class::System,
            Self::Stage { class, .. } => *class,
            Self::UpToDate => Class::UpToDate,
        }
        .exit_code()
    }

    /// Whether the message is a report of its own, which needs no prefix.
    pub fn is_report(&self) -> bool {
        matches!(self, Self::Stage { report: true, .. })
    }

    /// Whether the reader of standard output closed it, as `| head` does.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
