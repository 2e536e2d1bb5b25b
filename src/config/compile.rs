//! The one door: [`PipelineSpec`] → [`Pipeline`]. Rules that a schema cannot say are checked here, all of them, and
//! nowhere else.

use std::sync::Arc;

use chrono::NaiveDate;
use serde_json::json;

use super::checker::Checker;
use super::ingest_spec::{ColumnsSpec, OnBadRowSpec, TransactionSources};
use super::model_spec::{ModelSpec, OtherTargetSpec, TargetSpec};
use super::problem::{Kind, Problems, nearest};
use super::score_spec::CutPointsSpec;
use super::spec::*;
use super::steps::SourceNames;
use super::variables;
use super::{Document, checks, evaluate, map, models, score, source, steps};
use crate::artefact::{self, KeptCuts};
use crate::clean::steps::Repeated;
use crate::clean::{self, ReturnPolicy};
use crate::columns::{CATEGORY, PRODUCT_ID};
use crate::ingest::{IngestParams, Money, OnBadRow, RejectColumns};
use crate::pipeline::{Pipeline, Recipe};
use crate::publish::{Mirror, PublishParams};
use crate::remote::{Place, SCHEMES, is_remote, strange_scheme};
use crate::rfm::{
    CapOutliers, Feature, Fitted, Frequency as Counted, Grid, Monetary, Of, Ratio, RfmParams,
    SnapshotDates, Step,
};
use crate::score::Cutting;
use crate::scratch::Scratch;
use crate::segment::SegmentMap;

/// Checks the meaning of a spec against itself, its segment map, and the headers of its sources.
///
/// `None` where the problems leave no pipeline to be made; they have then been told.
pub(super) fn compile(
    spec: &PipelineSpec,
    document: &Document,
    faulty: &[String],
    problems: &mut Problems,
) -> Option<Pipeline> {
    let (map, map_json) =
        map::map(&spec.segment, score::bins(&spec.score), document, faulty, problems).unzip();
    let mut checker = Checker::new(document, faulty, problems);
    let timezone = timezone(&spec.ingest.timezone, &mut checker);
    let sources = source::sources(&spec.ingest.transactions, &mut checker);
    let customers =
        spec.ingest.customers.as_ref().map(|customers| source::customers(customers, &mut checker));
    let money =
        Money { scale: spec.ingest.money.scale, currency: spec.ingest.money.currency.clone() };
    let rates = source::rates(&spec.ingest, &mut checker);
    // Where the section itself is at fault, that its columns are not mapped would only be told again.
    let known = !faulty.iter().any(|fault| fault == "/ingest/transactions");
    let sources_of = spec.ingest.transactions.each().into_iter().filter(|_| known);
    let columns: Vec<&ColumnsSpec> = sources_of.map(|(_, one)| &one.columns).collect();
    let names = sources.as_ref().map(|sources| SourceNames::of(sources, &money));
    let clean = steps::clean(&spec.clean, &columns, names.as_ref(), &mut checker);
    let known = customers.as_ref().and_then(Option::as_ref);
    let checks = checks::checks(&spec.checks, names.as_ref(), known, &spec.rfm, &mut checker);
    let kept = clean.steps.iter().find_map(clean::Step::kept_returns);
    let apart = kept.is_some_and(|(_, policy)| policy == ReturnPolicy::Separate);
    let mut definitions = definitions(spec, &columns, map.as_ref());
    let score = score::score(&spec.score, &spec.rfm, &definitions, &mut checker);
    if let Cutting::Given(yardstick) = &score.cutting {
        // What counts is what the cut points are, not where they were found.
        definitions["score"]["cut_points"] = json!({ "frozen": KeptCuts::of(yardstick) });
    }
    let (models, clusterings) = models::models(spec, apart, &mut checker);
    let gates = evaluate::gates(&spec.evaluate, &score, &models, &mut checker);
    let publish = publish(&spec.publish, &mut checker);
    let predicates = clean.steps.iter().flat_map(|step| match step {
        clean::Step::Where(predicate) => predicate.source_columns.clone(),
        _ => Vec::new(),
    });
    let looked_at =
        predicates.chain(checks.iter().flat_map(|check| check.source_columns.clone())).collect();
    let rfm = rfm(&spec.rfm, &columns, clean.cap, apart, &mut checker);
    let looks_at = |column: &str| {
        let by_rfm = rfm.as_ref().is_some_and(|params| params.looks_at(column));
        let by_steps = clean.steps.iter().any(|step| step.looks_at(column));
        by_rfm || by_steps || checks.iter().any(|check| check.looks_at(column))
    };
    let ingest = IngestParams {
        unread: [PRODUCT_ID, CATEGORY].into_iter().filter(|column| !looks_at(column)).collect(),
        sources: sources?,
        customers: customers.map_or(Some(None), |customers| customers.map(Some))?,
        on_bad_row: match spec.ingest.transactions.each().first()?.1.csv.on_bad_row {
            OnBadRowSpec::Reject => OnBadRow::Reject,
            OnBadRowSpec::Fail => OnBadRow::Fail,
        },
        timezone: timezone?,
        money,
        rates: rates?,
        looked_at,
        rejects: match spec.publish.rejects {
            RejectsSpec::Reasons => RejectColumns::Reasons,
            RejectsSpec::Mapped => RejectColumns::Mapped,
            RejectsSpec::Raw => RejectColumns::Raw,
        },
        whole_rows: clean.steps.contains(&clean::Step::DropDuplicates(Repeated::Exact)),
    };
    Some(Pipeline {
        name: spec.name.clone(),
        ingest,
        clean: clean.steps,
        checks: clean.limits.into_iter().chain(checks).collect(),
        rfm: rfm?,
        score,
        segment: map?,
        why: spec.segment.why,
        models,
        clusterings,
        sensitivity: spec.evaluate.sensitivity,
        validity: evaluate::validity(&spec.evaluate),
        gates,
        publish: publish?,
        engine: spec.engine.cluster(),
        definitions,
        recipe: recipe(spec, map_json?, document),
        reading: reading(spec),
    })
}

/// Where the results go; a place in an object store is mirrored by scratch of this machine.
fn publish(spec: &PublishSpec, checker: &mut Checker<'_>) -> Option<PublishParams> {
    let PublishSpec { to, keep_runs, .. } = spec;
    let pointer = "/publish/to";
    if to.is_empty() {
        checker.wrong(pointer, "expected a folder");
        return None;
    }
    if let Some(scheme) = strange_scheme(to) {
        checker.problem(
            Kind::Config,
            pointer,
            format!("`{scheme}://` is no store"),
            Some(SCHEMES.to_owned()),
        );
        return None;
    }
    if !is_remote(to) {
        return Some(PublishParams {
            to: checker.base().join(to),
            mirror: None,
            keep_runs: *keep_runs,
        });
    }
    let place = match Place::of(to) {
        Ok(place) if place.is_writable() => place,
        Ok(_) => {
            checker.wrong(pointer, "the web is only read from");
            return None;
        }
        Err(error) => {
            checker.wrong(pointer, error.to_string());
            return None;
        }
    };
    let folder = match Scratch::folder() {
        Ok(folder) => Arc::new(folder),
        Err(error) => {
            checker.problem(
                Kind::Input,
                pointer,
                format!("no folder to mirror it in: {error}"),
                None,
            );
            return None;
        }
    };
    let (path, url) = (folder.path().to_owned(), to.trim_end_matches('/').to_owned());
    Some(PublishParams {
        to: path,
        mirror: Some(Mirror { url, place, folder }),
        keep_runs: *keep_runs,
    })
}

/// The pipeline for its artefact: without paths, checks and further tables, and with its map and rates beside it.
fn recipe(spec: &PipelineSpec, map: serde_json::Value, document: &Document) -> Recipe {
    let mut own = spec.clone();
    let here = || vec![".".to_owned()];
    match &mut own.ingest.transactions {
        TransactionSources::One(source) => source.paths = here(),
        TransactionSources::Many(sources) => {
            sources.iter_mut().for_each(|source| source.paths = here())
        }
    }
    if let Some(customers) = &mut own.ingest.customers {
        customers.paths = here();
    }
    let mut files = Vec::new();
    let mut beside = |own: String, path: &mut String| {
        let path = std::mem::replace(path, own.clone());
        files.push((own, document.base.join(path)));
    };
    if let Some(rates) = &mut own.ingest.money.rates {
        beside(artefact::RATES.to_owned(), rates);
    }
    own.models.iter_mut().for_each(|(name, model)| with_labels(name, model, &mut beside));
    own.checks.clear();
    own.rfm.snapshots = SnapshotsSpec::default();
    own.score.cut_points = CutPointsSpec::default();
    own.segment.map = artefact::MAP.to_owned();
    own.evaluate = EvaluateSpec::default();
    own.engine = Default::default();
    own.publish = PublishSpec { to: ".".to_owned(), ..PublishSpec::default() };
    Recipe { pipeline: as_written(json!(own)), map: as_written(map), files }
}

/// Gives a model's label file the name that it has in the artefact.
fn with_labels(name: &str, model: &mut ModelSpec, moved: &mut impl FnMut(String, &mut String)) {
    if let Some(TargetSpec::Other(OtherTargetSpec { labels: Some(path), .. })) = &mut model.target {
        let suffix = path.rsplit_once('.').map_or("csv", |(_, suffix)| suffix).to_owned();
        moved(format!("{name}.labels.{suffix}"), path);
    }
}

/// As a file of the same meaning has it: keys that say nothing are left out, since the schema knows no null, and no text names a
/// variable of this machine.
fn as_written(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Object(entries) => {
            let said = entries.into_iter().filter(|(_, value)| !value.is_null());
            said.map(|(key, value)| (key, as_written(value))).collect()
        }
        serde_json::Value::Array(items) => items.into_iter().map(as_written).collect(),
        serde_json::Value::String(text) => json!(variables::literal(&text)),
        other => other,
    }
}

/// What the numbers depend on, as JSON: no paths, formats or names of columns.
fn definitions(
    spec: &PipelineSpec,
    columns: &[&ColumnsSpec],
    map: Option<&SegmentMap>,
) -> serde_json::Value {
    let has_orders = columns.iter().all(|columns| columns.order_id.is_some());
    let mut models = spec.models.clone();
    models
        .iter_mut()
        .for_each(|(name, model)| with_labels(name, model, &mut |own, path| *path = own));
    let money = &spec.ingest.money;
    json!({
        "orders": if has_orders { "order_id" } else { "customer_day" },
        "timezone": spec.ingest.timezone,
        "money": { "scale": money.scale, "currency": money.currency },
        "attributes": spec.ingest.customers.as_ref().map(|customers| &customers.attributes),
        "clean": spec.clean,
        "rfm": spec.rfm,
        "score": spec.score,
        "segment": map,
        "why": spec.segment.why,
        "models": models,
        "evaluate": spec.evaluate,
        "rejects": spec.publish.rejects,
    })
}

/// How the source is read, as JSON: columns, formats and marks, and the checks; no paths.
fn reading(spec: &PipelineSpec) -> serde_json::Value {
    let sources = spec.ingest.transactions.each();
    let sources =
        sources.iter().map(|(_, source)| json!({ "csv": source.csv, "columns": source.columns }));
    let customers = spec.ingest.customers.as_ref();
    json!({
        "transactions": sources.collect::<Vec<_>>(),
        "customers": customers.map(|c| json!({ "csv": c.csv, "key": c.key, "attributes": c.attributes })),
        "checks": spec.checks,
    })
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

fn rfm(
    spec: &RfmSpec,
    columns: &[&ColumnsSpec],
    cap: Option<CapOutliers>,
    apart: bool,
    checker: &mut Checker<'_>,
) -> Option<RfmParams> {
    let date = |checker: &mut Checker<'_>, pointer: &str, text: &str| {
        let hint =
            "an exclusive date such as 2011-12-10, or `last`: the day after the last accepted line";
        checker.date(pointer, text, hint)
    };
    let snapshots = match &spec.snapshots {
        SnapshotsSpec::One(text) if text == "last" => Some(SnapshotDates::Last),
        SnapshotsSpec::One(text) => {
            date(checker, "/rfm/snapshots", text).map(|one| SnapshotDates::Given(vec![one]))
        }
        SnapshotsSpec::Many(texts) => {
            let dates: Vec<Option<NaiveDate>> = texts
                .iter()
                .enumerate()
                .map(|(i, text)| date(checker, &format!("/rfm/snapshots/{i}"), text))
                .collect();
            dates.into_iter().collect::<Option<Vec<_>>>().map(|mut dates| {
                dates.sort();
                dates.dedup();
                SnapshotDates::Given(dates)
            })
        }
        SnapshotsSpec::Grid(grid) => {
            let from = date(checker, "/rfm/snapshots/from", &grid.from);
            let until = match grid.until.as_str() {
                "last" => Some(None),
                text => date(checker, "/rfm/snapshots/until", text).map(Some),
            };
            if let (Some(from), Some(Some(until))) = (from, until)
                && until < from
            {
                checker.wrong(
                    "/rfm/snapshots/until",
                    format!("the grid begins with {from}, after its end"),
                );
            }
            let every = step(&grid.every);
            let whole =
                |every| Some(SnapshotDates::Grid(Grid { from: from?, every, until: until? }));
            every.and_then(whole)
        }
    };
    let frequency = match spec.frequency {
        Frequency::Orders => Counted::Orders,
        Frequency::Days => Counted::Days,
        Frequency::Lines => Counted::Lines,
        Frequency::Units => Counted::Units,
    };
    if frequency == Counted::Units && columns.iter().any(|columns| columns.quantity.is_none()) {
        checker.wrong("/rfm/frequency", "units cannot be counted: `quantity` is not mapped");
    }
    let monetary = match spec.monetary {
        Some(MonetarySpec::Net) => Monetary::Net,
        Some(MonetarySpec::Gross) => Monetary::Gross,
        Some(MonetarySpec::MeanPerOrder) => Monetary::MeanPerOrder,
        Some(MonetarySpec::MeanPerDay) => Monetary::MeanPerDay,
        None if apart => Monetary::Gross,
        None => Monetary::Net,
    };
    let window: Option<u32> = spec.window.strip_suffix('d').and_then(|days| days.parse().ok());
    let features = features(spec, columns, window.is_some(), checker);
    let ratios = ratios(spec, checker);
    let min_history_days = spec.min_history_days;
    let top_categories = usize::from(spec.top_categories);
    if top_categories > 0 && columns.iter().any(|columns| columns.category.is_none()) {
        checker.wrong("/rfm/top_categories", "categories cannot be told: `category` is not mapped");
    }
    Some(RfmParams {
        snapshots: snapshots?,
        frequency,
        monetary,
        window,
        min_history_days,
        features,
        ratios,
        top_categories,
        cap,
        fitted: Fitted::default(),
    })
}

/// "1mo" as a step; the shape of the text has been checked.
fn step(text: &str) -> Option<Step> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "d" => Some(Step::Days(count)),
        "w" => Some(Step::Days(7 * count)),
        "mo" => Some(Step::Months(count)),
        "q" => Some(Step::Months(3 * count)),
        _ => None,
    }
}

/// The ratios; the shape of their days has been checked.
fn ratios(spec: &RfmSpec, checker: &mut Checker<'_>) -> Vec<Ratio> {
    let days = |text: &str| text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let mut found = Vec::with_capacity(spec.ratios.len());
    for (i, ratio) in spec.ratios.iter().enumerate() {
        let at = format!("/rfm/ratios/{i}");
        let (Some(recent), Some(over)) = (days(&ratio.recent), days(&ratio.over)) else { continue };
        if recent >= over {
            checker.wrong(&at, format!("{recent} days are no part of {over}"));
        }
        if spec.ratios[..i].contains(ratio) {
            checker.wrong(&at, "is named twice");
        }
        let of = match ratio.of {
            RatioOf::Monetary => Of::Money,
            RatioOf::Frequency => Of::Orders,
        };
        found.push(Ratio { of, recent, over });
    }
    found
}

fn features(
    spec: &RfmSpec,
    columns: &[&ColumnsSpec],
    windowed: bool,
    checker: &mut Checker<'_>,
) -> Vec<Feature> {
    for (i, feature) in spec.features.iter().enumerate() {
        let at = format!("/rfm/features/{i}");
        if spec.features[..i].contains(feature) {
            checker.wrong(&at, "is named twice");
        }
        if *feature == FeatureSpec::NProducts
            && columns.iter().any(|columns| columns.product_id.is_none())
        {
            checker.wrong(&at, "products cannot be counted: `product_id` is not mapped");
        }
        if *feature == FeatureSpec::NProducts && windowed {
            checker.wrong(
                &at,
                "products are counted from their first purchase on, which a window cannot tell",
            );
        }
    }
    let feature = |spec: &FeatureSpec| match spec {
        FeatureSpec::TenureDays => Feature::TenureDays,
        FeatureSpec::MeanGapDays => Feature::MeanGapDays,
        FeatureSpec::GapDaysStd => Feature::GapDaysStd,
        FeatureSpec::AverageOrderValue => Feature::AverageOrderValue,
        FeatureSpec::NProducts => Feature::NProducts,
    };
    spec.features.iter().map(feature).collect()
}
