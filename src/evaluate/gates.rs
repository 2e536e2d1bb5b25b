//! Gates: bounds that metrics of a run must meet before its results become current.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::Tables;
use crate::columns::*;
use crate::tables::TableId;

/// A metric and its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub metric: GateMetric,
    pub bound: Bound,
}

/// A metric of a run.
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
                    .and(col(LABEL).is_null());
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
pub struct Bound {
    pub side: Side,
    pub limit: f64,
}

/// The accepted side of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Side {
    /// The operator in the YAML.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl Bound {
    fn accepts(self, value: f64) -> bool {
        match self.side {
            Side::Less => value < self.limit,
            Side::AtMost => value <= self.limit,
            Side::More => value > self.limit,
            Side::AtLeast => value >= self.limit,
        }
    }
}

/// The result of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// Name of the metric.
    pub gate: String,
    /// `None` if the metric was not measured, which fails the gate.
    pub value: Option<f64>,
    /// The bound, such as `<= 0.4`.
    pub bound: String,
    pub passed: bool,
}

/// Evaluates every gate.
pub fn evaluate(gates: &[Gate], tables: &Tables) -> PolarsResult<Vec<GateResult>> {
    gates
        .iter()
        .map(|Gate { metric, bound }| {
            let value = metric.value(tables)?;
            Ok(GateResult {
                gate: metric.name(),
                value,
                bound: format!("{} {}", bound.side.sign(), bound.limit),
                passed: value.is_some_and(|value| bound.accepts(value)),
            })
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
