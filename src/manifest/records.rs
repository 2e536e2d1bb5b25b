//! The parts of a manifest.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use crate::columns::*;
use crate::export;
use crate::ingest::LookupTable;
use crate::model::{Assigned, EvaluationRun, FittedModel, Sources};

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
    /// Contacts for lists, and customers who are never on one.
    Contacts,
    /// Groups of an earlier list.
    Groups,
}

impl InputRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::Transactions => "transactions",
            Self::Customers => "customers",
            Self::Rates => "rates",
            Self::Labels => "labels",
            Self::Reference => "reference",
            Self::Contacts => "contacts",
            Self::Groups => "groups",
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
    pub(super) fn new(ledger: Option<&DataFrame>, segments: u64) -> PolarsResult<Self> {
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

/// The run that a run with one snapshot is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedRun {
    pub run_id: String,
    /// Its newest snapshot.
    pub snapshot: String,
    /// How its definition differs in what decides the segments. Null if it does not.
    pub differences: Option<String>,
}

/// A list of customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecord {
    /// Path within the run's folder.
    pub path: String,
    /// Numbers of customers.
    pub customers: export::Counts,
}
