//! Summary of the footer of any Parquet file.

use std::fs::File;
use std::path::Path;

use chrono::{DateTime, Duration, NaiveDate};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;
use serde::Serialize;

use super::{PublishError, at};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct FileMetadata {
    pub(crate) rows: i64,
    pub(crate) bytes: u64,
    pub(crate) created_by: Option<String>,
    /// Key-value metadata, without the schema of Arrow, which is binary.
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) row_groups: Vec<RowGroup>,
    pub(crate) columns: Vec<ColumnMetadata>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct RowGroup {
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
}

/// Summary of a column over all row groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ColumnMetadata {
    pub(crate) name: String,
    /// Logical type, else physical type.
    pub(crate) r#type: String,
    pub(crate) compression: String,
    pub(crate) encodings: Vec<String>,
    pub(crate) bytes: i64,
    pub(crate) uncompressed: i64,
    /// Null if the file does not have the statistic, as `min` and `max`.
    pub(crate) nulls: Option<u64>,
    pub(crate) min: Option<String>,
    pub(crate) max: Option<String>,
}

/// Reads the footer of a Parquet file.
///
/// # Errors
/// A file that cannot be opened, or that is not Parquet.
pub(crate) fn parquet_metadata(path: &Path) -> Result<FileMetadata, PublishError> {
    let invalid = |reason: String| PublishError::NotParquet { path: path.to_owned(), reason };
    // Opening a pipe would block.
    if path.metadata().is_ok_and(|data| !data.is_file()) {
        return Err(invalid("not a regular file".to_owned()));
    }
    let file = File::open(path).map_err(at(path))?;
    let bytes = file.metadata().map_err(at(path))?.len();
    let reader = SerializedFileReader::new(file).map_err(|error| invalid(error.to_string()))?;
    let footer = reader.metadata().file_metadata();
    let groups = reader.metadata().row_groups();
    let pairs = footer.key_value_metadata().into_iter().flatten();
    let columns = footer.schema_descr().columns().iter().enumerate();
    Ok(FileMetadata {
        rows: footer.num_rows(),
        bytes,
        created_by: footer.created_by().map(str::to_owned),
        metadata: pairs
            .filter(|pair| pair.key != "ARROW:schema")
            .map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default()))
            .collect(),
        row_groups: groups
            .iter()
            .map(|group| RowGroup { rows: group.num_rows(), bytes: group.compressed_size() })
            .collect(),
        columns: columns
            .map(|(idx, column)| {
                let chunks: Vec<_> = groups.iter().map(|group| group.column(idx)).collect();
                column_metadata(column, &chunks)
            })
            .collect(),
    })
}

fn column_metadata(column: &ColumnDescriptor, chunks: &[&ColumnChunkMetaData]) -> ColumnMetadata {
    let mut encodings: Vec<String> =
        chunks.iter().flat_map(|chunk| chunk.encodings()).map(|code| code.to_string()).collect();
    encodings.sort();
    encodings.dedup();
    let nulls = |chunk: &ColumnChunkMetaData| chunk.statistics()?.null_count_opt();
    let has_values = |chunk: &&&ColumnChunkMetaData| {
        nulls(chunk).and_then(|nulls| i64::try_from(nulls).ok()) != Some(chunk.num_values())
    };
    let extremes = |end: End| -> Option<Vec<Stored>> {
        let chunks = chunks.iter().filter(has_values);
        chunks.map(|chunk| Stored::read(chunk.statistics()?, column, end)).collect()
    };
    let order = |a: &Stored, b: &Stored| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
    let min = extremes(End::Min).and_then(|values| values.into_iter().min_by(order));
    let max = extremes(End::Max).and_then(|values| values.into_iter().max_by(order));
    ColumnMetadata {
        name: column.path().string(),
        r#type: type_name(column),
        compression: chunks.first().map_or_else(String::new, |chunk| codec(chunk)),
        encodings,
        bytes: chunks.iter().map(|chunk| chunk.compressed_size()).sum(),
        uncompressed: chunks.iter().map(|chunk| chunk.uncompressed_size()).sum(),
        nulls: chunks.iter().map(|chunk| nulls(chunk)).sum(),
        min: min.map(|value| value.format(column)),
        max: max.map(|value| value.format(column)),
    }
}

/// The codec without its level, which files do not store.
fn codec(chunk: &ColumnChunkMetaData) -> String {
    let name = chunk.compression().to_string().to_lowercase();
    name.split_once('(').map_or(name.as_str(), |(codec, _)| codec).to_owned()
}

fn type_name(column: &ColumnDescriptor) -> String {
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Integer(integer)), _) => {
            format!("{}int{}", if integer.is_signed { "" } else { "u" }, integer.bit_width)
        }
        (Some(LogicalType::Timestamp(timestamp)), _) => {
            let unit = match timestamp.unit {
                TimeUnit::MILLIS => "ms",
                TimeUnit::MICROS => "us",
                TimeUnit::NANOS => "ns",
            };
            let zone = if timestamp.is_adjusted_to_u_t_c { ", UTC" } else { "" };
            format!("timestamp[{unit}{zone}]")
        }
        (Some(LogicalType::Decimal(decimal)), _) => {
            format!("decimal({}, {})", decimal.precision, decimal.scale)
        }
        (Some(logical), _) => {
            let name = format!("{logical:?}").to_lowercase();
            name.split_once(['(', ' ']).map_or(name.as_str(), |(name, _)| name).to_owned()
        }
        (None, ConvertedType::NONE) => column.physical_type().to_string().to_lowercase(),
        (None, converted) => converted.to_string().to_lowercase(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

/// A value of a footer's statistics.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Stored {
    Bool(bool),
    Int(i128),
    Float(f64),
    Bytes(Vec<u8>),
}

impl Stored {
    /// The minimum or maximum of a chunk.
    fn read(statistics: &Statistics, column: &ColumnDescriptor, end: End) -> Option<Self> {
        macro_rules! value {
            ($statistics:ident) => {
                match end {
                    End::Min => $statistics.min_opt()?,
                    End::Max => $statistics.max_opt()?,
                }
            };
        }
        let is_decimal = matches!(column.logical_type_ref(), Some(LogicalType::Decimal(_)));
        // Unsigned numbers are stored in the bits of signed ones.
        let is_unsigned = match column.logical_type_ref() {
            Some(LogicalType::Integer(integer)) => !integer.is_signed,
            _ => column.converted_type().to_string().starts_with("UINT"),
        };
        let bytes = |bytes: &[u8]| {
            if is_decimal { Self::Int(big_endian(bytes)) } else { Self::Bytes(bytes.to_vec()) }
        };
        Some(match statistics {
            Statistics::Boolean(s) => Self::Bool(*value!(s)),
            Statistics::Int32(s) if is_unsigned => Self::Int(i128::from(*value!(s) as u32)),
            Statistics::Int64(s) if is_unsigned => Self::Int(i128::from(*value!(s) as u64)),
            Statistics::Int32(s) => Self::Int(i128::from(*value!(s))),
            Statistics::Int64(s) => Self::Int(i128::from(*value!(s))),
            Statistics::Float(s) => Self::Float(f64::from(*value!(s))),
            Statistics::Double(s) => Self::Float(*value!(s)),
            Statistics::ByteArray(s) => bytes(value!(s).data()),
            Statistics::FixedLenByteArray(s) => bytes(value!(s).data()),
            Statistics::Int96(_) => return None,
        })
    }

    /// The value by its logical type, else as it is stored.
    fn format(&self, column: &ColumnDescriptor) -> String {
        let is_date = column.converted_type() == ConvertedType::DATE;
        let formatted = match (self, column.logical_type_ref()) {
            (Self::Int(days), logical) if is_date || matches!(logical, Some(LogicalType::Date)) => {
                let days = i64::try_from(*days).ok().and_then(Duration::try_days);
                let date = days.and_then(|days| NaiveDate::default().checked_add_signed(days));
                date.map(|date| date.to_string())
            }
            (Self::Int(ticks), Some(LogicalType::Timestamp(timestamp))) => {
                let timestamp = i64::try_from(*ticks).ok().and_then(|ticks| match timestamp.unit {
                    TimeUnit::MILLIS => DateTime::from_timestamp_millis(ticks),
                    TimeUnit::MICROS => DateTime::from_timestamp_micros(ticks),
                    TimeUnit::NANOS => Some(DateTime::from_timestamp_nanos(ticks)),
                });
                timestamp.map(|timestamp| timestamp.naive_utc().to_string())
            }
            (Self::Int(units), Some(LogicalType::Decimal(kind))) => {
                Some(decimal(*units, kind.scale))
            }
            _ => None,
        };
        formatted.unwrap_or_else(|| match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(number) => number.to_string(),
            // Writers store a zero minimum as -0.
            Self::Float(number) => (number + 0.0).to_string(),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.escape_debug().to_string(),
                Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            },
        })
    }
}

/// A big-endian number in two's complement.
fn big_endian(bytes: &[u8]) -> i128 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| (number << 8) | i128::from(*byte))
}

/// Units of 10^-scale as a decimal number.
fn decimal(units: i128, scale: i32) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let sign = if units < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::{big_endian, decimal};

    #[test]
    fn decimals_have_their_point() {
        for (bytes, scale, text) in [
            (&[0x04, 0xd2][..], 2, "12.34"),
            (&[0xff, 0xff], 2, "-0.01"),
            (&[0xff, 0x00], 0, "-256"),
            (&[], 3, "0.000"),
        ] {
            assert_eq!(decimal(big_endian(bytes), scale), text);
        }
    }
}
