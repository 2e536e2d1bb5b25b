//! Bootstrap intervals. Draws depend on a seed and a key only, so equal runs draw equally.

use blake3::OutputReader;
use rayon::prelude::*;

use crate::rfm::quantile::type_7;

const DRAW_BYTES: usize = 4;

/// The statistic of `times` resamples of customers, in order. Customers are drawn within strata of
/// these sizes; one stratum is a plain bootstrap. `key` distinguishes the uses of one seed. Every
/// resample reads its own section of one random stream, so they run in parallel.
pub(super) fn resample<T: Send>(
    seed: u64,
    key: &[&str],
    times: usize,
    strata: &[usize],
    statistic: impl Fn(Resample<'_>) -> T + Sync,
) -> Vec<T> {
    let n: usize = strata.iter().sum();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for word in key {
        hasher.update(&(word.len() as u64).to_le_bytes()).update(word.as_bytes());
    }
    let random = hasher.finalize_xof();
    let resampled = |time: usize| {
        let mut stream = random.clone();
        stream.set_position((time * n * DRAW_BYTES) as u64);
        statistic(Resample { stream, strata })
    };
    (0..times).into_par_iter().map(resampled).collect()
}

/// As many draws with replacement from each stratum as it has customers.
pub(super) struct Resample<'a> {
    stream: OutputReader,
    strata: &'a [usize],
}

impl Resample<'_> {
    /// Calls `visit` with the index of each drawn customer. The probabilities of customers differ
    /// by less than 2⁻³².
    pub(super) fn for_each(mut self, mut visit: impl FnMut(usize)) {
        let mut buffer = [0; 1024 * DRAW_BYTES];
        let mut start = 0;
        for &size in self.strata {
            let mut left = size;
            while left > 0 {
                let draws = left.min(buffer.len() / DRAW_BYTES);
                let bytes = &mut buffer[..draws * DRAW_BYTES];
                self.stream.fill(bytes);
                for draw in bytes.as_chunks::<DRAW_BYTES>().0 {
                    let draw = u64::from(u32::from_le_bytes(*draw));
                    visit(start + ((draw * size as u64) >> 32) as usize);
                }
                left -= draws;
            }
            start += size;
        }
    }
}

/// The ends of the middle 95 % of a resampled statistic, by type-7 quantiles. `None` without
/// resamples.
pub(super) fn interval(mut resampled: Vec<f64>) -> [Option<f64>; 2] {
    resampled.sort_by(f64::total_cmp);
    [25, 975].map(|i| type_7(&resampled, i, 1000))
}
