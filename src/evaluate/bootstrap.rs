//! Intervals by the bootstrap: customers drawn anew, with replacement, from a seed and words that say what for, so that equal runs
//! draw alike.

use blake3::OutputReader;

use crate::rfm::quantile::type_7;

/// A stream of draws; the same for the same seed and words.
pub struct Draws {
    stream: OutputReader,
    buffer: [u8; 4096],
    at: usize,
}

impl Draws {
    /// The stream of a seed, for what the words say.
    pub fn of(seed: u64, words: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        for word in words {
            hasher.update(&(word.len() as u64).to_le_bytes()).update(word.as_bytes());
        }
        Self { stream: hasher.finalize_xof(), buffer: [0; 4096], at: 4096 }
    }

    /// A whole number from 0 to below `n`; some come up oftener than others by n in 2³².
    pub fn below(&mut self, n: usize) -> usize {
        if self.at == self.buffer.len() {
            self.stream.fill(&mut self.buffer);
            self.at = 0;
        }
        let mut word = [0; 4];
        word.copy_from_slice(&self.buffer[self.at..self.at + 4]);
        self.at += 4;
        ((u64::from(u32::from_le_bytes(word)) * n as u64) >> 32) as usize
    }
}

/// The middle 95 % of a statistic over its resamples, by type-7 quantiles; `None` of nothing.
pub fn interval(mut resampled: Vec<f64>) -> Option<[f64; 2]> {
    resampled.sort_by(f64::total_cmp);
    Some([type_7(&resampled, 25, 1000)?, type_7(&resampled, 975, 1000)?])
}
