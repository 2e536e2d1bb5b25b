//! Metrics of the models by protocol, each beside its majority baseline.

use polars::prelude::*;

use super::confusion::counts;
use crate::columns::*;
use crate::model::Trial;

/// Suffix of the baseline that always answers with the most frequent training label.
pub const MAJORITY: &str = ":majority";

/// One figure: metric, label it is about, value, and the customers that it was taken over.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name of the metric.
    pub metric: &'static str,
    /// Code of the label; `None` for the whole.
    pub label: Option<usize>,
    /// Its value; NaN where it is not defined (nothing to divide by).
    pub value: f64,
    /// Customers.
    pub n: usize,
}

/// Metrics of predictions against the truth.
///
/// `accuracy` is the share of right answers; `balanced_accuracy` the mean recall over labels that occur in the truth;
/// `macro_f1` the mean F1 over labels that occur in the truth or the predictions. A label's `precision`, `recall` and
/// `f1` are 0 where nothing is divided by nothing, as in scikit-learn; `support` is its number of customers.
pub fn figures(actual: &[usize], predicted: &[usize], n_labels: usize) -> Vec<Figure> {
    let cells = counts(actual, predicted, n_labels);
    let n = actual.len();
    let ratio = |a: u32, b: u32| if b == 0 { 0.0 } else { f64::from(a) / f64::from(b) };
    let (mut recalls, mut f1s, mut by_label) = (Vec::new(), Vec::new(), Vec::new());
    let mut hits = 0;
    for label in 0..n_labels {
        let hit = cells[label][label];
        let support: u32 = cells[label].iter().sum();
        let guessed: u32 = cells.iter().map(|row| row[label]).sum();
        let (precision, recall) = (ratio(hit, guessed), ratio(hit, support));
        let f1 = ratio(2 * hit, support + guessed);
        hits += hit;
        if support > 0 {
            recalls.push(recall);
        }
        if support + guessed > 0 {
            f1s.push(f1);
        }
        for (metric, value) in
            [("precision", precision), ("recall", recall), ("f1", f1), ("support", f64::from(support))]
        {
            by_label.push(Figure { metric, label: Some(label), value, n: support as usize });
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let overall =
        [("accuracy", f64::from(hits) / n as f64), ("balanced_accuracy", mean(&recalls)), ("macro_f1", mean(&f1s))];
    let overall = overall.into_iter().map(|(metric, value)| Figure { metric, label: None, value, n });
    overall.chain(by_label).collect()
}

/// One row a (model, protocol, metric, label); the majority baseline stands as a model of its own, `<model>:majority`.
///
/// Columns: `model`, `protocol`, `metric` text, `label` text (null for the whole), `value` f64, `n` u32.
///
/// # Errors
/// What Polars says.
pub fn metrics(trials: &[Trial]) -> PolarsResult<DataFrame> {
    let (mut models, mut protocols, mut names, mut labels) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut values, mut ns) = (Vec::new(), Vec::<u32>::new());
    for trial in trials {
        let majority = vec![trial.majority; trial.actual.len()];
        let answers = [(trial.model.clone(), &trial.predicted), (format!("{}{MAJORITY}", trial.model), &majority)];
        for (model, predicted) in answers {
            for figure in figures(&trial.actual, predicted, trial.labels.len()) {
                models.push(model.clone());
                protocols.push(trial.protocol.name());
                names.push(figure.metric);
                labels.push(figure.label.map(|label| trial.labels[label].as_str()));
                values.push((!figure.value.is_nan()).then_some(figure.value));
                ns.push(figure.n as u32);
            }
        }
    }
    df![MODEL => models, PROTOCOL => protocols, METRIC => names, LABEL => labels, VALUE => values, N => ns]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_equal_hand_arithmetic() {
        // Truth 0 0 0 1 1 2, answers 0 0 1 1 0 2: hits 2, 1, 1; support 3, 2, 1; answered 3, 2, 1.
        let found = figures(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 0, 2], 3);
        let value = |metric: &str, label| found.iter().find(|f| f.metric == metric && f.label == label).unwrap().value;
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        close(value("accuracy", None), 4.0 / 6.0);
        close(value("balanced_accuracy", None), (2.0 / 3.0 + 0.5 + 1.0) / 3.0);
        close(value("macro_f1", None), (2.0 / 3.0 + 0.5 + 1.0) / 3.0);
        close(value("precision", Some(0)), 2.0 / 3.0);
        close(value("recall", Some(1)), 0.5);
    }

    #[test]
    fn a_label_that_is_nowhere_counts_in_no_mean() {
        // Label 1 occurs in neither; label 2 is only predicted: no recall of its own, but an F1 of 0.
        let found = figures(&[0, 0], &[0, 2], 3);
        let value = |metric: &str| found.iter().find(|f| f.metric == metric && f.label.is_none()).unwrap().value;
        assert_eq!(value("balanced_accuracy"), 0.5);
        assert_eq!(value("macro_f1"), (2.0 / 3.0 + 0.0) / 2.0);
    }
}
