//! What a Parquet file is made of, as its footer tells: any file, whoever wrote it.

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

/// What a file is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Anatomy {
    /// Rows.
    pub rows: i64,
    /// Size of the file.
    pub bytes: u64,
    /// What wrote it.
    pub created_by: Option<String>,
    /// What its writer says of it; the schema of Arrow, which is binary, left out.
    pub metadata: Vec<(String, String)>,
    /// Its row groups, in order.
    pub row_groups: Vec<RowGroup>,
    /// Its columns, in order; nested ones by their leaves.
    pub columns: Vec<ColumnAnatomy>,
}

/// A row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RowGroup {
    /// Rows.
    pub rows: i64,
    /// Size as it is stored.
    pub bytes: i64,
}

/// A column, over all row groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnAnatomy {
    /// Name; of a nested one, the path to it.
    pub name: String,
    /// What its values mean, else how they are stored.
    pub r#type: String,
    /// How it is compressed.
    pub compression: String,
    /// How its pages are written.
    pub encodings: Vec<String>,
    /// Size as it is stored.
    pub bytes: i64,
    /// Size before compression.
    pub uncompressed: i64,
    /// Nulls; null where the file does not say.
    pub nulls: Option<u64>,
    /// The smallest value; null where the file does not say.
    pub min: Option<String>,
    /// The largest value.
    pub max: Option<String>,
}

/// Reads the footer of a Parquet file.
///
/// # Errors
/// A file that cannot be opened, or that is no Parquet.
pub fn anatomy(path: &Path) -> Result<Anatomy, PublishError> {
    let unreadable = |reason: String| PublishError::NotParquet { path: path.to_owned(), reason };
    // A pipe would be waited for.
    if path.metadata().is_ok_and(|data| !data.is_file()) {
        return Err(unreadable("it is no file".to_owned()));
    }
    let file = File::open(path).map_err(at(path))?;
    let bytes = file.metadata().map_err(at(path))?.len();
    let reader = SerializedFileReader::new(file).map_err(|error| unreadable(error.to_string()))?;
    let (whole, footer) = (reader.metadata(), reader.metadata().file_metadata());
    let pairs = footer.key_value_metadata().into_iter().flatten();
    let groups = whole.row_groups();
    let columns = footer.schema_descr().columns().iter().enumerate();
    Ok(Anatomy {
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
                column_anatomy(column, &groups.iter().map(|g| g.column(idx)).collect::<Vec<_>>())
            })
            .collect(),
    })
}

fn column_anatomy(column: &ColumnDescriptor, chunks: &[&ColumnChunkMetaData]) -> ColumnAnatomy {
    let mut encodings: Vec<String> = chunks
        .iter()
        .flat_map(|chunk| chunk.encodings())
        .map(|encoding| encoding.to_string())
        .collect();
    encodings.sort();
    encodings.dedup();
    let statistics: Vec<Option<&Statistics>> =
        chunks.iter().map(|chunk| chunk.statistics()).collect();
    let ends = |largest: bool| -> Option<Vec<Stored>> {
        // A group of nothing but nulls has no ends, and takes none from the others.
        let all_null = |of: &Option<&Statistics>, chunk: &ColumnChunkMetaData| {
            of.and_then(|of| of.null_count_opt())
                .is_some_and(|nulls| i64::try_from(nulls) == Ok(chunk.num_values()))
        };
        let said = statistics.iter().zip(chunks).filter(|(of, chunk)| !all_null(of, chunk));
        said.map(|(of, _)| of.and_then(|of| end(of, column, largest))).collect()
    };
    let by = |a: &Stored, b: &Stored| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
    ColumnAnatomy {
        name: column.path().string(),
        r#type: type_of(column),
        compression: chunks.first().map(|chunk| codec(chunk)).unwrap_or_default(),
        encodings,
        bytes: chunks.iter().map(|chunk| chunk.compressed_size()).sum(),
        uncompressed: chunks.iter().map(|chunk| chunk.uncompressed_size()).sum(),
        nulls: statistics.iter().map(|of| of.and_then(|of| of.null_count_opt())).sum(),
        min: ends(false)
            .and_then(|all| all.into_iter().min_by(by))
            .map(|value| value.shown(column)),
        max: ends(true).and_then(|all| all.into_iter().max_by(by)).map(|value| value.shown(column)),
    }
}

/// The codec without its level, which a reader cannot know.
fn codec(chunk: &ColumnChunkMetaData) -> String {
    let name = chunk.compression().to_string().to_lowercase();
    name.split('(').next().unwrap_or_default().to_owned()
}

fn type_of(column: &ColumnDescriptor) -> String {
    let stored = column.physical_type().to_string().to_lowercase();
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Integer(of)), _) => {
            format!("{}int{}", if of.is_signed { "" } else { "u" }, of.bit_width)
        }
        (Some(LogicalType::Timestamp(of)), _) => {
            let unit = match of.unit {
                TimeUnit::MILLIS => "ms",
                TimeUnit::MICROS => "us",
                TimeUnit::NANOS => "ns",
            };
            format!("timestamp[{unit}{}]", if of.is_adjusted_to_u_t_c { ", UTC" } else { "" })
        }
        (Some(LogicalType::Decimal(of)), _) => format!("decimal({}, {})", of.precision, of.scale),
        (Some(logical), _) => {
            let name = format!("{logical:?}").to_lowercase();
            name.split(['(', ' ']).next().unwrap_or_default().to_owned()
        }
        (None, ConvertedType::NONE) => stored,
        (None, converted) => converted.to_string().to_lowercase(),
    }
}

/// A value of a footer's statistics.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Stored {
    Bool(bool),
    Int(i128),
    Float(f64),
    Bytes(Vec<u8>),
}

/// The smallest or largest value that a chunk's statistics name.
fn end(of: &Statistics, column: &ColumnDescriptor, largest: bool) -> Option<Stored> {
    macro_rules! pick {
        ($of:ident) => {
            if largest { $of.max_opt()? } else { $of.min_opt()? }
        };
    }
    let is_decimal = matches!(column.logical_type_ref(), Some(LogicalType::Decimal(_)));
    // Unsigned numbers are stored in the bits of signed ones.
    let unsigned = match column.logical_type_ref() {
        Some(LogicalType::Integer(of)) => !of.is_signed,
        _ => column.converted_type().to_string().starts_with("UINT"),
    };
    let bytes = |bytes: &[u8]| {
        if is_decimal { Stored::Int(whole_number(bytes)) } else { Stored::Bytes(bytes.to_vec()) }
    };
    Some(match of {
        Statistics::Boolean(of) => Stored::Bool(*pick!(of)),
        Statistics::Int32(of) if unsigned => Stored::Int(i128::from(*pick!(of) as u32)),
        Statistics::Int64(of) if unsigned => Stored::Int(i128::from(*pick!(of) as u64)),
        Statistics::Int32(of) => Stored::Int(i128::from(*pick!(of))),
        Statistics::Int64(of) => Stored::Int(i128::from(*pick!(of))),
        Statistics::Float(of) => Stored::Float(f64::from(*pick!(of))),
        Statistics::Double(of) => Stored::Float(*pick!(of)),
        Statistics::ByteArray(of) => bytes(pick!(of).data()),
        Statistics::FixedLenByteArray(of) => bytes(pick!(of).data()),
        Statistics::Int96(_) => return None,
    })
}

impl Stored {
    /// The value as people write it.
    fn shown(&self, column: &ColumnDescriptor) -> String {
        let is_date = column.converted_type() == ConvertedType::DATE;
        match (self, column.logical_type_ref()) {
            (Self::Int(days), logical) if is_date || matches!(logical, Some(LogicalType::Date)) => {
                let days = i64::try_from(*days).ok().and_then(Duration::try_days);
                let day = days.and_then(|days| NaiveDate::default().checked_add_signed(days));
                day.map_or_else(|| self.plain(), |day| day.to_string())
            }
            (Self::Int(ticks), Some(LogicalType::Timestamp(of))) => {
                let ticks = i64::try_from(*ticks).unwrap_or_default();
                let moment = match of.unit {
                    TimeUnit::MILLIS => DateTime::from_timestamp_millis(ticks),
                    TimeUnit::MICROS => DateTime::from_timestamp_micros(ticks),
                    TimeUnit::NANOS => Some(DateTime::from_timestamp_nanos(ticks)),
                };
                moment.map_or_else(|| self.plain(), |moment| moment.naive_utc().to_string())
            }
            (Self::Int(units), Some(LogicalType::Decimal(of))) => decimal(*units, of.scale),
            _ => self.plain(),
        }
    }

    /// The value as it is stored.
    fn plain(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(number) => number.to_string(),
            // Writers give a range that holds zero its negative twin.
            Self::Float(number) => (number + 0.0).to_string(),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.escape_debug().to_string(),
                Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            },
        }
    }
}

/// A number that is stored as bytes, the highest first, in two's complement.
fn whole_number(bytes: &[u8]) -> i128 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| (number << 8) | i128::from(*byte))
}

/// Units of a decimal with its point.
fn decimal(units: i128, scale: i32) -> String {
    let places = usize::try_from(scale).unwrap_or_default();
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    let sign = if units < 0 { "-" } else { "" };
    if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::{decimal, whole_number};

    #[test]
    fn decimals_are_written_with_their_point() {
        for (bytes, scale, text) in [
            (&[0x04, 0xd2][..], 2, "12.34"),
            (&[0xff, 0xff], 2, "-0.01"),
            (&[0xff, 0x00], 0, "-256"),
            (&[], 3, "0.000"),
        ] {
            assert_eq!(decimal(whole_number(bytes), scale), text);
        }
    }
}
