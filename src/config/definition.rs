//! JSON of a pipeline for its fingerprint and its artefact.

use serde_json::{Value as Json, json};

use super::ingest_spec::{ColumnsSpec, TransactionSources};
use super::model_spec::{ModelSpec, OtherTargetSpec, TargetSpec};
use super::score_spec::CutPointsSpec;
use super::shape::without_nulls;
use super::spec::{
    EvaluateSpec, PipelineSpec, PublishSpec, SegmentOption, SegmentSpec, SnapshotsSpec,
};
use super::{Document, variables};
use crate::artefact;
use crate::pipeline::PortablePipeline;
use crate::segment::SegmentMap;

/// The pipeline of an artefact: without paths, checks and evaluation. Its map, exchange rates and
/// label files are stored beside it.
pub(super) fn portable(spec: &PipelineSpec, map: Json, document: &Document) -> PortablePipeline {
    let mut portable = spec.clone();
    let paths = vec![".".to_owned()];
    let transactions = match &mut portable.ingest.transactions {
        TransactionSources::One(source) => std::slice::from_mut(&mut **source),
        TransactionSources::Many(sources) => sources,
        TransactionSources::Summary(_) => &mut [],
    };
    let of_files = transactions.iter_mut().filter(|source| source.query.is_none());
    of_files.for_each(|source| source.paths.clone_from(&paths));
    portable.ingest.sources.values_mut().for_each(|table| table.paths.clone_from(&paths));
    if let Some(summary) = &mut portable.ingest.customers_summary {
        summary.paths.clone_from(&paths);
    }
    if let Some(customers) = &mut portable.ingest.customers {
        customers.paths = paths;
    }
    let mut files = Vec::new();
    if let Some(path) = &mut portable.ingest.money.rates {
        let name = artefact::RATES.to_owned();
        let path = std::mem::replace(path, name.clone());
        files.push((name, document.base("/ingest/money/rates").join(path)));
    }
    let labels = portable.models.iter_mut().filter_map(|(name, model)| {
        let base = document.base(&format!("/models/{name}/target/labels"));
        rename_labels(name, model).map(|(name, path)| (name, base.join(path)))
    });
    files.extend(labels);
    portable.checks.clear();
    portable.rfm.snapshots = SnapshotsSpec::default();
    portable.score.cut_points = CutPointsSpec::default();
    portable.segment = SegmentOption::Section(SegmentSpec {
        map: artefact::MAP.to_owned(),
        ..portable.segment.section()
    });
    portable.evaluate = EvaluateSpec::default();
    portable.engine = Default::default();
    portable.publish = PublishSpec { to: ".".to_owned(), ..PublishSpec::default() };
    // The schema does not allow null.
    let mut loadable = [json!(portable), map].map(without_nulls);
    loadable.iter_mut().for_each(escape_variables);
    let [pipeline, map] = loadable;
    PortablePipeline { pipeline, map, files }
}

/// Replaces the path of a model's label file by its name in an artefact. Returns the name and the
/// old path.
fn rename_labels(model_name: &str, model: &mut ModelSpec) -> Option<(String, String)> {
    match &mut model.target {
        Some(TargetSpec::Other(OtherTargetSpec { labels: Some(path), .. })) => {
            let suffix = path.rsplit_once('.').map_or("csv", |(_, suffix)| suffix);
            let name = format!("{model_name}.labels.{suffix}");
            Some((name.clone(), std::mem::replace(path, name)))
        }
        _ => None,
    }
}

fn escape_variables(json: &mut Json) {
    match json {
        Json::Object(entries) => entries.values_mut().for_each(escape_variables),
        Json::Array(items) => items.iter_mut().for_each(escape_variables),
        Json::String(text) => *text = variables::escape(text),
        _ => {}
    }
}

/// Everything that the results depend on, without paths, formats and names of source columns.
pub(super) fn definition_json(
    spec: &PipelineSpec,
    columns: &[&ColumnsSpec],
    map: Option<&SegmentMap>,
) -> Json {
    let has_orders = columns.iter().all(|columns| columns.order_id.is_some());
    let mut models = spec.models.clone();
    for (name, model) in &mut models {
        rename_labels(name, model);
    }
    let money = &spec.ingest.money;
    let mut definition = json!({
        "orders": if has_orders { "order_id" } else { "customer_day" },
        "timezone": spec.ingest.timezone,
        "money": { "scale": money.scale.decimals(), "currency": money.currency },
        "attributes": spec.ingest.customers.as_ref().map(|customers| &customers.attributes),
        "clean": without_nulls(json!(spec.clean)),
        "rfm": without_nulls(json!(spec.rfm)),
        "score": without_nulls(json!(spec.score)),
        "segment": map,
        "why": spec.segment.section().why,
        "models": without_nulls(json!(models)),
        "evaluate": without_nulls(json!(spec.evaluate)),
        "rejects": spec.publish.rejects,
    });
    // Absent by default, so that an older run is not taken for another definition.
    if let Some(title) = &spec.title {
        definition["title"] = json!(title);
    }
    if !spec.publish.lists.is_empty() {
        definition["lists"] = without_nulls(json!(spec.publish.lists));
    }
    definition
}

/// How the sources are read: columns, formats and checks, without paths.
pub(super) fn reading(spec: &PipelineSpec) -> Json {
    let ingest = &spec.ingest;
    let transactions = ingest.transactions.each().into_iter().map(|(_, source)| {
        json!({
            "csv": source.csv,
            "workbook": source.workbook,
            "columns": source.columns,
            "timestamps": source.timestamps,
            "format": source.format,
            "query": source.query,
            "where": source.predicate,
            "fill": source.fill,
        })
    });
    let tables = ingest.sources.iter().map(|(name, table)| {
        let table = json!({
            "csv": table.csv,
            "workbook": table.workbook,
            "format": table.format,
        });
        (name.clone(), without_nulls(table))
    });
    let tables: serde_json::Map<String, Json> = tables.collect();
    let customers = ingest.customers.as_ref().map(|customers| {
        json!({
            "csv": customers.csv,
            "workbook": customers.workbook,
            "key": customers.key,
            "attributes": customers.attributes,
        })
    });
    json!({
        "transactions": without_nulls(transactions.collect()),
        "sources": tables,
        "customers": customers.map(without_nulls),
        "null_values": ingest.null_values,
        "customer_id_case": ingest.customer_id_case,
        "unit": ingest.money.unit,
        "max_rejected": ingest.max_rejected,
        "checks": without_nulls(json!(spec.checks)),
    })
}
