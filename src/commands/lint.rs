//! `custseg lint`: codes without a rule, overlapping rules, and unreachable segments of a map.

use std::io::Write;
use std::path::Path;

use crate::config;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::score::Dimension;
use crate::segment::lint::{Findings, lint as find};
use crate::segment::map::Code;

/// Number of codes that are listed of each kind.
const CODES: usize = 20;

pub(super) fn lint(
    file: &Path,
    manifest: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let map = config::load_map(file)?;
    let used = manifest.map(used_scores).transpose()?;
    let highest = used.iter().flatten().flatten().max().copied().unwrap_or(0);
    if highest > map.bins {
        return Err(Error::Usage(format!(
            "the run has scores up to {highest}, but map {} is for {} bins",
            map.name, map.bins
        )));
    }
    let reached = |code: Code| match &used {
        Some(used) => used.iter().zip(code).all(|(scores, score)| scores.contains(&score)),
        None => true,
    };
    let Findings { codes, uncovered, overlapping, shadowed, unreachable } = find(&map, reached);
    let of = if used.is_some() { " of the scores that the run has" } else { "" };
    writeln!(
        out,
        "{}: {} rules for {} segments over {} codes{of}",
        map.name,
        map.rules.len(),
        map.segments.len(),
        codes.len()
    )?;
    for (kind, meaning, codes) in [
        ("uncovered", "no rule matches", &uncovered),
        ("overlapping", "several rules match, the first wins", &overlapping),
    ] {
        if !codes.is_empty() {
            let shown = codes.iter().take(CODES).map(|code| map.code_text(*code));
            let shown = shown.collect::<Vec<_>>().join(" ");
            let more = if codes.len() > CODES { " …" } else { "" };
            writeln!(out, "  {kind:<12} {}: {meaning}: {shown}{more}", codes.len())?;
        }
    }
    for idx in &shadowed {
        let rule = &map.rules[*idx];
        let segment = map.name_of(rule.segment);
        let reason = if codes.iter().any(|code| rule.matches(*code)) {
            "earlier rules match all its codes"
        } else {
            "it matches no code"
        };
        writeln!(out, "  shadowed     rule {} ({segment}): {reason}", idx + 1)?;
    }
    for idx in &unreachable {
        writeln!(out, "  unreachable  {}: no code leads to it", map.name_of(*idx))?;
    }
    match (uncovered.is_empty(), map.otherwise) {
        (true, _) => Ok(writeln!(out, "every code has a segment by a rule")?),
        (false, Some(rest)) => Ok(writeln!(out, "codes without a rule are {}", map.name_of(rest))?),
        (false, None) => Err(Error::Usage(format!(
            "{} of {} codes have no segment; set `otherwise` to name the rest",
            uncovered.len(),
            codes.len()
        ))),
    }
}

/// The scores of each dimension that some customer of a run has, at any snapshot.
fn used_scores(path: &Path) -> Result<[Vec<u8>; 3], Error> {
    let manifest = Manifest::read_file(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
            Error::Usage(format!("{}: not the manifest of a run: {source}", path.display()))
        }
        _ => Error::Input { path: path.to_owned(), source },
    })?;
    Ok(Dimension::ALL.map(|dimension| {
        let cuts = manifest.cut_points.iter().filter(|cut| cut.dimension == dimension.value());
        cuts.flat_map(|cut| cut.achieved.iter().copied()).collect()
    }))
}
