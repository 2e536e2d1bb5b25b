//! The manifest of a run: its inputs, definitions, results of checks and gates, and output files.
//!
//! [`Manifest`] is the only reader and writer of `manifest.json`. It holds no clock, so that equal
//! runs have equal manifests.

use std::collections::HashMap;
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
use crate::ingest::Money;
use crate::score::{Cut, Dimension};
use crate::tables::TableId;

mod records;

pub use records::*;

/// File name of the manifest in a run's folder.
pub(crate) const MANIFEST: &str = "manifest.json";

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
    pub compared_with: Option<&'a ComparedRun>,
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
    /// The run behind the table `changes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<ComparedRun>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListRecord>,
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
            compared_with: inputs.compared_with.cloned(),
            lists: Vec::new(),
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

    /// `title`, or the name of the pipeline.
    pub fn title(&self) -> &str {
        self.definition["title"].as_str().unwrap_or(&self.pipeline)
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
