//! Simulated transactions of any size with a known ground truth: when each customer arrives, how
//! often it buys, and when it leaves.
//!
//! The process, with parameters from [`shape`]:
//!
//! - **Days** share the lines by the weights of their month and weekday.
//! - **Customers** buy at rates that follow a power law: an order is of customer ⌊N · uᵍ⌋, u
//!   uniform. With g = 2 the expected number of orders of customer i is proportional to i^(−1/2).
//!   A customer buys only while it is active. Some are active before the first day, the others
//!   arrive on a uniform day, and all leave after an exponential time. If the drawn customer is not
//!   active, another is drawn, up to sixteen times.
//! - **Orders** have a log-normal number of lines. Products have a log-normal price and popularities
//!   that follow a power law. Lines have a log-normal quantity. Some orders have no customer id.
//!   Some are partly cancelled a few minutes later.
//!
//! Everything is a function of the seed: each slice of a day and each customer has its own random
//! stream, so slices can be generated in parallel and need not be stored. The simulation is
//! independent of the definition of segments.

use chrono::{Datelike, NaiveDate};
use polars::prelude::{DataFrame, PolarsResult};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Exp, StandardUniform};

mod lines;
pub mod shape;
pub mod write;

pub use shape::Shape;

/// Largest number of lines in a slice: about a row group.
const SLICE: u64 = 1 << 16;
/// Random stream of the first customer. Those of slices are below it.
const CUSTOMERS: u64 = 1 << 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simulation {
    /// Number of customers. Some of them never buy.
    pub customers: u64,
    pub lines: u64,
    pub seed: u64,
    pub shape: Shape,
}

/// Some lines of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub day: NaiveDate,
    pub lines: u64,
    index: u64,
    /// Index among the day's slices, and their number.
    part: (u64, u64),
}

/// The ground truth of a customer. Days are counted from the first day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Customer {
    pub id: u64,
    /// First active day; 0 if active before the first day.
    pub active_from: f64,
    /// End of activity, exclusive.
    pub active_until: f64,
}

impl Simulation {
    /// The slices in chronological order.
    pub fn slices(&self) -> Vec<Slice> {
        let process = self.shape.process();
        let weight = |day: NaiveDate| {
            process.season[day.month0() as usize]
                * process.weekday[day.weekday().num_days_from_monday() as usize]
        };
        let days = self.shape.first().iter_days().take(process.days as usize);
        let days: Vec<(NaiveDate, f64)> = days.map(|day| (day, weight(day))).collect();
        let total: f64 = days.iter().map(|(_, weight)| weight).sum();
        let (mut slices, mut weight_so_far, mut lines_so_far) = (Vec::new(), 0.0, 0);
        for (day, weight) in days {
            weight_so_far += weight;
            let lines = (weight_so_far / total * self.lines as f64).round();
            let until = lines.min(self.lines as f64) as u64;
            let of_day = until - lines_so_far;
            lines_so_far = until;
            let parts = of_day.div_ceil(SLICE);
            for part in 0..parts {
                let lines = of_day * (part + 1) / parts - of_day * part / parts;
                slices.push(Slice { day, lines, index: slices.len() as u64, part: (part, parts) });
            }
        }
        slices
    }

    /// The ground truth of a customer by its index, which is below [`Self::customers`].
    pub fn customer(&self, index: u64) -> Customer {
        let process = self.shape.process();
        let mut rng = self.rng(CUSTOMERS + index);
        let [earlier, arrival]: [f64; 2] = StandardUniform.sample(&mut rng);
        let active_from =
            if earlier < process.earlier_share { 0.0 } else { arrival * process.arrival_days };
        let stays = Exp::new(1.0 / process.lifetime).map_or(0.0, |exp| exp.sample(&mut rng));
        // Ids are permuted, so that they do not reveal the purchase rate.
        let id = process.first_id + index.wrapping_mul(self.id_step()) % self.customers.max(1);
        Customer { id, active_from, active_until: active_from + stays }
    }

    /// A number coprime to the number of customers: its multiples reach each of them once.
    fn id_step(&self) -> u64 {
        let near = (self.customers as f64 * 0.618) as u64;
        let is_coprime = |step: &u64| gcd(*step, self.customers) == 1;
        (near.max(1)..=self.customers.max(1)).find(is_coprime).unwrap_or(1)
    }

    /// The lines of a slice in the source's format, in chronological order.
    pub fn frame(&self, slice: &Slice) -> PolarsResult<DataFrame> {
        lines::frame(&lines::simulate(self, slice), self.shape)
    }

    fn rng(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        rng
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
