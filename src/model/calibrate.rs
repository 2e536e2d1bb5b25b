//! Calibration of confidence: maps the winner's share of the votes to the observed hit rate. With
//! two labels the share of the second is mapped to its observed rate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How confidence is calibrated: not at all (it stays the winner's share of the votes), by isotonic
/// regression (Zadrozny & Elkan 2002), or by a logistic curve (Platt 1999).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    None,
    Isotonic,
    Platt,
}

/// Calibration of a model's confidence. Serialised in artefacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibrator {
    None,
    /// Points (share, confidence) of a non-decreasing line, by ascending share.
    Isotonic(Vec<(f64, f64)>),
    /// a and b of 1 / (1 + exp(a · share + b)).
    Platt([f64; 2]),
}

impl Calibrator {
    /// Fits to vote shares and whether each vote was right. Without data it is the identity.
    pub fn fit(kind: Calibration, shares: &[f64], right: &[bool]) -> Self {
        match kind {
            _ if shares.is_empty() => Self::None,
            Calibration::None => Self::None,
            Calibration::Isotonic => Self::Isotonic(isotonic(shares, right)),
            Calibration::Platt => Self::Platt(platt(shares, right)),
        }
    }

    /// The calibrated confidence of a share, 0..=1.
    pub fn apply(&self, share: f64) -> f64 {
        match self {
            Self::None => share,
            Self::Platt([a, b]) => 1.0 / (1.0 + (a * share + b).exp()),
            Self::Isotonic(line) => {
                let after = line.partition_point(|(x, _)| *x < share);
                match (after.checked_sub(1).map(|i| line[i]), line.get(after).copied()) {
                    (None, Some((_, y))) | (Some((_, y)), None) => y,
                    (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (share - x0) / (x1 - x0),
                    (None, None) => share,
                }
            }
        }
    }
}

/// Pool-adjacent-violators over the mean of equal shares.
fn isotonic(shares: &[f64], right: &[bool]) -> Vec<(f64, f64)> {
    /// Shares with one fitted confidence, `hits / n`.
    struct Block {
        first: f64,
        last: f64,
        hits: f64,
        n: f64,
    }
    let mut pairs: Vec<(f64, bool)> = shares.iter().copied().zip(right.iter().copied()).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut blocks: Vec<Block> = Vec::new();
    for equal in pairs.chunk_by(|a, b| a.0 == b.0) {
        let share = equal[0].0;
        let hits = equal.iter().filter(|(_, hit)| *hit).count() as f64;
        blocks.push(Block { first: share, last: share, hits, n: equal.len() as f64 });
        while let [.., before, last] = blocks.as_mut_slice()
            && before.hits / before.n >= last.hits / last.n
        {
            before.last = last.last;
            before.hits += last.hits;
            before.n += last.n;
            blocks.pop();
        }
    }
    let ends = |Block { first, last, hits, n }: Block| {
        let y = hits / n;
        if first < last { vec![(first, y), (last, y)] } else { vec![(first, y)] }
    };
    blocks.into_iter().flat_map(ends).collect()
}

/// Newton's method on the log loss. Platt's targets keep the slope finite for separable data.
fn platt(shares: &[f64], right: &[bool]) -> [f64; 2] {
    let hits = right.iter().filter(|hit| **hit).count() as f64;
    let misses = right.len() as f64 - hits;
    let (high, low) = ((hits + 1.0) / (hits + 2.0), 1.0 / (misses + 2.0));
    let (mut a, mut b) = (0.0, ((misses + 1.0) / (hits + 1.0)).ln());
    for _ in 0..100 {
        let (mut gradient, mut hessian) = ([0.0f64; 2], [1e-12, 0.0, 1e-12]);
        for (x, hit) in shares.iter().zip(right) {
            let p = 1.0 / (1.0 + (a * x + b).exp());
            let target = if *hit { high } else { low };
            let residual = target - p;
            let curvature = p * (1.0 - p);
            gradient[0] += x * residual;
            gradient[1] += residual;
            hessian[0] += x * x * curvature;
            hessian[1] += x * curvature;
            hessian[2] += curvature;
        }
        let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
        if determinant.abs() < 1e-18 {
            break;
        }
        let step = [
            (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
            (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
        ];
        (a, b) = (a - step[0], b - step[1]);
        if step[0].abs() + step[1].abs() < 1e-12 {
            break;
        }
    }
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isotonic_pools_adjacent_violators() {
        // scikit-learn 1.9: IsotonicRegression(out_of_bounds="clip")
        //     .fit([.1, .2, .3, .4, .4, .9], [0, 1, 0, 1, 0, 1]) gives 0, .5, .5, .5, .5, 1.
        let calibrator = Calibrator::fit(
            Calibration::Isotonic,
            &[0.4, 0.1, 0.3, 0.2, 0.4, 0.9],
            &[true, false, false, true, false, true],
        );
        let shares = [0.0, 0.1, 0.15, 0.2, 0.4, 0.65, 0.9, 1.0];
        let expected = [0.0, 0.0, 0.25, 0.5, 0.5, 0.75, 1.0, 1.0];
        for (share, expected) in shares.into_iter().zip(expected) {
            assert!((calibrator.apply(share) - expected).abs() < 1e-12, "{share}");
        }
        assert_eq!(Calibrator::fit(Calibration::Isotonic, &[], &[]).apply(0.3), 0.3);
    }

    #[test]
    fn platt_gradient_is_zero_at_the_fit() {
        let shares: Vec<f64> = (0..40).map(|i| f64::from(i) / 40.0).collect();
        let right: Vec<bool> = (0..40).map(|i| i * 7 % 40 < i).collect();
        let [a, b] = platt(&shares, &right);
        assert!(a < 0.0);
        let hits = right.iter().filter(|hit| **hit).count() as f64;
        let (high, low) = ((hits + 1.0) / (hits + 2.0), 1.0 / (40.0 - hits + 2.0));
        let residual = |i: usize| {
            let target = if right[i] { high } else { low };
            target - 1.0 / (1.0 + (a * shares[i] + b).exp())
        };
        assert!((0..40).map(residual).sum::<f64>().abs() < 1e-9);
        assert!((0..40).map(|i| residual(i) * shares[i]).sum::<f64>().abs() < 1e-9);
    }
}
