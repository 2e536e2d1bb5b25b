//! Labelled customers: the data that models are fitted to and evaluated on.

use super::features::Customers;
use super::string_arena::{Labels, StringArena};

#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// In the order of their ids. A customer of several snapshots has several rows.
    pub customers: Customers,
    /// Label codes, indices into `names`.
    pub labels: Vec<usize>,
    /// Distinct labels, ascending bytewise.
    pub names: Vec<String>,
}

impl Samples {
    /// Keeps the customers that have a label.
    pub fn new(customers: Customers, labels: &Labels) -> Self {
        let Labels { names, codes } = labels;
        let labelled: Vec<usize> = (0..codes.len()).filter(|&i| codes[i].is_some()).collect();
        let is_complete = labelled.len() == codes.len();
        let customers = if is_complete { customers } else { customers.select(&labelled) };
        Self { labels: codes.iter().flatten().copied().collect(), customers, names: names.clone() }
    }

    /// The samples of several snapshots as one training set, in the order of ids, then of the
    /// snapshots.
    pub fn pool(snapshots: impl IntoIterator<Item = Self>) -> Self {
        let mut snapshots: Vec<Self> = snapshots.into_iter().collect();
        if snapshots.len() == 1 {
            return snapshots.remove(0);
        }
        let names: Vec<String> = snapshots.iter().flat_map(|one| one.names.clone()).collect();
        let mut pooled = Self {
            customers: Customers { ids: StringArena::default(), raw: Vec::new() },
            labels: Vec::new(),
            names: Vec::new(),
        };
        let mut ids: Vec<String> = Vec::new();
        for snapshot in snapshots {
            let snapshot = snapshot.with_names(&names);
            ids.extend(snapshot.customers.ids.iter().map(str::to_owned));
            pooled.customers.append(snapshot.customers.raw);
            pooled.labels.extend(snapshot.labels);
            pooled.names = snapshot.names;
        }
        pooled.customers.ids = ids.iter().collect();
        let mut order: Vec<usize> = (0..ids.len()).collect();
        // Stable, so that the newest snapshot comes first.
        order.sort_by(|a, b| ids[*a].cmp(&ids[*b]));
        pooled.select(&order)
    }

    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            customers: self.customers.select(indices),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            names: self.names.clone(),
        }
    }

    /// Adds names to the list of labels, and recodes the labels.
    pub fn with_names(self, others: &[String]) -> Self {
        let mut names: Vec<String> = self.names.iter().chain(others).cloned().collect();
        names.sort();
        names.dedup();
        let recoded = |code: &usize| names.partition_point(|name| *name < self.names[*code]);
        Self { labels: self.labels.iter().map(recoded).collect(), customers: self.customers, names }
    }

    pub(super) fn code(&self, label: &str) -> Option<usize> {
        self.names.binary_search_by(|name| name.as_str().cmp(label)).ok()
    }
}
