//! The process: reads the command line, starts the log, runs one command, and turns an error into
//! an exit code.

use std::io::{self, StdoutLock, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as Process, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{self, Machine};
use crate::commands;
use crate::error::Error;
use crate::lineage::State;
use crate::spark;
use crate::temp;

/// Variable of the environment that stops a restarted process from restarting again.
const STARTED: &str = "CUSTSEG_STARTED";

/// Without it, Polars panics at files with a column of intervals, even if the column is not read.
const INTERVALS: &str = "POLARS_IMPORT_INTERVAL_AS_STRUCT";

/// Whether a signal is ending the process.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && cli::asks_for_json_log() => {
            commands::log::usage_error(&error);
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    commands::log::set_format(cli.machine.log_format);
    if let Err(error) = restart_with_variables(&cli.machine).and_then(|()| handle_signals()) {
        return fail(&error);
    }
    commands::log::start(&cli.machine, cli.command.verbosity());
    let mut out = AfterBar(io::stdout().lock());
    let result = commands::dispatch(&cli.command, &mut out).and_then(|()| Ok(out.flush()?));
    commands::log::clear();
    commands::log::stages();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // A closed pipe (`| head`) is not an error.
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Standard output, which removes the progress bar first.
struct AfterBar(StdoutLock<'static>);

impl Write for AfterBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        commands::log::clear();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn fail(error: &Error) -> ExitCode {
    // While a signal is cleaning up, errors about missing folders are expected: stay silent.
    while ENDING.load(Ordering::SeqCst) {
        thread::park();
    }
    let code = error.exit_code();
    match error {
        // Already logged, and not an error.
        Error::UpToDate => {}
        error if error.is_report() => commands::log::failure(&error.to_string(), code),
        error => commands::log::failure(&format!("error: {error}"), code),
    }
    ExitCode::from(code)
}

/// On SIGINT and SIGTERM, removes partial output and exits with 130 or 143. SIGHUP is not handled,
/// so that `nohup` works.
fn handle_signals() -> Result<(), Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            ENDING.store(true, Ordering::SeqCst);
            spark::cancel();
            temp::clear();
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            commands::lineage::end_current(&State::Abort(&format!("interrupted by {name}")));
            let code = 128 + signal;
            let message = format!("error: interrupted by {name}; partial output was removed");
            commands::log::failure(&message, u8::try_from(code).unwrap_or(u8::MAX));
            // Other threads are still working, so no destructors run.
            signal_hook::low_level::exit(code);
        }
    });
    Ok(())
}

/// Restarts the process if options set variables of the environment.
///
/// Polars reads its number of threads and its memory budget from the environment once, glibc its
/// number of arenas, and `set_var` is unsafe. The env file comes first, since it may set the
/// others.
fn restart_with_variables(machine: &Machine) -> Result<(), Error> {
    let started = std::env::var(STARTED).unwrap_or_default();
    if let Some(path) = &machine.env_file
        && started.is_empty()
    {
        return Err(restart("env-file", variables(path)?));
    }
    let mut settings = Vec::new();
    if let Some(threads) = machine.threads {
        for name in ["POLARS_MAX_THREADS", "RAYON_NUM_THREADS"] {
            settings.push((name.to_owned(), threads.to_string()));
        }
    }
    if let Some(mebibytes) = machine.memory_limit {
        settings.push(("POLARS_OOC_MEMORY_BUDGET_MB".to_owned(), mebibytes.to_string()));
    }
    let required = !settings.is_empty();
    settings.extend(allocator(machine.threads));
    if std::env::var_os(INTERVALS).is_none() {
        settings.push((INTERVALS.to_owned(), "1".to_owned()));
    }
    if settings.is_empty() || started == "machine" {
        return Ok(());
    }
    let error = restart("machine", settings);
    // Without the limit on arenas the program only needs more memory.
    if required { Err(error) } else { Ok(()) }
}

/// Settings of glibc's allocator that the environment does not set.
///
/// One arena per core: by default there are eight, and memory that is freed in one cannot be reused
/// by another, so a run needs a third more. Memory of chunks is kept for the next chunk: returning
/// it to the system and getting it back takes a tenth of a scan.
fn allocator(threads: Option<u16>) -> Vec<(String, String)> {
    if !cfg!(target_env = "gnu") {
        return Vec::new();
    }
    let cores = threads.map(usize::from);
    let cores = cores.or_else(|| Some(thread::available_parallelism().ok()?.get()));
    let settings = [
        ("MALLOC_ARENA_MAX", cores),
        ("MALLOC_MMAP_THRESHOLD_", Some(32 << 20)),
        ("MALLOC_TRIM_THRESHOLD_", Some(64 << 20)),
    ];
    let unset = settings.into_iter().filter(|(name, _)| std::env::var_os(name).is_none());
    unset.filter_map(|(name, value)| Some((name.to_owned(), value?.to_string()))).collect()
}

/// Replaces the process by a new one. Returns only if that fails.
fn restart(reason: &str, settings: Vec<(String, String)>) -> Error {
    let arguments = std::env::args_os().skip(1);
    let error = match std::env::current_exe() {
        Ok(exe) => Process::new(exe).args(arguments).envs(settings).env(STARTED, reason).exec(),
        Err(error) => error,
    };
    Error::Usage(format!("cannot restart: {error}"))
}

/// The NAME=VALUE lines of a file, without names that are already set. Messages never contain a
/// value, which may be a secret.
fn variables(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let invalid = |reason: String| Error::Usage(format!("--env-file {}: {reason}", path.display()));
    let text = std::fs::read(path).map_err(|error| invalid(error.to_string()))?;
    // Editors on Windows write a byte order mark.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let lines = dotenvy::from_read_iter(text);
    let mut variables = Vec::new();
    for (idx, line) in lines.enumerate() {
        let (name, value) =
            line.map_err(|_| invalid(format!("entry {} is not NAME=VALUE", idx + 1)))?;
        if std::env::var_os(&name).is_none() {
            variables.push((name, value));
        }
    }
    Ok(variables)
}
