//! `custseg report`: the page of a published run, drawn again.

use std::io::Write;
use std::path::Path;

use custseg::error::Error;
use custseg::publish::{self, Published};

pub(super) fn report(run: &Path, to: &Path, out: &mut impl Write) -> Result<(), Error> {
    let page = Published::at(run).and_then(|run| run.report()).map_err(Error::Shown)?;
    if to == Path::new("-") {
        return Ok(out.write_all(page.as_bytes())?);
    }
    publish::text_to_file(to, &page).map_err(Error::Shown)?;
    Ok(writeln!(out, "{}", to.display())?)
}
