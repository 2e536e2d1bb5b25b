//! Checks a segment map: rules name its own segments, lie within its bins, and leave no code without a name.

use std::path::Path;

use polars::prelude::{DataType, Schema};

use super::checker::Checker;
use super::map_spec::MapSpec;
use super::problem::{Kind, Problems, hint};
use super::spec::SegmentSpec;
use super::{Document, read, shaped};
use crate::clean::predicate::{PredicateError, condition};
use crate::columns::{FREQUENCY, MONETARY, RECENCY_DAYS};
use crate::segment::map::Code;
use crate::segment::{Rule, SegmentDef, SegmentMap, Values};

/// Reads and checks the segment map, whose problems point into its own file.
pub(super) fn map(
    spec: &SegmentSpec,
    bins: u8,
    document: &Document,
    faulty: &[String],
    problems: &mut Problems,
) -> Option<(SegmentMap, serde_json::Value)> {
    let path = document.base.join(&spec.map);
    if !path.is_file() {
        let mut checker = Checker::new(document, faulty, problems);
        checker.problem(
            Kind::Input,
            "/segment/map",
            format!("no segment map at `{}`", path.display()),
            None,
        );
        return None;
    }
    let mut map_document = read(&path, &path.display().to_string(), problems)?;
    let (map_spec, map_faulty) = shaped::<MapSpec>(&mut map_document, problems);
    let map_spec: MapSpec = map_spec?;
    if map_spec.bins != bins && !map_faulty.iter().any(|fault| fault == "/bins") {
        let message = format!(
            "`{}` is written for {} bins, but score.bins is {bins}",
            spec.map, map_spec.bins
        );
        Checker::new(document, faulty, problems).wrong("/segment/map", message);
        return None;
    }
    let mut checker = Checker::new(&map_document, &map_faulty, problems);
    let json = map_document.tree.to_json();
    Some((whole(checked_map(map_spec, &mut checker)?, &mut checker)?, json))
}

/// The map of a file that is a map itself, or of a pipeline that names one, whatever it leaves uncovered.
pub(super) fn with_holes(path: &Path, problems: &mut Problems) -> Option<SegmentMap> {
    let mut document = read(path, &path.display().to_string(), problems)?;
    let named = document
        .tree
        .to_json()
        .pointer("/segment/map")
        .and_then(|map| map.as_str().map(str::to_owned));
    if let Some(named) = named {
        let path = document.base.join(named);
        document = read(&path, &path.display().to_string(), problems)?;
    }
    let (spec, faulty) = shaped::<MapSpec>(&mut document, problems);
    let mut checker = Checker::new(&document, &faulty, problems);
    checked_map(spec?, &mut checker)
}

/// The map, unless it leaves a code without a name.
fn whole(map: SegmentMap, checker: &mut Checker<'_>) -> Option<SegmentMap> {
    let holes = map.holes();
    if holes.is_empty() {
        return Some(map);
    }
    let codes: Vec<String> =
        holes.iter().take(10).map(|code| code.map(|score| score.to_string()).join("-")).collect();
    let more = if holes.len() > codes.len() { ", …" } else { "" };
    let message = format!(
        "{} of {} score codes have no segment: {}{more}",
        holes.len(),
        map.codes().count(),
        codes.join(", ")
    );
    let hint = "add rules, or name the segment of the rest with `otherwise`";
    checker.problem(Kind::Config, "/rules", message, Some(hint.to_owned()));
    None
}

/// Codes by their text.
fn codes(
    texts: &[String],
    bins: u8,
    pointer: &str,
    checker: &mut Checker<'_>,
) -> Option<Vec<Code>> {
    let mut found = Vec::with_capacity(texts.len());
    for (i, text) in texts.iter().enumerate() {
        let scores: Vec<Option<u8>> = match text.contains('-') || bins > 9 {
            true => text.split('-').map(|score| score.parse().ok()).collect(),
            false => text.chars().map(|digit| digit.to_string().parse().ok()).collect(),
        };
        let within = |score: &Option<u8>| score.is_some_and(|score| (1..=bins).contains(&score));
        match scores.as_slice() {
            [Some(r), Some(f), Some(m)] if scores.iter().all(within) => found.push([*r, *f, *m]),
            _ => {
                let message = format!("`{text}` is no code of three scores within 1 to {bins}");
                checker.wrong(&format!("{pointer}/{i}"), message);
                return None;
            }
        }
    }
    Some(found)
}

/// A condition on values, with the columns that it may name.
fn values(sql: &str, pointer: &str, checker: &mut Checker<'_>) -> Option<Values> {
    let columns = [
        (RECENCY_DAYS, DataType::Int32),
        (FREQUENCY, DataType::UInt32),
        (MONETARY, DataType::Float64),
    ];
    let names = columns.each_ref().map(|(name, _)| *name);
    let schema: Schema = columns.into_iter().map(|(name, dtype)| (name.into(), dtype)).collect();
    match condition(sql, &schema) {
        Ok(holds) => Some(Values { sql: sql.to_owned(), holds }),
        Err(error) => {
            let hint = matches!(error, PredicateError::Unknown(_)).then(|| hint(sql, names));
            checker.problem(Kind::Config, pointer, error.to_string(), hint);
            None
        }
    }
}

fn checked_map(spec: MapSpec, checker: &mut Checker<'_>) -> Option<SegmentMap> {
    let names: Vec<String> = spec.segments.iter().map(|segment| segment.name.clone()).collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            checker.wrong(
                &format!("/segments/{i}/name"),
                format!("segment `{name}` is defined twice"),
            );
        }
    }
    let mut index = |pointer: &str, name: &str| {
        let found = names.iter().position(|known| known == name);
        if found.is_none() {
            let hint = hint(name, names.iter().map(String::as_str));
            checker.problem(
                Kind::Config,
                pointer,
                format!("no segment is called `{name}`"),
                Some(hint),
            );
        }
        found
    };
    let otherwise = spec.otherwise.as_ref().map(|name| index("/otherwise", name));
    let indices: Vec<Option<usize>> = spec
        .rules
        .iter()
        .enumerate()
        .map(|(i, rule)| index(&format!("/rules/{i}/segment"), &rule.segment))
        .collect();
    let mut rules = Vec::with_capacity(spec.rules.len());
    let mut sound = true;
    for (i, (rule, segment)) in spec.rules.iter().zip(&indices).enumerate() {
        let mut range = |key: &str, given: Option<[u8; 2]>| {
            let [low, high] = given.unwrap_or([1, spec.bins]);
            if low < 1 || low > high || high > spec.bins {
                let message = format!(
                    "expected [lowest, highest] within 1 to {}, found [{low}, {high}]",
                    spec.bins
                );
                checker.wrong(&format!("/rules/{i}/{key}"), message);
                sound = false;
            }
            [low, high]
        };
        let ranges = [range("r", rule.r), range("f", rule.f), range("m", rule.m)];
        let fm_sum =
            rule.fm.map(|ends| ends.map(|end| (end * 2.0).clamp(0.0, 2.0 * f64::from(spec.bins))));
        if fm_sum.is_some_and(|[low, high]| low > high) {
            checker.wrong(&format!("/rules/{i}/fm"), "expected [lowest, highest]");
            sound = false;
        }
        // A mean lies on halves, so that a range of it is one of whole sums.
        let fm_sum = fm_sum.map(|[low, high]| [low.ceil() as u8, high.floor() as u8]);
        let listed = rule.codes.as_ref();
        let listed =
            listed.map(|texts| codes(texts, spec.bins, &format!("/rules/{i}/codes"), checker));
        let on_values =
            rule.values.as_ref().map(|sql| values(sql, &format!("/rules/{i}/values"), checker));
        sound &= listed != Some(None) && on_values != Some(None);
        let (codes, values) = (listed.flatten(), on_values.flatten());
        rules.extend(segment.map(|segment| Rule { segment, ranges, fm_sum, codes, values }));
    }
    if !sound || otherwise == Some(None) || rules.len() < spec.rules.len() {
        return None;
    }
    let segments = spec.segments.into_iter().map(|s| SegmentDef {
        name: s.name,
        description: s.description,
        action: s.action,
    });
    Some(SegmentMap {
        name: spec.name,
        bins: spec.bins,
        segments: segments.collect(),
        rules,
        otherwise: otherwise.flatten(),
    })
}
