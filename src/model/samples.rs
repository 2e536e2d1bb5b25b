//! Customers with labels.

use super::features::Customers;
use super::texts::Labels;

/// Customers with what they are compared by, and their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// The customers, in the order of their ids.
    pub customers: Customers,
    /// Label codes, indices into `names`.
    pub labels: Vec<usize>,
    /// Labels, ascending bytewise.
    pub names: Vec<String>,
}

impl Samples {
    /// Those of the customers that have a label.
    pub fn of(customers: Customers, labels: &Labels) -> Self {
        let Labels { names, codes } = labels;
        let labelled: Vec<usize> = (0..codes.len()).filter(|&i| codes[i].is_some()).collect();
        let customers =
            if labelled.len() < customers.len() { customers.at(&labelled) } else { customers };
        Self { labels: codes.iter().flatten().copied().collect(), customers, names: names.clone() }
    }

    /// Some of the customers, in the order of the indices.
    pub fn at(&self, indices: &[usize]) -> Self {
        Self {
            customers: self.customers.at(indices),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            names: self.names.clone(),
        }
    }

    /// The same customers, with labels that others have too in the list of names.
    pub fn with_names(self, others: &[String]) -> Self {
        let mut names: Vec<String> = self.names.iter().chain(others).cloned().collect();
        names.sort();
        names.dedup();
        let code = |label: &usize| names.binary_search(&self.names[*label]).unwrap_or_default();
        Self { labels: self.labels.iter().map(code).collect(), customers: self.customers, names }
    }
}
