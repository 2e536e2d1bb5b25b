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

/// The fold of each row, 0..n. The first rows of the customers are dealt out in turn, label by
/// label, so that the numbers of customers differ by at most one. All rows of a customer are in one
/// fold.
pub fn folds(ids: &StringArena, labels: &[usize], n: usize, seed: u64) -> Vec<usize> {
    let mut folds = vec![0; ids.len()];
    let is_first = |row: &usize| *row == 0 || ids.value(*row) != ids.value(*row - 1);
    let dealt = by_label(ids, labels, seed).into_iter().flatten().filter(is_first);
    for (turn, row) in dealt.enumerate() {
        folds[row] = turn % n;
    }
    for row in 1..ids.len() {
        if !is_first(&row) {
            folds[row] = folds[row - 1];
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_customer_are_in_one_fold_of_equal_size() {
        // Five rows of each of 100 customers, with as many folds as rows.
        let ids: Vec<String> = (0..500).map(|row| format!("{:03}", row / 5)).collect();
        let ids: StringArena = ids.iter().collect();
        let folds = folds(&ids, &[0; 500], 5, 7);
        for customer in folds.chunks(5) {
            assert!(customer.iter().all(|fold| *fold == customer[0]), "{customer:?}");
        }
        let size = |fold: usize| folds.iter().filter(|other| **other == fold).count();
        assert_eq!([0, 1, 2, 3, 4].map(size), [100; 5]);
    }
}
