//! Figures of answers against the truth.

/// Figures over all customers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overall {
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean recall over the labels that occur in the truth.
    pub balanced_accuracy: f64,
    /// Mean F1 over the labels that occur in the truth or the answers.
    pub macro_f1: f64,
    /// F1 weighed by how often a label occurs in the truth.
    pub weighted_f1: f64,
}

/// Figures of one label; 0 where nothing is divided by nothing, as in scikit-learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfLabel {
    /// Right among those so answered.
    pub precision: f64,
    /// Right among those who have it.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Customers who have it.
    pub support: u32,
}

/// Counts of (true label, answered label), true labels first.
pub fn counts(actual: &[usize], predicted: &[usize], n_labels: usize) -> Vec<Vec<u32>> {
    let mut cells = vec![vec![0u32; n_labels]; n_labels];
    for (&truth, &answer) in actual.iter().zip(predicted) {
        cells[truth][answer] += 1;
    }
    cells
}

/// The figures of each label.
pub fn by_label(cells: &[Vec<u32>]) -> Vec<OfLabel> {
    let ratio = |a: u32, b: u32| if b == 0 { 0.0 } else { f64::from(a) / f64::from(b) };
    let one = |label: usize| {
        let hit = cells[label][label];
        let support: u32 = cells[label].iter().sum();
        let guessed: u32 = cells.iter().map(|row| row[label]).sum();
        OfLabel {
            precision: ratio(hit, guessed),
            recall: ratio(hit, support),
            f1: ratio(2 * hit, support + guessed),
            support,
        }
    };
    (0..cells.len()).map(one).collect()
}

/// The figures over all customers; NaN of none.
pub fn overall(cells: &[Vec<u32>]) -> Overall {
    let labels = by_label(cells);
    let n: u32 = labels.iter().map(|label| label.support).sum();
    let hits: u32 = (0..cells.len()).map(|label| cells[label][label]).sum();
    let mean = |of: &dyn Fn(&OfLabel) -> f64, counts: &dyn Fn(usize) -> bool| {
        let values: Vec<f64> =
            (0..labels.len()).filter(|i| counts(*i)).map(|i| of(&labels[i])).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let answered = |label: usize| cells.iter().any(|row| row[label] > 0);
    Overall {
        accuracy: f64::from(hits) / f64::from(n),
        balanced_accuracy: mean(&|label| label.recall, &|i| labels[i].support > 0),
        macro_f1: mean(&|label| label.f1, &|i| labels[i].support > 0 || answered(i)),
        weighted_f1: labels.iter().map(|label| label.f1 * f64::from(label.support)).sum::<f64>()
            / f64::from(n),
    }
}

/// Mean of −ln of the share that the true label had, shares kept within the smallest number that a float tells from 1, as in
/// scikit-learn.
pub fn log_loss(actual: &[usize], shares: &[Vec<f64>]) -> f64 {
    let loss = |(truth, shares): (&usize, &Vec<f64>)| {
        -shares[*truth].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
    };
    actual.iter().zip(shares).map(loss).sum::<f64>() / actual.len() as f64
}

/// Mean over customers of the sum over labels of (share − truth)², between 0 and 2 (Brier 1950).
pub fn brier(actual: &[usize], shares: &[Vec<f64>]) -> f64 {
    let score = |(truth, shares): (&usize, &Vec<f64>)| -> f64 {
        shares
            .iter()
            .enumerate()
            .map(|(label, share)| (share - f64::from(u8::from(label == *truth))).powi(2))
            .sum()
    };
    actual.iter().zip(shares).map(score).sum::<f64>() / actual.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-15, "{a} {b}");
    }

    #[test]
    fn figures_equal_hand_arithmetic() {
        // Truth 0 0 0 1 1 2, answers 0 0 1 1 0 2: hits 2, 1, 1; support 3, 2, 1; answered 3, 2, 1.
        let cells = counts(&[0, 0, 0, 1, 1, 2], &[0, 0, 1, 1, 0, 2], 3);
        let found = overall(&cells);
        close(found.accuracy, 4.0 / 6.0);
        close(found.balanced_accuracy, (2.0 / 3.0 + 0.5 + 1.0) / 3.0);
        close(found.macro_f1, (2.0 / 3.0 + 0.5 + 1.0) / 3.0);
        close(found.weighted_f1, (3.0 * 2.0 / 3.0 + 2.0 * 0.5 + 1.0) / 6.0);
        close(by_label(&cells)[0].precision, 2.0 / 3.0);
        close(by_label(&cells)[1].recall, 0.5);
    }

    #[test]
    fn a_label_that_is_nowhere_counts_in_no_mean() {
        // Label 1 occurs in neither; label 2 is only answered: no recall of its own, but an F1 of 0.
        let found = overall(&counts(&[0, 0], &[0, 2], 3));
        assert_eq!(found.balanced_accuracy, 0.5);
        assert_eq!(found.macro_f1, (2.0 / 3.0 + 0.0) / 2.0);
    }

    #[test]
    fn losses_equal_hand_arithmetic() {
        let shares = [vec![0.5, 0.5, 0.0], vec![0.0, 1.0, 0.0], vec![0.25, 0.25, 0.5]];
        close(
            log_loss(&[0, 1, 0], &shares),
            (2f64.ln() + -(1.0 - f64::EPSILON).ln() + 4f64.ln()) / 3.0,
        );
        close(brier(&[0, 1, 0], &shares), (0.5 + 0.0 + 0.5625 + 0.0625 + 0.25) / 3.0);
    }
}
