//! Percentiles of customers within a snapshot.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::features::FeatureParams;
use crate::columns::{COLUMN, CUSTOMERS, VALUE};

/// The values of a column over the customers of one snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// Distinct values, ascending.
    values: Vec<f64>,
    /// Number of customers with at most the value.
    at_most: Vec<u32>,
}

impl Distribution {
    fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let mut distribution = Self::default();
        let mut customers = 0;
        for equal in values.chunk_by(|a, b| a == b) {
            customers += equal.len() as u32;
            distribution.values.push(equal[0]);
            distribution.at_most.push(customers);
        }
        distribution
    }

    /// Average rank over the number of customers, between 0 and 1. Of a value that no customer has:
    /// (customers below + 0.5) / customers, at most 1. 0.5 without customers.
    pub fn percentile(&self, value: f64) -> f64 {
        let idx = self.values.partition_point(|other| *other < value);
        let below = idx.checked_sub(1).map_or(0, |idx| self.at_most[idx]);
        let equal = match self.values.get(idx) {
            Some(other) if *other == value => self.at_most[idx] - below,
            _ => 0,
        };
        match self.at_most.last() {
            Some(all) if equal > 0 => {
                (f64::from(below) + f64::from(equal + 1) / 2.0) / f64::from(*all)
            }
            Some(all) => ((f64::from(below) + 0.5) / f64::from(*all)).min(1.0),
            None => 0.5,
        }
    }
}

/// The distributions that percentiles of features are taken from, by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distributions(BTreeMap<String, Distribution>);

impl Distributions {
    /// The distributions of the features scaled by percentile, over the customers of a snapshot.
    pub fn of(features: &[FeatureParams], snapshot: &DataFrame) -> PolarsResult<Self> {
        let scaled = features.iter().filter(|feature| feature.is_percentile());
        let distributions = scaled.map(|feature| {
            let numbers = numbers(snapshot.column(&feature.column)?)?;
            let distribution = Distribution::new(numbers.into_iter().flatten().collect());
            Ok((feature.column.clone(), distribution))
        });
        distributions.collect::<PolarsResult<_>>().map(Self)
    }

    /// The distribution of a feature. `None` if the feature is not scaled by percentile.
    pub fn get(&self, feature: &FeatureParams) -> Option<&Distribution> {
        self.0.get(&feature.column).filter(|_| feature.is_percentile())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the distributions of another model at the same snapshot.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(column, values)| (column.clone(), values.clone())));
    }

    /// BLAKE3 hash in hexadecimal.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (column, distribution) in &self.0 {
            hasher.update(column.as_bytes()).update(&[0]);
            for (value, customers) in distribution.values.iter().zip(&distribution.at_most) {
                hasher.update(&value.to_le_bytes()).update(&customers.to_le_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// One row a distinct value: `column`, `value`, and `customers` with at most the value.
    pub fn to_frame(&self) -> PolarsResult<DataFrame> {
        let (mut columns, mut values, mut customers) = (Vec::new(), Vec::new(), Vec::new());
        for (column, distribution) in &self.0 {
            columns.extend(distribution.values.iter().map(|_| column.as_str()));
            values.extend(distribution.values.iter().copied());
            customers.extend(distribution.at_most.iter().copied());
        }
        df![COLUMN => columns, VALUE => values, CUSTOMERS => customers]
    }

    pub fn from_frame(frame: &DataFrame) -> PolarsResult<Self> {
        let columns = frame.column(COLUMN)?.str()?.iter();
        let values = frame.column(VALUE)?.f64()?.iter();
        let customers = frame.column(CUSTOMERS)?.u32()?.iter();
        let mut all: BTreeMap<String, Distribution> = BTreeMap::new();
        for ((column, value), customers) in columns.zip(values).zip(customers) {
            let (Some(column), Some(value), Some(customers)) = (column, value, customers) else {
                polars_bail!(ComputeError: "null in the distributions");
            };
            let distribution = all.entry(column.to_owned()).or_default();
            distribution.values.push(value);
            distribution.at_most.push(customers);
        }
        Ok(Self(all))
    }
}

/// The finite numbers of a column.
pub(super) fn numbers(column: &Column) -> PolarsResult<Vec<Option<f64>>> {
    let numbers = column.cast(&DataType::Float64)?;
    Ok(numbers.f64()?.iter().map(|x| x.filter(|x| x.is_finite())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_average_rank_over_the_number_of_customers() {
        // scipy.stats.rankdata([3, 1, 3, 7, 3]) = 3, 1, 3, 5, 3.
        let distribution = Distribution::new(vec![3.0, 1.0, 3.0, 7.0, 3.0]);
        for (value, percentile) in [(1.0, 0.2), (3.0, 0.6), (7.0, 1.0)] {
            assert_eq!(distribution.percentile(value), percentile, "{value}");
        }
        // Between 1 and 3: one customer is below.
        for (value, percentile) in [(0.0, 0.1), (2.0, 0.3), (5.0, 0.9), (9.0, 1.0)] {
            assert!((distribution.percentile(value) - percentile).abs() < 1e-12, "{value}");
        }
    }
}
