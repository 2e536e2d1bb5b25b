//! `custseg plan`: what another engine would run.

use std::io::Write;

use custseg::error::Error;
use custseg::pipeline::Pipeline;
use custseg::spark;

pub(super) fn plan(p: &Pipeline, to: Option<&str>, out: &mut impl Write) -> Result<(), Error> {
    let to = to.map_or_else(|| p.publish.place(), str::to_owned);
    Ok(out.write_all(
        spark::script(p, false)?.to_sql(&p.name, &spark::url(to.trim_end_matches('/'))).as_bytes(),
    )?)
}
