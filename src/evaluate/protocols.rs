//! Figures of the models by protocol, each beside its baselines; and how often they are right when they say how sure they are.

use polars::prelude::*;

use super::bootstrap::{self, interval};
use crate::columns::*;
use crate::model::Trial;
use crate::model::figures::{Overall, brier, by_label, counts, log_loss, overall};

/// Suffix of the baseline that always answers with the most frequent training label.
pub const MAJORITY: &str = ":majority";
/// Suffix of the baseline that answers as if nothing changed.
pub const PERSISTENCE: &str = ":persistence";
/// How often customers are drawn anew for an interval; less often where there are many, whose interval is narrow.
const RESAMPLES: usize = 1000;
/// Customers above which they are drawn a tenth as often.
const MANY: usize = 50_000;
/// Bins of a reliability table.
const BINS: usize = 10;

/// One of the overall figures.
type Of = fn(&Overall) -> f64;

/// The rows of the table.
#[derive(Default)]
struct Rows {
    models: Vec<String>,
    protocols: Vec<&'static str>,
    metrics: Vec<&'static str>,
    labels: Vec<Option<String>>,
    values: Vec<Option<f64>>,
    lows: Vec<Option<f64>>,
    highs: Vec<Option<f64>>,
    ns: Vec<u32>,
}

/// One row a (model, protocol, metric, label); baselines stand as models of their own, `<model>:majority` and, where the target lies
/// ahead, `<model>:persistence`.
///
/// Columns: `model`, `protocol`, `metric` text, `label` text (null for the whole), `value` f64, `low` and `high` f64: the ends of a 95 %
/// interval by the bootstrap over customers, null where none is taken, `n` u32 customers. Over the whole: `accuracy`,
/// `balanced_accuracy`, `macro_f1`, `weighted_f1`, and of models `log_loss` and `brier` by the shares of votes, and where a model may abstain
/// `coverage` (the share that it answers) and `answered_accuracy`. Of each label: `precision`, `recall`, `f1`, `support`.
///
/// # Errors
/// What Polars says.
pub fn metrics(trials: &[Trial]) -> PolarsResult<DataFrame> {
    let mut rows = Rows::default();
    for trial in trials {
        let predicted: Vec<usize> = trial.answers.iter().map(|answer| answer.vote.label).collect();
        rows.answers(trial, trial.model.clone(), &predicted);
        for (metric, value) in [
            ("log_loss", log_loss(&trial.actual, &trial.shares)),
            ("brier", brier(&trial.actual, &trial.shares)),
        ] {
            rows.add(trial, trial.model.clone(), metric, None, value, None, trial.actual.len());
        }
        if let Some(least) = trial.abstain {
            let answered: Vec<usize> =
                (0..predicted.len()).filter(|&i| trial.answers[i].confidence >= least).collect();
            let right =
                answered.iter().filter(|&&i| predicted[i] == trial.actual[i]).count() as f64;
            let coverage = answered.len() as f64 / predicted.len() as f64;
            rows.add(trial, trial.model.clone(), "coverage", None, coverage, None, predicted.len());
            let accuracy = right / answered.len() as f64;
            rows.add(
                trial,
                trial.model.clone(),
                "answered_accuracy",
                None,
                accuracy,
                None,
                answered.len(),
            );
        }
        let majority = vec![trial.majority; trial.actual.len()];
        rows.answers(trial, format!("{}{MAJORITY}", trial.model), &majority);
        if let Some(unchanged) = &trial.persistence {
            rows.answers(trial, format!("{}{PERSISTENCE}", trial.model), unchanged);
        }
    }
    let Rows { models, protocols, metrics, labels, values, lows, highs, ns } = rows;
    df![
        MODEL => models, PROTOCOL => protocols, METRIC => metrics, LABEL => labels, VALUE => values, LOW => lows, HIGH => highs,
        N => ns,
    ]
}

impl Rows {
    #[expect(clippy::too_many_arguments, reason = "one a column")]
    fn add(
        &mut self,
        trial: &Trial,
        model: String,
        metric: &'static str,
        label: Option<usize>,
        value: f64,
        interval: Option<[f64; 2]>,
        n: usize,
    ) {
        self.models.push(model);
        self.protocols.push(trial.protocol.name());
        self.metrics.push(metric);
        self.labels.push(label.map(|label| trial.labels[label].clone()));
        // Nothing divided by nothing is no figure.
        self.values.push(Some(value).filter(|value| !value.is_nan()));
        self.lows.push(interval.map(|[low, _]| low));
        self.highs.push(interval.map(|[_, high]| high));
        self.ns.push(n as u32);
    }

    fn answers(&mut self, trial: &Trial, model: String, predicted: &[usize]) {
        let n_labels = trial.labels.len();
        let cells = counts(&trial.actual, predicted, n_labels);
        let found = overall(&cells);
        let resampled = resampled(trial, &model, predicted, n_labels);
        let figures: [(&'static str, Of); 4] = [
            ("accuracy", |of| of.accuracy),
            ("balanced_accuracy", |of| of.balanced_accuracy),
            ("macro_f1", |of| of.macro_f1),
            ("weighted_f1", |of| of.weighted_f1),
        ];
        let n = trial.actual.len();
        for (metric, of) in figures {
            let interval = interval(resampled.iter().map(of).collect());
            self.add(trial, model.clone(), metric, None, of(&found), interval, n);
        }
        for (label, of) in by_label(&cells).into_iter().enumerate() {
            let support = of.support as usize;
            let figures = [
                ("precision", of.precision),
                ("recall", of.recall),
                ("f1", of.f1),
                ("support", f64::from(of.support)),
            ];
            for (metric, value) in figures {
                self.add(trial, model.clone(), metric, Some(label), value, None, support);
            }
        }
    }
}

/// The figures of customers drawn anew.
fn resampled(trial: &Trial, model: &str, predicted: &[usize], n_labels: usize) -> Vec<Overall> {
    let n = trial.actual.len();
    if n == 0 {
        return Vec::new();
    }
    let times = if n > MANY { RESAMPLES / 10 } else { RESAMPLES };
    // True label and answer as one number, which is small.
    let pairs: Vec<u32> =
        trial.actual.iter().zip(predicted).map(|(a, b)| (a * n_labels + b) as u32).collect();
    bootstrap::resampled(trial.seed, &[model, trial.protocol.name()], (times, n), |sample| {
        let mut cells = vec![0u32; n_labels * n_labels];
        sample.each(|drawn| cells[pairs[drawn] as usize] += 1);
        overall(&cells.chunks(n_labels).map(<[u32]>::to_vec).collect::<Vec<_>>())
    })
}

/// One row a (model, protocol, bin of confidence): ten bins of one width.
///
/// Columns: `model`, `protocol` text, `lower` and `upper` f64, `customers` u32, `confidence` f64: its mean, and `accuracy` f64: the share of right
/// answers, both null for an empty bin. Where confidence is what it should be, the two are alike.
///
/// # Errors
/// What Polars says.
pub fn reliability(trials: &[Trial]) -> PolarsResult<DataFrame> {
    let (mut models, mut protocols, mut lowers, mut uppers) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut customers, mut confidences, mut accuracies) =
        (Vec::<u32>::new(), Vec::new(), Vec::new());
    for trial in trials {
        let mut bins = vec![(0u32, 0.0f64, 0u32); BINS];
        for (answer, actual) in trial.answers.iter().zip(&trial.actual) {
            // A confidence on the line belongs to the bin above it, but 1 to the last.
            let bin = ((answer.confidence * BINS as f64) as usize).min(BINS - 1);
            bins[bin].0 += 1;
            bins[bin].1 += answer.confidence;
            bins[bin].2 += u32::from(answer.vote.label == *actual);
        }
        for (bin, (n, sum, right)) in bins.into_iter().enumerate() {
            models.push(trial.model.clone());
            protocols.push(trial.protocol.name());
            lowers.push(bin as f64 / BINS as f64);
            uppers.push((bin + 1) as f64 / BINS as f64);
            customers.push(n);
            confidences.push((n > 0).then(|| sum / f64::from(n)));
            accuracies.push((n > 0).then(|| f64::from(right) / f64::from(n)));
        }
    }
    df![
        MODEL => models, PROTOCOL => protocols, LOWER => lowers, UPPER => uppers, CUSTOMERS => customers,
        CONFIDENCE => confidences, ACCURACY => accuracies,
    ]
}
