//! Dictionary columns: the distinct cells of a chunk, of which each is parsed once.
//!
//! Quantities, prices and products recur, and lines of an order share its customer and timestamp.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use polars::prelude::*;

/// Collects one column of a chunk.
#[derive(Default)]
pub(super) struct DictBuilder {
    /// The distinct cells, concatenated. Entry 0 is the empty cell.
    bytes: Vec<u8>,
    /// End of each distinct cell in `bytes`.
    ends: Vec<u32>,
    entries: HashTable<IdxSize>,
    /// Index of each row's distinct cell.
    rows: Vec<IdxSize>,
}

impl DictBuilder {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { ends: vec![0], rows: Vec::with_capacity(rows), ..Self::default() }
    }

    #[inline]
    pub(super) fn push(&mut self, cell: &[u8]) {
        let index = match self.rows.last() {
            // Lines of one order follow each other.
            Some(&last) if cells_equal(cell_at(&self.bytes, &self.ends, last), cell) => last,
            _ if cell.is_empty() => 0,
            _ => self.index_of(cell),
        };
        self.rows.push(index);
    }

    /// Index of a distinct cell, which is added if it is new.
    fn index_of(&mut self, cell: &[u8]) -> IdxSize {
        const HASHER: FixedState = FixedState::with_seed(0);
        let Self { bytes, ends, entries, .. } = self;
        let hash = HASHER.hash_one(cell);
        if let Some(&index) = entries.find(hash, |&i| cells_equal(cell_at(bytes, ends, i), cell)) {
            return index;
        }
        let index = ends.len() as IdxSize;
        bytes.extend_from_slice(cell);
        ends.push(bytes.len() as u32);
        entries.insert_unique(hash, index, |&i| HASHER.hash_one(cell_at(bytes, ends, i)));
        index
    }

    /// Finishes the column. `name` is the name of its text.
    pub(super) fn finish(self, name: &str) -> PolarsResult<DictColumn> {
        let mut texts = StringChunkedBuilder::new(name.into(), self.ends.len());
        texts.append_null();
        for index in 1..self.ends.len() {
            let cell = cell_at(&self.bytes, &self.ends, index as IdxSize);
            let text = std::str::from_utf8(cell)
                .map_err(|_| polars_err!(ComputeError: "a cell is not UTF-8"))?;
            texts.append_value(text);
        }
        let distinct = texts.finish().into_column();
        let has_empty = self.rows.contains(&0);
        let rows = IdxCa::from_vec(PlSmallStr::EMPTY, self.rows);
        Ok(DictColumn { distinct, rows, has_empty })
    }
}

/// A column of a chunk: its distinct cells, and the index of each row's cell.
pub(super) struct DictColumn {
    /// The distinct cells as text. The empty cell comes first and is null.
    pub(super) distinct: Column,
    rows: IdxCa,
    /// Whether a row has an empty cell.
    has_empty: bool,
}

impl DictColumn {
    /// Expands values of the distinct cells to the rows.
    pub(super) fn expand(&self, values: &Column) -> PolarsResult<Column> {
        let first = usize::from(!self.has_empty);
        let used = values.slice(first as i64, values.len() - first);
        if used.null_count() == used.len() {
            Ok(Column::full_null(values.name().clone(), self.rows.len(), values.dtype()))
        } else {
            values.take(&self.rows)
        }
    }
}

fn cell_at<'a>(bytes: &'a [u8], ends: &[u32], index: IdxSize) -> &'a [u8] {
    let index = index as usize;
    let start = index.checked_sub(1).map_or(0, |previous| ends[previous] as usize);
    &bytes[start..ends[index] as usize]
}

/// Whether two cells are equal. Most have up to 16 bytes, for which a call of `memcmp` costs more
/// than the comparison.
#[inline]
fn cells_equal(a: &[u8], b: &[u8]) -> bool {
    fn head_and_tail<const N: usize>(cell: &[u8]) -> Option<[[u8; N]; 2]> {
        Some([*cell.first_chunk()?, *cell.last_chunk()?])
    }
    a.len() == b.len()
        && match a.len() {
            0..4 => a.iter().eq(b),
            4..8 => head_and_tail::<4>(a) == head_and_tail::<4>(b),
            8..=16 => head_and_tail::<8>(a) == head_and_tail::<8>(b),
            _ => a == b,
        }
}
