//! Metrics of the models by protocol, with their baselines, their confusion matrices, and the
//! reliability of confidence.

use chrono::NaiveDate;
use polars::prelude::*;

use super::bootstrap::{self, interval};
use super::value;
use crate::columns::*;
use crate::model::metrics::{
    Overall, auc, average_precision, brier, by_label, confusion_matrix, log_loss, overall,
};
use crate::model::{Agreement, BtydRun, EvaluationRun, POSITIVE};
use crate::tables::table_rows;

/// Bootstrap resamples for an interval.
const RESAMPLES: usize = 1000;
/// Bins of a reliability table.
const BINS: usize = 10;

table_rows! {
    struct Metric<'a> {
        MODEL => model: String,
        PROTOCOL => protocol: &'static str,
        SNAPSHOT => snapshot: NaiveDate,
        METRIC => metric: &'static str,
        /// `None` for all labels.
        LABEL => label: Option<&'a str>,
        /// `None` if undefined.
        VALUE => value: Option<f64>,
        /// 95 % bootstrap interval over customers. `None` if not computed.
        LOW => low: Option<f64>,
        HIGH => high: Option<f64>,
        N => n: u32,
    }

    struct ConfusionCell<'a> {
        MODEL => model: &'a str,
        PROTOCOL => protocol: &'static str,
        ACTUAL => actual: &'a str,
        PREDICTED => predicted: &'a str,
        CUSTOMERS => customers: u32,
    }

    struct ConfidenceBin<'a> {
        MODEL => model: &'a str,
        PROTOCOL => protocol: &'static str,
        LOWER => lower: f64,
        UPPER => upper: f64,
        CUSTOMERS => customers: u32,
        /// Mean over the customers. `None` for an empty bin, as is accuracy.
        CONFIDENCE => confidence: Option<f64>,
        ACCURACY => accuracy: Option<f64>,
    }
}

/// The table `metrics`: one row per (model, protocol, snapshot, metric, label). Baselines are
/// models named `<model>:<baseline>`: `majority`, for forecasts `persistence` and `markov`, and for
/// purchases `prior` and `recency`.
///
/// Metrics over all labels: `accuracy`, `balanced_accuracy`, `macro_f1`, `weighted_f1`, and the
/// means over labels with at least 30 customers (`balanced_accuracy_frequent`,
/// `macro_f1_frequent`). Of probabilities: `log_loss`, `brier`, and for two labels `auc` and
/// `average_precision`. For models that may abstain: `coverage` (share with a prediction) and
/// `answered_accuracy`. If the exact index classifies: `smartcore_agreement` (share of a sample
/// that smartcore predicts alike). Metrics by label: `precision`, `recall`, `f1`, `support`. BTYD
/// models have those of `value::trial_metrics`.
pub fn metrics(evaluation_runs: &[EvaluationRun], btyd: &[BtydRun]) -> PolarsResult<DataFrame> {
    Metric::frame(evaluation_runs.iter().flat_map(run_metrics).chain(value::trial_metrics(btyd)))
}

impl<'a> Metric<'a> {
    /// A metric over all labels, without an interval. NaN is undefined.
    fn new(run: &'a EvaluationRun, model: &str, metric: &'static str, value: f64) -> Self {
        Self {
            model: model.to_owned(),
            protocol: run.protocol.name(),
            snapshot: run.snapshot,
            metric,
            label: None,
            value: (!value.is_nan()).then_some(value),
            low: None,
            high: None,
            n: run.actual.len() as u32,
        }
    }
}

/// The metrics of a model and its baselines.
fn run_metrics(run: &EvaluationRun) -> Vec<Metric<'_>> {
    let n = run.actual.len();
    let predicted = predicted_labels(run);
    let overall_metric = |metric, value| Metric::new(run, &run.model, metric, value);
    let mut rows = prediction_metrics(run, &run.model, &predicted);
    rows.extend(probability_metrics(run, &run.model, &run.probabilities));
    if let Some(least) = run.abstain {
        let answered: Vec<usize> =
            (0..n).filter(|&i| run.predictions[i].confidence >= least).collect();
        let right = answered.iter().filter(|&&i| predicted[i] == run.actual[i]).count() as f64;
        rows.push(overall_metric("coverage", answered.len() as f64 / n as f64));
        let accuracy = overall_metric("answered_accuracy", right / answered.len() as f64);
        rows.push(Metric { n: answered.len() as u32, ..accuracy });
    }
    if let Some(Agreement { compared, equal }) = run.agreement {
        let share = overall_metric("smartcore_agreement", equal as f64 / compared as f64);
        rows.push(Metric { n: compared as u32, ..share });
    }
    for baseline in &run.baselines {
        let name = baseline_name(&run.model, baseline.name);
        rows.extend(prediction_metrics(run, &name, &baseline.labels));
        let probabilities = baseline.probabilities.iter();
        rows.extend(probabilities.flat_map(|all| probability_metrics(run, &name, all)));
    }
    rows
}

/// Name of a baseline in the tables: `forecast:majority`.
pub fn baseline_name(model: &str, baseline: &str) -> String {
    format!("{model}:{baseline}")
}

fn probability_metrics<'a>(
    run: &'a EvaluationRun,
    model: &str,
    probabilities: &[Vec<f64>],
) -> Vec<Metric<'a>> {
    let metric = |metric, value| Metric::new(run, model, metric, value);
    let mut rows = vec![
        metric("log_loss", log_loss(&run.actual, probabilities)),
        metric("brier", brier(&run.actual, probabilities)),
    ];
    if run.labels.len() == 2 {
        let is_positive: Vec<bool> = run.actual.iter().map(|label| *label == POSITIVE).collect();
        let scores: Vec<f64> = probabilities.iter().map(|all| all[POSITIVE]).collect();
        rows.push(metric("auc", auc(&is_positive, &scores)));
        rows.push(metric("average_precision", average_precision(&is_positive, &scores)));
    }
    rows
}

fn predicted_labels(run: &EvaluationRun) -> Vec<usize> {
    run.predictions.iter().map(|prediction| prediction.vote.label).collect()
}

fn prediction_metrics<'a>(
    run: &'a EvaluationRun,
    model: &str,
    predicted: &[usize],
) -> Vec<Metric<'a>> {
    let cells = confusion_matrix(&run.actual, predicted, run.labels.len());
    let observed = overall(&cells);
    // Each true label keeps its number of customers, so that no resample loses a rare one.
    let key = [model, run.protocol.name()];
    let resampled = if run.actual.is_empty() {
        Vec::new()
    } else {
        bootstrap::resample_counts(run.seed, &key, RESAMPLES, &cells, overall)
    };
    let overall_metric = |(metric, value): (&'static str, fn(&Overall) -> f64)| {
        let [low, high] = interval(resampled.iter().map(value).collect());
        let [low, high] = [low, high].map(|end| end.filter(|end| !end.is_nan()));
        Metric { low, high, ..Metric::new(run, model, metric, value(&observed)) }
    };
    let all = Overall::METRICS.into_iter().chain(Overall::FREQUENT);
    let mut rows: Vec<Metric<'_>> = all.map(overall_metric).collect();
    for (label, class) in run.labels.iter().zip(by_label(&cells)) {
        let values = [
            ("precision", class.precision),
            ("recall", class.recall),
            ("f1", class.f1),
            ("support", f64::from(class.support)),
        ];
        rows.extend(values.into_iter().map(|(metric, value)| Metric {
            label: Some(label),
            n: class.support,
            ..Metric::new(run, model, metric, value)
        }));
    }
    rows
}

/// The table `confusion`: one row per (model, protocol, true label, predicted label), including
/// empty cells.
pub fn confusion(evaluation_runs: &[EvaluationRun]) -> PolarsResult<DataFrame> {
    let mut rows = Vec::new();
    for run in evaluation_runs.iter().filter(|run| run.is_newest) {
        let cells = confusion_matrix(&run.actual, &predicted_labels(run), run.labels.len());
        for (actual, row) in run.labels.iter().zip(cells) {
            rows.extend(run.labels.iter().zip(row).map(|(predicted, customers)| ConfusionCell {
                model: &run.model,
                protocol: run.protocol.name(),
                actual,
                predicted,
                customers,
            }));
        }
    }
    ConfusionCell::frame(rows)
}

/// The table `reliability`: one row per (model, protocol, bin of confidence), with ten bins of
/// equal width. Confidence is calibrated if it equals accuracy.
pub fn reliability(evaluation_runs: &[EvaluationRun]) -> PolarsResult<DataFrame> {
    let mut rows = Vec::new();
    for run in evaluation_runs.iter().filter(|run| run.is_newest) {
        let mut bins: [Vec<(f64, bool)>; BINS] = Default::default();
        for (prediction, actual) in run.predictions.iter().zip(&run.actual) {
            // A bin contains its lower end. The last bin contains 1.
            let idx = ((prediction.confidence * BINS as f64) as usize).min(BINS - 1);
            bins[idx].push((prediction.confidence, prediction.vote.label == *actual));
        }
        rows.extend(bins.iter().enumerate().map(|(idx, bin)| {
            let mean = |sum: f64| (!bin.is_empty()).then(|| sum / bin.len() as f64);
            ConfidenceBin {
                model: &run.model,
                protocol: run.protocol.name(),
                lower: idx as f64 / BINS as f64,
                upper: (idx + 1) as f64 / BINS as f64,
                customers: bin.len() as u32,
                confidence: mean(bin.iter().map(|(confidence, _)| confidence).sum()),
                accuracy: mean(bin.iter().filter(|(_, is_right)| *is_right).count() as f64),
            }
        }));
    }
    ConfidenceBin::frame(rows)
}
