//! The whole run, as a dozen lines that read like the picture.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use polars::prelude::PolarsResult;
use tempfile::TempDir;
use tracing::{info, info_span, warn};

use crate::checks::{self, Check, Verdict};
use crate::clean::{self, MarkedLines, Pairs, Step};
use crate::columns::CUSTOMER_ID;
use crate::error::Error;
use crate::evaluate::{self, Evidence, Tables};
use crate::ingest::conform::{AMBIGUOUS, FOREIGN};
use crate::ingest::{self, IngestParams, Keyed, OnBadRow, Reading, Walked};
use crate::model::{self, Assigned, ModelParams};
use crate::orders::{self, Asked, Further, OrderBook, Rejects, ledger};
use crate::publish::{self, CustomersRead, Facts, Manifest, PublishParams, Staging, manifest::Input};
use crate::rfm::{self, Feature, RfmParams, Snapshots};
use crate::score::{self, ScoreParams, Scored};
use crate::segment::{self, SegmentMap, Segmented};

/// A checked pipeline: made only by `config`, so that nothing in it has to be checked again.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Name of the pipeline.
    pub name: String,
    /// Options of `ingest`.
    pub ingest: IngestParams,
    /// Steps of `clean`, in order.
    pub clean: Vec<Step>,
    /// Checks of the lines, and the shares that steps may reject.
    pub checks: Vec<Check>,
    /// Options of `rfm`.
    pub rfm: RfmParams,
    /// Options of `score`.
    pub score: ScoreParams,
    /// The map of `segment`.
    pub segment: SegmentMap,
    /// Whether the segments say why each customer is where it is.
    pub why: bool,
    /// The models of `model`.
    pub models: Vec<ModelParams>,
    /// Whether other definitions of frequency and monetary value are tried.
    pub sensitivity: bool,
    /// Options of `publish`.
    pub publish: PublishParams,
    /// What the numbers depend on, as JSON.
    pub definitions: serde_json::Value,
    /// How the source is read, as JSON: columns, formats and marks, without its paths.
    pub reading: serde_json::Value,
}

/// Runs the pipeline and publishes what came out.
///
/// # Errors
/// The first stage that fails; readers then still see the run before.
pub fn run(p: &Pipeline) -> Result<(Manifest, Tables), Error> {
    let inputs = fingerprints(p)?;
    let staging = publish::stage(&p.publish, &run_id(p, &inputs))?;
    let source = walk(p, Some(staging.place()))?;
    let pairs = pair(p, &source)?;
    let lines = mark(p, source.rows(), pairs.as_ref())?;
    let book = scan(p, &source, lines, pairs, Some(&staging.rejects()))?;
    let (staging, verdicts) = check(p, &book, staging)?;
    let snapshots = rfm(p, &book, source.customers.as_ref())?;
    let customers = source.customers.as_ref().map(|keyed| CustomersRead::of(keyed, snapshots.unknown));
    let scored = score(p, snapshots)?;
    let evidence = evidence(p, &book, &scored)?;
    let segmented = segment(p, scored)?;
    let assigned = assign(p, &segmented)?;
    let tables = evaluate(evidence, assigned)?;
    let hash = definition_hash(p);
    let facts = Facts {
        pipeline: &p.name,
        definition_hash: &hash,
        definition: &p.definitions,
        reading: &p.reading,
        money: &p.ingest.money,
        inputs: &inputs,
        verdicts: &verdicts,
        customers,
        cuts: &segmented.cuts,
    };
    let manifest = info_span!("publish").in_scope(|| publish::publish(staging, &tables, facts))?;
    Ok((manifest, tables))
}

/// The sources as the walk found them, with the scratch folder that rewritten files stand in.
pub struct Sources {
    /// One a source file.
    pub files: Vec<Walked>,
    /// What is known of the customers besides.
    pub customers: Option<Keyed>,
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
    let mut files = Vec::new();
    for source in &p.ingest.sources {
        files.extend(ingest::walk(&source.set, p.ingest.on_bad_row, scratch.path(), files.len())?);
    }
    let bad: usize = files.iter().map(|file| file.bad.len()).sum();
    if bad > 0 {
        warn!(records = bad, "records that are none of the table's go to the rejects");
    }
    Ok(Sources { files, customers, scratch })
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

/// `checks`: judges every check. Where one fails the run, what it found is set aside for people to look at.
///
/// # Errors
/// A check that does not hold and is not only to warn.
pub fn check(p: &Pipeline, book: &OrderBook, staging: Staging) -> Result<(Staging, Vec<Verdict>), Error> {
    let _span = info_span!("checks").entered();
    let files: Vec<&str> = p.ingest.files().map(|file| file.name.as_str()).collect();
    let verdicts = checks::judge(&p.checks, book, &files).map_err(Error::engine("checks"))?;
    let failed = verdicts.iter().filter(|verdict| verdict.fails()).count();
    if failed == 0 {
        return Ok((staging, verdicts));
    }
    let ledger = ledger::ledger(book).map_err(Error::engine("checks"))?;
    let metadata = publish::footer_metadata(&p.name, &definition_hash(p), &p.ingest.money);
    let place = publish::set_aside(staging, &ledger, &verdicts, &metadata)?;
    Err(Error::Checks { failed, of: verdicts.len(), words: checks::in_words(&verdicts), place })
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

/// `rfm`.
///
/// # Errors
/// No accepted line before a snapshot.
pub fn rfm(p: &Pipeline, book: &OrderBook, customers: Option<&Keyed>) -> Result<Snapshots, Error> {
    let _span = info_span!("rfm").entered();
    let snapshots = rfm::snapshots(&p.rfm, book, customers, rfm::dates(&p.rfm, book)?)?;
    if snapshots.unknown > 0 {
        warn!(customers = snapshots.unknown, "customers that the customers' source does not know");
    }
    info!(rows = snapshots.frame.height(), snapshots = snapshots.dates.len(), "customers measured");
    Ok(snapshots)
}

/// `score`.
///
/// # Errors
/// What Polars says.
pub fn score(p: &Pipeline, snapshots: Snapshots) -> Result<Scored, Error> {
    let _span = info_span!("score").entered();
    let scored = score::score(&p.score, snapshots).map_err(Error::engine("score"))?;
    info!(cuts = scored.cuts.len(), "customers scored");
    Ok(scored)
}

/// `segment`.
///
/// # Errors
/// What Polars says.
pub fn segment(p: &Pipeline, scored: Scored) -> Result<Segmented, Error> {
    let _span = info_span!("segment").entered();
    let mut segmented = segment::segment(&p.segment, scored).map_err(Error::engine("segment"))?;
    if p.why {
        let factor = p.ingest.money.factor();
        segmented = segment::explained(&p.segment, segmented, factor).map_err(Error::engine("segment"))?;
    }
    info!(map = p.segment.name, "customers named");
    Ok(segmented)
}

/// `model`.
///
/// # Errors
/// Too few customers for a model, or features that are not finite.
pub fn assign(p: &Pipeline, segmented: &Segmented) -> Result<Assigned, Error> {
    let _span = info_span!("model").entered();
    let assigned = model::assign(&p.models, segmented)?;
    info!(models = p.models.len(), "customers assigned");
    Ok(assigned)
}

/// What the tables are made of, besides the assigned customers.
///
/// # Errors
/// What Polars says.
pub fn evidence<'a>(p: &'a Pipeline, book: &'a OrderBook, scored: &Scored) -> Result<Evidence<'a>, Error> {
    let mut made = vec![("score_bins", score::score_bins(scored).map_err(Error::engine("score"))?)];
    made.extend(scored.tables.iter().cloned());
    Ok(Evidence { book, map: &p.segment, rfm: &p.rfm, alternatives: p.sensitivity.then_some(&p.score), made })
}

/// `evaluate`.
///
/// # Errors
/// What Polars says.
pub fn evaluate(evidence: Evidence<'_>, assigned: Assigned) -> Result<Tables, Error> {
    let _span = info_span!("evaluate").entered();
    let tables = evaluate::evaluate(evidence, assigned).map_err(Error::engine("evaluate"))?;
    info!(tables = tables.others.len() + 1, "tables made");
    Ok(tables)
}

/// Hash of what the numbers depend on.
pub fn definition_hash(p: &Pipeline) -> String {
    blake3::hash(p.definitions.to_string().as_bytes()).to_hex().to_string()
}

/// Identity of a run: the same version, definitions and input give the same run.
pub fn run_id(p: &Pipeline, inputs: &[Input]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.update(p.name.as_bytes());
    hasher.update(definition_hash(p).as_bytes());
    hasher.update(p.reading.to_string().as_bytes());
    for input in inputs {
        hasher.update(input.path.as_bytes());
        hasher.update(input.blake3.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Size and hash of every source file.
///
/// # Errors
/// A file that cannot be read.
pub fn fingerprints(p: &Pipeline) -> Result<Vec<Input>, Error> {
    let customers = p.ingest.customers.iter().flat_map(|customers| &customers.set.files);
    let rates = p.ingest.rates.iter().map(|rates| &rates.file);
    // A check may look into the customers' source.
    let mut seen = HashSet::new();
    let looked_into = p.checks.iter().flat_map(Check::files);
    p.ingest
        .files()
        .chain(customers)
        .chain(rates)
        .chain(looked_into)
        .filter(|file| seen.insert(&file.path))
        .map(|file| {
            let io = |source| Error::Input { path: file.path.clone(), source };
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(File::open(&file.path).map_err(io)?).map_err(io)?;
            let blake3 = hasher.finalize().to_hex().to_string();
            Ok(Input { path: file.name.clone(), bytes: hasher.count(), blake3 })
        })
        .collect()
}
