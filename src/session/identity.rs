//! Identity of a run: hashes of its inputs and its definition.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::checks::Check;
use crate::error::Error;
use crate::ingest::SourceFile;
use crate::manifest::{Input, InputRole};
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
        hasher.update(input.role.name().as_bytes());
        hasher.update(input.path.as_bytes());
        hasher.update(input.blake3.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Size and hash of every input file, once for each role.
pub(crate) fn input_files<'p>(p: &'p Pipeline) -> Result<Vec<Input>, Error> {
    let customers = p.ingest.customers.iter().flat_map(|customers| &customers.set.files);
    let rates = p.ingest.rates.iter().map(|rates| &rates.file);
    let labels = p.models.iter().filter_map(|model| match &model.target {
        Target::Labels(params) => Some(&params.set.files),
        _ => None,
    });
    // A check may read the customers' source, too.
    let referenced = p.checks.iter().flat_map(Check::files);
    let of_role =
        |role: InputRole| move |file: &'p SourceFile| (role, &file.path, file.name.clone());
    let of_path = |role: InputRole| {
        move |path: &'p PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (role, path, name.into_owned())
        }
    };
    let lists = p.publish.lists.iter().flat_map(|(_, list)| [&list.contacts, &list.suppress]);
    let files = p
        .ingest
        .input_files()
        .map(of_role(InputRole::Transactions))
        .chain(customers.map(of_role(InputRole::Customers)))
        .chain(rates.map(of_role(InputRole::Rates)))
        .chain(labels.flatten().map(of_role(InputRole::Labels)))
        .chain(referenced.map(of_role(InputRole::Reference)))
        .chain(lists.flatten().map(of_path(InputRole::Contacts)))
        .chain(p.uplift.iter().map(|campaign| &campaign.groups).map(of_path(InputRole::Groups)));
    let mut seen = HashSet::new();
    let mut hashes = HashMap::new();
    let mut inputs = Vec::new();
    for (role, path, name) in files {
        // The sheets of a workbook are one file.
        if !seen.insert((role, path)) {
            continue;
        }
        let (bytes, blake3) = match hashes.get(path) {
            Some(known) => Clone::clone(known),
            None => hash(path)?,
        };
        hashes.insert(path, (bytes, blake3.clone()));
        inputs.push(Input { role, path: name, bytes, blake3 });
    }
    Ok(inputs)
}

fn hash(path: &Path) -> Result<(u64, String), Error> {
    let io = |source| Error::Input { path: path.to_owned(), source };
    let mut hasher = blake3::Hasher::new();
    let mut source = File::open(path).map_err(io)?;
    // Not a memory map: if the file is truncated meanwhile, this is an error instead of a signal.
    let mut piece = Vec::with_capacity(PIECE as usize);
    while source.by_ref().take(PIECE).read_to_end(&mut piece).map_err(io)? > 0 {
        hasher.update_rayon(&piece);
        piece.clear();
    }
    Ok((hasher.count(), hasher.finalize().to_hex().to_string()))
}
