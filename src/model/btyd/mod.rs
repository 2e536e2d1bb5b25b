//! What customers will buy and spend: buy-till-you-die models (BTYD).
//!
//! [`Process`] describes how customers buy and leave, [`Spend`] how much they spend. Both are
//! fitted to the order facts of a snapshot by maximum likelihood.

use chrono::Days;
use polars::prelude::*;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{ModelError, TrainingContext};
use crate::columns;
use crate::columns::CUSTOMER_ID;

mod fit;
mod history;
mod process;
mod spend;
mod trial;

pub use history::{Activity, Purchases};
pub use process::{History, Process, ProcessKind};
pub use spend::Spend;
pub use trial::{TrackedWeek, Trial, correlation};

/// Validated options of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct BtydParams {
    /// Prefix of the output columns.
    pub name: String,
    pub process: ProcessKind,
    /// Days that are predicted.
    pub horizon: u32,
    /// Per year, such as 0.1.
    pub discount_rate: f64,
}

/// A fitted model, as serialised in artefacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Btyd {
    pub process: Process,
    /// Of all customers.
    pub log_likelihood: f64,
    pub spend: Spend,
    pub spend_log_likelihood: f64,
    pub customers: usize,
    /// Customers with a repeat purchase of positive mean money, which spend is fitted to.
    pub repeaters: usize,
}

/// A fitted model of a run, and the trial of an earlier fit.
pub struct BtydRun {
    pub params: BtydParams,
    pub fitted: Btyd,
    /// `None` if the source does not go back far enough.
    pub trial: Option<Trial>,
    /// Purchases by week since the first, actual and expected.
    pub tracking: Vec<TrackedWeek>,
}

/// Predictions for one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// Probability that the customer is still active, 0 to 1.
    pub alive: f64,
    /// Expected days with a purchase within the horizon.
    pub purchases: f64,
    /// Expected money of a purchase day.
    pub purchase_value: f64,
    /// Expected money within the horizon.
    pub spend: f64,
    /// The same, discounted at the end of each month.
    pub lifetime_value: f64,
}

/// Fewer customers with a repeat purchase make the estimates uncertain.
const FEW_REPEATERS: usize = 300;
/// Gamma-Gamma requires that spend does not depend on the number of purchases.
const HIGH_CORRELATION: f64 = 0.3;
/// Share of the bound from which a parameter counts as at it.
const AT_BOUND: f64 = 0.9;
const DAYS_PER_YEAR: f64 = 365.0;
const MONTHS: f64 = 12.0;

impl Btyd {
    /// Fits to purchases. Fails if too few customers bought again.
    pub fn fit(params: &BtydParams, purchases: &Purchases) -> Result<Self, ModelError> {
        let repeaters = purchases.repeaters();
        let failed = |reason: &str| ModelError::NotFitted {
            model: params.name.clone(),
            reason: reason.to_owned(),
        };
        if repeaters.len() < 2 {
            return Err(failed(
                "fewer than two customers bought again with positive money; leave the model out",
            ));
        }
        let diverged =
            || failed("the likelihood has no maximum for these purchases; leave the model out");
        let (process, spend) = rayon::join(
            || fit::fit_process(params.process, &purchases.histories),
            || fit::fit_spend(&repeaters),
        );
        let (process, log_likelihood) = process.ok_or_else(diverged)?;
        let (spend, spend_log_likelihood) = spend.ok_or_else(diverged)?;
        let means = repeaters.iter().map(|(_, mean)| *mean);
        let (low, high) =
            means.fold((f64::INFINITY, 0.0f64), |(low, high), z| (low.min(z), high.max(z)));
        if spend.q <= 1.0 || !(low * 0.999..=high * 1.001).contains(&spend.expected(0.0, 0.0)) {
            return Err(failed("no mean spend fits these customers; leave the model out"));
        }
        Ok(Self {
            process,
            log_likelihood,
            spend,
            spend_log_likelihood,
            customers: purchases.len(),
            repeaters: repeaters.len(),
        })
    }

    /// Predicts a customer with this history and mean money of a repeat purchase.
    pub fn predict(&self, params: &BtydParams, history: &History, mean_money: f64) -> Value {
        // Spend is fitted to positive means only.
        let repeats = if mean_money > 0.0 { history.repeats } else { 0.0 };
        let purchase_value = self.spend.expected(repeats, mean_money);
        let horizon = f64::from(params.horizon);
        let (mut purchases, mut discounted, mut days) = (0.0, 0.0, 0.0);
        let mut month = 1.0;
        while days < horizon {
            days = (month * DAYS_PER_YEAR / MONTHS).min(horizon);
            let until = self.process.expected_purchases(history, days / 7.0);
            let discount = (1.0 + params.discount_rate).powf(days / DAYS_PER_YEAR);
            discounted += (until - purchases) / discount;
            purchases = until;
            month += 1.0;
        }
        Value {
            alive: self.process.alive(history),
            purchases,
            purchase_value,
            spend: purchases * purchase_value,
            lifetime_value: discounted * purchase_value,
        }
    }

    /// Predicts all customers, in their order. Fails on a number that is not finite.
    fn predict_all(
        &self,
        params: &BtydParams,
        purchases: &Purchases,
    ) -> Result<Vec<Value>, ModelError> {
        let rows = purchases.histories.par_iter().zip(&purchases.mean_money);
        let values: Vec<Value> =
            rows.map(|(history, mean)| self.predict(params, history, *mean)).collect();
        let is_finite = |value: &Value| {
            [value.alive, value.spend, value.lifetime_value].into_iter().all(f64::is_finite)
        };
        if values.iter().all(is_finite) {
            return Ok(values);
        }
        let reason = "expectations are not finite; leave the model out".to_owned();
        Err(ModelError::NotFitted { model: params.name.clone(), reason })
    }

    /// Adds the model's columns to `frame`, for the customers of its last `n` rows. Customers
    /// without a purchase have nulls, as have the rows before.
    pub fn add_columns(
        &self,
        params: &BtydParams,
        purchases: &Purchases,
        frame: &mut DataFrame,
        n: usize,
    ) -> Result<(), ModelError> {
        let predicted = self.predict_all(params, purchases)?;
        let ids = frame.column(CUSTOMER_ID)?.str()?;
        let first = frame.height() - n;
        let value = |row: usize| {
            let id = ids.get(row).filter(|_| row >= first)?;
            purchases.ids.rows_of(id).next().map(|row| predicted[row])
        };
        let values: Vec<Option<Value>> = (0..frame.height()).map(value).collect();
        let column = |name: String, number: fn(&Value) -> f64| {
            let numbers: Vec<Option<f64>> =
                values.iter().map(|value| value.as_ref().map(number)).collect();
            Column::new(name.into(), numbers)
        };
        let name = &params.name;
        let columns = [
            column(columns::alive(name), |value| value.alive),
            column(columns::purchases(name), |value| value.purchases),
            column(columns::purchase_value(name), |value| value.purchase_value),
            column(columns::spend(name), |value| value.spend),
            column(columns::clv(name), |value| value.lifetime_value),
        ];
        columns.into_iter().try_for_each(|column| frame.with_column(column).map(|_| ()))?;
        Ok(())
    }
}

/// Fits a model at the newest snapshot, adds its columns to `frame`, and evaluates an earlier fit.
pub(super) fn run(
    params: &BtydParams,
    context: &TrainingContext<'_>,
    frame: &mut DataFrame,
) -> Result<BtydRun, ModelError> {
    let (facts, date, n) = (context.facts, context.date, context.newest.height());
    let purchases = Purchases::before(facts, date)?;
    let fitted = Btyd::fit(params, &purchases)?;
    warn_about(params, &fitted, &purchases);
    fitted.add_columns(params, &purchases, frame, n)?;
    let made_at = date.checked_sub_days(Days::new(u64::from(params.horizon)));
    let trial = match made_at.map(|made_at| Trial::new(params, facts, made_at, date)) {
        Some(Ok(Some(trial))) => Some(trial),
        Some(Ok(None)) | None => {
            let model = &params.name;
            warn!(model, "the source does not go back far enough for an out-of-time evaluation");
            None
        }
        Some(Err(error)) if error.is_system() => return Err(error),
        Some(Err(error)) => {
            warn!(model = params.name, %error, "skipped the out-of-time evaluation");
            None
        }
    };
    // The curve shows how the earlier fit did after its time, if there is one.
    let (process, fitted_until) = match &trial {
        Some(trial) => (&trial.fitted.process, trial.made_at),
        None => (&fitted.process, date),
    };
    let tracking = trial::track(process, facts, &purchases, fitted_until, date)?;
    Ok(BtydRun { params: params.clone(), fitted, trial, tracking })
}

fn warn_about(params: &BtydParams, fitted: &Btyd, purchases: &Purchases) {
    let model = &params.name;
    let Spend { p, q, .. } = fitted.spend;
    let parameters = fitted.process.parameters.into_iter().chain([p, q]);
    if parameters.into_iter().any(|parameter| parameter > AT_BOUND * fit::LARGEST) {
        warn!(model, "the parameters are at their bound: customers hardly differ from each other");
    }
    if fitted.repeaters < FEW_REPEATERS {
        let repeaters = fitted.repeaters;
        warn!(model, repeaters, "few customers bought again; the estimates are uncertain");
    }
    let (repeats, means): (Vec<f64>, Vec<f64>) = purchases.repeaters().into_iter().unzip();
    let correlation = trial::correlation(&repeats, &means);
    if correlation.abs() >= HIGH_CORRELATION {
        warn!(
            model,
            correlation,
            "spend per purchase correlates with the number of purchases; Gamma-Gamma assumes that \
             it does not"
        );
    }
}
