//! Whether the exact index that replaces smartcore predicts the same.

use rayon::prelude::*;

use super::classifier::Predictor;
use super::point_matrix::PointMatrix;
use super::{Customers, FittedModel, ModelError};

/// Customers that are predicted by both.
const SAMPLE: usize = 500;
/// Customers from which the untied ones are taken.
const CANDIDATES: usize = 20 * SAMPLE;
/// Shares of votes may differ by this much: smartcore adds them up in another order.
const TOLERANCE: f64 = 1e-9;

/// Comparison of smartcore and the exact index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// Customers of the sample. Fewer than 500 if too few are untied.
    pub compared: usize,
    pub equal: usize,
}

impl FittedModel {
    /// Predicts a sample of customers whose k-th neighbour is not tied by smartcore and by the
    /// index, as new customers. Fails if they differ. `None` if smartcore predicts these customers
    /// anyway.
    pub fn agreement(&self, customers: &Customers) -> Result<Option<Agreement>, ModelError> {
        let points = self.space.project(customers)?.points;
        if self.knn.is_smartcore(points.len()) {
            return Ok(None);
        }
        let model = || self.params.name.clone();
        let failed = |reason: String| ModelError::Smartcore { model: model(), reason };
        let training = self.space.project(&self.samples.customers)?.points;
        // Building a tree takes longer than 500 linear searches.
        let labels = &self.samples.labels;
        let predictor = Predictor::linear(self.params.voting, self.k, &training, labels);
        let predictor = predictor.map_err(|error| failed(error.to_string()))?;
        let sample = self.untied_sample(&points);
        let n_labels = self.samples.names.len();
        let agrees = |row: &usize| {
            let point = points.row(*row);
            let mut shares = vec![0.0; n_labels];
            let predicted = predictor.predict(point, &mut shares);
            predicted.map_err(|error| error.to_string())?;
            Ok(self.knn.agrees(point, self.k, &shares, TOLERANCE))
        };
        let equal: Result<Vec<bool>, String> = sample.par_iter().map(agrees).collect();
        let equal = equal.map_err(failed)?.into_iter().filter(|equal| *equal).count();
        let compared = sample.len();
        if equal < compared {
            let different = compared - equal;
            return Err(ModelError::Disagreement { model: model(), compared, different });
        }
        Ok(Some(Agreement { compared, equal }))
    }

    /// Rows of untied points, chosen by a seeded hash of their position.
    fn untied_sample(&self, points: &PointMatrix) -> Vec<usize> {
        let hash = |row: usize| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&self.params.seed.to_le_bytes()).update(&row.to_le_bytes());
            *hasher.finalize().as_bytes()
        };
        let mut candidates: Vec<([u8; 32], usize)> =
            (0..points.len()).into_par_iter().map(|row| (hash(row), row)).collect();
        if candidates.len() > CANDIDATES {
            candidates.select_nth_unstable(CANDIDATES);
            candidates.truncate(CANDIDATES);
        }
        candidates.sort_unstable();
        let is_untied = |row: &usize| !self.knn.is_tied(points.row(*row), 0..0, self.k);
        let rows = candidates.into_par_iter().map(|(_, row)| row);
        let mut sample: Vec<usize> = rows.filter(is_untied).collect();
        sample.truncate(SAMPLE);
        sample
    }
}
