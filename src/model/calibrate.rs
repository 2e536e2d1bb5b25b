//! Calibration: turns the winner's share of the votes into how often such winners are right, learnt from answers that customers got
//! without their own vote.

use serde::{Deserialize, Serialize};

/// How confidence is calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// It stays the winner's share of the votes.
    None,
    /// By the best rising step function, with straight lines between its ends (Zadrozny & Elkan 2002).
    Isotonic,
    /// By a logistic curve (Platt 1999).
    Platt,
}

/// A fitted calibration.
#[derive(Debug, Clone, PartialEq)]
pub enum Calibrator {
    /// Leaves confidence as it is.
    None,
    /// Points of a rising line, by ascending share.
    Isotonic(Vec<(f64, f64)>),
    /// 1 / (1 + exp(a · share + b)).
    Platt {
        /// Slope.
        a: f64,
        /// Offset.
        b: f64,
    },
}

impl Calibrator {
    /// Fits to shares of the vote, and whether the winner was right. Nothing to learn from leaves confidence as it is.
    pub fn fit(kind: Calibration, shares: &[f64], right: &[bool]) -> Self {
        match kind {
            _ if shares.is_empty() => Self::None,
            Calibration::None => Self::None,
            Calibration::Isotonic => Self::Isotonic(isotonic(shares, right)),
            Calibration::Platt => platt(shares, right),
        }
    }

    /// The calibrated confidence of a share, 0..=1.
    pub fn apply(&self, share: f64) -> f64 {
        match self {
            Self::None => share,
            Self::Platt { a, b } => 1.0 / (1.0 + (a * share + b).exp()),
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
    let mut pairs: Vec<(f64, f64)> =
        shares.iter().zip(right).map(|(x, hit)| (*x, f64::from(u8::from(*hit)))).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Blocks: first and last share, sum of hits, number.
    let mut blocks: Vec<(f64, f64, f64, f64)> = Vec::new();
    for equal in pairs.chunk_by(|a, b| a.0 == b.0) {
        let (x, n) = (equal[0].0, equal.len() as f64);
        blocks.push((x, x, equal.iter().map(|(_, y)| y).sum(), n));
        while let [.., before, last] = blocks.as_slice()
            && before.2 / before.3 >= last.2 / last.3
        {
            let merged = (before.0, last.1, before.2 + last.2, before.3 + last.3);
            blocks.truncate(blocks.len() - 2);
            blocks.push(merged);
        }
    }
    let ends = |(first, last, sum, n): (f64, f64, f64, f64)| {
        let y = sum / n;
        if first < last { vec![(first, y), (last, y)] } else { vec![(first, y)] }
    };
    blocks.into_iter().flat_map(ends).collect()
}

/// Newton's method on the log loss, with Platt's targets, which keep the curve from being vertical.
fn platt(shares: &[f64], right: &[bool]) -> Calibrator {
    let hits = right.iter().filter(|hit| **hit).count() as f64;
    let misses = right.len() as f64 - hits;
    let (high, low) = ((hits + 1.0) / (hits + 2.0), 1.0 / (misses + 2.0));
    let (mut a, mut b) = (0.0, ((misses + 1.0) / (hits + 1.0)).ln());
    for _ in 0..100 {
        let (mut gradient, mut hessian) = ([0.0f64; 2], [1e-12, 0.0, 1e-12]);
        for (x, hit) in shares.iter().zip(right) {
            let p = 1.0 / (1.0 + (a * x + b).exp());
            let (miss, curve) = ((if *hit { high } else { low }) - p, p * (1.0 - p));
            gradient[0] += x * miss;
            gradient[1] += miss;
            hessian[0] += x * x * curve;
            hessian[1] += x * curve;
            hessian[2] += curve;
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
    Calibrator::Platt { a, b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isotonic_pools_what_falls() {
        // scikit-learn 1.9: IsotonicRegression(out_of_bounds="clip").fit([.1, .2, .3, .4, .4, .9], [0, 1, 0, 1, 0, 1]) gives 0, .5, .5, .5, .5, 1.
        let fitted = Calibrator::fit(
            Calibration::Isotonic,
            &[0.4, 0.1, 0.3, 0.2, 0.4, 0.9],
            &[true, false, false, true, false, true],
        );
        for (share, expected) in [
            (0.0, 0.0),
            (0.1, 0.0),
            (0.15, 0.25),
            (0.2, 0.5),
            (0.4, 0.5),
            (0.65, 0.75),
            (0.9, 1.0),
            (1.0, 1.0),
        ] {
            assert!((fitted.apply(share) - expected).abs() < 1e-12, "{share}");
        }
        assert_eq!(Calibrator::fit(Calibration::Isotonic, &[], &[]).apply(0.3), 0.3);
    }

    #[test]
    fn platt_is_where_the_gradient_is_nothing() {
        let shares: Vec<f64> = (0..40).map(|i| f64::from(i) / 40.0).collect();
        let right: Vec<bool> = (0..40).map(|i| i * 7 % 40 < i).collect();
        let Calibrator::Platt { a, b } = Calibrator::fit(Calibration::Platt, &shares, &right)
        else {
            panic!()
        };
        assert!(a < 0.0);
        let hits = right.iter().filter(|hit| **hit).count() as f64;
        let target =
            |hit: bool| if hit { (hits + 1.0) / (hits + 2.0) } else { 1.0 / (40.0 - hits + 2.0) };
        let miss = |i: usize| target(right[i]) - 1.0 / (1.0 + (a * shares[i] + b).exp());
        assert!((0..40).map(miss).sum::<f64>().abs() < 1e-9);
        assert!((0..40).map(|i| miss(i) * shares[i]).sum::<f64>().abs() < 1e-9);
    }
}
