//! Sends the events of `custseg::lineage` to a file or an HTTP endpoint. A catalogue that cannot be reached fails no run.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use tracing::warn;

use custseg::error::Error;
use custseg::lineage::{self, Parent, Run, State};
use custseg::pipeline::{Pipeline, Scanned};
use custseg::remote::masked;

/// How long an endpoint may take: nobody waits longer for a catalogue, least of all after a signal.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where events go, and which run they are of.
pub(crate) struct Told {
    to: String,
    run: Run,
    pipeline: Pipeline,
}

/// The run that a signal would end, where its events are wanted.
static GOING_ON: Mutex<Option<Told>> = Mutex::new(None);

/// Begins to tell of a run.
pub(super) fn begin(p: &Pipeline, to: &str) -> Result<(), Error> {
    if let Some((scheme, _)) =
        to.split_once("://").filter(|(scheme, _)| !["http", "https"].contains(scheme))
    {
        return Err(Error::Usage(format!(
            "--lineage: expected a file or an http:// or https:// URL, found `{scheme}://`"
        )));
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let parent = variable("OPENLINEAGE_PARENT_ID");
    let parent = parent
        .map(|text| {
            Parent::read(&text)
                .filter(|parent| uuid::Uuid::parse_str(&parent.run).is_ok())
                .ok_or_else(|| {
                    Error::Usage(format!(
                        "OPENLINEAGE_PARENT_ID: expected namespace/job/uuid, found `{text}`"
                    ))
                })
        })
        .transpose()?;
    let namespace = variable("OPENLINEAGE_NAMESPACE").unwrap_or_else(|| "custseg".to_owned());
    let run = Run { id: uuid::Uuid::new_v4().to_string(), namespace, parent };
    let told = Told { to: to.to_owned(), run, pipeline: p.clone() };
    told.tell(&State::Start);
    *going_on() = Some(told);
    Ok(())
}

/// Tells what was read.
pub(super) fn scanned(scanned: &Scanned<'_>) {
    if let Some(told) = &*going_on() {
        told.tell(&State::Running(scanned));
    }
}

/// Tells how the run ended, after which nothing more is told.
pub(crate) fn end(state: &State<'_>) {
    if let Some(told) = going_on().take() {
        told.tell(state);
    }
}

fn going_on() -> std::sync::MutexGuard<'static, Option<Told>> {
    GOING_ON.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Told {
    fn tell(&self, state: &State<'_>) {
        let at =
            DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Millis, true);
        let event = lineage::event(&self.pipeline, &self.run, state, &at);
        let sent = match self.to.starts_with("http://") || self.to.starts_with("https://") {
            true => post(&self.to, &event),
            false => append(&self.to, &event),
        };
        if let Err(reason) = sent {
            warn!(to = %masked(&self.to), reason, "lineage: an event was not taken");
        }
    }
}

fn append(path: &str, event: &Value) -> Result<(), String> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| error.to_string())?;
    // One write a line, so that runs side by side do not mix theirs.
    file.write_all(format!("{event}\n").as_bytes()).map_err(|error| error.to_string())
}

/// Posts an event as OpenLineage's own clients do: `OPENLINEAGE_ENDPOINT` below the URL, `OPENLINEAGE_API_KEY` as bearer.
fn post(url: &str, event: &Value) -> Result<(), String> {
    let mut url = url::Url::parse(url).map_err(|error| error.to_string())?;
    if url.path() == "/" {
        url.set_path(
            &std::env::var("OPENLINEAGE_ENDPOINT").unwrap_or_else(|_| "api/v1/lineage".to_owned()),
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime
        .block_on(async {
            let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
            let mut request =
                client.post(url).header("content-type", "application/json").body(event.to_string());
            if let Ok(key) = std::env::var("OPENLINEAGE_API_KEY") {
                request = request.bearer_auth(key);
            }
            request.send().await?.error_for_status().map(|_| ())
        })
        // An address may hold a secret.
        .map_err(|error: reqwest::Error| error.without_url().to_string())
}
