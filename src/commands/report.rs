//! `custseg report`: draws the page of a published run again.

use std::io::Write;
use std::path::Path;

use crate::error::Error;
use crate::publish::{self, Published};

pub(super) fn report(run: &Path, to: &Path, out: &mut impl Write) -> Result<(), Error> {
    let page = Published::open(run).and_then(|run| run.report()).map_err(Error::reading)?;
    if to == Path::new("-") {
        return Ok(out.write_all(page.as_bytes())?);
    }
    publish::text_to_file(to, &page).map_err(Error::reading)?;
    Ok(writeln!(out, "{}", to.display())?)
}
