//! `lineage`: run events of [OpenLineage](https://openlineage.io/spec/2-0-2/OpenLineage.json).
//!
//! A run emits START, then RUNNING when the source is read and checked, then one of COMPLETE, FAIL
//! and ABORT. Each event is one JSON object. Sending it is left to `commands`.

use serde_json::{Map, Value, json};

use crate::evaluate::Tables;
use crate::manifest::Output;
use crate::pipeline::Pipeline;
use crate::session::Scanned;

mod datasets;

const SPEC: &str = "https://openlineage.io/spec";
const PRODUCER: &str = concat!("https://crates.io/crates/custseg/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// UUID of this attempt. A retry gets another one.
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) parent: Option<Parent>,
}

/// The run that started a run, such as an Airflow task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) namespace: String,
    pub(crate) job: String,
    pub(crate) run: String,
}

impl Parent {
    /// Parses `namespace/job/uuid`, the format of Airflow's `lineage_parent_id`. The job may have
    /// slashes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (rest, run) = text.rsplit_once('/')?;
        let (namespace, job) = rest.split_once('/')?;
        let is_complete = [namespace, job, run].iter().all(|part| !part.is_empty());
        let [namespace, job, run] = [namespace, job, run].map(str::to_owned);
        is_complete.then_some(Self { namespace, job, run })
    }
}

pub(crate) enum State<'a> {
    Start,
    /// The source is read and its checks passed.
    Running(&'a Scanned<'a>),
    Complete {
        /// Name of the run's folder.
        run_id: &'a str,
        /// The files written, none if the run was up to date.
        outputs: &'a [Output],
        /// The tables, if this run computed them.
        tables: Option<&'a Tables>,
    },
    Fail(&'a str),
    /// With the reason of the stop.
    Abort(&'a str),
}

/// The event of a state. `time` is an ISO 8601 timestamp.
pub(crate) fn event(p: &Pipeline, run: &Run, state: &State<'_>, time: &str) -> Value {
    let event_type = match state {
        State::Start => "START",
        State::Running(_) => "RUNNING",
        State::Complete { .. } => "COMPLETE",
        State::Fail(_) => "FAIL",
        State::Abort(_) => "ABORT",
    };
    let engine = json!({ "name": "custseg", "version": env!("CARGO_PKG_VERSION") });
    let engine = facet("1-1-0", "ProcessingEngineRunFacet", engine);
    let mut facets = Map::from_iter([("processing_engine".to_owned(), engine)]);
    if let Some(Parent { namespace, job, run }) = &run.parent {
        let parent =
            json!({ "run": { "runId": run }, "job": { "namespace": namespace, "name": job } });
        facets.insert("parent".to_owned(), facet("1-0-1", "ParentRunFacet", parent));
    }
    if let State::Fail(message) | State::Abort(message) = state {
        let error = json!({ "message": message, "programmingLanguage": "Rust" });
        facets.insert("errorMessage".to_owned(), facet("1-0-0", "ErrorMessageRunFacet", error));
    }
    let job_type = json!({ "processingType": "BATCH", "integration": "CUSTSEG", "jobType": "JOB" });
    json!({
        "eventType": event_type,
        "eventTime": time,
        "producer": PRODUCER,
        "schemaURL": format!("{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"),
        "run": { "runId": run.id, "facets": facets },
        "job": {
            "namespace": run.namespace,
            "name": p.name,
            "facets": { "jobType": facet("2-0-4", "JobTypeJobFacet", job_type) },
        },
        "inputs": datasets::inputs(p, state),
        "outputs": datasets::outputs(p, state),
    })
}

/// Adds the producer and the URL of the schema to the fields of a facet.
fn facet(version: &str, name: &str, fields: Value) -> Value {
    let mut facet = json!({
        "_producer": PRODUCER,
        "_schemaURL": format!("{SPEC}/facets/{version}/{name}.json#/$defs/{name}"),
    });
    if let (Value::Object(facet), Value::Object(fields)) = (&mut facet, fields) {
        facet.extend(fields);
    }
    facet
}
