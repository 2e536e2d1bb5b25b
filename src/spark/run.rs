//! A run on a cluster: the statements one after the other, and between them what this machine has to know: what the checks judge, the cut
//! points, and a sample to fit models to. All of it comes through the folder of results, which both sides see.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use tracing::{info, info_span};

use super::client::Cluster;
use super::site::{Counted, Site};
use super::{SparkParams, Statement, WORK, model, script};
use crate::artefact;
use crate::clean::{Reason, ReturnPolicy};
use crate::error::Error;
use crate::evaluate::{Tables, clusters, confusion, protocols};
use crate::ingest::{Reading, SourceFile};
use crate::model::{Assigned, Sight};
use crate::orders::OrderBook;
use crate::pipeline::{self, Learnt, Outcome, Pipeline, definition_hash};
use crate::publish::manifest::Input;
use crate::publish::{self, Files};
use crate::rfm::{self, RfmError};
use crate::score::{Cut, bins_of};
use crate::segment::Segmented;

/// Runs a pipeline on a cluster and publishes what came out.
///
/// # Errors
/// What has no form in SQL, what the cluster says, and what the data break.
pub fn run(p: &Pipeline, params: &SparkParams) -> Result<Outcome, Error> {
    let script = script(p, !p.models.is_empty())?;
    let inputs = inputs(p)?;
    let cluster = Cluster::at(&params.remote)?;
    if !model::by_scores(p) {
        // Not every server knows how to pipe rows; the one that does not is to say so now.
        cluster.understands("model", model::PIPES).map_err(model::cannot_pipe)?;
    }
    let staging = publish::stage(&p.publish, &run_id(p, params, &inputs))?;
    let site = Site::of(&cluster, staging.path())?;
    let [to_book, to_cuts, to_segments] = script.parts();
    let book = read(p, &site, to_book)?;
    let ledger = site.ledger()?;
    let (staging, verdicts) = pipeline::check(p, &book, || Ok(ledger.clone()), staging)?;
    let dates = rfm::dates(&p.rfm, &book)?;
    let cuts = scored(p, &site, &dates, to_cuts)?;
    let counted = named(&site, &dates, to_segments)?;
    let yardstick = counted.yardstick(&cuts);
    let assigned = fitted(p, params, &site, &book, &cuts, &counted)?;
    let files = pipeline::artefact(p, Learnt::of(&yardstick), yardstick.date, &assigned)?;
    if !p.models.is_empty() {
        site.make(&answered(p, params, &site, &assigned, &files)?)?;
    }
    let tables =
        tables(p, ledger, &cuts, &counted, &assigned).map_err(Error::engine("evaluate"))?;
    site.clear()?;
    let hash = definition_hash(p);
    let facts = pipeline::facts(p, &hash, &inputs, &verdicts, &cuts);
    let manifest = info_span!("publish")
        .in_scope(|| publish::publish_written(staging, &tables, files, facts))?;
    Ok(Outcome::Published { manifest: Box::new(manifest), tables, stayed: Vec::new() })
}

/// `ingest` to `orders`: the order book, as far as it is known here.
fn read(p: &Pipeline, site: &Site<'_>, statements: &[Statement]) -> Result<OrderBook, Error> {
    let reasons = pipeline::mark(p, Reading::Headers, None)?.reasons;
    let there = site.make_all(statements)?;
    let book = book(p, reasons, site.calendar(there)?);
    let rows: u64 = book.rows_by_reason().map_err(Error::engine("orders"))?.iter().sum();
    info!(rows, "source read");
    match pipeline::refuse(p, &book, None).map_err(Error::engine("orders"))? {
        Some(words) => Err(Error::Data(words)),
        // Of nothing there are no dates, which is the better word for it.
        None if !there => rfm::dates(&p.rfm, &book).map(|_| book).map_err(Error::Rfm),
        None => Ok(book),
    }
}

/// `rfm` and the cut points of `score`.
fn scored(
    p: &Pipeline,
    site: &Site<'_>,
    dates: &[NaiveDate],
    statements: &[Statement],
) -> Result<Vec<Cut>, Error> {
    match site.make_all(statements)? {
        true => site.cuts(p, dates),
        false => Err(nobody(dates.first())),
    }
}

/// The scores, and `segment`.
fn named(site: &Site<'_>, dates: &[NaiveDate], statements: &[Statement]) -> Result<Counted, Error> {
    if !site.make_all(statements)? {
        return Err(nobody(dates.first()));
    }
    let counted = site.counted(dates)?;
    match counted.nobody() {
        Some(date) => Err(nobody(Some(&date))),
        None => {
            info!(rows = counted.rows, snapshots = dates.len(), "customers named");
            Ok(counted)
        }
    }
}

fn nobody(date: Option<&NaiveDate>) -> Error {
    RfmError::NobodyLeft { date: date.copied().unwrap_or_default() }.into()
}

/// The segments with what the models say of everybody.
fn answered(
    p: &Pipeline,
    params: &SparkParams,
    site: &Site<'_>,
    assigned: &Assigned,
    files: &Files,
) -> Result<Statement, Error> {
    let newest = files.record.snapshot()?;
    let answers = match model::by_scores(p) {
        true => {
            let mut own = model::own_answers(p, assigned).map_err(Error::engine("model"))?;
            publish::to_file(&site.folder.join(model::OWN), &mut own)?;
            model::lookup(p, &assigned.trained, &format!("{}/{}", site.to, model::OWN))?
        }
        false => {
            let metadata = publish::footer_metadata(&p.name, &definition_hash(p), &p.ingest.money);
            let place = format!("{WORK}/{}", artefact::FOLDER);
            publish::write_artefact(&site.folder, &place, files.clone(), &metadata)?;
            model::piped(p, params, newest, &site.folder.join(place).display().to_string())
        }
    };
    Ok(model::answered(p, newest, &answers))
}

/// The source files: nobody here reads them, so that they are known by when they were last written.
fn inputs(p: &Pipeline) -> Result<Vec<Input>, Error> {
    let input = |file: &SourceFile| {
        let io = |source| Error::Input { path: file.path.clone(), source };
        let data = file.path.metadata().map_err(io)?;
        let written =
            data.modified().map_err(io)?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Input {
            path: file.name.clone(),
            bytes: data.len(),
            blake3: format!("modified:{}", written.as_nanos()),
        })
    };
    p.ingest.files().map(input).collect()
}

/// Identity of a run, which tells what the cluster computed from what this machine did.
fn run_id(p: &Pipeline, params: &SparkParams, inputs: &[Input]) -> String {
    let of_engine =
        format!("spark {} {} {}", params.sample, params.seed, pipeline::run_id(p, inputs));
    blake3::hash(of_engine.as_bytes()).to_hex()[..16].to_owned()
}

/// The order book as far as it is known here.
fn book(p: &Pipeline, reasons: Vec<Reason>, frame: DataFrame) -> OrderBook {
    OrderBook {
        frame,
        reasons,
        money: p.ingest.money.clone(),
        returns: ReturnPolicy::Drop,
        counts: Vec::new(),
        pairs: None,
        products: None,
        categories: None,
        has_orders: p.ingest.has_orders(),
    }
}

/// The models, fitted to a sample of the newest snapshot; without any nobody is drawn.
fn fitted(
    p: &Pipeline,
    params: &SparkParams,
    site: &Site<'_>,
    book: &OrderBook,
    cuts: &[Cut],
    counted: &Counted,
) -> Result<Assigned, Error> {
    let none = || Assigned {
        frame: DataFrame::empty(),
        trials: Vec::new(),
        tuned: Vec::new(),
        trained: Vec::new(),
        clustered: Vec::new(),
    };
    let Some((date, _)) = counted.scores.last().filter(|_| !p.models.is_empty()) else {
        return Ok(none());
    };
    site.make(&model::sample(p, params, *date, &counted.segments))?;
    let _span = info_span!("model").entered();
    let newest = site.sample()?;
    let of_newest = cuts.iter().filter(|cut| cut.snapshot == *date).cloned().collect();
    let segmented = Segmented { frame: newest.clone(), dates: vec![*date], cuts: of_newest };
    let sight = Sight { date: *date, newest, earlier: &[], book, labels: &BTreeMap::new() };
    let assigned = crate::model::assign(&p.models, &[], &segmented, &sight)?;
    info!(
        customers = segmented.frame.height(),
        models = p.models.len(),
        "models fitted to a sample"
    );
    Ok(assigned)
}

/// The tables beside the segments.
fn tables(
    p: &Pipeline,
    ledger: DataFrame,
    cuts: &[Cut],
    counted: &Counted,
    assigned: &Assigned,
) -> PolarsResult<Tables> {
    let bins = p.score.dimensions.each_ref().map(|dimension| dimension.bins);
    let mut others = vec![
        ("ledger", ledger),
        ("score_bins", bins_of(cuts, bins, &counted.scores)?),
        ("metrics", protocols::metrics(&assigned.trials)?),
        ("confusion", confusion::confusion(&assigned.trials)?),
    ];
    if !assigned.trials.is_empty() {
        others.push(("reliability", protocols::reliability(&assigned.trials)?));
    }
    if !assigned.tuned.is_empty() {
        others.push(("k_sweep", clusters::k_sweep(&assigned.tuned, &[])?));
    }
    Ok(Tables { segments: DataFrame::empty(), others })
}
