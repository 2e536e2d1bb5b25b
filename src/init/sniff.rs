//! The layout of a CSV file from its first bytes.

use std::io::Read;
use std::path::Path;

use encoding_rs::{Encoding, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1251, WINDOWS_1252};

use crate::error::Error;
use crate::ingest::Format;
use crate::ingest::csv_layout::decompressed;

/// Bytes that decide the layout.
const HEAD: u64 = 256 << 10;
/// Records that decide the layout.
const RECORDS: usize = 300;

/// The layout of a CSV file, as options of `csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CsvGuess {
    pub(super) separator: String,
    /// `None` for UTF-8.
    pub(super) encoding: Option<&'static str>,
    /// Whether the encoding is one of several that can decode the file.
    pub(super) is_encoding_guessed: bool,
    pub(super) skip_rows: usize,
    pub(super) has_header: bool,
    pub(super) quote: char,
    pub(super) has_escapes: bool,
    pub(super) trailing_separator: bool,
}

/// The format of a file without a known suffix, by its first bytes.
pub(super) fn format(path: &Path) -> Format {
    let mut head = Vec::new();
    let opened = std::fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    match head.trim_ascii_start() {
        _ if opened.is_err() => Format::Csv,
        [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Format::Arrow,
        [b'P', b'K', 3, 4, ..] | [0xd0, 0xcf, 0x11, 0xe0, ..] => Format::Workbook,
        [b'{' | b'[', ..] => Format::JsonLines,
        _ => Format::Csv,
    }
}

/// Guesses the layout of a file.
///
/// # Errors
/// The file cannot be read, or is empty.
pub(super) fn sniff(path: &Path) -> Result<CsvGuess, Error> {
    let name = path.to_string_lossy();
    let mut bytes = Vec::new();
    decompressed(path, &name)
        .and_then(|reader| reader.take(HEAD).read_to_end(&mut bytes))
        .map_err(|source| Error::Input { path: path.to_owned(), source })?;
    let (encoding, is_encoding_guessed) = encoding(&bytes);
    let (text, _, _) = encoding.decode(&bytes);
    guess(&text)
        .map(|guess| CsvGuess {
            encoding: (encoding != UTF_8).then(|| option_of(encoding)),
            is_encoding_guessed,
            ..guess
        })
        .ok_or_else(|| Error::Data(format!("`{}` has no record", path.display())))
}

fn option_of(encoding: &'static Encoding) -> &'static str {
    match encoding.name() {
        "windows-1252" => "windows_1252",
        "UTF-16LE" | "UTF-16BE" => "utf-16",
        name => name,
    }
}

/// The encoding of bytes, and whether others are possible.
fn encoding(bytes: &[u8]) -> (&'static Encoding, bool) {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return (encoding, false);
    }
    let nuls = |start: usize| bytes.iter().skip(start).step_by(2).take(500).filter(|b| **b == 0);
    if bytes.len() > 8 && nuls(1).count() * 3 > bytes.len().min(1000) {
        return (UTF_16LE, false);
    }
    if bytes.len() > 8 && nuls(0).count() * 3 > bytes.len().min(1000) {
        return (UTF_16BE, false);
    }
    // The last character may be cut.
    match std::str::from_utf8(bytes) {
        Ok(_) => (UTF_8, false),
        Err(error) if bytes.len() - error.valid_up_to() < 4 && error.error_len().is_none() => {
            (UTF_8, false)
        }
        Err(_) => {
            let decoded = SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes);
            let is_kana = |c: char| ('\u{3040}'..='\u{30ff}').contains(&c);
            let is_japanese =
                decoded.is_some_and(|text| text.chars().filter(|c| is_kana(*c)).count() > 2);
            // Most letters of Cyrillic text are above 0xc0, few of Western text are.
            let high = bytes.iter().filter(|byte| **byte >= 0xc0).count();
            let low = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
            let single = if high > low { WINDOWS_1251 } else { WINDOWS_1252 };
            (if is_japanese { SHIFT_JIS } else { single }, true)
        }
    }
}

fn guess(text: &str) -> Option<CsvGuess> {
    let mut rest = text;
    let mut declared = declared_separator(text);
    if declared.is_some() {
        rest = rest.split_once('\n')?.1;
    } else if rest.contains("||") && !rest.replace("||", "").contains('|') {
        declared = Some("||".to_owned());
    }
    let quote = quote(rest);
    let has_escapes = quote == '"' && rest.contains("\\\"");
    let escape = has_escapes.then_some(b'\\');
    let candidates = [",", ";", "\t", "|"];
    let (separator, rows) = match &declared {
        Some(separator) => {
            let rows = records(rest, separator, quote, escape);
            (separator.clone(), rows)
        }
        None => candidates
            .into_iter()
            .map(|separator| (separator.to_owned(), records(rest, separator, quote, escape)))
            .max_by(|(_, one), (_, other)| score(one).total_cmp(&score(other)))?,
    };
    let width = mode(&rows)?;
    let of_width = |row: &Vec<String>| row.len() == width || row.len() + 1 == width;
    let first = rows.iter().position(|(_, row)| {
        of_width(row) && row.iter().filter(|cell| !cell.trim().is_empty()).count() > 1
    })?;
    let (line, header) = &rows[first];
    let trailing_separator = width == header.len() + 1
        && rows
            .iter()
            .skip(first + 1)
            .all(|(_, row)| row.len() != width || row.last().is_some_and(String::is_empty));
    let is_value = |cell: &String| {
        let cell = cell.trim();
        cell.chars().any(|c| c.is_ascii_digit())
            && cell.chars().all(|c| c.is_ascii_digit() || " .,:/-+TZ()€$£%".contains(c))
    };
    let has_header = !header.iter().any(is_value);
    Some(CsvGuess {
        separator,
        encoding: None,
        is_encoding_guessed: false,
        skip_rows: *line,
        has_header,
        quote,
        has_escapes,
        trailing_separator,
    })
}

fn declared_separator(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    let separator = line.strip_prefix("sep=").or_else(|| line.strip_prefix("SEP="))?;
    (separator.chars().count() == 1).then(|| separator.to_owned())
}

/// The character around fields: `'` if fields begin and end with it, as no word does.
fn quote(text: &str) -> char {
    let count = |parts: &[&str]| parts.iter().map(|part| text.matches(part).count()).sum::<usize>();
    let single = count(&[",'", ";'", "\t'", "\n'"]);
    let closed = count(&["',", "';", "'\t", "'\n", "'\r"]);
    let double = count(&[",\"", ";\"", "\t\"", "\n\""]);
    if single > double && closed >= single { '\'' } else { '"' }
}

/// The first records with the number of the line that each begins on.
fn records(
    text: &str,
    separator: &str,
    quote: char,
    escape: Option<u8>,
) -> Vec<(usize, Vec<String>)> {
    let (text, delimiter) = match separator.as_bytes() {
        [byte] => (text.to_owned(), *byte),
        _ => (text.replace(separator, "\u{1f}"), 0x1f),
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quote(quote as u8)
        .escape(escape)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while rows.len() < RECORDS && reader.read_record(&mut record).unwrap_or(false) {
        // Blank lines count as part of the next record.
        let end = reader.position().line() as usize;
        let inner: usize = record.iter().map(|cell| cell.matches('\n').count()).sum();
        rows.push((end.saturating_sub(2 + inner), record.iter().map(str::to_owned).collect()));
    }
    // The last record may be cut.
    if rows.len() > 2 && text.len() as u64 >= HEAD {
        rows.pop();
    }
    rows
}

/// The most frequent number of fields, at least two.
fn mode(rows: &[(usize, Vec<String>)]) -> Option<usize> {
    let widths = rows.iter().map(|(_, row)| row.len()).filter(|width| *width > 1);
    let mut counts = std::collections::BTreeMap::new();
    widths.for_each(|width| *counts.entry(width).or_insert(0usize) += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(width, _)| width)
}

/// How well a separator splits records: the share of records with as many fields as most, and more
/// for more fields.
fn score(rows: &[(usize, Vec<String>)]) -> f64 {
    let Some(width) = mode(rows) else { return 0.0 };
    let fitting = rows.iter().filter(|(_, row)| row.len() == width).count();
    fitting as f64 / rows.len() as f64 + (width as f64).ln() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_found() {
        let plain = CsvGuess {
            separator: ",".to_owned(),
            encoding: None,
            is_encoding_guessed: false,
            skip_rows: 0,
            has_header: true,
            quote: '"',
            has_escapes: false,
            trailing_separator: false,
        };
        let with = |separator: &str| CsvGuess { separator: separator.to_owned(), ..plain.clone() };
        for (text, expected) in [
            ("who,no,at\na,1,2024-01-05\nb,2,2024-01-05\n", plain.clone()),
            ("who;no;at;sum\na;1;2024-01-05;1,50\n", with(";")),
            ("who\tno\tat\na\t1\t2024-01-05\n", with("\t")),
            ("who||no||at\na||1||2024-01-05\n", with("||")),
            ("sep=;\nwho;no\na;1\n", with(";")),
            ("Report\n\nwho,no,at\na,1,2024-01-05\n", CsvGuess { skip_rows: 2, ..plain.clone() }),
            ("a,1,2024-01-05\nb,2,2024-01-05\n", CsvGuess { has_header: false, ..plain.clone() }),
            ("who,no\na,1,\nb,2,\n", CsvGuess { trailing_separator: true, ..plain.clone() }),
            ("who,no\n'a,b',1\n'c',2\n", CsvGuess { quote: '\'', ..plain.clone() }),
            ("who,no\n\"a \\\"b\\\"\",1\n", CsvGuess { has_escapes: true, ..plain.clone() }),
        ] {
            assert_eq!(guess(text), Some(expected), "{text}");
        }
    }
}
