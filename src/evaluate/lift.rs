//! Lift and gain: what a campaign to the most probable customers would reach.

use polars::prelude::*;

use crate::columns::*;
use crate::model::{BtydRun, EvaluationRun, POSITIVE, Protocol};
use crate::tables::table_rows;

const DECILES: usize = 10;

table_rows! {
    struct Decile<'a> {
        MODEL => model: &'a str,
        PROTOCOL => protocol: &'static str,
        LABEL => label: &'a str,
        DECILE => decile: u32,
        CUSTOMERS => customers: u32,
        PREDICTED => predicted: f64,
        ACTUAL => actual: f64,
        LIFT => lift: Option<f64>,
        GAIN => gain: Option<f64>,
    }
}

/// The table `lift`: one row per (model, what is predicted, decile of the prediction), the highest
/// first. Equal predictions are in the order of the customers.
pub(super) fn lift(evaluation_runs: &[EvaluationRun], btyd: &[BtydRun]) -> PolarsResult<DataFrame> {
    let is_binary = |run: &&EvaluationRun| run.is_newest && run.labels.len() == 2;
    let mut rows = Vec::new();
    for run in evaluation_runs.iter().filter(is_binary) {
        let predicted: Vec<f64> = run.probabilities.iter().map(|all| all[POSITIVE]).collect();
        let is_hit = |label: &usize| f64::from(*label == POSITIVE);
        let actual: Vec<f64> = run.actual.iter().map(is_hit).collect();
        let key = (run.model.as_str(), run.protocol.name(), run.labels[POSITIVE].as_str());
        rows.extend(deciles(key, &predicted, &actual));
    }
    let out_of_time = Protocol::OutOfTime.name();
    for run in btyd {
        let Some(trial) = &run.trial else { continue };
        let (expected, actual) = (&trial.expected, &trial.actual);
        let key = |what| (run.params.name.as_str(), out_of_time, what);
        rows.extend(deciles(key("purchases"), &expected.purchases, &actual.purchases));
        rows.extend(deciles(key("spend"), &expected.money, &actual.money));
    }
    Decile::frame(rows)
}

fn deciles<'a>(
    (model, protocol, label): (&'a str, &'static str, &'a str),
    predicted: &[f64],
    actual: &[f64],
) -> Vec<Decile<'a>> {
    let n = actual.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| predicted[*b].total_cmp(&predicted[*a]).then(a.cmp(b)));
    let sum = |rows: &[usize], values: &[f64]| rows.iter().map(|row| values[*row]).sum::<f64>();
    let total = sum(&order, actual);
    let mut reached = 0.0;
    let decile = |idx: usize| {
        let rows = &order[idx * n / DECILES..(idx + 1) * n / DECILES];
        let size = rows.len() as f64;
        let own = sum(rows, actual);
        reached += own;
        Decile {
            model,
            protocol,
            label,
            decile: idx as u32 + 1,
            customers: rows.len() as u32,
            predicted: sum(rows, predicted) / size,
            actual: own / size,
            lift: (total > 0.0).then(|| own / size / (total / n as f64)),
            gain: (total > 0.0).then(|| reached / total),
        }
    };
    // Fewer than ten customers leave some deciles empty.
    (0..DECILES).map(decile).filter(|decile| decile.customers > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deciles_equal_hand_arithmetic() {
        // Twenty customers. The two best have both sales of the best tenth and 3 of 4 money.
        let predicted: Vec<f64> = (0..20).map(f64::from).collect();
        let mut actual = vec![0.0; 20];
        (actual[19], actual[18], actual[0]) = (2.0, 1.0, 1.0);
        let found = deciles(("m", "out_of_time", "spend"), &predicted, &actual);
        assert_eq!(found.len(), 10);
        let first = &found[0];
        assert_eq!((first.decile, first.customers, first.predicted), (1, 2, 18.5));
        assert_eq!((first.actual, first.lift, first.gain), (1.5, Some(7.5), Some(0.75)));
        assert_eq!((found[9].actual, found[9].gain), (0.5, Some(1.0)));
        assert_eq!(deciles(("m", "out_of_time", "spend"), &[1.0, 2.0], &[0.0, 0.0])[0].lift, None);
    }
}
