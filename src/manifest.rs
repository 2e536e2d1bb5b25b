//! The manifest of a run: its inputs, definitions, results of checks and gates, and output files.
//!
//! [`Manifest`] is the only reader and writer of `manifest.json`. It holds no clock, so that equal
//! runs have equal manifests.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use chrono::NaiveDate;
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checks::CheckResult;
use crate::columns::*;
use crate::evaluate::Tables;
use crate::evaluate::gates::GateResult;
use crate::ingest::{LookupTable, Money};
use crate::model::{Assigned, EvaluationRun, FittedModel, Sources};
use crate::score::{Cut, Dimension};
use crate::tables::TableId;

/// File name of the manifest in a run's folder.
pub(crate) const MANIFEST: &str = "manifest.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub role: InputRole,
    /// Path as the pipeline names it.
    pub path: String,
    pub bytes: u64,
    pub blake3: String,
}

/// What a run reads a file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputRole {
    Transactions,
    Customers,
    Rates,
    Labels,
    /// Values that a check accepts.
    Reference,
}

impl InputRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::Transactions => "transactions",
            Self::Customers => "customers",
            Self::Rates => "rates",
            Self::Labels => "labels",
            Self::Reference => "reference",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Path within the run's folder.
    pub path: String,
    /// Number of rows. Null if the file is not a table.
    pub rows: Option<usize>,
    pub bytes: usize,
    pub blake3: String,
}

/// A hash per snapshot over all rows that the snapshot depends on, by date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotFingerprints(BTreeMap<String, String>);

impl SnapshotFingerprints {
    /// No snapshot has a fingerprint.
    pub const NONE: Self = Self(BTreeMap::new());

    /// From dates and their hashes, in the same order.
    pub fn new(dates: Vec<NaiveDate>, hashes: Vec<String>) -> Self {
        Self(dates.into_iter().map(|date| date.to_string()).zip(hashes).collect())
    }

    /// Dates and hashes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (NaiveDate, &str)> {
        self.0.iter().filter_map(|(date, hash)| Some((date.parse().ok()?, hash.as_str())))
    }

    pub fn dates(&self) -> Vec<NaiveDate> {
        self.iter().map(|(date, _)| date).collect()
    }

    /// The hash of a snapshot.
    pub fn get(&self, date: NaiveDate) -> Option<&str> {
        self.0.get(&date.to_string()).map(String::as_str)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomersRead {
    pub rows: u32,
    pub without_key: u32,
    /// Keys that are in more than one row. The first row counts.
    pub repeated_keys: u32,
    /// Customers of the segments that the source does not have.
    pub unknown: u32,
}

impl CustomersRead {
    /// Counts of a table that was read, and the number of customers that it does not have.
    pub fn new(table: &LookupTable, unknown: u32) -> Self {
        let LookupTable { rows, without_key, repeated_keys, .. } = *table;
        Self { rows, without_key, repeated_keys, unknown }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    pub raw: i64,
    /// Rows that no step rejected.
    pub accepted: i64,
    /// Rows of `segments`, all snapshots together.
    pub segments: u64,
}

impl Rows {
    fn new(ledger: Option<&DataFrame>, segments: u64) -> PolarsResult<Self> {
        let Some(ledger) = ledger else { return Ok(Self { segments, ..Self::default() }) };
        let left = ledger.column(ROWS_LEFT)?.i64()?;
        let [raw, accepted] = [left.first(), left.last()].map(|rows| rows.unwrap_or(0));
        Ok(Self { raw, accepted, segments })
    }
}

/// Cut points of one dimension at one snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CutRecord {
    pub snapshot: String,
    pub dimension: String,
    /// Cut points, ascending. Null if even the lowest value is above the cut point.
    pub points: Vec<Option<f64>>,
    /// Scores that some customer has.
    pub achieved: Vec<u8>,
}

/// One metric over all classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricRecord {
    pub model: String,
    pub protocol: String,
    pub metric: String,
    pub value: Option<f64>,
    pub n: u32,
}

/// Size of a KNN model, and the sources of its predictions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    pub model: String,
    pub k: usize,
    /// Customers that the model trained on.
    pub training_customers: usize,
    /// Null if the model was not evaluated.
    pub held_out: Option<Sources>,
    /// For the customers of the newest snapshot.
    pub newest: Sources,
}

impl ModelRecord {
    /// A record for each fitted model.
    pub fn all(assigned: &Assigned) -> Vec<Self> {
        let record = |(fitted, newest): (&FittedModel, &Sources)| {
            let model = fitted.params.name.clone();
            let runs = &assigned.evaluation_runs;
            let is_newest = |run: &&EvaluationRun| run.model == model && run.is_newest;
            let held_out = runs.iter().find(is_newest).map(|run| {
                run.predictions.iter().map(|prediction| prediction.vote.source).collect()
            });
            let training_customers = fitted.samples.customers.ids.count_distinct();
            Self { model, k: fitted.k, training_customers, held_out, newest: *newest }
        };
        assigned.trained.iter().zip(&assigned.sources).map(record).collect()
    }
}

/// Inputs of a manifest, besides the tables.
#[derive(Debug, Clone, Copy)]
pub struct ManifestInputs<'a> {
    pub pipeline: &'a str,
    pub definition_hash: &'a str,
    /// The checked pipeline as JSON, from `clean` to `publish`.
    pub definition: &'a Value,
    /// How the source is read, as JSON.
    pub reading: &'a Value,
    pub money: &'a Money,
    pub inputs: &'a [Input],
    pub checks: &'a [CheckResult],
    /// What is doubtful about the source.
    pub warnings: &'a [String],
    pub gates: &'a [GateResult],
    pub customers: Option<CustomersRead>,
    pub cuts: &'a [Cut],
    pub models: &'a [ModelRecord],
    pub fingerprints: &'a SnapshotFingerprints,
}

/// The record of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Hash of version, definition and inputs.
    pub run_id: String,
    pub pipeline: String,
    pub version: String,
    /// Hash of the definition, also in every table's footer.
    pub definition_hash: String,
    pub definition: Value,
    pub reading: Value,
    pub inputs: Vec<Input>,
    pub checks: Vec<CheckResult>,
    /// What is doubtful about the source.
    #[serde(default)]
    pub warnings: Vec<String>,
    pub gates: Vec<GateResult>,
    pub customers: Option<CustomersRead>,
    pub snapshots: Vec<String>,
    /// Fingerprints of the snapshots. A snapshot with an equal fingerprint, definition and version
    /// is equal.
    pub snapshot_inputs: SnapshotFingerprints,
    pub rows: Rows,
    pub cut_points: Vec<CutRecord>,
    /// Size of each KNN model, and the sources of its predictions.
    #[serde(default)]
    pub models: Vec<ModelRecord>,
    pub metrics: Vec<MetricRecord>,
    pub outputs: Vec<Output>,
}

impl Manifest {
    /// The manifest of a run with these tables and files.
    pub fn new(
        run_id: &str,
        inputs: ManifestInputs<'_>,
        tables: &Tables,
        outputs: Vec<Output>,
    ) -> PolarsResult<Self> {
        let used = used_scores(tables)?;
        let is_segments = |output: &&Output| output.path.starts_with(TableId::Segments.name());
        let segments: usize =
            outputs.iter().filter(is_segments).filter_map(|output| output.rows).sum();
        let mut snapshots: Vec<String> =
            inputs.cuts.iter().map(|cut| cut.snapshot.to_string()).collect();
        snapshots.dedup();
        Ok(Self {
            run_id: run_id.to_owned(),
            pipeline: inputs.pipeline.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            definition_hash: inputs.definition_hash.to_owned(),
            definition: inputs.definition.clone(),
            reading: inputs.reading.clone(),
            inputs: inputs.inputs.to_vec(),
            checks: inputs.checks.to_vec(),
            warnings: inputs.warnings.to_vec(),
            gates: inputs.gates.to_vec(),
            customers: inputs.customers,
            snapshots,
            snapshot_inputs: inputs.fingerprints.clone(),
            rows: Rows::new(tables.get(TableId::Ledger), segments as u64)?,
            cut_points: inputs.cuts.iter().map(|cut| cut_record(cut, &used)).collect(),
            models: inputs.models.to_vec(),
            metrics: metrics(tables)?,
            outputs,
        })
    }

    /// Reads the manifest in a run's folder.
    pub fn read(folder: &Path) -> std::io::Result<Self> {
        Self::read_file(&folder.join(MANIFEST))
    }

    /// Reads a manifest from a file of any name.
    pub fn read_file(path: &Path) -> std::io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    pub fn to_json(&self) -> String {
        to_json_text(self)
    }

    /// Snapshot dates, ascending.
    pub fn dates(&self) -> Vec<NaiveDate> {
        self.snapshots.iter().filter_map(|date| date.parse().ok()).collect()
    }

    pub fn gates_passed(&self) -> bool {
        self.gates.iter().all(|gate| gate.passed)
    }

    /// The same manifest without the output of the rejects, whose rows may be in another order if
    /// the number of threads differs.
    pub fn without_rejects(&self) -> Self {
        let mut manifest = self.clone();
        manifest.outputs.retain(|output| output.path != TableId::Rejects.file());
        manifest
    }

    /// Decimal places and currency of money.
    pub fn money(&self) -> (usize, &str) {
        let money = &self.definition["money"];
        let scale = money["scale"].as_u64().map_or(2, |scale| scale as usize);
        (scale, money["currency"].as_str().unwrap_or(""))
    }

    /// Names of the segments in the order of the map.
    pub fn segment_names(&self) -> Vec<&str> {
        let segments = self.definition["segment"]["segments"].as_array().into_iter().flatten();
        segments.filter_map(|segment| segment["name"].as_str()).collect()
    }

    pub fn map_name(&self) -> &str {
        self.definition["segment"]["name"].as_str().unwrap_or("")
    }

    /// Minimum confidence for a label of a model, if the pipeline sets one.
    pub fn min_confidence(&self, model: &str) -> Option<f64> {
        self.definition["models"][model]["abstain"].as_f64()
    }

    /// An option of the first cleaning step of this kind, if it is text.
    pub fn step_option(&self, step: &str, option: &str) -> Option<&str> {
        let steps = self.definition["clean"].as_array().into_iter().flatten();
        steps.filter_map(|definition| definition[step][option].as_str()).next()
    }

    /// An option of `rfm`, such as `frequency`, if it is text.
    pub fn rfm_option(&self, name: &str) -> Option<&str> {
        self.definition["rfm"][name].as_str()
    }
}

/// Pretty JSON of plain data, with a final newline.
#[expect(clippy::expect_used, reason = "plain data with text keys always serialises")]
pub(crate) fn to_json_text(data: &impl Serialize) -> String {
    serde_json::to_string_pretty(data).expect("plain data serialises") + "\n"
}

fn cut_record(cut: &Cut, used: &HashMap<(NaiveDate, &'static str), Vec<u8>>) -> CutRecord {
    let dimension = cut.dimension.value();
    CutRecord {
        snapshot: cut.snapshot.to_string(),
        dimension: dimension.to_owned(),
        points: cut.points.points.iter().map(|x| x.is_finite().then_some(*x)).collect(),
        achieved: used.get(&(cut.snapshot, dimension)).cloned().unwrap_or_default(),
    }
}

/// Scores that some customer has, by snapshot and dimension.
fn used_scores(tables: &Tables) -> PolarsResult<HashMap<(NaiveDate, &'static str), Vec<u8>>> {
    let mut used: HashMap<(NaiveDate, &'static str), Vec<u8>> = HashMap::new();
    let Some(bins) = tables.get(TableId::ScoreBins) else { return Ok(used) };
    let dates = bins.column(SNAPSHOT)?.date()?.as_date_iter();
    let names = bins.column(DIMENSION)?.str()?.iter();
    let scores = bins.column(SCORE)?.u8()?.iter();
    let customers = bins.column(CUSTOMERS)?.u32()?.iter();
    for (((date, name), score), customers) in dates.zip(names).zip(scores).zip(customers) {
        let dimension =
            Dimension::ALL.into_iter().map(Dimension::value).find(|value| Some(*value) == name);
        let (Some(date), Some(dimension), Some(score)) = (date, dimension, score) else { continue };
        if customers > Some(0) {
            used.entry((date, dimension)).or_default().push(score);
        }
    }
    Ok(used)
}

fn metrics(tables: &Tables) -> PolarsResult<Vec<MetricRecord>> {
    let Some(table) = tables.get(TableId::Metrics) else { return Ok(Vec::new()) };
    let text = |name: &str, row: usize| -> PolarsResult<String> {
        Ok(table.column(name)?.str()?.get(row).unwrap_or("").to_owned())
    };
    let labels = table.column(LABEL)?.str()?;
    let values = table.column(VALUE)?.f64()?;
    let counts = table.column(N)?.u32()?;
    let dates = table.column(SNAPSHOT)?.date()?.physical();
    let newest = dates.max();
    let is_shown = |row: &usize| labels.get(*row).is_none() && dates.get(*row) == newest;
    let overall = (0..table.height()).filter(is_shown);
    overall
        .map(|row| {
            Ok(MetricRecord {
                model: text(MODEL, row)?,
                protocol: text(PROTOCOL, row)?,
                metric: text(METRIC, row)?,
                value: values.get(row),
                n: counts.get(row).unwrap_or(0),
            })
        })
        .collect()
}
