//! The customers that a model is most and least certain of.

use polars::prelude::*;

use super::figure::{Figure, Table, number, text, text_of};
use super::format;
use super::grid::{Grid, Row};
use super::models::{DECIMALS, Model};
use crate::columns::*;

/// Customers in each half of the table.
const SHOWN_CUSTOMERS: usize = 5;

/// The customers with the highest and the lowest confidence.
pub(super) fn figure(model: &Model<'_>) -> PolarsResult<Option<Figure>> {
    let newest = &model.source.newest;
    let label_column = &label(model.name);
    let Ok(labels) = newest.column(label_column) else { return Ok(None) };
    let measures = [confidence(model.name), margin(model.name), novelty(model.name)];
    let [confidence, margin, novelty] = &measures;
    // Ties: nearest to the training customers, then first row.
    let order = SortMultipleOptions::default()
        .with_order_descending_multi([true, true, false])
        .with_nulls_last(true)
        .with_maintain_order(true);
    let ranked = newest
        .select([CUSTOMER_ID, SEGMENT, label_column, confidence, margin, novelty])?
        .drop_nulls(Some(&[confidence]))?
        .sort(&measures, order)?;
    let last = ranked.height().saturating_sub(SHOWN_CUSTOMERS).min(SHOWN_CUSTOMERS);
    let shown = ranked.head(Some(SHOWN_CUSTOMERS)).vstack(&ranked.tail(Some(last)))?;
    let customers = Grid::new(&shown)?;
    let predicted = |row: &Row<'_>| row.text(label_column).unwrap_or("(no label)").to_owned();
    let columns = vec![
        text("customer", CUSTOMER_ID),
        text("segment", SEGMENT),
        text_of("predicted label", label_column, predicted),
        number("confidence", confidence, DECIMALS),
        number("margin", margin, DECIMALS),
        number("novelty", novelty, DECIMALS),
    ];
    let mut caption = format!(
        "The {SHOWN_CUSTOMERS} customers with the highest and the {SHOWN_CUSTOMERS} with the \
         lowest confidence at {}. Of equal customers, the first by customer id are listed.",
        model.source.snapshot
    );
    if model.min_confidence().is_some() {
        caption += &format!(
            " The model gives no label to {} of {} customers.",
            format::count(labels.null_count() as f64),
            format::count(newest.height() as f64)
        );
    }
    let table = Table::new(customers.rows(), columns);
    Ok(Some(model.figure("certain", "most and least certain customers", caption, table)))
}
