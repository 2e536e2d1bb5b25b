//! Lines that are equal to earlier ones, found in one pass over all lines.

use polars::prelude::*;

use crate::equal;

/// Whether each line that counts has an equal one before it, by a column's number: a column of booleans.
pub(super) fn repeated(cells: Vec<Expr>, counts: Expr, number: Expr) -> Expr {
    let arguments = [vec![number], cells].concat();
    let mark = |columns: &mut [Column]| {
        let [counts, number, cells @ ..] = columns else {
            polars_bail!(ComputeError: "no column to compare")
        };
        let name = counts.name().clone();
        let found = mark(counts.bool()?, number.u64()?, cells)?;
        Ok(BooleanChunked::from_slice(name, &found).into_column())
    };
    counts.apply_many(mark, &arguments, |_, fields| {
        Ok(Field::new(fields[0].name().clone(), DataType::Boolean))
    })
}

fn mark(
    counts: &BooleanChunked,
    number: &UInt64Chunked,
    cells: &[Column],
) -> PolarsResult<Vec<bool>> {
    let (counts, number) = (counts.rechunk().into_owned(), number.rechunk().into_owned());
    let mut found: Vec<bool> = counts.iter().map(|counts| counts == Some(true)).collect();
    // Lines may come in any order; the first by its number is no repetition.
    let before = |a: u32, b: u32| number.get(a as usize) < number.get(b as usize);
    let firsts = equal::firsts(&cells.iter().collect::<Vec<_>>(), &found, before)?;
    firsts.into_iter().for_each(|first| found[first as usize] = false);
    Ok(found)
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
        let found = frame
            .lazy()
            .select([repeated(cells, col("counts"), col("number")).alias("found")])
            .collect()
            .unwrap();
        found.column("found").unwrap().bool().unwrap().iter().map(|found| found.unwrap()).collect()
    }

    #[test]
    fn equal_is_equal_in_every_type() {
        let lists = Column::new(
            "lists".into(),
            [Series::new("".into(), [1]), Series::new("".into(), [1]), Series::new("".into(), [2])],
        );
        let days =
            Column::new("days".into(), [Some(1), Some(1), None]).cast(&DataType::Date).unwrap();
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
            assert_eq!(
                marked(frame.clone(), vec![true; 3], vec![2, 1, 3]),
                [true, false, false],
                "{name}"
            );
            assert_eq!(marked(frame, vec![false, true, true], vec![1, 2, 3]), [false; 3], "{name}");
        }
    }

    #[test]
    fn chunks_and_parts_make_no_difference() {
        let rows = 150_000u64;
        // Numbers that go round and round in no order, two columns of a few values each.
        let at = |row: u64, of: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) % of;
        let number: Vec<u64> = (0..rows).map(|row| row.wrapping_mul(48_271) % 1_000_003).collect();
        let texts: Vec<Option<String>> = (0..rows)
            .map(|row| Some(at(row, 211)).filter(|n| *n != 7).map(|n| n.to_string()))
            .collect();
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
