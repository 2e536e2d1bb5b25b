//! A sample of the sources, for `check`.

use std::sync::Arc;

use tracing::warn;

use super::Session;
use crate::error::Error;
use crate::orders::ledger;
use crate::pipeline::Pipeline;
use crate::progress::Silent;
use crate::temp::TempPath;

/// Reads about `rows` rows of at most three files of each source. Rows that cannot be parsed are
/// logged. Returns the number of rows.
///
/// # Errors
/// What would fail a run over these rows.
pub(crate) fn read_sample(mut p: Pipeline, rows: u32) -> Result<u64, Error> {
    p.ingest.sample = Some(rows);
    let folder = TempPath::folder()?;
    let session = Session::open(&p, Arc::new(Silent)).with_rejects(folder.path().join("rejects"));
    let facts = session.facts()?;
    let engine = || Error::engine("orders");
    if facts.accepted().limit(1).collect().map_err(engine())?.height() == 0 {
        let counts = ledger::describe_rejected(facts, |_| true).map_err(engine())?;
        warn!("no sampled row is left to measure:{counts}");
    }
    Ok(facts.rows_by_reason().map_err(engine())?.iter().sum())
}
