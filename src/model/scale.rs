//! Standardisation, fitted to the training customers alone.

/// Mean and standard deviation a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardiser {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Standardiser {
    /// Fits to points of shape (n ≥ 1, n_features): the mean and the population standard deviation of each feature. A constant
    /// feature is only centred, since it tells nobody apart.
    pub fn fit<'a>(points: impl Iterator<Item = &'a [f64]> + Clone) -> Self {
        let n = points.clone().count().max(1) as f64;
        let width = points.clone().next().map_or(0, <[f64]>::len);
        let mean: Vec<f64> = (0..width).map(|j| points.clone().map(|p| p[j]).sum::<f64>() / n).collect();
        let deviation = (0..width)
            .map(|j| (points.clone().map(|p| (p[j] - mean[j]).powi(2)).sum::<f64>() / n).sqrt())
            .map(|deviation| if deviation > 0.0 { deviation } else { 1.0 })
            .collect();
        Self { mean, deviation }
    }

    /// Mean of each feature.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Standard deviation of each feature, 1 where it is constant.
    pub fn deviation(&self) -> &[f64] {
        &self.deviation
    }

    /// As [`Self::apply`], of many points.
    pub fn all(&self, points: &[Vec<f64>]) -> Vec<Vec<f64>> {
        points.iter().map(|point| self.apply(point)).collect()
    }

    /// A point in units of standard deviations from the mean.
    pub fn apply(&self, point: &[f64]) -> Vec<f64> {
        point.iter().zip(&self.mean).zip(&self.deviation).map(|((x, mean), deviation)| (x - mean) / deviation).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_feature_is_only_centred() {
        let points = [vec![1.0, 5.0], vec![3.0, 5.0]];
        let scale = Standardiser::fit(points.iter().map(Vec::as_slice));
        assert_eq!(scale.apply(&[1.0, 5.0]), [-1.0, 0.0]);
        assert_eq!(scale.apply(&[5.0, 6.0]), [3.0, 1.0]);
    }
}
