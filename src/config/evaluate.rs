//! Checks what further tables are asked for, and the gates: figures that there are, and bounds that can be read.

use super::checker::Checker;
use super::problem::{Kind, hint};
use super::spec::{EvaluateSpec, ValiditySpec};
use crate::columns::{FREQUENCY, MONETARY, MOVED, PSI, RECENCY_DAYS, SEGMENT};
use crate::evaluate::ValidityParams;
use crate::evaluate::gates::{Bound, Figure, Gate, Side};
use crate::model::{ModelParams, Protocol, Target};
use crate::score::ScoreParams;

/// How validity is measured; the shape of the horizon has been checked.
pub(super) fn validity(spec: &EvaluateSpec) -> Option<ValidityParams> {
    let ValiditySpec { horizon, resamples, seed } = spec.validity.as_ref()?;
    let horizon_days = horizon.strip_suffix('d')?.parse().ok()?;
    Some(ValidityParams { horizon_days, resamples: *resamples, seed: *seed })
}

/// The gates; of what is wrong `checker` has been told.
pub(super) fn gates(
    spec: &EvaluateSpec,
    score: &ScoreParams,
    models: &[ModelParams],
    checker: &mut Checker<'_>,
) -> Vec<Gate> {
    let mut gates = Vec::with_capacity(spec.gates.len());
    for (name, text) in &spec.gates {
        let at = format!("/evaluate/gates/{}", name.replace('~', "~0").replace('/', "~1"));
        let bound = bound(text);
        if bound.is_none() {
            let hint = "a sign and a number, such as \"<= 0.25\"; the signs are <, <=, > and >="
                .to_owned();
            checker.problem(Kind::Config, &at, format!("`{text}` is no bound"), Some(hint));
        }
        let figure = figure(name, spec, models, &at, checker);
        if matches!(figure, Some(Figure::Drift { .. })) && score.by_rank().contains(&true) {
            checker.wrong(&at, "scores by rank have no cut points that could drift");
        }
        gates.extend(figure.zip(bound).map(|(figure, bound)| Gate { figure, bound }));
    }
    gates
}

fn figure(
    name: &str,
    spec: &EvaluateSpec,
    models: &[ModelParams],
    at: &str,
    checker: &mut Checker<'_>,
) -> Option<Figure> {
    const DIMENSIONS: [&str; 4] = [RECENCY_DAYS, FREQUENCY, MONETARY, SEGMENT];
    let parts: Vec<&str> = name.split('.').collect();
    let known = match parts.as_slice() {
        ["drift", SEGMENT, PSI] => None,
        ["drift", dimension, column] if DIMENSIONS.contains(dimension) => {
            let column = [PSI, MOVED].into_iter().find(|known| known == column);
            column.map(|column| Figure::Drift { dimension: (*dimension).to_owned(), column })
        }
        [model, protocol, metric] => {
            let model = models.iter().find(|known| known.name == *model);
            let protocol = Protocol::ALL.into_iter().find(|known| known.name() == *protocol);
            let possible = model.zip(protocol).filter(|(model, protocol)| may_be(model, *protocol));
            possible.filter(|_| METRICS.contains(metric)).map(|(model, protocol)| {
                if protocol == Protocol::Recovery && !spec.allow_circular {
                    let message =
                        "a gate on recovery is passed by any model that sees what its labels were made of".to_owned();
                    let hint = "gate `out_of_time` or `holdout`, or set `evaluate.allow_circular: true`".to_owned();
                    checker.problem(Kind::Config, at, message, Some(hint));
                }
                let (model, protocol, metric) = (model.name.clone(), protocol.name().to_owned(), (*metric).to_owned());
                Figure::Metric { model, protocol, metric }
            })
        }
        _ => None,
    };
    if known.is_none() {
        let names = DIMENSIONS
            .map(|dimension| [PSI, MOVED].map(|column| format!("drift.{dimension}.{column}")));
        let mut names: Vec<String> =
            names.into_iter().flatten().filter(|name| name != "drift.segment.psi").collect();
        for model in models {
            for protocol in Protocol::ALL.into_iter().filter(|protocol| may_be(model, *protocol)) {
                names.extend(
                    METRICS.map(|metric| format!("{}.{}.{metric}", model.name, protocol.name())),
                );
            }
        }
        let hint = hint(name, names.iter().map(String::as_str));
        checker.problem(Kind::Config, at, format!("`{name}` is no figure of a run"), Some(hint));
    }
    known
}

/// Metrics over all labels that a gate may be set on.
const METRICS: [&str; 8] = [
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "weighted_f1",
    "log_loss",
    "brier",
    "coverage",
    "answered_accuracy",
];

/// Whether a model may be tried in a way; of a label file that is only known once it is read.
fn may_be(model: &ModelParams, protocol: Protocol) -> bool {
    match (&model.target, protocol) {
        (Target::SegmentIn(_) | Target::BuysIn(_), Protocol::OutOfTime) => true,
        (Target::Labels(_), Protocol::Recovery | Protocol::Holdout) => true,
        (Target::Segment | Target::Clusters(_), Protocol::Recovery) => model.circular,
        (Target::Segment | Target::Clusters(_), Protocol::Holdout) => !model.circular,
        _ => false,
    }
}

fn bound(text: &str) -> Option<Bound> {
    let signs = [("<=", Side::AtMost), (">=", Side::AtLeast), ("<", Side::Less), (">", Side::More)];
    let (rest, side) =
        signs.into_iter().find_map(|(sign, side)| Some((text.trim().strip_prefix(sign)?, side)))?;
    let limit: f64 = rest.trim().parse().ok()?;
    limit.is_finite().then_some(Bound { side, limit })
}
