//! Errors of models and clusterings.

use chrono::NaiveDate;
use polars::prelude::PolarsError;

use crate::error::{Class, StageError};

/// `model` is the name of the model or clustering.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(
        "models.{model}: k is {k}, but only {available} other customers can vote; \
         lower `k` or leave the model out"
    )]
    TooFewCustomers { model: String, k: usize, available: usize },
    #[error(
        "models.{model}: feature `{feature}`: {reason}; \
         set `missing` for customers without a value, or check `encode`"
    )]
    NoValue { model: String, feature: String, reason: String },
    #[error(
        "models.{model}: training needs a snapshot at {date}, but the source has no data before it; \
         shorten the horizon"
    )]
    TooShort { model: String, date: NaiveDate },
    #[error("models.{model}: {reason}")]
    NotFitted { model: String, reason: String },
    #[error("models.{model}: no customer has a label")]
    NoLabels { model: String },
    #[error(
        "models.{model}: {labels} distinct labels, at most {most} are supported; \
         check the label column"
    )]
    TooManyLabels { model: String, labels: usize, most: usize },
    #[error(
        "models.{model}: cannot form {k} clusters from {customers} customers with distinct features; \
         lower `k`"
    )]
    TooManyClusters { model: String, k: usize, customers: usize },
    #[error("models.{model}: none of {starts} starts found {k} clusters; raise `restarts`")]
    NoClustering { model: String, k: usize, starts: u32 },
    #[error(
        "models.{model}: the exact index differs from smartcore for {different} of {compared} \
         customers; this is an error in custseg, please report it"
    )]
    Disagreement { model: String, compared: usize, different: usize },
    #[error("models.{model}: smartcore: {reason}")]
    Smartcore { model: String, reason: String },
    #[error(transparent)]
    Engine(#[from] PolarsError),
}

impl ModelError {
    /// Whether the data are not to blame.
    pub(super) fn is_system(&self) -> bool {
        self.class() == Class::System
    }
}

impl StageError for ModelError {
    const STAGE: Option<&'static str> = Some("model");

    fn class(&self) -> Class {
        match self {
            Self::Smartcore { .. } | Self::Disagreement { .. } | Self::Engine(_) => Class::System,
            _ => Class::Data,
        }
    }
}
