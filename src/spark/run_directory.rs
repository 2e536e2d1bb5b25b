//! The folder of a run on shared storage: the cluster writes tables into it, and this process reads
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::*;

use super::client::{Cluster, spark_error};
use super::segment::CELLS;
use super::{Statement, WORK, model, orders, score};
use crate::columns::*;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::publish::PublishError;
use crate::score::{Cut, CutPoints, Dimension, FrozenCutPoints, cuts_at};
use crate::segment;
use crate::temp;

pub(super) struct RunDirectory<'a> {
    cluster: &'a Cluster,
    /// Absolute path: the working directory of the cluster is another.
    pub(super) folder: PathBuf,
    pub(super) url: String,
}

impl<'a> RunDirectory<'a> {
    pub(super) fn open(cluster: &'a Cluster, folder: &Path) -> Result<Self, Error> {
        let folder = folder
            .canonicalize()
            .map_err(|source| PublishError::Io { path: folder.to_owned(), source })?;
        let url = super::url(&folder.display().to_string());
        Ok(Self { cluster, folder, url })
    }

    /// Creates views, and tables with their views, up to the first table without rows. Returns false
    /// if there is one: some engines write no file then, and there is nothing to read.
    pub(super) fn execute(&self, statements: &[Statement]) -> Result<bool, Error> {
        for statement in statements {
            self.cluster.write(statement, &self.url)?;
            if statement.path.is_some_and(|path| !has_parquet(&self.folder.join(path))) {
                return Ok(false);
            }
            self.cluster.create_view(statement, &self.url)?;
        }
        Ok(true)
    }

    pub(super) fn clear(&self) -> Result<(), Error> {
        for name in [WORK, orders::LEDGER_PATH] {
            let path = self.folder.join(name);
            temp::remove(&path).map_err(|source| PublishError::Io { path, source })?;
        }
        Ok(())
    }

    /// Scans the Parquet files of a table. Spark leaves other files beside them. The folder names
    /// above are not hive columns.
    fn table(&self, path: &str) -> PolarsResult<LazyFrame> {
        let files = PlRefPath::try_from_path(&self.folder.join(path).join("*.parquet"))?;
        let hive_options = HiveOptions::new_disabled();
        LazyFrame::scan_parquet(files, ScanArgsParquet { hive_options, ..Default::default() })
    }

    /// Number of lines by reason and day, for checks and snapshot dates.
    pub(super) fn calendar(&self) -> PolarsResult<DataFrame> {
        let columns = [
            col(REASON).cast(DataType::UInt8),
            col(DAY).cast(DataType::Date),
            col(LINES).cast(DataType::UInt64),
            col(orders::NEGATIVE).cast(DataType::UInt64),
        ];
        self.table(orders::CALENDAR)?.select(columns).collect()
    }

    pub(super) fn ledger(&self) -> PolarsResult<DataFrame> {
        let sorted = self.table(orders::LEDGER_PATH)?.sort([orders::OUTCOME], Default::default());
        sorted.collect()?.drop(orders::OUTCOME)
    }

    /// The sample with the column types of local segments.
    pub(super) fn sample(&self) -> PolarsResult<DataFrame> {
        self.table(model::SAMPLE).and_then(segment::normalise)
    }

    /// The cut points that the cluster computed.
    ///
    /// # Errors
    /// A snapshot that is not one of `dates`.
    pub(super) fn cuts(&self, p: &Pipeline, dates: &[NaiveDate]) -> Result<Vec<Cut>, Error> {
        let rows = self.cut_points().map_err(Error::engine("score"))?;
        if let Some((other, ..)) = rows.iter().find(|(snapshot, ..)| !dates.contains(snapshot)) {
            let message = format!(
                "the cluster has a snapshot {other} that the dates of its lines do not give"
            );
            return Err(spark_error("score", message));
        }
        let cut = |snapshot: NaiveDate, dimension: Dimension| {
            let value = dimension.value();
            let same = rows.iter().filter(|(date, name, _)| *date == snapshot && name == value);
            let points = same.map(|(.., point)| *point).collect();
            let points = CutPoints { points, upper: score::is_upper(p, dimension) };
            Cut { snapshot, dimension, points }
        };
        let of_date = |date: &NaiveDate| Dimension::ALL.map(|dimension| cut(*date, dimension));
        Ok(dates.iter().flat_map(of_date).collect())
    }

    /// (snapshot, dimension, cut point), sorted.
    fn cut_points(&self) -> PolarsResult<Vec<(NaiveDate, String, f64)>> {
        let frame = self
            .table(score::CUT_POINTS_PATH)?
            .sort([SNAPSHOT, DIMENSION, PLACE], Default::default())
            .collect()?;
        let snapshots = frame.column(SNAPSHOT)?.date()?;
        let dimensions = frame.column(DIMENSION)?.cast(&DataType::String)?;
        let points = frame.column(score::POINT)?.f64()?;
        let rows = snapshots.as_date_iter().zip(dimensions.str()?.iter()).zip(points.iter());
        let row = |((date, dimension), point): ((Option<NaiveDate>, Option<&str>), Option<f64>)| {
            Some((date?, dimension?.to_owned(), point?))
        };
        Ok(rows.filter_map(row).collect())
    }

    pub(super) fn counts(&self, dates: &[NaiveDate]) -> PolarsResult<CustomerCounts> {
        let columns = [
            col(SNAPSHOT),
            col(SEGMENT).cast(DataType::String),
            cols([R_SCORE, F_SCORE, M_SCORE]).as_expr().cast(DataType::UInt8),
            col(CUSTOMERS).cast(DataType::UInt64),
        ];
        let cells = self.table(CELLS)?.select(columns).collect()?;
        let names = cells.column(SEGMENT)?.str()?;
        let score_columns = [
            cells.column(R_SCORE)?.u8()?,
            cells.column(F_SCORE)?.u8()?,
            cells.column(M_SCORE)?.u8()?,
        ];
        let snapshots = cells.column(SNAPSHOT)?.date()?.as_date_iter();
        let mut rows = 0;
        let mut scores: Vec<(NaiveDate, [Vec<u32>; 3])> =
            dates.iter().map(|date| (*date, Default::default())).collect();
        let mut segments = BTreeMap::new();
        for (row, (snapshot, customers)) in
            snapshots.zip(cells.column(CUSTOMERS)?.u64()?.iter()).enumerate()
        {
            let customers = customers.unwrap_or(0);
            rows += customers;
            let position = dates.iter().position(|date| Some(*date) == snapshot);
            let Some(position) = position else { continue };
            for (by_score, column) in scores[position].1.iter_mut().zip(score_columns) {
                let index = usize::from(column.get(row).unwrap_or(1).max(1)) - 1;
                by_score.resize(by_score.len().max(index + 1), 0);
                by_score[index] += u32::try_from(customers).unwrap_or(u32::MAX);
            }
            if snapshot.as_ref() == dates.last()
                && let Some(name) = names.get(row)
            {
                *segments.entry(name.to_owned()).or_insert(0) += customers;
            }
        }
        Ok(CustomerCounts { rows, scores, segments })
    }
}

/// Whether a folder contains a Parquet file, at any depth.
fn has_parquet(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        path.is_dir() && has_parquet(&path)
            || path.extension().is_some_and(|extension| extension == "parquet")
    })
}

pub(super) struct CustomerCounts {
    pub(super) rows: u64,
    /// For each snapshot and dimension the customers by score, starting at score 1.
    pub(super) scores: Vec<(NaiveDate, [Vec<u32>; 3])>,
    /// Customers of the newest snapshot by segment.
    pub(super) segments: BTreeMap<String, u64>,
}

impl CustomerCounts {
    /// The cut points and score counts of the newest snapshot.
    pub(super) fn frozen(&self, cuts: &[Cut]) -> PolarsResult<FrozenCutPoints> {
        let no_snapshot = || polars_err!(NoData: "the run has no snapshot");
        let (date, counts) = self.scores.last().cloned().ok_or_else(no_snapshot)?;
        Ok(FrozenCutPoints { date, points: cuts_at(cuts, date).map(Clone::clone), counts })
    }
}
