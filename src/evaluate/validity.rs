//! Validity: what the customers of a segment did in the time after the snapshot. A segment is worth its name where these differ.

use chrono::{Days, NaiveDate};
use polars::prelude::*;
use rayon::prelude::*;

use super::bootstrap::{interval, resampled};
use crate::columns::*;
use crate::orders::OrderBook;
use crate::rfm::{day, measures};
use crate::segment::SegmentMap;

/// Checked options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidityParams {
    /// Days after a snapshot that are looked at, at least 1.
    pub horizon_days: u32,
    /// How often customers are drawn anew for the intervals, at least 1.
    pub resamples: u32,
    /// Seed of the draws.
    pub seed: u64,
}

/// What one segment's customers did.
struct Found {
    customers: usize,
    buyers: usize,
    money: i128,
    rate: Option<[f64; 2]>,
    mean: Option<[f64; 2]>,
}

impl ValidityParams {
    /// The first day after the horizon of a snapshot.
    pub fn end(&self, snapshot: NaiveDate) -> NaiveDate {
        snapshot.checked_add_days(Days::new(u64::from(self.horizon_days))).unwrap_or(NaiveDate::MAX)
    }

    /// The snapshot whose horizon ends at a date.
    pub fn start(&self, end: NaiveDate) -> NaiveDate {
        end.checked_sub_days(Days::new(u64::from(self.horizon_days))).unwrap_or(NaiveDate::MIN)
    }
}

/// One row a (snapshot, segment of the map), and one for all with a null segment; only for snapshots after which the source goes on
/// for the whole horizon. These may hold one that is not published: that whose horizon ends with the newest.
///
/// Columns: `snapshot` date, `horizon_days` u32, `segment` text, `customers` u32, `buyers` u32: those who bought something within the
/// horizon that was not undone in it, `buy_rate` f64 with `buy_rate_low` and `buy_rate_high`, `money` f64 spent within it, less
/// returns, `money_share` f64 of all that the snapshot's customers spent, `money_mean` f64 by customer, with `money_mean_low` and
/// `money_mean_high`. The intervals are of 95 %, by the bootstrap over the segment's customers; rates, means and intervals of a segment
/// without customers are null.
///
/// # Errors
/// What Polars says.
pub fn validity(
    params: &ValidityParams,
    book: &OrderBook,
    map: &SegmentMap,
    snapshots: &[(NaiveDate, DataFrame)],
) -> PolarsResult<DataFrame> {
    let last = book.span()?.map(|(_, last)| last);
    let (mut dates, mut names, mut rows) = (Vec::new(), Vec::new(), Vec::<(Found, i128)>::new());
    for (date, customers) in snapshots {
        let end = params.end(*date);
        // The day before the end has to lie within the source.
        if last.is_none_or(|last| last.succ_opt().is_none_or(|after| after < end)) {
            continue;
        }
        let done = behaviour(book, customers, *date, end)?;
        let of_segment = |idx: Option<usize>| {
            let name = idx.map(|idx| map.name_of(idx));
            let of = done.iter().filter(|(segment, ..)| name.is_none_or(|name| segment == name));
            let (bought, money): (Vec<bool>, Vec<i128>) =
                of.map(|(_, bought, money)| (*bought, *money)).unzip();
            found(params, &[&date.to_string(), name.unwrap_or_default()], &bought, &money)
        };
        let all: Vec<Option<usize>> =
            [None].into_iter().chain((0..map.segments.len()).map(Some)).collect();
        let found: Vec<Found> = all.par_iter().map(|idx| of_segment(*idx)).collect();
        let total = found.first().map_or(0, |all| all.money);
        for (idx, found) in all.into_iter().zip(found) {
            dates.push(*date);
            names.push(idx.map(|idx| map.name_of(idx)));
            rows.push((found, total));
        }
    }
    let factor = book.money.factor();
    let each = |of: &dyn Fn(&Found, i128) -> Option<f64>| -> Vec<Option<f64>> {
        rows.iter().map(|(found, total)| of(found, *total)).collect()
    };
    let by_customer =
        |value: f64, found: &Found| (found.customers > 0).then(|| value / found.customers as f64);
    df![
        SNAPSHOT => dates,
        HORIZON_DAYS => vec![params.horizon_days; rows.len()],
        SEGMENT => names,
        CUSTOMERS => rows.iter().map(|(found, _)| found.customers as u32).collect::<Vec<_>>(),
        BUYERS => rows.iter().map(|(found, _)| found.buyers as u32).collect::<Vec<_>>(),
        BUY_RATE => each(&|found, _| by_customer(found.buyers as f64, found)),
        low(BUY_RATE) => each(&|found, _| found.rate.map(|[low, _]| low)),
        high(BUY_RATE) => each(&|found, _| found.rate.map(|[_, high]| high)),
        MONEY => rows.iter().map(|(found, _)| found.money as f64 / factor).collect::<Vec<_>>(),
        MONEY_SHARE => each(&|found, total| (total > 0).then(|| found.money as f64 / total as f64)),
        MONEY_MEAN => each(&|found, _| by_customer(found.money as f64 / factor, found)),
        low(MONEY_MEAN) => each(&|found, _| found.mean.map(|[low, _]| low / factor)),
        high(MONEY_MEAN) => each(&|found, _| found.mean.map(|[_, high]| high / factor)),
    ]
}

/// Segment, whether it bought, and money in minor units of every customer of a snapshot, in the order of customer_id.
fn behaviour(
    book: &OrderBook,
    customers: &DataFrame,
    date: NaiveDate,
    end: NaiveDate,
) -> PolarsResult<Vec<(String, bool, i128)>> {
    let within = col(DAY).gt_eq(day(date)).and(col(DAY).lt(day(end)));
    let later = book.accepted().filter(within).with_column(measures::stands(end));
    let later = later.group_by([col(CUSTOMER_ID)]).agg([col(STANDS).max(), col(MONEY).sum()]);
    let key = [col(CUSTOMER_ID)];
    let frame = customers
        .clone()
        .lazy()
        .select([col(CUSTOMER_ID), col(SEGMENT)])
        .join(later, key.clone(), key, JoinArgs::new(JoinType::Left))
        .sort([CUSTOMER_ID], SortMultipleOptions::default())
        .collect()?;
    let (segments, bought) = (frame.column(SEGMENT)?.str()?, frame.column(STANDS)?.bool()?);
    let money = frame.column(MONEY)?.i128()?;
    let rows = segments.iter().zip(bought.iter()).zip(money.iter());
    Ok(rows
        .map(|((segment, bought), money)| {
            (segment.unwrap_or_default().to_owned(), bought.unwrap_or(false), money.unwrap_or(0))
        })
        .collect())
}

fn found(params: &ValidityParams, words: &[&str], bought: &[bool], money: &[i128]) -> Found {
    let customers = bought.len();
    let times = if customers == 0 { 0 } else { params.resamples as usize };
    let (rates, means) = resampled(params.seed, words, (times, customers), |sample| {
        let (mut buyers, mut spent) = (0u32, 0i128);
        sample.each(|drawn| {
            buyers += u32::from(bought[drawn]);
            spent += money[drawn];
        });
        (f64::from(buyers) / customers as f64, spent as f64 / customers as f64)
    })
    .into_iter()
    .unzip();
    Found {
        customers,
        buyers: bought.iter().filter(|bought| **bought).count(),
        money: money.iter().sum(),
        rate: interval(rates),
        mean: interval(means),
    }
}
