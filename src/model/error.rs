//! Why a model cannot be had.

use chrono::NaiveDate;
use polars::prelude::PolarsError;

use super::ModelParams;
use super::space::NoValue;

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// More neighbours asked for than there are.
    #[error(
        "models.{model}: k is {k}, but only {available} other customers can vote; lower `k` or leave the model out"
    )]
    TooFewCustomers {
        /// The model.
        model: String,
        /// Neighbours asked for.
        k: usize,
        /// Customers that can vote for one held out.
        available: usize,
    },
    /// A feature that distances cannot be taken in.
    #[error(
        "models.{model}: feature `{feature}`: {}; `encode` says how values are read, `missing` what becomes of customers without one",
        who(customer)
    )]
    NoValue {
        /// The model.
        model: String,
        /// The feature.
        feature: String,
        /// The customer.
        customer: String,
    },
    /// The source does not go back far enough.
    #[error(
        "models.{model}: it learns from the snapshot {date}, but the source has nothing before it; shorten the horizon"
    )]
    TooShort {
        /// The model.
        model: String,
        /// The snapshot.
        date: NaiveDate,
    },
    /// None of the customers has a label.
    #[error("models.{model}: none of the customers has a label")]
    NoLabels {
        /// The model.
        model: String,
    },
    /// More labels than a model tells apart.
    #[error(
        "models.{model}: {labels} labels are more than the {most} that a model tells apart; is the right column named?"
    )]
    TooManyLabels {
        /// The model.
        model: String,
        /// How many there are.
        labels: usize,
        /// How many there may be.
        most: usize,
    },
    /// Fewer customers than clusters.
    #[error(
        "models.{model}: {k} clusters of {customers} customers with different features cannot be made; lower `k`"
    )]
    TooManyClusters {
        /// The clustering.
        model: String,
        /// Clusters asked for.
        k: usize,
        /// Customers that differ.
        customers: usize,
    },
    /// smartcore refused.
    #[error("models.{model}: smartcore: {reason}")]
    Smartcore {
        /// The model.
        model: String,
        /// What it said.
        reason: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] PolarsError),
}

/// Who has no value.
fn who(customer: &str) -> String {
    match customer {
        "" => "no customer has a value that can be used".to_owned(),
        one => format!("customer `{one}` has no value that can be used"),
    }
}

impl ModelError {
    pub(super) fn no_value(params: &ModelParams, error: NoValue) -> Self {
        Self::NoValue {
            model: params.name.clone(),
            feature: error.feature,
            customer: error.customer,
        }
    }
}
