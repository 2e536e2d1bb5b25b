//! Columns of timestamps: every one becomes local time of the store, whatever its source gives.

use std::sync::Arc;

use chrono_tz::Tz;
use polars::prelude::*;

use super::cell::{CellParser, DATETIME, NullValues, ParsedCell, ValueFn, is_text, prepared_name};
use super::fault::{AMBIGUOUS_TIMESTAMP, FaultList};
use super::outcomes::{fault_codes, first_match, map_column};
use super::parse::{YEARS, year_bounds};
use super::timestamp_format::{TimestampFormat, Timestamps, local_of_naive, local_of_zoned};
use super::workbook;
use crate::columns::ORDERED_AT;

/// How the timestamps of one file are read.
pub(super) struct TimestampParser<'a> {
    pub(super) formats: &'a [TimestampFormat],
    pub(super) naive: Timestamps,
    pub(super) timezone: Tz,
    pub(super) nulls: &'a NullValues,
    /// Whether the column has typed cells beside cells of text.
    pub(super) has_typed_cells: bool,
}

impl TimestampParser<'_> {
    /// The timestamps of a column of any type.
    pub(super) fn column(
        &self,
        column: &str,
        dtype: &DataType,
        faults: &mut FaultList,
    ) -> ParsedCell {
        let years = format!("ordered_at before {} or after {}", YEARS.start(), YEARS.end());
        let missing = faults.missing(ORDERED_AT);
        let unparsed = faults.in_cell(ORDERED_AT, "ordered_at not in any declared format");
        let ambiguous = faults.in_cell(ORDERED_AT, AMBIGUOUS_TIMESTAMP);
        let out_of_range = faults.in_cell(ORDERED_AT, &years);
        let cells = || col(column);
        let (value, text_faults) = match dtype {
            dtype if is_text(dtype) && self.has_typed_cells => {
                // Text is read by the declared formats, typed cells are not.
                let typed = col(workbook::time_name(column));
                // Midnight is a date: a workbook stores both alike.
                let midnight = typed.clone().cast(DataType::Date).cast(DATETIME);
                let is_date = typed.clone().eq(midnight);
                let local = local_of_naive(typed.clone(), self.naive, self.timezone);
                let time = when(is_date).then(typed.clone()).otherwise(local);
                let (text, faults) = self.text([unparsed, ambiguous]);
                let is_text = typed.clone().is_null();
                let error = col(workbook::error_name(column));
                let faults = faults.into_iter().map(|(code, predicate)| {
                    (code, predicate.and(is_text.clone()).and(error.clone().is_null()))
                });
                (time.fill_null(text), faults.collect())
            }
            // Whole numbers such as 20240301 have the format of their text.
            dtype if is_text(dtype) || dtype.is_integer() => self.text([unparsed, ambiguous]),
            DataType::Datetime(_, Some(_)) => (local_of_zoned(cells(), self.timezone), Vec::new()),
            DataType::Datetime(_, None) => {
                let time = cells().cast(DATETIME);
                (local_of_naive(time, self.naive, self.timezone), Vec::new())
            }
            _ => (cells().cast(DATETIME), Vec::new()),
        };
        let valid = year_bounds();
        let range = map_column(value.clone(), DataType::UInt8, move |times| {
            let times = times.to_physical_repr();
            Ok(fault_codes(times.i64()?, |time| match time {
                None => Some(missing),
                Some(micros) => (!valid.contains(&micros)).then_some(out_of_range),
            }))
        });
        let fault =
            if text_faults.is_empty() { range } else { first_match(text_faults).fill_null(range) };
        let nulls = self.nulls.clone();
        let trim: ValueFn = Arc::new(move |cells| nulls.texts(cells));
        let prepared = (is_text(dtype) || dtype.is_integer()).then_some(trim);
        let parser = CellParser::Exprs { prepared, value, fault };
        ParsedCell { name: ORDERED_AT, source_column: column.to_owned(), parser }
    }

    /// The time by the first declared format that matches, and the faults of texts: no format
    /// matches, or two differ.
    fn text(&self, [unparsed, ambiguous]: [u8; 2]) -> (Expr, Vec<(u8, Expr)>) {
        let text = col(prepared_name(ORDERED_AT));
        let parse = |format: &TimestampFormat| format.expr(text.clone(), self.naive, self.timezone);
        let parsed: Vec<Expr> = self.formats.iter().map(parse).collect();
        let first = parsed.iter().cloned().reduce(Expr::fill_null).unwrap_or(lit(NULL));
        let differs = |next: &Expr| next.clone().neq(first.clone()).fill_null(lit(false));
        let is_unparsed = text.is_not_null().and(first.clone().is_null());
        let mut faults = vec![(unparsed, is_unparsed)];
        let is_ambiguous = parsed.iter().skip(1).map(differs).reduce(Expr::or);
        faults.extend(is_ambiguous.map(|predicate| (ambiguous, predicate)));
        (first, faults)
    }
}
