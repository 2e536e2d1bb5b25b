//! The lines of all files: chunks of rows, and the plan that makes lines of each chunk.

use std::sync::Arc;

use polars::prelude::*;

use super::chunk_source::{ChunkSource, FrameSource};

/// Optimisations of a plan that runs once per chunk. Others cost more than they gain.
const CHUNK_OPTIMISATIONS: OptFlags = OptFlags::from_bits_truncate(
    OptFlags::PROJECTION_PUSHDOWN.bits()
        | OptFlags::TYPE_COERCION.bits()
        | OptFlags::TYPE_CHECK.bits()
        | OptFlags::SIMPLIFY_EXPR.bits(),
);

/// Steps of a lazy frame that are applied to every chunk of a file.
#[derive(Clone, Default)]
pub struct LinePlan(Vec<PlanStep>);

#[derive(Clone)]
enum PlanStep {
    WithColumns(Vec<Expr>),
    Select(Vec<Expr>),
    LeftJoin { table: DataFrame, keys: Vec<Expr> },
}

impl LinePlan {
    #[must_use]
    pub(super) fn with_columns(mut self, exprs: Vec<Expr>) -> Self {
        if !exprs.is_empty() {
            self.0.push(PlanStep::WithColumns(exprs));
        }
        self
    }

    #[must_use]
    pub(crate) fn with_column(self, expr: Expr) -> Self {
        self.with_columns(vec![expr])
    }

    #[must_use]
    pub(super) fn select(mut self, exprs: Vec<Expr>) -> Self {
        self.0.push(PlanStep::Select(exprs));
        self
    }

    /// Joins a table by columns that both have.
    #[must_use]
    pub(super) fn left_join(mut self, table: DataFrame, keys: Vec<Expr>) -> Self {
        self.0.push(PlanStep::LeftJoin { table, keys });
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The plan of the lines of a chunk.
    pub fn apply(&self, chunk: DataFrame) -> LazyFrame {
        let plan = chunk.lazy().with_optimizations(CHUNK_OPTIMISATIONS);
        self.0.iter().fold(plan, |plan, step| match step {
            PlanStep::WithColumns(exprs) => plan.with_columns_seq(exprs),
            PlanStep::Select(exprs) => plan.select_seq(exprs),
            PlanStep::LeftJoin { table, keys } => {
                plan.join(table.clone().lazy(), keys, keys, JoinArgs::new(JoinType::Left))
            }
        })
    }

    /// Names of the columns that the plan reads, of its input and of its own.
    fn reads(&self) -> impl Iterator<Item = PlSmallStr> {
        let exprs = self.0.iter().flat_map(|step| match step {
            PlanStep::WithColumns(exprs) | PlanStep::Select(exprs) => exprs,
            PlanStep::LeftJoin { keys, .. } => keys,
        });
        exprs.flat_map(|expr| expr.clone().meta().root_names())
    }
}

/// The rows of one file, and the plan of their lines.
#[derive(Clone)]
pub struct FileLines {
    /// Format and name of the file.
    pub name: String,
    pub chunks: Arc<dyn ChunkSource>,
    pub plan: LinePlan,
}

impl FileLines {
    /// Lines in memory.
    pub fn of_frame(frame: DataFrame) -> Self {
        let (name, plan) = ("lines in memory".to_owned(), LinePlan::default());
        Self { name, chunks: Arc::new(FrameSource::new(frame)), plan }
    }

    fn empty(&self) -> PolarsResult<LazyFrame> {
        Ok(self.plan.apply(self.chunks.empty()?))
    }
}

/// The lines of all files. All have the same columns and types.
#[derive(Clone, Default)]
pub struct ChunkedLines {
    /// At least one.
    pub files: Vec<FileLines>,
    /// A plan over all lines at once, after those of the files. It finds duplicates.
    pub whole: Option<LinePlan>,
}

impl ChunkedLines {
    /// Adds a column, or replaces one.
    pub(crate) fn add_column(&mut self, expr: &Expr) {
        let plans = match &mut self.whole {
            Some(whole) => vec![whole],
            None => self.files.iter_mut().map(|file| &mut file.plan).collect(),
        };
        for plan in plans {
            *plan = std::mem::take(plan).with_column(expr.clone());
        }
    }

    /// From now on, added columns are computed from all lines at once.
    pub(crate) fn hold_all(&mut self) {
        self.whole.get_or_insert_default();
    }

    fn first(&self) -> PolarsResult<&FileLines> {
        self.files.first().ok_or_else(|| polars_err!(NoData: "no files"))
    }

    /// The plan of no lines: their columns and types.
    pub(crate) fn empty(&self) -> PolarsResult<LazyFrame> {
        let lines = self.first()?.empty()?;
        match &self.whole {
            Some(whole) => Ok(whole.apply(lines.collect()?)),
            None => Ok(lines),
        }
    }

    pub fn schema(&self) -> PolarsResult<SchemaRef> {
        self.empty()?.collect_schema()
    }

    /// No lines of a file, with the columns of which the plan of all lines makes `columns`.
    pub(crate) fn empty_before_whole(&self, columns: &[Expr]) -> PolarsResult<LazyFrame> {
        let mut lines = self.first()?.empty()?;
        let schema = lines.collect_schema()?;
        let of_columns = columns.iter().flat_map(|expr| expr.clone().meta().root_names());
        let of_whole = self.whole.iter().flat_map(LinePlan::reads);
        let names: PlIndexSet<PlSmallStr> = of_columns.chain(of_whole).collect();
        let names = names.into_iter().filter(|name| schema.contains(name));
        Ok(lines.select_seq(names.map(col).collect::<Vec<_>>()))
    }

    /// The optimised plans that make `columns`: of a chunk of each file, and of all lines.
    pub(crate) fn explain(&self, columns: &[Expr]) -> PolarsResult<Vec<(String, String)>> {
        let mut plans = Vec::new();
        for file in &self.files {
            let plan = file.empty()?;
            let plan = if self.whole.is_none() { plan.select(columns) } else { plan };
            plans.push((file.name.clone(), plan.explain(true)?));
        }
        if let Some(whole) = &self.whole {
            let plan = whole.apply(self.first()?.empty()?.collect()?).select(columns);
            plans.push(("all lines".to_owned(), plan.explain(true)?));
        }
        Ok(plans)
    }

    /// The rows that the sources promise, once they are read.
    pub fn promised_rows(&self) -> u64 {
        self.files.iter().map(|file| file.chunks.promised_rows()).sum()
    }
}
