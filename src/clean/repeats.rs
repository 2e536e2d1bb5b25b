//! Lines that are equal to earlier ones, found in one pass over all lines: rows are put under the hash of their cells, and compared cell by
//! cell with the first of those that have the same.
//!
//! A window over the cells says the same at three to four times the cost, most of it for groups of one.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use polars::prelude::*;
use rayon::prelude::*;

/// Rows that are hashed at once, and parts of the hashes that are gone through side by side.
const ROWS: usize = 1 << 16;
const PARTS: usize = 64;

/// Whether each line that counts has an equal one before it, by a column's number: a column of booleans.
pub(super) fn repeated(cells: Vec<Expr>, counts: Expr, number: Expr) -> Expr {
    let arguments = [vec![number], cells].concat();
    let mark = |columns: &mut [Column]| {
        let [counts, number, cells @ ..] = columns else { polars_bail!(ComputeError: "no column to compare") };
        let name = counts.name().clone();
        let found = mark(counts.bool()?, number.u64()?, cells)?;
        Ok(BooleanChunked::from_slice(name, &found).into_column())
    };
    counts.apply_many(mark, &arguments, |_, fields| Ok(Field::new(fields[0].name().clone(), DataType::Boolean)))
}

fn mark(counts: &BooleanChunked, number: &UInt64Chunked, cells: &[Column]) -> PolarsResult<Vec<bool>> {
    let columns: Vec<Box<dyn Cells>> = cells.iter().map(cells_of).collect::<PolarsResult<_>>()?;
    let (counts, number) = (counts.rechunk().into_owned(), number.rechunk().into_owned());
    let rows = counts.len();
    let mut hashes = vec![0u64; rows];
    hashes.par_chunks_mut(ROWS).enumerate().for_each(|(chunk, hashes)| {
        columns.iter().for_each(|column| column.fold(chunk * ROWS, hashes));
    });
    let counted = |row: usize| counts.get(row) == Some(true);
    // The highest bits are left to the tables.
    let part = |row: usize| (hashes[row] >> 32) as usize % PARTS;
    let mut starts = [0usize; PARTS + 1];
    (0..rows).filter(|row| counted(*row)).for_each(|row| starts[part(row) + 1] += 1);
    (0..PARTS).for_each(|part| starts[part + 1] += starts[part]);
    let mut order = vec![0u32; starts[PARTS]];
    let mut next = starts;
    for row in (0..rows).filter(|row| counted(*row)) {
        let at = &mut next[part(row)];
        order[*at] = u32::try_from(row).map_err(|_| polars_err!(ComputeError: "more lines than can be compared"))?;
        *at += 1;
    }
    let equal = |a: u32, b: u32| columns.iter().all(|column| column.same(a as usize, b as usize));
    let later: Vec<Vec<u32>> = (0..PARTS)
        .into_par_iter()
        .map(|part| {
            let rows = &order[starts[part]..starts[part + 1]];
            let mut firsts: HashTable<u32> = HashTable::with_capacity(rows.len());
            let mut later = Vec::new();
            for row in rows {
                let hash = hashes[*row as usize];
                let same = |first: &u32| hashes[*first as usize] == hash && equal(*first, *row);
                match firsts.entry(hash, same, |row| hashes[*row as usize]) {
                    Entry::Vacant(place) => {
                        place.insert(*row);
                    }
                    Entry::Occupied(mut place) => {
                        // Lines may come in any order; the first by its number stays.
                        let first = *place.get();
                        if number.get(*row as usize) < number.get(first as usize) {
                            *place.get_mut() = *row;
                            later.push(first);
                        } else {
                            later.push(*row);
                        }
                    }
                }
            }
            later
        })
        .collect();
    let mut found = vec![false; rows];
    later.into_iter().flatten().for_each(|row| found[row as usize] = true);
    Ok(found)
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
    StringType: |cell| cell;
    BinaryType: |cell| cell;
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use polars::prelude::*;

    use super::repeated;

    /// What is marked of lines that all count but those that `counts` leaves out.
    fn marked(frame: DataFrame, counts: Vec<bool>, number: Vec<u64>) -> Vec<bool> {
        let cells = frame.get_column_names().into_iter().map(|name| col(name.clone())).collect();
        let counts = Column::new("counts".into(), counts);
        let number = Column::new("number".into(), number);
        let frame = frame.hstack(&[counts, number]).unwrap();
        let found =
            frame.lazy().select([repeated(cells, col("counts"), col("number")).alias("found")]).collect().unwrap();
        found.column("found").unwrap().bool().unwrap().iter().map(|found| found.unwrap()).collect()
    }

    #[test]
    fn equal_is_equal_in_every_type() {
        let lists = Column::new(
            "lists".into(),
            [Series::new("".into(), [1]), Series::new("".into(), [1]), Series::new("".into(), [2])],
        );
        let days = Column::new("days".into(), [Some(1), Some(1), None]).cast(&DataType::Date).unwrap();
        let kinds = Column::new("kinds".into(), ["a", "a", "b"])
            .cast(&DataType::from_categories(Categories::global()))
            .unwrap();
        for (column, expected) in [
            (Column::new("texts".into(), [Some("a"), Some("a"), Some("")]), [false, true, false]),
            (Column::new("nulls".into(), [None, None, Some("")]), [false, true, false]),
            (Column::new("floats".into(), [0.0, -0.0, 0.5]), [false, true, false]),
            (Column::new("nans".into(), [f64::NAN, -f64::NAN, 0.0]), [false, true, false]),
            (Column::new("small".into(), [-1i8, -1, 1]), [false, true, false]),
            (Column::new("truths".into(), [Some(false), Some(false), None]), [false, true, false]),
            (lists, [false, true, false]),
            (days, [false, true, false]),
            (kinds, [false, true, false]),
        ] {
            let name = column.name().to_string();
            let frame = DataFrame::new(3, vec![column]).unwrap();
            assert_eq!(marked(frame.clone(), vec![true; 3], vec![1, 2, 3]), expected, "{name}");
            // The first by its number stays, wherever it stands; what does not count is neither first nor later.
            assert_eq!(marked(frame.clone(), vec![true; 3], vec![2, 1, 3]), [true, false, false], "{name}");
            assert_eq!(marked(frame, vec![false, true, true], vec![1, 2, 3]), [false; 3], "{name}");
        }
    }

    #[test]
    fn chunks_and_parts_make_no_difference() {
        let rows = 150_000u64;
        // Numbers that go round and round in no order, two columns of a few values each.
        let at = |row: u64, of: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) % of;
        let number: Vec<u64> = (0..rows).map(|row| row.wrapping_mul(48_271) % 1_000_003).collect();
        let texts: Vec<Option<String>> =
            (0..rows).map(|row| Some(at(row, 211)).filter(|n| *n != 7).map(|n| n.to_string())).collect();
        let numbers: Vec<u64> = (0..rows).map(|row| at(row ^ 0xff, 199)).collect();
        let counts: Vec<bool> = (0..rows).map(|row| at(row, 5) != 0).collect();
        let mut first: HashMap<(Option<String>, u64), u64> = HashMap::new();
        for row in (0..rows as usize).filter(|row| counts[*row]) {
            let least = first.entry((texts[row].clone(), numbers[row])).or_insert(u64::MAX);
            *least = number[row].min(*least);
        }
        let expected: Vec<bool> = (0..rows as usize)
            .map(|row| counts[row] && number[row] > first[&(texts[row].clone(), numbers[row])])
            .collect();
        let whole = df!("texts" => texts, "numbers" => numbers).unwrap();
        let mut pieces = whole.head(Some(0));
        for from in (0..rows as i64).step_by(7_001) {
            pieces.vstack_mut(&whole.slice(from, 7_001)).unwrap();
        }
        assert!(expected.iter().filter(|repeats| **repeats).count() > 10_000);
        assert_eq!(marked(whole, counts.clone(), number.clone()), expected);
        assert_eq!(marked(pieces, counts, number), expected);
    }
}
