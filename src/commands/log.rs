//! The log on standard error: lines for people or for programs, one for the end of every stage, and signs of life in between.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber, info};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::cli::{LogFormat, Machine};
use custseg::progress;

/// Spans of this name are stages.
const STAGES: [&str; 11] = [
    "ingest", "clean", "orders", "checks", "rfm", "score", "segment", "model", "evaluate",
    "artefact", "publish",
];

/// The stage that reads the source, whose course is counted.
const SCAN: &str = "orders";

/// How often a sign of life is given where there is no terminal.
const SIGN: Duration = Duration::from_secs(5);

/// The stages that are entered, the innermost last, with when they were.
static ENTERED: Mutex<Vec<(&'static str, Instant)>> = Mutex::new(Vec::new());

/// The bar, where there is one.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Whether log lines are for programs, so that nothing else is to be written beside them.
static JSON: OnceLock<bool> = OnceLock::new();

/// Starts the log.
pub(crate) fn start(machine: &Machine) {
    let level = match (machine.quiet, machine.verbose) {
        (true, _) => "error",
        (false, 0) => "custseg=info,warn",
        (false, 1) => "custseg=debug,warn",
        (false, _) => "custseg=trace,info",
    };
    // Who asks for silence on the command line means it, whatever is exported.
    let exported = EnvFilter::try_from_default_env().ok().filter(|_| !machine.quiet);
    let filter = exported.unwrap_or_else(|| EnvFilter::new(level));
    let json = machine.log_format == LogFormat::Json;
    let terminal = io::stderr().is_terminal();
    JSON.get_or_init(|| json);
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let closing =
        if machine.verbose > 0 { fmt::format::FmtSpan::CLOSE } else { fmt::format::FmtSpan::NONE };
    let lines = fmt::layer().with_writer(BesideTheBar::default);
    let lines = match json {
        true => lines.json().boxed(),
        false => {
            lines.with_ansi(colour).with_target(false).with_span_events(closing).compact().boxed()
        }
    };
    tracing_subscriber::registry().with(filter).with(lines).with(Stages { told: json }).init();
    if !machine.quiet {
        watch(terminal && !json);
    }
}

/// Whether log lines are for programs.
pub(crate) fn is_json() -> bool {
    JSON.get().copied().unwrap_or_default()
}

/// Writes why the program fails: for people as it stands, for programs as a line of the log.
pub(crate) fn failure(words: &str, exit_code: u8) {
    clear();
    match is_json() {
        true => {
            let message = words.trim_start_matches("error: ");
            say(&format!(
                "{}\n",
                line("ERROR", &json!({ "message": message, "exit_code": exit_code }))
            ));
        }
        false => say(&format!("{words}\n")),
    }
}

/// Writes to standard error. Nobody is there to be told where that cannot be written, and it changes nothing.
pub(crate) fn say(words: &str) {
    let _ = io::stderr().write_all(words.as_bytes());
}

/// A line as the JSON log has it.
fn line(level: &str, fields: &serde_json::Value) -> serde_json::Value {
    let now = DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({ "timestamp": now, "level": level, "fields": fields, "target": "custseg" })
}

/// Takes the bar away, before something else is written to the terminal.
pub(crate) fn clear() {
    if let Some(bar) = BAR.get() {
        bar.finish_and_clear();
    }
}

/// Follows the stages; where they are told, writes a line at the end of each.
struct Stages {
    told: bool,
}

/// What is known of a stage at its end.
struct Course {
    began: Instant,
    rows: Option<u64>,
}

/// Finds the rows that a stage or an event in it speaks of.
struct RowsSaid<'a>(&'a mut Option<u64>);

impl Visit for RowsSaid<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows" {
            *self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stages {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id).filter(|span| STAGES.contains(&span.name())) {
            let mut rows = None;
            attributes.record(&mut RowsSaid(&mut rows));
            span.extensions_mut().insert(Course { began: Instant::now(), rows });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if let Some(span) = context.event_span(event)
            && let Some(course) = span.extensions_mut().get_mut::<Course>()
        {
            event.record(&mut RowsSaid(&mut course.rows));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id).filter(|span| STAGES.contains(&span.name())) {
            entered().push((span.name(), Instant::now()));
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if context.span(id).is_some_and(|span| STAGES.contains(&span.name())) {
            entered().pop();
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id).filter(|_| self.told) else { return };
        let extensions = span.extensions();
        let Some(course) = extensions.get::<Course>() else { return };
        let seconds = (course.began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let mut fields =
            json!({ "message": "stage done", "stage": span.name(), "seconds": seconds });
        if let Some(rows) = course.rows {
            fields["rows"] = json!(rows);
        }
        say(&format!("{}\n", line("INFO", &fields)));
    }
}

fn entered() -> std::sync::MutexGuard<'static, Vec<(&'static str, Instant)>> {
    ENTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows from a thread of its own what is being done: a bar on a terminal, else a line every few seconds.
fn watch(terminal: bool) {
    let bar = terminal.then(|| {
        BAR.get_or_init(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::default_spinner());
            bar
        })
    });
    thread::spawn(move || {
        let mut told = Instant::now();
        loop {
            thread::sleep(Duration::from_millis(100));
            let Some((stage, since)) = entered().last().copied() else { continue };
            let (rows, share) = progress::so_far();
            let seconds = since.elapsed().as_secs_f64();
            match bar {
                // What is over at once needs no bar.
                Some(bar) if seconds > 0.3 && !bar.is_finished() => {
                    draw(bar, stage, rows, share, seconds)
                }
                Some(_) => {}
                None if told.elapsed() >= SIGN && since.elapsed() >= SIGN => {
                    told = Instant::now();
                    let percent =
                        share.map(|share| (share * 100.0).floor() as u64).filter(|_| stage == SCAN);
                    let rows = Some(rows).filter(|_| stage == SCAN);
                    info!(
                        stage,
                        rows,
                        percent,
                        seconds = since.elapsed().as_secs(),
                        "still at work"
                    );
                }
                None => {}
            }
        }
    });
}

fn draw(bar: &ProgressBar, stage: &'static str, rows: u64, share: Option<f64>, seconds: f64) {
    let scanning = stage == SCAN && rows > 0;
    let (template, words) = match (scanning, share) {
        (true, Some(_)) => ("{prefix:9} [{bar:30}] {percent:>3} %  {msg}", speed(rows, seconds)),
        (true, None) => ("{prefix:9} {spinner} {msg}", speed(rows, seconds)),
        (false, _) => ("{prefix:9} {spinner} {msg}", format!("{seconds:.1} s")),
    };
    bar.set_message(words);
    bar.set_prefix(stage);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_position((share.unwrap_or_default() * 1000.0) as u64);
    bar.tick();
}

fn speed(rows: u64, seconds: f64) -> String {
    format!("{:.1} M rows, {:.1} M rows/s", rows as f64 / 1e6, rows as f64 / 1e6 / seconds)
}

/// Standard error for log lines: the bar makes way for each.
#[derive(Default)]
struct BesideTheBar(Vec<u8>);

impl Write for BesideTheBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.0);
        match BAR.get().filter(|bar| !bar.is_finished()) {
            Some(bar) => bar.suspend(|| io::stderr().write_all(&bytes)),
            None => io::stderr().write_all(&bytes),
        }
    }
}

impl Drop for BesideTheBar {
    fn drop(&mut self) {
        // Nobody is there to be told of a log that cannot be written.
        let _ = self.flush();
    }
}
