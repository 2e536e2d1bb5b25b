//! Gates: bounds that metrics of a run must meet before its results become current.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::Tables;
use crate::columns::*;
use crate::tables::TableId;

#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub metric: GateMetric,
    pub bound: Bound,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateMetric {
    /// `drift.<dimension>.<column>` at the newest snapshot.
    Drift {
        /// `recency_days`, `frequency`, `monetary` or `segment`.
        dimension: String,
        /// Column of the table `drift`.
        column: &'static str,
    },
    /// `<model>.<protocol>.<metric>` over all labels.
    Model { model: String, protocol: String, metric: String },
}

impl GateMetric {
    /// The name in the YAML.
    pub fn name(&self) -> String {
        match self {
            Self::Drift { dimension, column } => format!("drift.{dimension}.{column}"),
            Self::Model { model, protocol, metric } => format!("{model}.{protocol}.{metric}"),
        }
    }

    /// The value in the result tables. `None` if it was not measured.
    fn value(&self, tables: &Tables) -> PolarsResult<Option<f64>> {
        let equals = |name: &str, text: &str| col(name).eq(lit(text));
        let (table, filter, column) = match self {
            Self::Drift { dimension, column } => {
                let is_newest = col(SNAPSHOT).eq(col(SNAPSHOT).max());
                (TableId::Drift, is_newest.and(equals(DIMENSION, dimension)), *column)
            }
            Self::Model { model, protocol, metric } => {
                let filter = equals(MODEL, model)
                    .and(equals(PROTOCOL, protocol))
                    .and(equals(METRIC, metric))
                    .and(col(LABEL).is_null())
                    .and(col(SNAPSHOT).eq(col(SNAPSHOT).max()));
                (TableId::Metrics, filter, VALUE)
            }
        };
        let Some(table) = tables.get(table) else { return Ok(None) };
        let rows = table.clone().lazy().filter(filter).collect()?;
        let value = rows.column(column)?.f64()?.iter().next().flatten();
        Ok(value.filter(|value| !value.is_nan()))
    }
}

/// The accepted values of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    Less(f64),
    AtMost(f64),
    More(f64),
    AtLeast(f64),
}

impl Bound {
    /// The bound in the YAML, such as `<= 0.4`, and whether it accepts a value.
    fn check(self, value: Option<f64>) -> (String, bool) {
        let (sign, limit, accepts): (_, _, fn(&f64, &f64) -> bool) = match self {
            Self::Less(limit) => ("<", limit, f64::lt),
            Self::AtMost(limit) => ("<=", limit, f64::le),
            Self::More(limit) => (">", limit, f64::gt),
            Self::AtLeast(limit) => (">=", limit, f64::ge),
        };
        (format!("{sign} {limit}"), value.is_some_and(|value| accepts(&value, &limit)))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    pub gate: String,
    /// `None` if the metric was not measured, which fails the gate.
    pub value: Option<f64>,
    /// The bound, such as `<= 0.4`.
    pub bound: String,
    pub passed: bool,
}

pub fn evaluate(gates: &[Gate], tables: &Tables) -> PolarsResult<Vec<GateResult>> {
    gates
        .iter()
        .map(|Gate { metric, bound }| {
            let value = metric.value(tables)?;
            let (bound, passed) = bound.check(value);
            Ok(GateResult { gate: metric.name(), value, bound, passed })
        })
        .collect()
}

/// One line per gate.
pub fn describe(results: &[GateResult]) -> String {
    results
        .iter()
        .map(|GateResult { gate, value, bound, passed }| {
            let value = value.map_or("not measured".to_owned(), |value| format!("{value:.4}"));
            let outcome = if *passed { "passed" } else { "FAILED" };
            format!("  {outcome}  {gate}: {value}, expected {bound}\n")
        })
        .collect()
}
