//! What a model learns: labels of customers, now or later.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{Days, NaiveDate};
use polars::prelude::*;
use tracing::info;

use super::features::text;
use super::{Labels, ModelError, ModelParams, Protocol};
use crate::columns::*;
use crate::ingest::{Keyed, KeyedParams};
use crate::orders::OrderBook;
use crate::rfm::{day, measures};

/// What a model learns.
#[derive(Debug, Clone)]
pub enum Target {
    /// The customer's segment at the same snapshot.
    Segment,
    /// The customer's segment so many days later; see [`GONE`].
    SegmentIn(u32),
    /// Whether the customer buys within so many days: `yes` or `no`.
    BuysIn(u32),
    /// Labels from a file, of any share of the customers.
    Labels(KeyedParams),
    /// The clusters of a clustering, by its name.
    Clusters(String),
}

/// Label of customers who are in no segment later, since nothing of them lies within `rfm.window` then.
pub const GONE: &str = "gone";

/// What a model may look at.
pub struct Sight<'a> {
    /// The newest snapshot.
    pub date: NaiveDate,
    /// Its customers.
    pub newest: DataFrame,
    /// Earlier snapshots.
    pub earlier: &'a [(NaiveDate, DataFrame)],
    /// What happened.
    pub book: &'a OrderBook,
    /// Label files, by the model.
    pub labels: &'a BTreeMap<String, Keyed>,
}

impl Target {
    /// Days that the label lies ahead.
    pub fn horizon(&self) -> Option<u32> {
        match self {
            Self::SegmentIn(days) | Self::BuysIn(days) => Some(*days),
            Self::Segment | Self::Labels(_) | Self::Clusters(_) => None,
        }
    }

    /// The snapshots before the newest that the target needs: one to learn from, and one more to try what is learnt.
    pub fn earlier(&self, newest: NaiveDate) -> Vec<NaiveDate> {
        let back = |times: u32| self.horizon().and_then(|days| before(newest, days * times));
        [1, 2].into_iter().filter_map(back).collect()
    }
}

/// The date so many days before another.
pub(super) fn before(date: NaiveDate, days: u32) -> Option<NaiveDate> {
    date.checked_sub_days(Days::new(u64::from(days)))
}

impl Sight<'_> {
    /// The customers of a snapshot.
    pub(super) fn at(&self, date: NaiveDate) -> Option<&DataFrame> {
        match date == self.date {
            true => Some(&self.newest),
            false => self.earlier.iter().find(|(other, _)| *other == date).map(|(_, frame)| frame),
        }
    }

    /// The labels of the customers of a snapshot, in their order; `None` for those who have none.
    pub(super) fn labels(
        &self,
        params: &ModelParams,
        date: NaiveDate,
        clusters: &HashMap<String, Labels>,
    ) -> Result<Labels, ModelError> {
        let frame = self
            .at(date)
            .ok_or_else(|| ModelError::TooShort { model: params.name.clone(), date })?;
        let later =
            |days: u32| date.checked_add_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MAX);
        let ids = text(frame, CUSTOMER_ID)?;
        Ok(match &params.target {
            Target::Segment => frame.column(SEGMENT)?.str()?.iter().collect(),
            Target::Clusters(name) => clusters.get(name).cloned().unwrap_or_default(),
            Target::BuysIn(days) => {
                let buyers = buyers(self.book, date, later(*days))?;
                ids.iter().map(|id| Some(buys(buyers.contains(id)))).collect()
            }
            Target::SegmentIn(days) => {
                let end = later(*days);
                let then = self.at(end).ok_or_else(|| ModelError::TooShort {
                    model: params.name.clone(),
                    date: end,
                })?;
                // Who has left the window by then is somewhere too.
                let (known, segments) = (text(then, CUSTOMER_ID)?, text(then, SEGMENT)?);
                let then: HashMap<&str, &str> = known.iter().zip(segments.iter()).collect();
                ids.iter().map(|id| Some(then.get(id).copied().unwrap_or(GONE))).collect()
            }
            Target::Labels(file) => {
                let Some(given) = self.labels.get(&params.name) else {
                    return Ok(ids.iter().map(|_| None).collect());
                };
                let name = file.attributes.first().map_or(LABEL, String::as_str);
                let labels = given.frame.column(name)?.cast(&DataType::String)?;
                let labels = labels.str()?.iter().map(|label| label.unwrap_or_default().trim());
                let (known, labelled) =
                    (ids.iter().collect::<HashSet<&str>>(), text(&given.frame, CUSTOMER_ID)?);
                let strangers = labelled.iter().filter(|id| !known.contains(id)).count();
                info!(model = params.name, labels = given.frame.height(), strangers, "labels read");
                let given: HashMap<&str, &str> = labelled.iter().zip(labels).collect();
                ids.iter()
                    .map(|id| given.get(id).copied().filter(|label| !label.is_empty()))
                    .collect()
            }
        })
    }

    /// What it would be if nothing changed: the segment of the day, or whether the customer bought in the days before.
    pub(super) fn persistence(
        &self,
        params: &ModelParams,
        date: NaiveDate,
    ) -> Result<Option<Labels>, ModelError> {
        let Some(frame) = self.at(date) else { return Ok(None) };
        Ok(match &params.target {
            Target::SegmentIn(_) => Some(frame.column(SEGMENT)?.str()?.iter().collect()),
            Target::BuysIn(days) => {
                let buyers =
                    buyers(self.book, before(date, *days).unwrap_or(NaiveDate::MIN), date)?;
                Some(
                    text(frame, CUSTOMER_ID)?
                        .iter()
                        .map(|id| Some(buys(buyers.contains(id))))
                        .collect(),
                )
            }
            Target::Segment | Target::Labels(_) | Target::Clusters(_) => None,
        })
    }
}

/// How a model is tried. Labels that are a function of what it sees can only be recovered.
pub(super) fn protocol(
    params: &ModelParams,
    labels: &Labels,
    frame: &DataFrame,
) -> PolarsResult<Protocol> {
    Ok(match &params.target {
        Target::SegmentIn(_) | Target::BuysIn(_) => Protocol::OutOfTime,
        Target::Labels(_) if of_scores(labels, frame)? => Protocol::Recovery,
        _ if params.circular => Protocol::Recovery,
        _ => Protocol::Holdout,
    })
}

/// Whether labels are a function of the score code: no two customers with one code have different labels, though there are codes that
/// several have, and several labels.
pub fn of_scores(labels: &Labels, frame: &DataFrame) -> PolarsResult<bool> {
    let codes = text(frame, RFM_CODE)?;
    let mut by_code: HashMap<&str, (BTreeSet<&str>, usize)> = HashMap::new();
    for (code, label) in codes.iter().zip(labels.iter()) {
        let Some(label) = label else { continue };
        let (labels, customers) = by_code.entry(code).or_default();
        labels.insert(label);
        *customers += 1;
    }
    let several = by_code.values().filter(|(_, customers)| *customers > 1).count();
    let all: BTreeSet<&str> = by_code.values().flat_map(|(labels, _)| labels).copied().collect();
    Ok(several > 1 && all.len() > 1 && by_code.values().all(|(labels, _)| labels.len() == 1))
}

/// Those who bought something within some days that was not undone in them.
fn buyers(book: &OrderBook, from: NaiveDate, until: NaiveDate) -> PolarsResult<HashSet<String>> {
    let within = col(DAY).gt_eq(day(from)).and(col(DAY).lt(day(until)));
    let bought =
        book.accepted().filter(within).with_column(measures::stands(until)).filter(col(STANDS));
    let bought = bought
        .select([col(CUSTOMER_ID)])
        .unique_generic(None, UniqueKeepStrategy::Any)
        .collect()?;
    Ok(text(&bought, CUSTOMER_ID)?.iter().map(str::to_owned).collect())
}

/// The label of who buys, or does not.
fn buys(does: bool) -> &'static str {
    if does { "yes" } else { "no" }
}
