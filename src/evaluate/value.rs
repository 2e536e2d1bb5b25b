//! Trials and tracking of BTYD models.

use polars::prelude::*;

use super::model_metrics::{Metric, baseline_name};
use crate::columns::*;
use crate::model::btyd::{Activity, Trial, correlation};
use crate::model::metrics::auc;
use crate::model::{BtydRun, Protocol};
use crate::tables::table_rows;

/// Suffix of the baseline: every customer goes on as before.
pub const PAST_RATE: &str = "past_rate";

table_rows! {
    struct Week<'a> {
        MODEL => model: &'a str,
        WEEK => week: u32,
        ACTUAL => actual: f64,
        EXPECTED => expected: f64,
        IS_FORECAST => is_forecast: bool,
    }
}

/// A metric of a forecast, from the forecast and what customers did.
type TrialMetricOf = fn(&Activity, &Activity) -> f64;

/// Totals, `auc` of who bought, Pearson's `correlation` of purchases, and mean absolute errors of
/// purchases and money per customer.
pub const METRICS: [(&str, TrialMetricOf); 8] = [
    ("purchases_expected", |forecast, _| forecast.purchases.iter().sum()),
    ("purchases_actual", |_, actual| actual.purchases.iter().sum()),
    ("spend_expected", |forecast, _| forecast.money.iter().sum()),
    ("spend_actual", |_, actual| actual.money.iter().sum()),
    ("auc", |forecast, actual| {
        let bought: Vec<bool> = actual.purchases.iter().map(|count| *count > 0.0).collect();
        auc(&bought, &forecast.purchases)
    }),
    ("correlation", |forecast, actual| correlation(&forecast.purchases, &actual.purchases)),
    ("mean_absolute_error", |forecast, actual| {
        mean_absolute_error(&forecast.purchases, &actual.purchases)
    }),
    ("spend_mean_absolute_error", |forecast, actual| {
        mean_absolute_error(&forecast.money, &actual.money)
    }),
];

/// The [`METRICS`] of all trials.
pub(super) fn trial_metrics(runs: &[BtydRun]) -> impl Iterator<Item = Metric<'_>> {
    runs.iter().flat_map(|run| {
        let trial = run.trial.iter();
        trial.flat_map(|trial| {
            let name = &run.params.name;
            let baseline = baseline_name(name, PAST_RATE);
            let of_model = metrics_of(name, trial, &trial.expected);
            of_model.into_iter().chain(metrics_of(&baseline, trial, &trial.past_rate))
        })
    })
}

fn metrics_of(model: &str, trial: &Trial, forecast: &Activity) -> [Metric<'static>; 8] {
    METRICS.map(|(metric, of)| {
        let value = of(forecast, &trial.actual);
        Metric {
            model: model.to_owned(),
            protocol: Protocol::OutOfTime.name(),
            snapshot: trial.until,
            metric,
            label: None,
            value: (!value.is_nan()).then_some(value),
            low: None,
            high: None,
            n: trial.actual.purchases.len() as u32,
        }
    })
}

fn mean_absolute_error(expected: &[f64], actual: &[f64]) -> f64 {
    let errors = expected.iter().zip(actual).map(|(a, b)| (a - b).abs());
    errors.sum::<f64>() / actual.len() as f64
}

/// The table `tracking`.
pub(super) fn tracking(runs: &[BtydRun]) -> PolarsResult<DataFrame> {
    Week::frame(runs.iter().flat_map(|run| {
        run.tracking.iter().map(|week| Week {
            model: &run.params.name,
            week: week.week,
            actual: week.actual,
            expected: week.expected,
            is_forecast: week.is_forecast,
        })
    }))
}
