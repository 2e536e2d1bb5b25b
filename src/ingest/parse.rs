//! What a cell says, and what may be wrong with it; one function a kind of column. Every expression looks at one cell alone, so that
//! equal cells need to be looked at once.

use chrono::{NaiveDate, NaiveTime};
use polars::prelude::*;

use super::conform::{AMBIGUOUS, Conformer, DATETIME, FOREIGN, blank};
use super::numbers::{MONEY_LIMIT, minor_units, whole_number};
use super::verdicts::{coded, first_of, judged, made_of};
use super::{Fault, Format, Source, Worth, workbook};
use crate::columns::{AMOUNT, CURRENCY, ORDERED_AT, QUANTITY, UNIT_PRICE};

/// Years that an order may be of; beyond them lie years of two digits and stand-ins for "never".
pub const YEARS: std::ops::RangeInclusive<i32> = 1900..=2199;

/// A column's expression and the reasons for which it may fail; both look at one cell alone.
pub(super) struct Parsed {
    /// Source column of the cell.
    pub(super) cell: String,
    pub(super) value: Expr,
    /// What may be wrong with it.
    pub(super) faults: Vec<Fault>,
    pub(super) judge: Judge,
}

/// From the codes of the faults an expression for the code of the first that applies, null where none does.
pub(super) type Judge = Box<dyn Fn(&[u8]) -> Expr>;

impl Conformer<'_> {
    /// The columns of a source that may fail to parse, in the order in which their faults are told.
    pub(super) fn parsed(&self, source: &Source) -> Vec<(&'static str, Parsed)> {
        let mut parsed = self.measures(source);
        parsed.push(self.moment(source));
        parsed.extend(
            source
                .columns
                .currency
                .as_ref()
                .map(|column| (CURRENCY, self.currency(column, source))),
        );
        parsed
    }

    /// The currency of a line's money. Without rates, money of another currency than the pipeline's cannot be counted.
    fn currency(&self, column: &str, source: &Source) -> Parsed {
        let cell = column.to_owned();
        let value = col(column).cast(DataType::String).str().strip_chars(lit(NULL));
        let mut faults = vec![missing(CURRENCY)];
        let mut found = vec![blank(column, source.set.dtype(column))];
        if let (None, Some(own)) = (&self.params.rates, &self.params.money.currency) {
            faults.push(faulty(CURRENCY, FOREIGN));
            found.push(value.clone().neq(lit(own.as_str())).fill_null(lit(false)));
        }
        Parsed { cell, value, faults, judge: first_that_holds(found) }
    }

    /// Quantity, price and amount, as far as they are mapped.
    fn measures(&self, source: &Source) -> Vec<(&'static str, Parsed)> {
        let factor = self.params.money.factor();
        match &source.columns.worth {
            Worth::Priced { quantity, unit_price } => {
                let units = whole_number(QUANTITY, quantity, source);
                let price = minor_units(UNIT_PRICE, unit_price, source, factor);
                vec![(QUANTITY, units), (UNIT_PRICE, price)]
            }
            Worth::Amount { amount, quantity } => {
                let amount = (AMOUNT, minor_units(AMOUNT, amount, source, factor));
                // Beside an amount the units are a remark: a line without them is as good, one with nonsense is not.
                let units = |name: &String| {
                    let mut parsed = whole_number(QUANTITY, name, source);
                    let missing = blank(name, source.set.dtype(name));
                    let judge = parsed.judge;
                    parsed.faults.remove(0);
                    parsed.judge = Box::new(move |codes| {
                        let all = [&[u8::MAX], codes].concat();
                        when(missing.clone())
                            .then(lit(NULL).cast(DataType::UInt8))
                            .otherwise(judge(&all))
                    });
                    (QUANTITY, parsed)
                };
                quantity.iter().map(units).chain([amount]).collect()
            }
        }
    }

    /// Local time of the line.
    fn moment(&self, from: &Source) -> (&'static str, Parsed) {
        let name = &from.columns.ordered_at;
        let source = col(name);
        // All files of a source have the same kind of moment: the pipeline's compile step saw to that.
        let dtype = from.set.dtype(name);
        let (value, judge) = match (from.set.format, dtype) {
            (Format::Csv | Format::Xlsx, _) => {
                let of_workbook =
                    (from.set.format == Format::Xlsx).then_some(workbook::MOMENT_FORMAT);
                let formats = of_workbook
                    .into_iter()
                    .chain(from.set.text.datetime_formats.iter().map(String::as_str));
                let parsed = formats.map(|format| {
                    let options = StrptimeOptions {
                        format: Some(format.into()),
                        strict: false,
                        exact: true,
                        cache: true,
                    };
                    col(name).str().to_datetime(
                        Some(TimeUnit::Microseconds),
                        None,
                        options,
                        lit("raise"),
                    )
                });
                let parsed: Vec<Expr> = parsed.collect();
                let first = parsed
                    .iter()
                    .cloned()
                    .reduce(|first, next| first.fill_null(next))
                    .unwrap_or(lit(NULL));
                let differs = |next: &Expr| next.clone().neq(first.clone()).fill_null(lit(false));
                let ambiguous = parsed.iter().skip(1).map(differs).reduce(|any, one| any.or(one));
                let before = vec![
                    blank(name, dtype),
                    first.clone().is_null(),
                    ambiguous.unwrap_or(lit(false)),
                ];
                (first.clone(), within_years(first, before))
            }
            (Format::Parquet, Some(DataType::Datetime(_, Some(_)))) => {
                let local = source.dt().convert_time_zone(zone(self.params.timezone));
                let naive = local
                    .dt()
                    .replace_time_zone(None, lit("raise"), NonExistent::Raise)
                    .cast(DATETIME);
                (naive.clone(), within_years(naive, Vec::new()))
            }
            (Format::Parquet, _) => {
                (source.clone().cast(DATETIME), within_years(source.cast(DATETIME), Vec::new()))
            }
        };
        let (first, last) = (YEARS.start(), YEARS.end());
        let faults = vec![
            missing(ORDERED_AT),
            faulty(ORDERED_AT, "ordered_at not in any declared format"),
            faulty(ORDERED_AT, AMBIGUOUS),
            faulty(ORDERED_AT, &format!("ordered_at before {first} or after {last}")),
        ];
        (ORDERED_AT, Parsed { cell: name.clone(), value, faults, judge })
    }
}

/// Judges moments: after what may be wrong before, that they are missing or beyond the years that can be meant.
fn within_years(moment: Expr, before: Vec<Expr>) -> Judge {
    let start =
        |year: i32| NaiveDate::from_yo_opt(year, 1).unwrap_or_default().and_time(NaiveTime::MIN);
    let years =
        [*YEARS.start(), YEARS.end() + 1].map(|year| start(year).and_utc().timestamp_micros());
    Box::new(move |codes| {
        let of_codes = codes.to_vec();
        let judged = judged(moment.clone(), move |moments| {
            let wrong = |at: i64| (!(years[0]..years[1]).contains(&at)).then_some(3);
            Ok(coded(moments.to_physical_repr().i64()?, &of_codes, |at| at.map_or(Some(0), wrong)))
        });
        let before = before.iter().cloned().zip(codes).rev();
        before.fold(judged, |otherwise, (found, code)| {
            when(found).then(lit(*code)).otherwise(otherwise)
        })
    })
}

/// Judges by predicates.
fn first_that_holds(found: Vec<Expr>) -> Judge {
    Box::new(move |codes| first_of(codes.iter().copied().zip(found.iter().cloned()).collect()))
}

/// The code of lines that are worth more than can be counted.
pub(super) fn beyond([quantity, price]: [Expr; 2], code: u8) -> Expr {
    let far = |quantity: i64, price: i64| (quantity as f64 * price as f64).abs() > MONEY_LIMIT;
    made_of(vec![quantity, price], DataType::UInt8, move |columns| {
        let (quantities, prices) = (columns[0].i64()?, columns[1].i64()?);
        let name = quantities.name().clone();
        if let (Ok(quantities), Ok(prices)) = (quantities.cont_slice(), prices.cont_slice())
            && !quantities.iter().zip(prices).any(|(quantity, price)| far(*quantity, *price))
        {
            return Ok(Column::full_null(name, quantities.len(), &DataType::UInt8));
        }
        let both = quantities.iter().zip(prices.iter());
        let codes = both.map(|both| {
            matches!(both, (Some(quantity), Some(price)) if far(quantity, price)).then_some(code)
        });
        Ok(codes.collect::<UInt8Chunked>().with_name(name).into_column())
    })
}

/// The local day of moments.
pub(super) fn day(moment: Expr) -> Expr {
    const MICROS: i64 = 24 * 60 * 60 * 1_000_000;
    made_of(vec![moment], DataType::Date, |moments| {
        let moments = moments[0].to_physical_repr();
        let moments = moments.i64()?;
        // Lines of one day stand together, and to see that a moment is of the same day as the one before costs less than to divide it.
        let (mut start, mut day) = (0i64, 0i32);
        let mut of = |at: i64| {
            if !(0..MICROS).contains(&at.wrapping_sub(start)) {
                day = at.div_euclid(MICROS) as i32;
                start = i64::from(day) * MICROS;
            }
            day
        };
        let name = moments.name().clone();
        let days = match moments.null_count() {
            0 => Int32Chunked::from_vec(
                name,
                moments.data_views().flatten().map(|at| of(*at)).collect(),
            ),
            _ => moments.iter().map(|at| at.map(&mut of)).collect::<Int32Chunked>().with_name(name),
        };
        Ok(days.into_date().into_column())
    })
}

fn zone(timezone: chrono_tz::Tz) -> TimeZone {
    TimeZone::from_chrono(&timezone)
}

/// A fault of a cell.
pub(super) fn faulty(cell: &'static str, reason: &str) -> Fault {
    Fault { reason: reason.to_owned(), cell: Some(cell) }
}

/// A cell without anything in it.
pub(super) fn missing(name: &str) -> Fault {
    Fault { reason: format!("{name} missing"), cell: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_told_before_and_after_1970() {
        const HOUR: i64 = 3_600_000_000;
        // 1970-01-01 23:00, the same day 00:00, 1969-12-31 23:00, 1969-12-31 00:00, 1900-01-01, nothing, 1970-01-02.
        let moments = [Some(23), Some(0), Some(-1), Some(-24), Some(-25_567 * 24), None, Some(24)];
        let of = |moments: &[Option<i64>]| -> Vec<Option<i32>> {
            let moments: Int64Chunked =
                moments.iter().map(|hours| hours.map(|hours| hours * HOUR)).collect();
            let moments = moments
                .with_name("at".into())
                .into_datetime(TimeUnit::Microseconds, None)
                .into_column();
            let frame = DataFrame::new(moments.len(), vec![moments]).unwrap();
            let days = frame.lazy().select([day(col("at"))]).collect().unwrap();
            days.column("at").unwrap().date().unwrap().physical().iter().collect()
        };
        let expected = [Some(0), Some(0), Some(-1), Some(-1), Some(-25_567), None, Some(1)];
        assert_eq!(of(&moments), expected);
        assert_eq!(of(&moments[..5]), expected[..5]);
    }
}
