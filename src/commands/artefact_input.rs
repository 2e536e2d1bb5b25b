//! Loads the pipeline of an artefact, with other sources or with none.

use crate::artefact::{PIPELINE, StoredArtefact};
use crate::config::{self, Request, SourceFiles};
use crate::error::Error;
use crate::pipeline::Pipeline;

/// The artefact's pipeline with overrides: from arguments, by the argument's name, and from `--set`.
pub(super) fn load(
    stored: &StoredArtefact,
    arguments: Vec<(String, String)>,
    set: &[String],
) -> Result<Pipeline, Error> {
    let pipeline = Some(stored.folder.join(PIPELINE));
    let set = set.to_vec();
    Ok(config::load(&Request { pipeline, arguments, set, ..Request::default() })?)
}

/// The artefact's pipeline for customers that are already measured: without source files,
/// cleaning and checks.
pub(super) fn load_without_sources(stored: &StoredArtefact) -> Result<Pipeline, Error> {
    let pipeline = Some(stored.folder.join(PIPELINE));
    let arguments =
        ["clean", "checks"].map(|section| (section.to_owned(), format!("{section}=[]"))).to_vec();
    let source_files = SourceFiles::None;
    let request = Request { pipeline, arguments, source_files, ..Request::default() };
    let mut p = config::load(&request)?;
    // Apart from what is done to lines, of which there are none, it is the artefact's pipeline.
    p.definition = stored.record.definition.clone();
    Ok(p)
}
