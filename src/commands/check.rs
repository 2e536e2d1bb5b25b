//! `custseg check`: loading a pipeline checks it. This prints the result, or what its engine does
//! not support.

use std::io::Write;

use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::spark;

pub(super) fn check(p: &Pipeline, out: &mut impl Write) -> Result<(), Error> {
    if p.engine.is_some() {
        spark::check_supported(p)?;
    }
    let files = p.ingest.files().count();
    let plural = if files == 1 { "" } else { "s" };
    let steps = p.clean.len();
    let models = p.models.len() + p.clusterings.len();
    writeln!(
        out,
        "{}: ok ({files} source file{plural}, clean: {steps} steps, map: {}, models: {models})",
        p.name, p.segment.name
    )?;
    Ok(())
}
