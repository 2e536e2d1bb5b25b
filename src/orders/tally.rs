//! Questions to the lines that are counted while the one scan passes, for checks to judge.
//!
//! A question that one line answers costs two columns of the group-by. One that compares lines is a consumer of its own.

use polars::prelude::*;

use super::runs::Fold;
use crate::clean::line_number;
use crate::columns::{LINE, N, REASON};
use crate::ingest::conform;

/// A question to the lines.
#[derive(Debug, Clone)]
pub enum Tally {
    /// Lines for which an expression is true.
    Lines(Expr),
    /// Lines that equal an earlier one in some columns; of the accepted lines alone, or of all.
    Repeats {
        /// The columns.
        columns: Vec<Expr>,
        /// Whether rejected lines are left out.
        accepted: bool,
    },
}

/// An answer: a number of lines, and the first of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Of all lines.
    pub raw: Found,
    /// Of the accepted lines.
    pub accepted: Found,
}

/// Some lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub lines: u64,
    /// The first of them: index of the file, and row in it.
    pub first: Option<(u32, u32)>,
}

impl Found {
    fn and(self, other: Self) -> Self {
        let first = [self.first, other.first].into_iter().flatten().min();
        Self { lines: self.lines + other.lines, first }
    }
}

fn count_name(idx: usize) -> String {
    format!("tally.{idx}")
}

fn first_name(idx: usize) -> String {
    format!("tally.{idx}.first")
}

/// What the group-by folds for questions that one line answers.
pub(super) fn folds(tallies: &[Tally]) -> Vec<(Expr, Fold)> {
    let one = |(idx, tally): (usize, &Tally)| match tally {
        Tally::Repeats { .. } => Vec::new(),
        Tally::Lines(holds) => {
            let holds = holds.clone().fill_null(lit(false));
            let first = when(holds.clone()).then(line_number()).otherwise(lit(NULL));
            let count = holds.cast(DataType::UInt32).alias(count_name(idx));
            vec![(count, Fold::Sum), (first.alias(first_name(idx)), Fold::Min)]
        }
    };
    tallies.iter().enumerate().flat_map(one).collect()
}

/// The consumers of questions that compare lines, in their order.
pub(super) fn comparisons(tallies: &[Tally], lines: &LazyFrame) -> Vec<LazyFrame> {
    let one = |tally: &Tally| match tally {
        Tally::Lines(_) => None,
        Tally::Repeats { columns, accepted } => {
            let looked_at = match accepted {
                true => lines.clone().filter(col(REASON).is_null()),
                false => lines.clone(),
            };
            let keys: Vec<Expr> = columns
                .iter()
                .enumerate()
                .map(|(i, key)| key.clone().alias(count_name(i)))
                .collect();
            let keyed = looked_at.select([keys.as_slice(), &[line_number().alias(LINE)]].concat());
            // Nothing equals nothing.
            let blank = |idx: usize| conform::empty(col(count_name(idx)));
            let any_blank =
                (0..columns.len()).map(blank).reduce(|any, one| any.or(one)).unwrap_or(lit(false));
            let groups = keyed
                .filter(any_blank.not())
                .group_by((0..columns.len()).map(|i| col(count_name(i))).collect::<Vec<_>>())
                .agg([
                    len().cast(DataType::UInt64).alias(N),
                    col(LINE).sort(SortOptions::default()).get(lit(1), true),
                ])
                .filter(col(N).gt(lit(1u64)));
            Some(groups.select([(col(N) - lit(1u64)).sum(), col(LINE).min()]))
        }
    };
    tallies.iter().filter_map(one).collect()
}

/// Takes the order book and the answers from what was collected, and parts the columns of tallies from the book.
pub(super) fn split(
    frames: &mut impl Iterator<Item = DataFrame>,
    tallies: &[Tally],
) -> PolarsResult<(DataFrame, Vec<Count>)> {
    let mut book = frames.next().unwrap_or_default();
    let mut counts = Vec::with_capacity(tallies.len());
    for (idx, tally) in tallies.iter().enumerate() {
        counts.push(match tally {
            Tally::Lines(_) => {
                let count = of_lines(&book, &count_name(idx), &first_name(idx))?;
                book = book.drop(&count_name(idx))?.drop(&first_name(idx))?;
                count
            }
            Tally::Repeats { .. } => {
                let answer = frames.next().unwrap_or_default();
                let lines = answer.column(N)?.u64()?.get(0).unwrap_or(0);
                let found = Found { lines, first: answer.column(LINE)?.u64()?.get(0).map(place) };
                Count { raw: found, accepted: found }
            }
        });
    }
    Ok((book, counts))
}

fn of_lines(book: &DataFrame, count: &str, first: &str) -> PolarsResult<Count> {
    let (mut accepted, mut rejected) = (Found::default(), Found::default());
    let reasons = book.column(REASON)?.is_null();
    let (lines, firsts) =
        (book.column(count)?.cast(&DataType::UInt64)?, book.column(first)?.u64()?.clone());
    for ((is_accepted, lines), first) in reasons.iter().zip(lines.u64()?.iter()).zip(firsts.iter())
    {
        let found = Found { lines: lines.unwrap_or(0), first: first.map(place) };
        match is_accepted {
            Some(true) => accepted = accepted.and(found),
            _ => rejected = rejected.and(found),
        }
    }
    Ok(Count { raw: accepted.and(rejected), accepted })
}

/// File and row of a line's number.
fn place(line: u64) -> (u32, u32) {
    ((line >> 32) as u32, line as u32)
}
