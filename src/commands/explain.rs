//! `custseg check`, `explain` and `plan`: what a pipeline does.

use std::io::Write;
use std::path::Path;

use polars::prelude::*;

use super::log;
use crate::checks;
use crate::clean::Step;
use crate::columns::*;
use crate::error::Error;
use crate::model::Target;
use crate::orders::{self, OrderFacts};
use crate::pipeline::Pipeline;
use crate::report::separate_thousands;
use crate::rfm;
use crate::score::Dimension;
use crate::session::{Session, extra_aggregates, read_lists, read_sample, reject_names};
use crate::spark;
use crate::tables::TableId;

/// Loading a pipeline checks it. This also reads a sample of about `rows` rows of each file, or
/// reports what an engine does not support.
pub(super) fn check(p: Pipeline, rows: u32, out: &mut impl Write) -> Result<(), Error> {
    if p.engine.is_some() {
        spark::check_supported(&p)?;
    }
    let files = p.ingest.files().count();
    let plural = if files == 1 { "" } else { "s" };
    let steps = p.clean.len();
    let models = p.models.len() + p.clusterings.len() + p.btyd.len();
    let (name, map) = (p.name.clone(), p.segment.name.clone());
    // On a cluster, the files may be out of reach.
    let sampled = if rows == 0 || p.engine.is_some() {
        String::new()
    } else {
        read_lists(&p)?;
        p.uplift.iter().try_for_each(|campaign| campaign.read().map(drop)).map_err(Error::Usage)?;
        format!(", {} sampled rows", separate_thousands(&read_sample(p, rows)?.to_string()))
    };
    Ok(writeln!(
        out,
        "{name}: ok ({files} source file{plural}{sampled}, clean: {steps} steps, map: {map}, models: \
         {models})"
    )?)
}

/// The SQL that a Spark cluster runs.
pub(super) fn plan(p: &Pipeline, to: Option<&str>, out: &mut impl Write) -> Result<(), Error> {
    let to = to.map_or_else(|| p.publish.to.url(), str::to_owned);
    Ok(out.write_all(spark::plan(p, &to)?.as_bytes())?)
}

/// The plan of the scan, and the columns after each stage.
pub(super) fn explain(p: &Pipeline, out: &mut impl Write) -> Result<(), Error> {
    let engine = Error::engine;
    let session = Session::open(p, log::observer());
    let schema = session.lines(session.grain()?)?.lines.schema().map_err(engine("ingest"))?;
    writeln!(out, "# ingest: one row per source row\n{}\n", describe(&schema))?;
    let marked = session.marked_lines(session.grain()?, None)?;
    let schema = marked.lines.schema().map_err(engine("clean"))?;
    writeln!(out, "# clean: the same rows with their outcomes\n{}", describe(&schema))?;
    for (code, reason) in marked.reasons.iter().enumerate() {
        writeln!(out, "  reason {code}: {}: {}", reason.step, reason.reason)?;
    }
    let rejects = reject_names(p, Path::new("rejects.parquet"));
    let line_metrics = checks::line_metrics(&p.checks)?;
    let plans = orders::explain(&marked, &line_metrics, extra_aggregates(p), &rejects)
        .map_err(engine("orders"))?;
    writeln!(
        out,
        "\n# orders: the plans of the scan: of a chunk of each file, then of all results"
    )?;
    for (name, plan) in plans {
        writeln!(out, "\n{name}\n{plan}")?;
    }
    let facts = describe(&OrderFacts::schema());
    writeln!(out, "\n# orders: one row per customer, order, day and outcome\n{facts}\n")?;
    for (stage, schema) in later_stages(p) {
        writeln!(out, "# {stage}: one row per snapshot and customer\n{}\n", describe(&schema))?;
    }
    Ok(())
}

/// Declared columns after the stages from `rfm` to `model`.
fn later_stages(p: &Pipeline) -> Vec<(&'static str, Schema)> {
    let mut schema =
        declared(rfm::column_names(&p.rfm, Step::policy(&p.clean), p.ingest.customers.as_ref()));
    let mut stages = vec![("rfm", schema.clone())];
    let scores = Dimension::ALL.map(|dimension| dimension.score().to_owned());
    let weighted = p.score.weights.map(|_| RFM_SCORE.to_owned());
    schema.merge(declared(scores.into_iter().chain([RFM_CODE.to_owned()]).chain(weighted)));
    stages.push(("score", schema.clone()));
    let history = [SEGMENT, PREVIOUS_SEGMENT, SEGMENT_SINCE, SNAPSHOTS_IN_SEGMENT];
    schema.merge(declared(history.map(str::to_owned)));
    if p.why {
        schema.merge(declared([RULE.to_owned()]));
        for dimension in Dimension::ALL.map(Dimension::value) {
            schema.merge(declared([to_next(dimension), next_segment(dimension)]));
        }
    }
    stages.push(("segment", schema.clone()));
    for clustering in &p.clusterings {
        schema.merge(declared(model_columns(&clustering.name)));
    }
    for model in &p.models {
        schema.merge(declared(model_columns(&model.name)));
        if matches!(model.target, Target::BuysIn(_)) {
            schema.merge(declared([probability(&model.name)]));
        }
    }
    schema.merge(declared(p.btyd.iter().flat_map(|model| btyd_columns(&model.name))));
    stages.push(("model", schema));
    stages
}

/// Columns of `segments` with their declared types. Attributes of customers are text.
fn declared(names: impl IntoIterator<Item = String>) -> Schema {
    let table = TableId::Segments.table();
    let field = |name: String| Field::new(PlSmallStr::from_str(&name), table.dtype(&name));
    names.into_iter().map(field).collect()
}

fn describe(schema: &Schema) -> String {
    let columns = schema.iter_names_and_dtypes().map(|(name, dtype)| format!("{name} {dtype}"));
    columns.collect::<Vec<_>>().join(" · ")
}
