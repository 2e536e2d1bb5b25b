//! The binary: reads the command line, starts the log, runs one command, and turns an error into an exit code.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as Process, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use cli::{Cli, Machine};
use custseg::error::Error;
use custseg::lineage::State;
use custseg::scratch;
use custseg::spark;

mod cli;
mod commands;

/// Polars spills by what this counts; where nothing limits memory, it only counts.
#[global_allocator]
static ALLOCATOR: polars_ooc::Allocator = polars_ooc::Allocator;

/// Tells the process that starts anew what for, so that it does not do so again.
const STARTED: &str = "CUSTSEG_STARTED";

/// Whether a signal is ending the process.
static ENDING: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = started_anew(&cli.machine).and_then(|()| on_signals()) {
        return fail(&error);
    }
    commands::log::start(&cli.machine);
    let mut out = io::stdout().lock();
    let outcome = commands::dispatch(&cli.command, &mut out).and_then(|()| Ok(out.flush()?));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough is no failure.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &Error) -> ExitCode {
    // Folders vanish under a process that a signal ends; what it says of that is no news.
    while ENDING.load(Ordering::SeqCst) {
        thread::park();
    }
    let code = error.exit_code();
    match error {
        Error::Config(problems) => commands::log::failure(&problems.to_string(), code),
        // The log has said so; it is no error.
        Error::NothingNew => {}
        other => commands::log::failure(&format!("error: {other}"), code),
    }
    ExitCode::from(code)
}

/// On SIGINT and SIGTERM what is half written goes, and the process ends with 130 or 143, as shells count. SIGHUP is left alone, so
/// that `nohup` still means something.
fn on_signals() -> Result<(), Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Error::Output)?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            ENDING.store(true, Ordering::SeqCst);
            spark::cancel();
            scratch::clear();
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            commands::lineage::end(&State::Abort(&format!("stopped by {name}")));
            let code = 128 + signal;
            let words = format!("error: stopped by {name}; what was half written is removed");
            commands::log::failure(&words, u8::try_from(code).unwrap_or_default());
            // Other threads are in the middle of their work, so nothing is torn down.
            signal_hook::low_level::exit(code);
        }
    });
    Ok(())
}

/// Polars reads its number of threads and its memory budget from the environment once, glibc its number of arenas, and setting that
/// in-process is unsafe; so the program starts itself anew with them set, first with what a file says, which may name the others. Returns where there is nothing
/// to do.
fn started_anew(machine: &Machine) -> Result<(), Error> {
    let started = std::env::var(STARTED).unwrap_or_default();
    if let Some(path) = machine.env_file.as_ref().filter(|_| started.is_empty()) {
        return Err(start("env-file", variables(path)?));
    }
    let threads = machine.threads.map(|threads| threads.to_string());
    let threads = threads
        .iter()
        .flat_map(|n| ["POLARS_MAX_THREADS", "RAYON_NUM_THREADS"].map(|name| (name, n.clone())));
    let memory = machine
        .memory_limit
        .map(|mebibytes| ("POLARS_OOC_MEMORY_BUDGET_MB", mebibytes.to_string()));
    let named: Vec<(String, String)> =
        threads.chain(memory).map(|(name, value)| (name.to_owned(), value)).collect();
    let settings: Vec<(String, String)> =
        named.iter().cloned().chain(arenas(machine.threads)).collect();
    if settings.is_empty() || started == "machine" {
        return Ok(());
    }
    let error = start("machine", settings);
    // Without the arenas it runs as well.
    if named.is_empty() { Ok(()) } else { Err(error) }
}

/// One arena of memory a core, unless the environment says otherwise: of its own accord glibc makes eight, and what one thread has freed
/// in one of them is of no use to another. A run takes a quarter less memory so, and no longer.
fn arenas(threads: Option<u16>) -> Option<(String, String)> {
    const ARENAS: &str = "MALLOC_ARENA_MAX";
    let wanted = cfg!(target_env = "gnu") && std::env::var_os(ARENAS).is_none();
    let cores =
        threads.map(usize::from).or_else(|| Some(thread::available_parallelism().ok()?.get()));
    let cores = cores.filter(|_| wanted)?;
    Some((ARENAS.to_owned(), cores.to_string()))
}

/// Starts the program anew; returns only where that fails.
fn start(what_for: &str, settings: Vec<(String, String)>) -> Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return Error::Usage(format!("cannot start again: {error}")),
    };
    let arguments = std::env::args_os().skip(1);
    let error = Process::new(program).args(arguments).envs(settings).env(STARTED, what_for).exec();
    Error::Usage(format!("cannot start again: {error}"))
}

/// What a file of NAME=VALUE lines sets, without what is set already. No value is told, since it may be a secret.
fn variables(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let wrong = |words: String| Error::Usage(format!("--env-file {}: {words}", path.display()));
    let lines = dotenvy::from_path_iter(path).map_err(|error| match error {
        dotenvy::Error::Io(error) => wrong(error.to_string()),
        _ => wrong("cannot be read".to_owned()),
    })?;
    let mut found = Vec::new();
    for (idx, line) in lines.enumerate() {
        let (name, value) =
            line.map_err(|_| wrong(format!("entry {} is not NAME=VALUE", idx + 1)))?;
        if std::env::var_os(&name).is_none() {
            found.push((name, value));
        }
    }
    Ok(found)
}
