//! The command line: types only. The doc comments are the `--help` text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Customer segmentation from raw transactions: RFM scores, named segments and an honest KNN, from one YAML.
///
/// Exit codes: 0 done; 1 a gate failed; 2 usage or YAML; 3 the data break their contract; 4 input, output, lock or engine failed; 99
/// nothing new, with `run --only-new --skip-code`; 130 and 143 stopped by SIGINT or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "custseg", version, propagate_version = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Options of the machine.
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// Options that change how a command runs, never what it computes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Machine {
    /// Number of threads; all cores where it is not given. The result does not depend on it.
    #[arg(long, global = true, env = "CUSTSEG_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Memory in MiB above which groups go to the disk while the source is read; Polars calls this experimental, and keeps to it about, not
    /// exactly. Duplicates, returns and models stay in memory whatever is said here.
    #[arg(long, global = true, env = "CUSTSEG_MEMORY_LIMIT", value_name = "MIB", value_parser = clap::value_parser!(u32).range(64..))]
    pub(crate) memory_limit: Option<u32>,
    /// File of NAME=VALUE lines, as dotenv has them ($ and spaces in single quotes), that are taken as if they were exported; what
    /// is exported already holds.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// How log lines are written to standard error.
    #[arg(
        long,
        global = true,
        env = "CUSTSEG_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub(crate) log_format: LogFormat,
    /// Say more: -v debug, -vv trace. RUST_LOG, where set, says it more finely.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say only what went wrong.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// An engine that a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlannedFor {
    /// Spark 3.5 and later, and Sail.
    Spark,
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// As SQL.
    Sql,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a pipeline and publish its results.
    ///
    /// The last line on standard output is one line of JSON: run id, snapshots, rows and where the outputs are.
    Run {
        /// Which pipeline.
        #[command(flatten)]
        load: Load,
        /// What computes: `local`, or the server of a cluster, sc://host:15002; overrides `engine`.
        #[arg(long, value_name = "ENGINE")]
        engine: Option<String>,
        /// Show the results to readers though a gate failed.
        #[arg(long)]
        publish_anyway: bool,
        /// Measure only the snapshots that something has changed for since the published run; the others stay as they are. Where nothing is
        /// new at all, nothing is written.
        #[arg(long)]
        only_new: bool,
        /// Exit with 99 where nothing is new, which Airflow takes for skipped.
        #[arg(long, requires = "only_new")]
        skip_code: bool,
        /// Tell a catalogue of data what the run reads and writes, by events of OpenLineage: appended to a file, or posted to an HTTP
        /// endpoint. OPENLINEAGE_NAMESPACE, OPENLINEAGE_PARENT_ID, OPENLINEAGE_ENDPOINT and OPENLINEAGE_API_KEY are heeded.
        #[arg(long, env = "CUSTSEG_LINEAGE", value_name = "FILE|URL")]
        lineage: Option<String>,
    },
    /// Score customers by the artefact of an earlier run: its cut points, its segment map, its models. Nothing is learnt anew, so that
    /// any part of the run's own customers, with all that they did, gets the very segments that the run gave it.
    ///
    /// Writes one row a customer, as the segments have it: CSV on standard output, or a file.
    Score(Score),
    /// Write made-up transactions of any size, in the order of time: customers with heavy-tailed rates come, buy and stay away, with
    /// seasons, cancellations and orders of nobody. Equal options give equal lines.
    Simulate(Simulated),
    /// Compare two runs: who is in another segment, how much money that is, which figures of the models differ.
    Diff {
        /// Folder of a run, or of a pipeline's results, whose `current` is then meant.
        #[arg(value_name = "RUN_A")]
        one: PathBuf,
        /// Folder of the other.
        #[arg(value_name = "RUN_B")]
        other: PathBuf,
        /// Compare at this snapshot; at the newest of each where it is not given.
        #[arg(long, value_name = "DATE")]
        snapshot: Option<chrono::NaiveDate>,
        /// Write one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Draw the page of a run again, from its tables and its manifest alone: charts, their numbers, and what they mean, in one file of
    /// HTML that needs no network. Every run publishes one as report.html; this is for runs of before, or for a page of this version.
    Report {
        /// Folder of a run, or of a pipeline's results, whose `current` is then meant.
        #[arg(value_name = "RUN")]
        run: PathBuf,
        /// File to write; `-` for standard output. A published run stays as it is.
        #[arg(short, long, value_name = "FILE", default_value = "report.html")]
        out: PathBuf,
    },
    /// Check a pipeline: its YAML, its segment map, and the headers and footers of its sources. Reads no row.
    Check(Load),
    /// Show the optimised plan of the scan and the columns after each stage. Reads no row.
    Explain(Load),
    /// Print the SQL that a Spark cluster runs in place of this machine, for spark-sql -f or another hand. Reads no row. What has no form
    /// in SQL that gives the same numbers is refused by name.
    Plan {
        /// Which pipeline.
        #[command(flatten)]
        load: Load,
        /// The engine that is planned for.
        #[arg(long, value_enum, value_name = "ENGINE", default_value = "spark")]
        engine: PlannedFor,
        /// How the plan is written.
        #[arg(long, value_enum, value_name = "FORMAT", default_value = "sql")]
        format: PlanFormat,
        /// Folder or URL that the SQL writes below; `publish.to` where it is not given.
        #[arg(long, value_name = "PATH")]
        to: Option<String>,
    },
    /// Say what a segment map leaves out: codes without a rule, codes that several rules match, rules and segments that nothing
    /// reaches. Exits with 2 where codes have no segment.
    Lint {
        /// Segment map, or a pipeline that names one.
        #[arg(value_name = "MAP|PIPELINE")]
        file: PathBuf,
        /// Manifest of a run: only the scores that it reached are looked at.
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
    /// Say why a customer is in its segment, and how far it is from the next.
    Why {
        /// Pipeline file.
        #[arg(value_name = "PIPELINE")]
        pipeline: PathBuf,
        /// The customer, as the segments have its id.
        #[arg(value_name = "CUSTOMER_ID")]
        customer_id: String,
        /// Overrides.
        #[command(flatten)]
        overrides: Overrides,
    },
    /// List the runs that stand in a folder of results, or remove the oldest.
    #[command(subcommand)]
    Runs(Runs),
    /// Show what a Parquet file is made of, whoever wrote it: columns and their types, sizes, ranges, row groups and metadata. Of a run,
    /// or of a pipeline's results, show its files.
    Inspect {
        /// Parquet file, or folder of a run or of a pipeline's results.
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Of a run: say of every table what a row is, and of every column its type and what it means, in Markdown.
        #[arg(long, conflicts_with = "json")]
        columns: bool,
        /// Write one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the YAML, by which editors complete and check it, or its options as a page to read.
    Schema {
        /// Of a pipeline, or of a segment map.
        #[arg(value_enum, value_name = "OF", default_value = "pipeline")]
        of: SchemaOf,
        /// Print the options with what they take and say, in Markdown.
        #[arg(long)]
        markdown: bool,
    },
    /// Print a script by which a shell completes the command line: custseg completions bash > /etc/bash_completion.d/custseg
    Completions {
        /// Which shell.
        #[arg(value_enum, value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Write a manual page for every command into a folder, to be put where `man` looks: custseg man /usr/local/share/man/man1
    Man {
        /// Folder, which has to be there.
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Show the first rows after a stage; publishes nothing.
    Peek {
        /// Pipeline file.
        #[arg(value_name = "PIPELINE")]
        pipeline: PathBuf,
        /// Stage to look behind.
        #[arg(value_enum, value_name = "STAGE")]
        stage: Stage,
        /// Number of rows.
        #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
        rows: usize,
        /// Overrides.
        #[command(flatten)]
        overrides: Overrides,
    },
}

/// What to do with the runs of a place.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Runs {
    /// List the runs, the newest first; * marks the one that readers see.
    List {
        /// Folder of a pipeline's results.
        #[arg(value_name = "DIR")]
        place: PathBuf,
        /// Write one line of JSON a run.
        #[arg(long)]
        json: bool,
    },
    /// Remove the oldest runs, never the one that readers see. Runs whose checks or gates failed are counted apart.
    Prune {
        /// Folder of a pipeline's results.
        #[arg(value_name = "DIR")]
        place: PathBuf,
        /// How many stay.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        keep: u32,
        /// Only say what would go.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// Of a pipeline.
    Pipeline,
    /// Of a segment map.
    Map,
}

/// Whom to score, and by what.
#[derive(Debug, Clone, Args)]
pub(crate) struct Score {
    /// Folder of the artefact (`current/model`), of its run, or of a pipeline's results.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Transactions: files, folders or globs, with the columns that the run read. CSV, Parquet or Excel, by the suffix.
    #[arg(value_name = "INPUT", required_unless_present = "stdio")]
    pub(crate) inputs: Vec<String>,
    /// Which of the pipeline's sources the input is written like, where it has several, counted from 1. What customers did in the
    /// others is then not seen.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) source: u16,
    /// The customers' source, where the pipeline has one; without it their attributes are left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) customers: Vec<String>,
    /// Look back from this date (exclusive); the run's newest snapshot where it is not given.
    #[arg(long, value_name = "DATE")]
    pub(crate) as_of: Option<chrono::NaiveDate>,
    /// Write to this file, CSV or Parquet by its suffix.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Override an option of how the input is read, as in `run`: --set ingest.transactions.csv.separator=";"
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Read customers from standard input and write them to standard output as they come, tab-separated and without a header, for
    /// engines that pipe rows. In: customer_id, recency_days, frequency, monetary, then what else the models measure, in the order in
    /// which the artefact names it; \N for null. Out: customer_id, r_score, f_score, m_score, rfm_code, segment, then label, confidence,
    /// margin and novelty of each model.
    #[arg(long, conflicts_with_all = ["inputs", "customers", "as_of", "to", "set"])]
    pub(crate) stdio: bool,
}

/// What to make up.
#[derive(Debug, Clone, Args)]
pub(crate) struct Simulated {
    /// Customers that there are; not all of them buy.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) customers: u64,
    /// Lines to write.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=100_000_000_000))]
    pub(crate) lines: u64,
    /// Where chance begins.
    #[arg(long, value_name = "S", default_value_t = 42)]
    pub(crate) seed: u64,
    /// Which shop to resemble; pipelines/online_retail.yaml and pipelines/cdnow.yaml read what it writes.
    #[arg(long, value_name = "SHAPE", default_value = "online_retail")]
    pub(crate) shape: ShapeArg,
    /// Where to: a .csv or .parquet file, or a folder (ending in /) for one Parquet file a month in hive folders.
    #[arg(long, value_name = "PATH")]
    pub(crate) to: PathBuf,
}

/// Which shop to resemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum ShapeArg {
    /// UCI Online Retail: order lines of a gift-ware shop, 2010-12-01 to 2011-12-09.
    OnlineRetail,
    /// CDNOW: purchases by those who came in the first twelve weeks of 1997, until 1998-06-30.
    Cdnow,
}

/// Which pipeline, and what to change in it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Pipeline file; where it is left out, the embedded CDNOW pipeline, whose paths start from ./pipelines.
    #[arg(value_name = "PIPELINE")]
    pub(crate) pipeline: Option<PathBuf>,
    /// Overrides.
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

/// What to change in a pipeline.
#[derive(Debug, Clone, Args)]
pub(crate) struct Overrides {
    /// Override one option; the value is read as YAML. May be given several times.
    ///
    /// For example: --set publish.to=/tmp/out --set 'rfm.snapshots=[2011-09-01, 2011-12-01]'. A path in a value is
    /// relative to the pipeline file, as in the file itself.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Look back from this date (exclusive) or from `last`; overrides rfm.snapshots.
    #[arg(long, value_name = "DATE")]
    pub(crate) as_of: Option<String>,
}

/// A stage whose outcome can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// The lines with the pipeline's columns.
    Ingest,
    /// The lines with their verdicts.
    Clean,
    /// One row a customer, order, day and reason.
    Orders,
    /// Recency, frequency and monetary value.
    Rfm,
    /// With scores.
    Score,
    /// With segments.
    Segment,
    /// With the models' answers.
    Model,
    /// The tables beside the segments.
    Evaluate,
}
