//! A run on a cluster: the statements one after the other, and between them what this machine has to know: what the checks judge, the cut
//! points, and a sample to fit models to. All of it comes through the folder of results, which both sides see.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;
use polars::prelude::*;
use tracing::{info, info_span};

use super::client::Cluster;
use super::segment::CELLS;
use super::{Script, SparkParams, Statement, model, orders, score, script};
use crate::checks;
use crate::clean::{Reason, ReturnPolicy};
use crate::columns::*;
use crate::error::Error;
use crate::evaluate::{Tables, clusters, confusion, protocols};
use crate::ingest::Reading;
use crate::model::{Assigned, Sight};
use crate::orders::OrderBook;
use crate::pipeline::{self, Learnt, Outcome, Pipeline, definition_hash};
use crate::publish::manifest::Input;
use crate::publish::{self, Depends, Facts, PublishError, Staging};
use crate::rfm::{self, RfmError};
use crate::score::{Cut, Dimension, Yardstick, bins_of};
use crate::scratch;
use crate::segment::{self, Segmented};

/// Runs a pipeline on a cluster and publishes what came out.
///
/// # Errors
/// What has no form in SQL, what the cluster says, and what the data break.
pub fn run(p: &Pipeline, params: &SparkParams) -> Result<Outcome, Error> {
    let Script { statements } = script(p, !p.models.is_empty())?;
    let inputs = inputs(p)?;
    let cluster = Cluster::at(&params.remote)?;
    if !p.models.is_empty() && !model::by_scores(p) {
        // Not every server knows how to pipe rows; the one that does not is to say so now.
        cluster.understands("model", model::PIPES).map_err(model::cannot_pipe)?;
    }
    let run_id = run_id(p, params, &inputs);
    let staging = publish::stage(&p.publish, &run_id)?;
    // The cluster does not stand where this program does.
    let folder = staging
        .path()
        .canonicalize()
        .map_err(|source| Error::Publish(PublishError::Io { path: staging.path().to_owned(), source }))?;
    let to = super::url(&folder.display().to_string());
    let make = |statement: &Statement| -> Result<bool, Error> {
        cluster.write(statement, &to)?;
        // Of no rows at all not every engine writes a file, and then nothing can be read.
        let there = statement.path().is_none_or(|path| written(&folder.join(path)));
        if there { cluster.view(statement, &to).map(|()| true) } else { Ok(false) }
    };
    let all = |statements: &[Statement]| -> Result<bool, Error> {
        for statement in statements {
            if !make(statement)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let after = |name: &str| statements.iter().position(|one| one.name == name).map_or(0, |at| at + 1);
    let (read, cut) = (after(orders::LEDGER), after(score::CUT_POINTS));
    let reasons = pipeline::mark(p, Reading::Headers, None)?.reasons;
    if !all(&statements[..read])? {
        let nothing = book(p, reasons, empty_calendar().map_err(Error::engine("orders"))?);
        return Err(rfm::dates(&p.rfm, &nothing).err().map_or_else(odd, Error::Rfm));
    }
    let book = book(p, reasons, calendar(&folder).map_err(Error::engine("orders"))?);
    let ledger = ledger(&folder).map_err(Error::engine("orders"))?;
    let rows: u64 = book.rows_by_reason().map_err(Error::engine("orders"))?.iter().sum();
    info!(rows, "source read");
    if let Some(words) = pipeline::refuse(p, &book, None).map_err(Error::engine("orders"))? {
        return Err(Error::Data(words));
    }
    let (staging, verdicts) = judged(p, &book, &ledger, staging)?;
    let dates = rfm::dates(&p.rfm, &book)?;
    let first = dates.first().copied().unwrap_or_default();
    if !all(&statements[read..cut])? {
        return Err(RfmError::NobodyLeft { date: first }.into());
    }
    let cuts = cuts(p, &folder, &dates)?;
    if !all(&statements[cut..])? {
        return Err(RfmError::NobodyLeft { date: first }.into());
    }
    let counted = Counted::read(&folder, &dates).map_err(Error::engine("segment"))?;
    if let Some(date) = counted.nobody() {
        return Err(RfmError::NobodyLeft { date }.into());
    }
    info!(rows = counted.rows, snapshots = dates.len(), "customers named");
    let newest = dates.last().copied().unwrap_or_default();
    make(&model::sample(p, params, newest, &counted.segments))?;
    let frame = sampled(&folder).map_err(Error::engine("model"))?;
    let of_newest = cuts.iter().filter(|cut| cut.snapshot == newest).cloned().collect();
    let segmented = Segmented { frame, dates: vec![newest], cuts: of_newest };
    let assigned = fitted(p, &book, newest, &segmented)?;
    let yardstick = Yardstick {
        date: newest,
        points: crate::score::cuts_at(&cuts, newest).map(Clone::clone),
        counts: counted.scores.last().map(|(_, counts)| counts.clone()).unwrap_or_default(),
    };
    let files = pipeline::artefact(p, Learnt::of(&yardstick), &segmented, &assigned)?;
    let hash = definition_hash(p);
    if !p.models.is_empty() {
        let answers = match model::by_scores(p) {
            true => {
                let mut own = model::own_answers(p, &assigned).map_err(Error::engine("model"))?;
                publish::to_file(&folder.join(model::OWN), &mut own)?;
                model::lookup(p, &assigned.trained, &format!("{to}/{}", model::OWN))?
            }
            false => {
                let metadata = publish::footer_metadata(&p.name, &hash, &p.ingest.money);
                publish::write_artefact(&folder.join(super::WORK), files.clone(), &metadata)?;
                let artefact = folder.join(super::WORK).join(crate::artefact::FOLDER);
                model::piped(p, params, newest, &artefact.display().to_string())
            }
        };
        make(&model::answered(p, newest, &answers))?;
    }
    let tables = tables(p, ledger, &cuts, &counted, &assigned).map_err(Error::engine("evaluate"))?;
    for gone in [super::WORK, "ledger"] {
        let place = folder.join(gone);
        scratch::remove(&place).map_err(|source| PublishError::Io { path: place, source })?;
    }
    let facts = Facts {
        pipeline: &p.name,
        definition_hash: &hash,
        definition: &p.definitions,
        reading: &p.reading,
        money: &p.ingest.money,
        inputs: &inputs,
        verdicts: &verdicts,
        customers: None,
        cuts: &cuts,
        judged: &[],
        depends: &Depends::default(),
        earlier: None,
    };
    info!(version = cluster.version, "computed by the cluster");
    let manifest = info_span!("publish").in_scope(|| publish::publish_written(staging, &tables, files, facts))?;
    Ok(Outcome::Published { manifest: Box::new(manifest), tables, stayed: Vec::new() })
}

/// The source files: nobody here reads them, so that they are known by when they were last written.
fn inputs(p: &Pipeline) -> Result<Vec<Input>, Error> {
    let input = |file: &crate::ingest::SourceFile| {
        let io = |source| Error::Input { path: file.path.clone(), source };
        let data = file.path.metadata().map_err(io)?;
        let written = data.modified().map_err(io)?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Input { path: file.name.clone(), bytes: data.len(), blake3: format!("modified:{}", written.as_nanos()) })
    };
    p.ingest.files().map(input).collect()
}

/// Identity of a run, which tells what the cluster computed from what this machine did.
fn run_id(p: &Pipeline, params: &SparkParams, inputs: &[Input]) -> String {
    let of_engine = format!("spark {} {} {}", params.sample, params.seed, pipeline::run_id(p, inputs));
    blake3::hash(of_engine.as_bytes()).to_hex()[..16].to_owned()
}

/// A table that the cluster wrote. What folders above it are called says nothing of its columns.
fn table(folder: &Path, path: &str) -> PolarsResult<LazyFrame> {
    let files = PlRefPath::try_from_path(&folder.join(path))?;
    let hive_options = HiveOptions::new_disabled();
    LazyFrame::scan_parquet(files, ScanArgsParquet { hive_options, ..Default::default() })
}

/// Whether a folder holds a file of a table.
fn written(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .into_iter()
        .any(|path| path.is_dir() && written(&path) || path.extension().is_some_and(|it| it == "parquet"))
}

/// What a server says that has rows where there are none.
fn odd() -> Error {
    Error::Spark { stage: "orders", words: "the cluster wrote no order book, though there are lines".to_owned() }
}

/// Lines by reason and day: what checks, dates and refusals look at.
fn calendar(folder: &Path) -> PolarsResult<DataFrame> {
    let columns = [col(REASON).cast(DataType::UInt8), col(DAY).cast(DataType::Date), col(LINES).cast(DataType::UInt64)];
    table(folder, orders::CALENDAR)?.select(columns).collect()
}

fn empty_calendar() -> PolarsResult<DataFrame> {
    df![REASON => Vec::<u8>::new(), DAY => Vec::<NaiveDate>::new(), LINES => Vec::<u64>::new()]
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

fn ledger(folder: &Path) -> PolarsResult<DataFrame> {
    let sorted = table(folder, "ledger")?.sort([orders::FATE], SortMultipleOptions::default());
    sorted.collect()?.drop(orders::FATE)
}

/// Judges the checks; where one fails the run, what was found is set aside.
fn judged(
    p: &Pipeline,
    book: &OrderBook,
    ledger: &DataFrame,
    staging: Staging,
) -> Result<(Staging, Vec<checks::Verdict>), Error> {
    let verdicts = checks::judge(&p.checks, book, &[]).map_err(Error::engine("checks"))?;
    let failed = verdicts.iter().filter(|verdict| verdict.fails()).count();
    if failed == 0 {
        return Ok((staging, verdicts));
    }
    let hash = definition_hash(p);
    let place = publish::set_aside(staging, ledger, &verdicts, &p.name, &hash, &p.ingest.money)?;
    Err(Error::Checks { failed, of: verdicts.len(), words: checks::in_words(&verdicts), place })
}

/// The cut points, as the cluster found them.
fn cuts(p: &Pipeline, folder: &Path, dates: &[NaiveDate]) -> Result<Vec<Cut>, Error> {
    let read = || -> PolarsResult<Vec<(NaiveDate, String, f64)>> {
        let found =
            table(folder, "work/cut_points")?.sort([SNAPSHOT, DIMENSION, PLACE], Default::default()).collect()?;
        let (days, names) = (found.column(SNAPSHOT)?.date()?, found.column(DIMENSION)?.cast(&DataType::String)?);
        let points = found.column(score::POINT)?.f64()?;
        let rows = days.as_date_iter().zip(names.str()?.iter()).zip(points.iter());
        Ok(rows.filter_map(|((day, name), point)| Some((day?, name?.to_owned(), point?))).collect())
    };
    let found = read().map_err(Error::engine("score"))?;
    if let Some((odd, ..)) = found.iter().find(|(day, ..)| !dates.contains(day)) {
        let words = format!("the cluster has a snapshot {odd} that the dates of the lines do not lead to");
        return Err(Error::Spark { stage: "score", words });
    }
    let cut = |snapshot: &NaiveDate, dimension: Dimension| {
        let own = found.iter().filter(|(day, name, _)| day == snapshot && name == dimension.value());
        let points = own.map(|(_, _, point)| *point).collect();
        Cut { snapshot: *snapshot, dimension, points: score::points(p, dimension, points) }
    };
    Ok(dates.iter().flat_map(|date| Dimension::ALL.map(|dimension| cut(date, dimension))).collect())
}

/// How many customers there are, by snapshot and score, and of the newest by segment.
struct Counted {
    rows: u64,
    scores: Vec<(NaiveDate, [Vec<u32>; 3])>,
    segments: BTreeMap<String, u64>,
}

impl Counted {
    /// The first snapshot that has no customers.
    fn nobody(&self) -> Option<NaiveDate> {
        let of_date = self.scores.iter().find(|(_, counts)| counts[0].iter().all(|count| *count == 0));
        of_date.map(|(date, _)| *date)
    }

    fn read(folder: &Path, dates: &[NaiveDate]) -> PolarsResult<Self> {
        let cells = table(folder, CELLS)?.collect()?;
        let days: Vec<Option<NaiveDate>> = cells.column(SNAPSHOT)?.date()?.as_date_iter().collect();
        let customers = cells.column(CUSTOMERS)?.cast(&DataType::UInt64)?;
        let customers: Vec<u64> = customers.u64()?.iter().map(Option::unwrap_or_default).collect();
        let names = cells.column(SEGMENT)?.cast(&DataType::String)?;
        let mut counted = Self { rows: customers.iter().sum(), scores: Vec::new(), segments: BTreeMap::new() };
        for date in dates {
            let mut of_date: [Vec<u32>; 3] = Default::default();
            for (counts, dimension) in of_date.iter_mut().zip(Dimension::ALL) {
                let scores = cells.column(dimension.score())?.cast(&DataType::UInt8)?;
                for ((score, day), customers) in scores.u8()?.iter().zip(&days).zip(&customers) {
                    let place = usize::from(score.unwrap_or(1).max(1)) - 1;
                    if *day == Some(*date) {
                        counts.resize(counts.len().max(place + 1), 0);
                        counts[place] += u32::try_from(*customers).unwrap_or(u32::MAX);
                    }
                }
            }
            counted.scores.push((*date, of_date));
        }
        for ((name, day), customers) in names.str()?.iter().zip(&days).zip(&customers) {
            if let Some(name) = name.filter(|_| *day == dates.last().copied()) {
                *counted.segments.entry(name.to_owned()).or_default() += customers;
            }
        }
        Ok(counted)
    }
}

/// The sample as segments of this machine are.
fn sampled(folder: &Path) -> PolarsResult<DataFrame> {
    let mut plan = table(folder, model::SAMPLE)?;
    let names: Vec<PlSmallStr> = plan.collect_schema()?.iter_names().cloned().collect();
    let typed = names.iter().map(|name| col(name.clone()).cast(segment::dtype(name)));
    plan.select(typed.collect::<Vec<_>>()).sort([CUSTOMER_ID], Default::default()).collect()
}

/// The models, fitted to the sample.
fn fitted(p: &Pipeline, book: &OrderBook, date: NaiveDate, segmented: &Segmented) -> Result<Assigned, Error> {
    let _span = info_span!("model").entered();
    let sight = Sight { date, newest: segmented.frame.clone(), earlier: &[], book, labels: &BTreeMap::new() };
    let assigned = crate::model::assign(&p.models, &[], segmented, &sight)?;
    info!(customers = segmented.frame.height(), models = p.models.len(), "models fitted to a sample");
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
