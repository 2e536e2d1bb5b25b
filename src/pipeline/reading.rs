//! The first half of a run: from files to the order book.

use std::collections::BTreeMap;
use std::path::Path;

use polars::prelude::PolarsResult;
use tempfile::TempDir;
use tracing::{info, info_span, warn};

use super::Pipeline;
use super::identity::definition_hash;
use crate::checks;
use crate::clean::{self, MarkedLines, Pairs, Step};
use crate::columns::CUSTOMER_ID;
use crate::error::Error;
use crate::ingest::conform::{AMBIGUOUS, FOREIGN};
use crate::ingest::{self, Keyed, OnBadRow, Reading, Walked};
use crate::model::Target;
use crate::orders::{self, Asked, Further, OrderBook, Rejects, ledger};
use crate::publish;
use crate::rfm::Feature;

/// The sources as the walk found them, with the scratch folder that rewritten files stand in.
pub struct Sources {
    /// One a source file.
    pub files: Vec<Walked>,
    /// What is known of the customers besides.
    pub customers: Option<Keyed>,
    /// Labels that models learn, by the model.
    pub labels: BTreeMap<String, Keyed>,
    scratch: TempDir,
}

impl Sources {
    /// All rows, for a plan.
    pub fn rows(&self) -> Reading<'_> {
        Reading::Rows(&self.files)
    }
}

/// `ingest`, first part: looks through the bytes of CSV files, and rewrites those with faults into a scratch folder
/// under `place`, or under the system's where none is given; reads what is known of the customers.
///
/// # Errors
/// Files that cannot be read or believed.
pub fn walk(p: &Pipeline, place: Option<&Path>) -> Result<Sources, Error> {
    let _span = info_span!("ingest").entered();
    let place = place.map_or_else(std::env::temp_dir, Path::to_owned);
    let scratch = tempfile::Builder::new().prefix(".scratch-").tempdir_in(&place);
    let scratch = scratch.map_err(|source| Error::Scratch { path: place, source })?;
    let customers = p.ingest.customers.as_ref().map(|params| Keyed::read(params, CUSTOMER_ID, scratch.path()));
    let customers = customers.transpose()?;
    if let Some(Keyed { rows, without_key, repeated_keys, .. }) = customers
        && without_key + repeated_keys > 0
    {
        warn!(
            rows,
            without_key, repeated_keys, "customers without a key are left out; of repeated keys the first holds"
        );
    }
    let mut labels = BTreeMap::new();
    for model in &p.models {
        if let Target::Labels(params) = &model.target {
            let read = Keyed::read(params, CUSTOMER_ID, scratch.path())?;
            let (without_key, repeated_keys) = (read.without_key, read.repeated_keys);
            if without_key + repeated_keys > 0 {
                let model = &model.name;
                warn!(
                    model,
                    without_key,
                    repeated_keys,
                    "labels without a customer are left out; of repeated ones the first holds"
                );
            }
            labels.insert(model.name.clone(), read);
        }
    }
    let mut files = Vec::new();
    for source in &p.ingest.sources {
        files.extend(ingest::walk(&source.set, p.ingest.on_bad_row, scratch.path(), files.len())?);
    }
    let bad: usize = files.iter().map(|file| file.bad.len()).sum();
    if bad > 0 {
        warn!(records = bad, "records that are none of the table's go to the rejects");
    }
    Ok(Sources { files, customers, labels, scratch })
}

/// `clean`, first part, where returns are matched: reads the returns and what they may undo, and pairs them.
///
/// # Errors
/// Files that do not read as they promised.
pub fn pair(p: &Pipeline, source: &Sources) -> Result<Option<Pairs>, Error> {
    if !p.clean.iter().any(Step::matches_returns) {
        return Ok(None);
    }
    let lines = mark(p, source.rows(), None)?;
    let _span = info_span!("clean").entered();
    let pairs = orders::candidates(&lines).and_then(|candidates| Pairs::of(&candidates));
    let pairs = pairs.map_err(Error::scan(&p.ingest))?;
    info!(pieces = pairs.table.height(), "returns paired");
    Ok(Some(pairs))
}

/// `ingest` and `clean`: the plan of the lines with their verdicts.
///
/// # Errors
/// What Polars says of a plan that cannot be made.
pub fn mark(p: &Pipeline, reading: Reading<'_>, pairs: Option<&Pairs>) -> Result<MarkedLines, Error> {
    let lines = info_span!("ingest").in_scope(|| ingest::lines(&p.ingest, reading)).map_err(Error::scan(&p.ingest))?;
    info_span!("clean").in_scope(|| clean::mark(&p.clean, lines, pairs)).map_err(Error::engine("clean"))
}

/// `orders`: the one scan; the rejected rows are written where a path is given.
///
/// # Errors
/// Files that do not read as they promised, or rejects that cannot be written.
pub fn scan(
    p: &Pipeline,
    source: &Sources,
    lines: MarkedLines,
    pairs: Option<Pairs>,
    rejects: Option<&Path>,
) -> Result<OrderBook, Error> {
    let tallies = info_span!("checks").in_scope(|| checks::tallies(&p.checks, source.scratch.path()))?;
    let _span = info_span!("orders").entered();
    let asked = Asked { money: &p.ingest.money, has_orders: p.ingest.has_orders(), pairs, further: further(p) };
    let rejects = rejects.map(|path| reject_names(p, path));
    let book = orders::scan(lines, asked, &tallies, rejects.as_ref()).map_err(Error::scan(&p.ingest))?;
    info!(groups = book.frame.height(), "source read");
    complete(source, &book)?;
    refuse(p, &book, rejects.as_ref())
        .map_err(Error::engine("orders"))?
        .map_or(Ok(book), |words| Err(Error::Data(words)))
}

/// Holds the scan to the walk: a record that the reader joined to another or took for two would be lost without a word.
fn complete(source: &Sources, book: &OrderBook) -> Result<(), Error> {
    let walked: Option<Vec<u64>> = source.files.iter().map(|file| file.records.map(u64::from)).collect();
    let read: u64 = book.rows_by_reason().map_err(Error::engine("orders"))?.iter().sum();
    match walked.map(|records| records.iter().sum::<u64>()) {
        Some(walked) if walked != read => {
            let words = format!("{walked} records were walked, but {read} rows read; its quotes cannot be told apart");
            Err(Error::Data(words))
        }
        _ => Ok(()),
    }
}

/// What the scan is asked for at the grain of products.
pub fn further(p: &Pipeline) -> Further {
    Further { products: p.rfm.features.contains(&Feature::NProducts), categories: p.rfm.top_categories > 0 }
}

/// Why the lines are not to be worked with, with an example: moments that no format can be preferred for, money of several
/// currencies without rates, and, under `on_bad_row: fail`, whatever cannot be parsed.
fn refuse(p: &Pipeline, book: &OrderBook, rejects: Option<&Rejects<'_>>) -> PolarsResult<Option<String>> {
    let refused = |reason: &clean::Reason| {
        let never = [AMBIGUOUS, FOREIGN].contains(&reason.reason.as_str());
        reason.step == ingest::STAGE && (never || p.ingest.on_bad_row == OnBadRow::Fail)
    };
    let words = ledger::in_words(book, refused)?;
    if words.is_empty() {
        return Ok(None);
    }
    let example = match rejects {
        Some(rejects) => orders::first_reject(rejects.path, &book.reasons, refused)?,
        None => None,
    };
    let example = example.map(|example| format!("\n  the first of them: {example}")).unwrap_or_default();
    Ok(Some(format!("these rows cannot be read without a doubt:{words}{example}")))
}

/// How the rejected rows of this pipeline are named.
pub fn reject_names<'a>(p: &'a Pipeline, path: &'a Path) -> Rejects<'a> {
    let files = p.ingest.files().map(|file| file.name.as_str()).collect();
    Rejects { path, files, metadata: publish::footer_metadata(&p.name, &definition_hash(p), &p.ingest.money) }
}
