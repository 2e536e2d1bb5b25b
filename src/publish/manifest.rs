//! The manifest: what went in, what it was run with, and every file that came out.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use polars::prelude::*;
use serde::Serialize;

use super::Published;
use crate::checks::Verdict;
use crate::columns::*;
use crate::evaluate::gates::Judged;
use crate::evaluate::{SEGMENTS, Tables};
use crate::ingest::{Keyed, Money};
use crate::score::{Cut, Dimension};

/// One file that went in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Path as the pipeline names it.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Hash of the content.
    pub blake3: String,
}

/// One file that came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Path within the run's folder.
    pub path: String,
    /// Rows; null where it is no table.
    pub rows: Option<usize>,
    /// Size.
    pub bytes: usize,
    /// Hash of the content.
    pub blake3: String,
}

/// What the manifest is told.
pub struct Facts<'a> {
    /// Name of the pipeline.
    pub pipeline: &'a str,
    /// Hash of the definitions, from `clean` to `publish`.
    pub definition_hash: &'a str,
    /// The checked pipeline as JSON.
    pub definition: &'a serde_json::Value,
    /// How the source was read, as JSON.
    pub reading: &'a serde_json::Value,
    /// How money is counted.
    pub money: &'a Money,
    /// Files that went in.
    pub inputs: &'a [Input],
    /// What the checks found.
    pub verdicts: &'a [Verdict],
    /// What was read of the customers' source.
    pub customers: Option<CustomersRead>,
    /// Cut points of every snapshot.
    pub cuts: &'a [Cut],
    /// What the gates found.
    pub judged: &'a [Judged],
    /// What each snapshot depends on.
    pub depends: &'a Depends,
    /// An earlier run, whose files stay where a snapshot has come out the same.
    pub earlier: Option<&'a Published>,
}

/// The snapshots, ascending, each with a hash of what it depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Depends(BTreeMap<String, String>);

impl Depends {
    /// Of no snapshot is told what it depends on.
    pub const NOTHING: Self = Self(BTreeMap::new());

    /// Of dates and their hashes.
    pub fn of(dates: Vec<NaiveDate>, inputs: Vec<String>) -> Self {
        Self(dates.into_iter().map(|date| date.to_string()).zip(inputs).collect())
    }

    /// Every date with its hash.
    pub fn each(&self) -> impl Iterator<Item = (NaiveDate, &str)> {
        self.0.iter().filter_map(|(date, inputs)| Some((date.parse().ok()?, inputs.as_str())))
    }

    /// The dates.
    pub fn dates(&self) -> Vec<NaiveDate> {
        self.each().map(|(date, _)| date).collect()
    }
}

/// What was read of the customers' source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CustomersRead {
    /// Rows of the source.
    pub rows: u32,
    /// Rows without a key.
    pub without_key: u32,
    /// Keys that stand in more than one row, of which the first holds.
    pub repeated_keys: u32,
    /// Customers of the segments that the source does not know.
    pub unknown: u32,
}

impl CustomersRead {
    /// Of the source as it was read, and the customers that it does not know.
    pub fn of(keyed: &Keyed, unknown: u32) -> Self {
        let Keyed { rows, without_key, repeated_keys, .. } = *keyed;
        Self { rows, without_key, repeated_keys, unknown }
    }
}

/// The record of a run; deliberately without a clock, so that equal runs have equal manifests.
#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    /// Hash of (version, checked pipeline, inputs).
    pub run_id: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Version of the program.
    pub version: &'static str,
    /// Hash of the definitions, also in every table's footer.
    pub definition_hash: String,
    /// The checked pipeline.
    pub definition: serde_json::Value,
    /// How the source was read.
    pub reading: serde_json::Value,
    /// Files that went in.
    pub inputs: Vec<Input>,
    /// What the checks found.
    pub checks: Vec<Verdict>,
    /// What the gates found.
    pub gates: Vec<Judged>,
    /// What was read of the customers' source.
    pub customers: Option<CustomersRead>,
    /// Snapshots, ascending.
    pub snapshots: Vec<String>,
    /// Hash of what each snapshot depends on: with the same one, and the same definitions and version, it is the same.
    pub snapshot_inputs: Depends,
    /// Raw rows, accepted rows and customer rows (all snapshots together).
    pub rows: Rows,
    /// Cut points a snapshot and dimension.
    pub cut_points: Vec<CutRecord>,
    /// Metrics over all labels.
    pub metrics: Vec<MetricRecord>,
    /// Files that came out.
    pub outputs: Vec<Output>,
}

/// Row counts along the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Rows of the source.
    pub raw: i64,
    /// Rows that no step rejected.
    pub accepted: i64,
    /// Rows of `segments`, all snapshots together.
    pub segments: u64,
}

impl Rows {
    /// Of what the ledger says, where there is one, and the rows of the segments.
    pub(super) fn of(ledger: Option<&DataFrame>, segments: u64) -> PolarsResult<Self> {
        let left = ledger.map(|ledger| ledger.column(ROWS_LEFT)?.i64()).transpose()?;
        let end = |end: fn(&Int64Chunked) -> Option<i64>| left.and_then(end).unwrap_or_default();
        Ok(Self { raw: end(|left| left.first()), accepted: end(|left| left.last()), segments })
    }
}

/// Cut points of one dimension at one snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CutRecord {
    /// The snapshot.
    pub snapshot: String,
    /// The dimension's column.
    pub dimension: &'static str,
    /// Cut points, ascending; null where even the lowest value lies beyond one.
    pub points: Vec<f64>,
    /// Scores that some customer has.
    pub achieved: Vec<u8>,
}

/// One metric over all labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricRecord {
    /// The model or its baseline.
    pub model: String,
    /// The protocol.
    pub protocol: String,
    /// The metric.
    pub metric: String,
    /// Its value.
    pub value: Option<f64>,
    /// Customers.
    pub n: u32,
}

impl Manifest {
    /// Puts the record together.
    ///
    /// # Errors
    /// What Polars says of a table that lacks a column.
    pub fn of(
        run_id: &str,
        facts: Facts<'_>,
        tables: &Tables,
        outputs: Vec<Output>,
    ) -> PolarsResult<Self> {
        let achieved = achieved(tables)?;
        let of_segments = outputs.iter().filter(|output| output.path.starts_with(SEGMENTS));
        let segments = of_segments.filter_map(|output| output.rows).sum::<usize>() as u64;
        let mut snapshots: Vec<String> =
            facts.cuts.iter().map(|cut| cut.snapshot.to_string()).collect();
        snapshots.dedup();
        Ok(Self {
            run_id: run_id.to_owned(),
            pipeline: facts.pipeline.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            definition_hash: facts.definition_hash.to_owned(),
            definition: facts.definition.clone(),
            reading: facts.reading.clone(),
            inputs: facts.inputs.to_vec(),
            checks: facts.verdicts.to_vec(),
            gates: facts.judged.to_vec(),
            customers: facts.customers,
            snapshots,
            snapshot_inputs: facts.depends.clone(),
            rows: Rows::of(tables.get("ledger"), segments)?,
            cut_points: facts
                .cuts
                .iter()
                .map(|cut| CutRecord {
                    snapshot: cut.snapshot.to_string(),
                    dimension: cut.dimension.value(),
                    points: cut.points.points().to_vec(),
                    achieved: achieved
                        .get(&(cut.snapshot, cut.dimension.value()))
                        .cloned()
                        .unwrap_or_default(),
                })
                .collect(),
            metrics: metrics(tables)?,
            outputs,
        })
    }

    /// The manifest as it is written.
    pub fn to_json(&self) -> String {
        // The manifest is plain data with text keys, which cannot fail to serialise.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// Scores of each dimension at each snapshot that some customer has.
fn achieved(tables: &Tables) -> PolarsResult<HashMap<(NaiveDate, &'static str), Vec<u8>>> {
    let mut achieved: HashMap<(NaiveDate, &'static str), Vec<u8>> = HashMap::new();
    let Some(bins) = tables.get("score_bins") else { return Ok(achieved) };
    let (dates, dimensions) = (bins.column(SNAPSHOT)?.date()?, bins.column(DIMENSION)?.str()?);
    let held = bins.column(SCORE)?.u8()?.iter().zip(bins.column(CUSTOMERS)?.u32()?.iter());
    for ((date, dimension), (score, customers)) in
        dates.as_date_iter().zip(dimensions.iter()).zip(held)
    {
        let named =
            Dimension::ALL.into_iter().map(Dimension::value).find(|name| Some(*name) == dimension);
        let (Some(date), Some(dimension), Some(score)) = (date, named, score) else { continue };
        if customers > Some(0) {
            achieved.entry((date, dimension)).or_default().push(score);
        }
    }
    Ok(achieved)
}

fn metrics(tables: &Tables) -> PolarsResult<Vec<MetricRecord>> {
    let Some(table) = tables.get("metrics") else { return Ok(Vec::new()) };
    let text = |name: &str| -> PolarsResult<Vec<Option<String>>> {
        Ok(table.column(name)?.str()?.iter().map(|value| value.map(str::to_owned)).collect())
    };
    let (models, protocols, names, labels) =
        (text(MODEL)?, text(PROTOCOL)?, text(METRIC)?, text(LABEL)?);
    let (values, ns) = (table.column(VALUE)?.f64()?, table.column(N)?.u32()?);
    let overall = (0..table.height()).filter(|&i| labels[i].is_none());
    Ok(overall
        .map(|i| MetricRecord {
            model: models[i].clone().unwrap_or_default(),
            protocol: protocols[i].clone().unwrap_or_default(),
            metric: names[i].clone().unwrap_or_default(),
            value: values.get(i),
            n: ns.get(i).unwrap_or_default(),
        })
        .collect())
}
