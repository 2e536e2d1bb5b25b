//! Trial of a model: fitted before a period, compared with what customers did in it.

use chrono::{Days, NaiveDate};
use rayon::prelude::*;

use super::super::ModelError;
use super::history::{Activity, Purchases, repeat_days, weeks_between};
use super::{Btyd, BtydParams, Process};
use crate::orders::OrderFacts;

/// A model fitted at an earlier date.
#[derive(Debug, Clone)]
pub struct Trial {
    pub made_at: NaiveDate,
    /// End of the period, exclusive.
    pub until: NaiveDate,
    pub fitted: Btyd,
    pub expected: Activity,
    /// The baseline: every customer goes on as before. Repeat purchases, and their money, per day
    /// since the first purchase.
    pub past_rate: Activity,
    pub actual: Activity,
}

/// Cumulative repeat purchases of all customers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackedWeek {
    /// Weeks since the first purchase of the source.
    pub week: u32,
    pub actual: f64,
    pub expected: f64,
    /// Whether the week is after the time that the model was fitted to.
    pub is_forecast: bool,
}

impl Trial {
    /// `None` if the source has no purchase before `made_at`.
    pub(super) fn new(
        params: &BtydParams,
        facts: &OrderFacts,
        made_at: NaiveDate,
        until: NaiveDate,
    ) -> Result<Option<Self>, ModelError> {
        let purchases = Purchases::before(facts, made_at)?;
        if purchases.is_empty() {
            return Ok(None);
        }
        let fitted = Btyd::fit(params, &purchases)?;
        let values = fitted.predict_all(params, &purchases)?;
        let weeks = weeks_between(made_at, until);
        let rates = purchases.histories.iter().map(|history| {
            if history.age > 0.0 { history.repeats / history.age * weeks } else { 0.0 }
        });
        let rates: Vec<f64> = rates.collect();
        let money = rates.iter().zip(&purchases.mean_money).map(|(rate, mean)| rate * mean);
        let past_rate = Activity { money: money.collect(), purchases: rates };
        Ok(Some(Self {
            made_at,
            until,
            fitted,
            expected: Activity {
                purchases: values.iter().map(|value| value.purchases).collect(),
                money: values.iter().map(|value| value.spend).collect(),
            },
            past_rate,
            actual: purchases.activity(facts, made_at, until)?,
        }))
    }
}

/// The tracking curve of the customers who bought before `fitted_until`, week by week to `until`.
pub(super) fn track(
    process: &Process,
    facts: &OrderFacts,
    purchases: &Purchases,
    fitted_until: NaiveDate,
    until: NaiveDate,
) -> Result<Vec<TrackedWeek>, ModelError> {
    let Some(start) = purchases.first_days.iter().min().copied() else { return Ok(Vec::new()) };
    let repeats = repeat_days(facts, fitted_until, until)?;
    // Number of customers by the day of their first purchase.
    let is_fitted = |day: &NaiveDate| *day < fitted_until;
    let mut first_days: Vec<NaiveDate> =
        purchases.first_days.iter().copied().filter(is_fitted).collect();
    first_days.sort_unstable();
    let cohorts: Vec<(NaiveDate, f64)> =
        first_days.chunk_by(|a, b| a == b).map(|cohort| (cohort[0], cohort.len() as f64)).collect();
    let ends = (1u32..).map_while(|week| {
        let end = start.checked_add_days(Days::new(7 * u64::from(week)))?;
        (end <= until).then_some((week, end))
    });
    let ends: Vec<(u32, NaiveDate)> = ends.collect();
    let week = |&(week, end): &(u32, NaiveDate)| {
        let last = end.pred_opt().unwrap_or(end);
        let begun = cohorts.iter().take_while(|(first, _)| *first < last);
        let expected = begun.map(|(first, customers)| {
            customers * process.expected_purchases(&Default::default(), weeks_between(*first, last))
        });
        TrackedWeek {
            week,
            actual: repeats.partition_point(|day| *day < end) as f64,
            expected: expected.sum(),
            is_forecast: end > fitted_until,
        }
    };
    Ok(ends.par_iter().map(week).collect())
}

/// Pearson's correlation. NaN if one of the variables is constant.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let [mean_a, mean_b] = [a, b].map(|values| values.iter().sum::<f64>() / n);
    let deviations = || a.iter().zip(b).map(|(x, y)| (x - mean_a, y - mean_b));
    let covariance: f64 = deviations().map(|(x, y)| x * y).sum();
    let squares: (f64, f64) =
        deviations().fold((0.0, 0.0), |(sum_a, sum_b), (x, y)| (sum_a + x * x, sum_b + y * y));
    covariance / (squares.0 * squares.1).sqrt()
}
