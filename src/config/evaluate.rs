//! Checks what further tables are asked for, and the gates: figures that there are, and bounds that can be read.

use super::checker::Checker;
use super::problem::{Kind, hint};
use super::spec::{EvaluateSpec, ValiditySpec};
use crate::columns::{FREQUENCY, MONETARY, MOVED, PSI, RECENCY_DAYS, SEGMENT};
use crate::evaluate::ValidityParams;
use crate::evaluate::gates::{Bound, Figure, Gate, Side};

/// How validity is measured; the shape of the horizon has been checked.
pub(super) fn validity(spec: &EvaluateSpec) -> Option<ValidityParams> {
    let ValiditySpec { horizon, resamples, seed } = spec.validity.as_ref()?;
    let horizon_days = horizon.strip_suffix('d')?.parse().ok()?;
    Some(ValidityParams { horizon_days, resamples: *resamples, seed: *seed })
}

/// The gates; of what is wrong `checker` has been told.
pub(super) fn gates(spec: &EvaluateSpec, checker: &mut Checker<'_>) -> Vec<Gate> {
    let mut gates = Vec::with_capacity(spec.gates.len());
    for (name, text) in &spec.gates {
        let at = format!("/evaluate/gates/{}", name.replace('~', "~0").replace('/', "~1"));
        let bound = bound(text);
        if bound.is_none() {
            let hint = "a sign and a number, such as \"<= 0.25\"; the signs are <, <=, > and >=".to_owned();
            checker.problem(Kind::Config, &at, format!("`{text}` is no bound"), Some(hint));
        }
        let figure = figure(name, &at, checker);
        gates.extend(figure.zip(bound).map(|(figure, bound)| Gate { figure, bound }));
    }
    gates
}

fn figure(name: &str, at: &str, checker: &mut Checker<'_>) -> Option<Figure> {
    const DIMENSIONS: [&str; 4] = [RECENCY_DAYS, FREQUENCY, MONETARY, SEGMENT];
    let parts: Vec<&str> = name.split('.').collect();
    let known = match parts.as_slice() {
        ["drift", SEGMENT, PSI] => None,
        ["drift", dimension, column] if DIMENSIONS.contains(dimension) => {
            let column = [PSI, MOVED].into_iter().find(|known| known == column);
            column.map(|column| Figure::Drift { dimension: (*dimension).to_owned(), column })
        }
        _ => None,
    };
    if known.is_none() {
        let names = DIMENSIONS.map(|dimension| [PSI, MOVED].map(|column| format!("drift.{dimension}.{column}")));
        let names: Vec<String> = names.into_iter().flatten().filter(|name| name != "drift.segment.psi").collect();
        let hint = hint(name, names.iter().map(String::as_str));
        checker.problem(Kind::Config, at, format!("`{name}` is no figure of a run"), Some(hint));
    }
    known
}

fn bound(text: &str) -> Option<Bound> {
    let signs = [("<=", Side::AtMost), (">=", Side::AtLeast), ("<", Side::Less), (">", Side::More)];
    let (rest, side) = signs.into_iter().find_map(|(sign, side)| Some((text.trim().strip_prefix(sign)?, side)))?;
    let limit: f64 = rest.trim().parse().ok()?;
    limit.is_finite().then_some(Bound { side, limit })
}
