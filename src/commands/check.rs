//! `custseg check`: loading is the check; what is left is to say what was found.

use std::io::Write;

use custseg::error::Error;
use custseg::pipeline::Pipeline;

pub(super) fn check(p: &Pipeline, out: &mut impl Write) -> Result<(), Error> {
    let files = p.ingest.files().count();
    let plural = if files == 1 { "" } else { "s" };
    let (steps, models) = (p.clean.len(), p.models.len() + p.clusterings.len());
    writeln!(
        out,
        "{}: ok ({files} source file{plural}, clean: {steps} steps, map: {}, models: {models})",
        p.name, p.segment.name
    )?;
    Ok(())
}
