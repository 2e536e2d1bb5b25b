//! The arguments of the commands that have many.

use std::path::PathBuf;

use clap::Args;

use super::Load;
use crate::columns::CUSTOMER_ID;
use crate::export::{Layout, Selection};
use crate::simulate::Shape;

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
    /// Replace the current results of another pipeline
    #[arg(long)]
    pub(crate) force: bool,
    /// Replace current results of a later snapshot
    #[arg(long)]
    pub(crate) allow_older: bool,
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
    /// Customers' source, if the pipeline has one. Required if a model uses its attributes
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
    /// order of the artefact. Output: customer_id, r_score, f_score, m_score, rfm_code, segment,
    /// then label, confidence, margin and novelty of each model.
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
    pub(crate) shape: Shape,
    /// Output: a .csv or .parquet file, or a folder (ending in /) with one Parquet file per month
    /// in hive folders
    #[arg(long, value_name = "PATH")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// Folder of a run, or of a pipeline's results (its `current`)
    pub(crate) run: PathBuf,
    /// File to write, `-` for standard output. The published run is not changed
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub(crate) out: PathBuf,
    /// Open the sections for analysts
    #[arg(long)]
    pub(crate) technical: bool,
    /// Open the page in the browser (`BROWSER`, or that of the desktop)
    #[arg(long)]
    pub(crate) open: bool,
}

/// The arguments of `export`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// Folder of a run, or of a pipeline's results (its `current`)
    pub(crate) run: PathBuf,
    /// Segment, as named by the map. Can be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) segment: Vec<String>,
    /// Which customers
    #[arg(long, value_enum, value_name = "WHICH", default_value = "all")]
    pub(crate) what: Selection,
    /// Compare with the newest snapshot of another run, or with a snapshot of this run [default:
    /// the snapshot before the newest]
    #[arg(long, value_name = "RUN|DATE")]
    pub(crate) since: Option<String>,
    /// Columns of the list
    #[arg(long = "for", value_enum, value_name = "FORMAT", default_value = "csv")]
    pub(crate) layout: Layout,
    /// Contacts of the customers: CSV with a header, or Parquet. Columns such as email, phone,
    /// first_name and zip are found by their names
    #[arg(long, value_name = "FILE")]
    pub(crate) contacts: Option<PathBuf>,
    /// Column of the contacts with the customer id
    #[arg(long, value_name = "COLUMN", default_value = CUSTOMER_ID)]
    pub(crate) key: String,
    /// Write SHA-256 hashes of the trimmed, lower-case contacts. Phone numbers without a country
    /// code are left out
    #[arg(long)]
    pub(crate) hash: bool,
    /// File of customers who are never on a list: CSV or Parquet with the key or `email`
    #[arg(long, value_name = "FILE")]
    pub(crate) suppress: Option<PathBuf>,
    /// Share of the customers that is held back as a control group, such as 10%. A customer is in
    /// it in every export, or in none
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) control: Option<f64>,
    /// Write who is on the list and who is in the control group to this file, for
    /// `evaluate.uplift`
    #[arg(long, value_name = "FILE", requires = "control")]
    pub(crate) groups_to: Option<PathBuf>,
    /// Further columns of the segments or of the contacts
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Write to this file: .csv, .xlsx or .parquet
    #[arg(long, value_name = "FILE", required_if_eq("layout", "xlsx"))]
    pub(crate) to: Option<PathBuf>,
}

/// A share such as `10%` or `0.1`, below 1.
fn share(text: &str) -> Result<f64, String> {
    let share = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.trim().parse::<f64>(),
    };
    let share = share.ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| "expected a share such as 10%, below 100%".to_owned())
}
