//! Cells as numbers: whole ones, and money in minor units.

use polars::prelude::*;

use super::conform::empty;
use super::parse::{Judge, Parsed, faulty, missing};
use super::verdicts::{coded, judged, made_of};
use super::{Format, Numbers, Source};

/// A line's money may not go beyond this many minor units: a thousand such lines still fit 64 bits.
pub const MONEY_LIMIT: f64 = 9e15;
/// How far a price may lie from a whole number of minor units: beyond it, the price is finer than the scale.
pub const MINOR_TOLERANCE: f64 = 1e-4;

/// A cell as a number of some type: text as it is written, without currency signs and the marks between thousands.
fn number(cell: &str, source: &Source) -> Expr {
    let Numbers { decimal, thousands, currency_signs } = &source.set.text.numbers;
    let plain = *decimal == '.' && thousands.is_none() && currency_signs.is_empty();
    if source.set.format == Format::Parquet {
        return col(cell);
    }
    if plain {
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
        mark => {
            // A point is then no mark at all, and 1.000 neither one nor a thousand.
            let pointless = joined.clone().str().contains_literal(lit(".")).not();
            when(pointless)
                .then(joined.str().replace_all(lit(mark.to_string()), lit("."), true))
                .otherwise(lit(NULL))
        }
    };
    pointed.cast(DataType::Float64)
}

/// Whether numbers are whole by their type, and none of them beyond 64 bits.
fn whole(dtype: &DataType) -> bool {
    dtype.is_integer() && ![DataType::UInt64, DataType::Int128, DataType::UInt128].contains(dtype)
}

/// Whole numbers of floats, by a function that rounds; null where they are beyond 64 bits.
fn rounded(floats: &Float64Chunked, round: impl Fn(f64) -> f64) -> Column {
    const BEYOND: f64 = 9.2e18;
    let near = |x: f64| x.abs() < BEYOND;
    let all_near = |slice: &[f64]| slice.iter().all(|x| near(round(*x)));
    let name = floats.name().clone();
    let whole = match floats.null_count() == 0 && floats.data_views().all(all_near) {
        true => Int64Chunked::from_vec(
            name,
            floats.data_views().flatten().map(|x| round(*x) as i64).collect(),
        ),
        false => {
            let one = |x: Option<f64>| x.map(&round).filter(|x| near(*x)).map(|x| x as i64);
            floats.iter().map(one).collect::<Int64Chunked>().with_name(name)
        }
    };
    whole.into_column()
}

/// A whole number of units.
pub(super) fn whole_number(name: &'static str, cell: &str, source: &Source) -> Parsed {
    let wrong = |x: f64| (x.round_ties_even() != x || x.abs() > MONEY_LIMIT).then_some(1);
    Parsed {
        cell: cell.to_owned(),
        value: made_of(vec![number(cell, source)], DataType::Int64, |numbers| {
            match whole(numbers[0].dtype()) {
                true => numbers[0].cast(&DataType::Int64),
                false => Ok(rounded(numbers[0].cast(&DataType::Float64)?.f64()?, |x| x)),
            }
        }),
        faults: vec![missing(name), faulty(name, &format!("{name} not a whole number"))],
        judge: judge(number(cell, source), cell, source, wrong),
    }
}

/// Money as a whole number of minor units: round(x · 10^scale).
pub(super) fn minor_units(name: &'static str, cell: &str, source: &Source, factor: f64) -> Parsed {
    let wrong = move |x: f64| {
        let scaled = x * factor;
        let finer = (scaled - scaled.round_ties_even()).abs() > MINOR_TOLERANCE;
        match scaled.is_nan() {
            true => Some(1),
            false => (scaled.abs() > MONEY_LIMIT || finer).then_some(2),
        }
    };
    Parsed {
        cell: cell.to_owned(),
        value: made_of(vec![number(cell, source)], DataType::Int64, move |numbers| {
            Ok(rounded(numbers[0].cast(&DataType::Float64)?.f64()?, |x| {
                (x * factor).round_ties_even()
            }))
        }),
        faults: vec![
            missing(name),
            faulty(name, &format!("{name} not a number")),
            faulty(name, &format!("{name} out of range or finer than money.scale")),
        ],
        judge: judge(number(cell, source), cell, source, wrong),
    }
}

/// Judges a number: one that is not there is missing, or no number where its cell holds text.
fn judge(
    number: Expr,
    cell: &str,
    source: &Source,
    wrong: impl Fn(f64) -> Option<usize> + Clone + Send + Sync + 'static,
) -> Judge {
    let (cell, is_text) =
        (cell.to_owned(), matches!(source.set.dtype(cell), Some(DataType::String) | None));
    Box::new(move |codes| {
        let absent = usize::from(is_text);
        let (wrong, of_codes) = (wrong.clone(), codes.to_vec());
        let judged = judged(number.clone(), move |numbers| match whole(numbers.dtype()) {
            true => {
                let numbers = numbers.cast(&DataType::Int64)?;
                Ok(coded(numbers.i64()?, &of_codes, |x| {
                    x.map_or(Some(absent), |x| wrong(x as f64))
                }))
            }
            false => {
                let numbers = numbers.cast(&DataType::Float64)?;
                Ok(coded(numbers.f64()?, &of_codes, |x| x.map_or(Some(absent), &wrong)))
            }
        });
        match is_text {
            true => when(empty(col(&cell))).then(lit(codes[0])).otherwise(judged),
            false => judged,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_rounded_or_beyond_64_bits() {
        let of = |values: &[Option<f64>]| -> Vec<Option<i64>> {
            let values: Float64Chunked = values.iter().copied().collect();
            rounded(&values, |x| (x * 100.0).round_ties_even()).i64().unwrap().iter().collect()
        };
        assert_eq!(of(&[Some(1.25), Some(-0.005), Some(0.015)]), [Some(125), Some(0), Some(2)]);
        assert_eq!(
            of(&[Some(f64::NAN), Some(1e18), None, Some(2.0)]),
            [None, None, None, Some(200)]
        );
    }
}
