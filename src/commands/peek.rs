//! `custseg peek`: runs up to a stage and shows the first rows.

use std::io::Write;

use polars::prelude::*;

use super::table::{drawn, plain};
use crate::cli::Stage;
use custseg::columns::{CUSTOMER_ID, DAY, ORDER_ID, REASON};
use custseg::error::Error;
use custseg::ingest::{self, Reading};
use custseg::orders;
use custseg::pipeline::{self, Pipeline};
use custseg::rfm;

pub(super) fn peek(
    p: &Pipeline,
    stage: Stage,
    rows: usize,
    out: &mut impl Write,
) -> Result<(), Error> {
    for (name, frame) in after(p, stage, rows)? {
        if !name.is_empty() {
            writeln!(out, "\n# {name}")?;
        }
        let head = frame.head(Some(rows));
        let columns: Vec<&str> =
            head.get_column_names().into_iter().map(|name| name.as_str()).collect();
        writeln!(out, "{}", drawn(&head, &columns, plain).map_err(Error::engine("peek"))?)?;
    }
    Ok(())
}

/// The tables that a stage makes, or as much of them as is asked for.
fn after(p: &Pipeline, stage: Stage, rows: usize) -> Result<Vec<(String, DataFrame)>, Error> {
    let one = |frame| Ok(vec![(String::new(), frame)]);
    let limit = rows as IdxSize;
    let known = pipeline::known(p)?;
    let pairs = pipeline::pair(p)?;
    match stage {
        Stage::Ingest => {
            let lines = ingest::lines(&p.ingest, Reading::Rows).map_err(Error::scan(&p.ingest))?;
            return one(orders::first_lines(lines.frame, limit).map_err(Error::scan(&p.ingest))?);
        }
        Stage::Clean => {
            let lines = pipeline::mark(p, Reading::Rows, pairs.as_ref())?;
            return one(orders::first_lines(lines.frame, limit).map_err(Error::scan(&p.ingest))?);
        }
        _ => {}
    }
    let lines = pipeline::mark(p, Reading::Rows, pairs.as_ref())?;
    let book = pipeline::scan(p, lines, pairs, None)?;
    if stage == Stage::Orders {
        let sorted =
            book.frame.sort([CUSTOMER_ID, ORDER_ID, DAY, REASON], SortMultipleOptions::default());
        return one(sorted.map_err(Error::engine("orders"))?);
    }
    let snapshots =
        pipeline::rfm(p, &book, known.customers.as_ref(), None, rfm::dates(&p.rfm, &book)?)?;
    if stage == Stage::Rfm {
        return one(snapshots.frame);
    }
    let of_customers = known.customers.as_ref();
    let kept = pipeline::kept(p, &book, of_customers)?;
    let earlier = pipeline::earlier(p, &book, of_customers, kept.as_ref(), &snapshots.dates)?;
    let scored = pipeline::score(p, snapshots, kept)?;
    if stage == Stage::Score {
        return one(scored.frame);
    }
    let evidence = pipeline::evidence(p, &book, &scored, &earlier)?;
    let segmented = pipeline::segment(p, scored)?;
    if stage == Stage::Segment {
        return one(segmented.frame);
    }
    let assigned = pipeline::assign(p, &book, &known.labels, &segmented, &earlier)?;
    if stage == Stage::Model {
        return one(assigned.frame);
    }
    let tables = pipeline::evaluate(evidence, assigned)?;
    Ok(tables.others.into_iter().map(|(name, frame)| (name.to_owned(), frame)).collect())
}
