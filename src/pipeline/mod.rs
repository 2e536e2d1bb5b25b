//! The whole run, as a dozen lines that read like the picture.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::{DataFrame, PolarsResult};
use tracing::{info, info_span, warn};

use crate::checks::{self, Check, Verdict};
use crate::clean::Step;
use crate::error::Error;
use crate::evaluate::gates::{self, Gate, Judged};
use crate::evaluate::{self, Evidence, Tables, ValidityParams};
use crate::ingest::{IngestParams, Keyed, Reading};
use crate::model::{self, Assigned, KmeansParams, ModelParams, Sight};
use crate::orders::{OrderBook, ledger};
use crate::publish::manifest::Input;
use crate::publish::{
    self, CustomersRead, Depends, Facts, Manifest, PublishParams, Published, Staging,
};
use crate::rfm::{self, RfmError, RfmParams, SnapshotDates, Snapshots, by_snapshot};
use crate::score::{self, Cutting, ScoreParams, Scored, Yardstick};
use crate::segment::{self, SegmentMap, Segmented};
use crate::spark::SparkParams;

mod facts;
mod identity;
mod reading;
mod renewal;
mod scoring;

pub use facts::facts;
pub use identity::{definition_hash, fingerprints, run_id};
pub use reading::{Known, further, known, mark, pair, refuse, reject_names, scan};
pub use renewal::Renewal;
pub use scoring::{
    InputColumn, InputKind, Learnt, Recipe, Scorer, artefact, input_columns, learnt,
};

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
    /// The KNN models of `models`.
    pub models: Vec<ModelParams>,
    /// The clusterings of `models`.
    pub clusterings: Vec<KmeansParams>,
    /// Whether other definitions of frequency and monetary value are tried.
    pub sensitivity: bool,
    /// How validity is measured, where it is.
    pub validity: Option<ValidityParams>,
    /// What has to hold of the results.
    pub gates: Vec<Gate>,
    /// Options of `publish`.
    pub publish: PublishParams,
    /// The cluster that computes in place of this machine, where there is one.
    pub engine: Option<SparkParams>,
    /// What the numbers depend on, as JSON.
    pub definitions: serde_json::Value,
    /// What stands in the artefact.
    pub recipe: Recipe,
    /// How the source is read, as JSON: columns, formats and marks, without its paths.
    pub reading: serde_json::Value,
}

/// What the command line says of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Whether results are shown to readers though a gate failed.
    pub publish_anyway: bool,
    /// Whether snapshots of the published run stay as they are where nothing that they depend on has changed.
    pub only_new: bool,
    /// Who is told once the source is read and its checks hold.
    pub told: Option<fn(&Scanned<'_>)>,
}

/// What is known once the source is read.
pub struct Scanned<'a> {
    /// Its files.
    pub inputs: &'a [Input],
    /// Rows of all sources.
    pub rows: u64,
    /// What the checks found.
    pub verdicts: &'a [Verdict],
}

/// Runs the pipeline and publishes what came out.
///
/// # Errors
/// The first stage that fails; readers then still see the run before.
pub fn run(p: &Pipeline, how: How) -> Result<Outcome, Error> {
    let inputs = fingerprints(p)?;
    let run_id = run_id(p, &inputs);
    if let Some(mirror) = p.publish.mirror.as_ref().filter(|_| how.only_new) {
        mirror.fetch().map_err(Error::Publish)?;
    }
    // A run whose gates failed is shown only as long as somebody wants it to be.
    let good = |run: &Published| {
        run.text("run_id") == run_id && (how.publish_anyway || run.gates_passed())
    };
    if how.only_new
        && let Some(run) = Published::current(&p.publish).filter(good)
    {
        return Ok(Outcome::NothingNew(run));
    }
    let staging = publish::stage(&p.publish, &run_id)?;
    let known = known(p)?;
    let pairs = pair(p)?;
    let lines = mark(p, Reading::Rows, pairs.as_ref())?;
    let book = scan(p, lines, pairs, Some(&staging.rejects()))?;
    let (staging, verdicts) = check(p, &book, || ledger::ledger(&book), staging)?;
    if let Some(tell) = how.told {
        let rows = book.rows_by_reason().map_err(Error::engine("orders"))?.iter().sum();
        tell(&Scanned { inputs: &inputs, rows, verdicts: &verdicts });
    }
    let of_customers = known.customers.as_ref();
    let depends = depends(p, &book, of_customers)?;
    let renewal = Renewal::of(p, &depends).filter(|_| how.only_new);
    let snapshots = rfm(p, &book, of_customers, renewal.as_ref(), depends.dates())?;
    let customers = of_customers.map(|keyed| customers_read(keyed, &snapshots)).transpose()?;
    let kept = kept(p, &book, of_customers)?;
    let earlier = earlier(p, &book, of_customers, kept.as_ref(), &snapshots.dates)?;
    let scored = score(p, snapshots, kept)?;
    let evidence = evidence(p, &book, &scored, &earlier)?;
    let learnt = learnt(p, &scored)?;
    let segmented = segment(p, scored)?;
    info!(map = p.segment.name, "customers named");
    let assigned = assign(p, &book, &known.labels, &segmented, &earlier)?;
    let files =
        artefact(p, learnt, segmented.dates.last().copied().unwrap_or_default(), &assigned)?;
    let tables = evaluate(evidence, assigned)?;
    let hash = definition_hash(p);
    let judged = gates(p, &tables)?;
    let facts = Facts {
        customers,
        judged: &judged,
        depends: &depends,
        earlier: renewal.as_ref().map(|renewal| &renewal.run),
        ..facts(p, &hash, &inputs, &verdicts, &segmented.cuts)
    };
    let manifest = info_span!("publish", rows = tables.segments.height())
        .in_scope(|| publish::publish(staging, &tables, files, facts, how.publish_anyway))?;
    let stayed = renewal.map(|renewal| renewal.dates).unwrap_or_default();
    Ok(Outcome::Published { manifest: Box::new(manifest), tables, stayed })
}

/// What became of a run.
pub enum Outcome {
    /// The same inputs, definitions and version have been published already.
    NothingNew(Published),
    /// New results are there.
    Published {
        /// The record of the run.
        manifest: Box<Manifest>,
        /// The tables.
        tables: Tables,
        /// Snapshots of an earlier run that stayed as they were.
        stayed: Vec<NaiveDate>,
    },
}

/// `checks`: judges every check. Where one fails the run, what it found is set aside for people to look at.
///
/// # Errors
/// A check that does not hold and is not only to warn.
pub fn check(
    p: &Pipeline,
    book: &OrderBook,
    ledger: impl FnOnce() -> PolarsResult<DataFrame>,
    staging: Staging,
) -> Result<(Staging, Vec<Verdict>), Error> {
    let _span = info_span!("checks").entered();
    let files: Vec<&str> = p.ingest.files().map(|file| file.name.as_str()).collect();
    let verdicts = checks::judge(&p.checks, book, &files).map_err(Error::engine("checks"))?;
    let failed = verdicts.iter().filter(|verdict| verdict.fails()).count();
    if failed == 0 {
        return Ok((staging, verdicts));
    }
    let ledger = ledger().map_err(Error::engine("checks"))?;
    let place = publish::set_aside(
        staging,
        &ledger,
        &verdicts,
        &p.name,
        &definition_hash(p),
        &p.ingest.money,
    )?;
    Err(Error::Checks { failed, of: verdicts.len(), words: checks::in_words(&verdicts), place })
}

/// The snapshots, and what each depends on.
///
/// # Errors
/// No accepted line before a snapshot.
pub fn depends(
    p: &Pipeline,
    book: &OrderBook,
    customers: Option<&Keyed>,
) -> Result<Depends, Error> {
    let _span = info_span!("rfm").entered();
    let dates = rfm::dates(&p.rfm, book)?;
    // Who looks back from a day that the source does not reach takes every customer for absent.
    let last = book.span().map_err(Error::engine("rfm"))?.map(|(_, last)| last);
    if let Some(last) = last.filter(|last| {
        dates.last().is_some_and(|date| last.succ_opt().is_some_and(|next| next < *date))
    }) {
        warn!(%last, snapshot = ?dates.last(), "the source ends before the newest snapshot");
    }
    let inputs = rfm::inputs(&p.rfm, book, customers, &dates).map_err(Error::engine("rfm"))?;
    Ok(Depends::of(dates, inputs))
}

/// `rfm`, at these dates; what has not changed is taken from the earlier run, where there is one.
///
/// # Errors
/// No accepted line before a snapshot.
pub fn rfm(
    p: &Pipeline,
    book: &OrderBook,
    customers: Option<&Keyed>,
    renewal: Option<&Renewal>,
    dates: Vec<NaiveDate>,
) -> Result<Snapshots, Error> {
    let _span = info_span!("rfm").entered();
    let snapshots = match renewal {
        None => rfm::snapshots(&p.rfm, book, customers, dates)?,
        Some(renewal) => {
            let changed = renewal.changed(&dates);
            info!(kept = renewal.dates.len(), changed = ?changed, "snapshots compared with the earlier run");
            renewal.join(p, rfm::snapshots(&p.rfm, book, customers, changed)?, dates)?
        }
    };
    info!(rows = snapshots.frame.height(), snapshots = snapshots.dates.len(), "customers measured");
    Ok(snapshots)
}

fn customers_read(keyed: &Keyed, snapshots: &Snapshots) -> Result<CustomersRead, Error> {
    let unknown = rfm::unknown(snapshots, keyed).map_err(Error::engine("rfm"))?;
    if unknown > 0 {
        warn!(customers = unknown, "customers that the customers' source does not know");
    }
    Ok(CustomersRead::of(keyed, unknown))
}

/// The cut points that are kept, where there are such.
///
/// # Errors
/// No accepted line before their snapshot.
pub fn kept(
    p: &Pipeline,
    book: &OrderBook,
    customers: Option<&Keyed>,
) -> Result<Option<Yardstick>, Error> {
    match &p.score.cutting {
        Cutting::Refit => Ok(None),
        Cutting::Given(yardstick) => Ok(Some(yardstick.clone())),
        Cutting::AsOf(date) => {
            let span = book.span().map_err(Error::engine("rfm"))?;
            if let Some((first, last)) = span {
                SnapshotDates::Given(vec![*date]).within(first, last)?;
            }
            let snapshots = rfm::snapshots(&p.rfm, book, customers, vec![*date])?;
            let yardstick = score::score(&p.score, snapshots, None)
                .and_then(|scored| Yardstick::of(&scored, *date));
            Ok(Some(yardstick.map_err(Error::engine("score"))?))
        }
    }
}

/// Snapshots that are looked at but not published: those that validity and the models need before the newest, without those that the
/// source does not reach.
///
/// # Errors
/// What the stages say.
pub fn earlier(
    p: &Pipeline,
    book: &OrderBook,
    customers: Option<&Keyed>,
    kept: Option<&Yardstick>,
    dates: &[NaiveDate],
) -> Result<Vec<(NaiveDate, DataFrame)>, Error> {
    let span = book.span().map_err(Error::engine("rfm"))?;
    let Some(newest) = dates.last().copied() else { return Ok(Vec::new()) };
    let of_validity = p.validity.map(|validity| validity.start(newest));
    let of_models = p.models.iter().flat_map(|model| model.target.earlier(newest));
    let mut wanted: Vec<NaiveDate> = of_validity.into_iter().chain(of_models).collect();
    wanted.sort();
    wanted.dedup();
    wanted.retain(|date| span.is_some_and(|(first, _)| first < *date) && !dates.contains(date));
    let mut found = Vec::with_capacity(wanted.len());
    for date in wanted {
        let snapshots = match rfm::snapshots(&p.rfm, book, customers, vec![date]) {
            // Nobody was there yet; whoever needs the snapshot says so.
            Err(RfmError::NobodyLeft { .. }) => continue,
            snapshots => snapshots?,
        };
        let scored =
            score::score(&p.score, snapshots, kept.cloned()).map_err(Error::engine("score"))?;
        found.extend(by_snapshot(&segment(p, scored)?.frame).map_err(Error::engine("segment"))?);
    }
    Ok(found)
}

/// `score`.
///
/// # Errors
/// What Polars says.
pub fn score(p: &Pipeline, snapshots: Snapshots, kept: Option<Yardstick>) -> Result<Scored, Error> {
    let _span = info_span!("score").entered();
    let scored = score::score(&p.score, snapshots, kept).map_err(Error::engine("score"))?;
    info!(rows = scored.frame.height(), cuts = scored.cuts.len(), "customers scored");
    Ok(scored)
}

/// `segment`.
///
/// # Errors
/// What Polars says.
pub fn segment(p: &Pipeline, scored: Scored) -> Result<Segmented, Error> {
    let _span = info_span!("segment", rows = scored.frame.height()).entered();
    let mut segmented = segment::segment(&p.segment, scored).map_err(Error::engine("segment"))?;
    if p.why {
        let factor = p.ingest.money.factor();
        segmented =
            segment::explained(&p.segment, segmented, factor).map_err(Error::engine("segment"))?;
    }
    Ok(segmented)
}

/// `model`.
///
/// # Errors
/// Too few customers for a model, or features that are not finite.
pub fn assign(
    p: &Pipeline,
    book: &OrderBook,
    labels: &BTreeMap<String, Keyed>,
    segmented: &Segmented,
    earlier: &[(NaiveDate, DataFrame)],
) -> Result<Assigned, Error> {
    let _span = info_span!("model").entered();
    let (date, newest) = model::newest(segmented).map_err(Error::engine("model"))?;
    let published = by_snapshot(&segmented.frame).map_err(Error::engine("model"))?;
    let earlier: Vec<(NaiveDate, DataFrame)> =
        published.into_iter().chain(earlier.iter().cloned()).collect();
    let sight = Sight { date, newest, earlier: &earlier, book, labels };
    let assigned = model::assign(&p.models, &p.clusterings, segmented, &sight)?;
    info!(
        rows = assigned.frame.height(),
        models = p.models.len() + p.clusterings.len(),
        "customers assigned"
    );
    Ok(assigned)
}

/// What the tables are made of, besides the assigned customers.
///
/// # Errors
/// What Polars says.
pub fn evidence<'a>(
    p: &'a Pipeline,
    book: &'a OrderBook,
    scored: &Scored,
    earlier: &[(NaiveDate, DataFrame)],
) -> Result<Evidence<'a>, Error> {
    let mut made = vec![("score_bins", score::score_bins(scored).map_err(Error::engine("score"))?)];
    made.extend(scored.tables.iter().cloned());
    Ok(Evidence {
        book,
        map: &p.segment,
        rfm: &p.rfm,
        alternatives: p.sensitivity.then_some(&p.score),
        by_rank: p.score.by_rank(),
        cuts: (scored.cuts.clone(), scored.refit.clone()),
        kept: scored.kept.clone(),
        validity: p.validity.map(|params| (params, earlier.to_vec())),
        made,
    })
}

/// `evaluate`.
///
/// # Errors
/// What Polars says.
pub fn evaluate(evidence: Evidence<'_>, assigned: Assigned) -> Result<Tables, Error> {
    let _span = info_span!("evaluate").entered();
    let tables = evaluate::evaluate(evidence, assigned).map_err(Error::engine("evaluate"))?;
    let rows = tables.segments.height()
        + tables.others.iter().map(|(_, table)| table.height()).sum::<usize>();
    info!(rows, tables = tables.others.len() + 1, "tables made");
    Ok(tables)
}

/// Judges every gate.
///
/// # Errors
/// What Polars says.
pub fn gates(p: &Pipeline, tables: &Tables) -> Result<Vec<Judged>, Error> {
    gates::judge(&p.gates, tables).map_err(Error::engine("evaluate"))
}
