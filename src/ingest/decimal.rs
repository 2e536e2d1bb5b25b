//! Exact decimal numbers: from text and from stored values to whole numbers of 10^-scale.

use polars::prelude::DataType;

use super::NumberFormat;
use super::fault::MONEY_LIMIT;

/// Why a cell is no number of a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberFault {
    Missing,
    Malformed,
    /// Larger than [`MONEY_LIMIT`], or with more decimals than the scale.
    OutOfRange,
}

/// Largest exponent of ten that fits i128.
const MAX_EXPONENT: u32 = 38;
/// Digits that every decimal text keeps if it is stored as f64.
pub(super) const EXACT_F64: f64 = 1e15;
/// The same for f32.
const EXACT_F32: f64 = 1e6;

/// Decimals of the numbers of SQL expressions.
const DECIMALS: u8 = 12;
/// The type of the numbers of SQL expressions.
pub(super) const DECIMAL: DataType = DataType::Decimal(38, DECIMALS as usize);

/// A whole number in units of [`DECIMAL`].
pub(super) fn decimal_of_i64(value: i64) -> i128 {
    // It fits. Overflow checks of 128 bits take several times as long as the product.
    i128::from(value).wrapping_mul(const { 10i128.pow(DECIMALS as u32) })
}

/// `mantissa` · 10^`exponent` in units of [`DECIMAL`], rounded half away from zero: floats that
/// were written with all digits have noise in the last ones. `None` if it does not fit.
pub(super) fn units_of_decimal(mantissa: i128, exponent: i32) -> Option<i128> {
    let shift = exponent + i32::from(DECIMALS);
    let power = 10i128.checked_pow(shift.unsigned_abs());
    let units = match (shift >= 0, power) {
        (true, power) => mantissa.checked_mul(power?)?,
        (false, None) => 0,
        (false, Some(power)) => {
            let half = power / 2 * mantissa.signum();
            mantissa.checked_add(half)? / power
        }
    };
    (units.unsigned_abs() < 10u128.pow(MAX_EXPONENT)).then_some(units)
}

/// A number with a point, in units of [`DECIMAL`].
pub(super) fn decimal(text: &str) -> Option<i128> {
    let (mantissa, exponent) = plain(text, '.')?;
    units_of_decimal(mantissa, exponent)
}

/// A text cell in units of [`DECIMAL`]; `None` if it is no number of the format.
pub(super) fn decimal_of_text(text: &str, format: &NumberFormat) -> Option<i128> {
    let (mantissa, exponent) = parse(text, format)?;
    units_of_decimal(mantissa, exponent)
}

/// A stored float in units of [`DECIMAL`]: its shortest decimal.
pub(super) fn decimal_of_f64(value: f64) -> Option<i128> {
    match micros_of_f64(value) {
        Some(micros) => Some(decimal_of_micros(micros)),
        None => decimal(&format!("{value}")),
    }
}

/// A float in millionths, if it is the float of such a decimal.
pub(super) fn micros_of_f64(value: f64) -> Option<i64> {
    const MICRO: f64 = 1e6;
    let micros = (value * MICRO).round_ties_even();
    (micros.abs() < EXACT_F64 && micros / MICRO == value).then_some(micros as i64)
}

/// Millionths in units of [`DECIMAL`].
pub(super) fn decimal_of_micros(micros: i64) -> i128 {
    const MICRO: i128 = 10i128.pow(DECIMALS as u32 - 6);
    i128::from(micros).wrapping_mul(MICRO)
}

/// `mantissa` · 10^`exponent` in units of 10^-`scale`.
///
/// # Errors
/// More decimals than the scale, or more than [`MONEY_LIMIT`] units.
pub(super) fn scaled(mantissa: i128, exponent: i32, scale: u8) -> Result<i64, NumberFault> {
    if mantissa == 0 {
        return Ok(0);
    }
    let shift = exponent + i32::from(scale);
    let power = 10i128.checked_pow(shift.unsigned_abs()).ok_or(NumberFault::OutOfRange)?;
    let units = if shift >= 0 {
        mantissa.checked_mul(power).ok_or(NumberFault::OutOfRange)?
    } else if mantissa % power == 0 {
        mantissa / power
    } else {
        return Err(NumberFault::OutOfRange);
    };
    let is_in_range = units.unsigned_abs() <= MONEY_LIMIT as u128;
    if is_in_range { Ok(units as i64) } else { Err(NumberFault::OutOfRange) }
}

/// A stored f64 in units of 10^-`scale`: the shortest decimal that has this f64.
///
/// A number that lies within rounding noise of a decimal of the scale, such as the
/// 3.3000000000000003 that 3 · 1.1 gives, is that decimal.
pub(super) fn scaled_f64(value: f64, scale: u8) -> Result<i64, NumberFault> {
    let factor = 10f64.powi(i32::from(scale));
    let units = (value * factor).round_ties_even();
    if units.abs() < EXACT_F64 && units / factor == value {
        return Ok(units as i64);
    }
    if value.is_nan() {
        return Err(NumberFault::Missing);
    }
    if units.abs() > MONEY_LIMIT {
        return Err(NumberFault::OutOfRange);
    }
    shortest(&format!("{value}"), scale).or_else(|fault| {
        // Below this bound, noise is less than a hundredth of a unit.
        let noise = 4.0 * f64::EPSILON * value.abs();
        let is_noise = units.abs() < 1e12 && (value - units / factor).abs() <= noise;
        if is_noise { Ok(units as i64) } else { Err(fault) }
    })
}

/// The same for a stored f32.
pub(super) fn scaled_f32(value: f32, scale: u8) -> Result<i64, NumberFault> {
    let factor = 10f64.powi(i32::from(scale));
    let units = (f64::from(value) * factor).round_ties_even();
    if units.abs() < EXACT_F32 && (units / factor) as f32 == value {
        return Ok(units as i64);
    }
    if value.is_nan() {
        return Err(NumberFault::Missing);
    }
    if units.abs() > MONEY_LIMIT {
        return Err(NumberFault::OutOfRange);
    }
    shortest(&format!("{value}"), scale).or_else(|fault| {
        let noise = 4.0 * f64::from(f32::EPSILON) * f64::from(value).abs();
        let is_noise = units.abs() < 1e4 && (f64::from(value) - units / factor).abs() <= noise;
        if is_noise { Ok(units as i64) } else { Err(fault) }
    })
}

/// The shortest text of a float in units of 10^-`scale`.
fn shortest(text: &str, scale: u8) -> Result<i64, NumberFault> {
    let (mantissa, exponent) = plain(text, '.').ok_or(NumberFault::Malformed)?;
    scaled(mantissa, exponent, scale)
}

/// A text cell, without blanks around it, in units of 10^-`scale`.
pub(super) fn scaled_text(
    text: &str,
    format: &NumberFormat,
    scale: u8,
) -> Result<i64, NumberFault> {
    let (mantissa, exponent) = parse(text, format).ok_or(NumberFault::Malformed)?;
    scaled(mantissa, exponent, scale).or_else(|fault| {
        // Programs that compute with floats write 17 digits.
        let is_float = mantissa.unsigned_abs() >= EXACT_F64 as u128 && exponent < 0;
        let value = format!("{mantissa}e{exponent}").parse();
        match value {
            Ok(value) if is_float => scaled_f64(value, scale),
            _ => Err(fault),
        }
    })
}

/// A number as mantissa and exponent of ten; `None` if the text is not a number of the format.
///
/// Negative numbers have a minus sign before or after them, or stand in parentheses.
fn parse(text: &str, format: &NumberFormat) -> Option<(i128, i32)> {
    let mut rest = text;
    let mut sign = None;
    loop {
        rest = rest.trim();
        let (unsigned, negative) = if let Some(within) = rest.strip_prefix('(') {
            (within.strip_suffix(')')?, true)
        } else if let Some(unsigned) = rest.strip_prefix(['-', '\u{2212}']) {
            (unsigned, true)
        } else if let Some(unsigned) = rest.strip_prefix('+') {
            (unsigned, false)
        } else if let Some(unsigned) = rest.strip_suffix(['-', '\u{2212}']) {
            (unsigned, true)
        } else if let Some(without) = format.currency_signs.iter().find_map(|sign| {
            let sign = sign.as_str();
            rest.strip_prefix(sign).or_else(|| rest.strip_suffix(sign))
        }) {
            rest = without;
            continue;
        } else {
            break;
        };
        if sign.replace(negative).is_some() {
            return None;
        }
        rest = unsigned;
    }
    let (mantissa, exponent) = match format.thousands {
        Some(mark) => plain(&ungrouped(rest, mark, format.decimal)?, format.decimal)?,
        None => plain(rest, format.decimal)?,
    };
    Some((if sign == Some(true) { -mantissa } else { mantissa }, exponent))
}

/// Whether a character is a mark between groups of digits. A space stands for every space that
/// numbers are written with, an apostrophe for both kinds.
fn is_group_mark(c: char, mark: char) -> bool {
    match mark {
        ' ' | '\u{a0}' => c.is_whitespace(),
        '\'' => matches!(c, '\'' | '\u{2019}'),
        _ => c == mark,
    }
}

/// Removes the marks between groups of digits: groups of three (1,234,567), or of two before the
/// last three (12,34,567), as in India.
///
/// `None` for other groups: with points between thousands, 1.50 is no number, and without its mark
/// it would be 150.
fn ungrouped(text: &str, mark: char, decimal: char) -> Option<String> {
    let (whole, fraction) = match text.split_once(decimal) {
        Some((whole, _)) => text.split_at(whole.len()),
        None => (text, ""),
    };
    let groups: Vec<&str> = whole.split(|c| is_group_mark(c, mark)).collect();
    if let [first, middle @ .., last] = groups.as_slice() {
        let by_three = first.len() <= 3 && middle.iter().all(|group| group.len() == 3);
        let by_two = first.len() <= 2 && middle.iter().all(|group| group.len() == 2);
        if first.is_empty() || first.starts_with('0') || last.len() != 3 || !(by_three || by_two) {
            return None;
        }
    }
    Some(groups.concat() + fraction)
}

/// A number of digits, decimal mark and exponent. At most [`MAX_EXPONENT`] significant digits.
fn plain(text: &str, decimal: char) -> Option<(i128, i32)> {
    let (number, power) = match text.split_once(['e', 'E']) {
        Some((number, power)) => (number, power.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let negative = number.starts_with('-');
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = number.split_once(decimal).unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let fraction_digits = fraction.trim_end_matches('0');
    if !fraction[fraction_digits.len()..].bytes().all(|byte| byte == b'0') {
        return None;
    }
    let mut mantissa = 0i128;
    for byte in whole.bytes().chain(fraction_digits.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    let exponent = power.checked_sub(i32::try_from(fraction_digits.len()).ok()?)?;
    if exponent.unsigned_abs() > 10 * MAX_EXPONENT {
        return None;
    }
    Some((if negative { -mantissa } else { mantissa }, exponent))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::NumberFault::{Malformed, Missing, OutOfRange};
    use super::*;

    fn format(decimal: char, thousands: Option<char>) -> NumberFormat {
        let currency_signs = ["£", "€", "EUR"].map(str::to_owned).to_vec();
        NumberFormat { decimal, thousands, currency_signs }
    }

    #[test]
    fn text_is_parsed_exactly() {
        let points = format('.', Some(','));
        for (text, expected) in [
            ("1.25", Ok(125)),
            ("1,234.5", Ok(123_450)),
            ("12,34,567.00", Ok(123_456_700)),
            ("1,23,456", Ok(12_345_600)),
            ("1,50", Err(Malformed)),
            ("123,45,678", Err(Malformed)),
            (",123", Err(Malformed)),
            ("0,455", Err(Malformed)),
            ("(100.00)", Ok(-10_000)),
            ("£(5)", Ok(-500)),
            ("(£5)", Ok(-500)),
            ("-£5", Ok(-500)),
            ("£-5", Ok(-500)),
            ("40.00-", Ok(-4_000)),
            ("\u{2212}12.00", Ok(-1_200)),
            ("5 EUR", Ok(500)),
            ("(-5)", Err(Malformed)),
            ("--5", Err(Malformed)),
            ("(5", Err(Malformed)),
            ("+5", Ok(500)),
            (".5", Ok(50)),
            ("5.", Ok(500)),
            ("", Err(Malformed)),
            (".", Err(Malformed)),
            ("1.5e3", Ok(150_000)),
            ("15E-1", Ok(150)),
            ("1e300", Err(OutOfRange)),
            ("1e400000000000", Err(Malformed)),
            ("19.995", Err(OutOfRange)),
            ("19.9900000000000000000000000000000000000000000000000000", Ok(1_999)),
            ("3.3000000000000003", Ok(330)),
            ("0.30000000000000004", Ok(30)),
            ("90071992547409.91", Err(OutOfRange)),
            ("89999999999999.99", Ok(8_999_999_999_999_999)),
            ("inf", Err(Malformed)),
            ("0x10", Err(Malformed)),
            ("1_000", Err(Malformed)),
            ("1 000", Err(Malformed)),
        ] {
            assert_eq!(scaled_text(text, &points, 2), expected, "{text}");
        }
        let commas = format(',', Some(' '));
        for (text, expected) in [
            ("1 234,50", Ok(123_450)),
            ("1\u{a0}234,50", Ok(123_450)),
            ("1\u{202f}020,00 €", Ok(102_000)),
            ("1.234", Err(Malformed)),
            ("1,234", Err(OutOfRange)),
        ] {
            assert_eq!(scaled_text(text, &commas, 2), expected, "{text}");
        }
        assert_eq!(scaled_text("1’234.5", &format('.', Some('\'')), 2), Ok(123_450));
    }

    #[test]
    fn stored_floats_are_their_shortest_decimal() {
        for (value, expected) in [
            (19.99, Ok(1_999)),
            (0.1 + 0.2, Ok(30)),
            (3.0 * 1.1, Ok(330)),
            (1.005, Err(OutOfRange)),
            (19.995, Err(OutOfRange)),
            (123.456, Err(OutOfRange)),
            (f64::NAN, Err(Missing)),
            (f64::INFINITY, Err(OutOfRange)),
            (12_345_678_901_234.56, Ok(1_234_567_890_123_456)),
            (89_999_999_999_999.0, Ok(8_999_999_999_999_900)),
        ] {
            assert_eq!(scaled_f64(value, 2), expected, "{value}");
        }
        for (value, expected) in [
            (19.99f32, Ok(1_999)),
            (1234.56, Ok(123_456)),
            (249.95, Ok(24_995)),
            (123_456.79, Ok(12_345_679)),
            (3.0 * 1.1, Ok(330)),
            (1.005, Err(OutOfRange)),
            (1234.567, Err(OutOfRange)),
        ] {
            assert_eq!(scaled_f32(value, 2), expected, "{value}");
        }
        assert_eq!(scaled(12_345, -3, 2), Err(OutOfRange));
        assert_eq!(scaled(12_340, -3, 2), Ok(1_234));
    }

    proptest! {
        /// Every amount survives each way of storing it.
        #[test]
        fn amounts_are_read_back(units in -MONEY_LIMIT as i64..=MONEY_LIMIT as i64, scale in 0u8..=6) {
            let (whole, cents) = (units.unsigned_abs() / 10u64.pow(scale.into()),
                units.unsigned_abs() % 10u64.pow(scale.into()));
            let sign = if units < 0 { "-" } else { "" };
            let text = match scale {
                0 => format!("{sign}{whole}"),
                _ => format!("{sign}{whole}.{cents:0>width$}", width = usize::from(scale)),
            };
            let format = format('.', None);
            prop_assert_eq!(scaled_text(&text, &format, scale), Ok(units), "{}", text);
            if units.abs() < 1_000_000_000_000_000 {
                prop_assert_eq!(scaled_f64(text.parse().unwrap(), scale), Ok(units), "{}", text);
            }
            if units.abs() < 1_000_000 {
                prop_assert_eq!(scaled_f32(text.parse().unwrap(), scale), Ok(units), "{}", text);
            }
        }

        #[test]
        fn no_text_panics(text in "[-+()0-9.,eE £'\u{a0}]{0,24}") {
            for format in [format('.', Some(',')), format(',', Some('.')), format('.', Some(' '))] {
                let _ = scaled_text(&text, &format, 2);
            }
        }
    }
}
