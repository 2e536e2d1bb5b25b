//! Chooses k by stratified cross-validation: the largest within one standard error of the best
//! (Breiman et al. 1984).

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::knn::{Knn, Votes};
use super::metrics::{Overall, confusion_matrix, overall};
use super::split::folds;
use super::{FittedModel, ModelError, ModelParams, Samples};

/// Choice of k by stratified cross-validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["tune"]))]
pub struct Tuning {
    /// Candidates for k, such as [5, 15, 51].
    #[serde(rename = "tune")]
    #[schemars(length(min = 1), inner(range(min = 1, max = 100_000)))]
    pub candidates: Vec<usize>,
    /// Metric to maximise: `accuracy` (default), `balanced_accuracy` or `macro_f1`.
    pub by: SelectionMetric,
    /// Number of cross-validation folds.
    #[schemars(range(min = 2, max = 20))]
    pub folds: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { candidates: Vec::new(), by: SelectionMetric::default(), folds: 5 }
    }
}

/// The metric that chooses k.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelectionMetric {
    #[default]
    Accuracy,
    BalancedAccuracy,
    MacroF1,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CandidateScore {
    pub k: usize,
    pub metric: &'static str,
    pub value: f64,
    pub standard_error: f64,
    pub chosen: bool,
}

/// Returns the chosen k and the scores of all candidates that leave enough neighbours in each fold.
/// Fails if no candidate does, and on a missing value of a required feature.
pub fn tune(
    params: &ModelParams,
    tuning: &Tuning,
    samples: &Samples,
) -> Result<(usize, Vec<CandidateScore>), ModelError> {
    let fold_of = folds(&samples.customers.ids, &samples.labels, tuning.folds, params.seed);
    let fold_scores: Vec<Vec<Option<f64>>> = (0..tuning.folds)
        .map(|fold| score_fold(params, tuning, samples, &fold_of, fold))
        .collect::<Result<_, _>>()?;
    let (metric, _) = Overall::METRICS[tuning.by as usize];
    let mut scores: Vec<CandidateScore> = Vec::new();
    for (idx, &k) in tuning.candidates.iter().enumerate() {
        let values: Option<Vec<f64>> = fold_scores.iter().map(|scores| scores[idx]).collect();
        let Some(values) = values else { continue };
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (n - 1.0);
        scores.push(CandidateScore {
            k,
            metric,
            value: mean,
            standard_error: (variance / n).sqrt(),
            chosen: false,
        });
    }
    let best = scores.iter().max_by(|a, b| a.value.total_cmp(&b.value));
    let floor = best.map(|best| best.value - best.standard_error);
    let chosen = floor.and_then(|floor| scores.iter_mut().rev().find(|score| score.value >= floor));
    let Some(chosen) = chosen else {
        let k = tuning.candidates.first().copied().unwrap_or(1);
        let available = samples.labels.len() * (tuning.folds - 1) / tuning.folds;
        return Err(ModelError::TooFewCustomers { model: params.name.clone(), k, available });
    };
    chosen.chosen = true;
    Ok((chosen.k, scores))
}

/// The score of each candidate on one fold, by a model fitted to the others. `None` if too few
/// customers are left to vote.
fn score_fold(
    params: &ModelParams,
    tuning: &Tuning,
    samples: &Samples,
    fold_of: &[usize],
    fold: usize,
) -> Result<Vec<Option<f64>>, ModelError> {
    let (held_out, train): (Vec<usize>, Vec<usize>) =
        (0..fold_of.len()).partition(|&i| fold_of[i] == fold);
    if train.is_empty() || held_out.is_empty() {
        return Ok(vec![None; tuning.candidates.len()]);
    }
    let held_out = samples.select(&held_out);
    let (space, points, train) = FittedModel::prepare(params, samples.select(&train))?;
    let knn = Knn::exact(params.voting, &points, &train.labels, train.names.len())
        .map_err(|reason| ModelError::Smartcore { model: params.name.clone(), reason })?;
    let projection = space.project(&held_out.customers)?;
    let truth: Vec<usize> = projection.with_point(held_out.labels.iter().copied()).collect();
    let queries = &projection.points;
    let most = tuning.candidates.iter().copied().filter(|k| *k <= points.len()).max().unwrap_or(0);
    // The first k of the `most` nearest are the k nearest.
    let neighbours: Vec<_> = (0..queries.len())
        .into_par_iter()
        .map(|i| knn.neighbours(queries.row(i), 0..0, most))
        .collect();
    let (_, value) = Overall::METRICS[tuning.by as usize];
    let score = |k: usize| {
        let predictions: Vec<usize> = neighbours
            .par_iter()
            .map_init(Votes::default, |votes, nearest| knn.vote(&nearest[..k], votes).label)
            .collect();
        value(&overall(&confusion_matrix(&truth, &predictions, samples.names.len())))
    };
    let candidates = tuning.candidates.iter();
    Ok(candidates.map(|&k| (k <= most && !truth.is_empty()).then(|| score(k))).collect())
}
