//! The scan as a fold: several threads take chunks of rows, apply the plan of the lines to each,
//! and reduce it for every consumer. Their partial results are merged at the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use polars::prelude::*;

use super::collect_streaming;
use crate::ingest::{ChunkedLines, FileLines};

/// Rows of a partial result above which it is merged with itself.
const MERGE_ROWS: usize = 1 << 20;

type Reduce = Box<dyn Fn(&DataFrame) -> PolarsResult<DataFrame> + Send + Sync>;

/// What a scan makes of the lines.
pub(super) struct Consumer {
    /// The columns of the lines that it reads. Equal names of several consumers are equal columns.
    pub(super) reads: Vec<Expr>,
    /// Its result for the lines of a chunk.
    pub(super) reduce: Reduce,
    pub(super) merge: Merge,
}

/// How results of several chunks become one.
pub(super) enum Merge {
    /// All rows, in any order.
    Concat,
    /// One row per key. Aggregates keep the names of their columns. Without aggregates, the
    /// distinct keys.
    GroupBy { keys: Vec<Expr>, aggregates: Vec<Expr> },
}

impl Merge {
    /// The plan that merges results of several chunks.
    pub(super) fn plan(&self, results: DataFrame) -> LazyFrame {
        let results = results.lazy();
        match self {
            Self::Concat => results,
            Self::GroupBy { keys, aggregates } if aggregates.is_empty() => {
                results.select(keys.clone()).unique_generic(None, UniqueKeepStrategy::Any)
            }
            Self::GroupBy { keys, aggregates } => {
                results.group_by(keys.clone()).agg(aggregates.clone())
            }
        }
    }
}

/// The result of one consumer over some chunks.
#[derive(Clone)]
struct Partial {
    frame: DataFrame,
    /// Rows above which it is merged with itself.
    limit: usize,
}

impl Partial {
    fn add(&mut self, consumer: &Consumer, lines: &DataFrame) -> PolarsResult<()> {
        self.frame.vstack_mut_owned((consumer.reduce)(lines)?)?;
        if self.frame.height() > self.limit && matches!(consumer.merge, Merge::GroupBy { .. }) {
            self.frame = collect_streaming(consumer.merge.plan(std::mem::take(&mut self.frame)))?;
            self.limit = MERGE_ROWS.max(4 * self.frame.height());
        }
        Ok(())
    }
}

/// The columns that the consumers read, once each.
pub(super) fn columns_read(consumers: &[Consumer]) -> PolarsResult<Vec<Expr>> {
    let mut columns: PlIndexMap<PlSmallStr, Expr> = PlIndexMap::default();
    for expr in consumers.iter().flat_map(|consumer| &consumer.reads) {
        columns.entry(expr.clone().meta().output_name()?).or_insert_with(|| expr.clone());
    }
    Ok(columns.into_values().collect())
}

/// Reads all lines once. Returns the merged result of every consumer.
///
/// # Errors
/// An error of a chunk. The other threads stop at their next chunk.
pub(super) fn fold(lines: &ChunkedLines, consumers: &[Consumer]) -> PolarsResult<Vec<DataFrame>> {
    let columns = columns_read(consumers)?;
    let no_lines = lines.empty()?.select_seq(&columns).collect()?;
    let mut partials = Vec::with_capacity(consumers.len());
    for consumer in consumers {
        partials.push(Partial { frame: (consumer.reduce)(&no_lines)?, limit: MERGE_ROWS });
    }
    let reduce = |files: &[FileLines], columns: &[Expr]| {
        for_each_chunk(files, columns, &partials, |partials, lines| {
            let mut consumers = partials.iter_mut().zip(consumers);
            consumers.try_for_each(|(partial, consumer)| partial.add(consumer, lines))
        })
    };
    let results = match &lines.whole {
        None => reduce(&lines.files, &columns)?,
        Some(whole) => {
            let all = held(lines, &columns)?;
            let all = whole.apply(all).select(&columns).collect()?;
            let names: Vec<Expr> = all.get_column_names_owned().into_iter().map(col).collect();
            reduce(&[FileLines::of_frame(all)], &names)?
        }
    };
    let mut merged = Vec::with_capacity(consumers.len());
    for (idx, consumer) in consumers.iter().enumerate() {
        let mut all = partials[idx].frame.clone();
        for result in &results {
            all.vstack_mut(&result[idx].frame)?;
        }
        merged.push(collect_streaming(consumer.merge.plan(all))?);
    }
    Ok(merged)
}

/// The lines of all files, before the plan over all lines.
fn held(lines: &ChunkedLines, columns: &[Expr]) -> PolarsResult<DataFrame> {
    let mut all = lines.empty_before_whole(columns)?.collect()?;
    let names: Vec<Expr> = all.get_column_names_owned().into_iter().map(col).collect();
    let held = for_each_chunk(&lines.files, &names, &all, |held, lines| {
        held.vstack_mut(lines).map(|_| ())
    })?;
    held.into_iter().try_for_each(|held| all.vstack_mut_owned(held).map(|_| ()))?;
    Ok(all)
}

/// Calls a function with the lines of every chunk, on several threads. Returns their states.
fn for_each_chunk<S: Clone + Send + Sync>(
    files: &[FileLines],
    columns: &[Expr],
    initial: &S,
    call: impl Fn(&mut S, &DataFrame) -> PolarsResult<()> + Sync,
) -> PolarsResult<Vec<S>> {
    let has_failed = AtomicBool::new(false);
    let work = || {
        let mut state = initial.clone();
        let result = files.iter().try_for_each(|file| {
            let mut lines = LinesOfFile { file, columns, chunks: None };
            while !has_failed.load(Ordering::Relaxed)
                && let Some(lines) = lines.next()?
            {
                call(&mut state, &lines)?;
            }
            Ok(())
        });
        has_failed.fetch_or(result.is_err(), Ordering::Relaxed);
        result.map(|()| state)
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..rayon::current_num_threads()).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Err(std::io::Error::other("a thread of the scan panicked").into());
        // All are joined before the first error is returned.
        let states: Vec<PolarsResult<S>> =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect();
        states.into_iter().collect()
    })
}

/// The lines of a file for one of several threads.
struct LinesOfFile<'a> {
    file: &'a FileLines,
    columns: &'a [Expr],
    /// Chunks to which the plan is not yet applied.
    chunks: Option<DataFrame>,
}

impl LinesOfFile<'_> {
    /// Lines to collect before the plan is applied: a plan costs as much as some thousand lines.
    const ENOUGH: usize = 1 << 15;

    fn next(&mut self) -> PolarsResult<Option<DataFrame>> {
        while self.chunks.as_ref().is_none_or(|chunks| chunks.height() < Self::ENOUGH) {
            match (self.file.chunks.next()?, &mut self.chunks) {
                (Some(chunk), Some(chunks)) => {
                    chunks.vstack_mut_owned(chunk)?;
                }
                (Some(chunk), none) => *none = Some(chunk),
                (None, _) => break,
            }
        }
        let Some(mut chunks) = self.chunks.take() else { return Ok(None) };
        chunks.rechunk_mut();
        self.file.plan.apply(chunks).select_seq(self.columns).collect().map(Some)
    }
}
