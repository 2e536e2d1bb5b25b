//! First occurrences of duplicate rows. Rows are bucketed by the hash of their cells and compared
//! cell by cell within a bucket. A Polars group-by costs two to four times as much, most of it for
//! groups of one.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use polars::prelude::*;
use rayon::prelude::*;

/// Rows hashed per task.
const CHUNK_ROWS: usize = 1 << 16;
/// Partitions of the hashes, processed in parallel.
const PARTITIONS: usize = 64;

/// Row index of the first row (by `before`) of each group of equal selected rows, in no order.
///
/// # Errors
/// More than `u32::MAX` rows.
pub(crate) fn first_occurrences(
    columns: &[&Column],
    selected: &[bool],
    before: impl Fn(u32, u32) -> bool + Sync,
) -> PolarsResult<Vec<u32>> {
    let columns: Vec<Box<dyn Cells>> =
        columns.iter().map(|column| cells_of(column)).collect::<PolarsResult<_>>()?;
    u32::try_from(selected.len()).map_err(
        |_| polars_err!(ComputeError: "more than {} lines cannot be compared", u32::MAX),
    )?;
    let chunks: Vec<Vec<Vec<HashedRow>>> = selected
        .par_chunks(CHUNK_ROWS)
        .enumerate()
        .map(|(chunk, selected)| hash_rows(&columns, chunk * CHUNK_ROWS, selected))
        .collect();
    let equal = |a: u32, b: u32| columns.iter().all(|column| column.equal(a as usize, b as usize));
    let firsts_of_partition = |partition: usize| {
        let rows = || chunks.iter().map(|chunk| &chunk[partition]);
        let mut firsts: HashTable<HashedRow> = HashTable::with_capacity(rows().map(Vec::len).sum());
        for row in rows().flatten() {
            let same = |first: &HashedRow| first.hash == row.hash && equal(first.row, row.row);
            match firsts.entry(row.table_hash(), same, HashedRow::table_hash) {
                Entry::Vacant(entry) => {
                    entry.insert(*row);
                }
                Entry::Occupied(mut first) => {
                    if before(row.row, first.get().row) {
                        *first.get_mut() = *row;
                    }
                }
            }
        }
        firsts.into_iter().map(|first| first.row).collect::<Vec<_>>()
    };
    let firsts: Vec<Vec<u32>> = (0..PARTITIONS).into_par_iter().map(firsts_of_partition).collect();
    Ok(firsts.concat())
}

/// A row and half of the hash of its cells: most different rows are distinguished without comparing
/// cells.
#[derive(Clone, Copy)]
struct HashedRow {
    hash: u32,
    row: u32,
}

impl HashedRow {
    /// Spreads the hash over 64 bits: hash tables use the lowest and highest bits, and rows of one
    /// partition share some of theirs.
    fn table_hash(&self) -> u64 {
        u64::from(self.hash).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
    }

    fn partition(hash: u32) -> usize {
        hash as usize % PARTITIONS
    }
}

/// The selected rows of a chunk that starts at row `offset`, by partition.
fn hash_rows(columns: &[Box<dyn Cells>], offset: usize, selected: &[bool]) -> Vec<Vec<HashedRow>> {
    let mut hashes = vec![0u64; selected.len()];
    columns.iter().for_each(|column| column.fold(offset, &mut hashes));
    let capacity = selected.len() / PARTITIONS * 5 / 4;
    let mut partitions: Vec<_> = (0..PARTITIONS).map(|_| Vec::with_capacity(capacity)).collect();
    for ((hash, row), _) in
        hashes.into_iter().zip(offset as u32..).zip(selected).filter(|(_, selected)| **selected)
    {
        let hash = hash as u32;
        partitions[HashedRow::partition(hash)].push(HashedRow { hash, row });
    }
    partitions
}

/// A column whose cells can be hashed and compared. Nulls are equal to each other.
trait Cells: Send + Sync {
    /// Folds the cells from row `offset` on into the hashes of their rows.
    fn fold(&self, offset: usize, hashes: &mut [u64]);
    fn equal(&self, a: usize, b: usize) -> bool;
}

fn fold<V: Hash>(values: impl Iterator<Item = V>, hashes: &mut [u64]) {
    let state = FixedState::default();
    hashes.iter_mut().zip(values).for_each(|(hash, value)| *hash = state.hash_one((*hash, value)));
}

/// Implements `Cells` for flat types, each with a function that normalises equal values.
macro_rules! cells {
    ($($type:ty: $normalise:expr;)+) => {
        $(impl Cells for ChunkedArray<$type> {
            fn fold(&self, offset: usize, hashes: &mut [u64]) {
                let cells = self.slice(offset as i64, hashes.len());
                fold(cells.iter().map(|cell| cell.map($normalise)), hashes);
            }

            fn equal(&self, a: usize, b: usize) -> bool {
                self.get(a).map($normalise) == self.get(b).map($normalise)
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
    fn fold(&self, offset: usize, hashes: &mut [u64]) {
        fold(self.slice(offset as i64, hashes.len()).iter(), hashes);
    }

    fn equal(&self, a: usize, b: usize) -> bool {
        // With a single chunk the chunk lookup is skipped.
        if self.chunks().len() == 1 {
            let array = self.downcast_as_array();
            return array.get(a) == array.get(b);
        }
        self.get(a) == self.get(b)
    }
}

/// Cells of nested types, such as lists.
struct OtherCells(Series);

impl Cells for OtherCells {
    fn fold(&self, offset: usize, hashes: &mut [u64]) {
        fold((offset..).map(|row| self.0.get(row).unwrap_or(AnyValue::Null)), hashes);
    }

    fn equal(&self, a: usize, b: usize) -> bool {
        self.0.get(a).ok() == self.0.get(b).ok()
    }
}

/// The bits of a float; all NaNs are equal, and so are both zeros.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

fn cells_of(column: &Column) -> PolarsResult<Box<dyn Cells>> {
    // Dates, timestamps, decimals and categories are physically numbers. Chunks are not merged
    // because few cells are compared one by one.
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
        _ => Box::new(OtherCells(series)),
    })
}
