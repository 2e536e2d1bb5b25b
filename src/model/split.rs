//! Splits: stratified by label, chosen by a seeded hash of customer_id, so that neither the order of rows nor other customers'
//! coming and going moves a customer by chance.

use rayon::prelude::*;

use super::texts::Texts;

/// Which customers train and which are held out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Indices of the training customers, ascending.
    pub train: Vec<usize>,
    /// Indices of the held-out customers, ascending.
    pub holdout: Vec<usize>,
}

/// Holds out the `share` of each label's customers whose hashes are lowest, rounded to the nearest whole number, but never all of a
/// label.
pub fn stratified(ids: &Texts, labels: &[usize], share: f64, seed: u64) -> Split {
    let (mut train, mut holdout) = (Vec::new(), Vec::new());
    for members in by_label(ids, labels, seed) {
        let held =
            ((members.len() as f64 * share).round() as usize).min(members.len().saturating_sub(1));
        holdout.extend_from_slice(&members[..held]);
        train.extend_from_slice(&members[held..]);
    }
    train.sort_unstable();
    holdout.sort_unstable();
    Split { train, holdout }
}

/// The fold of each customer, from 0: those of a label are dealt out in turn, by their hashes, and the next label goes on where the one
/// before ended, so that folds are of one size.
pub fn folds(ids: &Texts, labels: &[usize], n: usize, seed: u64) -> Vec<usize> {
    let mut folds = vec![0; ids.len()];
    for (turn, idx) in by_label(ids, labels, seed).into_iter().flatten().enumerate() {
        folds[idx] = turn % n;
    }
    folds
}

/// The most frequent label; the lowest code among equals.
pub fn majority(labels: &[usize]) -> usize {
    let n_labels = labels.iter().max().map_or(0, |max| max + 1);
    let mut counts = vec![0usize; n_labels];
    labels.iter().for_each(|label| counts[*label] += 1);
    (0..n_labels).rev().max_by_key(|label| counts[*label]).unwrap_or(0)
}

/// The customers of each label, by their hashes.
fn by_label(ids: &Texts, labels: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let n_labels = labels.iter().max().map_or(0, |max| max + 1);
    let hashed = |idx: usize| -> (usize, [u8; 32], usize) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(ids.at(idx).as_bytes());
        (labels[idx], *hasher.finalize().as_bytes(), idx)
    };
    let mut hashed: Vec<_> = (0..ids.len()).into_par_iter().map(hashed).collect();
    hashed.par_sort_unstable();
    let mut members = vec![Vec::new(); n_labels];
    hashed.into_iter().for_each(|(label, _, idx)| members[label].push(idx));
    members
}
