//! The data sets of a run with their schemas, and the lineage of the columns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, DataType};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{State, facet};
use crate::columns::*;
use crate::ingest::{FileSet, LineAmount, Source};
use crate::pipeline::Pipeline;
use crate::session::Scanned;
use crate::tables::TableId;

/// Identity of a data set.
#[derive(Serialize)]
struct Dataset {
    namespace: String,
    name: String,
}

impl Dataset {
    fn local(path: &Path) -> Self {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self { namespace: "file".to_owned(), name: path.display().to_string() }
    }

    /// The namespace is the store and bucket, the name is the key.
    fn remote(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("file", url));
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Self { namespace: format!("{scheme}://{bucket}"), name: key.to_owned() }
    }

    /// The file of a source, or the common folder if there are several.
    fn source(set: &FileSet) -> Self {
        if set.files[0].fetched.is_none() {
            return Self::local(&common_path(set.files.iter().map(|file| file.path.clone())));
        }
        let Self { namespace, .. } = Self::remote(&set.files[0].name);
        let keys = set.files.iter().map(|file| PathBuf::from(Self::remote(&file.name).name));
        Self { namespace, name: common_path(keys).display().to_string() }
    }
}

/// The longest common prefix of some paths.
fn common_path(paths: impl Iterator<Item = PathBuf>) -> PathBuf {
    let common = |a: PathBuf, b: PathBuf| {
        let components = a.components().zip(b.components());
        components.take_while(|(a, b)| a == b).map(|(component, _)| component).collect()
    };
    paths.reduce(common).unwrap_or_else(PathBuf::new)
}

fn schema<'a>(columns: impl Iterator<Item = (&'a str, &'a DataType)>) -> Value {
    let field =
        |(name, dtype): (&str, &DataType)| json!({ "name": name, "type": dtype.to_string() });
    let fields: Vec<Value> = columns.map(field).collect();
    facet("1-0-0", "SchemaDatasetFacet", json!({ "fields": fields }))
}

/// The inputs of a run: the sources of transactions and the customers' source.
pub(super) fn inputs(p: &Pipeline, state: &State<'_>) -> Vec<Value> {
    let input = |set: &FileSet, facets: Value| {
        let columns = set.files[0].columns.iter().map(|(name, dtype)| (name.as_str(), dtype));
        let mut input = json!(Dataset::source(set));
        input["facets"] = json!({ "schema": schema(columns) });
        input["inputFacets"] = facets;
        input
    };
    let sources = p.ingest.sources.iter().flat_map(Source::file_sets).map(|set| match state {
        State::Running(scanned) => input(set, quality_facets(p, set, scanned)),
        _ => input(set, json!({})),
    });
    let customers = p.ingest.customers.iter().map(|customers| input(&customers.set, json!({})));
    sources.chain(customers).collect()
}

/// Size of a source of transactions, and the results of the checks.
fn quality_facets(p: &Pipeline, set: &FileSet, scanned: &Scanned<'_>) -> Value {
    let in_set = |path: &str| set.files.iter().any(|file| file.name == path);
    let files = scanned.inputs.iter().filter(|input| in_set(&input.path));
    let bytes: u64 = files.map(|input| input.bytes).sum();
    let mut metrics = json!({ "bytes": bytes, "fileCount": set.files.len(), "columnMetrics": {} });
    // The count is that of all sources together.
    if p.ingest.sources.len() == 1 {
        metrics["rowCount"] = json!(scanned.rows);
    }
    let assertions = scanned.checks.iter().map(|result| {
        let mut assertion = json!({ "assertion": result.check, "success": result.passed });
        if !result.on.is_empty() {
            assertion["column"] = json!(result.on);
        }
        assertion
    });
    let assertions = json!({ "assertions": assertions.collect::<Vec<Value>>() });
    json!({
        "dataQualityMetrics": facet("1-0-2", "DataQualityMetricsInputDatasetFacet", metrics),
        "dataQualityAssertions": facet("1-0-0", "DataQualityAssertionsDatasetFacet", assertions),
    })
}

/// The outputs of a complete run: its tables, by their paths below `current`.
pub(super) fn outputs(p: &Pipeline, state: &State<'_>) -> Vec<Value> {
    let State::Complete { run_id, outputs, tables } = *state else { return Vec::new() };
    // Rows and bytes by table. The files of the segments, one a snapshot, are one table.
    let mut sizes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for file in outputs {
        let Some(file_rows) = file.rows else { continue };
        let name = file.path.split_once('/').map_or(file.path.as_str(), |(folder, _)| folder);
        let (rows, bytes) = sizes.entry(name.trim_end_matches(".parquet")).or_insert((0, 0));
        *rows += file_rows;
        *bytes += file.bytes;
    }
    let local = p.publish.to.local_folder().map(Dataset::local);
    let folder = local.unwrap_or_else(|| Dataset::remote(&p.publish.to.url()));
    let output = |(table, (rows, bytes)): (&str, (usize, usize))| {
        let version = json!({ "datasetVersion": run_id });
        let version = facet("1-0-1", "DatasetVersionDatasetFacet", version);
        let mut facets = json!({ "version": version });
        if let Some(frame) = TableId::named(table).and_then(|id| tables?.get(id)) {
            let columns = frame.columns().iter();
            let columns = columns.map(|column| (column.name().as_str(), column.dtype()));
            facets["schema"] = schema(columns);
            if table == TableId::Segments.name() {
                facets["columnLineage"] = column_lineage(p, frame);
            }
        }
        let statistics = json!({ "rowCount": rows, "size": bytes });
        let statistics = facet("1-0-1", "OutputStatisticsOutputDatasetFacet", statistics);
        json!({
            "namespace": folder.namespace,
            "name": format!("{}/current/{table}", folder.name),
            "facets": facets,
            "outputFacets": { "outputStatistics": statistics },
        })
    };
    sizes.into_iter().map(output).collect()
}

fn column_lineage(p: &Pipeline, segments: &DataFrame) -> Value {
    let fields = segments.get_column_names().into_iter().map(|column| {
        let input = |(set, field)| {
            let mut input = json!(Dataset::source(set));
            input["field"] = json!(field);
            input
        };
        let inputs: Vec<Value> = input_fields(p, column).into_iter().map(input).collect();
        (column.to_string(), json!({ "inputFields": inputs }))
    });
    let fields: Map<String, Value> = fields.collect();
    facet("1-0-1", "ColumnLineageDatasetFacet", json!({ "fields": fields }))
}

/// The source columns from which a column of the segments is computed.
fn input_fields<'a>(p: &'a Pipeline, column: &'a str) -> Vec<(&'a FileSet, &'a str)> {
    if let Some(customers) = &p.ingest.customers
        && customers.attributes.iter().any(|attribute| attribute == column)
    {
        return vec![(&customers.set, column)];
    }
    let mut fields = Vec::new();
    for Source { set, columns, .. } in &p.ingest.sources {
        let timestamp = columns.ordered_at.as_str();
        let order = columns.order_id.as_deref().unwrap_or(timestamp);
        let mut money: Vec<&str> = match &columns.line_amount {
            LineAmount::Priced { quantity, unit_price } => vec![quantity, unit_price],
            LineAmount::Amount { amount, .. } => vec![amount],
        };
        money.extend(columns.currency.as_deref());
        let of_source = match column {
            SNAPSHOT => Vec::new(),
            CUSTOMER_ID => vec![columns.customer_id.as_str()],
            LAST_ORDER_AT | RECENCY_DAYS | R_SCORE => vec![timestamp],
            FREQUENCY | F_SCORE => vec![order],
            MONETARY | M_SCORE => money,
            // Composite scores, segments and model columns depend on all three measures.
            _ => [timestamp, order].into_iter().chain(money).collect(),
        };
        fields.extend(of_source.into_iter().map(|field| (set, field)));
    }
    fields
}
