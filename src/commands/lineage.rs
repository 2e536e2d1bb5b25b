//! Observes a run: forwards its progress to the log, and sends lineage events to a file or an HTTP
//! endpoint. An endpoint that fails never fails the run.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use tracing::warn;

use super::log;
use super::stages::lock;
use crate::error::Error;
use crate::lineage::{self, Parent, Run, State};
use crate::pipeline::Pipeline;
use crate::progress::{Extent, ScanObserver};
use crate::remote::masked;
use crate::session::{RunObserver, Scanned};

/// Timeout of an endpoint.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Sends the events of one run.
struct Emitter {
    to: String,
    run: Run,
    pipeline: Pipeline,
    /// Set by the last event. Later events are dropped.
    ended: Mutex<bool>,
}

/// The emitter of the current run, for the handler of signals.
static CURRENT: Mutex<Option<Arc<Emitter>>> = Mutex::new(None);

/// Observer of a run.
pub(super) struct RunReporter {
    progress: Arc<dyn RunObserver>,
    emitter: Option<Arc<Emitter>>,
}

impl RunReporter {
    /// Sends the first event if `to` is given.
    ///
    /// # Errors
    /// An invalid destination or `OPENLINEAGE_PARENT_ID`.
    pub(super) fn start(p: &Pipeline, to: Option<&str>) -> Result<Self, Error> {
        let emitter = to.map(|to| Emitter::new(p, to)).transpose()?.map(Arc::new);
        if let Some(emitter) = &emitter {
            emitter.send(&State::Start);
            *lock(&CURRENT) = Some(emitter.clone());
        }
        Ok(Self { progress: log::observer(), emitter })
    }

    /// Sends the last event.
    pub(super) fn end(&self, state: &State<'_>) {
        if let Some(emitter) = &self.emitter {
            emitter.end(state);
        }
    }
}

/// Sends the last event of the current run, if any. For the handler of signals.
pub(crate) fn end_current(state: &State<'_>) {
    let current = lock(&CURRENT).clone();
    if let Some(emitter) = current {
        emitter.end(state);
    }
}

impl ScanObserver for RunReporter {
    fn scan_started(&self, extent: Option<Extent>) {
        self.progress.scan_started(extent);
    }

    fn bytes_read(&self, bytes: usize) {
        self.progress.bytes_read(bytes);
    }

    fn rows_read(&self, rows: usize) {
        self.progress.rows_read(rows);
    }
}

impl RunObserver for RunReporter {
    fn scanned(&self, scanned: &Scanned<'_>) {
        if let Some(emitter) = &self.emitter {
            emitter.send(&State::Running(scanned));
        }
    }
}

impl Emitter {
    fn new(p: &Pipeline, to: &str) -> Result<Self, Error> {
        if let Some((scheme, _)) = to.split_once("://")
            && !["http", "https"].contains(&scheme)
        {
            return Err(Error::Usage(format!(
                "--lineage: expected a file or an http:// or https:// URL, found `{scheme}://`"
            )));
        }
        let parent = variable("OPENLINEAGE_PARENT_ID").map(|text| parent(&text)).transpose()?;
        let namespace = variable("OPENLINEAGE_NAMESPACE").unwrap_or_else(|| "custseg".to_owned());
        let run = Run { id: uuid::Uuid::new_v4().to_string(), namespace, parent };
        Ok(Self { to: to.to_owned(), run, pipeline: p.clone(), ended: Mutex::new(false) })
    }

    fn end(&self, state: &State<'_>) {
        let mut ended = lock(&self.ended);
        if !*ended {
            *ended = true;
            self.send(state);
        }
    }

    fn send(&self, state: &State<'_>) {
        let now =
            DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Millis, true);
        let event = lineage::event(&self.pipeline, &self.run, state, &now);
        let is_url = self.to.starts_with("http://") || self.to.starts_with("https://");
        let sent = if is_url { post(&self.to, &event) } else { append(&self.to, &event) };
        if let Err(reason) = sent {
            warn!(to = %masked(&self.to), reason, "lineage event could not be sent");
        }
    }
}

/// A variable of the environment, if it is not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn parent(text: &str) -> Result<Parent, Error> {
    match Parent::parse(text) {
        Some(parent) if uuid::Uuid::parse_str(&parent.run).is_ok() => Ok(parent),
        _ => Err(Error::Usage(format!(
            "OPENLINEAGE_PARENT_ID: expected namespace/job/uuid, found `{text}`"
        ))),
    }
}

fn append(path: &str, event: &Value) -> Result<(), String> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    // One write per line, so that the lines of parallel runs do not mix.
    let written = file.and_then(|mut file| file.write_all(format!("{event}\n").as_bytes()));
    written.map_err(|error| error.to_string())
}

/// Posts an event as OpenLineage's clients do: to the path `OPENLINEAGE_ENDPOINT` below the URL,
/// with `OPENLINEAGE_API_KEY` as bearer token.
fn post(url: &str, event: &Value) -> Result<(), String> {
    let mut url = url::Url::parse(url).map_err(|error| error.to_string())?;
    if url.path() == "/" {
        let path = std::env::var("OPENLINEAGE_ENDPOINT");
        url.set_path(path.as_deref().unwrap_or("api/v1/lineage"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    // The URL may contain a secret.
    runtime.block_on(send(url, event)).map_err(|error| error.without_url().to_string())
}

async fn send(url: url::Url, event: &Value) -> Result<(), reqwest::Error> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let request = client.post(url).header("content-type", "application/json");
    let request = match std::env::var("OPENLINEAGE_API_KEY") {
        Ok(key) => request.bearer_auth(key),
        Err(_) => request,
    };
    request.body(event.to_string()).send().await?.error_for_status().map(|_| ())
}
