//! `model` in SQL: a sample of customers to fit models to, and predictions for all customers.
//!
//! Models are fitted locally to the sample. If they use scores only, every combination of scores is
//! predicted once and joined as a table. Otherwise customers are piped through
//! `custseg score --stdio` on the nodes.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;

use super::client::spark_error;
use super::segment::{NAMED, SEGMENTS, columns};
use super::text::{day, double, name, quoted};
use super::{Body, Statement};
use crate::columns::*;
use crate::error::Error;
use crate::model::{Assigned, FittedModel};
use crate::pipeline::{Pipeline, SparkParams};
use crate::score::Dimension;
use crate::session::input_columns;

const STAGE: &str = "model";
/// Path of the sample.
pub(super) const SAMPLE: &str = "work/sample";
/// Path of the predictions for the customers in the sample.
pub(super) const SAMPLE_PREDICTIONS: &str = "work/answers.parquet";
/// A query that pipes rows through a program, to test the server.
pub(super) const TRANSFORM_QUERY: &str = "SELECT TRANSFORM (1) USING 'cat' AS (x STRING)";

const SCORES: [&str; 3] = [R_SCORE, F_SCORE, M_SCORE];

/// The error for a server that cannot parse [`TRANSFORM_QUERY`].
pub(super) fn transform_not_supported(error: Error) -> Error {
    let reason: String = match error {
        Error::Stage { source, .. } => source.to_string().chars().take(120).collect(),
        other => other.to_string(),
    };
    let message = format!(
        "models with features other than scores need TRANSFORM, which this server does not \
         support: {reason} …"
    );
    spark_error(STAGE, message)
}

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
    let quotas: Vec<String> = segment_sizes
        .iter()
        .map(|(segment, customers)| {
            let quota = (customers * size).div_ceil(total.max(1));
            format!("WHEN {} THEN {quota}", quoted(segment))
        })
        .collect();
    let columns = columns(p).join(", ");
    let hash = format!("md5(concat('{}:', {CUSTOMER_ID}))", params.seed);
    let select = format!(
        "SELECT {columns}, {SNAPSHOT} FROM (\n\
         \x20 SELECT {columns}, CAST({SNAPSHOT} AS DATE) AS {SNAPSHOT},\n\
         \x20   row_number() OVER (PARTITION BY {SEGMENT} ORDER BY {hash}, {CUSTOMER_ID}) AS nth\n\
         \x20 FROM {NAMED} WHERE {SNAPSHOT} = {}\n\
         ) WHERE nth <= CASE {SEGMENT} {} ELSE 0 END",
        day(newest),
        quotas.join(" ")
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
    let columns: Vec<String> = columns(p).iter().map(|column| format!("n.{column}")).collect();
    let predicted: Vec<String> = output_columns(p)
        .map(|column| match overrides {
            None => format!("a.{column}"),
            Some(_) => format!(
                "CASE WHEN o.{CUSTOMER_ID} IS NULL THEN a.{column} ELSE o.{column} END AS {column}"
            ),
        })
        .collect();
    let keys: Vec<String> =
        join_columns.iter().map(|column| format!("a.{column} = n.{column}")).collect();
    let is_newest = format!("n.{SNAPSHOT} = {}", day(newest));
    let overrides = overrides.as_ref().map_or_else(String::new, |query| {
        format!("\nLEFT JOIN ({query}) AS o ON {is_newest} AND o.{CUSTOMER_ID} = n.{CUSTOMER_ID}")
    });
    let select = format!(
        "SELECT {}, {}, n.{SNAPSHOT}\nFROM {NAMED} AS n\n\
         LEFT JOIN ({query}) AS a ON {is_newest} AND {}{overrides}",
        columns.join(", "),
        predicted.join(", "),
        keys.join(" AND ")
    );
    let body = Body::Table { select, path: SEGMENTS, partition_by: Some(SNAPSHOT) };
    Statement { stage: STAGE, name: "custseg_segments".to_owned(), body }
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
    let names: Vec<String> = frame.get_column_names().iter().map(ToString::to_string).collect();
    let mut rows = Vec::with_capacity(frame.height());
    for row in 0..frame.height() {
        let cells: PolarsResult<Vec<String>> =
            frame.columns().iter().map(|column| Ok(literal(&column.get(row)?))).collect();
        rows.push(format!("({})", cells.map_err(Error::engine(STAGE))?.join(", ")));
    }
    let typed: Vec<String> = names
        .iter()
        .map(|name| if SCORES.contains(&name.as_str()) { name.clone() } else { cast(name) })
        .collect();
    let query = format!(
        "SELECT {} FROM VALUES\n  {}\n  AS t({})",
        typed.join(", "),
        rows.join(",\n  "),
        names.join(", ")
    );
    let overrides = Some(format!("SELECT * FROM parquet.{}", name(sample_predictions)));
    Ok(Predictions { query, join_columns: SCORES.to_vec(), overrides })
}

/// One row per combination of scores, with the columns of all models.
fn score_predictions(p: &Pipeline, trained: &[FittedModel]) -> Result<DataFrame, Error> {
    let [r, f, m] = p.score.dimensions.each_ref().map(|dimension| dimension.bins);
    let codes: Vec<[u8; 3]> =
        (1..=r).flat_map(|r| (1..=f).flat_map(move |f| (1..=m).map(move |m| [r, f, m]))).collect();
    let mut columns: Vec<Column> = Dimension::ALL
        .into_iter()
        .map(|dimension| {
            let scores = codes.iter().map(|code| code[dimension as usize]).collect::<Vec<u8>>();
            Column::new(dimension.score().into(), scores)
        })
        .collect();
    // The empty id matches no customer of the sample, so that all of them may vote.
    columns.push(Column::new(CUSTOMER_ID.into(), vec![""; codes.len()]));
    let combinations = DataFrame::new(codes.len(), columns).map_err(Error::engine(STAGE))?;
    let mut frame = combinations.drop(CUSTOMER_ID).map_err(Error::engine(STAGE))?;
    for model in trained {
        model.add_columns(&mut frame, &combinations)?;
    }
    Ok(frame)
}

/// The predictions for the customers of the sample.
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
    let inputs = inputs.collect::<Vec<_>>().join(", ");
    let returned: Vec<String> = [CUSTOMER_ID, R_SCORE, F_SCORE, M_SCORE, RFM_CODE, SEGMENT]
        .map(str::to_owned)
        .into_iter()
        .chain(output_columns(p))
        .map(|column| format!("{column} STRING"))
        .collect();
    let typed: Vec<String> = output_columns(p).map(|column| cast(&column)).collect();
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
        typed.join(", "),
        quoted(&command),
        returned.join(", "),
        day(newest)
    );
    Predictions { query, join_columns: vec![CUSTOMER_ID], overrides: None }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
