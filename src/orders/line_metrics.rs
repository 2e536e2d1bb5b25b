//! Metrics of single lines for the checks, counted during the scan.
//!
//! A rowwise metric adds two columns to the group-by. A metric that compares lines is a consumer of
//! its own.

use polars::prelude::*;

use super::fold::{Consumer, Merge};
use super::{collect_streaming, next_frame};
use crate::clean::line_number;
use crate::columns::{LINE, LINES, N, REASON};
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

/// How the lines of a group are aggregated.
pub(super) type Aggregate = fn(Expr) -> Expr;

/// Columns of the group-by for the rowwise metrics, and how each is aggregated.
pub(super) fn aggregates(metrics: &[LineMetric]) -> Vec<(Expr, Aggregate)> {
    let mut aggregates = Vec::new();
    for (idx, metric) in metrics.iter().enumerate() {
        if let LineMetric::Lines(predicate) = metric {
            let is_true = predicate.clone().fill_null(lit(false));
            let first = when(is_true.clone()).then(line_number()).otherwise(lit(NULL));
            let [count_name, first_name] = column_names(idx);
            let count = is_true.cast(DataType::UInt64) * col(LINES).cast(DataType::UInt64);
            aggregates.push((count.alias(count_name), Expr::sum as Aggregate));
            aggregates.push((first.alias(first_name), Expr::min));
        }
    }
    aggregates
}

/// Consumers for the metrics that compare lines, in their order: the lines that can be duplicates.
pub(super) fn comparisons(metrics: &[LineMetric]) -> Vec<Consumer> {
    let mut consumers = Vec::new();
    for metric in metrics {
        let LineMetric::Duplicates { columns, accepted_only } = metric else { continue };
        let named = |(idx, column): (usize, &Expr)| {
            let name = format!("key.{}.{idx}", consumers.len());
            (col(name.as_str()), column.clone().alias(name))
        };
        let (keys, columns): (Vec<Expr>, Vec<Expr>) = columns.iter().enumerate().map(named).unzip();
        let any_empty = keys.iter().cloned().map(is_empty).reduce(Expr::or).unwrap_or(lit(false));
        let accepted = if *accepted_only { col(REASON).is_null() } else { lit(true) };
        let is_candidate = accepted.and(any_empty.not());
        let reads = [vec![line_number().alias(LINE), col(REASON)], columns].concat();
        let selected = [vec![col(LINE)], keys].concat();
        let reduce = move |lines: &DataFrame| {
            let candidates = lines.clone().lazy().filter(is_candidate.clone());
            candidates.select(selected.clone()).collect()
        };
        consumers.push(Consumer { reads, reduce: Box::new(reduce), merge: Merge::Concat });
    }
    consumers
}

/// Number of lines that equal another line in all columns but their number, without the first of
/// each; and the lowest number among them.
fn count_duplicates(candidates: DataFrame) -> PolarsResult<MetricValue> {
    let names = candidates.get_column_names_owned().into_iter();
    let keys: Vec<Expr> = names.filter(|name| name.as_str() != LINE).map(col).collect();
    let second = col(LINE).sort(SortOptions::default()).get(lit(1), true);
    let plan = candidates
        .lazy()
        .group_by(keys)
        .agg([len().cast(DataType::UInt64).alias(N), second])
        .filter(col(N).gt(lit(1u64)))
        .select([(col(N) - lit(1u64)).sum(), col(LINE).min()]);
    let result = collect_streaming(plan)?;
    let lines = result.column(N)?.u64()?.get(0).unwrap_or(0);
    Ok(MetricValue::new(lines, result.column(LINE)?.u64()?.get(0)))
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
                let value = count_duplicates(next_frame(frames)?)?;
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
