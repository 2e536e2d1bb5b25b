//! Compiles `evaluate`: validity, and gates with known metrics and valid bounds.

use chrono::NaiveDate;

use super::diagnostics::hint;
use super::models::Models;
use super::rfm::days;
use super::spec::{EvaluateSpec, ValiditySpec};
use super::tree::escape_segment;
use super::validator::Validator;
use crate::columns::{FREQUENCY, MONETARY, MOVED, PSI, RECENCY_DAYS, SEGMENT};
use crate::evaluate::gates::{Bound, Gate, GateMetric};
use crate::evaluate::{StabilityParams, ValidityParams, value};
use crate::model::metrics::Overall;
use crate::model::{ModelParams, Protocol, Target};
use crate::score::{CutPointSource, ScoreParams};

/// Metrics over all labels that gates may use, besides those of [`Overall`].
const OTHER_METRICS: [&str; 4] = ["log_loss", "brier", "coverage", "answered_accuracy"];
/// Metrics of models that may have two labels.
const BINARY_METRICS: [&str; 2] = ["auc", "average_precision"];

pub(super) fn validity(spec: &EvaluateSpec) -> Option<ValidityParams> {
    let ValiditySpec { horizon, resamples, seed } = spec.validity.as_ref()?;
    Some(ValidityParams { horizon_days: days(horizon)?, resamples: *resamples, seed: *seed })
}

pub(super) fn stability(
    spec: &EvaluateSpec,
    score: &ScoreParams,
    validator: &mut Validator<'_>,
) -> Option<StabilityParams> {
    let params = spec.stability?;
    if score.by_rank().contains(&true) || !matches!(score.cut_points, CutPointSource::Refit) {
        let message = "`stability` requires cut points of the snapshot: scores by rank and frozen \
                       cut points have none";
        validator.report_invalid("/evaluate/stability", message);
    }
    Some(params)
}

/// The dates of the backtests, ascending.
pub(super) fn backtests(
    spec: &EvaluateSpec,
    models: &[ModelParams],
    validator: &mut Validator<'_>,
) -> Vec<NaiveDate> {
    const HINT: &str = "expected a date such as 2011-09-01";
    let Some(backtest) = &spec.backtest else { return Vec::new() };
    if !models.iter().any(|model| model.target.horizon().is_some()) {
        let message = "`backtest` requires a model with the target `segment_in` or `buys_in`";
        validator.report_invalid("/evaluate/backtest", message);
    }
    let mut date = |(i, text): (usize, &String)| {
        validator.date(&format!("/evaluate/backtest/dates/{i}"), text, HINT)
    };
    let mut dates: Vec<NaiveDate> =
        backtest.dates.iter().enumerate().filter_map(&mut date).collect();
    dates.sort();
    dates.dedup();
    dates
}

/// The valid gates; reports problems of the others.
pub(super) fn gates(
    spec: &EvaluateSpec,
    score: &ScoreParams,
    models: &Models,
    validator: &mut Validator<'_>,
) -> Vec<Gate> {
    let available = available_metrics(models);
    let mut gates = Vec::with_capacity(spec.gates.len());
    for (name, text) in &spec.gates {
        let pointer = format!("/evaluate/gates/{}", escape_segment(name));
        let bound = parse_bound(text);
        if bound.is_none() {
            let hint = "expected <, <=, > or >= and a number, such as \"<= 0.25\"";
            validator.report_with_hint(&pointer, format!("`{text}` is not a bound"), hint);
        }
        let metric = available.iter().find(|metric| metric.name() == *name);
        match metric {
            None => {
                let names: Vec<String> = available.iter().map(GateMetric::name).collect();
                let hint = hint(name, names.iter().map(String::as_str));
                validator.report_with_hint(&pointer, format!("unknown metric `{name}`"), hint);
            }
            Some(GateMetric::Drift { .. }) if score.by_rank().contains(&true) => {
                let message = "drift requires cut points, and scores by rank have none";
                validator.report_invalid(&pointer, message);
            }
            Some(GateMetric::Model { protocol, .. })
                if protocol == Protocol::Recovery.name() && !spec.allow_circular =>
            {
                let message = "a gate on `recovery` is circular: the features determine the labels";
                let hint = "use `out_of_time` or `holdout`, or set `evaluate.allow_circular: true`";
                validator.report_with_hint(&pointer, message, hint);
            }
            Some(_) => {}
        }
        gates.extend(metric.cloned().zip(bound).map(|(metric, bound)| Gate { metric, bound }));
    }
    gates
}

/// All metrics that gates may use in this pipeline.
fn available_metrics(models: &Models) -> Vec<GateMetric> {
    let mut metrics = Vec::new();
    for dimension in [RECENCY_DAYS, FREQUENCY, MONETARY, SEGMENT] {
        for column in [PSI, MOVED] {
            if (dimension, column) != (SEGMENT, PSI) {
                metrics.push(GateMetric::Drift { dimension: dimension.to_owned(), column });
            }
        }
    }
    for model in &models.knn {
        for protocol in Protocol::ALL.into_iter().filter(|protocol| is_possible(model, *protocol)) {
            let averages = Overall::METRICS.into_iter().chain(Overall::FREQUENT);
            let is_binary = matches!(model.target, Target::BuysIn(_) | Target::Labels(_));
            let binary = BINARY_METRICS.into_iter().filter(|_| is_binary);
            let names = averages.map(|(name, _)| name).chain(OTHER_METRICS).chain(binary);
            metrics.extend(names.map(|metric| GateMetric::Model {
                model: model.name.clone(),
                protocol: protocol.name().to_owned(),
                metric: metric.to_owned(),
            }));
        }
    }
    for model in &models.btyd {
        metrics.extend(value::METRICS.map(|(metric, _)| GateMetric::Model {
            model: model.name.clone(),
            protocol: Protocol::OutOfTime.name().to_owned(),
            metric: metric.to_owned(),
        }));
    }
    metrics
}

/// Whether a model may be evaluated by a protocol. For label files, the file decides later.
fn is_possible(model: &ModelParams, protocol: Protocol) -> bool {
    match (&model.target, protocol) {
        (Target::SegmentIn(_) | Target::BuysIn(_), Protocol::OutOfTime) => true,
        (Target::Labels(_), Protocol::Recovery | Protocol::Holdout) => true,
        (Target::Segment | Target::Clusters(_), Protocol::Recovery) => model.circular,
        (Target::Segment | Target::Clusters(_), Protocol::Holdout) => !model.circular,
        _ => false,
    }
}

fn parse_bound(text: &str) -> Option<Bound> {
    type ToBound = fn(f64) -> Bound;
    let signs: [(&str, ToBound); 4] =
        [("<=", Bound::AtMost), (">=", Bound::AtLeast), ("<", Bound::Less), (">", Bound::More)];
    let (rest, bound) = signs
        .into_iter()
        .find_map(|(sign, bound)| Some((text.trim().strip_prefix(sign)?, bound)))?;
    let limit: f64 = rest.trim().parse().ok()?;
    limit.is_finite().then(|| bound(limit))
}
