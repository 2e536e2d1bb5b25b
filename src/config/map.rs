//! Checks a segment map: rules name its own segments, lie within its bins, and leave no code without a name.

use super::checker::Checker;
use super::map_spec::MapSpec;
use super::problem::{Kind, Problems, hint};
use super::spec::SegmentSpec;
use super::{Document, read, shaped};
use crate::segment::{Rule, SegmentDef, SegmentMap};

/// Reads and checks the segment map, whose problems point into its own file.
pub(super) fn map(
    spec: &SegmentSpec,
    bins: u8,
    document: &Document,
    faulty: &[String],
    problems: &mut Problems,
) -> Option<SegmentMap> {
    let path = document.base.join(&spec.map);
    if !path.is_file() {
        let mut checker = Checker::new(document, faulty, problems);
        checker.problem(Kind::Input, "/segment/map", format!("no segment map at `{}`", path.display()), None);
        return None;
    }
    let map_document = read(&path, &path.display().to_string(), problems)?;
    let (map_spec, map_faulty) = shaped::<MapSpec>(&map_document, problems);
    let map_spec: MapSpec = map_spec?;
    if map_spec.bins != bins && !map_faulty.iter().any(|fault| fault == "/bins") {
        let message = format!("`{}` is written for {} bins, but score.bins is {bins}", spec.map, map_spec.bins);
        Checker::new(document, faulty, problems).wrong("/segment/map", message);
        return None;
    }
    let mut checker = Checker::new(&map_document, &map_faulty, problems);
    checked_map(map_spec, &mut checker)
}

fn checked_map(spec: MapSpec, checker: &mut Checker<'_>) -> Option<SegmentMap> {
    let names: Vec<String> = spec.segments.iter().map(|segment| segment.name.clone()).collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            checker.wrong(&format!("/segments/{i}/name"), format!("segment `{name}` is defined twice"));
        }
    }
    let mut index = |pointer: &str, name: &str| {
        let found = names.iter().position(|known| known == name);
        if found.is_none() {
            let hint = hint(name, names.iter().map(String::as_str));
            checker.problem(Kind::Config, pointer, format!("no segment is called `{name}`"), Some(hint));
        }
        found
    };
    let otherwise = spec.otherwise.as_ref().map(|name| index("/otherwise", name));
    let indices: Vec<Option<usize>> =
        spec.rules.iter().enumerate().map(|(i, rule)| index(&format!("/rules/{i}/segment"), &rule.segment)).collect();
    let mut rules = Vec::with_capacity(spec.rules.len());
    let mut sound = true;
    for (i, (rule, segment)) in spec.rules.iter().zip(&indices).enumerate() {
        let mut range = |key: &str, given: Option<[u8; 2]>| {
            let [low, high] = given.unwrap_or([1, spec.bins]);
            if low < 1 || low > high || high > spec.bins {
                let message = format!("expected [lowest, highest] within 1 to {}, found [{low}, {high}]", spec.bins);
                checker.wrong(&format!("/rules/{i}/{key}"), message);
                sound = false;
            }
            [low, high]
        };
        let ranges = [range("r", rule.r), range("f", rule.f), range("m", rule.m)];
        rules.extend(segment.map(|segment| Rule { segment, ranges }));
    }
    if !sound || otherwise == Some(None) || rules.len() < spec.rules.len() {
        return None;
    }
    let segments =
        spec.segments.into_iter().map(|s| SegmentDef { name: s.name, description: s.description, action: s.action });
    let map = SegmentMap {
        name: spec.name,
        bins: spec.bins,
        segments: segments.collect(),
        rules,
        otherwise: otherwise.flatten(),
    };
    let holes = map.holes();
    if holes.is_empty() {
        return Some(map);
    }
    let codes: Vec<String> = holes.iter().take(10).map(|code| code.map(|score| score.to_string()).join("-")).collect();
    let more = if holes.len() > codes.len() { ", …" } else { "" };
    let message =
        format!("{} of {} score codes have no segment: {}{more}", holes.len(), map.codes().count(), codes.join(", "));
    let hint = "add rules, or name the segment of the rest with `otherwise`";
    checker.problem(Kind::Config, "/rules", message, Some(hint.to_owned()));
    None
}
