//! The first rows of a file, in whatever layout.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use polars::prelude::*;

use super::sniff::CsvGuess;
use super::{roles, sniff};
use crate::columns::{AMOUNT, CUSTOMER_ID, ORDER_ID, ORDERED_AT, UNIT_PRICE};
use crate::config::{missing_file, similar_file};
use crate::error::Error;
use crate::ingest::advice::NULL_WORDS;
use crate::ingest::cell::has_text;
use crate::ingest::chunk_source::first_rows;
use crate::ingest::csv_layout::{CsvHeader, CsvLayout};
use crate::ingest::csv_rewrite::Quoting;
use crate::ingest::workbook::{self, SheetChoice, SheetNames};
use crate::ingest::{FileSet, Format, NumberFormat, SourceFile, TextFormat, discover, probe};

pub(super) const DEFAULT_NULLS: [&str; 5] = ["NULL", "\\N", "nan", "None", "N/A"];
/// Most distinct values of a column that decide about formats.
const MOST_VALUES: usize = 3_000;
/// Bytes that are read in the middle and at the end of a large CSV file.
const PIECE: u64 = 256 << 10;

/// A file that was read in part.
pub(super) struct Sample {
    pub(super) file: SourceFile,
    pub(super) format: Format,
    pub(super) csv: Option<CsvGuess>,
    /// The format, if the suffix does not say it.
    pub(super) declared: Option<Format>,
    /// Cells as text, in the order of the columns.
    pub(super) cells: DataFrame,
    /// The cells that are texts in the file: a workbook also has typed ones.
    texts: DataFrame,
    /// Number of cells of the first file. The others are of the last one.
    of_first: usize,
    /// Row of the header of a workbook, if it is not the first.
    pub(super) header_row: Option<u32>,
    pub(super) sheets: Sheets,
}

/// The visible sheets of a workbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sheets {
    One,
    /// Several with the same columns.
    Alike,
    Different,
}

impl Sample {
    pub(super) fn names(&self) -> Vec<&str> {
        self.file.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The distinct cells of a column that are not missing, in the order of their first row. Some
    /// thousands decide as well as all.
    pub(super) fn values(&self, column: &str) -> Vec<&str> {
        Self::present(&self.cells, column)
    }

    /// The same of the cells that are texts in the file.
    pub(super) fn texts(&self, column: &str) -> Vec<&str> {
        Self::present(&self.texts, column)
    }

    fn present<'c>(cells: &'c DataFrame, column: &str) -> Vec<&'c str> {
        let Ok(texts) = cells.column(column).and_then(|column| column.str()) else {
            return Vec::new();
        };
        let present = texts.iter().flatten().map(str::trim).filter(|text| !is_missing(text));
        present.collect::<PlIndexSet<&str>>().into_iter().take(MOST_VALUES).collect()
    }

    pub(super) fn count_missing(&self, column: &str) -> usize {
        self.count(column, is_missing)
    }

    /// Number of rows whose cell another row has, too.
    pub(super) fn count_repeated(&self, column: &str) -> usize {
        self.frequencies(column).into_iter().map(|(_, count)| count - 1).sum()
    }

    /// The cells of two columns, row by row. Null cells are empty.
    fn pairs(&self, one: &str, other: &str) -> Vec<(&str, &str)> {
        let texts = |name: &str| self.cells.column(name).and_then(|column| column.str()).ok();
        let Some((one, other)) = texts(one).zip(texts(other)) else { return Vec::new() };
        let pairs = one
            .iter()
            .zip(other.iter())
            .map(|(one, other)| (one.map_or("", str::trim), other.map_or("", str::trim)));
        pairs.filter(|(one, _)| !is_missing(one)).collect()
    }

    /// Number of rows whose two cells another row has, too.
    pub(super) fn count_repeated_pairs(&self, one: &str, other: &str) -> usize {
        let pairs = self.pairs(one, other);
        let distinct: PlHashSet<&(&str, &str)> = pairs.iter().collect();
        pairs.len() - distinct.len()
    }

    /// The first value of a column that occurs with several values of another one.
    pub(super) fn shared(&self, one: &str, other: &str) -> Option<String> {
        let mut known: PlHashMap<&str, &str> = PlHashMap::new();
        let mut pairs = self.pairs(one, other).into_iter().filter(|(_, other)| !is_missing(other));
        let differs = pairs.find(|(one, other)| *known.entry(*one).or_insert(*other) != *other);
        differs.map(|(one, _)| one.to_owned())
    }

    /// Whether a column has the same value on all rows of each of several orders with several rows.
    pub(super) fn is_constant_in(&self, order: &str, column: &str) -> bool {
        let mut orders: PlHashMap<&str, (usize, PlHashSet<&str>)> = PlHashMap::new();
        for (order, value) in self.pairs(order, column) {
            let entry = orders.entry(order).or_default();
            entry.0 += 1;
            entry.1.insert(value);
        }
        let several: Vec<_> = orders.values().filter(|(rows, _)| *rows > 1).collect();
        several.len() > 4 && several.iter().all(|(_, values)| values.len() == 1)
    }

    /// A value of a column that both the first and the last file have.
    pub(super) fn in_both_files(&self, column: &str) -> Option<String> {
        let texts = self.cells.column(column).and_then(|column| column.str()).ok()?;
        let (first, last) = texts.split_at(self.of_first as i64);
        let known: PlHashSet<&str> = first.iter().flatten().map(str::trim).collect();
        let is_known = |text: &&str| !is_missing(text) && known.contains(text);
        last.iter().flatten().map(str::trim).find(is_known).map(str::to_owned)
    }

    /// Number of rows that equal an earlier one in all columns.
    pub(super) fn count_equal_rows(&self) -> usize {
        let distinct = self.cells.clone().lazy().unique_generic(None, UniqueKeepStrategy::Any);
        distinct.collect().map_or(0, |rows| self.cells.height() - rows.height())
    }

    /// Whether quantity times price differs from the total in over 1 % of the readable rows.
    pub(super) fn products_differ(&self, quantity: &str, price: &str, total: &str) -> bool {
        let number = |text: &str| -> Option<f64> {
            let digits: String =
                text.chars().filter(|c| c.is_ascii_digit() || ".,-".contains(*c)).collect();
            let mark = digits.rfind(['.', ',']);
            let plain =
                digits.char_indices().filter(|(at, c)| !".,".contains(*c) || Some(*at) == mark);
            plain.map(|(_, c)| if c == ',' { '.' } else { c }).collect::<String>().parse().ok()
        };
        let (quantities, totals) = (self.pairs(quantity, price), self.pairs(quantity, total));
        let (mut rows, mut different) = (0, 0);
        for ((quantity, price), (_, total)) in quantities.into_iter().zip(totals) {
            let numbers = (number(quantity), number(price), number(total));
            if let (Some(quantity), Some(price), Some(total)) = numbers {
                rows += 1;
                different += usize::from((quantity * price - total).abs() > 0.02);
            }
        }
        different * 100 > rows
    }

    /// Number of rows whose cell fulfils a condition. A null cell is an empty one.
    pub(super) fn count(&self, column: &str, is_counted: impl Fn(&str) -> bool) -> usize {
        let Ok(texts) = self.cells.column(column).and_then(|column| column.str()) else { return 0 };
        texts.iter().filter(|text| is_counted(text.unwrap_or_default().trim())).count()
    }

    /// The values of a column with their numbers of rows, the most frequent first.
    fn frequencies(&self, column: &str) -> Vec<(&str, usize)> {
        let Ok(texts) = self.cells.column(column).and_then(|column| column.str()) else {
            return Vec::new();
        };
        let mut counts: PlIndexMap<&str, usize> = PlIndexMap::default();
        for text in texts.iter().flatten().map(str::trim).filter(|text| !is_missing(text)) {
            *counts.entry(text).or_default() += 1;
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    pub(super) fn most_frequent(&self, column: &str) -> Option<(String, usize)> {
        self.frequencies(column).first().map(|(value, count)| ((*value).to_owned(), *count))
    }

    /// The most frequent values of a column with their numbers of rows, as text.
    pub(super) fn counts(&self, column: &str) -> Vec<String> {
        let counts = self.frequencies(column).into_iter().take(8);
        counts.map(|(value, count)| format!("{value} {count}")).collect()
    }

    pub(super) fn dtype(&self, column: &str) -> DataType {
        self.file.dtype(column).cloned().unwrap_or(DataType::String)
    }
}

fn is_missing(text: &str) -> bool {
    text.is_empty()
        || DEFAULT_NULLS.iter().chain(&NULL_WORDS).any(|word| word.eq_ignore_ascii_case(text))
}

/// Reads a sample of the first and the last of the files that a path stands for.
pub(super) fn read(path: &str, base: &Path) -> Result<Sample, Error> {
    let is_known =
        Format::from_name(path).is_ok() || base.join(path).is_dir() || path.ends_with(".zip");
    let declared = (!is_known).then(|| sniff::format(&base.join(path)));
    let files = discover::files(path, base, declared).map_err(failed)?;
    let (Some(first), Some(last)) = (files.first(), files.last()) else {
        return Err(Error::Data(format!("no file `{path}`")));
    };
    let format = declared.map_or_else(|| Format::from_name(&first.name).map_err(failed), Ok)?;
    let csv = match format {
        Format::Csv => Some(sniff::sniff(&first.path)?),
        _ => None,
    };
    let text = text_format(csv.as_ref());
    let Table { file, header_row, sheets } = table(first, format, &text)?;
    let (mut cells, mut texts) = sampled(&file, format, &text)?;
    if let Some(csv) = &csv {
        let more = later_rows(&file, csv, &cells)?;
        let added = cells.vstack_mut(&more).and_then(|_| texts.vstack_mut(&more));
        added.map_err(Error::engine("init"))?;
    }
    let of_first = cells.height();
    if first.name != last.name {
        let other = table(last, format, &text)?.file;
        let same = |one: &(String, DataType), other: &(String, DataType)| {
            let is_null = one.1 == DataType::Null || other.1 == DataType::Null;
            one.0 == other.0 && (is_null || one.1 == other.1)
        };
        let mut columns = file.columns.iter().zip(&other.columns);
        if file.columns.len() != other.columns.len() || !columns.all(|(a, b)| same(a, b)) {
            return Err(Error::Data(format!(
                "`{}` and `{}` have different columns or types: run `init` for each, and list both in \
                 `ingest.transactions`",
                first.name, last.name
            )));
        }
        let (more_cells, more_texts) = sampled(&other, format, &text)?;
        let added = cells.vstack_mut(&more_cells).and_then(|_| texts.vstack_mut(&more_texts));
        added.map_err(Error::engine("init"))?;
        cells.rechunk_mut();
        texts.rechunk_mut();
    }
    Ok(Sample { file, format, csv, declared, cells, texts, of_first, header_row, sheets })
}

fn failed(error: probe::ProbeError) -> Error {
    let hint = missing_file(&error).and_then(|path| similar_file(&path));
    Error::Data(hint.map_or_else(|| error.to_string(), |hint| format!("{error}; {hint}")))
}

/// The table of a file that most probably has transactions.
struct Table {
    file: SourceFile,
    /// Row of the header of a workbook, if it is not the first.
    header_row: Option<u32>,
    sheets: Sheets,
}

fn table(file: &SourceFile, format: Format, text: &TextFormat) -> Result<Table, Error> {
    let rows: Vec<Option<u32>> = match format {
        Format::Workbook => [None].into_iter().chain((1..10).map(Some)).collect(),
        _ => vec![None],
    };
    let mut best: Option<(usize, Table)> = None;
    let mut failure = None;
    for header_row in rows {
        let choice = SheetChoice { names: SheetNames::All, header_row };
        let tables = match probe::probe(file.clone(), Some(format), text, &choice, &[]) {
            Ok((_, tables)) => tables,
            Err(error) => {
                failure.get_or_insert(error);
                continue;
            }
        };
        let sheets = match tables.as_slice() {
            [_] => Sheets::One,
            [first, rest @ ..] if rest.iter().all(|other| other.columns == first.columns) => {
                Sheets::Alike
            }
            _ => Sheets::Different,
        };
        for file in tables {
            let names: Vec<&str> = file.columns.iter().map(|(name, _)| name.as_str()).collect();
            let known = [CUSTOMER_ID, ORDERED_AT, AMOUNT, UNIT_PRICE, ORDER_ID];
            let known = known.iter().filter(|ours| roles::column(ours, &names).is_some()).count();
            if best.as_ref().is_none_or(|(most, _)| known > *most) {
                best = Some((known, Table { file, header_row, sheets }));
            }
        }
    }
    match (best, failure) {
        (Some((_, table)), _) => Ok(table),
        (None, Some(error)) => Err(failed(error)),
        (None, None) => Err(Error::Data(format!("no table in `{}`", file.name))),
    }
}

/// The cells of a file as text, and those that are texts in the file.
fn sampled(
    file: &SourceFile,
    format: Format,
    text: &TextFormat,
) -> Result<(DataFrame, DataFrame), Error> {
    let set = FileSet { files: vec![file.clone()], format, text: text.clone() };
    let names = file.columns.iter().filter(|(_, dtype)| has_text(dtype)).map(|(name, _)| name);
    let names: Vec<&String> = names.collect();
    let as_text = |name: &&String| col(name.as_str()).cast(DataType::String);
    let untyped = |name: &&String| {
        let typed = [workbook::number_name(name), workbook::time_name(name)];
        let is_typed = typed.map(|typed| col(typed).is_not_null()).into_iter().reduce(Expr::or);
        let is_typed = is_typed.unwrap_or(lit(false));
        when(is_typed).then(lit(NULL)).otherwise(col(name.as_str())).alias(name.as_str())
    };
    let owned = names.iter().map(|name| (*name).clone()).collect();
    let frames = first_rows(&set, file, owned).and_then(|rows| {
        let cells = rows.clone().lazy().select(names.iter().map(as_text).collect::<Vec<_>>());
        let cells = cells.collect()?;
        let texts = match format {
            Format::Workbook => {
                rows.lazy().select(names.iter().map(untyped).collect::<Vec<_>>()).collect()?
            }
            _ => cells.clone(),
        };
        Ok((cells, texts))
    });
    frames.map_err(Error::engine("init"))
}

/// Rows from the middle and the end of a large CSV file. A sorted file begins with few dates.
fn later_rows(file: &SourceFile, csv: &CsvGuess, cells: &DataFrame) -> Result<DataFrame, Error> {
    let io = |source| Error::Input { path: file.path.clone(), source };
    let mut content = File::open(&file.path).map_err(io)?;
    let length = content.metadata().map_err(io)?.len();
    let is_plain = csv.encoding.is_none() && csv.separator.len() == 1 && !csv.has_escapes;
    let is_compressed = [".gz", ".zst"].iter().any(|suffix| file.name.ends_with(suffix));
    if !is_plain || is_compressed || length < 64 * PIECE {
        return Ok(cells.clear());
    }
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); cells.width()];
    for start in [length / 4, length / 2, length / 4 * 3, length - PIECE] {
        let mut bytes = Vec::new();
        content.seek(SeekFrom::Start(start)).map_err(io)?;
        content.by_ref().take(PIECE).read_to_end(&mut bytes).map_err(io)?;
        // The first and the last line may be cut.
        let first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let last = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0).max(first);
        let records = csv::ReaderBuilder::new()
            .delimiter(csv.separator.as_bytes()[0])
            .quote(csv.quote as u8)
            .has_headers(false)
            .flexible(true)
            .from_reader(&bytes[first..last])
            .into_records();
        for record in records.flatten().filter(|record| record.len() == cells.width()) {
            columns.iter_mut().zip(&record).for_each(|(column, cell)| column.push(cell.to_owned()));
        }
    }
    let height = columns.first().map_or(0, Vec::len);
    let named = cells.get_column_names_owned().into_iter().zip(columns);
    let columns = named.map(|(name, values)| Column::new(name, values)).collect();
    DataFrame::new(height, columns).map_err(Error::engine("init"))
}

fn text_format(csv: Option<&CsvGuess>) -> TextFormat {
    let numbers = NumberFormat { decimal: '.', thousands: None, currency_signs: Vec::new() };
    let mut text = TextFormat {
        layout: CsvLayout::default(),
        separator: b',',
        encoding: encoding_rs::UTF_8,
        datetime_formats: Vec::new(),
        numbers,
    };
    let Some(csv) = csv else { return text };
    let quoting = Quoting {
        separator: csv.separator.clone().into_bytes(),
        quote: Some(csv.quote as u8),
        escape: csv.has_escapes.then_some(b'\\'),
        trailing_separator: csv.trailing_separator,
    };
    let is_plain = quoting.separator.len() == 1
        && csv.quote == '"'
        && !csv.has_escapes
        && !csv.trailing_separator;
    text.separator = if is_plain { quoting.separator[0] } else { Quoting::SEPARATOR };
    let label = csv.encoding.map(|label| label.replace('_', "-"));
    let encoding = label.and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
    let encoding = encoding.unwrap_or(encoding_rs::UTF_8);
    let is_decoded = encoding != encoding_rs::UTF_8 && !encoding.is_single_byte();
    text.encoding = if is_decoded { encoding_rs::UTF_8 } else { encoding };
    text.layout = CsvLayout {
        skip_rows: csv.skip_rows as u32,
        header: if csv.has_header { CsvHeader::First } else { CsvHeader::Numbered },
        decode: is_decoded.then_some(encoding),
        quoting: (!is_plain).then_some(quoting),
    };
    text
}
