//! Cells repeat: quantities, prices and products do, and the lines of an order share its customer and its moment. The cells of a
//! chunk are told apart once, and only the distinct ones are parsed.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use polars::prelude::*;
use std::hash::BuildHasher;

/// One column of a chunk: its distinct cells, and for every row which of them it holds.
#[derive(Debug)]
pub(super) struct Cells {
    /// The distinct cells, one after the other; the first of them is the empty one.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    places: HashTable<IdxSize>,
    rows: Vec<IdxSize>,
}

impl Cells {
    /// No row yet, but room for some.
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            bytes: Vec::new(),
            ends: vec![0],
            places: HashTable::new(),
            rows: Vec::with_capacity(rows),
        }
    }

    /// The cell of the next row.
    #[inline]
    pub(super) fn push(&mut self, cell: &[u8]) {
        let place = match self.rows.last() {
            // Lines of one order stand together.
            Some(&last) if same(at(&self.bytes, &self.ends, last), cell) => last,
            _ if cell.is_empty() => 0,
            _ => self.place(cell),
        };
        self.rows.push(place);
    }

    fn place(&mut self, cell: &[u8]) -> IdxSize {
        const HASHER: FixedState = FixedState::with_seed(0);
        let Self { bytes, ends, places, .. } = self;
        let hash = HASHER.hash_one(cell);
        if let Some(&place) = places.find(hash, |&place| same(at(bytes, ends, place), cell)) {
            return place;
        }
        let place = ends.len() as IdxSize;
        bytes.extend_from_slice(cell);
        ends.push(bytes.len() as u32);
        places.insert_unique(hash, place, |&place| HASHER.hash_one(at(bytes, ends, place)));
        place
    }

    /// The column, with a name for its text.
    pub(super) fn finish(self, name: &str) -> PolarsResult<Told> {
        let text = |place: usize| {
            let cell = at(&self.bytes, &self.ends, place as IdxSize);
            std::str::from_utf8(cell).map_err(|_| polars_err!(ComputeError: "a cell is no text"))
        };
        let mut texts = StringChunkedBuilder::new(name.into(), self.ends.len());
        texts.append_null();
        (1..self.ends.len())
            .try_for_each(|place| text(place).map(|text| texts.append_value(text)))?;
        let distinct = texts.finish().into_column();
        let empty = self.rows.contains(&0);
        Ok(Told { distinct, rows: IdxCa::from_vec(PlSmallStr::EMPTY, self.rows), empty })
    }
}

/// A column of a chunk, told apart.
pub(super) struct Told {
    /// The distinct cells as text; the empty one is null.
    pub(super) distinct: Column,
    rows: IdxCa,
    /// Whether some row holds the empty one.
    empty: bool,
}

impl Told {
    /// What was found for the distinct cells, row by row.
    pub(super) fn by_row(&self, found: &Column) -> PolarsResult<Column> {
        let first = usize::from(!self.empty);
        let held = found.slice(first as i64, found.len() - first);
        match held.null_count() == held.len() {
            true => Ok(Column::full_null(found.name().clone(), self.rows.len(), found.dtype())),
            false => found.take(&self.rows),
        }
    }
}

fn at<'a>(bytes: &'a [u8], ends: &[u32], place: IdxSize) -> &'a [u8] {
    let place = place as usize;
    let start = place.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &bytes[start..ends[place] as usize]
}

/// Whether two cells are equal. Most have up to sixteen bytes, for which a call costs more than the comparison.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(cell: &[u8]) -> Option<[[u8; N]; 2]> {
        Some([*cell.first_chunk()?, *cell.last_chunk()?])
    }
    one.len() == other.len()
        && match one.len() {
            0..4 => one.iter().eq(other),
            4..8 => ends::<4>(one) == ends::<4>(other),
            8..=16 => ends::<8>(one) == ends::<8>(other),
            _ => one == other,
        }
}
