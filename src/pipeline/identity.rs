//! Which run this is: hashes of what it depends on.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;

use super::Pipeline;
use crate::checks::Check;
use crate::error::Error;
use crate::model::Target;
use crate::publish::manifest::Input;

/// How much of a source is hashed at a time, by all cores.
const PIECE: u64 = 8 << 20;

/// Hash of what the numbers depend on.
pub fn definition_hash(p: &Pipeline) -> String {
    blake3::hash(p.definitions.to_string().as_bytes()).to_hex().to_string()
}

/// Identity of a run: the same version, definitions and input give the same run.
pub fn run_id(p: &Pipeline, inputs: &[Input]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.update(p.name.as_bytes());
    hasher.update(definition_hash(p).as_bytes());
    hasher.update(p.reading.to_string().as_bytes());
    for input in inputs {
        hasher.update(input.path.as_bytes());
        hasher.update(input.blake3.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Size and hash of every source file.
///
/// # Errors
/// A file that cannot be read.
pub fn fingerprints(p: &Pipeline) -> Result<Vec<Input>, Error> {
    let customers = p.ingest.customers.iter().flat_map(|customers| &customers.set.files);
    let rates = p.ingest.rates.iter().map(|rates| &rates.file);
    let labels = p.models.iter().flat_map(|model| match &model.target {
        Target::Labels(params) => params.set.files.iter(),
        _ => [].iter(),
    });
    // A check may look into the customers' source.
    let mut seen = HashSet::new();
    let looked_into = p.checks.iter().flat_map(Check::files);
    p.ingest
        .files()
        .chain(customers)
        .chain(rates)
        .chain(labels)
        .chain(looked_into)
        .filter(|file| seen.insert(&file.path))
        .map(|file| {
            let io = |source| Error::Input { path: file.path.clone(), source };
            let mut hasher = blake3::Hasher::new();
            // In pieces, not through a memory map: a file that is cut short meanwhile is then an error, and no signal.
            let (mut source, mut piece) =
                (File::open(&file.path).map_err(io)?, Vec::with_capacity(PIECE as usize));
            while source.by_ref().take(PIECE).read_to_end(&mut piece).map_err(io)? > 0 {
                hasher.update_rayon(&piece);
                piece.clear();
            }
            let blake3 = hasher.finalize().to_hex().to_string();
            Ok(Input { path: file.name.clone(), bytes: hasher.count(), blake3 })
        })
        .collect()
}
