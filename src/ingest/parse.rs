//! Parses cells: the value of each of the pipeline's columns, and the faults that it may have.

use std::ops::RangeInclusive;

use chrono::{NaiveDate, NaiveTime};
use polars::prelude::*;

use super::cell::{DATETIME, ParsedCell, is_empty_cell};
use super::fault::{
    AMBIGUOUS_TIMESTAMP, AMOUNT_OUT_OF_RANGE, FOREIGN_CURRENCY, FaultList, MONEY_LIMIT,
};
use super::outcomes::{fault_codes, first_match, map_column, map_columns};
use super::{Format, IngestParams, LineAmount, Source, numbers, workbook};
use crate::columns::{AMOUNT, CURRENCY, ORDERED_AT, QUANTITY, UNIT_PRICE};

/// Years that an order can be from. Others are two-digit years and placeholders for "never".
pub const YEARS: RangeInclusive<i32> = 1900..=2199;
const FIRST_DAY: NaiveDate = NaiveDate::from_yo_opt(*YEARS.start(), 1).expect("a valid date");
const END_DAY: NaiveDate = NaiveDate::from_yo_opt(*YEARS.end() + 1, 1).expect("a valid date");

/// The columns of a source that can fail to parse, in the order in which their faults apply. The
/// faults are added to the list.
pub(super) fn parsed_cells(
    params: &IngestParams,
    source: &Source,
    faults: &mut FaultList,
) -> Vec<ParsedCell> {
    let factor = params.money.factor();
    let mut parsed = Vec::new();
    match &source.columns.line_amount {
        LineAmount::Priced { quantity, unit_price } => {
            let missing = faults.missing(QUANTITY);
            parsed.push(numbers::quantity(quantity, source, Some(missing), faults));
            parsed.push(numbers::minor_units(UNIT_PRICE, unit_price, source, factor, faults));
            faults.in_row(AMOUNT_OUT_OF_RANGE);
        }
        LineAmount::Amount { amount, quantity } => {
            if let Some(column) = quantity {
                parsed.push(numbers::quantity(column, source, None, faults));
            }
            parsed.push(numbers::minor_units(AMOUNT, amount, source, factor, faults));
        }
    }
    parsed.push(ordered_at(params, source, faults));
    if let Some(column) = &source.columns.currency {
        parsed.push(currency(params, source, column, faults));
    }
    parsed
}

/// Currency of a line's money. Without rates, any other currency than the pipeline's is a fault.
fn currency(
    params: &IngestParams,
    source: &Source,
    column: &str,
    faults: &mut FaultList,
) -> ParsedCell {
    let value = col(column).cast(DataType::String).str().strip_chars(lit(NULL));
    let is_missing = is_empty_cell(column, source.set.dtype(column));
    let mut predicates = vec![(faults.missing(CURRENCY), is_missing)];
    if let (None, Some(own)) = (&params.rates, &params.money.currency) {
        let is_foreign = value.clone().neq(lit(own.as_str())).fill_null(lit(false));
        predicates.push((faults.in_cell(CURRENCY, FOREIGN_CURRENCY), is_foreign));
    }
    let fault = first_match(predicates);
    ParsedCell { name: CURRENCY, source_column: column.to_owned(), value, fault }
}

/// Local time of the line.
fn ordered_at(params: &IngestParams, source: &Source, faults: &mut FaultList) -> ParsedCell {
    let column = &source.columns.ordered_at;
    // All files of a source have one type here: the configuration is checked for it.
    let dtype = source.set.dtype(column);
    let (value, text_faults) = match (source.set.format, dtype) {
        (Format::Csv | Format::Xlsx, _) => timestamp_of_text(source, column),
        (Format::Parquet, Some(DataType::Datetime(_, Some(_)))) => {
            let zone = TimeZone::from_chrono(&params.timezone);
            let local = col(column).dt().convert_time_zone(zone).dt();
            let local = local.replace_time_zone(None, lit("raise"), NonExistent::Raise);
            (local.cast(DATETIME), Vec::new())
        }
        (Format::Parquet, _) => (col(column).cast(DATETIME), Vec::new()),
    };
    let years = format!("ordered_at before {} or after {}", YEARS.start(), YEARS.end());
    let codes = [
        faults.missing(ORDERED_AT),
        faults.in_cell(ORDERED_AT, "ordered_at not in any declared format"),
        faults.in_cell(ORDERED_AT, AMBIGUOUS_TIMESTAMP),
        faults.in_cell(ORDERED_AT, &years),
    ];
    let fault = timestamp_fault(value.clone(), text_faults, codes);
    ParsedCell { name: ORDERED_AT, source_column: column.clone(), value, fault }
}

/// A timestamp by the first declared format that matches, and the predicates of its faults: the
/// cell is empty, no format matches, two formats differ.
fn timestamp_of_text(source: &Source, column: &str) -> (Expr, Vec<Expr>) {
    let parse = |format: &str| {
        let format = Some(format.into());
        let options = StrptimeOptions { format, strict: false, exact: true, cache: true };
        let unit = Some(TimeUnit::Microseconds);
        col(column).str().to_datetime(unit, None, options, lit("raise"))
    };
    let of_workbook = (source.set.format == Format::Xlsx).then_some(workbook::TIMESTAMP_FORMAT);
    let declared = source.set.text.datetime_formats.iter().map(String::as_str);
    let parsed: Vec<Expr> = of_workbook.into_iter().chain(declared).map(parse).collect();
    let first = parsed.iter().cloned().reduce(Expr::fill_null).unwrap_or(lit(NULL));
    let differs = |next: &Expr| next.clone().neq(first.clone()).fill_null(lit(false));
    let ambiguous = parsed.iter().skip(1).map(differs).reduce(Expr::or).unwrap_or(lit(false));
    let is_empty = is_empty_cell(column, source.set.dtype(column));
    (first.clone(), vec![is_empty, first.is_null(), ambiguous])
}

/// The fault codes of timestamps: those of their text, then of nulls and the range [`YEARS`].
fn timestamp_fault(timestamp: Expr, text_faults: Vec<Expr>, codes: [u8; 4]) -> Expr {
    let micros = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
    let valid = micros(FIRST_DAY)..micros(END_DAY);
    let [missing, .., out_of_range] = codes;
    let in_range = map_column(timestamp, DataType::UInt8, move |timestamps| {
        let timestamps = timestamps.to_physical_repr();
        Ok(fault_codes(timestamps.i64()?, |timestamp| match timestamp {
            None => Some(missing),
            Some(micros) => (!valid.contains(&micros)).then_some(out_of_range),
        }))
    });
    let text_faults = text_faults.into_iter().zip(codes).rev();
    text_faults.fold(in_range, |otherwise, (predicate, code)| {
        when(predicate).then(lit(code)).otherwise(otherwise)
    })
}

/// The code of lines whose money exceeds [`MONEY_LIMIT`], null for the others.
pub(super) fn amount_out_of_range([quantity, price]: [Expr; 2], code: u8) -> Expr {
    let exceeds = |quantity: i64, price: i64| (quantity as f64 * price as f64).abs() > MONEY_LIMIT;
    map_columns(vec![quantity, price], DataType::UInt8, move |columns| {
        let (quantities, prices) = (columns[0].i64()?, columns[1].i64()?);
        let name = quantities.name().clone();
        if let (Ok(quantities), Ok(prices)) = (quantities.cont_slice(), prices.cont_slice())
            && !quantities.iter().zip(prices).any(|(quantity, price)| exceeds(*quantity, *price))
        {
            return Ok(Column::full_null(name, quantities.len(), &DataType::UInt8));
        }
        let lines = quantities.iter().zip(prices.iter());
        let codes = lines.map(|(quantity, price)| exceeds(quantity?, price?).then_some(code));
        Ok(codes.collect::<UInt8Chunked>().with_name(name).into_column())
    })
}

/// The local day of a timestamp.
pub(super) fn local_day(timestamp: Expr) -> Expr {
    const MICROS: i64 = 24 * 60 * 60 * 1_000_000;
    map_column(timestamp, DataType::Date, |timestamps| {
        let timestamps = timestamps.to_physical_repr();
        let timestamps = timestamps.i64()?;
        // Lines of one day follow each other. A comparison with the previous day costs less than a
        // division.
        let (mut start, mut day) = (0i64, 0i32);
        let mut day_of = |micros: i64| {
            if !(0..MICROS).contains(&micros.wrapping_sub(start)) {
                day = micros.div_euclid(MICROS) as i32;
                start = i64::from(day) * MICROS;
            }
            day
        };
        let name = timestamps.name().clone();
        let days = if timestamps.null_count() == 0 {
            let values = timestamps.data_views().flatten();
            Int32Chunked::from_vec(name, values.map(|micros| day_of(*micros)).collect())
        } else {
            let days = timestamps.iter().map(|micros| micros.map(&mut day_of));
            days.collect::<Int32Chunked>().with_name(name)
        };
        Ok(days.into_date().into_column())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_days_before_and_after_1970() {
        const HOUR: i64 = 3_600_000_000;
        for (hours, expected) in [
            // 1970-01-01 23:00 and 00:00, 1969-12-31 23:00 and 00:00, 1900-01-01.
            (
                vec![Some(23), Some(0), Some(-1), Some(-24), Some(-25_567 * 24)],
                vec![Some(0), Some(0), Some(-1), Some(-1), Some(-25_567)],
            ),
            (vec![Some(23), None, Some(24)], vec![Some(0), None, Some(1)]),
        ] {
            let micros: Int64Chunked = hours.iter().map(|hour| hour.map(|h| h * HOUR)).collect();
            let timestamps = micros.into_datetime(TimeUnit::Microseconds, None).into_column();
            let frame =
                DataFrame::new(hours.len(), vec![timestamps.with_name("at".into())]).unwrap();
            let days = frame.lazy().select([local_day(col("at"))]).collect().unwrap();
            let days = days.column("at").unwrap().date().unwrap().physical();
            assert_eq!(days.iter().collect::<Vec<_>>(), expected);
        }
    }
}
