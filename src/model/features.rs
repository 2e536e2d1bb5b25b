//! What customers are compared by: columns of a snapshot, as numbers or as text.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::texts::Texts;
use crate::columns::CUSTOMER_ID;

/// One thing that customers are compared by.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureParams {
    /// Column of the snapshot.
    pub column: String,
    /// How its values become numbers.
    pub encoding: Encoding,
    /// What differences in it count, beside 1 for the others; above 0.
    pub weight: f64,
    /// What becomes of customers without a value.
    pub missing: Missing,
}

/// How values become numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoding {
    /// They are numbers.
    Number {
        /// Whether their logarithm is taken first, as log(1 + x), mirrored below zero.
        log1p: bool,
        /// How they are scaled.
        scale: Scaling,
    },
    /// One axis a value: 1 for it, 0 for all others. Values that no training customer has are 0 on all.
    OneHot,
    /// The place of a value in a list, from 0.
    Ordinal {
        /// The list.
        order: Vec<String>,
        /// How places are scaled.
        scale: Scaling,
    },
}

/// How numbers are scaled, by the training customers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Less the mean, by the population standard deviation.
    Standard,
    /// Less the median, by the distance between the quartiles (type 7).
    Robust,
    /// Less the lowest, by the distance to the highest.
    Minmax,
    /// Not at all.
    None,
}

/// What becomes of customers without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// They take the median of the training customers; where some of these have no value either, an axis more tells who has none.
    /// Text that is missing is 0 on all axes.
    Median,
    /// They neither train nor get an answer.
    Drop,
    /// The run fails.
    Fail,
}

/// The values of one feature.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    /// Finite numbers.
    Numbers(Vec<Option<f64>>),
    /// Text.
    Texts(Vec<Option<String>>),
}

/// Customers with what they are compared by, in the order of their ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Customers {
    /// Their ids, ascending bytewise.
    pub ids: Texts,
    /// One entry a feature, in the order of the features.
    pub raw: Vec<Raw>,
}

impl Customers {
    /// The customers of a table, which is sorted by their ids.
    ///
    /// # Errors
    /// A column that is missing.
    pub fn of(features: &[FeatureParams], frame: &DataFrame) -> PolarsResult<Self> {
        let raw = |feature: &FeatureParams| -> PolarsResult<Raw> {
            let column = frame.column(&feature.column)?;
            Ok(match feature.encoding {
                Encoding::Number { .. } => {
                    let numbers = column.cast(&DataType::Float64)?;
                    Raw::Numbers(
                        numbers
                            .f64()?
                            .iter()
                            .map(|value| value.filter(|value| value.is_finite()))
                            .collect(),
                    )
                }
                Encoding::OneHot | Encoding::Ordinal { .. } => {
                    let texts = column.cast(&DataType::String)?;
                    let texts = texts
                        .str()?
                        .iter()
                        .map(|text| text.filter(|text| !text.is_empty()).map(str::to_owned));
                    Raw::Texts(texts.collect())
                }
            })
        };
        let raw = features.iter().map(raw).collect::<PolarsResult<_>>()?;
        Ok(Self { ids: text(frame, CUSTOMER_ID)?, raw })
    }

    /// Some of the customers, in the order of the indices.
    pub fn at(&self, indices: &[usize]) -> Self {
        let raw = |raw: &Raw| match raw {
            Raw::Numbers(values) => Raw::Numbers(indices.iter().map(|&i| values[i]).collect()),
            Raw::Texts(values) => Raw::Texts(indices.iter().map(|&i| values[i].clone()).collect()),
        };
        Self {
            ids: indices.iter().map(|&i| self.ids.at(i)).collect(),
            raw: self.raw.iter().map(raw).collect(),
        }
    }

    /// Those who have a value of every feature that drops customers without one.
    pub fn complete(&self, features: &[FeatureParams]) -> Vec<usize> {
        let has = |(feature, raw): (&FeatureParams, &Raw), row: usize| match raw {
            _ if feature.missing != Missing::Drop => true,
            Raw::Numbers(values) => values[row].is_some(),
            Raw::Texts(values) => match &feature.encoding {
                Encoding::Ordinal { order, .. } => {
                    values[row].as_ref().is_some_and(|text| order.contains(text))
                }
                _ => values[row].is_some(),
            },
        };
        (0..self.len())
            .filter(|&row| features.iter().zip(&self.raw).all(|pair| has(pair, row)))
            .collect()
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// A column of text; nothing is "".
///
/// # Errors
/// A column that is missing.
pub fn text(frame: &DataFrame, name: &str) -> PolarsResult<Texts> {
    Ok(frame.column(name)?.str()?.iter().map(Option::unwrap_or_default).collect())
}

/// log(1 + x) for x ≥ 0, and mirrored for x < 0, where net spending may lie.
pub fn signed_log1p(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}
