//! `custseg why`: why a customer is in its segment, and how far it is from the next.

use std::io::Write;

use polars::prelude::*;

use super::table::plain;
use custseg::columns::*;
use custseg::error::Error;
use custseg::ingest::Reading;
use custseg::model::{Customers, Trained};
use custseg::pipeline::{self, Pipeline};
use custseg::rfm::{self, by_snapshot};
use custseg::score::Dimension;
use custseg::segment::why::{Standing, Step, standings};

/// Neighbours that are shown.
const SHOWN: usize = 5;

pub(super) fn why(p: &Pipeline, customer_id: &str, out: &mut impl Write) -> Result<(), Error> {
    let known = pipeline::known(p)?;
    let pairs = pipeline::pair(p)?;
    let lines = pipeline::mark(p, Reading::Rows, pairs.as_ref())?;
    let book = pipeline::scan(p, lines, pairs, None)?;
    let snapshots =
        pipeline::rfm(p, &book, known.customers.as_ref(), None, rfm::dates(&p.rfm, &book)?)?;
    let told = Pipeline { why: true, ..p.clone() };
    let of_customers = known.customers.as_ref();
    let kept = pipeline::kept(p, &book, of_customers)?;
    let earlier = pipeline::earlier(p, &book, of_customers, kept.as_ref(), &snapshots.dates)?;
    let segmented = pipeline::segment(&told, pipeline::score(p, snapshots, kept)?)?;
    let mine =
        segmented.frame.clone().lazy().filter(col(CUSTOMER_ID).eq(lit(customer_id))).collect();
    let mine = mine.map_err(Error::engine("why"))?;
    if mine.height() == 0 {
        return Err(Error::Usage(format!("no snapshot has a customer `{customer_id}`")));
    }
    let assigned = pipeline::assign(p, &book, &known.labels, &segmented, &earlier)?;
    for (date, row) in by_snapshot(&mine).map_err(Error::engine("why"))? {
        let cuts: Vec<_> =
            segmented.cuts.iter().filter(|cut| cut.snapshot == date).cloned().collect();
        let number = |name: &str| -> PolarsResult<f64> { row.column(name)?.get(0)?.try_extract() };
        let read = || -> PolarsResult<([f64; 3], [u8; 3], String)> {
            let [r, f, m] = Dimension::ALL;
            let values = [number(r.value())?, number(f.value())?, number(m.value())?];
            let code =
                [number(r.score())? as u8, number(f.score())? as u8, number(m.score())? as u8];
            Ok((values, code, plain(SEGMENT, row.column(SEGMENT)?.get(0)?)))
        };
        let (values, code, segment) = read().map_err(Error::engine("why"))?;
        let factor = p.ingest.money.factor();
        writeln!(out, "customer {customer_id} at {date}: {segment}")?;
        for standing in standings(&p.segment, &cuts, values, code, factor) {
            writeln!(out, "{}", in_words(p, &standing))?;
        }
        let about = p.segment.segments.iter().find(|known| known.name == segment);
        match number(RULE) {
            Ok(rule) => writeln!(out, "  rule {rule} of map {} names {segment}", p.segment.name)?,
            Err(_) => {
                writeln!(out, "  no rule of map {} matches, so it is {segment}", p.segment.name)?
            }
        }
        if let Some(about) = about {
            writeln!(out, "  {} {}", about.description, about.action)?;
        }
        if Some(&date) == segmented.dates.last() {
            assigned.trained.iter().try_for_each(|model| neighbours(model, &row, out))?;
        }
    }
    Ok(())
}

/// What a model says of a customer, and who its neighbours are.
fn neighbours(model: &Trained, row: &DataFrame, out: &mut impl Write) -> Result<(), Error> {
    let customer = Customers::of(&model.params.features, row).map_err(Error::engine("why"))?;
    let name = &model.params.name;
    let Some((answer, nearest)) =
        model.answers(&customer)?.pop().flatten().zip(model.neighbours(&customer)?)
    else {
        return Ok(writeln!(out, "  model {name} does not answer: a value is missing")?);
    };
    let labels = &model.samples.names;
    writeln!(
        out,
        "  model {name}: {} (confidence {:.2}, margin {:.2}), by the nearest of {} customers",
        labels[answer.vote.label],
        answer.confidence,
        answer.vote.margin,
        model.samples.customers.len()
    )?;
    for (distance, place) in nearest.iter().take(SHOWN) {
        let (id, label) =
            (model.samples.customers.ids.at(*place), &labels[model.samples.labels[*place]]);
        writeln!(out, "    {id:<12} at {distance:.3}  {label}")?;
    }
    if nearest.len() > SHOWN {
        writeln!(out, "    and {} more", nearest.len() - SHOWN)?;
    }
    Ok(())
}

/// "  frequency 3   f 4   1 more → f 5 → Champions"
fn in_words(p: &Pipeline, standing: &Standing) -> String {
    let Standing { dimension, value, score, next } = standing;
    let letter = &dimension.score()[..1];
    let (name, places) = (
        dimension.value(),
        if *dimension == Dimension::Monetary { usize::from(p.ingest.money.scale) } else { 0 },
    );
    let now = format!("  {name:<13} {value:>12.places$}   {letter} {score}");
    match next {
        None => format!("{now}   the best there is"),
        Some(Step { change, score, segment, .. }) => {
            let way = change.abs();
            let more = if *change > 0.0 { "more" } else { "fewer" };
            let segment = segment.map_or("depends on the values", |idx| p.segment.name_of(idx));
            format!("{now}   {way:.places$} {more} → {letter} {score} → {segment}")
        }
    }
}
