//! The log on standard error: lines for people or for programs, the time of each stage, and the
//! progress of the scan.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tracing::info;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use super::stages::{self, StageTotal, Stages};
use crate::cli::{LogFormat, Machine, Verbosity};
use crate::progress::{Extent, ScanObserver, Silent};
use crate::session::RunObserver;

/// The stage that reads the source.
const SCAN: &str = "orders";

/// Interval of progress lines if there is no terminal.
const INTERVAL: Duration = Duration::from_secs(5);

static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Whether the log is JSON, so that nothing else may be written to standard error.
static JSON: OnceLock<bool> = OnceLock::new();

/// Whether the log ends with the time of each stage.
static SHOWS_STAGES: OnceLock<bool> = OnceLock::new();

static PROGRESS: OnceLock<Arc<Progress>> = OnceLock::new();

/// Progress of the current scan.
#[derive(Debug, Default)]
struct Progress {
    rows: AtomicU64,
    done: AtomicU64,
    /// 0 if the extent is unknown.
    total: AtomicU64,
    /// Whether `done` and `total` are rows, not bytes.
    in_rows: AtomicBool,
}

impl Progress {
    /// Rows read so far, and the share of the source that is read, 0 to 1, if its extent is known.
    fn so_far(&self) -> (u64, Option<f64>) {
        let total = self.total.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed);
        let share = (total > 0).then(|| (done as f64 / total as f64).min(1.0));
        (self.rows.load(Ordering::Relaxed), share)
    }
}

impl ScanObserver for Progress {
    fn scan_started(&self, extent: Option<Extent>) {
        let total = extent.map_or(0, |(Extent::Rows(size) | Extent::Bytes(size))| size);
        let in_rows = matches!(extent, Some(Extent::Rows(_)));
        self.rows.store(0, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.in_rows.store(in_rows, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    fn bytes_read(&self, bytes: usize) {
        if !self.in_rows.load(Ordering::Relaxed) {
            self.done.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    fn rows_read(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        if self.in_rows.load(Ordering::Relaxed) {
            self.done.fetch_add(rows as u64, Ordering::Relaxed);
        }
    }
}

impl RunObserver for Progress {}

/// An observer that updates the progress that the log shows. It does nothing with `--quiet`.
pub(super) fn observer() -> Arc<dyn RunObserver> {
    match PROGRESS.get() {
        Some(progress) => progress.clone(),
        None => Arc::new(Silent),
    }
}

/// Starts the log.
pub(crate) fn start(machine: &Machine, verbosity: Verbosity) {
    let level = match (machine.quiet, machine.verbose) {
        (true, _) => "error",
        (false, 0) if verbosity == Verbosity::Warnings => "warn",
        (false, 0) => "custseg=info,warn",
        (false, 1) => "custseg=debug,warn",
        (false, _) => "custseg=trace,info",
    };
    // --quiet takes precedence over RUST_LOG.
    let exported = if machine.quiet { None } else { EnvFilter::try_from_default_env().ok() };
    let filter = exported.unwrap_or_else(|| EnvFilter::new(level));
    let json = machine.log_format == LogFormat::Json;
    let terminal = io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(AboveBar::default);
    let lines = if json {
        lines.json().boxed()
    } else {
        let lines = lines.with_ansi(has_colours()).with_target(false).compact();
        if terminal { lines.without_time().boxed() } else { lines.with_timer(Seconds).boxed() }
    };
    SHOWS_STAGES.get_or_init(|| json || machine.verbose > 0);
    tracing_subscriber::registry().with(filter).with(lines).with(Stages).init();
    if !machine.quiet {
        let progress = PROGRESS.get_or_init(Arc::default).clone();
        let bar = (terminal && !json).then(|| BAR.get_or_init(new_bar));
        thread::spawn(move || show(&progress, bar));
    }
}

/// Whether the log is JSON.
pub(crate) fn is_json() -> bool {
    JSON.get().copied().unwrap_or(false)
}

/// Whether standard error is a terminal that shows colours.
fn has_colours() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !is_refused
}

/// The time of log lines, in UTC.
struct Seconds;

impl FormatTime for Seconds {
    fn format_time(&self, line: &mut fmt::format::Writer<'_>) -> std::fmt::Result {
        let now = DateTime::<Utc>::from(SystemTime::now());
        write!(line, "{}", now.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

/// Sets the format of errors, also of those before the log starts.
pub(crate) fn set_format(format: LogFormat) {
    JSON.get_or_init(|| format == LogFormat::Json);
}

/// Writes an error of the command line that clap reports.
pub(crate) fn usage_error(error: &clap::Error) {
    set_format(LogFormat::Json);
    failure(error.to_string().trim_end(), 2);
}

/// Writes the error that ends the program: as it is for people, as a line of the log for programs.
pub(crate) fn failure(message: &str, exit_code: u8) {
    clear();
    if is_json() {
        let message = message.trim_start_matches("error: ");
        let fields = json!({ "message": message, "exit_code": exit_code });
        write_line("ERROR", &fields);
    } else {
        let colour = has_colours();
        for line in message.lines() {
            match line.strip_prefix("error") {
                Some(rest) if colour => write(&format!("\x1b[1;31merror\x1b[0m{rest}\n")),
                _ => write(&format!("{line}\n")),
            }
        }
    }
}

/// Logs what each stage took, once, if the log has that.
pub(crate) fn stages() {
    if !SHOWS_STAGES.get().copied().unwrap_or(false) {
        return;
    }
    for StageTotal { name, took, rows } in stages::take_done() {
        let seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
        if is_json() {
            let mut fields = json!({ "message": "stage done", "stage": name, "seconds": seconds });
            if let Some(rows) = rows {
                fields["rows"] = json!(rows);
            }
            write_line("INFO", &fields);
        } else {
            let rows = rows.map_or(String::new(), |rows| format!(", {rows} rows"));
            write(&format!("{name:9} {seconds:.3} s{rows}\n"));
        }
    }
}

/// Writes to standard error. Errors are ignored: there is nowhere to report them.
pub(crate) fn write(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes a line of the JSON log.
fn write_line(level: &str, fields: &serde_json::Value) {
    let now = DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Micros, true);
    let line = json!({ "timestamp": now, "level": level, "fields": fields, "target": "custseg" });
    write(&format!("{line}\n"));
}

/// Removes the progress bar before other output.
pub(crate) fn clear() {
    if let Some(bar) = BAR.get() {
        bar.finish_and_clear();
    }
}

fn new_bar() -> ProgressBar {
    ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr())
        .with_style(ProgressStyle::default_spinner())
}

/// Shows the current stage forever: in a bar on a terminal, else in a line every few seconds.
fn show(progress: &Progress, bar: Option<&ProgressBar>) {
    let mut last_line = Instant::now();
    loop {
        thread::sleep(Duration::from_millis(100));
        let Some((stage, since)) = stages::entered() else { continue };
        let (rows, share) = progress.so_far();
        let elapsed = since.elapsed();
        if let Some(bar) = bar {
            // A short stage needs no bar.
            if elapsed.as_secs_f64() > 0.3 && !bar.is_finished() {
                let rows = if stage == SCAN { rows } else { 0 };
                draw(bar, &stage, (rows, share), elapsed.as_secs_f64());
            }
        } else if last_line.elapsed() >= INTERVAL && elapsed >= INTERVAL {
            last_line = Instant::now();
            let seconds = elapsed.as_secs();
            if stage == SCAN {
                let percent = share.map(|share| (share * 100.0).floor() as u64);
                info!(stage, rows, percent, seconds, "still running");
            } else {
                info!(stage, seconds, "still running");
            }
        }
    }
}

fn draw(bar: &ProgressBar, stage: &str, (rows, share): (u64, Option<f64>), seconds: f64) {
    let speed =
        format!("{:.1} M rows, {:.1} M rows/s", rows as f64 / 1e6, rows as f64 / 1e6 / seconds);
    let (template, message) = match (rows, share) {
        (0, _) => ("{prefix:9} {spinner} {msg}", format!("{seconds:.1} s")),
        (_, Some(_)) => ("{prefix:9} [{bar:30}] {percent:>3} %  {msg}", speed),
        (_, None) => ("{prefix:9} {spinner} {msg}", speed),
    };
    bar.set_message(message);
    bar.set_prefix(stage.to_owned());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_position((share.unwrap_or(0.0) * 1000.0) as u64);
    bar.tick();
}

/// Writes log lines above the progress bar.
#[derive(Default)]
struct AboveBar(Vec<u8>);

impl Write for AboveBar {
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

impl Drop for AboveBar {
    fn drop(&mut self) {
        // Errors are ignored: there is nowhere to report them.
        let _ = self.flush();
    }
}
