//! Features of customers: columns of a snapshot as numbers or text.

use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::string_arena::StringArena;
use crate::columns::CUSTOMER_ID;

#[derive(Debug, Clone, PartialEq)]
pub struct FeatureParams {
    pub column: String,
    pub encoding: Encoding,
    /// Factor of its differences in a distance, above 0.
    pub weight: f64,
    pub missing: Missing,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Encoding {
    Number {
        /// Whether to apply [`signed_log1p`] before scaling.
        log1p: bool,
        scale: Scaling,
    },
    /// One axis a value, 0 or 1. Values absent from the training set are 0 on all axes.
    OneHot,
    /// Position of a value in `order`, from 0.
    Ordinal { order: Vec<String>, scale: Scaling },
}

/// How numbers are scaled, using the training customers only.
///
/// `standard`: (x − mean) / population standard deviation. `robust`: (x − median) / interquartile
/// range (type 7). `minmax`: (x − min) / (max − min). `none`: unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    Standard,
    Robust,
    Minmax,
    None,
}

/// What happens to customers without a value.
///
/// `median` imputes the median of the training customers, with an indicator axis if some training
/// customers lack the value; missing text is 0 on all axes. `drop` excludes the customer from
/// training and prediction. `fail` fails the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    Median,
    Drop,
    Fail,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    /// Finite numbers.
    Numbers(Vec<Option<f64>>),
    /// Non-empty strings.
    Texts(Vec<Option<String>>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Customers {
    /// Ascending bytewise.
    pub ids: StringArena,
    /// One entry a feature, in the order of the features.
    pub raw: Vec<Raw>,
}

impl Customers {
    /// Reads the customers of a table that is sorted by customer id.
    pub fn from_frame(features: &[FeatureParams], frame: &DataFrame) -> PolarsResult<Self> {
        let raw = features.iter().map(|feature| Raw::from_frame(feature, frame));
        Ok(Self { raw: raw.collect::<PolarsResult<_>>()?, ids: text(frame, CUSTOMER_ID)? })
    }

    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            ids: indices.iter().map(|&i| self.ids.value(i)).collect(),
            raw: self.raw.iter().map(|raw| raw.select(indices)).collect(),
        }
    }
}

impl Raw {
    fn from_frame(feature: &FeatureParams, frame: &DataFrame) -> PolarsResult<Self> {
        let column = frame.column(&feature.column)?;
        Ok(match feature.encoding {
            Encoding::Number { .. } => {
                let numbers = column.cast(&DataType::Float64)?;
                let numbers = numbers.f64()?.iter();
                Self::Numbers(numbers.map(|x| x.filter(|x| x.is_finite())).collect())
            }
            Encoding::OneHot | Encoding::Ordinal { .. } => {
                let texts = column.cast(&DataType::String)?;
                let texts = texts.str()?.iter().map(|text| text.filter(|text| !text.is_empty()));
                Self::Texts(texts.map(|text| text.map(str::to_owned)).collect())
            }
        })
    }

    fn select(&self, indices: &[usize]) -> Self {
        let indices = indices.iter();
        match self {
            Self::Numbers(values) => Self::Numbers(indices.map(|&i| values[i]).collect()),
            Self::Texts(values) => Self::Texts(indices.map(|&i| values[i].clone()).collect()),
        }
    }
}

/// A text column; null becomes "".
pub fn text(frame: &DataFrame, name: &str) -> PolarsResult<StringArena> {
    Ok(frame.column(name)?.str()?.iter().map(|text| text.unwrap_or("")).collect())
}

/// sign(x) · log(1 + |x|). Net spending can be negative.
pub fn signed_log1p(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}
