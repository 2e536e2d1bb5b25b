//! `custseg report`: draws the page of a published run again.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::export::outside_of_runs;
use super::local;
use crate::cli::ReportArgs;
use crate::error::Error;
use crate::publish::{self, Published};
use crate::report::Detail;

pub(super) fn report(arguments: &ReportArgs, out: &mut impl Write) -> Result<(), Error> {
    let ReportArgs { run, out: to, technical, open } = arguments;
    outside_of_runs(to)?;
    let detail = if *technical { Detail::Technical } else { Detail::Plain };
    let run = Published::open(local(run)?);
    let page = run.and_then(|run| run.report(detail)).map_err(Error::reading)?;
    if to == Path::new("-") {
        return Ok(out.write_all(page.as_bytes())?);
    }
    publish::text_to_file(to, &page).map_err(Error::reading)?;
    writeln!(out, "{}", to.display())?;
    if *open {
        return open_in_browser(to);
    }
    Ok(())
}

/// Opens a file in the browser of the desktop, or the one that `BROWSER` names.
fn open_in_browser(path: &Path) -> Result<(), Error> {
    let default = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let browser = std::env::var("BROWSER").ok().filter(|browser| !browser.is_empty());
    let browser = browser.unwrap_or_else(|| default.to_owned());
    let mut command = Command::new(&browser);
    let command = command.arg(path).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().map(|_| ()).map_err(|error| {
        Error::Usage(format!("--open: {browser}: {error}; open {} yourself", path.display()))
    })
}
