//! `custseg why`: why a customer is in its segment, and how far it is from the next score.

use std::io::Write;

use polars::prelude::*;

use super::log;
use super::table::plain;
use crate::columns::*;
use crate::error::Error;
use crate::model::{BtydRun, Customers, FittedModel};
use crate::pipeline::Pipeline;
use crate::rfm::by_snapshot;
use crate::score::{Dimension, cuts_at};
use crate::segment::why::{DimensionScore, NextScore, dimension_scores};
use crate::session::{SegmentedRun, Session};

/// Number of neighbours that are shown.
const NEIGHBOURS: usize = 5;

pub(super) fn why(p: &Pipeline, customer_id: &str, out: &mut impl Write) -> Result<(), Error> {
    let explaining = Pipeline { why: true, ..p.clone() };
    let session = Session::open(&explaining, log::observer());
    let run = SegmentedRun::collect(session.snapshots()?)?;
    let id = p.ingest.ids.text(customer_id).unwrap_or_default();
    let is_customer = col(CUSTOMER_ID).eq(lit(id.as_ref()));
    let rows = run.segmented.frame.clone().lazy().filter(is_customer).collect();
    let rows = by_snapshot(&rows.map_err(Error::engine("why"))?).map_err(Error::engine("why"))?;
    if rows.is_empty() {
        return Err(Error::Usage(format!("no snapshot has a customer `{customer_id}`")));
    }
    let earlier = session.earlier_snapshots(&run.segmented.dates)?;
    let assigned = session.assign(&run, &earlier)?;
    let factor = p.ingest.money.factor();
    for (date, row) in rows {
        let cuts = cuts_at(&run.segmented.cuts, date);
        let values = numbers(&row, &Dimension::ALL.map(Dimension::value))?;
        let code = numbers(&row, &Dimension::ALL.map(Dimension::score))?.map(|score| score as u8);
        let segment = plain(SEGMENT, value(&row, SEGMENT)?);
        writeln!(out, "customer {customer_id} at {date}: {segment}")?;
        for score in dimension_scores(&p.segment, cuts, values, code, factor) {
            writeln!(out, "{}", describe(p, &score))?;
        }
        let map = &p.segment.name;
        match value(&row, RULE)?.try_extract::<f64>() {
            Ok(rule) => writeln!(out, "  rule {rule} of map {map} names {segment}")?,
            Err(_) => writeln!(out, "  no rule of map {map} matches: `otherwise` is {segment}")?,
        }
        if let Some(about) = p.segment.segments.iter().find(|about| about.name == segment) {
            writeln!(out, "  {} {}", about.description, about.action)?;
        }
        if run.segmented.dates.last() == Some(&date) {
            assigned.trained.iter().try_for_each(|model| neighbours(model, &row, out))?;
            for fitted in &assigned.btyd {
                let is_customer = col(CUSTOMER_ID).eq(lit(id.as_ref()));
                let newest = is_customer.and(col(SNAPSHOT).eq(lit(date)));
                let row = assigned.frame.clone().lazy().filter(newest).collect();
                expectation(p, fitted, &row.map_err(Error::engine("why"))?, out)?;
            }
        }
    }
    Ok(())
}

/// A value of a frame with one row.
fn value<'a>(row: &'a DataFrame, name: &str) -> Result<AnyValue<'a>, Error> {
    row.column(name).and_then(|column| column.get(0)).map_err(Error::engine("why"))
}

fn numbers<const N: usize>(
    row: &DataFrame,
    columns: &[impl AsRef<str>; N],
) -> Result<[f64; N], Error> {
    let mut numbers = [0.0; N];
    for (number, column) in numbers.iter_mut().zip(columns) {
        *number = value(row, column.as_ref())?.try_extract().map_err(Error::engine("why"))?;
    }
    Ok(numbers)
}

/// What a BTYD model expects of a customer.
fn expectation(
    p: &Pipeline,
    run: &BtydRun,
    row: &DataFrame,
    out: &mut impl Write,
) -> Result<(), Error> {
    let name = &run.params.name;
    let columns = btyd_columns(name);
    if value(row, &columns[0])?.is_null() {
        return Ok(writeln!(out, "  model {name}: no purchase to predict from")?);
    }
    let [alive, purchases, purchase_value, spend, clv] = numbers(row, &columns)?;
    let decimals = usize::from(p.ingest.money.scale);
    let kind = run.params.process.name();
    let days = run.params.horizon;
    writeln!(
        out,
        "  model {name} ({kind} and Gamma-Gamma): active with probability {alive:.2}, \
         {purchases:.2} purchases of {purchase_value:.decimals$} expected in {days} days, \
         {spend:.decimals$} in all, {clv:.decimals$} discounted"
    )?;
    Ok(())
}

/// The prediction of a model for a customer, and the customer's neighbours.
fn neighbours(model: &FittedModel, row: &DataFrame, out: &mut impl Write) -> Result<(), Error> {
    let name = &model.params.name;
    let customer = Customers::read(&model.params.features, row, &model.distributions)
        .map_err(Error::engine("why"))?;
    let Some((prediction, nearest)) = model.explain(&customer)? else {
        return Ok(writeln!(out, "  model {name} abstains: a feature is missing")?);
    };
    let labels = &model.samples.names;
    writeln!(
        out,
        "  model {name}: {} (confidence {:.2}, margin {:.2}), from the {} nearest of {} customers, \
         by {}",
        labels[prediction.vote.label],
        prediction.confidence,
        prediction.vote.margin,
        nearest.len(),
        model.samples.labels.len(),
        prediction.vote.source.describe()
    )?;
    for (distance, index) in nearest.iter().take(NEIGHBOURS) {
        let id = model.samples.customers.ids.value(*index);
        let label = &labels[model.samples.labels[*index]];
        writeln!(out, "    {id:<12} at {distance:.3}  {label}")?;
    }
    if nearest.len() > NEIGHBOURS {
        writeln!(out, "    and {} more", nearest.len() - NEIGHBOURS)?;
    }
    Ok(())
}

/// "  frequency 3   f 4   1 more → f 5 → Champions"
fn describe(p: &Pipeline, dimension_score: &DimensionScore) -> String {
    let DimensionScore { dimension, value, score, next } = dimension_score;
    let letter = &dimension.score()[..1];
    let name = dimension.value();
    let is_money = *dimension == Dimension::Monetary;
    let decimals = if is_money { usize::from(p.ingest.money.scale) } else { 0 };
    let current = format!("  {name:<13} {value:>12.decimals$}   {letter} {score}");
    match next {
        None => format!("{current}   the highest score"),
        Some(NextScore { change, score, segment, .. }) => {
            let distance = change.abs();
            let more = if *change > 0.0 { "more" } else { "fewer" };
            let segment = segment.map_or("depends on the values", |idx| p.segment.name_of(idx));
            format!("{current}   {distance:.decimals$} {more} → {letter} {score} → {segment}")
        }
    }
}
