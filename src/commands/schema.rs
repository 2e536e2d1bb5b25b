//! `custseg schema`: the JSON Schema of the YAML, and the reference of its options.

use std::io::Write;

use crate::cli::SchemaOf;
use crate::config::map_spec::MapSpec;
use crate::config::shape;
use crate::config::spec::PipelineSpec;
use crate::error::Error;

pub(super) fn json(of: SchemaOf, out: &mut impl Write) -> Result<(), Error> {
    let schema = match of {
        SchemaOf::Pipeline => shape::schema::<PipelineSpec>(),
        SchemaOf::Map => shape::schema::<MapSpec>(),
    };
    Ok(writeln!(out, "{schema:#}")?)
}

pub(super) fn markdown(of: SchemaOf, out: &mut impl Write) -> Result<(), Error> {
    let page = match of {
        SchemaOf::Pipeline => shape::reference::<PipelineSpec>(),
        SchemaOf::Map => shape::reference::<MapSpec>(),
    };
    Ok(out.write_all(page.as_bytes())?)
}
