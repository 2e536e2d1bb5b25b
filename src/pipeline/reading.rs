//! The first half of a run: from files to the order book.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use polars::prelude::PolarsResult;
use tracing::{info, info_span, warn};

use super::Pipeline;
use super::identity::definition_hash;
use crate::checks;
use crate::clean::{self, MarkedLines, Pairs, Step};
use crate::columns::{CATEGORY, CUSTOMER_ID, PRODUCT_ID};
use crate::error::Error;
use crate::ingest::conform::{AMBIGUOUS, FOREIGN};
use crate::ingest::{self, Format, Keyed, OnBadRow, ReadCount, Reading};
use crate::model::Target;
use crate::orders::{self, Asked, Further, OrderBook, Rejects, ledger};
use crate::progress::{self, Extent};
use crate::publish;

/// What is known besides the transactions.
#[derive(Debug, Default)]
pub struct Known {
    /// Of the customers.
    pub customers: Option<Keyed>,
    /// Labels that models learn, by the model.
    pub labels: BTreeMap<String, Keyed>,
}

/// `ingest`, first part: reads the tables beside the transactions.
///
/// # Errors
/// Files that cannot be read or believed.
pub fn known(p: &Pipeline) -> Result<Known, Error> {
    let _span = info_span!("ingest").entered();
    let customers =
        p.ingest.customers.as_ref().map(|params| Keyed::read(params, CUSTOMER_ID)).transpose()?;
    if let Some(Keyed { rows, without_key, repeated_keys, .. }) = customers
        && without_key + repeated_keys > 0
    {
        warn!(
            rows,
            without_key,
            repeated_keys,
            "customers without a key are left out; of repeated keys the first holds"
        );
    }
    let mut labels = BTreeMap::new();
    for model in &p.models {
        if let Target::Labels(params) = &model.target {
            let read = Keyed::read(params, CUSTOMER_ID)?;
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
    Ok(Known { customers, labels })
}

/// `clean`, first part, where returns are matched: reads the returns, and then what they may undo, and pairs them.
///
/// # Errors
/// Files that do not read as they promised.
pub fn pair(p: &Pipeline) -> Result<Option<Pairs>, Error> {
    if !p.clean.iter().any(Step::matches_returns) {
        return Ok(None);
    }
    let told = |error| Error::scan(&p.ingest)(error);
    let with_returns = orders::with_returns(&mark(p, Reading::Rows, None)?).map_err(told)?;
    let candidates =
        orders::candidates(&mark(p, Reading::Rows, None)?, with_returns).map_err(told)?;
    let _span = info_span!("clean").entered();
    let pairs = Pairs::of(&candidates).map_err(Error::engine("clean"))?;
    info!(pieces = pairs.table.height(), "returns paired");
    Ok(Some(pairs))
}

/// `ingest` and `clean`: the plan of the lines with their verdicts.
///
/// # Errors
/// What Polars says of a plan that cannot be made.
pub fn mark(p: &Pipeline, reading: Reading, pairs: Option<&Pairs>) -> Result<MarkedLines, Error> {
    let lines = info_span!("ingest")
        .in_scope(|| ingest::lines(&p.ingest, reading))
        .map_err(Error::scan(&p.ingest))?;
    info_span!("clean")
        .in_scope(|| clean::mark(&p.clean, lines, pairs))
        .map_err(Error::engine("clean"))
}

/// `orders`: the one scan; the rejected rows are written where a path is given.
///
/// # Errors
/// Files that do not read as they promised, or rejects that cannot be written.
pub fn scan(
    p: &Pipeline,
    lines: MarkedLines,
    pairs: Option<Pairs>,
    rejects: Option<&Path>,
) -> Result<OrderBook, Error> {
    let tallies = info_span!("checks").in_scope(|| checks::tallies(&p.checks))?;
    let _span = info_span!("orders").entered();
    let asked = Asked {
        money: &p.ingest.money,
        has_orders: p.ingest.has_orders(),
        pairs,
        further: further(p),
    };
    let rejects = rejects.map(|path| reject_names(p, path));
    let read = lines.read.clone();
    progress::begin(extent(p));
    let book =
        orders::scan(lines, asked, &tallies, rejects.as_ref()).map_err(Error::scan(&p.ingest))?;
    let rows = book.rows_by_reason().map_err(Error::engine("orders"))?.iter().sum::<u64>();
    info!(rows, groups = book.frame.height(), "source read");
    complete(p, &read, rows)?;
    refuse(p, &book, rejects.as_ref())
        .map_err(Error::engine("orders"))?
        .map_or(Ok(book), |words| Err(Error::Data(words)))
}

/// What there is to read, as far as it can be known beforehand.
fn extent(p: &Pipeline) -> Option<Extent> {
    let files = || p.ingest.sources.iter().flat_map(|source| &source.set.files);
    let plain = files().all(|file| file.name.to_lowercase().ends_with(".csv"));
    match plain {
        true => Some(Extent::Bytes(
            files().filter_map(|file| Some(file.path.metadata().ok()?.len())).sum(),
        )),
        false => files().map(|file| file.rows).sum::<Option<u64>>().map(Extent::Rows),
    }
}

/// Holds the order book to what was read of CSV: a chunk that went to no consumer would be lost without a word.
fn complete(p: &Pipeline, read: &[Arc<ReadCount>], rows: u64) -> Result<(), Error> {
    let records: u64 = read.iter().map(|count| count.records()).sum();
    match p.ingest.sources.iter().all(|source| source.set.format == Format::Csv) && records != rows
    {
        true => Err(Error::Data(format!("{records} records were read, but {rows} rows arrived"))),
        false => Ok(()),
    }
}

/// What the scan is asked for at the grain of products.
pub fn further(p: &Pipeline) -> Further {
    Further { products: p.rfm.looks_at(PRODUCT_ID), categories: p.rfm.looks_at(CATEGORY) }
}

/// Why the lines are not to be worked with, with an example: moments that no format can be preferred for, money of several
/// currencies without rates, and, under `on_bad_row: fail`, whatever cannot be parsed.
pub fn refuse(
    p: &Pipeline,
    book: &OrderBook,
    rejects: Option<&Rejects<'_>>,
) -> PolarsResult<Option<String>> {
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
    let example =
        example.map(|example| format!("\n  the first of them: {example}")).unwrap_or_default();
    Ok(Some(format!("these rows cannot be read without a doubt:{words}{example}")))
}

/// How the rejected rows of this pipeline are named.
pub fn reject_names<'a>(p: &'a Pipeline, path: &'a Path) -> Rejects<'a> {
    let files = p.ingest.files().map(|file| file.name.as_str()).collect();
    Rejects {
        path,
        files,
        metadata: publish::footer_metadata(&p.name, &definition_hash(p), &p.ingest.money),
    }
}
