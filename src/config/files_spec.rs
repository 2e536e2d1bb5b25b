//! The shape of files and their formats, before their values are checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ingest::{Format, OnBadRow};

/// Sheets of a workbook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkbookSpec {
    /// Name of the sheet, a list of names, or `all` visible sheets. Default: the only sheet that
    /// has the mapped columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<SheetSpec>,
    /// Number of the row with the column names, from 1. Default: the first row that is not empty.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_row: Option<u32>,
}

/// One sheet, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SheetSpec {
    /// Name of a sheet, or `all`.
    One(String),
    /// Names of sheets.
    Many(#[schemars(length(min = 1))] Vec<String>),
}

/// A table of a query. The columns of CSV and workbooks are text.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["paths"]))]
pub struct TableSpec {
    /// Files, folders or globs, relative to this file, as in `transactions`. All files of a table
    /// must have the same columns.
    #[schemars(length(min = 1))]
    pub paths: Vec<String>,
    /// Format of the files. Default: by their suffix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// CSV format. Its date and number options are not used: see `csv` of `transactions`.
    pub csv: CsvSpec,
    /// Sheets of workbooks.
    pub workbook: WorkbookSpec,
}

/// Columns whose empty cells take the value of the nearest row above with the same `by`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["by", "columns"]))]
pub struct FillSpec {
    /// Column in which rows belong together, such as `order_id`: a column of the source, or the
    /// pipeline's name of a mapped one.
    pub by: String,
    /// Columns to fill.
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
}

/// CSV format. The first line may be `sep=;`, as Excel writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("allOf" = [
    { "not": { "properties": { "decimal": { "const": "," }, "thousands": { "const": "," } },
    "required": ["decimal", "thousands"] } },
    { "not": { "properties": { "decimal": { "const": "." }, "thousands": { "const": "." } },
    "required": ["thousands"] } },
]))]
pub struct CsvSpec {
    /// Field separator: one character such as `;` or `"\t"`, or several such as `||`.
    #[schemars(length(min = 1, max = 8), extend("allOf" = [{ "pattern": "^[^\"\r\n\\u0000]+$" }]))]
    pub separator: String,
    /// Character encoding: `utf8`, `latin1`, `windows_1252`, or any other name of the WHATWG
    /// encoding standard, such as `windows-1251`, `shift_jis` or `utf-16`.
    pub encoding: String,
    /// Whether the first record has the names of the columns. If not, the columns are `column_1`,
    /// `column_2` and so on, or those of `names`.
    pub header: bool,
    /// Names of all columns of a file without a header.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Number of lines above the header, or above the first record.
    #[serde(skip_serializing_if = "is_zero")]
    pub skip_rows: u32,
    /// Quotes around fields: `"` (default), another ASCII character such as `'`, or empty for none.
    #[schemars(length(max = 1))]
    pub quote: String,
    /// Escape character, such as `\`: the character after it is taken as it is. Default: none;
    /// quotes within quotes are doubled.
    #[schemars(length(min = 1, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<String>,
    /// Whether every record ends with a separator that the header may lack.
    pub trailing_separator: bool,
    /// What to do with rows that cannot be parsed: wrong number of fields, undecodable bytes,
    /// invalid dates or numbers. `reject` (default) writes them to `rejects.parquet`; `fail` fails
    /// the run. All sources of a run must use the same value.
    pub on_bad_row: OnBadRow,
    /// Decimal separator of numbers.
    #[schemars(length(min = 1, max = 1), extend("allOf" = [{ "enum": [".", ","] }]))]
    pub decimal: String,
    /// Thousands separator of numbers: `,`, `.`, `'` or a space, which stands for every kind of
    /// space. Groups of two digits, as in 12,34,567, are read, too. Default: none.
    #[schemars(
        length(min = 1, max = 1),
        extend("allOf" = [{ "enum": [",", ".", "'", " ", "\u{a0}", null] }])
    )]
    pub thousands: Option<String>,
    /// Currency signs to strip from before or after numbers, such as `[£]`. Negative numbers may
    /// have a minus sign before or after them, or stand in parentheses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub currency_signs: Vec<String>,
    /// Date and time formats in strftime notation, tried in order. `%d`, `%m` and `%H` also accept
    /// numbers without a leading zero. `%z` reads the offsets `Z`, `+00`, `+0000` and `+00:00`;
    /// `epoch_s`, `epoch_ms` and `epoch_us` read numbers since 1970. Default: ISO 8601 without an
    /// offset. The run fails if two formats parse a timestamp differently, as day-first and
    /// month-first do for 03/04/2011.
    #[schemars(length(min = 1))]
    pub datetime_formats: Vec<String>,
}

impl Default for CsvSpec {
    fn default() -> Self {
        let iso = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"];
        Self {
            separator: ",".to_owned(),
            encoding: "utf8".to_owned(),
            header: true,
            names: Vec::new(),
            skip_rows: 0,
            quote: "\"".to_owned(),
            escape: None,
            trailing_separator: false,
            on_bad_row: OnBadRow::default(),
            decimal: ".".to_owned(),
            thousands: None,
            currency_signs: Vec::new(),
            datetime_formats: iso.map(str::to_owned).to_vec(),
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
