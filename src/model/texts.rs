//! Texts of customers: their ids, each another, and their labels, which many have in common.

use std::collections::HashMap;

/// Texts side by side in one string, one a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Texts {
    /// The text at a place.
    pub fn at(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[place]]
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One after another.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|place| self.at(place))
    }

    /// Place of a text among texts that ascend bytewise.
    pub fn find(&self, wanted: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.at(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        (low < self.len() && self.at(low) == wanted).then_some(low)
    }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut all = Self::default();
        for text in texts {
            all.text.push_str(text.as_ref());
            all.ends.push(all.text.len());
        }
        all
    }
}

/// A label of each customer, none of some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// The labels, ascending bytewise.
    pub names: Vec<String>,
    /// Index of each customer's label.
    pub codes: Vec<Option<usize>>,
}

impl Labels {
    /// The label of each customer.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.codes.iter().map(|code| code.map(|code| self.names[code].as_str()))
    }
}

impl<'a> FromIterator<Option<&'a str>> for Labels {
    fn from_iter<I: IntoIterator<Item = Option<&'a str>>>(labels: I) -> Self {
        // Labels by the order in which they come, and then by their names.
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut code = |label| {
            let next = known.len();
            *known.entry(label).or_insert(next)
        };
        let came: Vec<Option<usize>> =
            labels.into_iter().map(|label| label.map(&mut code)).collect();
        let mut sorted: Vec<(&str, usize)> = known.into_iter().collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; sorted.len()];
        sorted.iter().enumerate().for_each(|(rank, (_, came))| ranks[*came] = rank);
        let codes = came.into_iter().map(|code| code.map(|code| ranks[code])).collect();
        Self { names: sorted.into_iter().map(|(name, _)| name.to_owned()).collect(), codes }
    }
}
