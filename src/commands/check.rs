//! `custseg check`: loading is the check; what is left is what a cluster would refuse, and to say what was found.

use std::io::Write;

use custseg::error::Error;
use custseg::pipeline::Pipeline;
use custseg::spark;

pub(super) fn check(p: &Pipeline, out: &mut impl Write) -> Result<(), Error> {
    if p.engine.is_some() {
        let refused = spark::refused(p);
        if !refused.is_empty() {
            return Err(Error::Refused(refused));
        }
    }
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
