//! `custseg completions` and `custseg man`.

use std::io::Write;
use std::path::Path;

use clap_complete::Shell;

use crate::cli;
use crate::error::Error;
use crate::publish::PublishError;

pub(super) fn completions(shell: Shell, out: &mut impl Write) -> Result<(), Error> {
    // The generator panics if it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "custseg", &mut script);
    Ok(out.write_all(&script)?)
}

pub(super) fn pages(to: &Path) -> Result<(), Error> {
    clap_mangen::generate_to(cli::command(), to)
        .map_err(|source| Error::reading(PublishError::Io { path: to.to_owned(), source }))
}
