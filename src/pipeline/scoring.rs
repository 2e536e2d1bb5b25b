//! The artefact of a run, and what it says of other customers.

use std::path::PathBuf;

use chrono::NaiveDate;
use polars::prelude::*;
use serde_json::Value;
use tracing::{info, info_span};

use super::{Pipeline, known, mark, pair, rfm, scan, segment};
use crate::artefact::{
    self, Artefact, ArtefactError, ClusteringRecord, Exact, KeptCuts, MAP, ModelRecord, Opened,
    PIPELINE, Which,
};
use crate::columns::{
    CATEGORY, CUSTOMER_ID, F_SCORE, FREQUENCY, LABEL, LIMIT, M_SCORE, MONETARY, PREVIOUS_SEGMENT,
    R_SCORE, RECENCY_DAYS, RFM_SCORE, SEGMENT, SEGMENT_SINCE, SNAPSHOTS_IN_SEGMENT,
};
use crate::error::Error;
use crate::ingest::Reading;
use crate::model::features::Raw;
use crate::model::{self, Assigned, Customers, FeatureParams, Places, Samples, Trained, features};
use crate::publish::Files;
use crate::rfm::{CapPolicy, SnapshotDates, Snapshots, by_snapshot};
use crate::score::{self, Cutting, Scored, Yardstick};

/// What stands in the artefact besides what the run finds: the pipeline without its paths, its map, its rates.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The pipeline as JSON, which is YAML too.
    pub pipeline: Value,
    /// Its segment map.
    pub map: Value,
    /// Files that it names, rates of exchange and labels, by their names in the artefact.
    pub files: Vec<(String, PathBuf)>,
}

/// What was found over all customers of the newest snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    cut_points: Option<KeptCuts>,
    limit: Option<f64>,
    categories: Option<Vec<String>>,
}

impl Learnt {
    /// Of cut points alone.
    pub fn of(yardstick: &Yardstick) -> Self {
        Self { cut_points: Some(KeptCuts::of(yardstick)), limit: None, categories: None }
    }
}

/// What is kept of the scored customers for the artefact.
///
/// # Errors
/// What Polars says.
pub fn learnt(p: &Pipeline, scored: &Scored) -> Result<Learnt, Error> {
    let found = || -> PolarsResult<Learnt> {
        let newest = scored.dates.last().copied().unwrap_or_default();
        let yardstick = match &scored.kept {
            Some(kept) => kept.clone(),
            None => Yardstick::of(scored, newest)?,
        };
        let ranked = p.score.by_rank().contains(&true);
        let of_newest = |name: &str| -> PolarsResult<Option<DataFrame>> {
            let table = scored.tables.iter().find(|(other, _)| *other == name);
            let Some((_, table)) = table else { return Ok(None) };
            Ok(by_snapshot(table)?
                .into_iter()
                .find(|(date, _)| *date == newest)
                .map(|(_, part)| part))
        };
        let caps = p.rfm.cap.as_ref().is_some_and(|cap| cap.policy == CapPolicy::Winsorise);
        let limit = match of_newest("outliers")?.filter(|_| caps) {
            Some(outliers) => outliers.column(LIMIT)?.f64()?.iter().next().flatten(),
            None => None,
        };
        let top =
            of_newest("top_categories")?.map(|top| features::text(&top, CATEGORY)).transpose()?;
        let categories = top.map(|top| top.iter().map(str::to_owned).collect());
        Ok(Learnt { cut_points: (!ranked).then(|| KeptCuts::of(&yardstick)), limit, categories })
    };
    found().map_err(Error::engine("score"))
}

/// The artefact of a run, with its files.
///
/// # Errors
/// Rates that can no longer be read.
pub fn artefact(
    p: &Pipeline,
    learnt: Learnt,
    date: NaiveDate,
    assigned: &Assigned,
) -> Result<Files, Error> {
    let Learnt { cut_points, limit, categories } = learnt;
    let pretty =
        |json: &Value| (serde_json::to_string_pretty(json).unwrap_or_default() + "\n").into_bytes();
    let mut texts = vec![
        (PIPELINE.to_owned(), pretty(&p.recipe.pipeline)),
        (MAP.to_owned(), pretty(&p.recipe.map)),
    ];
    for (name, path) in &p.recipe.files {
        let bytes =
            std::fs::read(path).map_err(|source| Error::Input { path: path.clone(), source })?;
        texts.push((name.clone(), bytes));
    }
    let mut tables = Vec::with_capacity(assigned.trained.len());
    for model in &assigned.trained {
        let table = learnt_from(model).map_err(Error::engine("model"))?;
        tables.push((format!("{}.parquet", model.params.name), table));
    }
    let record = Artefact {
        format: artefact::FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pipeline: p.name.clone(),
        definition_hash: super::definition_hash(p),
        definition: p.definitions.clone(),
        snapshot: date.to_string(),
        cut_points,
        limit: limit.map(Exact),
        categories,
        models: assigned.trained.iter().map(ModelRecord::of).collect(),
        clusterings: assigned
            .clustered
            .iter()
            .map(|one| ClusteringRecord::of(&one.places))
            .collect(),
        files: texts.iter().map(|(name, bytes)| (name.clone(), artefact::hash(bytes))).collect(),
        blake3: String::new(),
    };
    Ok(Files { texts, tables, record })
}

/// The customers that a model learnt from: customer_id, the columns that it measures, label.
fn learnt_from(model: &Trained) -> PolarsResult<DataFrame> {
    let Samples { customers, labels, names } = &model.samples;
    let mut columns =
        vec![Column::new(CUSTOMER_ID.into(), customers.ids.iter().collect::<Vec<_>>())];
    for (feature, raw) in model.params.features.iter().zip(&customers.raw) {
        let name = PlSmallStr::from_str(&feature.column);
        columns.push(match raw {
            Raw::Numbers(values) => Column::new(name, values),
            Raw::Texts(values) => Column::new(name, values),
        });
    }
    let labels: Vec<&str> = labels.iter().map(|label| names[*label].as_str()).collect();
    columns.push(Column::new(LABEL.into(), labels));
    DataFrame::new(customers.len(), columns)
}

/// A column that customers have to come with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: InputKind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Text that is always there.
    Id,
    /// Whole days, always there.
    Days,
    /// A whole number from 0, always there.
    Count,
    /// A number, always there.
    Money,
    /// A number, or none.
    Number,
    /// Text, or none.
    Text,
}

impl InputKind {
    /// What a cell is that cannot be taken.
    pub fn refused(self) -> &'static str {
        match self {
            Self::Days | Self::Count => "no whole number",
            Self::Money | Self::Number => "no number",
            Self::Id | Self::Text => "nothing",
        }
    }
}

/// A pipeline as an artefact has it, to score customers with.
pub struct Scorer {
    p: Pipeline,
    yardstick: Yardstick,
    places: Vec<Places>,
    trained: Vec<Trained>,
    as_of: NaiveDate,
}

impl Scorer {
    /// Takes what the artefact holds; `p` is its pipeline, with other sources.
    ///
    /// # Errors
    /// An artefact that is damaged, or of other definitions.
    pub fn of(p: Pipeline, opened: &Opened, as_of: Option<NaiveDate>) -> Result<Self, Error> {
        let record = &opened.record;
        if let Some(words) =
            artefact::differences(&p.definitions, &record.definition, Which::Everything)
        {
            return Err(ArtefactError::Differs(words).into());
        }
        let as_of = as_of.map_or_else(|| record.snapshot(), Ok)?;
        let (yardstick, trained) = (record.yardstick()?, opened.models(&p.models)?);
        let places = record.places(&p.clusterings)?;
        let mut p = p;
        p.score.cutting = Cutting::Given(yardstick.clone());
        p.rfm.snapshots = SnapshotDates::Given(vec![as_of]);
        p.rfm.fitted = record.fitted();
        // A part of the customers need not hold what the whole has to.
        p.checks.clear();
        Ok(Self { p, yardstick, places, trained, as_of })
    }

    /// Reads the sources, and scores every customer in them: one row each, sorted by customer_id, as the segments have it, without the
    /// columns that look back.
    ///
    /// # Errors
    /// What the stages say.
    pub fn sources(&self) -> Result<DataFrame, Error> {
        let p = &self.p;
        let known = known(p)?;
        let pairs = pair(p)?;
        let lines = mark(p, Reading::Rows, pairs.as_ref())?;
        let book = scan(p, lines, pairs, None)?;
        let rows = book.rows_by_reason().map_err(Error::engine("orders"))?;
        let (accepted, rejected) =
            (rows.last().copied().unwrap_or(0), rows.iter().rev().skip(1).sum::<u64>());
        info!(accepted, rejected, "rows");
        self.measured(rfm(p, &book, known.customers.as_ref(), None, vec![self.as_of])?)
    }

    /// Scores customers whose columns are at hand; their rows stay in their order.
    ///
    /// # Errors
    /// What the stages say.
    pub fn measured(&self, snapshots: Snapshots) -> Result<DataFrame, Error> {
        let (p, kept) = (&self.p, Some(self.yardstick.clone()));
        let mut snapshots = snapshots;
        if let Some(limit) = p.rfm.fitted.limit {
            let monetary = col(MONETARY);
            let capped = when(monetary.clone().gt(lit(limit)))
                .then(lit(limit))
                .otherwise(monetary)
                .alias(MONETARY);
            snapshots.frame = snapshots
                .frame
                .lazy()
                .with_column(capped)
                .collect()
                .map_err(Error::engine("rfm"))?;
        }
        let scored = score::score(&p.score, snapshots, kept).map_err(Error::engine("score"))?;
        let mut frame = segment(p, scored)?.frame;
        for column in [PREVIOUS_SEGMENT, SEGMENT_SINCE, SNAPSHOTS_IN_SEGMENT] {
            frame = frame.drop(column).map_err(Error::engine("segment"))?;
        }
        let _span = info_span!("model").entered();
        let newest = frame.clone();
        for places in &self.places {
            let standing = places.stand(&newest)?;
            places.add_columns(&mut frame, &standing, 0).map_err(Error::engine("model"))?;
        }
        for model in &self.trained {
            let customers =
                Customers::of(&model.params.features, &frame).map_err(Error::engine("model"))?;
            let answers = model.answers(&customers)?;
            model::add_answers(&mut frame, &model.params, &model.samples.names, &answers, 0)
                .map_err(Error::engine("model"))?;
        }
        Ok(frame)
    }

    /// The date that customers are scored at.
    pub fn as_of(&self) -> NaiveDate {
        self.as_of
    }

    /// The columns that customers have to come with: customer_id, recency, frequency, monetary value, and what else the models
    /// measure, but for what is made of these.
    pub fn columns(&self) -> Vec<InputColumn> {
        let of_models = self.trained.iter().map(|model| &model.params.features);
        let of_clusterings = self.places.iter().map(|places| &places.params.features);
        let attributes = self.p.ingest.customers.iter().flat_map(|customers| &customers.attributes);
        input_columns(of_clusterings.chain(of_models).flatten(), &attributes.collect::<Vec<_>>())
    }

    /// Names of the clusterings and the models, in order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        let clusterings = self.places.iter().map(|places| places.params.name.as_str());
        clusterings.chain(self.trained.iter().map(|model| model.params.name.as_str()))
    }
}

/// The columns that customers have to come with, where models measure these; some are attributes.
pub fn input_columns<'a>(
    features: impl Iterator<Item = &'a FeatureParams>,
    attributes: &[&String],
) -> Vec<InputColumn> {
    let own = [
        (CUSTOMER_ID, InputKind::Id),
        (RECENCY_DAYS, InputKind::Days),
        (FREQUENCY, InputKind::Count),
        (MONETARY, InputKind::Money),
    ];
    let mut columns: Vec<InputColumn> =
        own.map(|(name, kind)| InputColumn { name: name.to_owned(), kind }).to_vec();
    for feature in features {
        let made =
            [R_SCORE, F_SCORE, M_SCORE, RFM_SCORE, SEGMENT].contains(&feature.column.as_str());
        if !made && columns.iter().all(|column| column.name != feature.column) {
            // Attributes are read as they are written, whatever becomes of them.
            let kind = match attributes.iter().any(|attribute| **attribute == feature.column) {
                true => InputKind::Text,
                false => InputKind::Number,
            };
            columns.push(InputColumn { name: feature.column.clone(), kind });
        }
    }
    columns
}
