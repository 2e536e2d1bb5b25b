//! Scoring of customers with the artefact of an earlier run.

use std::sync::Arc;

use chrono::NaiveDate;
use polars::prelude::*;
use tracing::{info, info_span};

use super::{RunObserver, Session};
use crate::artefact::{ArtefactError, DiffScope, StoredArtefact, differences};
use crate::columns::{
    CUSTOMER_ID, F_SCORE, FREQUENCY, M_SCORE, MONETARY, R_SCORE, RECENCY_DAYS, RFM_SCORE, SEGMENT,
    model_columns, probability,
};
use crate::error::Error;
use crate::model::{Btyd, ClusterModel, Customers, FeatureParams, FittedModel, Purchases};
use crate::pipeline::Pipeline;
use crate::rfm::{SnapshotDates, Snapshots};
use crate::score::{self, CutPointSource, FrozenCutPoints};
use crate::segment;

/// A column that customers to be scored must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputColumn {
    pub(crate) name: String,
    pub(crate) kind: InputKind,
}

/// Type of an input column, and whether it may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputKind {
    Id,
    /// Whole days, not null.
    Days,
    /// Whole number from 0, not null.
    Count,
    Money,
    Number,
    Text,
}

impl InputKind {
    /// What is expected of a cell, for messages.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Days | Self::Count => "a whole number",
            Self::Money | Self::Number => "a number",
            Self::Id | Self::Text => "a value",
        }
    }
}

/// A pipeline with the fitted parameters of an artefact.
pub(crate) struct Scorer {
    p: Pipeline,
    frozen: FrozenCutPoints,
    cluster_models: Vec<ClusterModel>,
    models: Vec<FittedModel>,
    btyd: Vec<Btyd>,
    as_of: NaiveDate,
}

impl Scorer {
    /// A scorer from an artefact. `p` is the artefact's pipeline, with other sources.
    ///
    /// # Errors
    /// A damaged artefact, or one of another definition.
    pub(crate) fn new(
        mut p: Pipeline,
        stored: &StoredArtefact,
        as_of: Option<NaiveDate>,
    ) -> Result<Self, Error> {
        let record = &stored.record;
        let different = differences(&p.definition, &record.definition, DiffScope::Everything);
        if let Some(different) = different {
            return Err(ArtefactError::Differs(different).into());
        }
        let as_of = match as_of {
            Some(date) => date,
            None => record.snapshot()?,
        };
        let frozen = record.frozen()?;
        let models = stored.models(&p.models)?;
        let cluster_models = stored.cluster_models(&p.clusterings)?;
        let btyd = record.btyd_models(&p.btyd)?;
        p.score.cut_points = CutPointSource::Given(frozen.clone());
        p.rfm.snapshots = SnapshotDates::Given(vec![as_of]);
        p.rfm.fitted = record.fitted();
        // Checks are about all customers. The input may be a part of them.
        p.checks.clear();
        Ok(Self { p, frozen, cluster_models, models, btyd, as_of })
    }

    /// Reads the sources and scores every customer: one row each, sorted by customer, with the
    /// columns of `segments` except those about earlier snapshots.
    pub(crate) fn score_sources(&self, observer: Arc<dyn RunObserver>) -> Result<DataFrame, Error> {
        let session = Session::open(&self.p, observer);
        let rows = session.facts()?.rows_by_reason().map_err(Error::engine("orders"))?;
        if let Some((accepted, rejected)) = rows.split_last() {
            info!(accepted, rejected = rejected.iter().sum::<u64>(), "rows");
        }
        let mut frame = self.score(session.measure(self.as_of)?)?;
        if !self.p.btyd.is_empty() {
            let n = frame.height();
            let purchases = Purchases::before(session.facts()?, self.as_of);
            let purchases = purchases.map_err(Error::engine("model"))?;
            for (params, fitted) in self.p.btyd.iter().zip(&self.btyd) {
                fitted.add_columns(params, &purchases, &mut frame, n)?;
            }
        }
        Ok(frame)
    }

    /// Scores measured customers. Their rows keep their order. BTYD models need lines, so that
    /// their columns are not added.
    pub(crate) fn score(&self, mut snapshots: Snapshots) -> Result<DataFrame, Error> {
        if let Some(limit) = self.p.rfm.fitted.limit {
            let monetary = col(MONETARY);
            let is_above = monetary.clone().gt(lit(limit));
            let capped = when(is_above).then(lit(limit)).otherwise(monetary).alias(MONETARY);
            let frame = snapshots.frame.lazy().with_column(capped).collect();
            snapshots.frame = frame.map_err(Error::engine("rfm"))?;
        }
        let scored = score::score(&self.p.score, snapshots, Some(&self.frozen))
            .map_err(Error::engine("score"))?;
        let named = segment::segment(&self.p.segment, scored).map_err(Error::engine("segment"))?;
        let named = super::snapshots::explain(&self.p, named)?.frame;
        let _span = info_span!("model").entered();
        let mut frame = named.clone();
        for cluster_model in &self.cluster_models {
            cluster_model.add_columns(&mut frame, &named)?;
        }
        for fitted in &self.models {
            let features = &fitted.params.features;
            let customers = Customers::read(features, &named, &fitted.distributions)
                .map_err(Error::engine("model"))?;
            fitted.agreement(&customers)?;
            fitted.add_columns(&mut frame, &named)?;
        }
        Ok(frame)
    }

    pub(crate) fn as_of(&self) -> NaiveDate {
        self.as_of
    }

    /// The columns that measured customers must have: customer, recency, frequency, monetary value,
    /// and the features of the models that are not computed from these.
    pub(crate) fn columns(&self) -> Vec<InputColumn> {
        let of_models = self.models.iter().map(|model| &model.params.features);
        let of_clusterings = self.cluster_models.iter().map(|model| &model.params.features);
        let customers = &self.p.ingest.customers;
        let attributes: Vec<&String> =
            customers.iter().flat_map(|customers| &customers.attributes).collect();
        input_columns(of_clusterings.chain(of_models).flatten(), &attributes)
    }

    /// The columns of the clusterings and the models, in order.
    pub(crate) fn model_columns(&self) -> Vec<String> {
        let clusterings = self.cluster_models.iter();
        let clusterings = clusterings.flat_map(|model| model_columns(&model.params.name));
        let models = self.models.iter().flat_map(|model| {
            let name = &model.params.name;
            let probability = model.has_probability().then(|| probability(name));
            model_columns(name).into_iter().chain(probability)
        });
        clusterings.chain(models).collect()
    }
}

/// The columns that customers must have for models with these features, some of which are
/// attributes of the customers' source.
pub(crate) fn input_columns<'a>(
    features: impl Iterator<Item = &'a FeatureParams>,
    attributes: &[&String],
) -> Vec<InputColumn> {
    let measures = [
        (CUSTOMER_ID, InputKind::Id),
        (RECENCY_DAYS, InputKind::Days),
        (FREQUENCY, InputKind::Count),
        (MONETARY, InputKind::Money),
    ];
    let column = |name: &str, kind| InputColumn { name: name.to_owned(), kind };
    let mut columns: Vec<InputColumn> =
        measures.into_iter().map(|(name, kind)| column(name, kind)).collect();
    let computed = [R_SCORE, F_SCORE, M_SCORE, RFM_SCORE, SEGMENT];
    for feature in features {
        let name = feature.column.as_str();
        if computed.contains(&name) || columns.iter().any(|column| column.name == name) {
            continue;
        }
        // Attributes are text as in their file, even if the model uses them as numbers.
        let is_attribute = attributes.iter().any(|attribute| *attribute == name);
        let kind = if is_attribute { InputKind::Text } else { InputKind::Number };
        columns.push(column(name, kind));
    }
    columns
}
