//! The hold-out split: stratified by label, chosen by a seeded hash of customer_id, so that neither the order of rows
//! nor other customers' coming and going moves a customer by chance.

/// Which samples train and which are held out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Indices of the training samples, ascending.
    pub train: Vec<usize>,
    /// Indices of the held-out samples, ascending.
    pub holdout: Vec<usize>,
    /// The most frequent label of the training samples; the lowest code among equals.
    pub majority: usize,
}

/// Holds out the `share` of each label's samples whose hashes are lowest, rounded to the nearest whole number, but
/// never all of a label.
pub fn stratified(ids: &[String], labels: &[usize], share: f64, seed: u64) -> Split {
    let n_labels = labels.iter().max().map_or(0, |max| max + 1);
    let mut by_label: Vec<Vec<([u8; 32], usize)>> = vec![Vec::new(); n_labels];
    for (idx, (id, &label)) in ids.iter().zip(labels).enumerate() {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(id.as_bytes());
        by_label[label].push((*hasher.finalize().as_bytes(), idx));
    }
    let (mut train, mut holdout) = (Vec::new(), Vec::new());
    let mut largest = (0, 0);
    for (label, mut members) in by_label.into_iter().enumerate() {
        members.sort();
        let held = ((members.len() as f64 * share).round() as usize).min(members.len().saturating_sub(1));
        let kept = members.len() - held;
        if kept > largest.0 {
            largest = (kept, label);
        }
        holdout.extend(members[..held].iter().map(|member| member.1));
        train.extend(members[held..].iter().map(|member| member.1));
    }
    train.sort_unstable();
    holdout.sort_unstable();
    Split { train, holdout, majority: largest.1 }
}
