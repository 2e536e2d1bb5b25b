//! `custseg plan`: the SQL that a Spark cluster runs.

use std::io::Write;

use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::spark::{self, SegmentsTable};

pub(super) fn plan(p: &Pipeline, to: Option<&str>, out: &mut impl Write) -> Result<(), Error> {
    let to = to.map_or_else(|| p.publish.to.url(), str::to_owned);
    let script = spark::script(p, SegmentsTable::Published)?;
    Ok(out.write_all(script.to_sql(&p.name, &spark::url(to.trim_end_matches('/'))).as_bytes())?)
}
