//! Strings of customers: ids in one buffer, and labels as codes.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Strings concatenated in one buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StringArena {
    text: String,
    /// End offset of each string.
    ends: Vec<usize>,
}

impl StringArena {
    pub fn value(&self, idx: usize) -> &str {
        let start = if idx == 0 { 0 } else { self.ends[idx - 1] };
        &self.text[start..self.ends[idx]]
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|idx| self.value(idx))
    }

    /// Number of distinct strings. The strings must ascend bytewise.
    pub fn count_distinct(&self) -> usize {
        (0..self.len()).filter(|row| *row == 0 || self.value(*row) != self.value(*row - 1)).count()
    }

    /// The rows that equal a string, by binary search. The strings must ascend bytewise.
    pub fn rows_of(&self, wanted: &str) -> Range<usize> {
        let start = self.partition_point(|value| value < wanted);
        start..self.partition_point(|value| value <= wanted)
    }

    fn partition_point(&self, is_before: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if is_before(self.value(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

impl<T: AsRef<str>> FromIterator<T> for StringArena {
    fn from_iter<I: IntoIterator<Item = T>>(strings: I) -> Self {
        let mut arena = Self::default();
        for string in strings {
            arena.text.push_str(string.as_ref());
            arena.ends.push(arena.text.len());
        }
        arena
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Distinct labels, ascending bytewise.
    pub names: Vec<String>,
    /// Index into `names` by customer; `None` without a label.
    pub codes: Vec<Option<usize>>,
}

impl Labels {
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.codes.iter().map(|code| code.map(|code| self.names[code].as_str()))
    }
}

impl<'a> FromIterator<Option<&'a str>> for Labels {
    fn from_iter<I: IntoIterator<Item = Option<&'a str>>>(labels: I) -> Self {
        let labels: Vec<Option<&str>> = labels.into_iter().collect();
        let distinct: HashSet<&str> = labels.iter().flatten().copied().collect();
        let mut names: Vec<&str> = distinct.into_iter().collect();
        names.sort_unstable();
        let code_of: HashMap<&str, usize> = names.iter().copied().zip(0..).collect();
        Self {
            codes: labels.into_iter().map(|label| label.map(|label| code_of[label])).collect(),
            names: names.into_iter().map(str::to_owned).collect(),
        }
    }
}
