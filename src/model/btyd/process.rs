//! How customers buy and leave: Pareto/NBD (Schmittlein, Morrison & Colombo 1987; Fader & Hardie
//! 2005), BG/NBD (Fader, Hardie & Lee 2005) and MBG/NBD (Batislam, Denizel & Filiztekin 2007).
//!
//! All three: while active, a customer buys at a Poisson rate that differs between customers by a
//! gamma distribution (r, α). They differ in when customers leave: after a purchase, with a
//! probability that is beta-distributed (a, b) over customers (BG/NBD); also after the first
//! purchase (MBG/NBD); or at any time, at a rate that is gamma-distributed (s, β) (Pareto/NBD).

use libm::lgamma;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model of purchases: `mbg_nbd` (default), `bg_nbd` or `pareto_nbd`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessKind {
    #[default]
    MbgNbd,
    BgNbd,
    ParetoNbd,
}

/// A model of purchases with its parameters, all above 0. Times are in weeks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub kind: ProcessKind,
    /// r, α, and the two parameters of leaving: a and b, or s and β.
    pub parameters: [f64; 4],
}

/// What the models know of a customer: the purchase days after the first.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct History {
    /// Number of repeat purchases, x.
    pub repeats: f64,
    /// Weeks from the first purchase to the last, t_x. 0 without a repeat purchase.
    pub last: f64,
    /// Weeks from the first purchase to the end of the observation, T.
    pub age: f64,
}

impl ProcessKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::MbgNbd => "MBG/NBD",
            Self::BgNbd => "BG/NBD",
            Self::ParetoNbd => "Pareto/NBD",
        }
    }
}

impl Process {
    /// The part of a customer's log-likelihood that depends on the number of repeat purchases
    /// alone.
    pub(super) fn log_likelihood_of_repeats(&self, x: f64) -> f64 {
        let [r, alpha, p, q] = self.parameters;
        let purchases = lgamma(r + x) - lgamma(r) + r * alpha.ln();
        let ln_beta_ratio =
            |b_more: f64| lgamma(p + q) - lgamma(q) + lgamma(q + b_more) - lgamma(p + q + b_more);
        purchases
            + match self.kind {
                ProcessKind::BgNbd => ln_beta_ratio(x),
                ProcessKind::MbgNbd => ln_beta_ratio(x + 1.0),
                ProcessKind::ParetoNbd => p * q.ln(),
            }
    }

    /// The other part of a customer's log-likelihood, with ln(α + T) and ln(α + t_x).
    pub(super) fn log_likelihood_of_times(
        &self,
        history: &History,
        ln_age: f64,
        ln_last: f64,
    ) -> f64 {
        let [r, _, p, q] = self.parameters;
        let History { repeats: x, age, .. } = *history;
        let active = -(r + x) * ln_age;
        match self.kind {
            ProcessKind::ParetoNbd => {
                let active = active - p * (q + age).ln();
                ln_add(
                    active,
                    (p / (r + p + x)).ln() + ln_pareto_integral(self.parameters, history),
                )
            }
            ProcessKind::BgNbd if x == 0.0 => active,
            ProcessKind::BgNbd => ln_add(active, (p / (q + x - 1.0)).ln() - (r + x) * ln_last),
            ProcessKind::MbgNbd => ln_add(active, (p / (q + x)).ln() - (r + x) * ln_last),
        }
    }

    /// Probability that the customer is still active, 0 to 1. BG/NBD: 1 for every customer without
    /// a repeat purchase.
    pub fn alive(&self, history: &History) -> f64 {
        let [r, alpha, p, q] = self.parameters;
        let History { repeats: x, last, age } = *history;
        let ln_odds_of_leaving = match self.kind {
            ProcessKind::BgNbd if x == 0.0 => return 1.0,
            ProcessKind::BgNbd => {
                (p / (q + x - 1.0)).ln() + (r + x) * ((alpha + age) / (alpha + last)).ln()
            }
            ProcessKind::MbgNbd => {
                (p / (q + x)).ln() + (r + x) * ((alpha + age) / (alpha + last)).ln()
            }
            ProcessKind::ParetoNbd => {
                (p / (r + p + x)).ln()
                    + (r + x) * (alpha + age).ln()
                    + p * (q + age).ln()
                    + ln_pareto_integral(self.parameters, history)
            }
        };
        1.0 / (1.0 + ln_odds_of_leaving.exp())
    }

    /// Expected number of purchases in the next `weeks`. With [`History::default`], that of a new
    /// customer after the first purchase.
    pub fn expected_purchases(&self, history: &History, weeks: f64) -> f64 {
        let [r, alpha, p, q] = self.parameters;
        let History { repeats: x, age, .. } = *history;
        let rate = match self.kind {
            ProcessKind::ParetoNbd => {
                let ln_share = ((q + age) / (q + age + weeks)).ln();
                (r + x) * (q + age) / (alpha + age) * one_less_power(p - 1.0, ln_share)
            }
            ProcessKind::BgNbd | ProcessKind::MbgNbd => {
                let c = if self.kind == ProcessKind::BgNbd { p + q + x - 1.0 } else { p + q + x };
                let c = if c.abs() < 1e-9 { 1e-9 } else { c };
                let z = weeks / (alpha + age + weeks);
                let ln_rest = (-z).ln_1p();
                if p > LARGE_A {
                    let b = if self.kind == ProcessKind::BgNbd { q + x } else { q + x + 1.0 };
                    let series = scaled_series((r + x) * ln_rest, r + x, b, c, z);
                    c / (p - 1.0) * (1.0 - series)
                } else {
                    let series = reduced_series(c - r - x, p, c, z);
                    c * (one_less_power(p - 1.0, ln_rest) - ((p - 1.0) * ln_rest).exp() * series)
                }
            }
        };
        rate * self.alive(history)
    }
}

/// (1 − exp(e · ln_base)) / e, also for e = 0.
fn one_less_power(e: f64, ln_base: f64) -> f64 {
    if e.abs() < 1e-12 { -ln_base } else { -(e * ln_base).exp_m1() / e }
}

/// (₂F₁(d, a − 1; c; z) − 1) / (a − 1), also for a = 1.
///
/// The conditional expectations of the papers have ₂F₁(r + x, b + x; a + b + x − 1; z). By Euler's
/// transformation that is (1 − z)^(a − 1 − r − x) · ₂F₁(d, a − 1; c; z), whose terms stay small.
fn reduced_series(d: f64, a: f64, c: f64, z: f64) -> f64 {
    let mut term = d / c * z;
    let mut sum = term;
    for n in 1..MAX_TERMS {
        let n = f64::from(n);
        term *= (d + n) * (a + n - 1.0) / ((c + n) * (n + 1.0)) * z;
        sum += term;
        if term.abs() <= 1e-16 * sum.abs() {
            break;
        }
    }
    sum
}

/// Above this a, the terms of [`reduced_series`] become too large.
const LARGE_A: f64 = 30.0;

/// exp(ln_factor) · ₂F₁(a, b; c; z), with positive parameters, term by term in logarithms.
fn scaled_series(ln_factor: f64, a: f64, b: f64, c: f64, z: f64) -> f64 {
    let mut ln_term = ln_factor;
    let mut sum = ln_term.exp();
    for n in 0..MAX_TERMS {
        let n = f64::from(n);
        let ratio = (a + n) * (b + n) / ((c + n) * (n + 1.0)) * z;
        ln_term += ratio.ln();
        let term = ln_term.exp();
        sum += term;
        if ratio < 1.0 && term <= 1e-17 * sum {
            break;
        }
    }
    sum
}

/// Terms after which a series is cut off. Its terms decrease at least as fast as powers of z.
const MAX_TERMS: u32 = 20_000;

/// ln A₀ of Pareto/NBD: the integral over the times after the last purchase at which the customer
/// may have left (Fader & Hardie 2005, "A note on deriving the Pareto/NBD model").
fn ln_pareto_integral([r, alpha, s, beta]: [f64; 4], history: &History) -> f64 {
    let History { repeats: x, last, age } = *history;
    let (high, low, exponent) =
        if alpha >= beta { (alpha, beta, s + 1.0) } else { (beta, alpha, r + x) };
    let sum = r + s + x;
    // ₂F₁(sum, exponent; sum + 1; z) by Euler's transformation.
    let ln_part = |time: f64| {
        let z = (high - low) / (high + time);
        let series = series_from_one(sum + 1.0 - exponent, sum + 1.0, z);
        series.ln() + (1.0 - exponent) * (-z).ln_1p() - sum * (high + time).ln()
    };
    let (from, until) = (ln_part(last), ln_part(age));
    from + (-(until - from).exp()).ln_1p()
}

/// ₂F₁(1, b; c; z) for 0 ≤ z < 1: by its series, or where z is large, and the series needs up to
/// 100,000 terms, by Gauss's continued fraction (modified Lentz).
fn series_from_one(b: f64, c: f64, z: f64) -> f64 {
    if z < 0.5 {
        let (mut term, mut sum) = (1.0, 1.0);
        for n in 0..MAX_TERMS {
            let n = f64::from(n);
            term *= (b + n) / (c + n) * z;
            sum += term;
            if term <= 1e-16 * sum {
                break;
            }
        }
        return sum;
    }
    const TINY: f64 = 1e-300;
    let coefficient = |n: u32| {
        let (half, c) = (f64::from(n / 2), c - 1.0);
        if n % 2 == 1 {
            (b + half) * (c + half) / ((c + 2.0 * half) * (c + 2.0 * half + 1.0))
        } else {
            half * (c - b + half) / ((c + 2.0 * half - 1.0) * (c + 2.0 * half))
        }
    };
    let (mut value, mut upper, mut lower) = (1.0f64, 1.0f64, 0.0f64);
    for n in 1..MAX_TERMS {
        let step = -coefficient(n) * z;
        let nonzero = |x: f64| if x.abs() < TINY { TINY } else { x };
        lower = 1.0 / nonzero(1.0 + step * lower);
        upper = nonzero(1.0 + step / upper);
        value *= upper * lower;
        if (upper * lower - 1.0).abs() < 1e-16 {
            break;
        }
    }
    1.0 / value
}

/// ln(exp(a) + exp(b))
fn ln_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    high + (low - high).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weeks(repeats: f64, last: f64, age: f64) -> History {
        History { repeats, last, age }
    }

    fn assert_close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() < tolerance, "{found} {expected}");
    }

    #[test]
    fn bg_nbd_equals_the_published_sheet() {
        // Hardie's workbook for Fader, Hardie & Lee (2005), with the parameters of the paper.
        let process = Process {
            kind: ProcessKind::BgNbd,
            parameters: [0.242594, 4.413596, 0.792919, 2.425890],
        };
        let expected = process.expected_purchases(&weeks(2.0, 30.43, 38.86), 39.0);
        assert_close(expected, 1.226, 5e-4);
        let times = [0.1429, 1.0, 3.0, 31.8571, 32.0, 78.0];
        let sheet = [0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576];
        for (time, sheet) in times.into_iter().zip(sheet) {
            let expected = process.expected_purchases(&History::default(), time);
            assert_close(expected, sheet, 5e-4);
        }
        // 1 / (1 + a / (b + 1) · ((α + T) / (α + t))^(r + 2)), by hand.
        let odds = 0.792919 / 3.425890 * (43.273596f64 / 34.843596).powf(2.242594);
        assert_close(process.alive(&weeks(2.0, 30.43, 38.86)), 1.0 / (1.0 + odds), 1e-9);
        assert_eq!(process.alive(&weeks(0.0, 0.0, 38.86)), 1.0);
    }

    #[test]
    fn pareto_nbd_equals_the_published_customer() {
        // Fader & Hardie (2005), customer 1516 of CDNOW.
        let process = Process {
            kind: ProcessKind::ParetoNbd,
            parameters: [0.5534, 10.5802, 0.6061, 11.6562],
        };
        let customer = weeks(26.0, 30.86, 31.0);
        assert_close(process.alive(&customer), 0.9979, 5e-5);
        // 25.46 in the paper, 25.4549 by CLVTools.
        assert_close(process.expected_purchases(&customer, 52.0), 25.4549, 5e-5);
    }

    #[test]
    fn expectations_are_stable_without_differences_between_customers() {
        // a and b large: every purchase is the last with probability a / (a + b) = 0.15. r and α
        // large: one purchase in two weeks. An active customer buys (1 − e^(−0.15 · t / 2)) / 0.15
        // times in t weeks.
        let same = Process { kind: ProcessKind::BgNbd, parameters: [5e3, 1e4, 1.5e3, 8.5e3] };
        let expected = (1.0 - (-0.15f64 * 13.0 / 2.0).exp()) / 0.15;
        let found = same.expected_purchases(&History::default(), 13.0);
        assert_close(found, expected, 0.01);
        // Both forms of the series agree where they meet.
        for kind in [ProcessKind::BgNbd, ProcessKind::MbgNbd] {
            let at = |a: f64| Process { kind, parameters: [0.5, 6.0, a, 60.0] };
            let customer = weeks(4.0, 20.0, 30.0);
            let [below, above] =
                [29.999_999, 30.000_001].map(|a| at(a).expected_purchases(&customer, 26.0));
            assert_close(below, above, 1e-6);
        }
    }

    #[test]
    fn continued_fraction_equals_closed_forms() {
        // ₂F₁(1, 1; 2; z) = −ln(1 − z) / z, and ₂F₁(1, b; b; z) = 1 / (1 − z).
        for z in [0.0, 1e-9, 0.1, 0.5, 0.9, 0.999, 0.9999] {
            let expected = if z > 0.0 { -f64::ln_1p(-z) / z } else { 1.0 };
            assert_close(series_from_one(1.0, 2.0, z) / expected, 1.0, 1e-12);
            assert_close(series_from_one(3.7, 3.7, z) * (1.0 - z), 1.0, 1e-9);
        }
    }

    #[test]
    fn expectations_are_continuous_where_formulas_divide_by_zero() {
        let customer = weeks(3.0, 20.0, 30.0);
        for kind in [ProcessKind::MbgNbd, ProcessKind::BgNbd, ProcessKind::ParetoNbd] {
            let at = |p: f64| {
                Process { kind, parameters: [0.5, 6.0, p, 2.0] }.expected_purchases(&customer, 13.0)
            };
            assert_close(at(1.0), (at(1.0 - 1e-5) + at(1.0 + 1e-5)) / 2.0, 1e-8);
        }
    }

    #[test]
    fn expectations_are_integrals_of_the_buying_rate() {
        // The expectation of a new customer is the integral of rate × probability of being active.
        // BG/NBD without dropout (a → 0) buys at r / α.
        let loyal = Process { kind: ProcessKind::BgNbd, parameters: [0.5, 4.0, 1e-9, 5.0] };
        assert_close(loyal.expected_purchases(&History::default(), 8.0), 1.0, 1e-6);
        // A customer at age T who is active buys at (r + x) / (α + T).
        let expected = loyal.expected_purchases(&weeks(4.0, 30.0, 32.0), 12.0);
        assert_close(expected, 4.5 / 36.0 * 12.0, 1e-6);
    }
}
