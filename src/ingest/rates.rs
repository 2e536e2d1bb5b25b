//! What foreign money is worth by day, from a CSV of `date`, `currency`, `rate`; and money turned into the pipeline's own.
//!
//! A rate says what one unit of the currency is worth in the pipeline's currency, from its date on until the next one. It is
//! held as a whole number of 10^-10, so that conversion is exact up to one rounding a line, half away from zero.

use std::fs::File;
use std::path::Path;

use chrono::{Datelike, NaiveDate};
use polars::prelude::*;

use super::SourceFile;
use super::numbers::MONEY_LIMIT;
use crate::columns::{CURRENCY, DAY, MONEY, RATE, REASON};

/// The fault of a line whose currency has no rate yet on its day, or none at all.
pub const NO_RATE: &str = "no rate for the currency on that day";
/// The fault of money that is beyond what is counted once it is converted.
pub const BEYOND: &str = "money out of range in the pipeline's currency";
/// Parts of one in which rates are held.
const ONE: i64 = 10_000_000_000;
/// Decimal places of [`ONE`].
const PLACES: usize = 10;
/// The columns of the CSV.
const HEADER: [&str; 3] = ["date", "currency", "rate"];
/// The day whose rate a line is converted at.
const RATE_DAY: &str = "rate_day";

/// A checked table of rates.
#[derive(Debug, Clone)]
pub struct Rates {
    /// The file, for the record of what went in.
    pub file: SourceFile,
    own: String,
    /// currency, day, rate: one row for each day from a currency's first rate to the last day of the table.
    daily: DataFrame,
    /// The last rates hold on.
    last: NaiveDate,
}

impl Rates {
    /// Reads a table of rates into the currency `own`.
    ///
    /// # Errors
    /// What is wrong with the file, with its row.
    pub fn read(path: &Path, name: &str, own: &str) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let mut reader = csv::Reader::from_reader(file);
        let header = reader.headers().map_err(|error| error.to_string())?.clone();
        let at = HEADER.map(|column| {
            header.iter().position(|name| name.trim_start_matches('\u{feff}') == column)
        });
        let [Some(date), Some(currency), Some(rate)] = at else {
            return Err(format!("expected the columns {}", HEADER.join(", ")));
        };
        let mut given: Vec<(String, NaiveDate, i64)> = Vec::new();
        for (idx, record) in reader.records().enumerate() {
            let row = idx + 1;
            let record = record.map_err(|error| format!("row {row}: {error}"))?;
            let cell = |at: usize| record.get(at).unwrap_or_default().trim();
            let day = NaiveDate::parse_from_str(cell(date), "%Y-%m-%d").ok();
            let day = day.filter(|day| (1900..2200).contains(&day.year()));
            let day =
                day.ok_or(format!("row {row}: `{}` is not a date such as 2011-12-10", cell(date)))?;
            let units = parse_rate(cell(rate));
            let units = units.ok_or(format!(
                "row {row}: `{}` is not a rate above 0 of {PLACES} decimals",
                cell(rate)
            ))?;
            match cell(currency) {
                "" => return Err(format!("row {row}: the currency is missing")),
                code if code == own => {
                    return Err(format!("row {row}: {own} is the pipeline's own currency"));
                }
                code => given.push((code.to_owned(), day, units)),
            }
        }
        given.sort();
        if let Some(twice) =
            given.windows(2).find(|pair| (&pair[0].0, pair[0].1) == (&pair[1].0, pair[1].1))
        {
            return Err(format!("{} has two rates from {} on", twice[0].0, twice[0].1));
        }
        let last = given.iter().map(|(_, day, _)| *day).max().ok_or("the table has no rates")?;
        let (mut currencies, mut days, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for (idx, (currency, from, rate)) in given.iter().enumerate() {
            let next = given.get(idx + 1).filter(|next| next.0 == *currency).map(|next| next.1);
            let until = next.or(last.succ_opt()).unwrap_or(last);
            for day in from.iter_days().take_while(|day| *day < until) {
                currencies.push(currency.as_str());
                days.push(day);
                rates.push(*rate);
            }
        }
        let daily = df![CURRENCY => currencies, RATE_DAY => days, RATE => rates]
            .map_err(|error| error.to_string())?;
        let file = SourceFile {
            path: path.to_owned(),
            name: name.to_owned(),
            columns: Vec::new(),
            rows: None,
            fetched: None,
        };
        Ok(Self { file, own: own.to_owned(), daily, last })
    }

    /// Turns `money` into the pipeline's currency; lines without a rate are marked.
    pub(super) fn convert(&self, lines: LazyFrame, code: impl Fn(&str) -> u8) -> LazyFrame {
        let literal = |date: NaiveDate| lit(date).cast(DataType::Date);
        let day =
            when(col(DAY).gt(literal(self.last))).then(literal(self.last)).otherwise(col(DAY));
        let own = col(CURRENCY).is_null().or(col(CURRENCY).eq(lit(self.own.as_str())));
        let rate = when(own).then(lit(ONE)).otherwise(col(RATE));
        let wide = |value: Expr| value.cast(DataType::Int128);
        let product = wide(col(MONEY)) * wide(col(RATE));
        let size = when(product.clone().lt(lit(0)))
            .then(wide(lit(0)) - product.clone())
            .otherwise(product.clone());
        let rounded = (size * wide(lit(2)) + wide(lit(ONE))).floor_div(wide(lit(2 * ONE)));
        let signed = when(product.lt(lit(0)))
            .then(wide(lit(0)) - rounded.clone())
            .otherwise(rounded.clone());
        let unmarked = col(REASON).is_null();
        let reason = when(unmarked.clone().and(col(RATE).is_null()))
            .then(lit(code(NO_RATE)))
            .when(unmarked.and(rounded.gt(wide(lit(MONEY_LIMIT as i64)))))
            .then(lit(code(BEYOND)))
            .otherwise(col(REASON));
        let keys = [col(CURRENCY), col(RATE_DAY)];
        lines
            .with_column(day.alias(RATE_DAY))
            .join(self.daily.clone().lazy(), keys.clone(), keys, JoinArgs::new(JoinType::Left))
            .with_column(rate.alias(RATE))
            .with_column(reason.alias(REASON))
            .with_column(
                when(col(REASON).is_null())
                    .then(signed.cast(DataType::Int64))
                    .otherwise(lit(0i64))
                    .alias(MONEY),
            )
    }
}

/// A rate in parts of [`ONE`]; `None` for what is no plain decimal number above zero, or too fine or large for it.
fn parse_rate(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > PLACES {
        return None;
    }
    let rate = format!("{whole}{fraction:0<PLACES$}").parse().ok();
    rate.filter(|rate| (1..=ONE * 1_000_000).contains(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_exact() {
        let cases = [
            ("1", Some(ONE)),
            ("0.85", Some(8_500_000_000)),
            ("1.", Some(ONE)),
            ("0.0000000001", Some(1)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_rate(text), expected, "{text}");
        }
        for text in ["0", "-1", "", ".5", "1e3", "0.00000000001", "NaN", "10000000"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }
}
