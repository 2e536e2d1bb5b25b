//! `custseg lint`: what a segment map leaves out or never reaches.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use custseg::config;
use custseg::error::Error;
use custseg::score::Dimension;
use custseg::segment::SegmentMap;
use custseg::segment::lint::{Findings, lint as findings};
use custseg::segment::map::Code;

/// Codes that are shown of each kind.
const SHOWN: usize = 20;

pub(super) fn lint(
    file: &Path,
    manifest: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let map = config::load_map(file)?;
    let achieved = manifest.map(achieved).transpose()?;
    let highest = achieved.iter().flatten().flatten().max().copied().unwrap_or(0);
    if highest > map.bins {
        return Err(Error::Usage(format!(
            "the run has scores up to {highest}, but map {} is for {}",
            map.name, map.bins
        )));
    }
    let reached = |code: Code| {
        let within = |(scores, score): (&Vec<u8>, u8)| scores.contains(&score);
        achieved.as_ref().is_none_or(|achieved| achieved.iter().zip(code).all(within))
    };
    let Findings { codes, uncovered, overlapping, shadowed, unreachable } = findings(&map, reached);
    let of = if achieved.is_some() { " of the scores that the run reached" } else { "" };
    writeln!(
        out,
        "{}: {} rules for {} segments over {} codes{of}",
        map.name,
        map.rules.len(),
        map.segments.len(),
        codes.len()
    )?;
    list(&map, "uncovered", "no rule matches them", &uncovered, out)?;
    list(&map, "overlapping", "several rules match them, the first wins", &overlapping, out)?;
    for idx in &shadowed {
        let segment = map.name_of(map.rules[*idx].segment);
        let words = match codes.iter().any(|code| map.rules[*idx].matches(*code)) {
            true => "earlier rules take all that it matches",
            false => "it matches no code",
        };
        writeln!(out, "  shadowed     rule {} ({segment}): {words}", idx + 1)?;
    }
    for idx in &unreachable {
        writeln!(out, "  unreachable  {}: no code leads to it", map.name_of(*idx))?;
    }
    match (uncovered.is_empty(), map.otherwise) {
        (true, _) => Ok(writeln!(out, "every code has a segment by a rule")?),
        (false, Some(rest)) => Ok(writeln!(out, "codes without a rule are {}", map.name_of(rest))?),
        (false, None) => {
            let message = format!(
                "{} of {} codes have no segment; name that of the rest with `otherwise`",
                uncovered.len(),
                codes.len()
            );
            Err(Error::Usage(message))
        }
    }
}

fn list(
    map: &SegmentMap,
    kind: &str,
    words: &str,
    codes: &[Code],
    out: &mut impl Write,
) -> Result<(), Error> {
    if codes.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = codes.iter().take(SHOWN).map(|code| map.code_text(*code)).collect();
    let more = if codes.len() > SHOWN { " …" } else { "" };
    writeln!(out, "  {kind:<12} {}: {words}: {}{more}", codes.len(), shown.join(" "))?;
    Ok(())
}

/// The scores of each dimension that some customer had at some snapshot of a run.
fn achieved(manifest: &Path) -> Result<[Vec<u8>; 3], Error> {
    let wrong = |words: String| Error::Usage(format!("{}: {words}", manifest.display()));
    let bytes =
        fs::read(manifest).map_err(|source| Error::Input { path: manifest.to_owned(), source })?;
    let json: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    let cuts =
        json["cut_points"].as_array().ok_or_else(|| wrong("no manifest of a run".to_owned()))?;
    Ok(Dimension::ALL.map(|dimension| {
        let own = cuts.iter().filter(|cut| cut["dimension"] == dimension.value());
        let scores = own.flat_map(|cut| cut["achieved"].as_array().into_iter().flatten());
        scores.filter_map(Value::as_u64).map(|score| score as u8).collect()
    }))
}
