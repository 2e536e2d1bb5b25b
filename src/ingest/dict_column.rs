//! Dictionary columns: the distinct cells of a chunk, of which each is parsed once.
//!
//! Quantities, prices and products recur, and lines of an order share its customer and timestamp.

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use polars::prelude::*;

use super::runs::Runs;

/// Collects one column of a chunk.
#[derive(Default)]
pub(super) struct DictBuilder {
    /// The distinct cells, concatenated. Entry 0 is the empty cell.
    bytes: Vec<u8>,
    /// End of each distinct cell in `bytes`.
    ends: Vec<u32>,
    short: ShortCells,
    long: HashTable<IdxSize>,
    /// Index of each row's distinct cell.
    rows: Vec<IdxSize>,
}

impl DictBuilder {
    pub(super) fn with_capacity(rows: usize) -> Self {
        let rows = Vec::with_capacity(rows);
        Self { ends: vec![0], short: ShortCells::new(), rows, ..Self::default() }
    }

    /// Adds the cell of a row: the bytes of a text within `range`.
    #[inline(always)]
    pub(super) fn push(&mut self, text: &[u8], range: Range<usize>) {
        let index = match short_key(text, &range) {
            Some(key) => match self.short.find(key) {
                Ok(index) => index,
                Err(slot) => {
                    let index = self.add(&text[range]);
                    self.short.insert(slot, key, index);
                    index
                }
            },
            None => self.index_of_long(&text[range]),
        };
        self.rows.push(index);
    }

    /// Adds a distinct cell.
    fn add(&mut self, cell: &[u8]) -> IdxSize {
        let index = self.ends.len() as IdxSize;
        self.bytes.extend_from_slice(cell);
        self.ends.push(self.bytes.len() as u32);
        index
    }

    fn index_of_long(&mut self, cell: &[u8]) -> IdxSize {
        const HASHER: FixedState = FixedState::with_seed(0);
        // Lines of one order follow each other.
        if let Some(&last) = self.rows.last()
            && long_cells_equal(cell_at(&self.bytes, &self.ends, last), cell)
        {
            return last;
        }
        let hash = HASHER.hash_one(cell);
        let Self { bytes, ends, long, .. } = self;
        if let Some(&index) = long.find(hash, |&i| cell_at(bytes, ends, i) == cell) {
            return index;
        }
        let index = self.add(cell);
        let Self { bytes, ends, long, .. } = self;
        long.insert_unique(hash, index, |&i| HASHER.hash_one(cell_at(bytes, ends, i)));
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
        Ok(DictColumn { distinct, rows: self.rows })
    }
}

/// A column of a chunk: its distinct cells, and the index of each row's cell.
pub(super) struct DictColumn {
    /// The distinct cells as text. The empty cell comes first and is null.
    pub(super) distinct: Column,
    pub(super) rows: Vec<IdxSize>,
}

impl DictColumn {
    /// Expands values of the distinct cells to the rows.
    pub(super) fn expand(&self, values: &Column) -> PolarsResult<Column> {
        expand(values, self.rows.clone())
    }

    /// Expands values of the distinct cells to the first rows of runs.
    pub(super) fn expand_to(&self, values: &Column, runs: &Runs) -> PolarsResult<Column> {
        expand(values, runs.first(self.rows.clone()))
    }
}

/// The values at `rows`. Values that are null for all cells but the empty one are often null for
/// all rows, and then the column takes no memory.
fn expand(values: &Column, rows: Vec<IdxSize>) -> PolarsResult<Column> {
    let used = values.slice(1, values.len() - 1);
    let is_null =
        used.null_count() == used.len() && (values.get(0)?.is_null() || !rows.contains(&0));
    if is_null {
        return Ok(Column::full_null(values.name().clone(), rows.len(), values.dtype()));
    }
    values.take(&IdxCa::from_vec(PlSmallStr::EMPTY, rows))
}

fn cell_at<'a>(bytes: &'a [u8], ends: &[u32], index: IdxSize) -> &'a [u8] {
    let index = index as usize;
    let start = index.checked_sub(1).map_or(0, |previous| ends[previous] as usize);
    &bytes[start..ends[index] as usize]
}

/// Whether two cells are equal. Timestamps have 16 to 32 bytes, for which a call of `memcmp` costs
/// more than the comparison.
#[inline]
fn long_cells_equal(a: &[u8], b: &[u8]) -> bool {
    let ends = |cell: &[u8]| Some([*cell.first_chunk::<16>()?, *cell.last_chunk::<16>()?]);
    a.len() == b.len() && ends(a) == ends(b) && (a.len() <= 32 || a == b)
}

/// Longest cell that is compared as a number.
const SHORT: usize = 15;

/// A short cell as a number: its bytes, and its length in the highest byte.
#[inline(always)]
fn short_key(text: &[u8], range: &Range<usize>) -> Option<u128> {
    let length = range.len();
    if length > SHORT {
        return None;
    }
    let window = text.get(range.start..).and_then(<[u8]>::first_chunk::<16>);
    let bytes = window.copied().unwrap_or_else(|| {
        let mut bytes = [0; 16];
        bytes[..length].copy_from_slice(&text[range.clone()]);
        bytes
    });
    let cell = u128::from_le_bytes(bytes) & ((1 << (8 * length)) - 1);
    Some(cell | (length as u128) << 120)
}

/// The short cells of a column with their indices. The cells of a chunk are few and are looked up
/// for each row, so this is simpler than a general hash table and twice as fast.
#[derive(Default)]
struct ShortCells {
    /// Key and index. The key of an empty slot is that of the empty cell, whose index is 0. The
    /// number of slots is a power of two, and at most half of them are used.
    slots: Vec<(u128, IdxSize)>,
    used: usize,
    last: (u128, IdxSize),
}

impl ShortCells {
    fn new() -> Self {
        Self { slots: vec![(0, 0); 1 << 8], ..Self::default() }
    }

    /// The index of a cell, or the slot for it.
    #[inline(always)]
    fn find(&mut self, key: u128) -> Result<IdxSize, usize> {
        // Lines of one order follow each other.
        if self.last.0 == key {
            return Ok(self.last.1);
        }
        let slot = self.slot(key);
        let (found, index) = self.slots[slot];
        if found != key {
            return Err(slot);
        }
        self.last = (key, index);
        Ok(index)
    }

    /// The slot of a key, or the empty slot for it.
    #[inline(always)]
    fn slot(&self, key: u128) -> usize {
        let folded = key as u64 ^ ((key >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = folded.wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mask = self.slots.len() - 1;
        let mut slot = (hash >> 32) as usize & mask;
        while self.slots[slot].0 != key && self.slots[slot].0 != 0 {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[cold]
    fn insert(&mut self, slot: usize, key: u128, index: IdxSize) {
        self.slots[slot] = (key, index);
        self.last = (key, index);
        self.used += 1;
        if 2 * self.used > self.slots.len() {
            let grown = vec![(0, 0); 4 * self.slots.len()];
            for (key, index) in std::mem::replace(&mut self.slots, grown) {
                if key != 0 {
                    let slot = self.slot(key);
                    self.slots[slot] = (key, index);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::DictBuilder;

    proptest! {
        /// Cells of all lengths, with zero bytes, and more than the first slots of the table.
        #[test]
        fn equal_cells_have_equal_indices(
            cells in prop::collection::vec("[ab\\x00é]{0,20}|[0-9]{1,4}", 0..2_000)
        ) {
            let mut builder = DictBuilder::with_capacity(cells.len());
            let text = cells.concat();
            let mut start = 0;
            for cell in &cells {
                builder.push(text.as_bytes(), start..start + cell.len());
                start += cell.len();
            }
            let column = builder.finish("x").unwrap();
            let texts = column.expand(&column.distinct).unwrap();
            let texts: Vec<&str> = texts.str().unwrap().iter().map(Option::unwrap_or_default).collect();
            prop_assert_eq!(&texts, &cells);
            let distinct: HashMap<&String, ()> = cells.iter().map(|cell| (cell, ())).collect();
            let with_empty = distinct.len() + usize::from(!distinct.contains_key(&String::new()));
            prop_assert_eq!(column.distinct.len(), with_empty);
        }
    }
}
