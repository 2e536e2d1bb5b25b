//! The arguments of the command line. Their doc comments are the `--help` text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Customer segmentation from raw transactions: RFM scores, named segments and a KNN, from one YAML.
///
/// Exit codes: 0 done; 1 a gate failed; 2 usage or YAML; 3 the data break an expectation; 4 input,
/// output, lock or engine failed; 99 nothing new, with `run --only-new --skip-code`; 130 and 143
/// interrupted by SIGINT or SIGTERM.
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
    /// File of NAME=VALUE lines in dotenv format that are exported first. Variables that are already
    /// set keep their values
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Format of the log on standard error
    #[arg(long, global = true, env = "CUSTSEG_LOG_FORMAT")]
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
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a pipeline for your own files, from a sample of their rows
    ///
    /// Finds the layout, the formats and the meaning of the columns. What the values do not decide
    /// becomes a TODO in the pipeline, which `check` refuses.
    Init(InitArgs),
    /// Write the CDNOW example with its data to a folder, and run it
    Demo {
        /// Folder
        #[arg(default_value = "custseg-demo", value_name = "DIR")]
        dir: PathBuf,
    },
    /// Run a pipeline and publish its results
    ///
    /// Standard output is one line of JSON if it is no terminal, or with --json: run id, snapshots, rows
    /// and paths of the outputs.
    Run(RunArgs),
    /// Score customers with the cut points, the map and the models of an earlier run
    ///
    /// Nothing is fitted again: customers of the run with all their transactions get the segments of
    /// the run. Writes one row per customer: CSV on standard output, or a file.
    Score(ScoreArgs),
    /// Write synthetic transactions of any size, in the order of time
    ///
    /// Customers with heavy-tailed purchase rates arrive, buy and leave, with seasons,
    /// cancellations and lines without a customer. Equal options give equal lines.
    Simulate(SimulateArgs),
    /// Compare two runs: customers in another segment, their money, and metrics of models
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
    /// Draw the page of a run again, from its tables and its manifest
    ///
    /// The page is one HTML file with charts, their numbers and a glossary. It needs no network.
    /// Every run publishes one as report.html.
    Report {
        /// Folder of a run, or of a pipeline's results (its `current`)
        run: PathBuf,
        /// File to write, `-` for standard output. The published run is not changed
        #[arg(short, long, value_name = "FILE", default_value = "report.html")]
        out: PathBuf,
    },
    /// Check a pipeline: YAML, segment map, headers and footers of the sources. Reads no row
    Check(Load),
    /// Show the optimised plan of the scan and the columns after each stage. Reads no row
    Explain(Load),
    /// Print the SQL that a Spark cluster runs instead of this machine
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
    /// Find uncovered codes, overlapping rules and unreachable segments of a map
    ///
    /// Exits with 2 if codes have no segment.
    Lint {
        /// Segment map, or a pipeline that names one
        #[arg(value_name = "MAP|PIPELINE")]
        file: PathBuf,
        /// Manifest of a run: check only the scores that its customers have
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
    /// Explain the segment of a customer, and the distance to the next scores
    Why {
        #[command(flatten)]
        load: LoadNamed,
        /// Customer id as in the table `segments`
        customer_id: String,
    },
    /// List the runs of a results folder, or remove the oldest
    #[command(subcommand)]
    Runs(Runs),
    /// Show the contents of a Parquet file, or the files of a run
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
    /// Print the JSON Schema of the YAML for editors, or the reference of its options
    Schema {
        /// Kind of YAML
        #[arg(value_enum, value_name = "OF", default_value = "pipeline")]
        of: SchemaOf,
        /// Print the reference of the options in Markdown
        #[arg(long)]
        markdown: bool,
    },
    /// Print shell completions: custseg completions bash > /etc/bash_completion.d/custseg
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Write a manual page per command: custseg man /usr/local/share/man/man1
    Man {
        /// Existing folder
        dir: PathBuf,
    },
    /// Show the first rows after a stage. Publishes nothing
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

#[derive(Debug, Clone, Args)]
pub(crate) struct InitArgs {
    /// Files of transactions: CSV, workbooks, Parquet, JSON lines, Arrow, .zip
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// Name of the pipeline, and of its file NAME.yaml [default: that of the first file]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Write to standard output instead of a file
    #[arg(long)]
    pub(crate) stdout: bool,
    /// Replace a file that exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) load: Load,
    /// Engine: `local`, or the server of a cluster (sc://host:15002). Overrides `engine`
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<String>,
    /// Publish the results even if a gate failed
    #[arg(long)]
    pub(crate) publish_anyway: bool,
    /// Compute only the snapshots that have changed since the published run. If there is nothing
    /// new, nothing is written
    #[arg(long)]
    pub(crate) only_new: bool,
    /// Write the line of JSON to a terminal, too
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 99 (Airflow: skipped) if there is nothing new
    #[arg(long, requires = "only_new")]
    pub(crate) skip_code: bool,
    /// Emit OpenLineage events to a file (appended) or an HTTP endpoint. Reads
    /// OPENLINEAGE_NAMESPACE, OPENLINEAGE_PARENT_ID, OPENLINEAGE_ENDPOINT and
    /// OPENLINEAGE_API_KEY
    #[arg(long, env = "CUSTSEG_LINEAGE", value_name = "FILE|URL")]
    pub(crate) lineage: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ScoreArgs {
    /// Folder of the artefact (`current/model`), of its run, or of a pipeline's results
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Transactions: files, folders or globs with the columns that the run read
    #[arg(value_name = "INPUT", required_unless_present = "stdio")]
    pub(crate) inputs: Vec<String>,
    /// Source of the pipeline that has the input's columns, from 1. Transactions in other sources
    /// are not counted
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) source: u16,
    /// Customers' source, if the pipeline has one. Without it, attributes are null
    #[arg(long, value_name = "FILE")]
    pub(crate) customers: Vec<String>,
    /// Snapshot date (exclusive) [default: the run's newest snapshot]
    #[arg(long, value_name = "DATE")]
    pub(crate) as_of: Option<chrono::NaiveDate>,
    /// Write to this file, CSV or Parquet by its suffix
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Override an option, as in `run`: --set ingest.transactions.csv.separator=";"
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Read measured customers from standard input and write their scores to standard output
    ///
    /// For engines that pipe rows. Lines are tab-separated without a header, \N is null. Input:
    /// customer_id, recency_days, frequency, monetary, then the other features of the models in the
    /// order of the artefact. Output: customer_id, r_score, f_score, m_score, rfm_code, segment, then
    /// label, confidence, margin and novelty of each model.
    #[arg(long, conflicts_with_all = ["inputs", "customers", "as_of", "to", "set"])]
    pub(crate) stdio: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SimulateArgs {
    /// Number of customers. Not all of them buy
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) customers: u64,
    /// Number of lines
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=100_000_000_000))]
    pub(crate) lines: u64,
    /// Random seed
    #[arg(long, value_name = "S", default_value_t = 42)]
    pub(crate) seed: u64,
    /// Shop to imitate. pipelines/online_retail.yaml and pipelines/cdnow.yaml read the output
    #[arg(long, value_name = "SHAPE", default_value = "online_retail")]
    pub(crate) shape: ShapeArg,
    /// Output: a .csv or .parquet file, or a folder (ending in /) with one Parquet file per month in
    /// hive folders
    #[arg(long, value_name = "PATH")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum ShapeArg {
    /// UCI Online Retail: order lines of a gift shop, 2010-12-01 to 2011-12-09
    OnlineRetail,
    /// CDNOW: customers who joined in the first twelve weeks of 1997, until 1998-06-30
    Cdnow,
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
    /// For example: --set publish.to=/tmp/out --set 'rfm.snapshots=[2011-09-01, 2011-12-01]'. Paths
    /// are relative to the pipeline file.
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
