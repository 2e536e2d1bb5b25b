//! Made-up transactions of any size, of which the truth is known: a shop's customers come, buy as often as they do, and stay away.
//!
//! The process, for every shape (its numbers stand in [`shape`]):
//!
//! - **Days** share the lines by the season of their month and by their weekday; no shop is open on all of them.
//! - **Customers** buy at rates that fall off as a power law: an order is of customer ⌊N · uᵍ⌋, u uniform, so that with g = 2 the
//!   expected orders of the i-th go as i^(−1/2). One buys only while it is alive: some were customers before the first day, the
//!   others come on a uniform day, and all leave after an exponential time. Who is drawn while it is not alive is drawn again,
//!   sixteen times at most.
//! - **Orders** have a log-normal number of lines, products a log-normal price of their own and popularities that fall off as a power
//!   law, lines a log-normal quantity. Some orders are of nobody; some are partly cancelled a few minutes later.
//!
//! All of it is a function of the seed: each slice of a day, and each customer, has a stream of its own, so that any number of slices
//! can be made side by side, and none needs to be kept. What is deliberately absent: any knowledge of how segments are made.

use chrono::{Datelike, Days, NaiveDate};
use polars::prelude::{DataFrame, PolarsResult};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Exp, StandardUniform};

mod lines;
pub mod shape;
pub mod write;

pub use shape::Shape;

/// Lines of a slice at most: about as many as a row group.
const SLICE: u64 = 1 << 16;
/// The stream of the first customer; slices have those below.
const CUSTOMERS: u64 = 1 << 40;

/// What is to be made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simulation {
    /// Customers that there are; not all of them buy.
    pub customers: u64,
    /// Lines to be made.
    pub lines: u64,
    /// Where chance begins.
    pub seed: u64,
    /// Which shop.
    pub shape: Shape,
}

/// Some lines of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The day.
    pub day: NaiveDate,
    /// How many lines.
    pub lines: u64,
    /// Its number among all slices.
    number: u64,
    /// Which part of the day, of how many.
    part: (u64, u64),
}

/// What is true of a customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Customer {
    /// Its id in the source.
    pub id: u64,
    /// Day, counted from the first, on which it begins to buy; not above zero where it was a customer before.
    pub born: f64,
    /// Day from which it does not buy any more.
    pub dies: f64,
}

impl Simulation {
    /// The slices in the order of time.
    pub fn slices(&self) -> Vec<Slice> {
        let days: Vec<NaiveDate> =
            self.shape.first().iter_days().take(self.shape.days() as usize).collect();
        let weights: Vec<f64> = days.iter().map(|day| self.weight(*day)).collect();
        let all: f64 = weights.iter().sum();
        let (mut slices, mut passed, mut made) = (Vec::new(), 0.0, 0);
        for (day, weight) in days.into_iter().zip(weights) {
            passed += weight;
            let until = ((passed / all) * self.lines as f64).round().min(self.lines as f64) as u64;
            let of_day = until - made;
            made = until;
            let parts = of_day.div_ceil(SLICE);
            for part in 0..parts {
                let lines = of_day * (part + 1) / parts - of_day * part / parts;
                slices.push(Slice { day, lines, number: slices.len() as u64, part: (part, parts) });
            }
        }
        slices
    }

    fn weight(&self, day: NaiveDate) -> f64 {
        self.shape.season(day.month0() as usize)
            * self.shape.weekday(day.weekday().num_days_from_monday() as usize)
    }

    /// What is true of the customer with an index below [`Self::customers`].
    pub fn customer(&self, index: u64) -> Customer {
        let mut chance = self.chance(CUSTOMERS + index);
        let share: f64 = StandardUniform.sample(&mut chance);
        let come: f64 = StandardUniform.sample(&mut chance);
        let (before, within) = self.shape.arrivals();
        let born = if share < before { 0.0 } else { come * within };
        let stays =
            Exp::new(1.0 / self.shape.lifetime()).map_or(0.0, |exp| exp.sample(&mut chance));
        // Ids say nothing of how much their customer buys.
        let id = self.shape.first_id() + index.wrapping_mul(self.step()) % self.customers.max(1);
        Customer { id, born, dies: born + stays }
    }

    /// A number without a common divisor with that of the customers, so that its multiples reach each of them once.
    fn step(&self) -> u64 {
        let near = (self.customers as f64 * 0.618) as u64;
        let coprime = |step: &u64| gcd(*step, self.customers) == 1;
        (near.max(1)..=self.customers.max(1)).find(coprime).unwrap_or(1)
    }

    /// The lines of a slice, as the source has them, in the order of time.
    ///
    /// # Errors
    /// What Polars says.
    pub fn frame(&self, slice: &Slice) -> PolarsResult<DataFrame> {
        lines::made(self, slice).frame(self.shape)
    }

    fn chance(&self, stream: u64) -> ChaCha8Rng {
        let mut chance = ChaCha8Rng::seed_from_u64(self.seed);
        chance.set_stream(stream);
        chance
    }

    /// Days from the first day of the shape to one.
    fn since(&self, day: NaiveDate) -> f64 {
        day.signed_duration_since(self.shape.first()).num_days() as f64
    }
}

impl Shape {
    /// The day after the last.
    pub fn end(self) -> NaiveDate {
        self.first().checked_add_days(Days::new(self.days())).unwrap_or(NaiveDate::MAX)
    }
}

fn gcd(one: u64, other: u64) -> u64 {
    match other {
        0 => one,
        _ => gcd(other, one % other),
    }
}
