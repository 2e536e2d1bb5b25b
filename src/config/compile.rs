//! Compiles a [`PipelineSpec`] into a [`Pipeline`], and checks the rules that a JSON Schema cannot
//! express or for which its messages would be unclear.

use std::slice;
use std::sync::Arc;

use polars::prelude::DataType;
use serde_json::json;

use super::checks::CheckCompiler;
use super::clean_spec::{CleanStepSpec, DuplicatesSpec};
use super::definition::{definition_json, portable, reading};
use super::diagnostics::{Diagnostics, Kind, nearest};
use super::ingest_spec::{ColumnsSpec, MoneySpec, MoneyUnit, ScaleSpec};
use super::spec::*;
use super::validator::{SourceRules, Validator};
use super::{Document, evaluate, files, lists, map, models, rfm, score, source, steps, summary};
use crate::artefact::CutPointsRecord;
use crate::clean::{ReturnPolicy, Step};
use crate::columns::{CATEGORY, PRODUCT_ID, QUANTITY};
use crate::ingest::cell::has_text;
use crate::ingest::numbers::QUANTITY_SCALE;
use crate::ingest::predicate::SourceNames;
use crate::ingest::{IdFormat, IngestParams, Money, NullValues, RejectColumns, Source};
use crate::pipeline::Pipeline;
use crate::publish::{Destination, LocalFolder, ObjectStore, PublishParams};
use crate::remote::{ObjectLocation, SCHEMES, is_remote, unsupported_scheme};
use crate::rfm::Frequency;
use crate::score::CutPointSource;

/// Checks a spec against itself, its segment map and the headers of its sources.
///
/// Reports all problems, and returns `None` if they prevent a pipeline.
pub(super) fn compile(
    spec: &PipelineSpec,
    document: &Document,
    diagnostics: &mut Diagnostics,
) -> Option<Pipeline> {
    let (map, map_json) =
        map::map(&spec.segment.section(), score::bins(&spec.score), document, diagnostics).unzip();
    let mut validator = Validator::new(document, diagnostics);
    let original = spec;
    let summary = summary::as_transactions(spec, &mut validator);
    let spec = summary.as_ref().unwrap_or(spec);
    let nulls = NullValues::new(&spec.ingest.null_values);
    let ids = IdFormat { nulls, case: spec.ingest.customer_id_case };
    let publishes_here = document.publishes && !is_remote(&spec.publish.to);
    let output = publishes_here.then(|| document.base("/publish/to").join(&spec.publish.to));
    validator.sources = SourceRules { ids: ids.clone(), output };
    let timezone = timezone(&spec.ingest.timezone, &mut validator);
    let mut sources = source::sources(&spec.ingest, &mut validator);
    if let Some(sources) = &sources {
        files::check_duplicates(sources, spec.ingest.duplicate_files, &mut validator);
        check_raw_rejects(spec.publish.rejects, sources, &mut validator);
    }
    let customers = spec.ingest.customers.as_ref();
    let customers = customers.map(|customers| source::customers(customers, &mut validator));
    let money = money(&spec.ingest.money, &mut validator);
    let rates = source::rates(&spec.ingest, &mut validator);
    let transactions = spec.ingest.transactions.each();
    let mut columns: Vec<&ColumnsSpec> =
        transactions.iter().map(|(_, source)| &source.columns).collect();
    if document.invalid.iter().any(|pointer| pointer == "/ingest/transactions") {
        // The whole section was reported; its columns would be reported again as not mapped.
        columns.clear();
    }
    let quantity_scale = quantity_scale(spec, sources.as_deref().unwrap_or(&[]));
    for ((at, spec), source) in transactions.iter().zip(sources.iter_mut().flatten()) {
        let Some(sql) = &spec.predicate else { continue };
        let names = SourceNames::new(slice::from_ref(source), &money, quantity_scale);
        let filter = steps::predicate(&format!("{at}/where"), sql, &names, &mut validator);
        source.filter = filter;
    }
    let names = sources.as_ref().map(|s| SourceNames::new(s, &money, quantity_scale));
    check_exact_duplicates(spec, sources.as_deref().unwrap_or(&[]), &mut validator);
    let clean = steps::clean(&spec.clean, &columns, names.as_ref(), &mut validator);
    let checks = CheckCompiler {
        names: names.as_ref(),
        customers: customers.as_ref().and_then(Option::as_ref),
        snapshots: &spec.rfm.snapshots,
        validator: &mut validator,
    }
    .compile(&spec.checks);
    let returns = Step::policy(&clean.steps);
    let mut definition = definition_json(spec, &columns, map.as_ref());
    let score = score::score(&spec.score, &spec.rfm, &definition, &mut validator);
    if let CutPointSource::Given(frozen) = &score.cut_points {
        // The cut points are part of the definition, the path that they were read from is not.
        definition["score"]["cut_points"] = json!({ "frozen": CutPointsRecord::from(frozen) });
    }
    let models = models::models(spec, returns, &mut validator);
    let gates = evaluate::gates(&spec.evaluate, &score, &models, &mut validator);
    let destination = destination(&spec.publish.to, &mut validator);
    let rfm = rfm::rfm(&spec.rfm, &columns, clean.cap, returns, &mut validator);
    let is_read = |column: &&str| {
        rfm.as_ref().is_some_and(|params| params.reads_column(column))
            || clean.steps.iter().any(|step| step.reads_column(column))
            || checks.iter().any(|check| check.reads_column(column))
    };
    let stability = evaluate::stability(&spec.evaluate, &score, &mut validator);
    let uplift = lists::uplift(&spec.evaluate.uplift, &mut validator);
    let lists = lists::lists(&spec.publish.lists, map.as_ref(), &mut validator);
    let backtests = evaluate::backtests(&spec.evaluate, &models.knn, &mut validator);
    let step_columns = clean.steps.iter().flat_map(Step::source_columns);
    let filter_columns = sources.iter().flatten().filter_map(|source| source.filter.as_ref());
    let filter_columns: Vec<String> =
        filter_columns.flat_map(|filter| filter.source_columns.iter().cloned()).collect();
    let check_columns = checks.iter().flat_map(|check| &check.source_columns);
    let ingest = IngestParams {
        sample: None,
        unread: [PRODUCT_ID, CATEGORY].into_iter().filter(|column| !is_read(column)).collect(),
        sources: sources?,
        customers: match customers {
            Some(customers) => Some(customers?),
            None => None,
        },
        on_bad_row: transactions.first()?.1.csv.on_bad_row,
        max_rejected: spec.ingest.max_rejected,
        ids,
        quantity_scale,
        timezone: timezone?,
        money,
        rates: rates?,
        inspected: step_columns.chain(check_columns).chain(&filter_columns).cloned().collect(),
        rejects: spec.publish.rejects,
        whole_rows: clean.steps.iter().any(Step::compares_rows),
    };
    Some(Pipeline {
        name: spec.name.clone(),
        ingest,
        clean: clean.steps,
        checks: clean.limits.into_iter().chain(checks).collect(),
        rfm: rfm?,
        score,
        segment: map?,
        why: spec.segment.section().why,
        models: models.knn,
        clusterings: models.clusterings,
        btyd: models.btyd,
        sensitivity: spec.evaluate.sensitivity,
        validity: evaluate::validity(&spec.evaluate),
        silhouettes: spec.evaluate.silhouettes,
        stability,
        cohorts: spec.evaluate.cohorts,
        uplift,
        backtests,
        gates,
        publish: PublishParams { to: destination?, keep_runs: spec.publish.keep_runs, lists },
        engine: spec.engine.spark.clone(),
        definition,
        portable: portable(original, map_json?, document),
        reading: reading(spec),
    })
}

/// Precision and unit of money.
fn money(spec: &MoneySpec, validator: &mut Validator<'_>) -> Money {
    let is_minor = spec.unit == MoneyUnit::Minor;
    if is_minor && matches!(spec.scale, ScaleSpec::Auto(_)) {
        let message = "`unit: minor` requires a number of decimals: it says what a minor unit is";
        validator.report_invalid("/ingest/money/scale", message);
    }
    Money { scale: spec.scale.decimals(), currency: spec.currency.clone(), is_minor }
}

/// Decimals of quantities. They are whole if every source says so by its types, or if units are
/// counted.
fn quantity_scale(spec: &PipelineSpec, sources: &[Source]) -> u8 {
    let is_match = |step: &CleanStepSpec| {
        step.cancellations.as_ref().is_some_and(|spec| spec.policy == ReturnPolicy::Match)
    };
    let counts_units = spec.rfm.frequency == Frequency::Units
        || spec.ingest.customers_summary.is_some()
        || spec.clean.iter().any(is_match);
    let is_whole = |source: &Source| {
        let column = source.columns.mapped().into_iter().find(|(name, _)| *name == QUANTITY);
        column.is_none_or(|(_, column)| {
            let mut dtypes = source.set.files.iter().filter_map(|file| file.dtype(column));
            dtypes.all(DataType::is_integer)
        })
    };
    let is_whole = spec.engine.spark.is_some() || counts_units || sources.iter().all(is_whole);
    if is_whole { 0 } else { QUANTITY_SCALE }
}

/// Reports columns that `rejects: raw` cannot keep as text.
fn check_raw_rejects(rejects: RejectColumns, sources: &[Source], validator: &mut Validator<'_>) {
    if rejects != RejectColumns::Raw {
        return;
    }
    for file in sources.iter().flat_map(|source| &source.set.files) {
        for (name, dtype) in file.columns.iter().filter(|(_, dtype)| !has_text(dtype)) {
            let message = format!(
                "`raw` cannot keep column `{name}` of `{}`, which is {dtype}; use `mapped`",
                file.name
            );
            validator.report_invalid("/publish/rejects", message);
        }
    }
}

/// Reports columns of which `drop_duplicates: exact` cannot compare the values.
fn check_exact_duplicates(spec: &PipelineSpec, sources: &[Source], validator: &mut Validator<'_>) {
    let is_exact =
        |step: &CleanStepSpec| matches!(step.drop_duplicates, Some(DuplicatesSpec::Exact(_)));
    let Some(position) = spec.clean.iter().position(is_exact) else { return };
    let files = sources.iter().flat_map(|source| &source.set.files);
    let mut columns = files.flat_map(|file| &file.columns);
    let nested =
        columns.find(|(_, dtype)| matches!(dtype, DataType::Struct(_)) && has_texts(dtype));
    if let Some((name, dtype)) = nested {
        let message = format!("`exact` cannot compare column `{name}`, which is {dtype}");
        let pointer = format!("/clean/{position}/drop_duplicates");
        validator.report_with_hint(&pointer, message, "list the columns to compare");
    }
}

/// Whether a type has texts within it.
fn has_texts(dtype: &DataType) -> bool {
    match dtype {
        DataType::String => true,
        DataType::List(inner) | DataType::Array(inner, _) => has_texts(inner),
        DataType::Struct(fields) => fields.iter().any(|field| has_texts(field.dtype())),
        _ => false,
    }
}

/// The destination of the results; reports a path or URL that cannot be published to.
fn destination(to: &str, validator: &mut Validator<'_>) -> Option<Arc<dyn Destination>> {
    const POINTER: &str = "/publish/to";
    if to.is_empty() {
        return validator.fail(POINTER, "expected a folder, found an empty text");
    }
    if to.starts_with('~') {
        let hint = "write ${HOME} instead of ~";
        return validator.fail_with_hint(POINTER, "`~` is not expanded", hint);
    }
    if let Some(scheme) = unsupported_scheme(to) {
        let message = format!("`{scheme}://` is not supported");
        return validator.fail_with_hint(POINTER, message, SCHEMES);
    }
    if !is_remote(to) {
        return Some(Arc::new(LocalFolder::new(validator.document.base(POINTER).join(to))));
    }
    let location = match ObjectLocation::parse(to) {
        Ok(location) if !location.is_web() => location,
        Ok(_) => {
            let hint = "expected a folder, or a URL that begins with s3://, gs:// or az://";
            return validator.fail_with_hint(POINTER, "cannot publish to the web", hint);
        }
        Err(error) => return validator.fail(POINTER, error.to_string()),
    };
    match ObjectStore::new(to.trim_end_matches('/').to_owned(), location) {
        Ok(store) => Some(Arc::new(store)),
        Err(error) => {
            let message = format!("cannot create a temporary folder: {error}");
            validator.report(Kind::Input, POINTER, message, None);
            None
        }
    }
}

fn timezone(name: &str, validator: &mut Validator<'_>) -> Option<chrono_tz::Tz> {
    if let Ok(timezone) = name.parse() {
        return Some(timezone);
    }
    let city = name.replace(' ', "_");
    let known = chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name());
    let of_city = known.clone().find(|known| known.rsplit('/').next() == Some(&city));
    let hint = match of_city.or_else(|| nearest(name, known)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "write the shop's zone, such as `Europe/Berlin`".to_owned(),
    };
    let message = format!("`{name}` is not an IANA time zone");
    validator.report_with_hint("/ingest/timezone", message, hint);
    None
}
