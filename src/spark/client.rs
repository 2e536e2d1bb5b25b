//! The Spark Connect client: a server that is looked for before it is believed in, statements by their stages, errors in one line.

#![expect(clippy::result_large_err, reason = "the client's errors are as large as it makes them")]

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use spark_connect::{SparkError, SparkSession};
use tracing::{debug, info, info_span};

use super::{Body, SETTINGS, Statement};
use crate::error::Error;

const STAGE: &str = "spark";
/// How long a server may take to be there.
const THERE: Duration = Duration::from_secs(5);
/// How long it may take to say its version. The client itself would try again for more than a minute, without a word.
const ANSWERED: Duration = Duration::from_secs(20);
/// How long a server may take to hear that it is to stop.
const STOPPED: Duration = Duration::from_secs(3);

/// The session of this process, for whoever has to stop it.
static SESSION: Mutex<Option<SparkSession>> = Mutex::new(None);

/// A cluster, with a session of its own.
pub(super) struct Cluster {
    session: SparkSession,
}

impl Cluster {
    /// Looks for the server, and begins a session.
    ///
    /// # Errors
    /// A server that is not there, or does not answer in time.
    pub(super) fn at(remote: &str) -> Result<Self, Error> {
        let place = place(remote);
        reach(place)?;
        let (tell, told) = mpsc::channel();
        let url = remote.to_owned();
        thread::spawn(move || {
            let session = SparkSession::builder().remote(&url).get_or_create();
            let answer =
                session.and_then(|session| session.version().map(|version| (session, version)));
            // Nobody listens any more where it took too long.
            let _ = tell.send(answer);
        });
        let (session, version) = match told.recv_timeout(ANSWERED) {
            Ok(answer) => answer.map_err(|error| failed(STAGE, &error))?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let words = format!(
                    "{place} takes connections, but did not answer within {} s: is it Spark Connect?",
                    ANSWERED.as_secs()
                );
                return Err(Error::Spark { stage: STAGE, words });
            }
        };
        info!(server = place, version, "cluster found");
        session.register_progress_handler(|progress| {
            let (done, all) = progress.stages.iter().fold((0, 0), |(done, all), stage| {
                (done + stage.num_completed_tasks, all + stage.num_tasks)
            });
            debug!(done, all, "tasks");
        });
        for (key, value) in SETTINGS {
            session.conf().set(key, value).map_err(|error| failed(STAGE, &error))?;
        }
        *SESSION.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        Ok(Self { session })
    }

    /// Writes a table below `to`, if the statement is one.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn write(&self, statement: &Statement, to: &str) -> Result<(), Error> {
        let Statement { stage, name, body } = statement;
        let _span = info_span!("spark", stage).entered();
        if let Body::Table { select, path, partition_by } = body {
            info!(table = name, "written by the cluster");
            let written = self.session.sql(select).and_then(|frame| {
                let writer = frame.write().mode("overwrite").option("compression", "zstd");
                let parted = partition_by.iter().copied();
                writer.partition_by(parted).parquet(&format!("{to}/{path}"))
            });
            written.map_err(|error| failed(stage, &error))?;
        }
        Ok(())
    }

    /// Makes the view of a statement; of a table, once it is written below `to`.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn view(&self, statement: &Statement, to: &str) -> Result<(), Error> {
        let Statement { stage, .. } = statement;
        // Nothing runs before its outcome is asked for.
        let made = self
            .session
            .sql(&statement.view_sql(to))
            .and_then(|made| made.collect_record_batches());
        made.map_err(|error| failed(stage, &error)).map(|_| ())
    }

    /// Whether the server understands a query, which it does not run.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn understands(&self, stage: &'static str, query: &str) -> Result<(), Error> {
        let frame = self.session.sql(query).map_err(|error| failed(stage, &error))?;
        frame.schema().map(|_| ()).map_err(|error| failed(stage, &error))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        *SESSION.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Err(error) = self.session.stop() {
            debug!(%error, "the session was not closed");
        }
    }
}

/// Stops what the cluster does for this process, if it does something.
pub fn cancel() {
    let session = SESSION.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(session) = session else { return };
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let _ = tell.send(session.interrupt_all().is_ok());
    });
    let stopped = told.recv_timeout(STOPPED).unwrap_or(false);
    info!(stopped, "the cluster was told to stop");
}

/// Host and port of a server, without what may be secret.
fn place(remote: &str) -> &str {
    let rest = remote.strip_prefix("sc://").unwrap_or(remote);
    rest.split_once('/').map_or(rest, |(place, _)| place)
}

fn reach(place: &str) -> Result<(), Error> {
    let with_port = if place.contains(':') { place.to_owned() } else { format!("{place}:15002") };
    let unreached = |why: String| Error::Spark {
        stage: STAGE,
        words: format!("no server at {with_port}: {why}"),
    };
    let mut last = "the name leads nowhere".to_owned();
    for address in with_port.to_socket_addrs().map_err(|error| unreached(error.to_string()))? {
        match TcpStream::connect_timeout(&address, THERE) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(unreached(last))
}

/// What a server says, in one line: the others hold the plan.
fn failed(stage: &'static str, error: &SparkError) -> Error {
    let message = error.message();
    let first = message
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("failed without a word");
    let class = error
        .get_error_class()
        .filter(|class| !class.is_empty())
        .map(|class| format!("[{class}] "));
    let class = class.unwrap_or_default();
    // Some servers say it twice, some not at all.
    let said = first.strip_prefix(class.as_str()).unwrap_or(first);
    let words =
        if said.contains(class.trim()) { said.to_owned() } else { format!("{class}{said}") };
    Error::Spark { stage, words }
}
