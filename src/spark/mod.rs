//! `spark`: a checked [`Pipeline`] → SQL, for transactions that live where a Spark cluster is.
//!
//! Every stage up to `segment` is written once more, in SQL that Spark (3.5 and on) and Sail read alike; a file a stage, named as the
//! stage. What has no form in SQL that gives the very same numbers is refused by name ([`refused`]), before anything runs. What is
//! deliberately absent: numbers of its own. Money is summed as decimals, every column is cast, cut points are order statistics found
//! by counting and not by an engine's `percentile`, so that both engines give the rows that this machine would.

use std::fmt::Write;

use crate::error::Error;
use crate::ingest::Reading;
use crate::pipeline::{self, Pipeline};

mod clean;
#[cfg(feature = "spark")]
mod client;
mod ingest;
#[cfg(feature = "spark")]
mod model;
mod moments;
mod orders;
mod refuse;
mod rfm;
#[cfg(feature = "spark")]
mod run;
mod score;
mod segment;
#[cfg(feature = "spark")]
mod site;
mod text;

#[cfg(feature = "spark")]
pub use client::cancel;
pub use refuse::{Refusal, refused};
#[cfg(feature = "spark")]
pub use run::run;

/// Checked options of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparkParams {
    /// The server; it may hold a secret behind its `;`.
    pub remote: String,
    /// Customers that models are fitted to.
    pub sample: u32,
    /// Seed of what is drawn.
    pub seed: u64,
    /// This program on the nodes of the cluster.
    pub binary: String,
}

/// What runs on the cluster, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// One view or table each.
    pub statements: Vec<Statement>,
}

/// A view or a table of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The stage that it belongs to.
    pub stage: &'static str,
    /// Name of the view that later statements know it by.
    pub name: String,
    /// What it is.
    pub body: Body,
}

/// What a statement makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A view of a CSV file: its columns, all of them text, and its options.
    Csv {
        /// Names of the columns.
        columns: Vec<String>,
        /// Options of the reader.
        options: Vec<(&'static str, String)>,
    },
    /// A view of a query.
    View(String),
    /// A query whose outcome is written as Parquet, and then known as a view.
    Table {
        /// The query.
        select: String,
        /// Where it stands below the run's folder.
        path: &'static str,
        /// The column that hive folders part it by.
        partition_by: Option<&'static str>,
    },
}

/// Folder of what is only on the way.
pub const WORK: &str = "work";

impl Statement {
    fn view(stage: &'static str, name: &str, select: String) -> Self {
        Self { stage, name: name.to_owned(), body: Body::View(select) }
    }

    fn csv(
        stage: &'static str,
        name: &str,
        columns: Vec<String>,
        options: Vec<(&'static str, String)>,
    ) -> Self {
        Self { stage, name: name.to_owned(), body: Body::Csv { columns, options } }
    }

    fn table(stage: &'static str, name: &str, path: &'static str, select: String) -> Self {
        Self {
            stage,
            name: name.to_owned(),
            body: Body::Table { select, path, partition_by: None },
        }
    }

    /// The SQL that makes its view; of a table, once it is written below `to`.
    pub fn view_sql(&self, to: &str) -> String {
        let Self { name, body, .. } = self;
        let view = format!("CREATE OR REPLACE TEMPORARY VIEW {name}");
        match body {
            Body::Csv { columns, options } => {
                let columns: Vec<String> =
                    columns.iter().map(|column| format!("{} STRING", text::name(column))).collect();
                let options: Vec<String> = options
                    .iter()
                    .map(|(key, value)| format!("{key} {}", text::quoted(value)))
                    .collect();
                format!(
                    "{view} ({}) USING csv OPTIONS ({})",
                    columns.join(", "),
                    options.join(", ")
                )
            }
            Body::View(select) => format!("{view} AS\n{select}"),
            Body::Table { path, .. } => {
                format!("{view} AS SELECT * FROM parquet.{}", text::name(&format!("{to}/{path}")))
            }
        }
    }

    /// Where its table stands below the run's folder, if it is one.
    #[cfg(feature = "spark")]
    fn path(&self) -> Option<&'static str> {
        match self.body {
            Body::Table { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The SQL that writes its table below `to`, where it is one.
    fn written_sql(&self, to: &str) -> Option<String> {
        let Body::Table { select, path, partition_by } = &self.body else { return None };
        let place = text::quoted(&format!("{to}/{path}"));
        let parquet = "USING parquet OPTIONS (compression 'zstd')";
        Some(match partition_by {
            None => format!("INSERT OVERWRITE DIRECTORY {place} {parquet}\n{select}"),
            // No directory is written in parts but that of a table; the table goes, its files stay.
            Some(column) => format!(
                "CREATE TABLE {0}_table {parquet} PARTITIONED BY ({column}) LOCATION {place} AS\n{select};\n\nDROP TABLE {0}_table",
                self.name
            ),
        })
    }
}

impl Script {
    /// The statements up to the ledger, up to the cut points, and the others: between them this machine has to know what was found.
    #[cfg(feature = "spark")]
    fn parts(&self) -> [&[Statement]; 3] {
        let after = |name: &str| {
            self.statements.iter().position(|one| one.name == name).map_or(0, |at| at + 1)
        };
        let (book, cuts) = (after(orders::LEDGER), after(score::CUT_POINTS));
        [&self.statements[..book], &self.statements[book..cuts], &self.statements[cuts..]]
    }

    /// As one text, for `spark-sql -f`; what is written goes below `to`.
    pub fn to_sql(&self, pipeline: &str, to: &str) -> String {
        let mut sql = format!(
            "-- {pipeline}, by custseg {}: for spark-sql -f, Spark 3.5 or later.\n-- Writes segments and ledger below {to}, where no segments may stand yet; what stands in {WORK} is only on the way.\n",
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
            if let Some(written) = statement.written_sql(to) {
                let _ = write!(sql, "{written};\n\n");
            }
            let _ = write!(sql, "{};\n\n", statement.view_sql(to));
        }
        sql
    }
}

/// A path of this machine as a URL, since a cluster may take a bare path for one of its own store.
pub fn url(path: &str) -> String {
    if path.starts_with('/') { format!("file://{path}") } else { path.to_owned() }
}

/// Runs a pipeline on a cluster.
///
/// # Errors
/// This program knows of no clusters.
#[cfg(not(feature = "spark"))]
pub fn run(_: &Pipeline, _: &SparkParams) -> Result<pipeline::Outcome, Error> {
    let words = "this program was built without the feature `spark`: cargo install --path . --features spark";
    Err(Error::Usage(words.to_owned()))
}

/// Stops what a cluster does for this process: nothing, without the feature `spark`.
#[cfg(not(feature = "spark"))]
pub fn cancel() {}

/// Settings that the SQL counts on: moments without a zone are told in the zone of the session, and what does not fit is an error.
pub const SETTINGS: [(&str, &str); 2] =
    [("spark.sql.session.timeZone", "UTC"), ("spark.sql.ansi.enabled", "true")];

/// The SQL of a pipeline up to its segments; where models are to be asked about these, they are only on the way.
///
/// # Errors
/// All that has no form in SQL, by name.
pub fn script(p: &Pipeline, asked: bool) -> Result<Script, Error> {
    let refused = refused(p);
    if !refused.is_empty() {
        return Err(Error::Refused(refused));
    }
    let reasons = pipeline::mark(p, Reading::Headers, None)?.reasons;
    let relations = ingest::relations(p);
    let mut statements = ingest::files(&relations);
    statements.push(ingest::lines(p, &relations, &reasons));
    statements.push(clean::marked(p, &reasons));
    statements.extend(orders::statements(p, &reasons));
    statements.extend(rfm::statements(p));
    statements.extend(score::statements(p));
    statements.extend(segment::statements(p, asked));
    Ok(Script { statements })
}
