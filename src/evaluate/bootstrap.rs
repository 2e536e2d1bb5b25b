//! Intervals by the bootstrap: customers drawn anew, with replacement, from a seed and words that say what for, so that equal runs
//! draw alike.

use blake3::OutputReader;
use rayon::prelude::*;

use crate::rfm::quantile::type_7;

/// What is made of so many resamples of `n` customers, in their order: [`Sample::each`] tells who is drawn.
///
/// They are cut from one stream, the same for the same seed and words, each at its own place, so that they are drawn side by side.
pub fn resampled<T: Send>(
    seed: u64,
    words: &[&str],
    (times, n): (usize, usize),
    make: impl Fn(Sample) -> T + Sync,
) -> Vec<T> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for word in words {
        hasher.update(&(word.len() as u64).to_le_bytes()).update(word.as_bytes());
    }
    let whole = hasher.finalize_xof();
    let once = |time: usize| {
        let mut stream = whole.clone();
        stream.set_position((time * n * WORD) as u64);
        make(Sample { stream, n })
    };
    (0..times).into_par_iter().map(once).collect()
}

/// Bytes of a draw.
const WORD: usize = 4;

/// As many customers as there are, drawn with replacement.
pub struct Sample {
    stream: OutputReader,
    n: usize,
}

impl Sample {
    /// Calls with the place of everyone who is drawn, as often as it is; some come up oftener than others by n in 2³².
    pub fn each(mut self, mut drawn: impl FnMut(usize)) {
        let mut buffer = [0; 1024 * WORD];
        let mut left = self.n;
        while left > 0 {
            let together = left.min(buffer.len() / WORD);
            let bytes = &mut buffer[..together * WORD];
            self.stream.fill(bytes);
            let words =
                bytes.as_chunks::<WORD>().0.iter().map(|word| u64::from(u32::from_le_bytes(*word)));
            words.for_each(|word| drawn(((word * self.n as u64) >> 32) as usize));
            left -= together;
        }
    }
}

/// The middle 95 % of a statistic over its resamples, by type-7 quantiles; `None` of nothing.
pub fn interval(mut resampled: Vec<f64>) -> Option<[f64; 2]> {
    resampled.sort_by(f64::total_cmp);
    Some([type_7(&resampled, 25, 1000)?, type_7(&resampled, 975, 1000)?])
}
