//! The integration tests: one crate, one module a theme.
#![expect(unreachable_pub, reason = "the modules of a test crate are private to it")]
#![expect(clippy::print_stderr, reason = "a test that skips says so")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// Runs the program and reads what it published; the one place that touches either.
mod harness;
/// Each stage on a shop of a dozen lines, with numbers worked out by hand.
mod stages;
/// The command line: help, overrides, exit codes, standard output and error.
mod cli;
/// Every wrong YAML of the gallery: the whole message.
mod bad_yaml;
/// Broken data files: no panic, the right exit code, a message that names the file.
mod bad_data;
/// How values become scores and scores segments: methods, presets, maps, `lint`, `why`.
mod scores;
/// A gallery of broken input: what a user sees of each piece.
mod gallery;
/// Several sources, customers' attributes, currencies, outliers.
mod sources;
/// Returns and the purchases that they undo.
mod returns;
/// Checks of the lines: what is measured, told, and kept from readers.
mod checks;
/// Time: grids of snapshots, what they say of each other, what stays as it is.
mod time;
/// Runs that are killed, stopped, starved or crossed by another.
mod crash;
/// What operators and editors use beside a run.
mod operator;
/// The SQL for clusters, and what has none.
mod spark;
/// Events of OpenLineage.
mod lineage;
/// The artefact, scoring by it, and comparing runs.
mod artefact;
/// The models: what they learn, how they are tried, what they refuse.
mod models;
/// Published numbers of real data sets, computed by others.
mod reference;
/// Made-up transactions: of them the truth is known.
mod simulate;
/// What must hold for any input.
mod properties;
/// Excel workbooks give what CSV gives.
mod workbook;
/// The KNN against a brute force and against smartcore's own classifier.
mod knn;
/// Silhouette and within-cluster sums against a brute force.
mod cohesion;
/// The page of a run: whole, escaped, drawn again from its tables, for whatever the data are.
mod report;
/// The pages of `docs`.
mod docs;
/// Publishing: atomic, locked, verified, the same bytes again.
mod publish;
/// What ARCHITECTURE.md promises of the source text.
mod tidy;
