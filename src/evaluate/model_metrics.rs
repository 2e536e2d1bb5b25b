//! Metrics of the models by protocol, with their baselines, and the reliability of confidence.

use polars::prelude::*;

use super::bootstrap::{self, interval};
use super::column;
use crate::columns::*;
use crate::model::EvaluationRun;
use crate::model::metrics::{Overall, brier, by_label, confusion_matrix, log_loss, overall};

/// Suffix of the baseline that always predicts the most frequent training label.
pub const MAJORITY: &str = ":majority";
/// Suffix of the baseline that predicts no change.
pub const PERSISTENCE: &str = ":persistence";
/// Bootstrap resamples for an interval.
const RESAMPLES: usize = 1000;
/// Above this many customers, intervals are narrow and use a tenth of the resamples.
const MANY: usize = 50_000;
/// Bins of a reliability table.
const BINS: usize = 10;

/// A row of the table `metrics`.
struct Metric<'a> {
    model: String,
    protocol: &'static str,
    metric: &'static str,
    /// `None` for all labels.
    label: Option<&'a str>,
    value: f64,
    interval: Option<[f64; 2]>,
    customers: usize,
}

/// The table `metrics`: one row per (model, protocol, metric, label). Baselines are models named
/// `<model>:majority` and, for targets with a horizon, `<model>:persistence`.
///
/// Columns: `model`, `protocol`, `metric` text, `label` text (null for all labels), `value` f64
/// (null if undefined), `low` and `high` f64 (95 % bootstrap interval over customers, null if not
/// computed), `n` u32 customers. Metrics over all labels: `accuracy`, `balanced_accuracy`,
/// `macro_f1`, `weighted_f1`; except for baselines also `log_loss` and `brier` of the shares of
/// votes, and for models that may abstain `coverage` (share with a prediction) and
/// `answered_accuracy`. Metrics by label: `precision`, `recall`, `f1`, `support`.
pub fn metrics(evaluation_runs: &[EvaluationRun]) -> PolarsResult<DataFrame> {
    let rows: Vec<Metric<'_>> = evaluation_runs.iter().flat_map(run_metrics).collect();
    df![
        MODEL => column(&rows, |row| row.model.as_str()),
        PROTOCOL => column(&rows, |row| row.protocol),
        METRIC => column(&rows, |row| row.metric),
        LABEL => column(&rows, |row| row.label),
        VALUE => column(&rows, |row| (!row.value.is_nan()).then_some(row.value)),
        LOW => column(&rows, |row| row.interval.map(|[low, _]| low)),
        HIGH => column(&rows, |row| row.interval.map(|[_, high]| high)),
        N => column(&rows, |row| row.customers as u32),
    ]
}

/// The metrics of a model and its baselines.
fn run_metrics(run: &EvaluationRun) -> Vec<Metric<'_>> {
    let n = run.actual.len();
    let predicted: Vec<usize> =
        run.predictions.iter().map(|prediction| prediction.vote.label).collect();
    let overall_metric = |metric: &'static str, value: f64, customers: usize| Metric {
        model: run.model.clone(),
        protocol: run.protocol.name(),
        metric,
        label: None,
        value,
        interval: None,
        customers,
    };
    let mut rows = prediction_metrics(run, run.model.clone(), &predicted);
    rows.push(overall_metric("log_loss", log_loss(&run.actual, &run.shares), n));
    rows.push(overall_metric("brier", brier(&run.actual, &run.shares), n));
    if let Some(least) = run.abstain {
        let answered: Vec<usize> =
            (0..n).filter(|&i| run.predictions[i].confidence >= least).collect();
        let right = answered.iter().filter(|&&i| predicted[i] == run.actual[i]).count() as f64;
        rows.push(overall_metric("coverage", answered.len() as f64 / n as f64, n));
        let accuracy = right / answered.len() as f64;
        rows.push(overall_metric("answered_accuracy", accuracy, answered.len()));
    }
    let majority = vec![run.majority; n];
    rows.extend(prediction_metrics(run, format!("{}{MAJORITY}", run.model), &majority));
    if let Some(unchanged) = &run.persistence {
        rows.extend(prediction_metrics(run, format!("{}{PERSISTENCE}", run.model), unchanged));
    }
    rows
}

/// The metrics of predicted labels.
fn prediction_metrics<'a>(
    run: &'a EvaluationRun,
    model: String,
    predicted: &[usize],
) -> Vec<Metric<'a>> {
    let cells = confusion_matrix(&run.actual, predicted, run.labels.len());
    let observed = overall(&cells);
    let resampled = resample_overall(run, &model, predicted);
    let protocol = run.protocol.name();
    let mut rows: Vec<Metric<'_>> = Overall::METRICS
        .into_iter()
        .map(|(metric, value)| Metric {
            model: model.clone(),
            protocol,
            metric,
            label: None,
            value: value(&observed),
            interval: interval(resampled.iter().map(value).collect()),
            customers: run.actual.len(),
        })
        .collect();
    for (label, class) in run.labels.iter().zip(by_label(&cells)) {
        let values = [
            ("precision", class.precision),
            ("recall", class.recall),
            ("f1", class.f1),
            ("support", f64::from(class.support)),
        ];
        rows.extend(values.into_iter().map(|(metric, value)| Metric {
            model: model.clone(),
            protocol,
            metric,
            label: Some(label.as_str()),
            value,
            interval: None,
            customers: class.support as usize,
        }));
    }
    rows
}

/// The overall metrics of bootstrap resamples of the customers.
fn resample_overall(run: &EvaluationRun, model: &str, predicted: &[usize]) -> Vec<Overall> {
    let n = run.actual.len();
    if n == 0 {
        return Vec::new();
    }
    let times = if n > MANY { RESAMPLES / 10 } else { RESAMPLES };
    let n_labels = run.labels.len();
    // True and predicted label as one index, to halve the lookups.
    let cell_indices: Vec<u32> =
        run.actual.iter().zip(predicted).map(|(a, b)| (a * n_labels + b) as u32).collect();
    let key = [model, run.protocol.name()];
    bootstrap::resample(run.seed, &key, times, n, |resample| {
        let mut cells = vec![0u32; n_labels * n_labels];
        resample.for_each(|idx| cells[cell_indices[idx] as usize] += 1);
        overall(&cells.chunks(n_labels).map(<[u32]>::to_vec).collect::<Vec<_>>())
    })
}

/// The table `reliability`: one row per (model, protocol, bin of confidence), with ten bins of
/// equal width. Confidence is calibrated if it equals accuracy.
///
/// Columns: `model`, `protocol` text, `lower` and `upper` f64, `customers` u32, `confidence` f64
/// (mean) and `accuracy` f64, both null for an empty bin.
pub fn reliability(evaluation_runs: &[EvaluationRun]) -> PolarsResult<DataFrame> {
    #[derive(Clone, Copy, Default)]
    struct Bin {
        customers: u32,
        confidence: f64,
        right: u32,
    }

    impl Bin {
        fn mean(&self, sum: f64) -> Option<f64> {
            (self.customers > 0).then(|| sum / f64::from(self.customers))
        }
    }

    let mut rows: Vec<(&EvaluationRun, usize, Bin)> = Vec::new();
    for run in evaluation_runs {
        let mut bins = [Bin::default(); BINS];
        for (prediction, actual) in run.predictions.iter().zip(&run.actual) {
            // A bin contains its lower end. The last bin contains 1.
            let idx = ((prediction.confidence * BINS as f64) as usize).min(BINS - 1);
            bins[idx].customers += 1;
            bins[idx].confidence += prediction.confidence;
            bins[idx].right += u32::from(prediction.vote.label == *actual);
        }
        rows.extend(bins.into_iter().enumerate().map(|(idx, bin)| (run, idx, bin)));
    }
    df![
        MODEL => column(&rows, |(run, ..)| run.model.as_str()),
        PROTOCOL => column(&rows, |(run, ..)| run.protocol.name()),
        LOWER => column(&rows, |(_, idx, _)| *idx as f64 / BINS as f64),
        UPPER => column(&rows, |(_, idx, _)| (idx + 1) as f64 / BINS as f64),
        CUSTOMERS => column(&rows, |(.., bin)| bin.customers),
        CONFIDENCE => column(&rows, |(.., bin)| bin.mean(bin.confidence)),
        ACCURACY => column(&rows, |(.., bin)| bin.mean(f64::from(bin.right))),
    ]
}
