//! The integration tests: one crate, one module a theme.
#![expect(unreachable_pub, reason = "the modules of a test crate are private to it")]
#![expect(clippy::print_stderr, reason = "long tests print their measurements")]
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

/// Runs the program and reads what it published.
mod harness;
/// Each stage on the fixture shop, with values computed by hand.
mod stages;
/// The command line: help, overrides, exit codes, standard output and error.
mod cli;
/// Invalid pipelines: the complete message of each.
mod bad_yaml;
mod btyd;
mod cases;
/// Broken data files: no panic, the right exit code, a message that names the file.
mod bad_data;
/// Scores and segments: methods, presets, maps, `lint`, `why`.
mod scores;
/// Broken input of many kinds: what the user sees of each.
mod gallery;
/// Options for the files of shops: SQL, fills, layouts of CSV, other formats.
mod export;
mod exports;
mod lists;
mod first_minutes;
mod init;
/// Several sources, customer attributes, currencies, outliers.
mod sources;
/// Returns and the purchases that they cancel.
mod returns;
/// Checks on lines: measured values, failures, publishing.
mod checks;
/// Several snapshots: grids, migration, drift, incremental runs.
mod time;
/// Runs that are killed, interrupted, out of disk or concurrent.
mod crash;
/// Commands beside `run`: schema, completions, variables, run management, inspection.
mod operator;
/// SQL for Spark, and the options that it does not support.
mod spark;
/// OpenLineage events.
mod lineage;
mod losses;
/// The model artefact, scoring with it, and comparing runs.
mod artefact;
/// Models: training, evaluation, errors.
mod models;
/// Results on public data sets against published numbers.
mod reference;
/// Simulated transactions with known ground truth.
mod simulate;
/// Properties of any input.
mod properties;
/// Excel workbooks give the same result as CSV.
mod workbook;
/// KNN against brute force and smartcore's classifier.
mod knn;
/// Silhouette and within-cluster sums against brute force.
mod cluster_quality;
mod cohorts;
/// The HTML report: complete, escaped, reproducible.
mod report;
/// The pages of `docs`.
mod docs;
/// Publishing: atomic, locked, verified, reproducible.
mod changes;
mod publish;
/// Rows of the source, the ledger and the rejects.
mod reconciliation;
/// Rules on the source text.
mod tidy;
