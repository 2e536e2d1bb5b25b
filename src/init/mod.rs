//! `init`: a first pipeline from a sample of files.
//!
//! What the values decide is written down. What only seems so is marked as a guess. What changes
//! the numbers and is not decided becomes a `TODO`, which `check` refuses.

use std::path::Path;

use crate::error::Error;

mod doubts;
mod layouts;
mod roles;
mod sample;
mod sniff;
mod writer;
mod yaml;

use sample::Sample;
use writer::Writer;

/// A pipeline for some files.
pub struct Draft {
    pub yaml: String,
    /// What was not decided.
    pub questions: Vec<String>,
}

impl Draft {
    /// The options that are guesses, each with its comment.
    pub(crate) fn guesses(&self) -> impl Iterator<Item = (&str, &str)> {
        let guesses = self.yaml.lines().filter_map(|line| line.split_once("# guess: "));
        guesses.map(|(option, guess)| {
            let option = option.trim().trim_start_matches("- ");
            (option.split_once(':').map_or(option, |(key, _)| key), guess)
        })
    }
}

/// A pipeline for files, whose names are relative to `base`.
///
/// # Errors
/// A file that cannot be read, or has no columns that can be transactions.
pub fn draft(paths: &[String], name: &str, base: &Path) -> Result<Draft, Error> {
    let mut samples = Vec::new();
    for path in paths {
        samples.push(sample::read(path, base)?);
    }
    if let Some(draft) = layouts::of_tables(paths, &samples, name) {
        return Ok(draft);
    }
    let first = &samples[0];
    let same = |other: &&Sample| other.names() == first.names() && other.format == first.format;
    if let Some((other, path)) = samples
        .iter()
        .zip(paths)
        .find(|(sample, _)| !same(sample))
        .map(|(_, path)| (path, &paths[0]))
    {
        return Err(Error::Usage(format!(
            "`{path}` and `{other}` have different columns: run `init` for each, and list both in \
             `ingest.transactions`, or join them by `ingest.sources` and a `query`"
        )));
    }
    Writer::new(first, paths, name).write()
}
