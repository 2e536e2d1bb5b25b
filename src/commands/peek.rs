//! `custseg peek`: runs up to a stage and shows the first rows.

use std::io::Write;

use chrono::NaiveDate;
use polars::prelude::*;

use super::log;
use super::table::{draw, fit, plain, terminal_width};
use crate::cli::Stage;
use crate::columns::{CUSTOMER_ID, DAY, ORDER_ID, REASON};
use crate::error::Error;
use crate::ingest::{Grain, scan_error};
use crate::orders;
use crate::pipeline::Pipeline;
use crate::session::{SegmentedRun, Session};

pub(super) fn peek(
    p: &Pipeline,
    stage: Stage,
    rows: usize,
    out: &mut impl Write,
) -> Result<(), Error> {
    let session = Session::open(p, log::observer());
    let tables = match stage {
        Stage::Ingest | Stage::Clean => vec![("", lines(&session, stage, rows)?)],
        Stage::Orders => vec![("", facts(&session)?)],
        Stage::Rfm => vec![("", stack(&session, "rfm", |date| Ok(session.measure(date)?.frame))?)],
        Stage::Score => {
            let scored = |date| Ok(session.score(session.measure(date)?)?.frame);
            vec![("", stack(&session, "score", scored)?)]
        }
        Stage::Segment | Stage::Model | Stage::Evaluate => modelled(&session, stage)?,
    };
    for (name, frame) in tables {
        if !name.is_empty() {
            writeln!(out, "\n# {name}")?;
        }
        let head = frame.head(Some(rows));
        let names = head.get_column_names_owned();
        let columns: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        let last_first: Vec<&str> = columns.iter().skip(1).rev().copied().collect();
        let width = terminal_width(std::io::stdout());
        let (shown, left_out) =
            fit(&head, &columns, &last_first, width, plain).map_err(Error::engine("peek"))?;
        writeln!(out, "{}", draw(&head, &shown, plain).map_err(Error::engine("peek"))?)?;
        if !left_out.is_empty() {
            let names: Vec<&str> = left_out.into_iter().rev().collect();
            writeln!(out, "not shown, for want of width: {}", names.join(", "))?;
        }
    }
    Ok(())
}

fn lines(session: &Session<'_>, stage: Stage, rows: usize) -> Result<DataFrame, Error> {
    let lines = if stage == Stage::Ingest {
        session.lines(Grain::Rows)?.lines
    } else {
        let pairs = session.pairs()?;
        session.marked_lines(Grain::Rows, pairs.as_ref())?.lines
    };
    let limit = IdxSize::try_from(rows).unwrap_or(IdxSize::MAX);
    orders::first_lines(&lines, limit).map_err(scan_error(&session.pipeline().ingest))
}

fn facts(session: &Session<'_>) -> Result<DataFrame, Error> {
    let keys = [CUSTOMER_ID, ORDER_ID, DAY, REASON];
    let sorted = session.facts()?.frame.sort(keys, SortMultipleOptions::default());
    sorted.map_err(Error::engine("orders"))
}

/// The tables of a stage, of all snapshots.
fn stack(
    session: &Session<'_>,
    stage: &'static str,
    table: impl Fn(NaiveDate) -> Result<DataFrame, Error>,
) -> Result<DataFrame, Error> {
    let mut all = DataFrame::empty();
    for date in session.dates()? {
        all.vstack_mut_owned(table(date)?).map_err(Error::engine(stage))?;
    }
    Ok(all)
}

fn modelled(session: &Session<'_>, stage: Stage) -> Result<Vec<(&'static str, DataFrame)>, Error> {
    let run = SegmentedRun::collect(session.snapshots()?)?;
    if stage == Stage::Segment {
        return Ok(vec![("", run.segmented.frame)]);
    }
    let earlier = session.earlier_snapshots(&run.segmented.dates)?;
    let assigned = session.assign(&run, &earlier)?;
    if stage == Stage::Model {
        return Ok(vec![("", assigned.frame)]);
    }
    let tables = session.evaluate(run, earlier, assigned)?;
    Ok(tables.others.into_iter().map(|(id, frame)| (id.name(), frame)).collect())
}
