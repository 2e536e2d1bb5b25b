//! What the manifest is told of a run, whichever engine computed it.

use super::Pipeline;
use crate::checks::Verdict;
use crate::publish::manifest::Input;
use crate::publish::{Depends, Facts};
use crate::score::Cut;

/// What the manifest is told of every run.
pub fn facts<'a>(
    p: &'a Pipeline,
    definition_hash: &'a str,
    inputs: &'a [Input],
    verdicts: &'a [Verdict],
    cuts: &'a [Cut],
) -> Facts<'a> {
    const NOTHING: &Depends = &Depends::NOTHING;
    Facts {
        pipeline: &p.name,
        definition_hash,
        definition: &p.definitions,
        reading: &p.reading,
        money: &p.ingest.money,
        inputs,
        verdicts,
        customers: None,
        cuts,
        judged: &[],
        depends: NOTHING,
        earlier: None,
    }
}
