//! Metrics of single lines for the checks, counted during the scan.
//!
//! A rowwise metric adds two columns to the group-by. A metric that compares lines is a separate
//! consumer of the scan.

use polars::prelude::*;

use super::next_frame;
use super::pre_aggregate::Aggregate;
use crate::clean::line_number;
use crate::columns::{LINE, N, REASON};
use crate::ingest::cell::is_empty;

#[derive(Debug, Clone)]
pub enum LineMetric {
    /// Lines for which an expression is true.
    Lines(Expr),
    /// Lines that equal an earlier line in all `columns`; null or empty values equal nothing.
    Duplicates { columns: Vec<Expr>, accepted_only: bool },
}

/// The values of one metric over all lines, and over the accepted lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricValues {
    pub raw: MetricValue,
    pub accepted: MetricValue,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricValue {
    pub lines: u64,
    /// The first of these lines: index of the file, and row in the file.
    pub first: Option<(u32, u32)>,
}

impl MetricValue {
    fn new(lines: u64, first_line_number: Option<u64>) -> Self {
        Self { lines, first: first_line_number.map(|n| ((n >> 32) as u32, n as u32)) }
    }

    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.first = [self.first, other.first].into_iter().flatten().min();
    }
}

/// Names of the columns with the number of lines and the first line number of a metric.
fn column_names(idx: usize) -> [String; 2] {
    [format!("metric.{idx}"), format!("metric.{idx}.first")]
}

/// Columns of the group-by for the rowwise metrics.
pub(super) fn aggregates(metrics: &[LineMetric]) -> Vec<(Expr, Aggregate)> {
    let mut aggregates = Vec::new();
    for (idx, metric) in metrics.iter().enumerate() {
        if let LineMetric::Lines(predicate) = metric {
            let is_true = predicate.clone().fill_null(lit(false));
            let first = when(is_true.clone()).then(line_number()).otherwise(lit(NULL));
            let [count_name, first_name] = column_names(idx);
            let count = is_true.cast(DataType::UInt32);
            aggregates.push((count.alias(count_name), Aggregate::Sum));
            aggregates.push((first.alias(first_name), Aggregate::Min));
        }
    }
    aggregates
}

/// Plans for the metrics that compare lines, in their order.
pub(super) fn comparisons(metrics: &[LineMetric], lines: &LazyFrame) -> Vec<LazyFrame> {
    let mut plans = Vec::new();
    for metric in metrics {
        if let LineMetric::Duplicates { columns, accepted_only } = metric {
            let lines = lines.clone();
            let lines = if *accepted_only { lines.filter(col(REASON).is_null()) } else { lines };
            plans.push(count_duplicates(lines, columns));
        }
    }
    plans
}

/// One row: the number of duplicates, and the line number of the first.
fn count_duplicates(lines: LazyFrame, columns: &[Expr]) -> LazyFrame {
    let mut selected = vec![line_number().alias(LINE)];
    let mut keys = Vec::with_capacity(columns.len());
    for (idx, column) in columns.iter().enumerate() {
        let name = format!("key.{idx}");
        keys.push(col(name.as_str()));
        selected.push(column.clone().alias(name));
    }
    let any_empty = keys.iter().cloned().map(is_empty).reduce(Expr::or).unwrap_or(lit(false));
    lines
        .select(selected)
        .filter(any_empty.not())
        .group_by(keys)
        .agg([
            len().cast(DataType::UInt64).alias(N),
            col(LINE).sort(SortOptions::default()).get(lit(1), true),
        ])
        .filter(col(N).gt(lit(1u64)))
        .select([(col(N) - lit(1u64)).sum(), col(LINE).min()])
}

/// Takes the order facts and the results of [`comparisons`] from the collected frames. The columns
/// of the metrics move from the facts to the returned values.
pub(super) fn split(
    frames: &mut impl Iterator<Item = DataFrame>,
    metrics: &[LineMetric],
) -> PolarsResult<(DataFrame, Vec<MetricValues>)> {
    let mut facts = next_frame(frames)?;
    let mut values = Vec::with_capacity(metrics.len());
    for (idx, metric) in metrics.iter().enumerate() {
        values.push(match metric {
            LineMetric::Lines(_) => {
                let [count_name, first_name] = column_names(idx);
                let counts = facts.drop_in_place(&count_name)?;
                let firsts = facts.drop_in_place(&first_name)?;
                sum_values(&facts, &counts, &firsts)?
            }
            LineMetric::Duplicates { .. } => {
                let result = next_frame(frames)?;
                let lines = result.column(N)?.u64()?.get(0).unwrap_or(0);
                let value = MetricValue::new(lines, result.column(LINE)?.u64()?.get(0));
                MetricValues { raw: value, accepted: value }
            }
        });
    }
    Ok((facts, values))
}

fn sum_values(facts: &DataFrame, counts: &Column, firsts: &Column) -> PolarsResult<MetricValues> {
    let is_accepted = facts.column(REASON)?.is_null();
    let counts = counts.cast(&DataType::UInt64)?;
    let mut values = MetricValues::default();
    for ((is_accepted, lines), first) in
        is_accepted.iter().zip(counts.u64()?.iter()).zip(firsts.u64()?.iter())
    {
        let value = MetricValue::new(lines.unwrap_or(0), first);
        values.raw.add(value);
        if is_accepted == Some(true) {
            values.accepted.add(value);
        }
    }
    Ok(values)
}
