//! `custseg init` and `custseg demo`: a first pipeline.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::InitArgs;
use crate::config::DEFAULT_PIPELINE;
use crate::error::Error;
use crate::init::{Draft, draft};

/// The data of the example.
const CDNOW: &[u8] = include_bytes!("../../data/raw/cdnow.csv");

pub(super) fn init(arguments: &InitArgs, out: &mut impl Write) -> Result<(), Error> {
    let first = Path::new(&arguments.files[0]);
    let name = arguments.name.clone().unwrap_or_else(|| name_of(first));
    let base = std::env::current_dir()?;
    let draft = draft(&arguments.files, &name, &base)?;
    let Draft { yaml, questions } = &draft;
    if arguments.stdout {
        return Ok(out.write_all(yaml.as_bytes())?);
    }
    let path = format!("{name}.yaml");
    write_new(Path::new(&path), yaml.as_bytes(), arguments)?;
    writeln!(out, "{path} written")?;
    for (option, guess) in draft.guesses() {
        writeln!(out, "guessed, `{option}`: {guess}")?;
    }
    for question in questions {
        writeln!(out, "to answer: {question}")?;
    }
    let next = if questions.is_empty() { "next" } else { "then, with each TODO replaced" };
    Ok(writeln!(out, "{next}: custseg check {path} && custseg run {path}")?)
}

/// Writes the example to a folder. Returns its pipeline.
pub(super) fn demo(dir: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(dir)?;
    let pipeline = DEFAULT_PIPELINE
        .replace("../data/raw/cdnow.csv", "cdnow.csv")
        .replace("../config/segments/default.yaml", "default")
        .replace("to: ../data/output/cdnow", "to: results")
        .replace("# yaml-language-server: $schema=../config/pipeline.schema.json\n", "");
    fs::write(dir.join("cdnow.csv"), CDNOW)?;
    let path = dir.join("cdnow.yaml");
    fs::write(&path, pipeline)?;
    Ok(path)
}

fn name_of(file: &Path) -> String {
    let stem = file.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let stem = stem.unwrap_or_default();
    let stem = stem.split('.').next().unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name.trim_matches('_').to_owned();
    if name.is_empty() { "shop".to_owned() } else { name }
}

fn write_new(path: &Path, bytes: &[u8], arguments: &InitArgs) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).create_new(!arguments.force);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::Usage(format!("{} exists already: --force replaces it", path.display()))
        }
        _ => error.into(),
    })?;
    Ok(file.write_all(bytes)?)
}
