//! Gates: figures of a run that have to be good enough for readers to see it.

use polars::prelude::*;
use serde::Serialize;

use super::Tables;
use crate::columns::*;

/// A figure and its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// What is measured.
    pub figure: Figure,
    /// What it has to be.
    pub bound: Bound,
}

/// What a gate measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figure {
    /// `drift.<dimension>.<column>` at the newest snapshot.
    Drift {
        /// `recency_days`, `frequency`, `monetary` or `segment`.
        dimension: String,
        /// Column of the table `drift`.
        column: &'static str,
    },
    /// `<model>.<protocol>.<metric>` over all labels.
    Metric {
        /// The model.
        model: String,
        /// How it was tried.
        protocol: String,
        /// The metric.
        metric: String,
    },
}

impl Figure {
    /// The name as the YAML has it.
    pub fn name(&self) -> String {
        match self {
            Self::Drift { dimension, column } => format!("drift.{dimension}.{column}"),
            Self::Metric { model, protocol, metric } => format!("{model}.{protocol}.{metric}"),
        }
    }
}

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Which side of the limit is good.
    pub side: Side,
    /// The limit.
    pub limit: f64,
}

/// Which side of a limit is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Below it.
    Less,
    /// Below it or on it.
    AtMost,
    /// Above it.
    More,
    /// Above it or on it.
    AtLeast,
}

impl Side {
    /// The sign as the YAML has it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// What a gate found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Name of the figure.
    pub gate: String,
    /// The figure; null where it was not measured, which no gate lets pass.
    pub value: Option<f64>,
    /// What it has to be.
    pub bound: String,
    /// Whether it is.
    pub passed: bool,
}

/// Judges every gate.
///
/// # Errors
/// What Polars says of a table that lacks a column.
pub fn judge(gates: &[Gate], tables: &Tables) -> PolarsResult<Vec<Judged>> {
    gates.iter().map(|gate| one(gate, tables)).collect()
}

fn one(gate: &Gate, tables: &Tables) -> PolarsResult<Judged> {
    let value = measured(&gate.figure, tables)?;
    let Bound { side, limit } = gate.bound;
    let holds = |value: f64| match side {
        Side::Less => value < limit,
        Side::AtMost => value <= limit,
        Side::More => value > limit,
        Side::AtLeast => value >= limit,
    };
    let bound = format!("{} {limit}", side.sign());
    Ok(Judged { gate: gate.figure.name(), value, bound, passed: value.is_some_and(holds) })
}

fn measured(figure: &Figure, tables: &Tables) -> PolarsResult<Option<f64>> {
    let (table, is, column) = match figure {
        Figure::Drift { dimension, column } => {
            let newest = col(SNAPSHOT).eq(col(SNAPSHOT).max());
            ("drift", newest.and(col(DIMENSION).eq(lit(dimension.as_str()))), *column)
        }
        Figure::Metric { model, protocol, metric } => {
            let named = [(MODEL, model), (PROTOCOL, protocol), (METRIC, metric)];
            let is = named.into_iter().map(|(name, text)| col(name).eq(lit(text.as_str())));
            ("metrics", is.fold(col(LABEL).is_null(), |all, one| all.and(one)), VALUE)
        }
    };
    let Some(table) = tables.get(table) else { return Ok(None) };
    let found = table.clone().lazy().filter(is).collect()?;
    let value = found.column(column)?.f64()?.iter().next().flatten();
    Ok(value.filter(|value| !value.is_nan()))
}

/// Every gate in a line of its own, for people.
pub fn in_words(judged: &[Judged]) -> String {
    let line = |one: &Judged| {
        let value = one.value.map_or("not measured".to_owned(), |value| format!("{value:.4}"));
        let verdict = if one.passed { "passed" } else { "FAILED" };
        format!("  {verdict}  {}: {value}, to be {}\n", one.gate, one.bound)
    };
    judged.iter().map(line).collect()
}
