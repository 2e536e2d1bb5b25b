//! The arguments of the command line. Their doc comments are the `--help` text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod args;
mod help;

pub(crate) use args::{ExportArgs, InitArgs, ReportArgs, RunArgs, ScoreArgs, SimulateArgs};
pub(crate) use help::{asks_for_json_log, command, parse};

/// Customer segments from raw transactions: RFM scores, named segments and a KNN, from one YAML
#[derive(Debug, Parser)]
#[command(name = "custseg", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// Options that change how a command runs, never its results.
#[derive(Debug, Clone, Args)]
pub(crate) struct Machine {
    /// Number of threads [default: all cores]. Results do not depend on it
    #[arg(long, global = true, env = "CUSTSEG_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Memory in MiB above which the scan spills groups to disk. Approximate, and experimental in
    /// Polars. Duplicates, returns and models stay in memory
    #[arg(long, global = true, env = "CUSTSEG_MEMORY_LIMIT", value_name = "MIB", value_parser = clap::value_parser!(u32).range(64..))]
    pub(crate) memory_limit: Option<u32>,
    /// File of NAME=VALUE lines in dotenv format that are exported first. Variables that are
    /// already set keep their values
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Format of the log on standard error: text, or json with one object per line
    #[arg(long, global = true, env = "CUSTSEG_LOG_FORMAT", hide_possible_values = true)]
    #[arg(value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Increase verbosity (-v debug, -vv trace). RUST_LOG takes precedence
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlannedFor {
    /// Spark 3.5 and later, and Sail
    Spark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// SQL
    Sql,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What a command logs without `-v` and `-q`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Each stage.
    Stages,
    Warnings,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a pipeline for your own files
    ///
    /// Reads a sample, and finds the layout, the formats and the meaning of the columns. What the
    /// values do not decide becomes a TODO in the pipeline, which `check` refuses.
    Init(InitArgs),
    /// Write an example with its data to a folder, and run it
    Demo {
        /// Folder
        #[arg(default_value = "custseg-demo", value_name = "DIR")]
        dir: PathBuf,
    },
    /// Run a pipeline and publish its results
    ///
    /// Standard output is one line of JSON if it is no terminal, or with --json: run id, snapshots,
    /// rows and paths of the outputs.
    Run(RunArgs),
    /// Score new customers with the results of an earlier run
    ///
    /// Uses its cut points, map and models. Nothing is fitted again: customers of the run with all
    /// their transactions get the segments of the run. Writes one row per customer: CSV on standard
    /// output, or a file.
    Score(ScoreArgs),
    /// Write synthetic transactions of any size
    ///
    /// Lines are in the order of time. Customers with heavy-tailed purchase rates arrive, buy and
    /// leave, with seasons, cancellations and lines without a customer. Equal options give equal
    /// lines.
    Simulate(SimulateArgs),
    /// Compare two runs: who changed segment, their money, model metrics
    Diff {
        /// Folder of a run, or of a pipeline's results (its `current`)
        run_a: PathBuf,
        /// Folder of the other run
        run_b: PathBuf,
        /// Snapshot to compare [default: the newest of each]
        #[arg(long, value_name = "DATE")]
        snapshot: Option<chrono::NaiveDate>,
        /// Write one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the customers of segments as a list
    ///
    /// For a mailing or an advertising platform. Of the newest snapshot: CSV on standard output, or a file. With --to, standard output is one
    /// line of JSON with the numbers of customers.
    ///
    /// For example: custseg export results --segment "At Risk" --what entered --contacts
    /// contacts.csv --for klaviyo --to list.csv
    Export(ExportArgs),
    /// Draw the report of a run again
    ///
    /// It is drawn from the run's tables and manifest.
    /// The page is one HTML file with charts, their numbers and a glossary. It needs no network.
    /// Every run publishes one as report.html.
    Report(ReportArgs),
    /// Check a pipeline, its segment map and a sample of its sources
    ///
    /// Reports every problem of the YAML at once. Then reads rows from the start, the middle and
    /// the end of the first, a middle and the last file of each source, and reports values that
    /// cannot be parsed. Of JSON lines, Arrow files and queries, it reads the first rows. Exits
    /// with 3 if none of the rows can be read.
    Check {
        #[command(flatten)]
        load: Load,
        /// Number of rows to read of each of these files. 0 reads headers and footers only
        #[arg(long, value_name = "N", default_value_t = 1000)]
        rows: u32,
    },
    /// Show the plan of the scan and the columns after each stage
    ///
    /// Reads no row.
    Explain(Load),
    /// Print the SQL that a Spark cluster would run
    ///
    /// The SQL can be run by `spark-sql -f`. Reads no row. Options that are not supported on Spark
    /// are reported by name.
    Plan {
        #[command(flatten)]
        load: Load,
        /// Engine of the plan
        #[arg(long, value_enum, value_name = "ENGINE", default_value = "spark")]
        engine: PlannedFor,
        /// Format of the plan
        #[arg(long, value_enum, value_name = "FORMAT", default_value = "sql")]
        format: PlanFormat,
        /// Folder or URL that the SQL writes to [default: `publish.to`]
        #[arg(long, value_name = "PATH")]
        to: Option<String>,
    },
    /// Check the rules of a segment map
    ///
    /// Finds uncovered codes, overlapping rules and unreachable segments. Exits with 2 if codes
    /// have no segment.
    Lint {
        /// Segment map, or a pipeline that names one
        #[arg(value_name = "MAP|PIPELINE")]
        file: PathBuf,
        /// Manifest of a run: check only the scores that its customers have
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
    /// Explain the segment of a customer
    Why {
        #[command(flatten)]
        load: LoadNamed,
        /// Customer id as in the table `segments`
        customer_id: String,
    },
    /// List the runs of a results folder, or remove the oldest
    #[command(subcommand)]
    Runs(Runs),
    /// Show what is in a Parquet file or a run
    ///
    /// Of any Parquet file: columns with types, sizes and ranges, row groups and metadata.
    Inspect {
        /// Parquet file, or folder of a run or of a pipeline's results
        path: PathBuf,
        /// Print the data dictionary of a run in Markdown: rows, columns, types and meanings
        #[arg(long, conflicts_with = "json")]
        columns: bool,
        /// Write one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the YAML, or its reference
    Schema {
        /// Kind of YAML
        #[arg(value_enum, value_name = "OF", default_value = "pipeline")]
        of: SchemaOf,
        /// Print the reference of the options in Markdown
        #[arg(long)]
        markdown: bool,
    },
    /// Print shell completions
    ///
    /// For example: custseg completions bash > /etc/bash_completion.d/custseg
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Write a manual page per command
    ///
    /// For example: custseg man /usr/local/share/man/man1
    Man {
        /// Existing folder
        dir: PathBuf,
    },
    /// Show the first rows after a stage
    Peek {
        /// Number of rows
        #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
        rows: usize,
        #[command(flatten)]
        load: LoadNamed,
        /// Stage
        stage: Stage,
    },
}

impl Command {
    /// What is logged by default: the stages of runs, and warnings of all commands.
    pub(crate) fn verbosity(&self) -> Verbosity {
        match self {
            Self::Run(_) | Self::Demo { .. } => Verbosity::Stages,
            _ => Verbosity::Warnings,
        }
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Runs {
    /// List the runs, newest first. * marks the current one
    List {
        /// Folder of a pipeline's results
        dir: PathBuf,
        /// Write one line of JSON per run
        #[arg(long)]
        json: bool,
    },
    /// Remove the oldest runs, never the current one. Failed runs are counted apart
    Prune {
        /// Folder of a pipeline's results
        dir: PathBuf,
        /// Number of runs that stay
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        keep: u32,
        /// Only print what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// A pipeline
    Pipeline,
    /// A segment map
    Map,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Load {
    /// Pipeline file [default: the only one in this folder or in ./pipelines]
    pub(crate) pipeline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// A pipeline that must be named, and its overrides.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadNamed {
    /// Pipeline file
    pub(crate) pipeline: PathBuf,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Overrides {
    /// Override one option. The value is YAML. Can be repeated
    ///
    /// For example: --set publish.to=out --set 'rfm.snapshots=[2011-09-01, 2011-12-01]'. Paths are
    /// relative to the working directory.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Snapshot date (exclusive) or `last`. Overrides rfm.snapshots
    #[arg(long, value_name = "DATE")]
    pub(crate) as_of: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// Lines with the pipeline's columns
    Ingest,
    /// Lines with their outcomes
    Clean,
    /// One row per customer, order, day and outcome
    Orders,
    /// Recency, frequency and monetary value
    Rfm,
    /// Scores
    Score,
    /// Segments
    Segment,
    /// Predictions of the models
    Model,
    /// Tables besides the segments
    Evaluate,
}
