//! `lineage`: what a run tells a catalogue of data, as events of [OpenLineage](https://openlineage.io/spec/2-0-2/OpenLineage.json).
//!
//! START as it begins, RUNNING once the source is read (how many rows, and what the checks found), and one of COMPLETE, FAIL and ABORT. Each
//! is one JSON object; sending them is for whoever has a clock and a wire.

use serde_json::{Map, Value, json};

use crate::evaluate::Tables;
use crate::pipeline::{Pipeline, Scanned};
use crate::publish::manifest::Output;

pub mod datasets;

/// Where custseg's own schema of events begins.
const SPEC: &str = "https://openlineage.io/spec";

/// Which run the events are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// A UUID of this very try.
    pub id: String,
    /// Namespace of the job.
    pub namespace: String,
    /// The run that started this one.
    pub parent: Option<Parent>,
}

/// The run that started a run, such as a task of Airflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Namespace of its job.
    pub namespace: String,
    /// Its job.
    pub job: String,
    /// Its UUID.
    pub run: String,
}

impl Parent {
    /// Reads `namespace/job/uuid`, as Airflow's `lineage_parent_id` writes it; the job may hold slashes.
    pub fn read(text: &str) -> Option<Self> {
        let (rest, run) = text.rsplit_once('/')?;
        let (namespace, job) = rest.split_once('/')?;
        let (namespace, job, run) = (namespace.to_owned(), job.to_owned(), run.to_owned());
        (!namespace.is_empty() && !job.is_empty() && !run.is_empty()).then_some(Self {
            namespace,
            job,
            run,
        })
    }
}

/// What has happened.
pub enum State<'a> {
    /// The run begins.
    Start,
    /// The source is read, and its checks hold.
    Running(&'a Scanned<'a>),
    /// Results are there.
    Complete {
        /// The run's id, by which its folder is called.
        run_id: &'a str,
        /// Files that were written; none where nothing was new.
        outputs: &'a [Output],
        /// The tables, where they were made by this run.
        tables: Option<&'a Tables>,
    },
    /// The run failed, with these words.
    Fail(&'a str),
    /// The run was stopped, with these words.
    Abort(&'a str),
}

/// An event at a moment, which is written as ISO 8601.
pub fn event(p: &Pipeline, run: &Run, state: &State<'_>, at: &str) -> Value {
    let (kind, words) = match state {
        State::Start => ("START", None),
        State::Running(_) => ("RUNNING", None),
        State::Complete { .. } => ("COMPLETE", None),
        State::Fail(words) => ("FAIL", Some(*words)),
        State::Abort(words) => ("ABORT", Some(*words)),
    };
    let mut facets = Map::new();
    let engine = json!({ "name": "custseg", "version": env!("CARGO_PKG_VERSION") });
    facets
        .insert("processing_engine".to_owned(), facet("1-1-0", "ProcessingEngineRunFacet", engine));
    if let Some(Parent { namespace, job, run }) = &run.parent {
        let parent =
            json!({ "run": { "runId": run }, "job": { "namespace": namespace, "name": job } });
        facets.insert("parent".to_owned(), facet("1-0-1", "ParentRunFacet", parent));
    }
    if let Some(words) = words {
        let message = json!({ "message": words, "programmingLanguage": "Rust" });
        facets.insert("errorMessage".to_owned(), facet("1-0-0", "ErrorMessageRunFacet", message));
    }
    let scanned = if let State::Running(scanned) = state { Some(*scanned) } else { None };
    let outputs = match state {
        State::Complete { run_id, outputs, tables } => {
            datasets::outputs(p, run_id, outputs, *tables)
        }
        _ => Vec::new(),
    };
    let job_type = json!({ "processingType": "BATCH", "integration": "CUSTSEG", "jobType": "JOB" });
    json!({
        "eventType": kind,
        "eventTime": at,
        "producer": producer(),
        "schemaURL": format!("{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"),
        "run": { "runId": run.id, "facets": facets },
        "job": {
            "namespace": run.namespace,
            "name": p.name,
            "facets": { "jobType": facet("2-0-4", "JobTypeJobFacet", job_type) },
        },
        "inputs": datasets::inputs(p, scanned),
        "outputs": outputs,
    })
}

/// What makes the events.
fn producer() -> String {
    format!("https://crates.io/crates/custseg/{}", env!("CARGO_PKG_VERSION"))
}

/// A facet: what it says, and by which schema.
fn facet(version: &str, name: &str, says: Value) -> Value {
    let mut facet = Map::new();
    facet.insert("_producer".to_owned(), json!(producer()));
    facet.insert(
        "_schemaURL".to_owned(),
        json!(format!("{SPEC}/facets/{version}/{name}.json#/$defs/{name}")),
    );
    facet.extend(says.as_object().cloned().unwrap_or_default());
    Value::Object(facet)
}
