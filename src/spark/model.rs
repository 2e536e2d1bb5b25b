//! `model` in SQL: a sample of customers, and the models' answers for all of them.
//!
//! Models are fitted here, to the sample. Where they look at scores alone, every combination of scores is asked about once, and the answers
//! are joined as a table; else customers are piped through `custseg score --stdio` on the nodes.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;

use super::segment::{NAMED, SEGMENTS, columns};
use super::text::{day, double, name, quoted};
use super::{Body, SparkParams, Statement};
use crate::columns::*;
use crate::error::Error;
use crate::model::{self, Assigned, Customers, Trained};
use crate::pipeline::{Pipeline, input_columns};
use crate::score::Dimension;

const STAGE: &str = "model";
/// Folder of the sample.
pub(super) const SAMPLE: &str = "work/sample";

/// File of the answers of those in the sample.
pub(super) const OWN: &str = "work/answers.parquet";
/// A query that pipes rows through a program.
pub(super) const PIPES: &str = "SELECT TRANSFORM (1) USING 'cat' AS (x STRING)";

/// Says what a server lacks that does not understand [`PIPES`].
pub(super) fn cannot_pipe(error: Error) -> Error {
    let words = match error {
        Error::Spark { words, .. } => words.chars().take(120).collect::<String>(),
        other => other.to_string(),
    };
    let words = format!(
        "models that look at more than scores pipe customers through a program (TRANSFORM), which this server does not: {words} …"
    );
    Error::Spark { stage: STAGE, words }
}

/// Whether every model looks at scores alone, so that a table of all their combinations says what it would say.
pub(super) fn by_scores(p: &Pipeline) -> bool {
    let scores = [R_SCORE, F_SCORE, M_SCORE];
    let features = p.models.iter().flat_map(|model| &model.features);
    features.into_iter().all(|feature| scores.contains(&feature.column.as_str()))
}

/// The customers that models are fitted to: of each segment of the newest snapshot its share, at least one, by the hash of their ids.
pub(super) fn sample(
    p: &Pipeline,
    params: &SparkParams,
    newest: NaiveDate,
    customers: &BTreeMap<String, u64>,
) -> Statement {
    let total: u64 = customers.values().sum();
    let asked = u64::from(params.sample).min(total);
    let quota = |(segment, count): (&String, &u64)| {
        format!("WHEN {} THEN {}", quoted(segment), (count * asked).div_ceil(total.max(1)))
    };
    let quotas: Vec<String> = customers.iter().map(quota).collect();
    let columns = columns(p);
    let hash = format!("md5(concat('{}:', {CUSTOMER_ID}))", params.seed);
    let select = format!(
        "SELECT {} FROM (\n\
         \x20 SELECT {}, CAST({SNAPSHOT} AS DATE) AS {SNAPSHOT}, row_number() OVER (PARTITION BY {SEGMENT} ORDER BY {hash}, {CUSTOMER_ID}) AS nth\n\
         \x20 FROM {NAMED} WHERE {SNAPSHOT} = {}\n\
         ) WHERE nth <= CASE {SEGMENT} {} ELSE 0 END",
        columns.join(", ") + ", " + SNAPSHOT,
        columns.join(", "),
        day(newest),
        quotas.join(" ")
    );
    Statement::table(STAGE, "custseg_sample", SAMPLE, select)
}

/// What models say of customers, as a query, and the columns by which a customer finds its answers.
pub(super) struct Answers {
    /// The query.
    pub(super) query: String,
    /// The columns.
    pub(super) by: Vec<&'static str>,
    /// A query of the answers for single customers, which come before the others.
    pub(super) own: Option<String>,
}

/// The table of segments with what the models say of the newest snapshot's customers; null in all others.
pub(super) fn answered(p: &Pipeline, newest: NaiveDate, answers: &Answers) -> Statement {
    let columns: Vec<String> = columns(p).iter().map(|column| format!("n.{column}")).collect();
    let said = p.models.iter().flat_map(|model| outputs(&model.name));
    let said: Vec<String> = match &answers.own {
        None => said.map(|column| format!("a.{column}")).collect(),
        Some(_) => said
            .map(|column| format!("CASE WHEN o.{CUSTOMER_ID} IS NULL THEN a.{column} ELSE o.{column} END AS {column}"))
            .collect(),
    };
    let equal = answers.by.iter().map(|column| format!("a.{column} = n.{column}"));
    let at_newest = format!("n.{SNAPSHOT} = {}", day(newest));
    let own = answers.own.as_ref().map_or_else(String::new, |own| {
        format!("\nLEFT JOIN ({own}) AS o ON {at_newest} AND o.{CUSTOMER_ID} = n.{CUSTOMER_ID}")
    });
    let select = format!(
        "SELECT {}, {}, n.{SNAPSHOT}\nFROM {NAMED} AS n\nLEFT JOIN ({}) AS a ON {at_newest} AND {}{own}",
        columns.join(", "),
        said.join(", "),
        answers.query,
        equal.collect::<Vec<_>>().join(" AND ")
    );
    let body = Body::Table { select, path: SEGMENTS, partition_by: Some(SNAPSHOT) };
    Statement { stage: STAGE, name: "custseg_segments".to_owned(), body }
}

/// Columns of a model's answers.
fn outputs(model: &str) -> [String; 4] {
    [label(model), confidence(model), margin(model), novelty(model)]
}

/// What the models say of every combination of scores. Those whom they learnt from have no vote in what is said of themselves, so that
/// their own answers, which stand in a folder, come first.
///
/// # Errors
/// What Polars or a model says.
pub(super) fn lookup(p: &Pipeline, trained: &[Trained], own: &str) -> Result<Answers, Error> {
    let [r, f, m] = p.score.dimensions.each_ref().map(|dimension| dimension.bins);
    let codes = (1..=r).flat_map(|r| (1..=f).flat_map(move |f| (1..=m).map(move |m| [r, f, m])));
    let codes: Vec<[u8; 3]> = codes.collect();
    let score = |at: usize| codes.iter().map(|code| code[at]).collect::<Vec<u8>>();
    // These are nobody, so that everybody votes.
    let nobody = vec![""; codes.len()];
    let cells = || df![CUSTOMER_ID => nobody.clone(), R_SCORE => score(0), F_SCORE => score(1), M_SCORE => score(2)];
    let mut frame = cells().map_err(Error::engine(STAGE))?;
    let plain = frame.clone();
    for one in trained {
        let customers =
            Customers::of(&one.params.features, &plain).map_err(Error::engine(STAGE))?;
        let answers = one.answers(&customers)?;
        model::add_answers(&mut frame, &one.params, &one.samples.names, &answers, 0)
            .map_err(Error::engine(STAGE))?;
    }
    let frame = frame.drop(CUSTOMER_ID).map_err(Error::engine(STAGE))?;
    let names: Vec<String> = frame.get_column_names().iter().map(ToString::to_string).collect();
    let mut rows = Vec::with_capacity(frame.height());
    for row in 0..frame.height() {
        let cells: PolarsResult<Vec<String>> =
            frame.columns().iter().map(|column| Ok(literal(&column.get(row)?))).collect();
        rows.push(format!("({})", cells.map_err(Error::engine(STAGE))?.join(", ")));
    }
    let typed = names.iter().map(|name| {
        match Dimension::ALL.iter().any(|dimension| dimension.score() == name) {
            true => name.clone(),
            false => cast(name),
        }
    });
    let query = format!(
        "SELECT {} FROM VALUES\n  {}\n  AS t({})",
        typed.collect::<Vec<_>>().join(", "),
        rows.join(",\n  "),
        names.join(", ")
    );
    let own = Some(format!("SELECT * FROM parquet.{}", name(own)));
    Ok(Answers { query, by: vec![R_SCORE, F_SCORE, M_SCORE], own })
}

/// The answers of the customers that the models learnt from.
///
/// # Errors
/// What Polars says.
pub(super) fn own_answers(p: &Pipeline, assigned: &Assigned) -> PolarsResult<DataFrame> {
    let said = p.models.iter().flat_map(|model| outputs(&model.name));
    assigned.frame.select([CUSTOMER_ID.to_owned()].into_iter().chain(said))
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

/// What the artefact at a path says of every customer of the newest snapshot, by this program on the nodes.
pub(super) fn piped(
    p: &Pipeline,
    params: &SparkParams,
    newest: NaiveDate,
    artefact: &str,
) -> Answers {
    let features = p.models.iter().flat_map(|model| &model.features);
    let sent: Vec<String> =
        input_columns(features, &[]).into_iter().map(|column| column.name).collect();
    let scores = [R_SCORE, F_SCORE, M_SCORE, RFM_CODE, SEGMENT].map(str::to_owned);
    let said: Vec<String> = p.models.iter().flat_map(|model| outputs(&model.name)).collect();
    let back = [CUSTOMER_ID.to_owned()].into_iter().chain(scores).chain(said.clone());
    let back: Vec<String> = back.map(|column| format!("{column} STRING")).collect();
    let written = "ROW FORMAT DELIMITED FIELDS TERMINATED BY '\\t' NULL DEFINED AS '\\\\N'";
    let typed: Vec<String> = said.iter().map(|column| cast(column)).collect();
    let shell = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let command =
        format!("{} --quiet score --stdio --model {}", shell(&params.binary), shell(artefact));
    let query = format!(
        "SELECT {CUSTOMER_ID}, {} FROM (\n\
         \x20 SELECT TRANSFORM ({})\n    {written}\n\
         \x20   USING {}\n\
         \x20   AS ({})\n    {written}\n\
         \x20 FROM (SELECT {} FROM {NAMED} WHERE {SNAPSHOT} = {})\n\
         )",
        typed.join(", "),
        sent.join(", "),
        quoted(&command),
        back.join(", "),
        sent.join(", "),
        day(newest)
    );
    Answers { query, by: vec![CUSTOMER_ID], own: None }
}
