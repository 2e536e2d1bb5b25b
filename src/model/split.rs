//! Stratified splits by a seeded hash of customer_id: neither row order nor other customers move a
//! customer between the parts, except at their boundary.

use rayon::prelude::*;

use super::string_arena::StringArena;

/// Row indices of a split, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub train: Vec<usize>,
    pub holdout: Vec<usize>,
}

/// Holds out a share of each label's customers, rounded to the nearest whole number. At least one
/// customer of each label stays in the training set.
pub fn stratified(ids: &StringArena, labels: &[usize], share: f64, seed: u64) -> Split {
    let mut is_held_out = vec![false; ids.len()];
    for members in by_label(ids, labels, seed) {
        let wanted = (members.len() as f64 * share).round() as usize;
        members.iter().take(wanted.min(members.len() - 1)).for_each(|row| is_held_out[*row] = true);
    }
    let (holdout, train) = (0..ids.len()).partition(|row| is_held_out[*row]);
    Split { train, holdout }
}

/// The fold of each customer, 0..n. Each label is dealt out in turn from where the previous label
/// ended, so fold sizes differ by at most one.
pub fn folds(ids: &StringArena, labels: &[usize], n: usize, seed: u64) -> Vec<usize> {
    let mut folds = vec![0; ids.len()];
    for (turn, row) in by_label(ids, labels, seed).into_iter().flatten().enumerate() {
        folds[row] = turn % n;
    }
    folds
}

/// The most frequent label. Ties go to the lowest code.
pub fn majority(labels: &[usize]) -> usize {
    let counts = label_counts(labels, labels.iter().max().map_or(0, |max| max + 1));
    (0..counts.len()).rev().max_by_key(|label| counts[*label]).unwrap_or(0)
}

pub(super) fn label_counts(labels: &[usize], n_labels: usize) -> Vec<usize> {
    let mut counts = vec![0; n_labels];
    labels.iter().for_each(|label| counts[*label] += 1);
    counts
}

/// Rows of each label that occurs, ordered by their hashes.
fn by_label(ids: &StringArena, labels: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let hash = |row: usize| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(ids.value(row).as_bytes());
        *hasher.finalize().as_bytes()
    };
    let mut hashed: Vec<(usize, [u8; 32], usize)> =
        (0..ids.len()).into_par_iter().map(|row| (labels[row], hash(row), row)).collect();
    hashed.par_sort_unstable();
    let members = hashed.chunk_by(|a, b| a.0 == b.0);
    members.map(|rows| rows.iter().map(|(.., row)| *row).collect()).collect()
}
