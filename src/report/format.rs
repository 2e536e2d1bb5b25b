//! Numbers as text for people.

/// Shown in place of a missing number.
pub(super) const NO_VALUE: &str = "–";

/// Separates the thousands of a plain decimal number: `-1234567.5` becomes `-1,234,567.5`.
pub(crate) fn separate_thousands(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut text = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

/// A number with thousands separators: `8,911,407.90`. Zero after rounding has no sign.
pub(super) fn decimals(value: f64, decimals: usize) -> String {
    let digits = separate_thousands(&format!("{:.decimals$}", value.abs()));
    let is_zero = !digits.chars().any(|c| c.is_ascii_digit() && c != '0');
    if value < 0.0 && !is_zero { format!("−{digits}") } else { digits }
}

pub(super) fn count(value: f64) -> String {
    decimals(value, 0)
}

/// A difference with its sign: `+12`, `−3`, `0`.
pub(super) fn change(difference: f64) -> String {
    let sign = if difference >= 0.5 { "+" } else { "" };
    format!("{sign}{}", count(difference))
}

/// A number with up to six decimals.
pub(super) fn plain(value: f64) -> String {
    let text = decimals(value, 6);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share of 1 in per cent.
pub(super) fn share(value: f64) -> String {
    format!("{} %", decimals(100.0 * value, 1))
}

/// Decimals and currency of amounts of money.
#[derive(Debug, Clone, Default)]
pub(super) struct Money {
    /// Decimals of the source; at most two are shown.
    pub(super) scale: usize,
    /// Empty if the pipeline names none.
    pub(super) currency: String,
}

impl Money {
    pub(super) fn decimals(&self) -> usize {
        self.scale.min(2)
    }

    /// An amount with its currency, without decimals from 10,000 on.
    pub(super) fn round(&self, value: f64) -> String {
        let is_large = value.abs() >= 10_000.0;
        let number = decimals(value, if is_large { 0 } else { self.decimals() });
        format!("{number} {}", self.currency).trim_end().to_owned()
    }

    /// A title with the currency: `money, GBP`.
    pub(super) fn title(&self, title: &str) -> String {
        format!("{title}, {}", self.currency).trim_end_matches(", ").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Money, decimals, plain, separate_thousands, share};

    #[test]
    fn thousands_are_separated() {
        for (value, n, text) in [
            (0.0, 0, "0"),
            (-0.001, 2, "0.00"),
            (999.5, 0, "1,000"),
            (1_234_567.891, 2, "1,234,567.89"),
            (-1000.0, 0, "−1,000"),
            (100.0, 1, "100.0"),
        ] {
            assert_eq!(decimals(value, n), text);
        }
        assert_eq!(
            ["-1234567.5", "-100", "1000", ""].map(separate_thousands),
            ["-1,234,567.5", "-100", "1,000", ""]
        );
        assert_eq!(share(0.12345), "12.3 %");
        assert_eq!(
            [plain(0.940896), plain(1_000_000.0), plain(-0.5)],
            ["0.940896", "1,000,000", "−0.5"]
        );
    }

    #[test]
    fn money_is_rounded_in_summaries_and_exact_in_tables() {
        let money = Money { scale: 3, currency: "GBP".to_owned() };
        assert_eq!(decimals(8_911_407.904, money.decimals()), "8,911,407.90");
        assert_eq!(money.round(8_911_407.904), "8,911,408 GBP");
        assert_eq!(Money::default().round(12.0), "12");
    }
}
