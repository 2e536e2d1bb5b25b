//! Maximum likelihood by the Nelder-Mead method over the logarithms of the parameters.

use std::array::from_fn;

use argmin::core::{CostFunction, Error, Executor};
use argmin::solver::neldermead::NelderMead;
use argmin_math::{ArgminAdd, ArgminMul, ArgminSub};
use rayon::prelude::*;

use super::process::{History, Process, ProcessKind};
use super::spend::Spend;

/// Equal histories, and the number of customers who have them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Weighted {
    item: History,
    customers: f64,
}

/// Rows summed by one task. The pieces and their order are fixed, so that sums do not depend on the
/// number of threads.
const CHUNK: usize = 4096;
/// Of one search. Four parameters need about 200.
const MAX_ITERATIONS: u64 = 300;
/// Standard deviation of customers' mean spend, relative to its mean, below which all spend the
/// same.
const SMALLEST_VARIATION: f64 = 1e-3;
/// Standard deviation of the log-likelihoods per customer over a simplex at which the first search
/// ends.
const COARSE: f64 = 1e-8;
/// The same for the other searches: the rounding error of the sum of log-likelihoods.
const FINE: f64 = 2e-15;
/// A search that gains less is the last one.
const LEAST_GAIN: f64 = 1e-9;
/// Bound of the parameters: beyond it, customers do not differ, and the likelihood is a difference
/// of numbers that have no digits left.
pub(super) const LARGEST: f64 = 1e4;
/// Cost of parameters that are out of bounds, or for which the likelihood is no number.
const WORST: f64 = 1e9;
/// Searches, each from where the last one ended: a new simplex leaves a ridge.
const SEARCHES: usize = 4;

/// The parameters of the highest log-likelihood, and the log-likelihood.
pub(super) fn fit_process(kind: ProcessKind, histories: &[History]) -> Option<(Process, f64)> {
    let rows = Histories::new(histories);
    let total = histories.len() as f64;
    let mean_age = histories.iter().map(|history| history.age).sum::<f64>() / total;
    let scale = (mean_age / 4.0).max(f64::MIN_POSITIVE);
    let start = match kind {
        ProcessKind::BgNbd | ProcessKind::MbgNbd => [0.5, scale, 1.0, 2.0],
        ProcessKind::ParetoNbd => [0.5, scale, 0.5, scale],
    };
    let likelihood = |parameters: [f64; 4]| rows.log_likelihood(&Process { kind, parameters });
    let (parameters, best) = maximise(start, total, &likelihood)?;
    Some((Process { kind, parameters }, best))
}

/// Distinct histories, and their distinct times: a logarithm is computed once for each time.
struct Histories {
    rows: Vec<Weighted>,
    /// Index of the age and of the last purchase of each row.
    indices: Vec<(u32, u32)>,
    ages: Vec<f64>,
    lasts: Vec<f64>,
}

impl Histories {
    fn new(histories: &[History]) -> Self {
        let rows = weighted(histories);
        let distinct = |time: fn(&History) -> f64| {
            let mut times: Vec<f64> = rows.iter().map(|row| time(&row.item)).collect();
            times.sort_by(f64::total_cmp);
            times.dedup();
            times
        };
        let (ages, lasts) = (distinct(|history| history.age), distinct(|history| history.last));
        let position =
            |times: &[f64], time: f64| times.partition_point(|other| *other < time) as u32;
        let indices = rows.iter();
        let indices = indices
            .map(|row| (position(&ages, row.item.age), position(&lasts, row.item.last)))
            .collect();
        Self { rows, indices, ages, lasts }
    }

    fn log_likelihood(&self, process: &Process) -> f64 {
        let alpha = process.parameters[1];
        let logarithms =
            |times: &[f64]| -> Vec<f64> { times.iter().map(|time| (alpha + time).ln()).collect() };
        let (ages, lasts) = (logarithms(&self.ages), logarithms(&self.lasts));
        let sum = |(rows, indices): (&[Weighted], &[(u32, u32)])| {
            let (mut repeats, mut constant) = (f64::NAN, 0.0);
            let mut sum = 0.0;
            for (Weighted { item, customers }, (age, last)) in rows.iter().zip(indices) {
                if item.repeats != repeats {
                    repeats = item.repeats;
                    constant = process.log_likelihood_of_repeats(repeats);
                }
                let (age, last) = (ages[*age as usize], lasts[*last as usize]);
                sum += customers * (constant + process.log_likelihood_of_times(item, age, last));
            }
            sum
        };
        let chunks = self.rows.par_chunks(CHUNK).zip(self.indices.par_chunks(CHUNK));
        chunks.map(sum).collect::<Vec<f64>>().iter().sum()
    }
}

/// The Gamma-Gamma parameters of the highest log-likelihood, and the log-likelihood. The items are
/// numbers of repeat purchases and their mean money, both above 0.
pub(super) fn fit_spend(customers: &[(f64, f64)]) -> Option<(Spend, f64)> {
    let total = customers.len() as f64;
    let mean = customers.iter().map(|(_, z)| z).sum::<f64>() / total;
    let mut rows: Vec<(f64, f64, f64)> = customers.iter().map(|(x, z)| (*x, *z, z.ln())).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let likelihood = |[p, q, v]: [f64; 3]| {
        let spend = Spend { p, q, v };
        let sum = |rows: &[(f64, f64, f64)]| -> f64 {
            let (mut repeats, mut constant) = (f64::NAN, 0.0);
            let mut sum = 0.0;
            for &(x, z, ln_z) in rows {
                if x != repeats {
                    repeats = x;
                    constant = spend.log_likelihood_of_repeats(x);
                }
                sum += constant + spend.log_likelihood_of_money(x, z, ln_z);
            }
            sum
        };
        rows.par_chunks(CHUNK).map(sum).collect::<Vec<f64>>().iter().sum()
    };
    let deviation = customers.iter().map(|(_, z)| (z - mean).powi(2)).sum::<f64>() / total;
    if deviation.sqrt() < SMALLEST_VARIATION * mean {
        // All spend the same: the largest shapes, with this mean.
        let [p, q, v] = [LARGEST, LARGEST + 1.0, mean];
        return Some((Spend { p, q, v }, likelihood([p, q, v])));
    }
    // In units of the mean, so that the bounds do not depend on the currency.
    let scaled = |[p, q, v]: [f64; 3]| likelihood([p, q, v * mean]);
    let ([p, q, v], best) = maximise([5.0, 4.0, 0.5], total, &scaled)?;
    Some((Spend { p, q, v: v * mean }, best))
}

/// Groups equal histories, ordered by repeat purchases.
fn weighted(histories: &[History]) -> Vec<Weighted> {
    let key = |history: &History| [history.repeats, history.last, history.age].map(f64::to_bits);
    let mut sorted = histories.to_vec();
    // Positive floats are in the order of their bits.
    sorted.par_sort_unstable_by_key(key);
    let groups = sorted.chunk_by(|a, b| a == b);
    groups.map(|group| Weighted { item: group[0], customers: group.len() as f64 }).collect()
}

/// Logarithms of the parameters, as a point of a simplex. Vectors of argmin would need `rand`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point<const N: usize>([f64; N]);

impl<const N: usize> ArgminAdd<Self, Self> for Point<N> {
    fn add(&self, other: &Self) -> Self {
        Self(from_fn(|axis| self.0[axis] + other.0[axis]))
    }
}

impl<const N: usize> ArgminSub<Self, Self> for Point<N> {
    fn sub(&self, other: &Self) -> Self {
        Self(from_fn(|axis| self.0[axis] - other.0[axis]))
    }
}

impl<const N: usize> ArgminMul<f64, Self> for Point<N> {
    fn mul(&self, factor: &f64) -> Self {
        Self(self.0.map(|x| x * factor))
    }
}

impl<const N: usize> Point<N> {
    fn parameters(self) -> [f64; N] {
        self.0.map(f64::exp)
    }
}

struct Negative<'a, const N: usize> {
    likelihood: &'a (dyn Fn([f64; N]) -> f64 + Sync),
    customers: f64,
}

impl<const N: usize> CostFunction for Negative<'_, N> {
    type Param = Point<N>;
    type Output = f64;

    fn cost(&self, logarithms: &Point<N>) -> Result<f64, Error> {
        let parameters = logarithms.parameters();
        if parameters.iter().any(|parameter| !(1.0 / LARGEST..=LARGEST).contains(parameter)) {
            return Ok(WORST);
        }
        let cost = -(self.likelihood)(parameters) / self.customers;
        Ok(if cost.is_finite() { cost } else { WORST })
    }
}

/// The parameters with the highest value from `start`. `None` if the search finds no finite value.
fn maximise<const N: usize>(
    start: [f64; N],
    customers: f64,
    likelihood: &(dyn Fn([f64; N]) -> f64 + Sync),
) -> Option<([f64; N], f64)> {
    let mut best = Point(start.map(f64::ln));
    let mut lowest = f64::INFINITY;
    for search in 0..SEARCHES {
        let (step, tolerance) = if search == 0 { (0.5, COARSE) } else { (0.05, FINE) };
        let mut simplex = vec![best];
        simplex.extend((0..N).map(|axis| {
            let mut vertex = best;
            vertex.0[axis] += step;
            vertex
        }));
        let solver = NelderMead::new(simplex).with_sd_tolerance(tolerance).ok()?;
        let problem = Negative { likelihood, customers };
        let executor = Executor::new(problem, solver);
        let result = executor.configure(|state| state.max_iters(MAX_ITERATIONS)).run().ok()?;
        best = result.state.best_param?;
        let gain = lowest - result.state.best_cost;
        lowest = result.state.best_cost;
        if search > 0 && gain < LEAST_GAIN {
            break;
        }
    }
    let parameters = best.parameters();
    let value = likelihood(parameters);
    value.is_finite().then_some((parameters, value))
}
