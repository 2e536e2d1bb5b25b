//! Identity of a run: hashes of its inputs and its definition.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;

use crate::checks::Check;
use crate::error::Error;
use crate::ingest::SourceFile;
use crate::manifest::Input;
use crate::model::Target;
use crate::pipeline::Pipeline;

/// Bytes that are hashed at once, by all cores.
const PIECE: u64 = 8 << 20;

/// Run id: hash of version, definition and inputs, 16 hexadecimal digits.
pub(crate) fn run_id(p: &Pipeline, inputs: &[Input]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.update(p.name.as_bytes());
    hasher.update(p.definition_hash().as_bytes());
    hasher.update(p.reading.to_string().as_bytes());
    for input in inputs {
        hasher.update(input.path.as_bytes());
        hasher.update(input.blake3.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Size and hash of every input file, each once.
pub(crate) fn input_files(p: &Pipeline) -> Result<Vec<Input>, Error> {
    let customers = p.ingest.customers.iter().flat_map(|customers| &customers.set.files);
    let rates = p.ingest.rates.iter().map(|rates| &rates.file);
    let labels = p.models.iter().filter_map(|model| match &model.target {
        Target::Labels(params) => Some(&params.set.files),
        _ => None,
    });
    // A check may read the customers' source, too.
    let referenced = p.checks.iter().flat_map(Check::files);
    let files =
        p.ingest.files().chain(customers).chain(rates).chain(labels.flatten()).chain(referenced);
    let mut seen = HashSet::new();
    files.filter(|file| seen.insert(&file.path)).map(hash).collect()
}

fn hash(file: &SourceFile) -> Result<Input, Error> {
    let io = |source| Error::Input { path: file.path.clone(), source };
    let mut hasher = blake3::Hasher::new();
    let mut source = File::open(&file.path).map_err(io)?;
    // Not a memory map: if the file is truncated meanwhile, this is an error instead of a signal.
    let mut piece = Vec::with_capacity(PIECE as usize);
    while source.by_ref().take(PIECE).read_to_end(&mut piece).map_err(io)? > 0 {
        hasher.update_rayon(&piece);
        piece.clear();
    }
    let blake3 = hasher.finalize().to_hex().to_string();
    Ok(Input { path: file.name.clone(), bytes: hasher.count(), blake3 })
}
