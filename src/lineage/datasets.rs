//! The data sets that a run reads and writes, with their columns, and which column is made of which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::facet;
use crate::columns::*;
use crate::evaluate::{SEGMENTS, Tables};
use crate::ingest::{FileSet, Worth};
use crate::pipeline::{Pipeline, Scanned};
use crate::publish::manifest::Output;

/// A data set by its name.
struct Dataset {
    namespace: String,
    name: String,
}

impl Dataset {
    /// A file or folder of this machine.
    fn at(path: &Path) -> Self {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self { namespace: "file".to_owned(), name: whole.display().to_string() }
    }

    /// What a URL names: its store, and the key in it.
    fn remote(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("file", url));
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Self { namespace: format!("{scheme}://{bucket}"), name: key.to_owned() }
    }

    /// The files of a source: one by its own name, several by the folder that holds them all.
    fn of(set: &FileSet) -> Self {
        if let Some(file) = set.files.first().filter(|file| file.fetched.is_some()) {
            let Self { namespace, name } = Self::remote(&file.name);
            let names = set.files.iter().map(|file| PathBuf::from(Self::remote(&file.name).name));
            let common = names.fold(PathBuf::from(name), |common, name| shared(&common, &name));
            return Self { namespace, name: common.display().to_string() };
        }
        let mut paths = set.files.iter().map(|file| file.path.as_path());
        let first = paths.next().map(Path::to_owned).unwrap_or_default();
        Self::at(&paths.fold(first, |common, path| shared(&common, path)))
    }
}

/// The deepest folder that two paths have in common.
fn shared(one: &Path, other: &Path) -> PathBuf {
    let both = one.components().zip(other.components());
    both.take_while(|(a, b)| a == b).map(|(component, _)| component).collect()
}

/// What a run reads: the sources of transactions, and the customers' source.
pub(super) fn inputs(p: &Pipeline, scanned: Option<&Scanned<'_>>) -> Vec<Value> {
    let sources = p.ingest.sources.iter().map(|source| &source.set);
    let customers = p.ingest.customers.iter().map(|customers| &customers.set);
    let mut made = Vec::new();
    for (idx, set) in sources.chain(customers).enumerate() {
        let Dataset { namespace, name } = Dataset::of(set);
        let columns = set.files.first().map(|file| file.columns.as_slice()).unwrap_or_default();
        let fields: Vec<Value> = columns
            .iter()
            .map(|(name, dtype)| json!({ "name": name, "type": dtype.to_string() }))
            .collect();
        let of_lines = idx < p.ingest.sources.len();
        let said = scanned.filter(|_| of_lines).map(|scanned| quality(p, set, scanned));
        made.push(json!({
            "namespace": namespace,
            "name": name,
            "facets": { "schema": facet("1-0-0", "SchemaDatasetFacet", json!({ "fields": fields })) },
            "inputFacets": said.unwrap_or_else(|| json!({})),
        }));
    }
    made
}

/// What was found of a source of transactions.
fn quality(p: &Pipeline, set: &FileSet, scanned: &Scanned<'_>) -> Value {
    let of_set = |path: &str| set.files.iter().any(|file| file.name == path);
    let bytes: u64 =
        scanned.inputs.iter().filter(|input| of_set(&input.path)).map(|input| input.bytes).sum();
    let mut metrics = json!({ "bytes": bytes, "fileCount": set.files.len(), "columnMetrics": {} });
    // Rows are counted over all sources together.
    if p.ingest.sources.len() == 1 {
        metrics["rowCount"] = json!(scanned.rows);
    }
    let assertions = scanned.verdicts.iter().map(|verdict| {
        let mut assertion = json!({ "assertion": verdict.check, "success": verdict.passed });
        if !verdict.on.is_empty() {
            assertion["column"] = json!(verdict.on);
        }
        assertion
    });
    let assertions = json!({ "assertions": assertions.collect::<Vec<Value>>() });
    json!({
        "dataQualityMetrics": facet("1-0-2", "DataQualityMetricsInputDatasetFacet", metrics),
        "dataQualityAssertions": facet("1-0-0", "DataQualityAssertionsDatasetFacet", assertions),
    })
}

/// What a run writes: its tables, by the names under which readers find them in every run.
pub(super) fn outputs(
    p: &Pipeline,
    run_id: &str,
    outputs: &[Output],
    tables: Option<&Tables>,
) -> Vec<Value> {
    let mut found: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for output in outputs {
        let Some(rows) = output.rows else { continue };
        // The snapshots of the segments are parts of one table.
        let table = output.path.split('/').next().unwrap_or_default();
        let (all, bytes) = found.entry(table.trim_end_matches(".parquet")).or_default();
        (*all, *bytes) = (*all + rows, *bytes + output.bytes);
    }
    let of = |(table, (rows, bytes)): (&str, (usize, usize))| {
        let Dataset { namespace, name } = match &p.publish.mirror {
            Some(mirror) => Dataset::remote(&mirror.url),
            None => Dataset::at(&p.publish.to),
        };
        let version =
            facet("1-0-1", "DatasetVersionDatasetFacet", json!({ "datasetVersion": run_id }));
        let mut facets = json!({ "version": version });
        let frame = tables.and_then(|tables| {
            if table == SEGMENTS { Some(&tables.segments) } else { tables.get(table) }
        });
        if let Some(frame) = frame {
            let fields: Vec<Value> = frame
                .columns()
                .iter()
                .map(|column| json!({ "name": column.name().as_str(), "type": column.dtype().to_string() }))
                .collect();
            facets["schema"] = facet("1-0-0", "SchemaDatasetFacet", json!({ "fields": fields }));
            if table == SEGMENTS {
                let fields = frame
                    .get_column_names()
                    .into_iter()
                    .map(|column| (column.to_string(), ancestors(p, column)));
                let fields: serde_json::Map<String, Value> = fields.collect();
                facets["columnLineage"] =
                    facet("1-0-1", "ColumnLineageDatasetFacet", json!({ "fields": fields }));
            }
        }
        let statistics = json!({ "rowCount": rows, "size": bytes });
        json!({
            "namespace": namespace,
            "name": format!("{name}/current/{table}"),
            "facets": facets,
            "outputFacets": { "outputStatistics": facet("1-0-1", "OutputStatisticsOutputDatasetFacet", statistics) },
        })
    };
    found.into_iter().map(of).collect()
}

/// The columns of the sources that a column of the segments is made of.
fn ancestors(p: &Pipeline, column: &str) -> Value {
    let mut fields = Vec::new();
    let mut add = |set: &FileSet, field: &str| {
        let Dataset { namespace, name } = Dataset::of(set);
        fields.push(json!({ "namespace": namespace, "name": name, "field": field }));
    };
    if let Some(customers) =
        p.ingest.customers.as_ref().filter(|params| params.attributes.iter().any(|a| a == column))
    {
        add(&customers.set, column);
        return json!({ "inputFields": fields });
    }
    for source in &p.ingest.sources {
        let columns = &source.columns;
        let order = columns.order_id.as_deref().unwrap_or(&columns.ordered_at);
        let mut money: Vec<&str> = match &columns.worth {
            Worth::Priced { quantity, unit_price } => vec![quantity, unit_price],
            Worth::Amount { amount, .. } => vec![amount],
        };
        money.extend(columns.currency.as_deref());
        let when = columns.ordered_at.as_str();
        let made_of: Vec<&str> = match column {
            SNAPSHOT => Vec::new(),
            CUSTOMER_ID => vec![&columns.customer_id],
            LAST_ORDER_AT | RECENCY_DAYS | R_SCORE => vec![when],
            FREQUENCY | F_SCORE => vec![order],
            MONETARY | M_SCORE => money,
            // What has a score, a segment or a model in it is made of all that is measured.
            _ => [when, order].into_iter().chain(money).collect(),
        };
        made_of.into_iter().for_each(|field| add(&source.set, field));
    }
    json!({ "inputFields": fields })
}
