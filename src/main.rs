//! The binary: reads the command line, starts the log, runs one command, and turns an error into an exit code.

use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command as Process, ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use cli::{Cli, LogFormat, Machine};
use custseg::error::Error;

mod cli;
mod commands;

/// Polars spills by what this counts; where nothing limits memory, it only counts.
#[global_allocator]
static ALLOCATOR: polars_ooc::Allocator = polars_ooc::Allocator;

/// Set in the process that starts anew for options of the machine, so that it starts no further one.
const STARTED: &str = "CUSTSEG_STARTED";

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(failed) = started_anew(&cli.machine) {
        return fail(&Error::Usage(format!("--threads, --memory-limit: cannot start again: {failed}")));
    }
    start_log(&cli.machine);
    let mut out = io::stdout().lock();
    let outcome = commands::dispatch(&cli.command, &mut out).and_then(|()| Ok(out.flush()?));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough is no failure.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the one place where errors are printed")]
fn fail(error: &Error) -> ExitCode {
    match error {
        Error::Config(problems) => eprintln!("{problems}"),
        // The log has said so; it is no error.
        Error::NothingNew => {}
        other => eprintln!("error: {other}"),
    }
    ExitCode::from(error.exit_code())
}

/// Polars reads its number of threads and its memory budget from the environment once, and setting that in-process is unsafe; so the
/// program starts itself anew with them set. Returns only where there is nothing to do, or the error.
fn started_anew(machine: &Machine) -> Option<io::Error> {
    let threads = machine.threads.map(|threads| threads.to_string());
    let threads = threads.iter().flat_map(|n| [("POLARS_MAX_THREADS", n.clone()), ("RAYON_NUM_THREADS", n.clone())]);
    let memory = machine.memory_limit.map(|mebibytes| ("POLARS_OOC_MEMORY_BUDGET_MB", mebibytes.to_string()));
    let settings: Vec<(&str, String)> = threads.chain(memory).collect();
    if settings.is_empty() || std::env::var_os(STARTED).is_some() {
        return None;
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return Some(error),
    };
    let error = Process::new(program).args(std::env::args_os().skip(1)).envs(settings).env(STARTED, "1").exec();
    Some(error)
}

fn start_log(machine: &Machine) {
    let level = match (machine.quiet, machine.verbose) {
        (true, _) => "error",
        (false, 0) => "custseg=info,warn",
        (false, 1) => "custseg=debug,warn",
        (false, _) => "custseg=trace,info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let spans = if machine.verbose > 0 { FmtSpan::CLOSE } else { FmtSpan::NONE };
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_span_events(spans);
    match machine.log_format {
        LogFormat::Text => log.with_ansi(colour).with_target(false).compact().init(),
        LogFormat::Json => log.json().init(),
    }
}
