//! `custseg completions` and `custseg man`: what the command line says of itself, for shells and for `man`.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use custseg::error::Error;
use custseg::publish::PublishError;

pub(super) fn completions(shell: Shell, out: &mut impl Write) -> Result<(), Error> {
    // The generator panics where it cannot write, so it writes into memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "custseg", &mut script);
    Ok(out.write_all(&script)?)
}

pub(super) fn pages(to: &Path) -> Result<(), Error> {
    clap_mangen::generate_to(Cli::command(), to)
        .map_err(|source| Error::Shown(PublishError::Io { path: to.to_owned(), source }))
}
