//! `custseg schema`: the JSON Schema of the YAML, as it stands in `config/`.

use std::io::Write;

use crate::cli::SchemaOf;
use custseg::config::map_spec::MapSpec;
use custseg::config::shape;
use custseg::config::spec::PipelineSpec;
use custseg::error::Error;

pub(super) fn schema(of: SchemaOf, out: &mut impl Write) -> Result<(), Error> {
    let schema = match of {
        SchemaOf::Pipeline => shape::schema::<PipelineSpec>(),
        SchemaOf::Map => shape::schema::<MapSpec>(),
    };
    Ok(writeln!(out, "{schema:#}")?)
}
