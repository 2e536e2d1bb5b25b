//! A run on a cluster. Between the parts of the script this process reads what it needs: counts for
//! the checks, cut points, and a sample to fit models to.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use chrono::NaiveDate;
use polars::prelude::*;
use tracing::{info, info_span};

use super::client::Cluster;
use super::orders::{LEDGER, NEGATIVE};
use super::run_directory::{CustomerCounts, RunDirectory};
use super::segment::{SEGMENTS, WORK_SEGMENTS};
use super::{Statement, WORK, model, reasons, statements};
use crate::clean::ReturnPolicy;
use crate::columns::{DAY, LINES, REASON};
use crate::error::Error;
use crate::evaluate::{SilhouetteMode, Tables, clusters, model_metrics};
use crate::ingest::SourceFile;
use crate::manifest::{Input, InputRole, ManifestInputs, ModelRecord};
use crate::model::{Assigned, TrainingContext};
use crate::orders::OrderFacts;
use crate::pipeline::{Pipeline, SparkParams};
use crate::publish::{self, ArtefactFiles, OnFailedGate, Publication, Replaceable};
use crate::rfm::{self, NegativeOrders, RfmError};
use crate::score::{Cut, bins_from_counts};
use crate::segment::Segmented;
use crate::session::{self, FittedParams, Outcome};
use crate::tables::TableId;
use crate::{artefact, checks};

/// Runs a pipeline on a cluster and publishes the results.
pub(crate) fn run(
    p: &Pipeline,
    params: &SparkParams,
    replaceable: Replaceable,
) -> Result<Outcome, Error> {
    let has_models = !p.models.is_empty();
    let statements = statements(p, if has_models { WORK_SEGMENTS } else { SEGMENTS })?;
    let inputs = inputs(p)?;
    let cluster = Cluster::connect(&params.remote)?;
    if !model::use_scores_only(p) {
        cluster.check_transform()?;
    }
    let staging = p.publish.to.begin(&run_id(p, params, &inputs))?;
    session::check_current(p, replaceable)?;
    let run = ClusterRun { p, params, directory: RunDirectory::open(&cluster, staging.path())? };
    let ledger_end = statements.iter().position(|statement| statement.name == LEDGER);
    let (to_ledger, to_segments) = statements.split_at(ledger_end.map_or(0, |index| index + 1));
    let facts = run.order_facts(to_ledger)?;
    let ledger = run.directory.ledger().map_err(Error::engine("orders"))?;
    let results = info_span!("checks").in_scope(|| {
        let files: Vec<&str> = p.ingest.files().map(|file| file.name.as_str()).collect();
        checks::evaluate(&p.checks, &facts, &files).map_err(Error::engine("checks"))
    })?;
    let staging = session::check(p, &results, || Ok(ledger.clone()), staging)?;
    let dates = rfm::dates(&p.rfm, &facts)?;
    let (cuts, counts) = run.segment(&dates, to_segments)?;
    let frozen = counts.frozen(&cuts).map_err(Error::engine("score"))?;
    let assigned = if has_models {
        run.fit_models(&facts, &cuts, &counts, frozen.date)?
    } else {
        Assigned::default()
    };
    let artefact = session::artefact_files(p, FittedParams::of_cut_points(&frozen), &assigned)?;
    if has_models {
        run.write_segments(frozen.date, &assigned, &artefact)?;
    }
    let tables = tables(p, ledger, &cuts, &counts, &assigned).map_err(Error::engine("evaluate"))?;
    run.directory.clear()?;
    let hash = p.definition_hash();
    let models = ModelRecord::all(&assigned);
    let manifest = session::manifest_inputs(p, &hash, &inputs, &results, &cuts);
    let publication = Publication {
        staging,
        params: &p.publish,
        tables: &tables,
        artefact,
        lists: Vec::new(),
        manifest: ManifestInputs { models: &models, ..manifest },
        on_failed_gate: OnFailedGate::default(),
    };
    let manifest = info_span!("publish").in_scope(|| publish::publish_external(publication))?;
    Ok(Outcome::Published { manifest: Box::new(manifest), tables, reused: Vec::new() })
}

struct ClusterRun<'a> {
    p: &'a Pipeline,
    params: &'a SparkParams,
    directory: RunDirectory<'a>,
}

impl ClusterRun<'_> {
    /// `ingest` to `orders`: order facts that have only the columns of the calendar.
    fn order_facts(&self, statements: &[Statement]) -> Result<OrderFacts, Error> {
        let p = self.p;
        let has_rows = self.directory.execute(statements)?;
        let calendar = if has_rows {
            self.directory.calendar()
        } else {
            let none = [0_u64; 0];
            df![REASON => [0_u8; 0], DAY => [NaiveDate::MIN; 0], LINES => none, NEGATIVE => none]
        };
        let facts = OrderFacts {
            frame: calendar.map_err(Error::engine("orders"))?,
            reasons: reasons(p)?,
            money: p.ingest.money.clone(),
            returns: ReturnPolicy::Drop,
            metrics: Vec::new(),
            pairs: None,
            products: None,
            categories: None,
            has_orders: p.ingest.has_orders(),
        };
        let rows: u64 = facts.rows_by_reason().map_err(Error::engine("orders"))?.iter().sum();
        info!(rows, "source read");
        let unusable = session::unusable_rows(p, &facts, None);
        if let Some(message) = unusable.map_err(Error::engine("orders"))? {
            return Err(Error::Data(message));
        }
        let negative = facts.frame.column(NEGATIVE).and_then(|counts| Ok(counts.u64()?.sum()));
        let negative = negative.map_err(Error::engine("orders"))?.unwrap_or(0);
        if negative > 0 && p.rfm.negative_orders == NegativeOrders::Fail {
            return Err(Error::Data(session::describe_negative(negative, "")));
        }
        if !has_rows {
            // Fails with the error for an empty source.
            rfm::dates(&p.rfm, &facts)?;
        }
        Ok(facts)
    }

    /// `rfm` to `segment`: the cut points, and the customers by score and segment.
    fn segment(
        &self,
        dates: &[NaiveDate],
        statements: &[Statement],
    ) -> Result<(Vec<Cut>, CustomerCounts), Error> {
        let no_customers = |date| RfmError::NoCustomers { date };
        if !self.directory.execute(statements)? {
            return Err(no_customers(dates[0]).into());
        }
        let cuts = self.directory.cuts(self.p, dates)?;
        let counts = self.directory.counts(dates).map_err(Error::engine("segment"))?;
        let is_empty = |scores: &[Vec<u32>; 3]| scores[0].iter().all(|count| *count == 0);
        if let Some((date, _)) = counts.scores.iter().find(|(_, scores)| is_empty(scores)) {
            return Err(no_customers(*date).into());
        }
        info!(rows = counts.rows, snapshots = dates.len(), "customers assigned to segments");
        Ok((cuts, counts))
    }

    /// Fits the models to a sample of the newest snapshot.
    fn fit_models(
        &self,
        facts: &OrderFacts,
        cuts: &[Cut],
        counts: &CustomerCounts,
        date: NaiveDate,
    ) -> Result<Assigned, Error> {
        let (p, params) = (self.p, self.params);
        self.directory.execute(&[model::sample(p, params, date, &counts.segments)])?;
        let _span = info_span!("model").entered();
        let newest = self.directory.sample().map_err(Error::engine("model"))?;
        let cuts = cuts.iter().filter(|cut| cut.snapshot == date).cloned().collect();
        let segmented = Segmented { frame: newest.clone(), dates: vec![date], cuts };
        let labels = BTreeMap::new();
        let context =
            TrainingContext { date, newest, earlier: &[], backtests: &[], facts, labels: &labels };
        let assigned = crate::model::assign(&p.models, &[], &[], &segmented, &context)?;
        let customers = segmented.frame.height();
        info!(customers, models = p.models.len(), "models fitted to a sample");
        Ok(assigned)
    }

    /// Writes the segments with the predictions for all customers of the newest snapshot.
    fn write_segments(
        &self,
        newest: NaiveDate,
        assigned: &Assigned,
        artefact: &ArtefactFiles,
    ) -> Result<(), Error> {
        let Self { p, params, directory } = self;
        let predictions = if model::use_scores_only(p) {
            let table = model::sample_predictions(p, assigned);
            let mut table = table.map_err(Error::engine("model"))?;
            let path = model::SAMPLE_PREDICTIONS;
            publish::to_file(&directory.folder.join(path), &mut table)?;
            model::lookup(p, &assigned.trained, &format!("{}/{path}", directory.url))?
        } else {
            let metadata = publish::footer_metadata(&p.name, &p.definition_hash(), &p.ingest.money);
            let path = format!("{WORK}/{}", artefact::FOLDER);
            publish::write_artefact(&directory.folder, &path, artefact.clone(), &metadata)?;
            model::piped(p, params, newest, &directory.folder.join(path).display().to_string())
        };
        let statement = model::segments_with_predictions(p, newest, &predictions);
        directory.execute(&[statement]).map(|_| ())
    }
}

/// The source files with their modification time instead of a hash: only the cluster reads them.
fn inputs(p: &Pipeline) -> Result<Vec<Input>, Error> {
    let input = |file: &SourceFile| {
        let io = |source| Error::Input { path: file.path.clone(), source };
        let metadata = file.path.metadata().map_err(io)?;
        let modified = metadata.modified().map_err(io)?.duration_since(UNIX_EPOCH);
        let modified = modified.map_or(0, |elapsed| elapsed.as_nanos());
        let blake3 = format!("modified:{modified}");
        let (role, path) = (InputRole::Transactions, file.name.clone());
        Ok(Input { role, path, bytes: metadata.len(), blake3 })
    };
    p.ingest.files().map(input).collect()
}

/// The id of a run on a cluster, which differs from that of a local run.
fn run_id(p: &Pipeline, params: &SparkParams, inputs: &[Input]) -> String {
    let local = session::run_id(p, inputs);
    let identity = format!("spark {} {} {local}", params.sample, params.seed);
    blake3::hash(identity.as_bytes()).to_hex()[..16].to_owned()
}

/// The tables besides the segments, which stay in the files of the cluster.
fn tables(
    p: &Pipeline,
    ledger: DataFrame,
    cuts: &[Cut],
    counts: &CustomerCounts,
    assigned: &Assigned,
) -> PolarsResult<Tables> {
    let bins = p.score.dimensions.each_ref().map(|dimension| dimension.bins);
    let runs = &assigned.evaluation_runs;
    let mut others = BTreeMap::from([
        (TableId::Ledger, ledger),
        (TableId::ScoreBins, bins_from_counts(cuts, bins, &counts.scores)?),
        (TableId::Metrics, model_metrics::metrics(runs, &[])?),
        (TableId::Confusion, model_metrics::confusion(runs)?),
    ]);
    if !runs.is_empty() {
        others.insert(TableId::Reliability, model_metrics::reliability(runs)?);
    }
    if !assigned.tuned.is_empty() {
        others.insert(
            TableId::KSweep,
            clusters::k_sweep(&assigned.tuned, &[], SilhouetteMode::default())?,
        );
    }
    Ok(Tables { segments: DataFrame::empty(), others })
}
