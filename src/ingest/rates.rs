//! Exchange rates by day, from a CSV of `date`, `currency`, `rate`, and the conversion of money.
//!
//! A rate is the price of one unit of the currency in the pipeline's currency, valid from its date
//! to the day before the next one. It is a whole number of 10^-10, so a conversion is exact up to
//! one rounding a line, half away from zero.

use std::path::Path;

use chrono::{Datelike, NaiveDate};
use csv::StringRecord;
use polars::prelude::*;

use super::fault::{MONEY_LIMIT, MONEY_OUT_OF_RANGE, NO_RATE};
use super::parse::YEARS;
use super::{LinePlan, SourceFile};
use crate::columns::{CURRENCY, DAY, MONEY, RATE, REASON};

/// A rate of 1.
const ONE: i64 = 10_000_000_000;
/// Decimal places of [`ONE`].
const DECIMALS: usize = 10;
const HEADER: [&str; 3] = ["date", "currency", "rate"];
/// The day whose rate converts a line.
const RATE_DAY: &str = "rate_day";
const RATE_CURRENCY: &str = "rate_currency";

#[derive(Debug, Clone)]
pub struct Rates {
    /// The file, for the manifest's inputs.
    pub file: SourceFile,
    own: String,
    /// `rate_currency`, `rate_day`, `rate`: one row for each day from a currency's first rate to
    /// the last day of the table.
    daily: DataFrame,
    /// Last day of the table. Its rates stay valid after it.
    last: NaiveDate,
}

type DatedRate = (String, NaiveDate, i64);

impl Rates {
    /// Reads a table of rates into the currency `own`. Errors have the row number.
    pub fn read(path: &Path, name: &str, own: &str) -> Result<Self, String> {
        let mut rates = read_rates(path, own)?;
        rates.sort();
        let duplicate = rates.array_windows().find(|[a, b]| (&a.0, a.1) == (&b.0, b.1));
        if let Some([(currency, day, _), _]) = duplicate {
            return Err(format!("{currency} has two rates from {day} on"));
        }
        let last = rates.iter().map(|(_, day, _)| *day).max().ok_or("the table has no rates")?;
        let daily = daily(&rates, last).map_err(|error| error.to_string())?;
        let file = SourceFile::new(path.to_owned(), name.to_owned());
        Ok(Self { file, own: own.to_owned(), daily, last })
    }

    /// Converts `money` to the pipeline's currency and marks lines without a rate. `code` returns
    /// the code of a fault.
    pub(super) fn convert(&self, lines: LinePlan, code: impl Fn(&str) -> u8) -> LinePlan {
        let last = || lit(self.last).cast(DataType::Date);
        let day = when(col(DAY).gt(last())).then(last()).otherwise(col(DAY));
        let is_own = col(CURRENCY).is_null().or(col(RATE_CURRENCY).eq(lit(self.own.as_str())));
        let rate = when(is_own).then(lit(ONE)).otherwise(col(RATE));
        let wide = |value: Expr| value.cast(DataType::Int128);
        let product = wide(col(MONEY)) * wide(col(RATE));
        let doubled = product.clone().abs() * wide(lit(2));
        let rounded = (doubled + wide(lit(ONE))).floor_div(wide(lit(2 * ONE)));
        let is_negative = product.lt(lit(0));
        let whole = rounded.clone().cast(DataType::Int64);
        let money = when(is_negative).then(-whole.clone()).otherwise(whole);
        let is_good = col(REASON).is_null();
        let reason = when(is_good.clone().and(col(RATE).is_null()))
            .then(lit(code(NO_RATE)))
            .when(is_good.clone().and(rounded.gt(wide(lit(MONEY_LIMIT as i64)))))
            .then(lit(code(MONEY_OUT_OF_RANGE)))
            .otherwise(col(REASON));
        // The money of other rows is in an unknown currency.
        let money = when(reason.clone().is_null()).then(money).otherwise(lit(NULL));
        let keys = [col(RATE_CURRENCY), col(RATE_DAY)];
        lines
            .with_column(day.alias(RATE_DAY))
            .with_column(col(CURRENCY).str().to_uppercase().alias(RATE_CURRENCY))
            .left_join(self.daily.clone(), keys.to_vec())
            .with_column(rate.alias(RATE))
            .with_column(reason.alias(REASON))
            .with_column(money.alias(MONEY))
    }
}

fn read_rates(path: &Path, own: &str) -> Result<Vec<DatedRate>, String> {
    let mut reader = csv::Reader::from_path(path).map_err(|error| error.to_string())?;
    let header = reader.headers().map_err(|error| error.to_string())?;
    let columns = HEADER
        .map(|column| header.iter().position(|name| name.trim_start_matches('\u{feff}') == column));
    let [Some(date), Some(currency), Some(rate)] = columns else {
        return Err(format!("expected the columns {}", HEADER.join(", ")));
    };
    let parse = |(idx, record): (usize, csv::Result<StringRecord>)| {
        let at_row = |reason: String| format!("row {}: {reason}", idx + 1);
        let record = record.map_err(|error| at_row(error.to_string()))?;
        parse_record([date, currency, rate].map(|column| record[column].trim()), own)
            .map_err(at_row)
    };
    reader.records().enumerate().map(parse).collect()
}

fn parse_record([date, currency, rate]: [&str; 3], own: &str) -> Result<DatedRate, String> {
    let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok();
    let day = day
        .filter(|day| YEARS.contains(&day.year()))
        .ok_or_else(|| format!("`{date}` is not a date such as 2011-12-10"))?;
    let rate = parse_rate(rate)
        .ok_or_else(|| format!("`{rate}` is not a rate above 0 of {DECIMALS} decimals"))?;
    match currency.to_uppercase().as_str() {
        "" => Err("the currency is missing".to_owned()),
        code if code == own => Err(format!("{own} is the pipeline's own currency")),
        code => Ok((code.to_owned(), day, rate)),
    }
}

/// A rate in units of 1/[`ONE`]. `None` if it is not a plain decimal number from 10^-10 to 10^6.
fn parse_rate(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > DECIMALS
    {
        return None;
    }
    let rate = format!("{whole}{fraction:0<DECIMALS$}").parse().ok();
    rate.filter(|rate| (1..=ONE * 1_000_000).contains(rate))
}

/// Repeats each of the sorted rates for the days on which it is valid.
fn daily(rates: &[DatedRate], last: NaiveDate) -> PolarsResult<DataFrame> {
    let (mut currencies, mut days, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (idx, (currency, from, rate)) in rates.iter().enumerate() {
        let next = rates.get(idx + 1).filter(|next| next.0 == *currency).map(|next| next.1);
        for day in from.iter_days().take_while(|day| next.map_or(*day <= last, |next| *day < next))
        {
            currencies.push(currency.as_str());
            days.push(day);
            values.push(*rate);
        }
    }
    df![RATE_CURRENCY => currencies, RATE_DAY => days, RATE => values]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_rates_exactly() {
        for (text, expected) in
            [("1", ONE), ("0.85", 8_500_000_000), ("1.", ONE), ("0.0000000001", 1)]
        {
            assert_eq!(parse_rate(text), Some(expected), "{text}");
        }
        for text in ["0", "-1", "", ".5", "1e3", "0.00000000001", "NaN", "10000000"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }
}
