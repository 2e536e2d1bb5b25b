//! Samples of a file's rows: from its start, from further on, and from its end.

use std::ops::Range;

use super::chunks::{Chunk, Chunks, ReadError, scan_record_boundaries};
use super::{Source, SourceFile};

/// Bytes of a CSV file from which records are taken.
const MOST_BYTES: usize = 2 << 30;

/// Whether rows are taken from a file of a source: from the first, the last, and one between them.
pub(super) fn has_file(source: &Source, file: &SourceFile) -> bool {
    let files = &source.set.files;
    let chosen = [Some(0), Some(files.len() / 2), files.len().checked_sub(1)];
    let mut chosen = chosen.into_iter().flatten().filter_map(|idx| files.get(idx));
    chosen.any(|chosen| chosen.name == file.name)
}

/// Ranges of three parts of `n` rows, with about `rows` rows in all.
pub(super) fn parts(n: u64, rows: u64) -> Vec<Range<u64>> {
    if n <= rows {
        return std::iter::once(0..n).collect();
    }
    let part = rows.div_ceil(3).min(n / 3);
    vec![0..part, (n - part) / 2..(n + part) / 2, n - part..n]
}

/// About `rows` records of a CSV file, and its header. Records of a long file are taken from its
/// second half instead of its middle, and not from after its first 2 GiB.
pub(super) fn records(
    chunks: &mut Chunks,
    separator: u8,
    rows: usize,
) -> Result<Vec<Chunk>, ReadError> {
    let Some(first) = chunks.next(Vec::new())? else { return Ok(Vec::new()) };
    let mut bytes = first.bytes.len();
    let (mut later, mut last): (Option<Chunk>, Option<Chunk>) = (None, None);
    for number in 0usize.. {
        if bytes > MOST_BYTES {
            break;
        }
        let Some(chunk) = chunks.next(Vec::new())? else { break };
        bytes += chunk.bytes.len();
        if let Some(before) = last.replace(chunk)
            && number.is_power_of_two()
        {
            later = Some(before);
        }
    }
    let cut = |chunk: &Chunk, range: Range<u64>| cut(chunk, separator, range);
    let part = rows.div_ceil(3) as u64;
    let Some(last) = last else {
        if first.ambiguous {
            return Ok(vec![first]);
        }
        // The header is no row.
        let header = u64::from(first.first == 0);
        let ranges = parts(first.records as u64 - header, rows as u64).into_iter();
        let ranges =
            ranges.map(
                |Range { start, end }| {
                    if start == 0 { 0..end + header } else { start + header..end + header }
                },
            );
        return Ok(ranges.map(|range| cut(&first, range)).collect());
    };
    let head = |chunk: &Chunk| cut(chunk, 0..part);
    let tail = |chunk: &Chunk| {
        let n = chunk.records as u64;
        cut(chunk, n.saturating_sub(part)..n)
    };
    // The first of two chunks ends in the middle of the file.
    let middle = later.as_ref().map_or_else(|| tail(&first), head);
    Ok(vec![head(&first), middle, tail(&last)])
}

/// Some records of a chunk. A chunk with ambiguous quotes stays whole.
fn cut(chunk: &Chunk, separator: u8, range: Range<u64>) -> Chunk {
    let Range { start, end } = range;
    if chunk.ambiguous {
        return Chunk { bytes: chunk.bytes.clone(), ..*chunk };
    }
    let (from, first, lines) = end_of(&chunk.bytes, separator, start);
    let to = if end >= chunk.records as u64 {
        chunk.bytes.len()
    } else {
        end_of(&chunk.bytes, separator, end).0
    };
    Chunk {
        bytes: chunk.bytes[from..to].to_vec(),
        first: chunk.first + first,
        records: (end.min(chunk.records as u64) - first) as usize,
        line: chunk.line + lines,
        ambiguous: false,
    }
}

/// Where the first `n` records end, their number, and the number of their lines.
fn end_of(bytes: &[u8], separator: u8, n: u64) -> (usize, u64, u64) {
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = low.midpoint(high);
        if (scan_record_boundaries(&bytes[..middle], separator).records as u64) < n {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let boundaries = scan_record_boundaries(&bytes[..low], separator);
    (boundaries.end, boundaries.records as u64, boundaries.lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_start_the_middle_and_the_end() {
        assert_eq!(
            parts(10, 10).into_iter().flatten().collect::<Vec<_>>(),
            (0..10).collect::<Vec<_>>()
        );
        assert_eq!(parts(100, 9), [0..3, 48..51, 97..100]);
        assert_eq!(parts(2, 1), [0..0, 1..1, 2..2]);
    }

    #[test]
    fn records_are_cut_with_their_numbers_and_lines() {
        let bytes = b"a,b\n1,\"x\ny\"\n2,z\n\n3,w\n4,v".to_vec();
        let chunk = Chunk { bytes, first: 0, records: 5, line: 1, ambiguous: false };
        let cut = |range| {
            let Chunk { bytes, first, records, line, .. } = cut(&chunk, b',', range);
            (String::from_utf8(bytes).unwrap(), first, records, line)
        };
        assert_eq!(cut(0..2), ("a,b\n1,\"x\ny\"\n".to_owned(), 0, 2, 1));
        assert_eq!(cut(2..3), ("2,z\n".to_owned(), 2, 1, 4));
        assert_eq!(cut(3..5), ("\n3,w\n4,v".to_owned(), 3, 2, 5));
    }
}
