//! The one door: [`PipelineSpec`] → [`Pipeline`]. Rules that a schema cannot say are checked here, all of them, and
//! nowhere else.

use chrono::format::StrftimeItems;
use chrono::{NaiveDate, NaiveDateTime};
use encoding_rs::{UTF_8, WINDOWS_1252};
use serde_json::json;

use super::checker::Checker;
use super::map_spec::MapSpec;
use super::problem::{Kind, Problems, hint, nearest};
use super::spec::*;
use super::steps::SourceNames;
use super::{Document, read, shaped, source, steps};
use crate::clean::Step;
use crate::clean::steps::Repeated;
use crate::columns::{FREQUENCY, MONETARY, RECENCY_DAYS};
use crate::ingest::conform::all_columns;
use crate::ingest::{Columns, IngestParams, Money, Numbers, OnBadRow, RejectColumns};
use crate::model::{ModelParams, Weights as VoteWeights};
use crate::pipeline::Pipeline;
use crate::publish::PublishParams;
use crate::rfm::{Frequency as Counted, RfmParams, SnapshotDates};
use crate::score::{Method, ScoreParams};
use crate::segment::{Rule, SegmentDef, SegmentMap};

/// Columns that a model may measure distance in.
const FEATURES: [&str; 3] = [RECENCY_DAYS, FREQUENCY, MONETARY];

/// Checks the meaning of a spec against itself, its segment map, and the headers of its sources.
///
/// `None` where the problems leave no pipeline to be made; they have then been told.
pub(super) fn compile(
    spec: &PipelineSpec,
    document: &Document,
    faulty: &[String],
    problems: &mut Problems,
) -> Option<Pipeline> {
    let map = map(&spec.segment, spec.score.bins, document, faulty, problems);
    let mut checker = Checker::new(document, faulty, problems);
    let separator = separator(&spec.ingest.transactions.csv, &mut checker);
    let numbers = numbers(&spec.ingest.transactions.csv, &mut checker);
    for (i, format) in spec.ingest.transactions.csv.datetime_formats.iter().enumerate() {
        if !reads_back(format) {
            let message = format!("`{format}` is no format of a date, or lacks a part of one");
            let hint = "such as %Y-%m-%d %H:%M:%S, in the notation of strftime".to_owned();
            let pointer = format!("/ingest/transactions/csv/datetime_formats/{i}");
            checker.problem(Kind::Config, &pointer, message, Some(hint));
        }
    }
    let timezone = timezone(&spec.ingest.timezone, &mut checker);
    // The web's latin1 is windows-1252, which differs in control characters that no table holds.
    let encoding = match spec.ingest.transactions.csv.encoding {
        EncodingSpec::Utf8 => UTF_8,
        EncodingSpec::Latin1 | EncodingSpec::Windows1252 => WINDOWS_1252,
    };
    // A wrong separator makes one wrong column of every header, which would only be told five times over.
    let bound = separator.and_then(|separator| {
        let (files, format, columns) = source::bind(&spec.ingest.transactions, separator, encoding, &mut checker)?;
        Some((files, format, columns, separator))
    });
    let money = Money { scale: spec.ingest.money.scale, currency: spec.ingest.money.currency.clone() };
    let names = bound.as_ref().map(|(files, _, columns, _)| SourceNames {
        mapped: columns.mapped().into_iter().map(|(name, _)| name).collect(),
        columns: all_columns(files),
        money: money.clone(),
    });
    let clean = steps::clean(&spec.clean, &spec.ingest.transactions.columns, names.as_ref(), &mut checker);
    let looked_at = clean.iter().flat_map(|step| match step {
        Step::Where(predicate) => predicate.source_columns.clone(),
        _ => Vec::new(),
    });
    let predicate_columns = looked_at.collect();
    let rfm = rfm(&spec.rfm, &spec.ingest.transactions.columns, &mut checker);
    let models = models(spec, &mut checker);
    let to = document.base.join(&spec.publish.to);
    if spec.publish.to.is_empty() {
        checker.wrong("/publish/to", "expected a folder");
    }
    let (files, format, columns, separator) = bound?;
    let map = map?;
    let ingest = IngestParams {
        files,
        format,
        separator,
        encoding,
        numbers,
        on_bad_row: match spec.ingest.transactions.csv.on_bad_row {
            OnBadRowSpec::Reject => OnBadRow::Reject,
            OnBadRowSpec::Fail => OnBadRow::Fail,
        },
        datetime_formats: spec.ingest.transactions.csv.datetime_formats.clone(),
        columns,
        timezone: timezone?,
        money,
        predicate_columns,
        rejects: match spec.publish.rejects {
            RejectsSpec::Reasons => RejectColumns::Reasons,
            RejectsSpec::Mapped => RejectColumns::Mapped,
            RejectsSpec::Raw => RejectColumns::Raw,
        },
        whole_rows: clean.contains(&Step::DropDuplicates(Repeated::Exact)),
    };
    let definitions = definitions(spec, &ingest.columns, &map);
    let transactions = &spec.ingest.transactions;
    let reading = json!({ "csv": transactions.csv, "columns": transactions.columns });
    Some(Pipeline {
        name: spec.name.clone(),
        ingest,
        clean,
        rfm: rfm?,
        score: ScoreParams { bins: spec.score.bins, method: method(spec.score.method) },
        segment: map,
        models,
        publish: PublishParams { to },
        definitions,
        reading,
    })
}

/// What the numbers depend on, as JSON: no paths, formats or names of columns.
fn definitions(spec: &PipelineSpec, columns: &Columns, map: &SegmentMap) -> serde_json::Value {
    json!({
        "orders": if columns.order_id.is_some() { "order_id" } else { "customer_day" },
        "timezone": spec.ingest.timezone,
        "money": spec.ingest.money,
        "clean": spec.clean,
        "rfm": spec.rfm,
        "score": spec.score,
        "segment": map,
        "models": spec.models,
        "rejects": spec.publish.rejects,
    })
}

fn separator(spec: &CsvSpec, checker: &mut Checker<'_>) -> Option<u8> {
    match spec.separator.as_bytes() {
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Some(*byte),
        _ => {
            let message = "expected one ASCII character that is neither a quote nor a line end";
            checker.wrong("/ingest/transactions/csv/separator", message);
            None
        }
    }
}

/// Whether a format writes a moment that it reads back as one.
fn reads_back(format: &str) -> bool {
    let Ok(items) = StrftimeItems::new(format).parse() else { return false };
    let moment = NaiveDate::from_ymd_opt(2011, 12, 9).and_then(|day| day.and_hms_opt(12, 50, 0)).unwrap_or_default();
    let text = moment.and_utc().format_with_items(items.iter()).to_string();
    NaiveDateTime::parse_from_str(&text, format).is_ok() || NaiveDate::parse_from_str(&text, format).is_ok()
}

fn numbers(spec: &CsvSpec, checker: &mut Checker<'_>) -> Numbers {
    let at = "/ingest/transactions/csv";
    let decimal = spec.decimal.chars().next().filter(|mark| ['.', ','].contains(mark));
    if decimal.is_none() {
        checker.wrong(&format!("{at}/decimal"), "expected `.` or `,`");
    }
    let thousands = spec.thousands.as_ref().and_then(|mark| mark.chars().next());
    if thousands.is_some_and(|mark| !['.', ',', '\'', ' ', '\u{a0}'].contains(&mark)) {
        checker.wrong(&format!("{at}/thousands"), "expected `,`, `.`, `'` or a space");
    } else if thousands.is_some() && thousands == decimal {
        checker.wrong(&format!("{at}/thousands"), "is the same mark as `decimal`");
    }
    Numbers { decimal: decimal.unwrap_or('.'), thousands, currency_signs: spec.currency_signs.clone() }
}

fn timezone(name: &str, checker: &mut Checker<'_>) -> Option<chrono_tz::Tz> {
    let found = name.parse().ok();
    if found.is_none() {
        let near = nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name()));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        let message = format!("`{name}` is no IANA time zone");
        checker.problem(Kind::Config, "/ingest/timezone", message, hint);
    }
    found
}

fn rfm(spec: &RfmSpec, columns: &ColumnsSpec, checker: &mut Checker<'_>) -> Option<RfmParams> {
    let mut date = |pointer: &str, text: &str| {
        let hint = "an exclusive date such as 2011-12-10, or `last`: the day after the last accepted line";
        checker.date(pointer, text, hint)
    };
    let snapshots = match &spec.snapshots {
        SnapshotsSpec::One(text) if text == "last" => Some(SnapshotDates::Last),
        SnapshotsSpec::One(text) => date("/rfm/snapshots", text).map(|one| SnapshotDates::Given(vec![one])),
        SnapshotsSpec::Many(texts) => {
            let dates: Vec<Option<NaiveDate>> =
                texts.iter().enumerate().map(|(i, text)| date(&format!("/rfm/snapshots/{i}"), text)).collect();
            dates.into_iter().collect::<Option<Vec<_>>>().map(|mut dates| {
                dates.sort();
                dates.dedup();
                SnapshotDates::Given(dates)
            })
        }
    };
    let frequency = match spec.frequency {
        Frequency::Orders => Counted::Orders,
        Frequency::Days => Counted::Days,
        Frequency::Lines => Counted::Lines,
        Frequency::Units => Counted::Units,
    };
    if frequency == Counted::Units && columns.quantity.is_none() {
        checker.wrong("/rfm/frequency", "units cannot be counted: `quantity` is not mapped");
    }
    Some(RfmParams { snapshots: snapshots?, frequency })
}

fn method(spec: ScoreMethod) -> Method {
    match spec {
        ScoreMethod::Quantile => Method::Quantile,
        ScoreMethod::RRfm => Method::RRfm,
    }
}

fn models(spec: &PipelineSpec, checker: &mut Checker<'_>) -> Vec<ModelParams> {
    let mut models = Vec::with_capacity(spec.models.len());
    for (name, model) in &spec.models {
        let pointer = format!("/models/{name}");
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            checker.wrong(&pointer, format!("model name `{name}` heads columns: letters, digits and `_` only"));
        }
        let ModelSpec { target: Target::Segment, features, k, weights, holdout, seed } = model;
        for (i, feature) in features.iter().enumerate() {
            let at = format!("{pointer}/features/{i}");
            if !FEATURES.contains(&feature.as_str()) {
                let message = format!("`{feature}` is no feature");
                checker.problem(Kind::Config, &at, message, Some(hint(feature, FEATURES)));
            } else if features[..i].contains(feature) {
                checker.wrong(&at, format!("feature `{feature}` is named twice"));
            }
        }
        models.push(ModelParams {
            name: name.clone(),
            features: features.clone(),
            k: *k as usize,
            weights: match weights {
                Weights::Uniform => VoteWeights::Uniform,
                Weights::Distance => VoteWeights::Distance,
            },
            holdout: *holdout,
            seed: *seed,
        });
    }
    models
}

/// Reads and checks the segment map, whose problems point into its own file.
fn map(
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
