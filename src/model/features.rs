//! Features of customers: columns of a snapshot as numbers or text.

use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::percentiles::{Distributions, numbers};
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

impl FeatureParams {
    /// Whether the feature is a rank among the customers of its snapshot.
    pub fn is_percentile(&self) -> bool {
        matches!(self.encoding, Encoding::Number { scale: Scaling::Percentile, .. })
    }
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
/// range (type 7). `minmax`: (x − min) / (max − min). `percentile`: average rank over the number of
/// customers, within the snapshot at which the feature is taken. `none`: unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    Standard,
    Robust,
    Minmax,
    Percentile,
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
    /// Reads the customers of a snapshot, sorted by customer id. Percentiles are taken from their
    /// own distribution.
    pub fn of_snapshot(features: &[FeatureParams], snapshot: &DataFrame) -> PolarsResult<Self> {
        Self::read(features, snapshot, &Distributions::of(features, snapshot)?)
    }

    /// Reads customers, sorted by customer id. Percentiles are taken from the given distributions.
    /// Columns without a distribution are read as they are.
    pub fn read(
        features: &[FeatureParams],
        frame: &DataFrame,
        distributions: &Distributions,
    ) -> PolarsResult<Self> {
        let raw = features.iter().map(|feature| {
            let mut raw = Raw::from_frame(feature, frame)?;
            if let (Some(distribution), Raw::Numbers(numbers)) =
                (distributions.get(feature), &mut raw)
            {
                let percentile = |x: &mut f64| *x = distribution.percentile(*x);
                numbers.iter_mut().flatten().for_each(percentile);
            }
            Ok(raw)
        });
        Ok(Self { raw: raw.collect::<PolarsResult<_>>()?, ids: text(frame, CUSTOMER_ID)? })
    }

    /// Adds the values of further customers.
    pub(super) fn append(&mut self, further: Vec<Raw>) {
        if self.raw.is_empty() {
            self.raw = further;
            return;
        }
        for (raw, further) in self.raw.iter_mut().zip(further) {
            match (raw, further) {
                (Raw::Numbers(values), Raw::Numbers(further)) => values.extend(further),
                (Raw::Texts(values), Raw::Texts(further)) => values.extend(further),
                // A feature has one encoding in all snapshots.
                (Raw::Numbers(_), Raw::Texts(_)) | (Raw::Texts(_), Raw::Numbers(_)) => {}
            }
        }
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
            Encoding::Number { .. } => Self::Numbers(numbers(column)?),
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
