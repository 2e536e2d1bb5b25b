//! `custseg schema`: the JSON Schema of the YAML, as it stands in `config/`, and the page of its options.

use std::io::Write;

use crate::cli::SchemaOf;
use custseg::config::map_spec::MapSpec;
use custseg::config::shape;
use custseg::config::spec::PipelineSpec;
use custseg::error::Error;

pub(super) fn schema(of: SchemaOf, markdown: bool, out: &mut impl Write) -> Result<(), Error> {
    let text = match (of, markdown) {
        (SchemaOf::Pipeline, false) => format!("{:#}\n", shape::schema::<PipelineSpec>()),
        (SchemaOf::Map, false) => format!("{:#}\n", shape::schema::<MapSpec>()),
        (SchemaOf::Pipeline, true) => shape::reference::<PipelineSpec>(),
        (SchemaOf::Map, true) => shape::reference::<MapSpec>(),
    };
    Ok(out.write_all(text.as_bytes())?)
}
