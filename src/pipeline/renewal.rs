//! What of an earlier run can stay as it is.

use chrono::NaiveDate;
use polars::prelude::*;

use super::{Pipeline, definition_hash};
use crate::columns::R_SCORE;
use crate::error::Error;
use crate::publish::{Depends, Published};
use crate::rfm::{Snapshots, by_snapshot};

/// An earlier run, and the snapshots of it that nothing has changed for.
pub struct Renewal {
    /// The run.
    pub run: Published,
    /// The snapshots that stay, ascending.
    pub dates: Vec<NaiveDate>,
}

impl Renewal {
    /// Compares what each snapshot depends on with what it depended on. `None` where there is no whole run of the same version and
    /// definitions.
    pub fn of(p: &Pipeline, depends: &Depends) -> Option<Self> {
        let run = Published::current(&p.publish)?;
        let hash = definition_hash(p);
        let own = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("definition_hash", &hash),
            ("pipeline", &p.name),
        ];
        let same = own.into_iter().all(|(key, value)| run.text(key) == value);
        let dates =
            depends.each().filter(|(date, inputs)| run.snapshot_inputs(*date) == Some(inputs));
        let dates = dates.map(|(date, _)| date).collect();
        same.then_some(Self { dates, run })
    }

    /// Those of the dates that have to be measured anew.
    pub fn changed(&self, dates: &[NaiveDate]) -> Vec<NaiveDate> {
        dates.iter().filter(|date| !self.dates.contains(date)).copied().collect()
    }

    /// Puts the snapshots that stay, as they were measured, beside those that were measured anew.
    ///
    /// # Errors
    /// Files of the earlier run that cannot be read.
    pub fn join(
        &self,
        p: &Pipeline,
        fresh: Snapshots,
        dates: Vec<NaiveDate>,
    ) -> Result<Snapshots, Error> {
        let engine = || Error::engine("rfm");
        let mut frames = vec![fresh.frame];
        for date in &self.dates {
            let frame = self.run.segments(*date)?;
            // What follows the measures is made again from all snapshots together.
            let measured = frame.try_get_column_index(R_SCORE).map_err(engine())?;
            let names: Vec<PlSmallStr> =
                frame.get_column_names()[..measured].iter().map(|name| (*name).clone()).collect();
            frames.push(frame.select(names).map_err(engine())?);
        }
        let asked =
            [("outliers", p.rfm.cap.is_some()), ("top_categories", p.rfm.top_categories > 0)];
        let mut tables = Vec::new();
        for (name, _) in asked.into_iter().filter(|(_, asked)| *asked) {
            let made = fresh
                .tables
                .iter()
                .filter(|(other, _)| *other == name)
                .map(|(_, table)| table.clone());
            let mut parts: Vec<DataFrame> = made.collect();
            if let Some(earlier) = self.run.table(name)? {
                parts.push(earlier.clear());
                let earlier = by_snapshot(&earlier).map_err(engine())?;
                parts.extend(
                    earlier
                        .into_iter()
                        .filter(|(date, _)| self.dates.contains(date))
                        .map(|(_, part)| part),
                );
            }
            tables.push((name, in_order(parts).map_err(engine())?));
        }
        Ok(Snapshots { frame: in_order(frames).map_err(engine())?, dates, tables })
    }
}

/// Parts of one table in the order of their snapshots.
fn in_order(parts: Vec<DataFrame>) -> PolarsResult<DataFrame> {
    let mut by_date: Vec<(NaiveDate, DataFrame)> = Vec::new();
    for part in parts.iter().filter(|part| part.width() > 0) {
        by_date.extend(by_snapshot(part)?);
    }
    if by_date.is_empty() {
        return Ok(parts.into_iter().next().unwrap_or_default());
    }
    by_date.sort_by_key(|(date, _)| *date);
    let plans: Vec<LazyFrame> = by_date.into_iter().map(|(_, part)| part.lazy()).collect();
    concat(plans, UnionArgs::default())?.collect()
}
