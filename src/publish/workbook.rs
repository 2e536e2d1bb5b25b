//! Tables as workbooks.

use polars::prelude::*;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, XlsxError};

/// Rows of a sheet below the header.
const MAX_ROWS: usize = 1_048_575;

/// The bytes of a workbook with one sheet. Texts stay texts, never formulas. The error is a
/// sentence.
pub(super) fn workbook(table: &DataFrame) -> Result<Vec<u8>, String> {
    if table.height() > MAX_ROWS {
        return Err(format!("a sheet has at most {MAX_ROWS} rows; write CSV"));
    }
    fill(table).map_err(|error| error.to_string())
}

fn fill(table: &DataFrame) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    // Equal tables have equal bytes.
    let created = ExcelDateTime::from_ymd(2000, 1, 1)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    let sheet = workbook.add_worksheet();
    let header = Format::new().set_bold();
    let day = Format::new().set_num_format("yyyy-mm-dd");
    let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
    sheet.set_freeze_panes(1, 0)?;
    for (x, column) in (0u16..).zip(table.columns()) {
        sheet.write_string_with_format(0, x, column.name().as_str(), &header)?;
        for (y, value) in (1u32..).zip(column.as_materialized_series().iter()) {
            match value {
                AnyValue::Null => continue,
                AnyValue::Boolean(value) => sheet.write_boolean(y, x, value)?,
                // Days since 1970; those of workbooks begin in 1900.
                AnyValue::Date(days) => {
                    sheet.write_number_with_format(y, x, f64::from(days) + 25_569.0, &day)?
                }
                AnyValue::Datetime(value, unit, _) => {
                    let per_day = match unit {
                        TimeUnit::Milliseconds => 86_400e3,
                        TimeUnit::Microseconds => 86_400e6,
                        TimeUnit::Nanoseconds => 86_400e9,
                    };
                    let days = value as f64 / per_day + 25_569.0;
                    sheet.write_number_with_format(y, x, days, &time)?
                }
                number if number.is_primitive_numeric() => {
                    sheet.write_number(y, x, number.extract::<f64>().unwrap_or(f64::NAN))?
                }
                other => sheet.write_string(y, x, other.str_value())?,
            };
        }
    }
    workbook.save_to_buffer()
}
