//! Compiles segment maps: rules refer to segments and bins of the map and cover every code.

use std::path::Path;

use polars::prelude::{DataType, PlSmallStr, Schema};
use serde_json::Value as Json;

use super::diagnostics::{Diagnostics, Kind, hint};
use super::map_spec::{MapSpec, RuleSpec};
use super::spec::SegmentSpec;
use super::validator::Validator;
use super::{Document, deserialize, parse, read};
use crate::columns::{FREQUENCY, MONETARY, RECENCY_DAYS};
use crate::ingest::predicate::{PredicateError, condition};
use crate::segment::map::Code;
use crate::segment::{Rule, SegmentMap, Values};

/// The maps that are part of the program, by name.
const SHIPPED: [(&str, &str); 6] = [
    ("default", include_str!("../../config/segments/default.yaml")),
    ("dbt_rf", include_str!("../../config/segments/dbt_rf.yaml")),
    ("klaviyo", include_str!("../../config/segments/klaviyo.yaml")),
    ("putler", include_str!("../../config/segments/putler.yaml")),
    ("pymc_marketing", include_str!("../../config/segments/pymc_marketing.yaml")),
    ("r_rfm", include_str!("../../config/segments/r_rfm.yaml")),
];

/// Reads and checks the segment map of a pipeline. Its diagnostics point into its own file.
pub(super) fn map(
    spec: &SegmentSpec,
    bins: u8,
    document: &Document,
    diagnostics: &mut Diagnostics,
) -> Option<(SegmentMap, Json)> {
    const POINTER: &str = "/segment/map";
    let path = document.base(POINTER).join(&spec.map);
    let shipped = SHIPPED.iter().find(|(name, _)| *name == spec.map);
    let mut map_document = match shipped {
        _ if path.is_file() => read(&path, diagnostics)?,
        Some((name, text)) => {
            parse(Path::new(&format!("{name} (shipped map)")), text, diagnostics)?
        }
        None => {
            let message = format!("segment map not found: `{}`", path.display());
            let names = SHIPPED.map(|(name, _)| name).join(", ");
            let hint = format!("a path, or one of the shipped maps: {names}");
            let mut validator = Validator::new(document, diagnostics);
            validator.report(Kind::Input, POINTER, message, Some(hint));
            return None;
        }
    };
    let map_spec: MapSpec = deserialize(&mut map_document, diagnostics)?;
    if map_spec.bins != bins && !map_document.invalid.iter().any(|pointer| pointer == "/bins") {
        let message =
            format!("`{}` has {} bins, but `score.bins` is {bins}", spec.map, map_spec.bins);
        let compat = match shipped {
            Some((name @ ("klaviyo" | "pymc_marketing"), _)) => format!("compat: {name}"),
            _ => format!("bins: {}", map_spec.bins),
        };
        let hint = format!("set `score: {{ {compat} }}`");
        return Validator::new(document, diagnostics).fail_with_hint(POINTER, message, hint);
    }
    let mut validator = Validator::new(&map_document, diagnostics);
    let map = compile(map_spec, &mut validator)?;
    check_coverage(&map, &mut validator)?;
    Some((map, map_document.tree.to_json()))
}

/// The map of a map file or of a pipeline that names one. It may leave codes uncovered.
pub(super) fn load(path: &Path, diagnostics: &mut Diagnostics) -> Option<SegmentMap> {
    let mut document = read(path, diagnostics)?;
    let pipeline = document.tree.to_json();
    let map = pipeline.pointer("/segment/map").or(pipeline.pointer("/segment"));
    if let Some(map) = map.and_then(Json::as_str) {
        let path = document.base("/segment/map").join(map);
        document = match SHIPPED.iter().find(|(name, _)| *name == map && !path.is_file()) {
            Some((name, text)) => parse(Path::new(name), text, diagnostics)?,
            None => read(&path, diagnostics)?,
        };
    }
    let spec: MapSpec = deserialize(&mut document, diagnostics)?;
    compile(spec, &mut Validator::new(&document, diagnostics))
}

/// Reports codes that no rule matches.
fn check_coverage(map: &SegmentMap, validator: &mut Validator<'_>) -> Option<()> {
    let uncovered: Vec<Code> = map.codes().filter(|code| map.segment_of(*code).is_none()).collect();
    if uncovered.is_empty() {
        return Some(());
    }
    let mut codes: Vec<String> = uncovered
        .iter()
        .take(10)
        .map(|code| code.map(|score| score.to_string()).join("-"))
        .collect();
    if uncovered.len() > codes.len() {
        codes.push("…".to_owned());
    }
    let message = format!(
        "{} of {} score codes have no segment: {}",
        uncovered.len(),
        map.codes().count(),
        codes.join(", ")
    );
    let hint = "add rules, or set `otherwise` to the segment of all other codes";
    validator.fail_with_hint("/rules", message, hint)
}

fn compile(spec: MapSpec, validator: &mut Validator<'_>) -> Option<SegmentMap> {
    let names: Vec<&str> = spec.segments.iter().map(|segment| segment.name.as_str()).collect();
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            let message = format!("segment `{name}` is defined twice");
            validator.report_invalid(&format!("/segments/{i}/name"), message);
        }
    }
    let mut compiler = RuleCompiler { names: &names, bins: spec.bins, validator };
    let otherwise = optional(spec.otherwise.as_ref(), |name| compiler.segment("/otherwise", name));
    let rules = spec.rules.iter().enumerate();
    let rules: Vec<_> =
        rules.map(|(i, rule)| compiler.rule(&format!("/rules/{i}"), rule)).collect();
    Some(SegmentMap {
        name: spec.name,
        bins: spec.bins,
        segments: spec.segments,
        rules: rules.into_iter().collect::<Option<_>>()?,
        otherwise: otherwise?,
    })
}

/// `Some(None)` for an absent option, `None` for one that `parse` rejects.
fn optional<T, U>(option: Option<T>, parse: impl FnOnce(T) -> Option<U>) -> Option<Option<U>> {
    match option {
        Some(value) => parse(value).map(Some),
        None => Some(None),
    }
}

/// Each method reports an invalid option and returns `None`.
struct RuleCompiler<'a, 'd> {
    names: &'a [&'a str],
    bins: u8,
    validator: &'a mut Validator<'d>,
}

impl RuleCompiler<'_, '_> {
    fn rule(&mut self, at: &str, spec: &RuleSpec) -> Option<Rule> {
        // All conditions are compiled before the first failure returns, so that each is reported.
        let segment = self.segment(&format!("{at}/segment"), &spec.segment);
        let [r, f, m] = [("r", spec.r), ("f", spec.f), ("m", spec.m)]
            .map(|(key, range)| self.scores(&format!("{at}/{key}"), range));
        let fm_sum = optional(spec.fm, |range| self.fm_sum(&format!("{at}/fm"), range));
        let codes =
            optional(spec.codes.as_ref(), |texts| self.codes(&format!("{at}/codes"), texts));
        let values =
            optional(spec.values.as_ref(), |sql| self.values(&format!("{at}/values"), sql));
        Some(Rule {
            segment: segment?,
            ranges: [r?, f?, m?],
            fm_sum: fm_sum?,
            codes: codes?,
            values: values?,
        })
    }

    fn segment(&mut self, pointer: &str, name: &str) -> Option<usize> {
        let index = self.names.iter().position(|known| *known == name);
        if index.is_none() {
            let hint = hint(name, self.names.iter().copied());
            self.validator.report_with_hint(pointer, format!("unknown segment `{name}`"), hint);
        }
        index
    }

    fn scores(&mut self, pointer: &str, range: Option<[u8; 2]>) -> Option<[u8; 2]> {
        let bins = self.bins;
        let [low, high] = range.unwrap_or([1, bins]);
        if low < 1 || low > high || high > bins {
            let message =
                format!("expected [lowest, highest] within 1 to {bins}, found [{low}, {high}]");
            return self.validator.fail(pointer, message);
        }
        Some([low, high])
    }

    /// A range of means of two scores as a range of their sum, which is always whole.
    fn fm_sum(&mut self, pointer: &str, means: [f64; 2]) -> Option<[u8; 2]> {
        let [low, high] = means.map(|mean| (mean * 2.0).clamp(0.0, 2.0 * f64::from(self.bins)));
        if low > high {
            return self.validator.fail(pointer, "expected [lowest, highest]");
        }
        Some([low.ceil() as u8, high.floor() as u8])
    }

    fn codes(&mut self, pointer: &str, texts: &[String]) -> Option<Vec<Code>> {
        let invalid = texts.iter().position(|text| parse_code(text, self.bins).is_none());
        if let Some(i) = invalid {
            let message =
                format!("`{}` is not a code of three scores from 1 to {}", texts[i], self.bins);
            self.validator.report_invalid(&format!("{pointer}/{i}"), message);
        }
        texts.iter().map(|text| parse_code(text, self.bins)).collect()
    }

    /// A predicate on the values behind the scores.
    fn values(&mut self, pointer: &str, sql: &str) -> Option<Values> {
        let names = [RECENCY_DAYS, FREQUENCY, MONETARY];
        let types = [DataType::Int32, DataType::UInt32, DataType::Float64];
        let schema: Schema = names.map(PlSmallStr::from).into_iter().zip(types).collect();
        let report = |error: PredicateError| {
            let hint = match &error {
                PredicateError::Unknown(name) => Some(hint(name, names)),
                _ => None,
            };
            self.validator.report(Kind::Config, pointer, error.to_string(), hint);
        };
        let holds = condition(sql, &schema).map_err(report).ok()?;
        Some(Values { sql: sql.to_owned(), holds })
    }
}

/// Three scores such as `555`, or `10-9-10` with more than 9 bins.
fn parse_code(text: &str, bins: u8) -> Option<Code> {
    let scores: Vec<u8> = if text.contains('-') || bins > 9 {
        text.split('-').map(|score| score.parse().ok()).collect::<Option<_>>()?
    } else {
        text.chars().map(|digit| digit.to_string().parse().ok()).collect::<Option<_>>()?
    };
    let code: Code = scores.try_into().ok()?;
    code.iter().all(|score| (1..=bins).contains(score)).then_some(code)
}
