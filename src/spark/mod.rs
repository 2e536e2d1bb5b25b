//! `spark`: translates a checked [`Pipeline`] into SQL for transactions on a Spark cluster.
//!
//! Every stage up to `segment` has a file with its SQL, which Spark (3.5 or later) and Sail read
//! alike. [`check_supported`] reports what cannot be reproduced with the same numbers. To give the
//! same rows as the local engine, money is summed as decimals, every column is cast, and cut points
//! are order statistics instead of an engine's `percentile`.

use std::fmt::Write;
use std::sync::Arc;

use crate::clean::Reason;
use crate::columns::SNAPSHOT;
use crate::error::Error;
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
mod unsupported;

#[cfg(feature = "spark")]
pub(crate) use client::cancel;
#[cfg(feature = "spark")]
pub(crate) use run::run;
pub(crate) use unsupported::check_supported;

/// A view, or a table that is written as Parquet and then read by a view.
#[derive(Debug, Clone)]
struct Statement {
    stage: &'static str,
    /// Name of the view that later statements read.
    name: String,
    /// The definition of the view, or the query of the table.
    sql: String,
    /// Path of the table below the run directory.
    path: Option<&'static str>,
    /// Column of the table's hive folders.
    partition_by: Option<&'static str>,
}

/// Folder of intermediate tables below the run directory.
const WORK: &str = "work";

/// Session settings that the SQL requires: timestamps without a zone are in UTC, and overflow is an
/// error.
const SETTINGS: [(&str, &str); 2] =
    [("spark.sql.session.timeZone", "UTC"), ("spark.sql.ansi.enabled", "true")];

impl Statement {
    fn new(stage: &'static str, name: &str, sql: String) -> Self {
        Self { stage, name: name.to_owned(), sql, path: None, partition_by: None }
    }

    fn view(stage: &'static str, name: &str, select: &str) -> Self {
        Self::new(stage, name, format!("AS\n{select}"))
    }

    fn table(stage: &'static str, name: &str, path: &'static str, select: String) -> Self {
        let partition_by = (path == segment::SEGMENTS).then_some(SNAPSHOT);
        Self { path: Some(path), partition_by, ..Self::new(stage, name, select) }
    }

    /// The SQL that creates the view. The view of a table reads the files below `to`.
    fn view_sql(&self, to: &str) -> String {
        let view = format!("CREATE OR REPLACE TEMPORARY VIEW {}", self.name);
        match self.path {
            None => format!("{view} {}", self.sql),
            Some(path) => {
                format!("{view} AS SELECT * FROM parquet.{}", text::name(&format!("{to}/{path}")))
            }
        }
    }

    /// The SQL that writes a table below `to`; `None` for a view.
    fn write_sql(&self, to: &str) -> Option<String> {
        let Self { name, sql, partition_by, .. } = self;
        let location = text::quoted(&format!("{to}/{}", self.path?));
        let parquet = "USING parquet OPTIONS (compression 'zstd')";
        Some(match partition_by {
            None => format!("INSERT OVERWRITE DIRECTORY {location} {parquet}\n{sql}"),
            // Only a table can be partitioned. Dropping an external table keeps its files.
            Some(column) => format!(
                "CREATE TABLE {name}_table {parquet} PARTITIONED BY ({column}) LOCATION {location} \
                 AS\n{sql};\n\nDROP TABLE {name}_table"
            ),
        })
    }
}

/// The SQL of a pipeline as a script for `spark-sql -f`, which writes results below `to`.
pub(crate) fn plan(p: &Pipeline, to: &str) -> Result<String, Error> {
    let to = url(to.trim_end_matches('/'));
    let mut sql = format!(
        "-- {}, by custseg {}: for spark-sql -f, Spark 3.5 or later.\n\
         -- Writes segments and ledger below {to}, which must not contain segments yet. {WORK} \
         has intermediate tables.\n",
        p.name,
        env!("CARGO_PKG_VERSION")
    );
    for (key, value) in SETTINGS {
        let _ = writeln!(sql, "SET {key} = {value};");
    }
    let mut stage = "";
    for statement in statements(p, segment::SEGMENTS)? {
        if statement.stage != stage {
            stage = statement.stage;
            let _ = writeln!(sql, "\n-- {stage}");
        }
        for part in statement.write_sql(&to).into_iter().chain([statement.view_sql(&to)]) {
            let _ = write!(sql, "{part};\n\n");
        }
    }
    Ok(sql)
}

/// A local path as a URL: a cluster may resolve a bare path in its own file system.
fn url(path: &str) -> String {
    if path.starts_with('/') { format!("file://{path}") } else { path.to_owned() }
}

/// The statements of a pipeline up to its segments, in order, with the path of the segments.
fn statements(p: &Pipeline, segments: &'static str) -> Result<Vec<Statement>, Error> {
    check_supported(p)?;
    let reasons = reasons(p)?;
    let mut statements = ingest::statements(p, &reasons);
    statements.push(clean::marked(p, &reasons));
    statements.extend(orders::statements(p, &reasons));
    statements.extend(rfm::statements(p));
    statements.extend(score::statements(p));
    statements.extend(segment::statements(p, segments));
    Ok(statements)
}

/// The reasons for which lines are rejected. The index of a reason is its code.
fn reasons(p: &Pipeline) -> Result<Vec<Reason>, Error> {
    Ok(Session::open(p, Arc::new(Silent)).marked_lines(crate::ingest::Grain::Rows, None)?.reasons)
}

/// Reports that the program was built without the feature `spark`.
#[cfg(not(feature = "spark"))]
pub(crate) fn run(
    _: &Pipeline,
    _: &SparkParams,
    _: crate::publish::Replaceable,
) -> Result<crate::session::Outcome, Error> {
    let message = "this program was built without the feature `spark`: \
                   cargo install --path . --features spark";
    Err(Error::Usage(message.to_owned()))
}

/// Without the feature `spark` no cluster works for this process.
#[cfg(not(feature = "spark"))]
pub(crate) fn cancel() {}
