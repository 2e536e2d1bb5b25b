//! Finds lines that are equal to another one, in one pass over all lines.

use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::line_number;
use crate::columns::REASON;
use crate::dedup;
use crate::ingest::cell::{is_empty, is_text, reads_column};
use crate::ingest::{outcomes, schema_mapping};

/// Which lines are equal, and which of them is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Duplicates {
    /// The columns in which lines are equal. `None`: all columns of the source.
    pub by: Option<Vec<KeyColumn>>,
    pub keep: Keep,
    /// The column that orders equal lines. `None`: their position in the files.
    pub order_by: Option<KeyColumn>,
}

/// Which of equal lines is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    #[default]
    First,
    Last,
}

/// A mapped column, or one of the source.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyColumn {
    pub name: String,
    pub column: Expr,
    /// The source column, if it is not mapped.
    pub source_column: Option<String>,
}

impl Duplicates {
    fn columns(&self) -> impl Iterator<Item = &KeyColumn> {
        self.by.iter().flatten().chain(&self.order_by)
    }

    pub(super) fn source_columns(&self) -> Vec<&String> {
        self.columns().filter_map(|column| column.source_column.as_ref()).collect()
    }

    pub(super) fn reads_column(&self, name: &str) -> bool {
        self.columns().any(|column| reads_column(&column.column, name))
    }

    /// The reason, and whether it applies to a line. `carried` are all columns of the source.
    pub(super) fn rejection(&self, carried: &[String]) -> (String, Expr) {
        let mut reason = match (self.keep, &self.order_by) {
            (Keep::First, None) => "equal to an earlier row".to_owned(),
            (Keep::Last, None) => "equal to a later row".to_owned(),
            (Keep::First, Some(order)) => format!("equal to a row of lower {}", order.name),
            (Keep::Last, Some(order)) => format!("equal to a row of higher {}", order.name),
        };
        let cells: Vec<Expr> = match &self.by {
            None => carried.iter().map(|name| col(schema_mapping::carried_name(name))).collect(),
            Some(columns) => {
                let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                reason += &format!(" in {}", names.join(", "));
                columns.iter().map(|column| column.column.clone()).collect()
            }
        };
        let is_accepted = col(REASON).is_null();
        // Lines without a key are not equal to each other.
        let has_key = match &self.by {
            Some(_) => cells.iter().cloned().map(is_empty).reduce(Expr::or),
            None => None,
        };
        let is_candidate = match has_key {
            Some(is_missing) => is_accepted.and(is_missing.not()),
            None => is_accepted,
        };
        (reason, is_duplicate(cells, is_candidate, self.position()))
    }

    /// A number for each line. Of equal lines, that of the lowest number is kept.
    fn position(&self) -> Expr {
        let keep = self.keep;
        let Some(order) = &self.order_by else {
            return match keep {
                Keep::First => line_number(),
                Keep::Last => lit(u64::MAX) - line_number(),
            };
        };
        let columns = vec![order.column.clone(), line_number()];
        let name = order.name.clone();
        outcomes::map_columns(columns, DataType::UInt64, move |columns| {
            positions(&columns[0], &columns[1], keep, &name)
        })
    }
}

/// Ranks lines by a column, then by their number. Missing values come first.
fn positions(values: &Column, numbers: &Column, keep: Keep, name: &str) -> PolarsResult<Column> {
    let values = if is_text(values.dtype()) { comparable(values, name)? } else { values.clone() };
    let frame = DataFrame::new(
        values.len(),
        vec![values.with_name("value".into()), numbers.clone().with_name("number".into())],
    )?;
    let order = SortMultipleOptions::default().with_nulls_last(false);
    let sorted = frame.with_row_index("row".into(), None)?.sort(["value", "number"], order)?;
    let mut ranks = vec![0u64; sorted.height()];
    for (rank, row) in (0..).zip(sorted.column("row")?.idx()?.iter().flatten()) {
        ranks[row as usize] = match keep {
            Keep::First => rank,
            Keep::Last => sorted.height() as u64 - rank,
        };
    }
    Ok(Column::new(numbers.name().clone(), ranks))
}

/// Texts that can be ordered: numbers, or times of ISO 8601 in one format. Blanks are missing.
fn comparable(values: &Column, name: &str) -> PolarsResult<Column> {
    let texts: StringChunked =
        values.cast(&DataType::String)?.str()?.iter().map(|text| non_blank(text?)).collect();
    let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    let is_iso = |text: &str| {
        let bytes = text.as_bytes();
        bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-'
    };
    if texts.iter().flatten().all(is_number) {
        return texts.into_column().cast(&DataType::Float64);
    }
    let shape = |text: &str| -> Vec<bool> { text.bytes().map(|b| b.is_ascii_digit()).collect() };
    let first = texts.iter().flatten().find(|text| is_iso(text)).map(shape);
    let fits = |text: &str| match &first {
        Some(first) => is_iso(text) && shape(text) == *first,
        None => is_number(text),
    };
    match texts.iter().flatten().find(|text| !fits(text)) {
        None => Ok(texts.clone().into_column()),
        Some(text) => polars_bail!(ComputeError:
            "`drop_duplicates` cannot order by `{name}`: `{text}` is neither a number nor a time \
             such as 2011-12-10 08:26:00 in the format of the others; `ordered_at` can be used with any \
             format"
        ),
    }
}

fn non_blank(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Boolean column: true if a candidate equals a candidate with a lower line number in all `cells`.
fn is_duplicate(cells: Vec<Expr>, is_candidate: Expr, line_number: Expr) -> Expr {
    let arguments = [vec![line_number], cells].concat();
    is_candidate.apply_many(find_duplicates, &arguments, |_, fields| {
        Ok(Field::new(fields[0].name().clone(), DataType::Boolean))
    })
}

fn find_duplicates(columns: &mut [Column]) -> PolarsResult<Column> {
    let [is_candidate, line_number, cells @ ..] = columns else {
        polars_bail!(ComputeError: "no columns to compare")
    };
    let line_number = line_number.u64()?.rechunk();
    let cells: Vec<&Column> = cells.iter().collect();
    let mut is_duplicate: Vec<bool> =
        is_candidate.bool()?.iter().map(|is_candidate| is_candidate == Some(true)).collect();
    // Lines arrive in any order; the line with the lowest number is the original.
    let is_before = |a: u32, b: u32| line_number.get(a as usize) < line_number.get(b as usize);
    for original in dedup::first_occurrences(&cells, &is_duplicate, is_before)? {
        is_duplicate[original as usize] = false;
    }
    Ok(BooleanChunked::from_slice(is_candidate.name().clone(), &is_duplicate).into_column())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use polars::prelude::*;

    use super::is_duplicate;

    /// The duplicates among the lines of `frame` that `is_candidate` marks.
    fn duplicates(frame: DataFrame, is_candidate: Vec<bool>, number: Vec<u64>) -> Vec<bool> {
        let cells = frame.get_column_names().into_iter().map(|name| col(name.clone())).collect();
        let is_candidate = Column::new("is_candidate".into(), is_candidate);
        let number = Column::new("number".into(), number);
        let frame = frame.hstack(&[is_candidate, number]).unwrap();
        let duplicates = is_duplicate(cells, col("is_candidate"), col("number")).alias("duplicate");
        let marked = frame.lazy().select([duplicates]).collect().unwrap();
        marked.column("duplicate").unwrap().bool().unwrap().iter().map(Option::unwrap).collect()
    }

    #[test]
    fn finds_duplicates_in_every_type() {
        let lists = [1, 1, 2].map(|value| Series::new("".into(), [value]));
        let days = Column::new("days".into(), [Some(1), Some(1), None]);
        let categories = Column::new("categories".into(), ["a", "a", "b"]);
        let global = DataType::from_categories(Categories::global());
        for column in [
            Column::new("strings".into(), [Some("a"), Some("a"), Some("")]),
            Column::new("nulls".into(), [None, None, Some("")]),
            Column::new("floats".into(), [0.0, -0.0, 0.5]),
            Column::new("nans".into(), [f64::NAN, -f64::NAN, 0.0]),
            Column::new("small integers".into(), [-1i8, -1, 1]),
            Column::new("booleans".into(), [Some(false), Some(false), None]),
            Column::new("lists".into(), lists),
            days.cast(&DataType::Date).unwrap(),
            categories.cast(&global).unwrap(),
        ] {
            let name = column.name().to_string();
            let frame = DataFrame::new(3, vec![column]).unwrap();
            let all = vec![true; 3];
            let in_order = duplicates(frame.clone(), all.clone(), vec![1, 2, 3]);
            assert_eq!(in_order, [false, true, false], "{name}");
            // The original is the line with the lowest number, in any order of the rows.
            let swapped = duplicates(frame.clone(), all, vec![2, 1, 3]);
            assert_eq!(swapped, [true, false, false], "{name}");
            // A line that is not a candidate is neither an original nor a duplicate.
            let two = duplicates(frame, vec![false, true, true], vec![1, 2, 3]);
            assert_eq!(two, [false; 3], "{name}");
        }
    }

    #[test]
    fn result_is_the_same_for_every_chunking() {
        let rows = 150_000u64;
        // Pseudo-random numbers below `n`, so that both columns have few distinct values.
        let random = |row: u64, n: u64| row.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) % n;
        let number: Vec<u64> = (0..rows).map(|row| row.wrapping_mul(48_271) % 1_000_003).collect();
        let cells =
            |row| (Some(random(row, 211)).filter(|text| *text != 7), random(row ^ 0xff, 199));
        let (texts, numbers): (Vec<Option<u64>>, Vec<u64>) = (0..rows).map(cells).unzip();
        let is_candidate: Vec<bool> = (0..rows).map(|row| random(row, 5) != 0).collect();
        let mut originals = HashMap::new();
        for row in (0..rows as usize).filter(|row| is_candidate[*row]) {
            let lowest = originals.entry((texts[row], numbers[row])).or_insert(u64::MAX);
            *lowest = number[row].min(*lowest);
        }
        let expected: Vec<bool> = (0..rows as usize)
            .map(|row| is_candidate[row] && number[row] > originals[&(texts[row], numbers[row])])
            .collect();
        let whole = df!("texts" => texts, "numbers" => numbers).unwrap().lazy();
        let whole = whole.with_column(col("texts").cast(DataType::String)).collect().unwrap();
        let mut chunked = whole.head(Some(0));
        for offset in (0..rows as i64).step_by(7_001) {
            chunked.vstack_mut(&whole.slice(offset, 7_001)).unwrap();
        }
        assert!(expected.iter().filter(|is_duplicate| **is_duplicate).count() > 10_000);
        assert_eq!(duplicates(whole, is_candidate.clone(), number.clone()), expected);
        assert_eq!(duplicates(chunked, is_candidate, number), expected);
    }
}
