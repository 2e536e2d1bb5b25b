//! Classification metrics.

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overall {
    pub accuracy: f64,
    /// Mean recall over the labels in the truth.
    pub balanced_accuracy: f64,
    /// Mean F1 over the labels in the truth or the predictions.
    pub macro_f1: f64,
    /// Mean F1 weighted by support.
    pub weighted_f1: f64,
    /// Mean recall over the labels that are the truth of at least 30 customers.
    pub balanced_accuracy_frequent: f64,
    /// Mean F1 over the same labels.
    pub macro_f1_frequent: f64,
}

/// Customers that a label needs to count in the means over frequent labels.
const FREQUENT: u32 = 30;

/// Name of a metric, and its value.
type NamedMetric = (&'static str, fn(&Overall) -> f64);

impl Overall {
    /// Published names and values, in the order of [`super::SelectionMetric`].
    pub const METRICS: [NamedMetric; 4] = [
        ("accuracy", |overall| overall.accuracy),
        ("balanced_accuracy", |overall| overall.balanced_accuracy),
        ("macro_f1", |overall| overall.macro_f1),
        ("weighted_f1", |overall| overall.weighted_f1),
    ];
    /// The means over frequent labels.
    pub const FREQUENT: [NamedMetric; 2] = [
        ("balanced_accuracy_frequent", |overall| overall.balanced_accuracy_frequent),
        ("macro_f1_frequent", |overall| overall.macro_f1_frequent),
    ];
}

/// Metrics of one class. Ratios 0/0 are 0, as in scikit-learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassMetrics {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    /// Number of customers with this true label.
    pub support: u32,
}

/// Counts by `[true label][predicted label]`.
pub fn confusion_matrix(actual: &[usize], predicted: &[usize], n_labels: usize) -> Vec<Vec<u32>> {
    let mut cells = vec![vec![0; n_labels]; n_labels];
    for (&truth, &prediction) in actual.iter().zip(predicted) {
        cells[truth][prediction] += 1;
    }
    cells
}

pub fn by_label(cells: &[Vec<u32>]) -> Vec<ClassMetrics> {
    let ratio = |a: u32, b: u32| if b == 0 { 0.0 } else { f64::from(a) / f64::from(b) };
    let class = |label: usize| {
        let hits = cells[label][label];
        let support: u32 = cells[label].iter().sum();
        let predicted: u32 = cells.iter().map(|row| row[label]).sum();
        let [precision, recall] = [predicted, support].map(|n| ratio(hits, n));
        ClassMetrics { precision, recall, f1: ratio(2 * hits, support + predicted), support }
    };
    (0..cells.len()).map(class).collect()
}

/// Metrics over all classes of a confusion matrix. NaN if it is empty.
pub fn overall(cells: &[Vec<u32>]) -> Overall {
    let classes = by_label(cells);
    let n: u32 = classes.iter().map(|class| class.support).sum();
    let hits: u32 = (0..cells.len()).map(|label| cells[label][label]).sum();
    let recalls = classes.iter().filter(|class| class.support > 0).map(|class| class.recall);
    let occurs =
        |label: usize| classes[label].support > 0 || cells.iter().any(|row| row[label] > 0);
    let f1s = (0..cells.len()).filter(|label| occurs(*label)).map(|label| classes[label].f1);
    let weighted: f64 = classes.iter().map(|class| class.f1 * f64::from(class.support)).sum();
    let frequent = || classes.iter().filter(|class| class.support >= FREQUENT);
    Overall {
        accuracy: f64::from(hits) / f64::from(n),
        balanced_accuracy: mean(recalls),
        macro_f1: mean(f1s),
        weighted_f1: weighted / f64::from(n),
        balanced_accuracy_frequent: mean(frequent().map(|class| class.recall)),
        macro_f1_frequent: mean(frequent().map(|class| class.f1)),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean −ln of the true label's share. Shares are clipped to [ε, 1 − ε], as in scikit-learn.
pub fn log_loss(actual: &[usize], shares: &[Vec<f64>]) -> f64 {
    let clipped = |share: f64| share.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    mean(actual.iter().zip(shares).map(|(truth, shares)| -clipped(shares[*truth]).ln()))
}

/// Area under the ROC curve: the probability that a positive has a higher score than a negative.
/// Ties count half. NaN without a positive or without a negative.
pub fn auc(is_positive: &[bool], scores: &[f64]) -> f64 {
    let (mut ranks, mut positives, mut below) = (0.0, 0.0, 0.0);
    for (hits, n) in tied(is_positive, scores).into_iter().rev() {
        // Average rank of the tied customers, from 1.
        ranks += hits * (below + (n + 1.0) / 2.0);
        positives += hits;
        below += n;
    }
    let negatives = below - positives;
    (ranks - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

/// Sum over thresholds of the precision, weighted by the increase of the recall, as in
/// scikit-learn. NaN without a positive.
pub fn average_precision(is_positive: &[bool], scores: &[f64]) -> f64 {
    let positives = is_positive.iter().filter(|positive| **positive).count() as f64;
    let (mut found, mut chosen, mut sum) = (0.0, 0.0, 0.0);
    for (hits, n) in tied(is_positive, scores) {
        found += hits;
        chosen += n;
        sum += hits / positives * (found / chosen);
    }
    if positives > 0.0 { sum } else { f64::NAN }
}

/// Positives and customers of each distinct score, the highest first.
fn tied(is_positive: &[bool], scores: &[f64]) -> Vec<(f64, f64)> {
    let mut pairs: Vec<(f64, bool)> =
        scores.iter().copied().zip(is_positive.iter().copied()).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let hits = |group: &[(f64, bool)]| group.iter().filter(|(_, hit)| *hit).count() as f64;
    pairs.chunk_by(|a, b| a.0 == b.0).map(|group| (hits(group), group.len() as f64)).collect()
}

/// Mean over customers of the sum over labels of (share − truth)², between 0 and 2 (Brier 1950).
pub fn brier(actual: &[usize], shares: &[Vec<f64>]) -> f64 {
    mean(actual.iter().zip(shares).map(|(truth, shares)| {
        let errors = shares.iter().enumerate().map(|(i, share)| share - f64::from(i == *truth));
        errors.map(|error| error.powi(2)).sum()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-15, "{a} {b}");
    }

    #[test]
    fn metrics_equal_hand_arithmetic() {
        // Truth 0 0 0 1 1 2, predictions 0 0 1 1 0 2: hits 2, 1, 1. Support 3, 2, 1.
        // Predicted 3, 2, 1.
        let cells = confusion_matrix(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 0, 2], 3);
        let metrics = overall(&cells);
        assert_close(metrics.accuracy, 4.0 / 6.0);
        assert_close(metrics.balanced_accuracy, (2.0 / 3.0 + 0.5 + 1.0) / 3.0);
        assert_close(metrics.macro_f1, (2.0 / 3.0 + 0.5 + 1.0) / 3.0);
        assert_close(metrics.weighted_f1, (3.0 * 2.0 / 3.0 + 2.0 * 0.5 + 1.0) / 6.0);
        assert_close(by_label(&cells)[0].precision, 2.0 / 3.0);
        assert_close(by_label(&cells)[1].recall, 0.5);
    }

    #[test]
    fn absent_labels_are_excluded_from_means() {
        // Label 1 is absent. Label 2 is only predicted: it has no recall, but an F1 of 0.
        let metrics = overall(&confusion_matrix(&[0, 0], &[0, 2], 3));
        assert_eq!(metrics.balanced_accuracy, 0.5);
        assert_eq!(metrics.macro_f1, (2.0 / 3.0 + 0.0) / 2.0);
    }

    #[test]
    fn rankings_equal_scikit_learn() {
        // scikit-learn 1.9.1: roc_auc_score 0.75, average_precision_score 0.8333333333333333.
        let truth = [false, false, true, true];
        let scores = [0.1, 0.4, 0.35, 0.8];
        assert_close(auc(&truth, &scores), 0.75);
        assert_close(average_precision(&truth, &scores), 0.5 + 0.5 * 2.0 / 3.0);
        // All tied: as good as chance, and the precision is the rate.
        assert_close(auc(&truth, &[0.3; 4]), 0.5);
        assert_close(average_precision(&truth, &[0.3; 4]), 0.5);
        assert!(auc(&[true], &[0.3]).is_nan() && average_precision(&[false], &[0.3]).is_nan());
    }

    #[test]
    fn rare_labels_do_not_count_among_frequent_ones() {
        // 40 of 40 of label 0, 15 of 30 of label 1, 0 of 29 of label 2, which is too rare.
        let cells = [vec![40, 0, 0], vec![15, 15, 0], vec![29, 0, 0]];
        let metrics = overall(&cells);
        assert_close(metrics.balanced_accuracy_frequent, 0.75);
        assert_close(metrics.balanced_accuracy, 0.5);
        let f1 = [80.0 / 124.0, 30.0 / 45.0];
        assert_close(metrics.macro_f1_frequent, (f1[0] + f1[1]) / 2.0);
    }

    #[test]
    fn losses_equal_hand_arithmetic() {
        let shares = [vec![0.5, 0.5, 0.0], vec![0.0, 1.0, 0.0], vec![0.25, 0.25, 0.5]];
        assert_close(
            log_loss(&[0, 1, 0], &shares),
            (2f64.ln() + -(1.0 - f64::EPSILON).ln() + 4f64.ln()) / 3.0,
        );
        assert_close(brier(&[0, 1, 0], &shares), (0.5 + 0.0 + 0.5625 + 0.0625 + 0.25) / 3.0);
    }
}
