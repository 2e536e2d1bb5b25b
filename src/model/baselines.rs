//! Baselines: predictions without a model, which a model should exceed.

use std::collections::HashMap;

use super::calibrate::{Calibration, Calibrator};
use super::split::{label_counts, majority};

/// Predictions without a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// `majority`, `persistence`, `markov`, `prior` or `recency`.
    pub name: &'static str,
    /// Predicted label code of each customer.
    pub labels: Vec<usize>,
    /// Probability of each label, if the baseline has one.
    pub probabilities: Option<Vec<Vec<f64>>>,
}

/// Labels and recency of customers, for the baselines of targets with a horizon.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct States {
    /// Label code if nothing changes.
    pub(super) unchanged: Vec<usize>,
    pub(super) recency_days: Vec<f64>,
    /// Label code later.
    pub(super) later: Vec<usize>,
}

impl States {
    pub(super) fn extend(&mut self, other: &Self) {
        self.unchanged.extend(&other.unchanged);
        self.recency_days.extend(&other.recency_days);
        self.later.extend(&other.later);
    }
}

/// The most frequent label of the training set.
pub(super) fn most_frequent(training_labels: &[usize], n: usize) -> Baseline {
    let labels = vec![majority(training_labels); n];
    Baseline { name: "majority", labels, probabilities: None }
}

/// Baselines of a forecast: no change, the most frequent later label of customers with the same
/// label today, and for two labels the training rate and an isotonic curve over recency.
pub(super) fn of_forecast(train: &States, test: &States, n_labels: usize) -> Vec<Baseline> {
    let labels = test.unchanged.clone();
    let mut baselines =
        vec![Baseline { name: "persistence", labels, probabilities: None }, markov(train, test)];
    if n_labels == 2 {
        let n = train.later.len().max(1) as f64;
        let rate = label_counts(&train.later, 2)[1] as f64 / n;
        baselines.push(two_classes("prior", vec![rate; test.later.len()]));
        baselines.push(two_classes("recency", rates_by_recency(train, test)));
    }
    baselines
}

/// The most frequent transition from the label of today, in the training pairs. A label without a
/// transition does not change. Ties go to the lowest code.
fn markov(train: &States, test: &States) -> Baseline {
    let mut later_by_unchanged: HashMap<usize, Vec<usize>> = HashMap::new();
    for (unchanged, later) in train.unchanged.iter().zip(&train.later) {
        later_by_unchanged.entry(*unchanged).or_default().push(*later);
    }
    let most_frequent: HashMap<usize, usize> =
        later_by_unchanged.iter().map(|(label, later)| (*label, majority(later))).collect();
    let predicted = |label: &usize| most_frequent.get(label).copied().unwrap_or(*label);
    let labels = test.unchanged.iter().map(predicted).collect();
    Baseline { name: "markov", labels, probabilities: None }
}

/// Rate of the second label by recency: the fewer days, the higher.
fn rates_by_recency(train: &States, test: &States) -> Vec<f64> {
    // Isotonic regression needs a score that rises with the rate.
    let score = |days: &f64| -days;
    let scores: Vec<f64> = train.recency_days.iter().map(score).collect();
    let hits: Vec<bool> = train.later.iter().map(|label| *label == 1).collect();
    let curve = Calibrator::fit(Calibration::Isotonic, &scores, &hits);
    test.recency_days.iter().map(|days| curve.apply(score(days))).collect()
}

fn two_classes(name: &'static str, rates: Vec<f64>) -> Baseline {
    let labels = rates.iter().map(|rate| usize::from(*rate >= 0.5)).collect();
    let probabilities = rates.into_iter().map(|rate| vec![1.0 - rate, rate]).collect();
    Baseline { name, labels, probabilities: Some(probabilities) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(rows: &[(usize, f64, usize)]) -> States {
        States {
            unchanged: rows.iter().map(|row| row.0).collect(),
            recency_days: rows.iter().map(|row| row.1).collect(),
            later: rows.iter().map(|row| row.2).collect(),
        }
    }

    #[test]
    fn baselines_equal_hand_arithmetic() {
        // Of three customers with label 1 today, two have label 0 later. Label 0 stays.
        let train = states(&[(1, 10.0, 0), (1, 20.0, 0), (1, 30.0, 1), (0, 40.0, 0), (0, 50.0, 0)]);
        let test = states(&[(1, 30.0, 1), (0, 5.0, 0)]);
        let found = of_forecast(&train, &test, 2);
        let names: Vec<&str> = found.iter().map(|baseline| baseline.name).collect();
        assert_eq!(names, ["persistence", "markov", "prior", "recency"]);
        assert_eq!(found[0].labels, [1, 0]);
        assert_eq!(found[1].labels, [0, 0]);
        assert_eq!(found[2].probabilities, Some(vec![vec![0.8, 0.2]; 2]));
        // The hits by descending recency 0, 0, 1, 0, 0 pool to 0, 0, 1/3, 1/3, 1/3.
        let rates = found[3].probabilities.as_ref().unwrap();
        assert!((rates[0][1] - 1.0 / 3.0).abs() < 1e-12, "{rates:?}");
        assert!((rates[1][1] - 1.0 / 3.0).abs() < 1e-12, "{rates:?}");
        assert_eq!(most_frequent(&train.later, 2).labels, [0, 0]);
        assert_eq!(of_forecast(&train, &test, 3).len(), 2);
    }
}
