//! How much customers spend: the Gamma-Gamma model (Fader & Hardie 2013, "The Gamma-Gamma Model of
//! Monetary Value").

use libm::lgamma;
use serde::{Deserialize, Serialize};

/// Money of a purchase day varies around a customer's mean (shape p), which varies between
/// customers (q and v). All above 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spend {
    pub p: f64,
    pub q: f64,
    pub v: f64,
}

impl Spend {
    /// The part of a customer's log-likelihood that depends on `x` repeat purchases alone, above 0.
    pub(super) fn log_likelihood_of_repeats(&self, x: f64) -> f64 {
        let Self { p, q, v } = *self;
        lgamma(p * x + q) - lgamma(p * x) - lgamma(q) + q * v.ln() + p * x * x.ln()
    }

    /// The other part, with the mean money `z` of a repeat purchase, above 0, and its logarithm.
    pub(super) fn log_likelihood_of_money(&self, x: f64, z: f64, ln_z: f64) -> f64 {
        let Self { p, q, v } = *self;
        (p * x - 1.0) * ln_z - (p * x + q) * (v + x * z).ln()
    }

    /// Expected money of a purchase day of a customer with `x` repeat purchases of the mean `z`.
    /// Without a repeat purchase it is the mean over all customers.
    pub fn expected(&self, x: f64, z: f64) -> f64 {
        self.p * (self.v + x * z) / (self.p * x + self.q - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_spend_equals_the_published_note() {
        // Fader & Hardie's note: p 6.25, q 3.74, v 15.44 give 35.17 without a repeat purchase.
        let spend = Spend { p: 6.249572, q: 3.744225, v: 15.443522 };
        assert!((spend.expected(0.0, 0.0) - 35.1704).abs() < 5e-5);
    }
}
