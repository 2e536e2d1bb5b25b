//! `custseg explain`: the plan of the one scan, and the columns after each stage.

use std::io::Write;
use std::path::Path;

use chrono::NaiveDate;
use polars::prelude::*;
use tracing::subscriber::{NoSubscriber, with_default};

use super::schema_line;
use custseg::checks;
use custseg::clean::Step;
use custseg::columns::{
    CATEGORY, CUSTOMER_ID, DAY, MONEY, ORDER_ID, confidence, label, margin, novelty,
};
use custseg::error::Error;
use custseg::ingest::{self, Reading};
use custseg::orders;
use custseg::orders::OrderBook;
use custseg::pipeline::{self, Pipeline};

pub(super) fn explain(p: &Pipeline, out: &mut impl Write) -> Result<(), Error> {
    let engine = Error::engine;
    let schema = ingest::lines(&p.ingest, Reading::Headers)
        .map_err(engine("ingest"))?
        .frame
        .collect_schema()
        .map_err(engine("ingest"))?;
    writeln!(out, "# ingest: a row a source row\n{}\n", schema_line(&schema))?;
    let mut marked = pipeline::mark(p, Reading::Headers, None)?;
    let schema = marked.frame.collect_schema().map_err(engine("clean"))?;
    writeln!(out, "# clean: as before, with a verdict\n{}", schema_line(&schema))?;
    for (code, reason) in marked.reasons.iter().enumerate() {
        writeln!(out, "  reason {code}: {}: {}", reason.step, reason.reason)?;
    }
    let names = pipeline::reject_names(p, Path::new("rejects.parquet"));
    let tallies = checks::tallies(&p.checks)?;
    let plan = orders::explain(&marked, &tallies, pipeline::further(p), &names)
        .map_err(engine("orders"))?;
    writeln!(
        out,
        "\n# orders: the one scan: the order book, and past REJECTS the rejected lines to their file\n{plan}\n"
    )?;
    // The log of a made-up run would only mislead.
    let stages = with_default(NoSubscriber::default(), || later_stages(p))?;
    for (stage, grain, schema) in stages {
        writeln!(out, "# {stage}: {grain}\n{}\n", schema_line(&schema))?;
    }
    Ok(())
}

/// What the stages after the scan make of a made-up order book: their real schemas, without a row of the source.
fn later_stages(p: &Pipeline) -> Result<Vec<(&'static str, &'static str, Schema)>, Error> {
    let book = made_up(p, 4).map_err(Error::engine("orders"))?;
    let orders = book.frame.schema().as_ref().clone();
    let customers = pipeline::known(p)?.customers;
    let snapshots = pipeline::rfm(
        p,
        &book,
        customers.as_ref(),
        None,
        vec![NaiveDate::default().succ_opt().unwrap_or_default()],
    )?;
    let rfm = snapshots.frame.schema().as_ref().clone();
    let scored = pipeline::score(p, snapshots, None)?;
    let score = scored.frame.schema().as_ref().clone();
    let segmented = pipeline::segment(p, scored)?;
    let segment = segmented.frame.schema().as_ref().clone();
    // What models add does not depend on the data, which they could not do without.
    let mut assigned = segment.clone();
    let names =
        p.clusterings.iter().map(|one| &one.name).chain(p.models.iter().map(|model| &model.name));
    for name in names {
        assigned.insert(label(name).into(), DataType::String);
        for column in [confidence(name), margin(name), novelty(name)] {
            assigned.insert(column.into(), DataType::Float64);
        }
    }
    Ok(vec![
        ("orders", "a row a (customer, order, day, reason)", orders),
        ("rfm", "a row a (snapshot, customer)", rfm),
        ("score", "a row a (snapshot, customer)", score),
        ("segment", "a row a (snapshot, customer)", segment),
        ("model", "a row a (snapshot, customer)", assigned),
    ])
}

/// An order book of as many customers, each with one order on 1970-01-01.
fn made_up(p: &Pipeline, customers: usize) -> PolarsResult<OrderBook> {
    let ids: Vec<String> = (0..customers).map(|i| i.to_string()).collect();
    let zeros = vec![0i32; customers];
    let typed = OrderBook::schema();
    let columns = typed.iter_names_and_dtypes().map(|(name, dtype)| match dtype {
        DataType::String => Ok(Column::new(name.clone(), &ids)),
        DataType::UInt8 => Ok(Column::full_null(name.clone(), customers, dtype)),
        other => Column::new(name.clone(), &zeros).cast(other),
    });
    let frame = DataFrame::new(customers, columns.collect::<PolarsResult<_>>()?)?;
    let has_orders = p.ingest.has_orders();
    let returns = Step::policy(&p.clean);
    let (reasons, counts) = (Vec::new(), Vec::new());
    let further = pipeline::further(p);
    let empty = |names: [&str; 4]| {
        DataFrame::empty_with_schema(&typed.try_project(names).unwrap_or_default())
    };
    let products = further.products.then(|| empty([CUSTOMER_ID, ORDER_ID, DAY, MONEY]));
    let categories = further.categories.then(|| empty([CUSTOMER_ID, ORDER_ID, DAY, MONEY]));
    let categories =
        categories.map(|mut frame| frame.rename(ORDER_ID, CATEGORY.into()).cloned()).transpose()?;
    Ok(OrderBook {
        frame,
        reasons,
        money: p.ingest.money.clone(),
        returns,
        counts,
        pairs: None,
        products,
        categories,
        has_orders,
    })
}
