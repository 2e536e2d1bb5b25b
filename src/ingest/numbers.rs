//! Cells as numbers: whole ones, and money in minor units.

use polars::prelude::*;

use super::conform::{Parsed, faulty, missing};
use super::{Format, Numbers, Source};

/// A line's money may not go beyond this many minor units: a thousand such lines still fit 64 bits.
pub(super) const MONEY_LIMIT: f64 = 9e15;
/// How far a price may lie from a whole number of minor units: beyond it, the price is finer than the scale.
const MINOR_TOLERANCE: f64 = 1e-4;

/// A cell as a float: text as it is written, without currency signs and the marks between thousands.
pub(super) fn number(cell: &str, source: &Source) -> Expr {
    let Numbers { decimal, thousands, currency_signs } = &source.set.text.numbers;
    let plain = *decimal == '.' && thousands.is_none() && currency_signs.is_empty();
    if source.set.format == Format::Parquet || plain {
        return col(cell).cast(DataType::Float64);
    }
    let nothing = || lit("");
    let bare = currency_signs.iter().fold(col(cell).cast(DataType::String), |text, sign| {
        text.str().replace_all(lit(sign.as_str()), nothing(), true)
    });
    let bare = bare.str().strip_chars(lit(" \u{a0}"));
    let joined = thousands.iter().fold(bare, |text, mark| {
        // 1.50 is no number where the point parts thousands; without the mark it would be 150.
        let literal = lit(mark.to_string());
        let marked = text.clone().str().contains_literal(literal.clone());
        let [mark, point] = [*mark, *decimal].map(|mark| regex::escape(&mark.to_string()));
        let in_threes = lit(format!(r"^[+-]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?$"));
        let sound = marked.not().or(text.clone().str().contains(in_threes, true));
        when(sound).then(text.str().replace_all(literal, nothing(), true)).otherwise(lit(NULL))
    });
    let pointed = match decimal {
        '.' => joined,
        mark => joined.str().replace_all(lit(mark.to_string()), lit("."), true),
    };
    pointed.cast(DataType::Float64)
}

/// A whole number of units.
pub(super) fn whole_number(name: &'static str, cell: &str, source: &Source) -> Parsed {
    let parsed = number(cell, source);
    let fractional = parsed.clone().round(0, RoundMode::HalfToEven).neq(parsed.clone());
    let beyond = parsed.clone().abs().gt(lit(MONEY_LIMIT));
    let wrong = parsed.clone().is_null().or(fractional).or(beyond);
    Parsed {
        value: parsed.cast(DataType::Int64),
        faults: vec![missing(name, cell, source), (faulty(name, &format!("{name} not a whole number")), wrong)],
    }
}

/// Money as a whole number of minor units: round(x · 10^scale).
pub(super) fn minor_units(name: &'static str, cell: &str, source: &Source, factor: f64) -> Parsed {
    let scaled = number(cell, source) * lit(factor);
    let rounded = scaled.clone().round(0, RoundMode::HalfToEven);
    let finer = (scaled.clone() - rounded.clone()).abs().gt(lit(MINOR_TOLERANCE));
    let beyond = scaled.clone().abs().gt(lit(MONEY_LIMIT));
    let no_number = scaled.clone().is_null().or(scaled.is_nan());
    Parsed {
        value: rounded.cast(DataType::Int64),
        faults: vec![
            missing(name, cell, source),
            (faulty(name, &format!("{name} not a number")), no_number),
            (faulty(name, &format!("{name} out of range or finer than money.scale")), beyond.or(finer)),
        ],
    }
}
