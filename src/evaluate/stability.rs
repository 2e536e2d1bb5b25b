//! Stability of segments: how many customers would be in another segment had the shop had other
//! customers like its own.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bootstrap;
use super::{EvaluationInputs, SnapshotPart};
use crate::columns::*;
use crate::rfm::quantile::type_7;
use crate::score::{CutPoints, Dimension, ScoreParams};
use crate::segment;
use crate::tables::table_rows;

/// How stability is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "StabilitySpec")]
pub struct StabilityParams {
    /// Number of bootstrap resamples.
    #[schemars(range(min = 1, max = 10_000))]
    pub resamples: u32,
    /// Random seed of the resampling.
    pub seed: u64,
}

impl Default for StabilityParams {
    fn default() -> Self {
        Self { resamples: 100, seed: 7 }
    }
}

/// Shares of the customers that are resampled: all, a quarter, a sixteenth. They show what the
/// number of customers does.
const SHARES: [usize; 3] = [1, 4, 16];

table_rows! {
    struct Stability<'a> {
        SNAPSHOT => snapshot: NaiveDate,
        SAMPLE => sample: u32,
        /// `None` for all customers.
        SEGMENT => segment: Option<&'a str>,
        CUSTOMERS => customers: u32,
        MOVED => moved: f64,
        HIGH => high: f64,
        /// `None` for a segment.
        ADJUSTED_RAND => adjusted_rand: Option<f64>,
    }
}

/// What the cut points of one resample change.
struct Resampled {
    /// Customers that moved, by published segment.
    moved: Vec<u32>,
    adjusted_rand: f64,
}

/// The table `stability`: cut points are computed from resamples of the newest snapshot's
/// customers, and all its customers are segmented by them. One row per (size of the resamples,
/// segment), and one with a null segment for all.
pub(super) fn stability(
    inputs: &EvaluationInputs<'_>,
    score: &ScoreParams,
    params: StabilityParams,
    (snapshot, newest): &SnapshotPart,
) -> PolarsResult<DataFrame> {
    let names = &inputs.map.segments;
    let code_of: BTreeMap<&str, usize> =
        names.iter().enumerate().map(|(code, segment)| (segment.name.as_str(), code)).collect();
    let codes = |frame: &DataFrame| -> PolarsResult<Vec<usize>> {
        let segments = frame.column(SEGMENT)?.cast(&DataType::String)?;
        let segments = segments.str()?.iter();
        let codes: Option<Vec<usize>> = segments.map(|name| code_of.get(name?).copied()).collect();
        codes.ok_or_else(|| polars_err!(ComputeError: "a segment that the map does not have"))
    };
    let published = codes(newest)?;
    let values = Dimension::ALL.map(|dimension| -> PolarsResult<Vec<f64>> {
        let values = newest.column(dimension.value())?.cast(&DataType::Float64)?;
        let values: Option<Vec<f64>> = values.f64()?.iter().collect();
        values.ok_or_else(|| polars_err!(ComputeError: "null in a measure"))
    });
    let [recency, frequency, monetary] = values;
    let values = [recency?, frequency?, monetary?];
    let columns = Dimension::ALL.map(Dimension::value);
    let measured = newest.select(columns)?;
    let n = published.len();
    let mut sizes = vec![0u32; names.len()];
    published.iter().for_each(|code| sizes[*code] += 1);
    let mut rows = Vec::new();
    for size in SHARES.map(|share| n / share) {
        if size < 2 {
            continue;
        }
        let key = ["stability", &size.to_string()];
        let times = params.resamples as usize;
        let resampled = |resample: bootstrap::Resample<'_>| -> PolarsResult<Resampled> {
            let mut rows = Vec::with_capacity(size);
            resample.for_each(|row| {
                if rows.len() < size {
                    rows.push(row);
                }
            });
            let points = Dimension::ALL.map(|dimension| {
                let idx = dimension as usize;
                let drawn = rows.iter().map(|row| values[idx][*row]).collect();
                CutPoints::fit(&score.dimensions[idx], dimension, drawn)
            });
            let rescored = segment::rescore_with(inputs.map, measured.clone(), points.each_ref())?;
            let other = codes(&rescored)?;
            let mut moved = vec![0; names.len()];
            let pairs = published.iter().zip(&other).filter(|(a, b)| a != b);
            pairs.for_each(|(code, _)| moved[*code] += 1);
            Ok(Resampled { moved, adjusted_rand: adjusted_rand(&published, &other, names.len()) })
        };
        let results = bootstrap::resample(params.seed, &key, times, &[n], resampled);
        let results: Vec<Resampled> = results.into_iter().collect::<PolarsResult<_>>()?;
        let row = |segment: Option<usize>| {
            let customers = segment.map_or(n as u32, |code| sizes[code]);
            let moved = |result: &Resampled| -> f64 {
                let moved = segment.map_or(result.moved.iter().sum(), |code| result.moved[code]);
                f64::from(moved) / f64::from(customers)
            };
            let mut shares: Vec<f64> = results.iter().map(moved).collect();
            shares.sort_by(f64::total_cmp);
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let rand: Vec<f64> = results.iter().map(|result| result.adjusted_rand).collect();
            Stability {
                snapshot: *snapshot,
                sample: size as u32,
                segment: segment.map(|code| names[code].name.as_str()),
                customers,
                moved: mean(&shares),
                high: type_7(&shares, 95, 100).unwrap_or(0.0),
                adjusted_rand: segment.is_none().then(|| mean(&rand)),
            }
        };
        rows.push(row(None));
        rows.extend((0..names.len()).filter(|code| sizes[*code] > 0).map(|code| row(Some(code))));
    }
    Stability::frame(rows)
}

/// The adjusted Rand index of two partitions (Hubert & Arabie 1985): 1 if they are equal, about 0
/// if they agree by chance.
fn adjusted_rand(a: &[usize], b: &[usize], n_groups: usize) -> f64 {
    let pairs = |n: u64| (n * n.saturating_sub(1) / 2) as f64;
    let mut cells = vec![0u64; n_groups * n_groups];
    let (mut rows, mut columns) = (vec![0u64; n_groups], vec![0u64; n_groups]);
    for (a, b) in a.iter().zip(b) {
        cells[a * n_groups + b] += 1;
        rows[*a] += 1;
        columns[*b] += 1;
    }
    let sum = |counts: &[u64]| counts.iter().map(|n| pairs(*n)).sum::<f64>();
    let (both, in_a, in_b) = (sum(&cells), sum(&rows), sum(&columns));
    let all = pairs(a.len() as u64);
    let expected = in_a * in_b / all;
    let most = (in_a + in_b) / 2.0;
    if most == expected { 1.0 } else { (both - expected) / (most - expected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusted_rand_equals_scikit_learn() {
        // adjusted_rand_score of scikit-learn 1.9.1.
        assert_eq!(adjusted_rand(&[0, 0, 1, 1], &[1, 1, 0, 0], 2), 1.0);
        let found = adjusted_rand(&[0, 0, 1, 2], &[0, 0, 1, 1], 3);
        assert!((found - 4.0 / 7.0).abs() < 1e-12, "{found}");
        let found = adjusted_rand(&[0, 0, 0, 1, 1, 1], &[0, 1, 2, 0, 1, 2], 3);
        assert!((found + 4.0 / 11.0).abs() < 1e-12, "{found}");
        assert_eq!(adjusted_rand(&[0, 0, 0], &[0, 0, 0], 1), 1.0);
    }
}
