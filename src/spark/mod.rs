//! `spark`: translates a checked [`Pipeline`] into SQL for transactions on a Spark cluster.
//!
//! Every stage up to `segment` has a file with its SQL, which Spark (3.5 or later) and Sail read
//! alike. [`check_supported`] reports what cannot be reproduced with the same numbers. To give the
//! same rows as the local engine, money is summed as decimals, every column is cast, and cut points
//! are order statistics instead of an engine's `percentile`.

use std::fmt::Write;
use std::sync::Arc;

use crate::clean::Reason;
use crate::error::Error;
use crate::ingest::Reading;
use crate::pipeline::Pipeline;
#[cfg(not(feature = "spark"))]
use crate::pipeline::SparkParams;
use crate::progress::Silent;
use crate::session::Session;

mod clean;
#[cfg(feature = "spark")]
mod client;
mod ingest;
#[cfg(feature = "spark")]
mod model;
mod orders;
mod rfm;
#[cfg(feature = "spark")]
mod run;
#[cfg(feature = "spark")]
mod run_directory;
mod score;
mod segment;
mod text;
mod timestamps;
mod unsupported;

#[cfg(feature = "spark")]
pub(crate) use client::cancel;
#[cfg(feature = "spark")]
pub(crate) use run::run;
pub(crate) use unsupported::check_supported;

/// The statements of a pipeline, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) statements: Vec<Statement>,
}

/// A named view or table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) stage: &'static str,
    /// Name of the view that later statements read.
    pub(crate) name: String,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// A view of a CSV file, whose columns are all text.
    Csv { columns: Vec<String>, options: Vec<(&'static str, String)> },
    /// A view of a query.
    View(String),
    /// A query whose result is written as Parquet and then read by a view.
    Table {
        select: String,
        /// Path below the run directory.
        path: &'static str,
        /// Column of the hive folders.
        partition_by: Option<&'static str>,
    },
}

/// How the table of segments is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentsTable {
    /// It is a published table.
    Published,
    /// It is an intermediate table, to which the columns of models are joined.
    #[cfg_attr(not(feature = "spark"), expect(dead_code, reason = "only runs join models"))]
    Work,
}

/// Folder of intermediate tables below the run directory.
pub(crate) const WORK: &str = "work";

/// Session settings that the SQL requires: timestamps without a zone are in UTC, and overflow is an
/// error.
pub(crate) const SETTINGS: [(&str, &str); 2] =
    [("spark.sql.session.timeZone", "UTC"), ("spark.sql.ansi.enabled", "true")];

impl Statement {
    fn view(stage: &'static str, name: &str, select: String) -> Self {
        Self { stage, name: name.to_owned(), body: Body::View(select) }
    }

    fn table(stage: &'static str, name: &str, path: &'static str, select: String) -> Self {
        let body = Body::Table { select, path, partition_by: None };
        Self { stage, name: name.to_owned(), body }
    }

    /// The SQL that creates the view. The view of a table reads the files below `to`.
    pub(crate) fn view_sql(&self, to: &str) -> String {
        let view = format!("CREATE OR REPLACE TEMPORARY VIEW {}", self.name);
        match &self.body {
            Body::Csv { columns, options } => {
                let columns: Vec<String> =
                    columns.iter().map(|column| format!("{} STRING", text::name(column))).collect();
                let options: Vec<String> = options
                    .iter()
                    .map(|(key, value)| format!("{key} {}", text::quoted(value)))
                    .collect();
                let (columns, options) = (columns.join(", "), options.join(", "));
                format!("{view} ({columns}) USING csv OPTIONS ({options})")
            }
            Body::View(select) => format!("{view} AS\n{select}"),
            Body::Table { path, .. } => {
                format!("{view} AS SELECT * FROM parquet.{}", text::name(&format!("{to}/{path}")))
            }
        }
    }

    /// The path of a table below the run directory.
    #[cfg(feature = "spark")]
    fn path(&self) -> Option<&'static str> {
        match self.body {
            Body::Table { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The SQL that writes a table below `to`; `None` for a view.
    fn write_sql(&self, to: &str) -> Option<String> {
        let Body::Table { select, path, partition_by } = &self.body else { return None };
        let location = text::quoted(&format!("{to}/{path}"));
        let parquet = "USING parquet OPTIONS (compression 'zstd')";
        Some(match partition_by {
            None => format!("INSERT OVERWRITE DIRECTORY {location} {parquet}\n{select}"),
            // Only a table can be partitioned. Dropping an external table keeps its files.
            Some(column) => format!(
                "CREATE TABLE {0}_table {parquet} PARTITIONED BY ({column}) LOCATION {location} \
                 AS\n{select};\n\nDROP TABLE {0}_table",
                self.name
            ),
        })
    }
}

impl Script {
    /// The statements up to the ledger, up to the cut points, and the rest: the run reads results
    /// in between.
    #[cfg(feature = "spark")]
    fn parts(&self) -> [&[Statement]; 3] {
        let end_of = |name: &str| {
            self.statements.iter().position(|statement| statement.name == name).map_or(0, |i| i + 1)
        };
        let (ledger, cut_points) = (end_of(orders::LEDGER), end_of(score::CUT_POINTS));
        let statements = &self.statements;
        [&statements[..ledger], &statements[ledger..cut_points], &statements[cut_points..]]
    }

    /// The script as text for `spark-sql -f`, which writes results below `to`.
    pub(crate) fn to_sql(&self, pipeline: &str, to: &str) -> String {
        let mut sql = format!(
            "-- {pipeline}, by custseg {}: for spark-sql -f, Spark 3.5 or later.\n\
             -- Writes segments and ledger below {to}, which must not contain segments yet. {WORK} \
             has intermediate tables.\n",
            env!("CARGO_PKG_VERSION")
        );
        for (key, value) in SETTINGS {
            let _ = writeln!(sql, "SET {key} = {value};");
        }
        let mut stage = "";
        for statement in &self.statements {
            if statement.stage != stage {
                stage = statement.stage;
                let _ = writeln!(sql, "\n-- {stage}");
            }
            if let Some(write) = statement.write_sql(to) {
                let _ = write!(sql, "{write};\n\n");
            }
            let _ = write!(sql, "{};\n\n", statement.view_sql(to));
        }
        sql
    }
}

/// A local path as a URL: a cluster may resolve a bare path in its own file system.
pub(crate) fn url(path: &str) -> String {
    if path.starts_with('/') { format!("file://{path}") } else { path.to_owned() }
}

/// The SQL of a pipeline up to its segments.
///
/// # Errors
/// Lists everything that is not supported on Spark.
pub(crate) fn script(p: &Pipeline, segments: SegmentsTable) -> Result<Script, Error> {
    check_supported(p)?;
    let reasons = reasons(p)?;
    let relations = ingest::relations(p);
    let mut statements = ingest::csv_views(&relations);
    statements.push(ingest::lines(p, &relations, &reasons));
    statements.push(clean::marked(p, &reasons));
    statements.extend(orders::statements(p, &reasons));
    statements.extend(rfm::statements(p));
    statements.extend(score::statements(p));
    statements.extend(segment::statements(p, segments));
    Ok(Script { statements })
}

/// The reasons for which lines are rejected. The index of a reason is its code.
fn reasons(p: &Pipeline) -> Result<Vec<Reason>, Error> {
    Ok(Session::open(p, Arc::new(Silent)).marked_lines(Reading::Headers, None)?.reasons)
}

/// Reports that the program was built without the feature `spark`.
#[cfg(not(feature = "spark"))]
pub(crate) fn run(_: &Pipeline, _: &SparkParams) -> Result<crate::session::Outcome, Error> {
    let message = "this program was built without the feature `spark`: \
                   cargo install --path . --features spark";
    Err(Error::Usage(message.to_owned()))
}

/// Without the feature `spark` no cluster works for this process.
#[cfg(not(feature = "spark"))]
pub(crate) fn cancel() {}
