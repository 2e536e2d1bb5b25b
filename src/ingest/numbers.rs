//! Parses numbers: whole units, and money in minor units.

use polars::prelude::*;

use super::cell::{ParsedCell, fits_i64, is_empty, is_text};
use super::fault::{FaultList, MONEY_LIMIT};
use super::outcomes::{fault_codes, map_column};
use super::{Format, NumberFormat, Source};
use crate::columns::QUANTITY;

/// How far a price may lie from a whole number of minor units. Beyond it, the price has more
/// decimals than `money.scale`.
pub const MINOR_TOLERANCE: f64 = 1e-4;

/// A cell as a number of some type. Text is parsed by the source's number format.
fn number(column: &str, source: &Source) -> Expr {
    let NumberFormat { decimal, thousands, currency_signs } = &source.set.text.numbers;
    if source.set.format == Format::Parquet {
        return col(column);
    }
    if *decimal == '.' && thousands.is_none() && currency_signs.is_empty() {
        return col(column).cast(DataType::Float64);
    }
    let unsigned = currency_signs.iter().fold(col(column).cast(DataType::String), |text, sign| {
        text.str().replace_all(lit(sign.as_str()), lit(""), true)
    });
    let trimmed = unsigned.str().strip_chars(lit(" \u{a0}"));
    let ungrouped = match thousands {
        Some(mark) => without_thousands(trimmed, *mark, *decimal),
        None => trimmed,
    };
    if *decimal == '.' {
        return ungrouped.cast(DataType::Float64);
    }
    // Null if there is a point: it is no mark of this format, and 1.000 is ambiguous.
    let without_point = ungrouped.clone().str().contains_literal(lit(".")).not();
    let pointed = ungrouped.str().replace_all(lit(decimal.to_string()), lit("."), true);
    when(without_point).then(pointed).otherwise(lit(NULL)).cast(DataType::Float64)
}

/// Removes the marks between thousands. Null if they do not separate groups of three digits: with
/// points between thousands, 1.50 is no number, and without its mark it would be 150.
fn without_thousands(text: Expr, mark: char, decimal: char) -> Expr {
    let mark = mark.to_string();
    let has_mark = text.clone().str().contains_literal(lit(mark.as_str()));
    let (group, point) = (regex::escape(&mark), regex::escape(&decimal.to_string()));
    let pattern = lit(format!(r"^[+-]?\d{{1,3}}({group}\d{{3}})+({point}\d*)?$"));
    let is_valid = has_mark.not().or(text.clone().str().contains(pattern, true));
    when(is_valid).then(text.str().replace_all(lit(mark), lit(""), true)).otherwise(lit(NULL))
}

/// Rounds floats to i64 by a function; null if the result does not fit.
fn rounded(floats: &Float64Chunked, round: impl Fn(f64) -> f64) -> Column {
    const I64_LIMIT: f64 = 9.2e18;
    let fits = |x: f64| x.abs() < I64_LIMIT;
    let all_fit = |slice: &[f64]| slice.iter().all(|x| fits(round(*x)));
    let name = floats.name().clone();
    let whole = if floats.null_count() == 0 && floats.data_views().all(all_fit) {
        let values = floats.data_views().flatten();
        Int64Chunked::from_vec(name, values.map(|x| round(*x) as i64).collect())
    } else {
        let values = floats.iter().map(|x| x.map(&round).filter(|x| fits(*x)).map(|x| x as i64));
        values.collect::<Int64Chunked>().with_name(name)
    };
    whole.into_column()
}

/// A whole number of units. `missing` is the code of an empty cell, `None` if it is accepted.
pub(super) fn quantity(
    column: &str,
    source: &Source,
    missing: Option<u8>,
    faults: &mut FaultList,
) -> ParsedCell {
    let malformed = faults.in_cell(QUANTITY, "quantity not a whole number");
    let value = map_column(number(column, source), DataType::Int64, |numbers| {
        if fits_i64(numbers.dtype()) {
            numbers.cast(&DataType::Int64)
        } else {
            Ok(rounded(numbers.cast(&DataType::Float64)?.f64()?, |x| x))
        }
    });
    let fault = number_fault(column, source, (missing, malformed), move |x| {
        (x.round_ties_even() != x || x.abs() > MONEY_LIMIT).then_some(malformed)
    });
    ParsedCell { name: QUANTITY, source_column: column.to_owned(), value, fault }
}

/// Money in minor units: round(x · 10^scale), half to even.
pub(super) fn minor_units(
    name: &'static str,
    column: &str,
    source: &Source,
    factor: f64,
    faults: &mut FaultList,
) -> ParsedCell {
    let missing = faults.missing(name);
    let malformed = faults.in_cell(name, &format!("{name} not a number"));
    let out_of_range =
        faults.in_cell(name, &format!("{name} out of range or finer than money.scale"));
    let value = map_column(number(column, source), DataType::Int64, move |numbers| {
        let numbers = numbers.cast(&DataType::Float64)?;
        Ok(rounded(numbers.f64()?, |x| (x * factor).round_ties_even()))
    });
    let fault = number_fault(column, source, (Some(missing), malformed), move |x| {
        let scaled = x * factor;
        let too_fine = (scaled - scaled.round_ties_even()).abs() > MINOR_TOLERANCE;
        if scaled.is_nan() {
            Some(malformed)
        } else {
            (scaled.abs() > MONEY_LIMIT || too_fine).then_some(out_of_range)
        }
    });
    ParsedCell { name, source_column: column.to_owned(), value, fault }
}

/// The fault codes of numbers. A null is a missing cell, or malformed if its cell has text. `fault`
/// returns the code of a number.
fn number_fault(
    column: &str,
    source: &Source,
    (missing, malformed): (Option<u8>, u8),
    fault: impl Fn(f64) -> Option<u8> + Send + Sync + 'static,
) -> Expr {
    let is_text = is_text(source.set.dtype(column));
    let if_null = if is_text { Some(malformed) } else { missing };
    let codes = map_column(number(column, source), DataType::UInt8, move |numbers| {
        Ok(if fits_i64(numbers.dtype()) {
            let numbers = numbers.cast(&DataType::Int64)?;
            fault_codes(numbers.i64()?, |x| x.map_or(if_null, |x| fault(x as f64)))
        } else {
            let numbers = numbers.cast(&DataType::Float64)?;
            fault_codes(numbers.f64()?, |x| x.map_or(if_null, &fault))
        })
    });
    if is_text {
        let missing = missing.map_or(lit(NULL).cast(DataType::UInt8), lit);
        when(is_empty(col(column))).then(missing).otherwise(codes)
    } else {
        codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_floats_that_fit_64_bits() {
        for (values, expected) in [
            (vec![Some(1.25), Some(-0.005), Some(0.015)], vec![Some(125), Some(0), Some(2)]),
            (vec![Some(f64::NAN), Some(1e18), None, Some(2.0)], vec![None, None, None, Some(200)]),
        ] {
            let values: Float64Chunked = values.into_iter().collect();
            let column = rounded(&values, |x| (x * 100.0).round_ties_even());
            assert_eq!(column.i64().unwrap().iter().collect::<Vec<_>>(), expected);
        }
    }
}
