//! How many neighbours vote: the most that are as good as the best, within one standard error, by stratified cross-validation on the
//! training customers (the rule of Breiman et al. 1984).

use rayon::prelude::*;

use super::figures::{counts, overall};
use super::knn::{Knn, Votes};
use super::points::{Points, Standing};
use super::space::{NoValue, Space};
use super::split::folds;
use super::{ModelError, ModelParams, Samples};

/// How k is tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// The numbers of neighbours that are tried, ascending.
    pub candidates: Vec<usize>,
    /// Number of folds, at least 2.
    pub folds: usize,
    /// What is to be good.
    pub by: TunedBy,
}

/// What is to be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunedBy {
    /// See [`super::figures::Overall`].
    Accuracy,
    /// See [`super::figures::Overall`].
    BalancedAccuracy,
    /// See [`super::figures::Overall`].
    MacroF1,
}

impl TunedBy {
    /// Name of the figure.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::MacroF1 => "macro_f1",
        }
    }
}

/// What came of one number.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Neighbours, or clusters.
    pub k: usize,
    /// Name of the figure.
    pub metric: &'static str,
    /// Its mean over the folds, or its value.
    pub value: f64,
    /// Standard error of that mean.
    pub standard_error: Option<f64>,
    /// Whether this number was chosen.
    pub chosen: bool,
}

/// Tries every number that leaves enough neighbours in each fold.
///
/// # Errors
/// Too few customers for any of them, or one without a value that it has to have.
pub fn tune(
    params: &ModelParams,
    tuning: &Tuning,
    samples: &Samples,
) -> Result<Vec<Tried>, ModelError> {
    let fold_of = folds(&samples.customers.ids, &samples.labels, tuning.folds, params.seed);
    let scores: Vec<Vec<Option<f64>>> = (0..tuning.folds)
        .map(|fold| one_fold(params, tuning, samples, &fold_of, fold))
        .collect::<Result<_, _>>()?;
    let mut tried: Vec<Tried> = Vec::new();
    for (place, &k) in tuning.candidates.iter().enumerate() {
        let of_folds: Option<Vec<f64>> = scores.iter().map(|scores| scores[place]).collect();
        let Some(of_folds) = of_folds else { continue };
        let n = of_folds.len() as f64;
        let mean = of_folds.iter().sum::<f64>() / n;
        let variance = of_folds.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let standard_error = Some((variance / n).sqrt());
        tried.push(Tried {
            k,
            metric: tuning.by.name(),
            value: mean,
            standard_error,
            chosen: false,
        });
    }
    let best = tried.iter().max_by(|a, b| a.value.total_cmp(&b.value));
    let Some(floor) = best.map(|best| best.value - best.standard_error.unwrap_or_default()) else {
        let k = tuning.candidates.first().copied().unwrap_or(1);
        let available = samples.customers.len() * (tuning.folds - 1) / tuning.folds;
        return Err(ModelError::TooFewCustomers { model: params.name.clone(), k, available });
    };
    if let Some(chosen) = tried.iter_mut().rev().find(|tried| tried.value >= floor) {
        chosen.chosen = true;
    }
    Ok(tried)
}

/// The figure of each candidate on one fold, by a model that is fitted to the others; `None` where too few are left to vote.
fn one_fold(
    params: &ModelParams,
    tuning: &Tuning,
    samples: &Samples,
    fold_of: &[usize],
    fold: usize,
) -> Result<Vec<Option<f64>>, ModelError> {
    let no_value = |error: NoValue| ModelError::no_value(params, error);
    let (held, train): (Vec<usize>, Vec<usize>) =
        (0..fold_of.len()).partition(|&i| fold_of[i] == fold);
    let (train, held) = (samples.at(&train), samples.at(&held));
    if train.customers.is_empty() || held.customers.is_empty() {
        return Ok(vec![None; tuning.candidates.len()]);
    }
    let space = Space::fit(&params.features, &train.customers).map_err(no_value)?;
    let here = |samples: &Samples| -> Result<(Points, Vec<usize>), ModelError> {
        let Standing { points, placed } =
            space.stand(&params.features, &samples.customers).map_err(no_value)?;
        let kept = samples
            .labels
            .iter()
            .zip(placed)
            .filter(|(_, placed)| *placed)
            .map(|(label, _)| *label);
        Ok((points, kept.collect()))
    };
    let ((points, labels), (asked, truth)) = (here(&train)?, here(&held)?);
    let n_labels = samples.names.len();
    let knn = Knn::fit(params.voting, &points, &labels, n_labels);
    let knn = knn.map_err(|reason| ModelError::Smartcore { model: params.name.clone(), reason })?;
    let most = tuning.candidates.iter().copied().filter(|k| *k <= points.len()).max().unwrap_or(0);
    // The nearest of many are the nearest of few, in the same order.
    let places = 0..asked.len();
    let neighbours: Vec<_> =
        places.into_par_iter().map(|at| knn.neighbours(asked.at(at), None, most)).collect();
    let score = |k: usize| {
        let answers: Vec<usize> = neighbours
            .par_iter()
            .map_init(Votes::default, |votes, of| knn.vote(&of[..k], votes).label)
            .collect();
        let found = overall(&counts(&truth, &answers, n_labels));
        match tuning.by {
            TunedBy::Accuracy => found.accuracy,
            TunedBy::BalancedAccuracy => found.balanced_accuracy,
            TunedBy::MacroF1 => found.macro_f1,
        }
    };
    Ok(tuning
        .candidates
        .iter()
        .map(|&k| (k <= most && !truth.is_empty()).then(|| score(k)))
        .collect())
}
