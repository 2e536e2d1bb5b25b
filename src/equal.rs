//! Rows whose cells are equal: they are put under the hash of their cells, and compared cell by cell with those that have the same.
//!
//! A group-by over the cells says the same at two to four times the cost, most of it for groups of one.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use polars::prelude::*;
use rayon::prelude::*;

/// Rows that are hashed at once, and parts of the hashes that are gone through side by side.
const ROWS: usize = 1 << 16;
const PARTS: usize = 64;

/// Of the rows that count, one of each that are equal, in no order: the one that is before the others.
///
/// # Errors
/// More rows than 32 bits can number.
pub fn firsts(
    columns: &[&Column],
    counts: &[bool],
    before: impl Fn(u32, u32) -> bool + Sync,
) -> PolarsResult<Vec<u32>> {
    let columns: Vec<Box<dyn Cells>> =
        columns.iter().map(|column| cells_of(column)).collect::<PolarsResult<_>>()?;
    u32::try_from(counts.len())
        .map_err(|_| polars_err!(ComputeError: "more lines than can be compared"))?;
    let pieces: Vec<Vec<Vec<Hashed>>> = counts
        .par_chunks(ROWS)
        .enumerate()
        .map(|(piece, counts)| hashed(&columns, piece * ROWS, counts))
        .collect();
    let equal = |a: u32, b: u32| columns.iter().all(|column| column.same(a as usize, b as usize));
    let of_part = |part: usize| {
        let rows = || pieces.iter().map(|piece| &piece[part]);
        let mut firsts: HashTable<Hashed> = HashTable::with_capacity(rows().map(Vec::len).sum());
        for row in rows().flatten() {
            let same = |first: &Hashed| first.hash == row.hash && equal(first.row, row.row);
            match firsts.entry(row.spread(), same, Hashed::spread) {
                Entry::Vacant(place) => {
                    place.insert(*row);
                }
                Entry::Occupied(mut first) if before(row.row, first.get().row) => {
                    *first.get_mut() = *row
                }
                Entry::Occupied(_) => {}
            }
        }
        firsts.into_iter().map(|first| first.row).collect::<Vec<_>>()
    };
    let firsts: Vec<Vec<u32>> = (0..PARTS).into_par_iter().map(of_part).collect();
    Ok(firsts.concat())
}

/// A row beside half of the hash of its cells, so that most rows that differ are known for it without a look at their cells.
#[derive(Clone, Copy)]
struct Hashed {
    hash: u32,
    row: u32,
}

impl Hashed {
    /// Spread over 64 bits, the lowest and the highest of which tables look at: rows of one part have some bits in common.
    fn spread(&self) -> u64 {
        u64::from(self.hash).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
    }

    fn part(hash: u32) -> usize {
        hash as usize % PARTS
    }
}

/// The rows that count, from a row on, by the part of their hashes.
fn hashed(columns: &[Box<dyn Cells>], from: usize, counts: &[bool]) -> Vec<Vec<Hashed>> {
    let mut hashes = vec![0u64; counts.len()];
    columns.iter().for_each(|column| column.fold(from, &mut hashes));
    let mut parts: Vec<_> =
        (0..PARTS).map(|_| Vec::with_capacity(counts.len() / PARTS * 5 / 4)).collect();
    for ((hash, row), _) in
        hashes.into_iter().zip(from as u32..).zip(counts).filter(|(_, counts)| **counts)
    {
        let hash = hash as u32;
        parts[Hashed::part(hash)].push(Hashed { hash, row });
    }
    parts
}

/// A column whose cells can be hashed and compared; nulls are equal to each other.
trait Cells: Send + Sync {
    /// Takes the cells from a row on into the hashes of their rows.
    fn fold(&self, from: usize, hashes: &mut [u64]);
    /// Whether two cells are equal.
    fn same(&self, a: usize, b: usize) -> bool;
}

/// Takes values into hashes.
fn fold<V: Hash>(values: impl Iterator<Item = V>, hashes: &mut [u64]) {
    let state = FixedState::default();
    hashes.iter_mut().zip(values).for_each(|(hash, value)| *hash = state.hash_one((*hash, value)));
}

/// Cells of types that polars keeps as they are, each with what makes equal values the same.
macro_rules! cells {
    ($($type:ty: $same:expr;)+) => {
        $(impl Cells for ChunkedArray<$type> {
            fn fold(&self, from: usize, hashes: &mut [u64]) {
                fold(self.slice(from as i64, hashes.len()).iter().map(|cell| cell.map($same)), hashes);
            }

            fn same(&self, a: usize, b: usize) -> bool {
                self.get(a).map($same) == self.get(b).map($same)
            }
        })+
    };
}

cells! {
    Int8Type: |cell| cell;
    Int16Type: |cell| cell;
    Int32Type: |cell| cell;
    Int64Type: |cell| cell;
    Int128Type: |cell| cell;
    UInt8Type: |cell| cell;
    UInt16Type: |cell| cell;
    UInt32Type: |cell| cell;
    UInt64Type: |cell| cell;
    Float32Type: |cell| bits(f64::from(cell));
    Float64Type: bits;
    BooleanType: |cell| cell;
    BinaryType: |cell| cell;
}

impl Cells for StringChunked {
    fn fold(&self, from: usize, hashes: &mut [u64]) {
        fold(self.slice(from as i64, hashes.len()).iter(), hashes);
    }

    fn same(&self, a: usize, b: usize) -> bool {
        // A column of one piece needs no look for the right one.
        if self.chunks().len() == 1 {
            let array = self.downcast_as_array();
            return array.get(a) == array.get(b);
        }
        self.get(a) == self.get(b)
    }
}

/// Cells of any other type, such as lists.
struct Others(Series);

impl Cells for Others {
    fn fold(&self, from: usize, hashes: &mut [u64]) {
        fold((from..).map(|row| self.0.get(row).unwrap_or(AnyValue::Null)), hashes);
    }

    fn same(&self, a: usize, b: usize) -> bool {
        self.0.get(a).ok() == self.0.get(b).ok()
    }
}

/// The bits of a float, of which all that are not a number are one, as are both zeros.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

fn cells_of(column: &Column) -> PolarsResult<Box<dyn Cells>> {
    // Moments, days, decimals and categories are numbers beneath. Chunks stay as they came: few cells are looked up one by one.
    let series = column.as_materialized_series().to_physical_repr().into_owned();
    Ok(match series.dtype() {
        DataType::Int8 => Box::new(series.i8()?.clone()),
        DataType::Int16 => Box::new(series.i16()?.clone()),
        DataType::Int32 => Box::new(series.i32()?.clone()),
        DataType::Int64 => Box::new(series.i64()?.clone()),
        DataType::Int128 => Box::new(series.i128()?.clone()),
        DataType::UInt8 => Box::new(series.u8()?.clone()),
        DataType::UInt16 => Box::new(series.u16()?.clone()),
        DataType::UInt32 => Box::new(series.u32()?.clone()),
        DataType::UInt64 => Box::new(series.u64()?.clone()),
        DataType::Float32 => Box::new(series.f32()?.clone()),
        DataType::Float64 => Box::new(series.f64()?.clone()),
        DataType::Boolean => Box::new(series.bool()?.clone()),
        DataType::String => Box::new(series.str()?.clone()),
        DataType::Binary => Box::new(series.binary()?.clone()),
        _ => Box::new(Others(series)),
    })
}
