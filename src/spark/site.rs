//! What both sides see: the folder of a run, in which the cluster writes tables and this machine reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::*;

use super::client::Cluster;
use super::segment::CELLS;
use super::{Statement, WORK, model, orders, score};
use crate::columns::*;
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::publish::PublishError;
use crate::score::{Cut, Dimension, Yardstick, cuts_at};
use crate::scratch;
use crate::segment;

/// A run's folder, and the cluster that writes into it.
pub(super) struct Site<'a> {
    cluster: &'a Cluster,
    /// The folder, from everywhere: the cluster does not stand where this program does.
    pub(super) folder: PathBuf,
    /// The same as a URL.
    pub(super) to: String,
}

impl<'a> Site<'a> {
    /// Of a folder that is there.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn of(cluster: &'a Cluster, folder: &Path) -> Result<Self, Error> {
        let folder = folder
            .canonicalize()
            .map_err(|source| PublishError::Io { path: folder.to_owned(), source })?;
        let to = super::url(&folder.display().to_string());
        Ok(Self { cluster, folder, to })
    }

    /// Makes a view, or a table and its view; tells whether there is something in it: of no rows at all not every engine writes a file,
    /// and then nothing can be read.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn make(&self, statement: &Statement) -> Result<bool, Error> {
        self.cluster.write(statement, &self.to)?;
        let there = statement.path().is_none_or(|path| written(&self.folder.join(path)));
        if there { self.cluster.view(statement, &self.to).map(|()| true) } else { Ok(false) }
    }

    /// Makes some, one after the other, up to one that has nothing in it.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn make_all(&self, statements: &[Statement]) -> Result<bool, Error> {
        for statement in statements {
            if !self.make(statement)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes what was only on the way.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn clear(&self) -> Result<(), Error> {
        for gone in [WORK, orders::LEDGER_PATH] {
            let place = self.folder.join(gone);
            scratch::remove(&place).map_err(|source| PublishError::Io { path: place, source })?;
        }
        Ok(())
    }

    /// A table that the cluster wrote, beside whose files Spark leaves others. What folders above it are called says nothing of its columns.
    fn table(&self, path: &str) -> PolarsResult<LazyFrame> {
        let files = PlRefPath::try_from_path(&self.folder.join(path).join("*.parquet"))?;
        let hive_options = HiveOptions::new_disabled();
        LazyFrame::scan_parquet(files, ScanArgsParquet { hive_options, ..Default::default() })
    }

    /// Lines by reason and day, as checks, dates and refusals look at them; none, where there are none.
    ///
    /// # Errors
    /// What Polars says.
    pub(super) fn calendar(&self, there: bool) -> Result<DataFrame, Error> {
        let columns = [
            col(REASON).cast(DataType::UInt8),
            col(DAY).cast(DataType::Date),
            col(LINES).cast(DataType::UInt64),
        ];
        let found = match there {
            true => self.table(orders::CALENDAR).and_then(|table| table.select(columns).collect()),
            false => {
                df![REASON => Vec::<u8>::new(), DAY => Vec::<NaiveDate>::new(), LINES => Vec::<u64>::new()]
            }
        };
        found.map_err(Error::engine("orders"))
    }

    /// The ledger.
    ///
    /// # Errors
    /// What Polars says.
    pub(super) fn ledger(&self) -> Result<DataFrame, Error> {
        let sorted = self
            .table(orders::LEDGER_PATH)
            .map(|table| table.sort([orders::FATE], Default::default()));
        let ledger =
            sorted.and_then(LazyFrame::collect).and_then(|ledger| ledger.drop(orders::FATE));
        ledger.map_err(Error::engine("orders"))
    }

    /// The sample, as segments of this machine are.
    ///
    /// # Errors
    /// What Polars says.
    pub(super) fn sample(&self) -> Result<DataFrame, Error> {
        self.table(model::SAMPLE).and_then(segment::as_ours).map_err(Error::engine("model"))
    }

    /// The cut points, as the cluster found them.
    ///
    /// # Errors
    /// What Polars says, or a snapshot that nobody asked for.
    pub(super) fn cuts(&self, p: &Pipeline, dates: &[NaiveDate]) -> Result<Vec<Cut>, Error> {
        let read = || -> PolarsResult<Vec<(NaiveDate, String, f64)>> {
            let found = self
                .table(score::CUT_POINTS_PATH)?
                .sort([SNAPSHOT, DIMENSION, PLACE], Default::default())
                .collect()?;
            let (days, names) = (
                found.column(SNAPSHOT)?.date()?,
                found.column(DIMENSION)?.cast(&DataType::String)?,
            );
            let points = found.column(score::POINT)?.f64()?;
            let rows = days.as_date_iter().zip(names.str()?.iter()).zip(points.iter());
            Ok(rows
                .filter_map(|((day, name), point)| Some((day?, name?.to_owned(), point?)))
                .collect())
        };
        let found = read().map_err(Error::engine("score"))?;
        if let Some((odd, ..)) = found.iter().find(|(day, ..)| !dates.contains(day)) {
            let words = format!(
                "the cluster has a snapshot {odd} that the dates of the lines do not lead to"
            );
            return Err(Error::Spark { stage: "score", words });
        }
        let cut = |snapshot: &NaiveDate, dimension: Dimension| {
            let own =
                found.iter().filter(|(day, name, _)| day == snapshot && name == dimension.value());
            let points = own.map(|(_, _, point)| *point).collect();
            Cut { snapshot: *snapshot, dimension, points: score::points(p, dimension, points) }
        };
        Ok(dates
            .iter()
            .flat_map(|date| Dimension::ALL.map(|dimension| cut(date, dimension)))
            .collect())
    }

    /// How many customers there are.
    ///
    /// # Errors
    /// What Polars says.
    pub(super) fn counted(&self, dates: &[NaiveDate]) -> Result<Counted, Error> {
        let cells = self.table(CELLS).and_then(LazyFrame::collect);
        cells.and_then(|cells| Counted::of(&cells, dates)).map_err(Error::engine("segment"))
    }
}

/// Whether a folder holds a file of a table.
fn written(folder: &Path) -> bool {
    let mut entries =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.any(|path| {
        path.is_dir() && written(&path)
            || path.extension().is_some_and(|suffix| suffix == "parquet")
    })
}

/// How many customers there are, by snapshot and score, and of the newest by segment.
pub(super) struct Counted {
    /// Rows of the segments.
    pub(super) rows: u64,
    /// By snapshot and score.
    pub(super) scores: Vec<(NaiveDate, [Vec<u32>; 3])>,
    /// Of the newest snapshot, by segment.
    pub(super) segments: BTreeMap<String, u64>,
}

impl Counted {
    /// The first snapshot that has no customers.
    pub(super) fn nobody(&self) -> Option<NaiveDate> {
        let of_date =
            self.scores.iter().find(|(_, counts)| counts[0].iter().all(|count| *count == 0));
        of_date.map(|(date, _)| *date)
    }

    /// The cut points of the newest snapshot, and how many customers have which score.
    pub(super) fn yardstick(&self, cuts: &[Cut]) -> Yardstick {
        let (date, counts) = self.scores.last().cloned().unwrap_or_default();
        Yardstick { date, points: cuts_at(cuts, date).map(Clone::clone), counts }
    }

    fn of(cells: &DataFrame, dates: &[NaiveDate]) -> PolarsResult<Self> {
        let days: Vec<Option<NaiveDate>> = cells.column(SNAPSHOT)?.date()?.as_date_iter().collect();
        let customers = cells.column(CUSTOMERS)?.cast(&DataType::UInt64)?;
        let customers: Vec<u64> = customers.u64()?.iter().map(Option::unwrap_or_default).collect();
        let names = cells.column(SEGMENT)?.cast(&DataType::String)?;
        let mut counted =
            Self { rows: customers.iter().sum(), scores: Vec::new(), segments: BTreeMap::new() };
        for date in dates {
            let mut of_date: [Vec<u32>; 3] = Default::default();
            for (counts, dimension) in of_date.iter_mut().zip(Dimension::ALL) {
                let scores = cells.column(dimension.score())?.cast(&DataType::UInt8)?;
                for ((score, day), customers) in scores.u8()?.iter().zip(&days).zip(&customers) {
                    let place = usize::from(score.unwrap_or(1).max(1)) - 1;
                    if *day == Some(*date) {
                        counts.resize(counts.len().max(place + 1), 0);
                        counts[place] += u32::try_from(*customers).unwrap_or(u32::MAX);
                    }
                }
            }
            counted.scores.push((*date, of_date));
        }
        for ((name, day), customers) in names.str()?.iter().zip(&days).zip(&customers) {
            if let Some(name) = name.filter(|_| *day == dates.last().copied()) {
                *counted.segments.entry(name.to_owned()).or_default() += customers;
            }
        }
        Ok(counted)
    }
}
