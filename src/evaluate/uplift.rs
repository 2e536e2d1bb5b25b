//! Uplift of campaigns: customers on an earlier list against its control group, in the time after.

use std::path::PathBuf;

use chrono::{Days, NaiveDate};
use polars::prelude::*;
use tracing::warn;

use super::bootstrap::{interval, resample};
use super::validity::purchases;
use crate::columns::*;
use crate::export::{GROUP, original_text, read_table};
use crate::orders::OrderFacts;
use crate::tables::table_rows;

const RESAMPLES: usize = 1000;
const SEED: u64 = 7;
/// Customers of each group from which money has an interval.
const MIN_CUSTOMERS: usize = 30;
/// The 0.975 quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A campaign of `evaluate.uplift`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpliftParams {
    pub name: String,
    /// File of the groups.
    pub groups: PathBuf,
    /// First day of the campaign.
    pub since: NaiveDate,
    /// Length of the period from then on, at least 1.
    pub horizon_days: u32,
}

/// The customers of a campaign: `customer_id`, and `group`, which is `treated` or `control`.
#[derive(Debug)]
pub(crate) struct Groups(DataFrame);

table_rows! {
    /// A row of the table `uplift`.
    struct Uplift<'a> {
        CAMPAIGN => campaign: &'a str,
        SINCE => since: NaiveDate,
        HORIZON_DAYS => horizon_days: u32,
        MEASURE => measure: &'a str,
        TREATED_CUSTOMERS => treated_customers: u32,
        CONTROL_CUSTOMERS => control_customers: u32,
        TREATED => treated: f64,
        CONTROL => control: f64,
        DIFFERENCE => difference: f64,
        LOW => low: Option<f64>,
        HIGH => high: Option<f64>,
    }
}

impl UpliftParams {
    /// Reads the groups. The error is a sentence.
    pub(crate) fn read(&self) -> Result<Groups, String> {
        let at = |reason: String| format!("evaluate.uplift.{}: {reason}", self.name);
        let frame = read_table(&self.groups).map_err(at)?;
        let text = |name: &str| {
            let column = frame.column(name).and_then(|column| column.cast(&DataType::String));
            column.and_then(|column| column.str().cloned())
        };
        let (Ok(ids), Ok(groups)) = (text(CUSTOMER_ID), text(GROUP)) else {
            return Err(at(format!("expected the columns `{CUSTOMER_ID}` and `{GROUP}`")));
        };
        let groups: StringChunked =
            groups.iter().map(|group| group.map(|group| group.trim().to_lowercase())).collect();
        let is_other = |group: &Option<&str>| ![Some(TREATED), Some(CONTROL)].contains(group);
        if let Some(other) = groups.iter().find(is_other) {
            let other = other.unwrap_or("");
            return Err(at(format!("`{other}` is no group; expected `{TREATED}` or `{CONTROL}`")));
        }
        for name in [TREATED, CONTROL] {
            if !groups.iter().flatten().any(|group| group == name) {
                return Err(at(format!("no customer has the group `{name}`")));
            }
        }
        let ids: StringChunked =
            ids.iter().map(|id| id.map(|id| original_text(id.trim()))).collect();
        if ids.iter().any(|id| id.is_none_or(str::is_empty)) {
            return Err(at("a row has no customer".to_owned()));
        }
        if ids.n_unique().is_ok_and(|unique| unique < ids.len()) {
            return Err(at("a customer is listed twice".to_owned()));
        }
        let columns = vec![
            ids.with_name(CUSTOMER_ID.into()).into_column(),
            groups.with_name(GROUP.into()).into_column(),
        ];
        let frame = DataFrame::new(frame.height(), columns);
        frame.map(Groups).map_err(|error| at(error.to_string()))
    }
}

/// Whether each customer of a group bought, and what they spent, in minor units.
#[derive(Default)]
struct Outcomes {
    bought: Vec<bool>,
    money: Vec<i128>,
}

impl Outcomes {
    fn buy_rate(&self) -> f64 {
        let buyers = self.bought.iter().filter(|bought| **bought).count();
        buyers as f64 / self.bought.len() as f64
    }

    fn money_mean(&self, factor: f64) -> f64 {
        self.money.iter().sum::<i128>() as f64 / self.money.len() as f64 / factor
    }
}

/// The table `uplift`: two rows per campaign whose horizon is within the source and before the
/// newest snapshot.
///
/// The interval of the buy rates is Newcombe's (1998, method 10), that of the money is
/// bootstrapped over the customers of both groups.
pub(super) fn uplift(
    campaigns: &[UpliftParams],
    groups: &[Groups],
    facts: &OrderFacts,
    newest: NaiveDate,
) -> PolarsResult<DataFrame> {
    let factor = facts.money.factor();
    let span = facts.span()?.and_then(|(first, last)| Some((first, last.succ_opt()?)));
    let mut rows = Vec::new();
    for (params, groups) in campaigns.iter().zip(groups) {
        let UpliftParams { name: campaign, since, horizon_days, .. } = params;
        let end = since.checked_add_days(Days::new(u64::from(*horizon_days)));
        let end = end.unwrap_or(NaiveDate::MAX);
        if span.is_none_or(|(first, source_end)| *since < first || source_end.min(newest) < end) {
            let reason = "the campaign begins before the source or ends after the newest snapshot";
            warn!(campaign, %since, %end, "no uplift: {reason}");
            continue;
        }
        let unknown = unknown(facts, groups)?;
        if unknown > 0 {
            warn!(campaign, customers = unknown, "customers of the groups are not in the source");
        }
        let [treated, control] = outcomes(facts, groups, *since, end)?;
        let [n_treated, n_control] = [&treated, &control].map(|group| group.bought.len());
        let mut row = |measure, [treated, control]: [f64; 2], [low, high]: [Option<f64>; 2]| {
            rows.push(Uplift {
                campaign,
                since: *since,
                horizon_days: *horizon_days,
                measure,
                treated_customers: n_treated as u32,
                control_customers: n_control as u32,
                treated,
                control,
                difference: treated - control,
                low,
                high,
            });
        };
        let rates = [&treated, &control].map(Outcomes::buy_rate);
        row(BUY_RATE, rates, newcombe(rates, [n_treated, n_control]).map(Some));
        let money = [treated.money.as_slice(), &control.money].concat();
        let differences = || {
            resample(SEED, &[campaign], RESAMPLES, &[n_treated, n_control], |draws| {
                let mut sums = [0i128; 2];
                draws.for_each(|idx| sums[usize::from(idx >= n_treated)] += money[idx]);
                let [treated, control] = sums.map(|sum| sum as f64 / factor);
                treated / n_treated as f64 - control / n_control as f64
            })
        };
        let means = [&treated, &control].map(|group| group.money_mean(factor));
        // Of few customers, resamples are too equal.
        let has_interval = n_treated.min(n_control) >= MIN_CUSTOMERS;
        row(MONEY_MEAN, means, if has_interval { interval(differences()) } else { [None; 2] });
    }
    Uplift::frame(rows)
}

/// Number of customers of the groups without any line.
fn unknown(facts: &OrderFacts, groups: &Groups) -> PolarsResult<usize> {
    let key = [col(CUSTOMER_ID)];
    let known = facts.accepted().select(key.clone());
    let args = JoinArgs::new(JoinType::Anti);
    Ok(groups.0.clone().lazy().join(known, key.clone(), key, args).collect()?.height())
}

/// The outcomes of the treated and of the control group.
fn outcomes(
    facts: &OrderFacts,
    groups: &Groups,
    since: NaiveDate,
    end: NaiveDate,
) -> PolarsResult<[Outcomes; 2]> {
    let frame = purchases(facts, groups.0.clone().lazy(), since, end)?;
    let mut outcomes = [Outcomes::default(), Outcomes::default()];
    let names = frame.column(GROUP)?.str()?.iter();
    let bought = frame.column(IS_EFFECTIVE)?.bool()?.iter();
    let money = frame.column(MONEY)?.i128()?.iter();
    for ((name, bought), money) in names.zip(bought).zip(money) {
        let group = &mut outcomes[usize::from(name == Some(CONTROL))];
        group.bought.push(bought.unwrap_or(false));
        group.money.push(money.unwrap_or(0));
    }
    Ok(outcomes)
}

/// The 95 % interval of the difference of two shares, from Wilson's intervals of both.
fn newcombe([p, q]: [f64; 2], [n, m]: [usize; 2]) -> [f64; 2] {
    let [low_p, high_p] = wilson(p, n);
    let [low_q, high_q] = wilson(q, m);
    [p - q - (p - low_p).hypot(high_q - q), p - q + (high_p - p).hypot(q - low_q)]
}

fn wilson(share: f64, n: usize) -> [f64; 2] {
    let n = n as f64;
    let square = Z * Z / n;
    let centre = (share + square / 2.0) / (1.0 + square);
    let half = Z / (1.0 + square) * (share * (1.0 - share) / n + square / (4.0 * n)).sqrt();
    [centre - half, centre + half]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of Newcombe (1998), table II, method 10.
    #[test]
    fn interval_of_differences_is_newcombes() {
        let cases = [
            ([56.0 / 70.0, 48.0 / 80.0], [70, 80], [0.0524, 0.3339]),
            ([9.0 / 10.0, 3.0 / 10.0], [10, 10], [0.1705, 0.8090]),
            ([0.0, 0.0], [10, 20], [-0.1611, 0.2775]),
        ];
        for (shares, sizes, expected) in cases {
            let found = newcombe(shares, sizes);
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found - expected).abs() < 5e-5, "{shares:?}: {found} {expected}");
            }
        }
    }
}
