//! Numbers as people read them.

/// What stands where there is no number.
pub(super) const NOTHING: &str = "–";

/// A number with so many places, its thousands parted by commas: `8,911,407.90`.
pub(super) fn places(value: f64, places: usize) -> String {
    let digits = format!("{:.places$}", value.abs());
    let (whole, part) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut out = String::new();
    // What rounds to nothing has no sign.
    if value < 0.0 && digits.chars().any(|c| c.is_ascii_digit() && c != '0') {
        out.push('−');
    }
    for (idx, digit) in whole.chars().enumerate() {
        if idx > 0 && (whole.len() - idx) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + part
}

/// A whole number.
pub(super) fn count(value: f64) -> String {
    places(value, 0)
}

/// What numbers up to a largest are counted in, with a space after it.
pub(super) fn unit(largest: f64) -> (f64, &'static str) {
    match largest.abs() {
        big if big >= 2e9 => (1e9, "billion "),
        big if big >= 2e6 => (1e6, "million "),
        big if big >= 2e4 => (1e3, "thousand "),
        _ => (1.0, ""),
    }
}

/// A number with as many places as it needs, six at most.
pub(super) fn plain(value: f64) -> String {
    let text = places(value, 6);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share of one, as a per cent.
pub(super) fn share(value: f64) -> String {
    format!("{} %", places(100.0 * value, 1))
}

/// How money is written: to the hundredth at most, with the currency where the pipeline names one.
#[derive(Debug, Clone, Default)]
pub(super) struct Money {
    pub(super) scale: usize,
    pub(super) currency: String,
}

impl Money {
    /// With its places.
    pub(super) fn exact(&self, value: f64) -> String {
        places(value, self.scale.min(2))
    }

    /// With its currency, and without places where they are of no matter.
    pub(super) fn round(&self, value: f64) -> String {
        let number = if value.abs() >= 10_000.0 { count(value) } else { self.exact(value) };
        format!("{number} {}", self.currency).trim_end().to_owned()
    }

    /// What money is called in titles of axes and columns: `money, GBP`.
    pub(super) fn named(&self, what: &str) -> String {
        if self.currency.is_empty() {
            what.to_owned()
        } else {
            format!("{what}, {}", self.currency)
        }
    }

    /// What amounts up to a largest are counted in, so that axes stay short: a divisor and its name.
    pub(super) fn unit(&self, largest: f64) -> (f64, String) {
        let (by, name) = unit(largest);
        (by, format!("{name}{}", if self.currency.is_empty() { "money" } else { &self.currency }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Money, places, plain, share};

    #[test]
    fn thousands_are_parted() {
        for (value, n, text) in [
            (0.0, 0, "0"),
            (-0.001, 2, "0.00"),
            (999.5, 0, "1,000"),
            (1_234_567.891, 2, "1,234,567.89"),
            (-1000.0, 0, "−1,000"),
            (100.0, 1, "100.0"),
        ] {
            assert_eq!(places(value, n), text);
        }
        assert_eq!(share(0.12345), "12.3 %");
        assert_eq!(
            [plain(0.940896), plain(1_000_000.0), plain(-0.5)],
            ["0.940896", "1,000,000", "−0.5"]
        );
    }

    #[test]
    fn money_is_short_in_titles_and_whole_in_tables() {
        let money = Money { scale: 3, currency: "GBP".to_owned() };
        assert_eq!(money.exact(8_911_407.904), "8,911,407.90");
        assert_eq!(money.round(8_911_407.904), "8,911,408 GBP");
        assert_eq!(money.unit(8_911_407.9), (1e6, "million GBP".to_owned()));
        assert_eq!(Money::default().round(12.0), "12");
    }
}
