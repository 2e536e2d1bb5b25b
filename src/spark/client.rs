//! The Spark Connect client: connects with timeouts, runs statements, reports errors in one line.

#![expect(clippy::result_large_err, reason = "the size of `SparkError` is given by the client")]

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use spark_connect::{SparkError, SparkSession};
use tracing::{debug, info, info_span};

use super::{SETTINGS, Statement};
use crate::error::{Class, Error};

const STAGE: &str = "spark";
const DEFAULT_PORT: &str = ":15002";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of the first response. The client itself retries silently for more than a minute.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);

/// The session of this process, for [`cancel`].
static SESSION: Mutex<Option<SparkSession>> = Mutex::new(None);

fn lock_session() -> MutexGuard<'static, Option<SparkSession>> {
    SESSION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A cluster with a session of its own.
pub(super) struct Cluster {
    session: SparkSession,
}

impl Cluster {
    /// # Errors
    /// A server that cannot be reached or does not respond in time.
    pub(super) fn connect(remote: &str) -> Result<Self, Error> {
        let address = address(remote);
        check_reachable(address)?;
        let (session, version) = open_session(remote, address)?;
        info!(server = address, version, "connected to the cluster");
        session.register_progress_handler(|progress| {
            let done: i64 = progress.stages.iter().map(|stage| stage.num_completed_tasks).sum();
            let all: i64 = progress.stages.iter().map(|stage| stage.num_tasks).sum();
            debug!(done, all, "tasks");
        });
        for (key, value) in SETTINGS {
            session.conf().set(key, value).map_err(|error| failed(STAGE, &error))?;
        }
        *lock_session() = Some(session.clone());
        Ok(Self { session })
    }

    /// Writes a table below `to`. A view is not written.
    pub(super) fn write(&self, statement: &Statement, to: &str) -> Result<(), Error> {
        let Statement { stage, name, sql, path: Some(path), partition_by } = statement else {
            return Ok(());
        };
        let _span = info_span!("spark", stage).entered();
        info!(table = name, "written by the cluster");
        let written = self.session.sql(sql).and_then(|frame| {
            let writer = frame.write().mode("overwrite").option("compression", "zstd");
            writer.partition_by(partition_by.iter().copied()).parquet(&format!("{to}/{path}"))
        });
        written.map_err(|error| failed(stage, &error))
    }

    /// Creates the view of a statement. The view of a table reads the files below `to`.
    pub(super) fn create_view(&self, statement: &Statement, to: &str) -> Result<(), Error> {
        // The statement runs only when its result is collected.
        let created = self.session.sql(&statement.view_sql(to));
        let created = created.and_then(|frame| frame.collect_record_batches().map(|_| ()));
        created.map_err(|error| failed(statement.stage, &error))
    }

    /// Fails if the server cannot parse a query that pipes rows through a program. It is not run.
    pub(super) fn check_transform(&self) -> Result<(), Error> {
        let query = "SELECT TRANSFORM (1) USING 'cat' AS (x STRING)";
        let schema = self.session.sql(query).and_then(|frame| frame.schema().map(|_| ()));
        schema.map_err(|error| {
            let reason: String = describe(&error).chars().take(120).collect();
            let message = format!(
                "models with features other than scores need TRANSFORM, which this server does \
                 not support: {reason} …"
            );
            spark_error("model", message)
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        *lock_session() = None;
        if let Err(error) = self.session.stop() {
            debug!(%error, "session not closed");
        }
    }
}

/// Interrupts what the cluster runs for this process.
pub(crate) fn cancel() {
    let Some(session) = lock_session().take() else { return };
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let _ = sender.send(session.interrupt_all().is_ok());
    });
    let stopped = receiver.recv_timeout(CANCEL_TIMEOUT).unwrap_or(false);
    info!(stopped, "interrupt sent to the cluster");
}

/// Host and port of a server, without its parameters, which may be secret.
fn address(remote: &str) -> &str {
    let rest = remote.strip_prefix("sc://").unwrap_or(remote);
    rest.split_once('/').map_or(rest, |(address, _)| address)
}

fn check_reachable(address: &str) -> Result<(), Error> {
    let port = if address.contains(':') { "" } else { DEFAULT_PORT };
    let with_port = format!("{address}{port}");
    let unreachable =
        |reason: String| spark_error(STAGE, format!("no server at {with_port}: {reason}"));
    let addresses = with_port.to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
    let mut last = "host name could not be resolved".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(unreachable(last))
}

/// Opens a session, and returns it with the version of the server.
fn open_session(remote: &str, address: &str) -> Result<(SparkSession, String), Error> {
    let (sender, receiver) = mpsc::channel();
    let url = remote.to_owned();
    thread::spawn(move || {
        let session = SparkSession::builder().remote(&url).get_or_create();
        let opened =
            session.and_then(|session| session.version().map(|version| (session, version)));
        // Nothing receives it after the timeout.
        let _ = sender.send(opened);
    });
    let opened = receiver.recv_timeout(RESPONSE_TIMEOUT).map_err(|_| {
        let seconds = RESPONSE_TIMEOUT.as_secs();
        let message = format!(
            "{address} accepts connections, but did not respond within {seconds} s: \
             is it Spark Connect?"
        );
        spark_error(STAGE, message)
    })?;
    opened.map_err(|error| failed(STAGE, &error))
}

fn failed(stage: &'static str, error: &SparkError) -> Error {
    spark_error(stage, describe(error))
}

/// The first line of a server's error with its class. The other lines are the plan.
fn describe(error: &SparkError) -> String {
    let message = error.message();
    let mut lines = message.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty()).unwrap_or("failed without a message");
    let Some(class) = error.get_error_class().filter(|class| !class.is_empty()) else {
        return first.to_owned();
    };
    // Some servers repeat the class in the message.
    let class = format!("[{class}]");
    let rest = first.strip_prefix(class.as_str()).map_or(first, str::trim_start);
    if rest.contains(&class) { rest.to_owned() } else { format!("{class} {rest}") }
}

pub(super) fn spark_error(stage: &'static str, message: String) -> Error {
    Error::Stage { stage: Some(stage), class: Class::System, report: false, source: message.into() }
}
