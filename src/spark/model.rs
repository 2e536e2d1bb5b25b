//! `model` in SQL: a sample of customers to fit models to, and predictions for all customers.
//!
//! Models are fitted locally to the sample. If they use scores only, every combination of scores is
//! predicted once and joined as a table. Otherwise customers are piped through
//! `custseg score --stdio` on the nodes.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;

use super::Statement;
use super::segment::{NAMED, SEGMENTS, columns};
use super::text::{day, double, joined, name, quoted};
use crate::columns::*;
use crate::error::Error;
use crate::model::{Assigned, FittedModel};
use crate::pipeline::{Pipeline, SparkParams};
use crate::score::Dimension;
use crate::session::input_columns;

const STAGE: &str = "model";
pub(super) const SAMPLE: &str = "work/sample";
/// Path of the predictions for the customers in the sample.
pub(super) const SAMPLE_PREDICTIONS: &str = "work/answers.parquet";

const SCORES: [&str; 3] = [R_SCORE, F_SCORE, M_SCORE];

/// Whether all models use scores only, so that a table of all score combinations is enough.
pub(super) fn use_scores_only(p: &Pipeline) -> bool {
    let mut features = p.models.iter().flat_map(|model| &model.features);
    features.all(|feature| SCORES.contains(&feature.column.as_str()))
}

/// The sample of the newest snapshot: each segment's share, at least one customer, in the order of
/// a hash of the customer ids.
pub(super) fn sample(
    p: &Pipeline,
    params: &SparkParams,
    newest: NaiveDate,
    segment_sizes: &BTreeMap<String, u64>,
) -> Statement {
    let total: u64 = segment_sizes.values().sum();
    let size = u64::from(params.sample).min(total);
    let quotas = segment_sizes.iter().map(|(segment, customers)| {
        let quota = (customers * size).div_ceil(total.max(1));
        format!("WHEN {} THEN {quota}", quoted(segment))
    });
    let columns = columns(p).join(", ");
    let hash = format!("md5(concat('{}:', {CUSTOMER_ID}))", params.seed);
    let select = format!(
        "SELECT {columns}, {SNAPSHOT} FROM (\n\
         \x20 SELECT {columns}, CAST({SNAPSHOT} AS DATE) AS {SNAPSHOT},\n\
         \x20   row_number() OVER (PARTITION BY {SEGMENT} ORDER BY {hash}, {CUSTOMER_ID}) AS nth\n\
         \x20 FROM {NAMED} WHERE {SNAPSHOT} = {}\n\
         ) WHERE nth <= CASE {SEGMENT} {} ELSE 0 END",
        day(newest),
        joined(quotas, " ")
    );
    Statement::table(STAGE, "custseg_sample", SAMPLE, select)
}

/// Queries of predictions, and how to join them.
pub(super) struct Predictions {
    query: String,
    join_columns: Vec<&'static str>,
    /// Query of predictions by customer, which replace those of `query`.
    overrides: Option<String>,
}

/// The table of segments with the predictions for the newest snapshot. They are null in the others.
pub(super) fn segments_with_predictions(
    p: &Pipeline,
    newest: NaiveDate,
    predictions: &Predictions,
) -> Statement {
    let Predictions { query, join_columns, overrides } = predictions;
    let columns = columns(p).into_iter().map(|column| format!("n.{column}"));
    let predicted = output_columns(p).map(|column| match overrides {
        None => format!("a.{column}"),
        Some(_) => format!(
            "CASE WHEN o.{CUSTOMER_ID} IS NULL THEN a.{column} ELSE o.{column} END AS {column}"
        ),
    });
    let keys = join_columns.iter().map(|column| format!("a.{column} = n.{column}"));
    let is_newest = format!("n.{SNAPSHOT} = {}", day(newest));
    let overrides = overrides.as_ref().map_or_else(String::new, |query| {
        format!("\nLEFT JOIN ({query}) AS o ON {is_newest} AND o.{CUSTOMER_ID} = n.{CUSTOMER_ID}")
    });
    let select = format!(
        "SELECT {}, n.{SNAPSHOT}\nFROM {NAMED} AS n\n\
         LEFT JOIN ({query}) AS a ON {is_newest} AND {}{overrides}",
        joined(columns.chain(predicted), ", "),
        joined(keys, " AND ")
    );
    Statement::table(STAGE, "custseg_segments", SEGMENTS, select)
}

/// The columns of all models.
fn output_columns(p: &Pipeline) -> impl Iterator<Item = String> {
    p.models.iter().flat_map(|model| {
        let model = &model.name;
        [label(model), confidence(model), margin(model), novelty(model)]
    })
}

/// Predictions for every combination of scores. Customers of the sample do not vote for themselves,
/// so that their own predictions, in the Parquet file `sample_predictions`, replace these.
pub(super) fn lookup(
    p: &Pipeline,
    trained: &[FittedModel],
    sample_predictions: &str,
) -> Result<Predictions, Error> {
    let frame = score_predictions(p, trained)?;
    let names = || frame.get_column_names().into_iter().map(ToString::to_string);
    let mut rows = Vec::with_capacity(frame.height());
    for row in 0..frame.height() {
        let cells = frame.columns().iter().map(|column| Ok(literal(&column.get(row)?)));
        let cells: Vec<String> =
            cells.collect::<PolarsResult<_>>().map_err(Error::engine(STAGE))?;
        rows.push(format!("({})", cells.join(", ")));
    }
    let typed =
        names().map(|name| if SCORES.contains(&name.as_str()) { name } else { cast(&name) });
    let query = format!(
        "SELECT {} FROM VALUES\n  {}\n  AS t({})",
        joined(typed, ", "),
        rows.join(",\n  "),
        joined(names(), ", ")
    );
    let overrides = Some(format!("SELECT * FROM parquet.{}", name(sample_predictions)));
    Ok(Predictions { query, join_columns: SCORES.to_vec(), overrides })
}

/// One row per combination of scores, with the columns of all models.
fn score_predictions(p: &Pipeline, trained: &[FittedModel]) -> Result<DataFrame, Error> {
    let [r, f, m] = p.score.dimensions.each_ref().map(|dimension| dimension.bins);
    let codes: Vec<[u8; 3]> =
        (1..=r).flat_map(|r| (1..=f).flat_map(move |f| (1..=m).map(move |m| [r, f, m]))).collect();
    let score_column = |dimension: Dimension| {
        let scores: Vec<u8> = codes.iter().map(|code| code[dimension as usize]).collect();
        Column::new(dimension.score().into(), scores)
    };
    let mut columns = Dimension::ALL.map(score_column).to_vec();
    // The empty id matches no customer of the sample, so that all of them may vote.
    columns.push(Column::new(CUSTOMER_ID.into(), vec![""; codes.len()]));
    let combinations = DataFrame::new(codes.len(), columns).map_err(Error::engine(STAGE))?;
    let mut frame = combinations.drop(CUSTOMER_ID).map_err(Error::engine(STAGE))?;
    for model in trained {
        model.add_columns(&mut frame, &combinations)?;
    }
    Ok(frame)
}

pub(super) fn sample_predictions(p: &Pipeline, assigned: &Assigned) -> PolarsResult<DataFrame> {
    assigned.frame.select([CUSTOMER_ID.to_owned()].into_iter().chain(output_columns(p)))
}

fn literal(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Float64(number) => double(*number),
        AnyValue::UInt8(score) => score.to_string(),
        other => other.get_str().map_or("NULL".to_owned(), quoted),
    }
}

fn cast(column: &str) -> String {
    let dtype = if column.ends_with("_label") { "STRING" } else { "DOUBLE" };
    format!("CAST({column} AS {dtype}) AS {column}")
}

/// Predictions of the artefact at a path, by this program on the nodes.
pub(super) fn piped(
    p: &Pipeline,
    params: &SparkParams,
    newest: NaiveDate,
    artefact: &str,
) -> Predictions {
    let features = p.models.iter().flat_map(|model| &model.features);
    let inputs = input_columns(features, &[]).into_iter().map(|column| column.name);
    let inputs = joined(inputs, ", ");
    let returned = [CUSTOMER_ID, R_SCORE, F_SCORE, M_SCORE, RFM_CODE, SEGMENT].map(str::to_owned);
    let returned = returned.into_iter().chain(output_columns(p));
    let row_format = "ROW FORMAT DELIMITED FIELDS TERMINATED BY '\\t' NULL DEFINED AS '\\\\N'";
    let command = format!(
        "{} --quiet score --stdio --model {}",
        shell_quoted(&params.binary),
        shell_quoted(artefact)
    );
    let query = format!(
        "SELECT {CUSTOMER_ID}, {} FROM (\n\
         \x20 SELECT TRANSFORM ({inputs})\n    {row_format}\n\
         \x20   USING {}\n\
         \x20   AS ({})\n    {row_format}\n\
         \x20 FROM (SELECT {inputs} FROM {NAMED} WHERE {SNAPSHOT} = {})\n\
         )",
        joined(output_columns(p).map(|column| cast(&column)), ", "),
        quoted(&command),
        joined(returned.map(|column| format!("{column} STRING")), ", "),
        day(newest)
    );
    Predictions { query, join_columns: vec![CUSTOMER_ID], overrides: None }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
