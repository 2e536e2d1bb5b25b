//! Targets: what a model predicts, and the labels of a snapshot.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{Days, NaiveDate};
use polars::prelude::*;
use tracing::info;

use super::features::text;
use super::training::Trainer;
use super::{Labels, ModelError, ModelParams, Protocol, StringArena};
use crate::columns::*;
use crate::ingest::{LookupParams, LookupTable};
use crate::orders::OrderFacts;
use crate::rfm::{day, measures};

#[derive(Debug, Clone)]
pub enum Target {
    /// The segment at the same snapshot.
    Segment,
    /// The segment this many days later, or [`INACTIVE`].
    SegmentIn(u32),
    /// Whether the customer buys within this many days: `yes` or `no`.
    BuysIn(u32),
    /// Labels from a file, for some or all customers.
    Labels(Box<LookupParams>),
    /// The clusters of the clustering with this name.
    Clusters(String),
}

/// Label of customers who have no activity within `rfm.window` at the later snapshot.
pub const INACTIVE: &str = "inactive";

pub struct TrainingContext<'a> {
    /// Date of the newest snapshot.
    pub date: NaiveDate,
    pub newest: DataFrame,
    pub earlier: &'a [(NaiveDate, DataFrame)],
    /// Earlier dates at which forecasts are evaluated, too.
    pub backtests: &'a [NaiveDate],
    pub facts: &'a OrderFacts,
    /// Label files by model name.
    pub labels: &'a BTreeMap<String, LookupTable>,
}

impl Target {
    /// Days between the snapshot and the label.
    pub fn horizon(&self) -> Option<u32> {
        match self {
            Self::SegmentIn(days) | Self::BuysIn(days) => Some(*days),
            Self::Segment | Self::Labels(_) | Self::Clusters(_) => None,
        }
    }
}

pub(super) fn before(date: NaiveDate, days: u32) -> Option<NaiveDate> {
    date.checked_sub_days(Days::new(u64::from(days)))
}

pub(super) fn after(date: NaiveDate, days: u32) -> NaiveDate {
    date.checked_add_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MAX)
}

impl Trainer<'_> {
    /// The customers of a snapshot. An error if there is none at that date.
    pub(super) fn customers(&self, date: NaiveDate) -> Result<&DataFrame, ModelError> {
        match self.context.earlier.iter().find(|(other, _)| *other == date) {
            _ if date == self.context.date => Ok(&self.context.newest),
            Some((_, frame)) => Ok(frame),
            None => Err(ModelError::TooShort { model: self.params.name.clone(), date }),
        }
    }

    /// The labels of a snapshot's customers, in their order.
    pub(super) fn labels(
        &self,
        date: NaiveDate,
        frame: &DataFrame,
        ids: &StringArena,
    ) -> Result<Labels, ModelError> {
        let model = &self.params.name;
        let no_labels = || ModelError::NoLabels { model: model.clone() };
        Ok(match &self.params.target {
            Target::Segment => frame.column(SEGMENT)?.str()?.iter().collect(),
            Target::Clusters(name) => self.clusters.get(name).cloned().ok_or_else(no_labels)?,
            Target::BuysIn(days) => buys(ids, self.context.facts, date, after(date, *days))?,
            Target::SegmentIn(days) => {
                let later = self.customers(after(date, *days))?;
                let (later_ids, segments) = (text(later, CUSTOMER_ID)?, text(later, SEGMENT)?);
                let later: HashMap<&str, &str> = later_ids.iter().zip(segments.iter()).collect();
                ids.iter().map(|id| Some(later.get(id).copied().unwrap_or(INACTIVE))).collect()
            }
            Target::Labels(file) => {
                let table = self.context.labels.get(model).ok_or_else(no_labels)?;
                file_labels(ids, model, file, table)?
            }
        })
    }

    /// The labels of a snapshot's customers if nothing changes: the current segment, or whether the
    /// customer bought in the preceding days. None for targets without a horizon.
    pub(super) fn unchanged_labels(&self, frame: &DataFrame) -> Result<Labels, ModelError> {
        Ok(match &self.params.target {
            Target::SegmentIn(_) => frame.column(SEGMENT)?.str()?.iter().collect(),
            Target::BuysIn(days) => {
                let date = frame.column(SNAPSHOT)?.date()?.as_date_iter().next().flatten();
                let date = date.unwrap_or(NaiveDate::MIN);
                let start = before(date, *days).unwrap_or(NaiveDate::MIN);
                buys(&text(frame, CUSTOMER_ID)?, self.context.facts, start, date)?
            }
            Target::Segment | Target::Labels(_) | Target::Clusters(_) => Labels::default(),
        })
    }
}

/// Labels from a file. Empty labels are no labels.
fn file_labels(
    ids: &StringArena,
    model: &str,
    file: &LookupParams,
    table: &LookupTable,
) -> PolarsResult<Labels> {
    let column = file.attributes.first().map_or(LABEL, String::as_str);
    let labels = table.frame.column(column)?.cast(&DataType::String)?;
    let labels = labels.str()?.iter().map(|label| label.unwrap_or("").trim());
    let labelled_ids = text(&table.frame, CUSTOMER_ID)?;
    let known: HashSet<&str> = ids.iter().collect();
    let unknown_customers = labelled_ids.iter().filter(|id| !known.contains(id)).count();
    info!(model, labels = table.frame.height(), unknown_customers, "labels read");
    let by_id: HashMap<&str, &str> = labelled_ids.iter().zip(labels).collect();
    let label = |id: &str| by_id.get(id).copied().filter(|label| !label.is_empty());
    Ok(ids.iter().map(label).collect())
}

/// How a model can be evaluated. Labels that are a function of its features can only be recovered.
pub(super) fn protocol(
    params: &ModelParams,
    labels: &Labels,
    frame: &DataFrame,
) -> PolarsResult<Protocol> {
    Ok(match &params.target {
        Target::SegmentIn(_) | Target::BuysIn(_) => Protocol::OutOfTime,
        Target::Labels(_) if depend_on_scores(labels, frame)? => Protocol::Recovery,
        _ if params.circular => Protocol::Recovery,
        _ => Protocol::Holdout,
    })
}

/// Whether labels are a function of the score code: no two customers with one code have different
/// labels. False if fewer than two codes are shared by customers, or all labels are equal.
fn depend_on_scores(labels: &Labels, frame: &DataFrame) -> PolarsResult<bool> {
    let codes = text(frame, RFM_CODE)?;
    let mut by_code: HashMap<&str, (&str, usize)> = HashMap::new();
    for (code, label) in codes.iter().zip(labels.iter()) {
        let Some(label) = label else { continue };
        let (first, customers) = by_code.entry(code).or_insert((label, 0));
        if *first != label {
            return Ok(false);
        }
        *customers += 1;
    }
    let shared = by_code.values().filter(|(_, customers)| *customers > 1).count();
    Ok(shared > 1 && labels.names.len() > 1)
}

/// `yes` for customers with a purchase in `from..until` that was not returned before `until`, else
/// `no`.
fn buys(
    ids: &StringArena,
    facts: &OrderFacts,
    from: NaiveDate,
    until: NaiveDate,
) -> PolarsResult<Labels> {
    let within = col(DAY).gt_eq(day(from)).and(col(DAY).lt(day(until)));
    let buyers = facts
        .accepted()
        .filter(within)
        .with_column(measures::is_effective(until))
        .filter(col(IS_EFFECTIVE))
        .select([col(CUSTOMER_ID)])
        .unique_generic(None, UniqueKeepStrategy::Any)
        .collect()?;
    let buyers = text(&buyers, CUSTOMER_ID)?;
    let buyers: HashSet<&str> = buyers.iter().collect();
    Ok(ids.iter().map(|id| Some(if buyers.contains(id) { "yes" } else { "no" })).collect())
}
