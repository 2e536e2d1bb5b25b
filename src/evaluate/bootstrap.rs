//! Bootstrap intervals. Draws depend on a seed and a key only, so equal runs draw equally.

use blake3::OutputReader;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Binomial, Distribution};
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
    let random = seeded(seed, key).finalize_xof();
    let resampled = |time: usize| {
        let mut stream = random.clone();
        stream.set_position((time * n * DRAW_BYTES) as u64);
        statistic(Resample { stream, strata })
    };
    (0..times).into_par_iter().map(resampled).collect()
}

/// The statistic of `times` resamples of a table of counts, in order. A resample draws as many
/// customers with replacement from each row as it has. Only their numbers are drawn, so the cost
/// does not depend on the number of customers.
pub(super) fn resample_counts<T: Send>(
    seed: u64,
    key: &[&str],
    times: usize,
    rows: &[Vec<u32>],
    statistic: impl Fn(&[Vec<u32>]) -> T + Sync,
) -> Vec<T> {
    let random = ChaCha8Rng::from_seed(*seeded(seed, key).finalize().as_bytes());
    let resampled = |time: usize| {
        let mut random = random.clone();
        random.set_stream(time as u64);
        let rows: Vec<Vec<u32>> = rows.iter().map(|row| multinomial(row, &mut random)).collect();
        statistic(&rows)
    };
    (0..times).into_par_iter().map(resampled).collect()
}

/// As many draws as the sum of the counts, in proportion to them. Given the draws of the counts
/// before it, those of a count are binomial.
fn multinomial(counts: &[u32], random: &mut ChaCha8Rng) -> Vec<u32> {
    let mut customers: u32 = counts.iter().sum();
    let mut draws = u64::from(customers);
    let mut drawn_of = |count: u32| {
        let share = f64::from(count) / f64::from(customers);
        // The share is no number if no customer is left.
        let drawn = Binomial::new(draws, share).map_or(0, |binomial| binomial.sample(random));
        customers -= count;
        draws -= drawn;
        drawn as u32
    };
    counts.iter().map(|count| drawn_of(*count)).collect()
}

fn seeded(seed: u64, key: &[&str]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for word in key {
        hasher.update(&(word.len() as u64).to_le_bytes()).update(word.as_bytes());
    }
    hasher
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_resamples_are_multinomial() {
        let rows = [vec![30, 10, 0], vec![0, 0, 5], vec![0; 3]];
        let drawn = resample_counts(7, &["a"], 20_000, &rows, |rows| {
            let sums: Vec<u32> = rows.iter().map(|row| row.iter().sum()).collect();
            assert_eq!(sums, [40, 5, 0]);
            assert_eq!((rows[0][2], rows[1][2]), (0, 5));
            f64::from(rows[0][0])
        });
        let n = drawn.len() as f64;
        let mean = drawn.iter().sum::<f64>() / n;
        let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        // np and np(1 − p), within three standard errors.
        assert!((mean - 30.0).abs() < 0.06, "{mean}");
        assert!((variance - 7.5).abs() < 0.23, "{variance}");
        let share_up_to = |most: f64| drawn.iter().filter(|x| **x <= most).count() as f64 / n;
        // By summing the binomial probabilities.
        assert!((share_up_to(24.0) - 0.0262).abs() < 0.004);
        assert!((share_up_to(30.0) - 0.5605).abs() < 0.011);
        assert!((share_up_to(35.0) - 0.9840).abs() < 0.003);
    }
}
