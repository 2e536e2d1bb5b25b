//! The parsed columns of a file, in the order in which their faults apply.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use polars::prelude::*;

use super::cell::{CellParser, ParsedCell};
use super::fault::{AMOUNT_OUT_OF_RANGE, FOREIGN_CURRENCY, FaultList};
use super::numbers::{NumberCodes, NumberParser, Presence, number, number_of_workbook};
use super::outcomes::map_column;
use super::timestamps::TimestampParser;
use super::{Format, IngestParams, LineAmount, Source, SourceFile, Timestamps, ids};
use crate::columns::{AMOUNT, CURRENCY, QUANTITY, UNIT_PRICE};

/// Years that an order can be from. Others are two-digit years and placeholders for "never".
pub const YEARS: RangeInclusive<i32> = 1900..=2199;
const FIRST_DAY: NaiveDate = NaiveDate::from_yo_opt(*YEARS.start(), 1).expect("a valid date");
const END_DAY: NaiveDate = NaiveDate::from_yo_opt(*YEARS.end() + 1, 1).expect("a valid date");

/// [`YEARS`] in microseconds since 1970.
pub(super) fn year_bounds() -> Range<i64> {
    let micros = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
    micros(FIRST_DAY)..micros(END_DAY)
}

/// The ids to parse: the pipeline's name, and the common type of all files' ids.
pub(super) type IdTypes = Vec<(&'static str, DataType)>;

/// The columns of a file that are parsed, in the order in which their faults apply. The faults are
/// added to the list.
pub(super) fn parsed_cells(
    params: &IngestParams,
    source: &Source,
    file: &SourceFile,
    id_types: &IdTypes,
    faults: &mut FaultList,
) -> Vec<ParsedCell> {
    let mut columns = FileColumns { params, source, file, faults };
    let mut parsed = Vec::new();
    match &source.columns.line_amount {
        LineAmount::Priced { quantity, unit_price } => {
            parsed.push(columns.number(QUANTITY, quantity, Presence::Required));
            parsed.push(columns.number(UNIT_PRICE, unit_price, Presence::Required));
            columns.faults.in_row(AMOUNT_OUT_OF_RANGE);
        }
        LineAmount::Amount { amount, quantity } => {
            if let Some(column) = quantity {
                let is_required = source.is_summary;
                let presence = if is_required { Presence::Required } else { Presence::Optional };
                parsed.push(columns.number(QUANTITY, column, presence));
            }
            parsed.push(columns.number(AMOUNT, amount, Presence::Required));
        }
    }
    parsed.push(columns.timestamp());
    if let Some(column) = &source.columns.currency {
        parsed.push(columns.currency(column));
    }
    for (name, target) in id_types {
        if let Some(column) = source.columns.source_name(name) {
            let dtype = file.column_type(column);
            let source_column = (column, &dtype, file.bytes(column));
            let target = (params.id_format(name), target.clone());
            parsed.push(ids::id(name, source_column, target, columns.faults));
        }
    }
    parsed
}

struct FileColumns<'a, 'f> {
    params: &'a IngestParams,
    source: &'a Source,
    file: &'a SourceFile,
    faults: &'f mut FaultList,
}

impl FileColumns<'_, '_> {
    /// Whether a column has typed cells beside cells of text.
    fn has_typed_cells(&self, column: &str) -> bool {
        let is_own = !self.file.is_partition(column) && self.file.computed(column).is_none();
        self.source.set.format == Format::Workbook && is_own
    }

    fn number(&mut self, name: &'static str, column: &str, presence: Presence) -> ParsedCell {
        let codes = NumberCodes::new(name, presence, self.faults);
        let scale = match name {
            QUANTITY => self.params.quantity_scale,
            _ => self.params.money.read_scale(),
        };
        let format = self.source.set.text.numbers.clone();
        let parser = NumberParser { format, nulls: self.params.ids.nulls.clone(), scale };
        if self.has_typed_cells(column) {
            number_of_workbook(name, column, parser, codes)
        } else {
            number(name, column, parser, codes)
        }
    }

    /// Local time of the line.
    fn timestamp(&mut self) -> ParsedCell {
        let column = &self.source.columns.ordered_at;
        let parser = TimestampParser {
            formats: &self.source.set.text.datetime_formats,
            naive: if self.file.days.contains(column) {
                Timestamps::Local
            } else {
                self.source.timestamps
            },
            timezone: self.params.timezone,
            nulls: &self.params.ids.nulls,
            has_typed_cells: self.has_typed_cells(column),
        };
        parser.column(column, &self.file.column_type(column), self.faults)
    }

    /// Currency of a line's money. Without rates, any other currency than the pipeline's is a
    /// fault.
    fn currency(&mut self, column: &str) -> ParsedCell {
        let nulls = self.params.ids.nulls.clone();
        let value = move |cells: &Column| nulls.texts(cells);
        let missing = self.faults.missing(CURRENCY);
        let own = match (&self.params.rates, &self.params.money.currency) {
            (None, Some(own)) => {
                Some((own.clone(), self.faults.in_cell(CURRENCY, FOREIGN_CURRENCY)))
            }
            _ => None,
        };
        let fault = move |cells: &Column, values: &Column| {
            let code = |currency: Option<&str>| match (currency, &own) {
                (None, _) => Some(missing),
                (Some(currency), Some((own, foreign))) => {
                    (currency.to_uppercase() != *own).then_some(*foreign)
                }
                _ => None,
            };
            let codes: UInt8Chunked = values.str()?.iter().map(code).collect();
            Ok(codes.with_name(cells.name().clone()).into_column())
        };
        let parser = CellParser::Functions {
            dtype: DataType::String,
            value: Arc::new(value),
            fault: Some(Arc::new(fault)),
        };
        ParsedCell { name: CURRENCY, source_column: column.to_owned(), parser }
    }
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
