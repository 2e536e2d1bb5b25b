//! The artefact of a run: the parameters that it fitted, for scoring other customers.

use polars::prelude::*;
use serde_json::Value;

use super::SegmentedRun;
use crate::artefact::{
    self, Artefact, ClusteringRecord, CutPointsRecord, MAP, ModelRecord, PERCENTILES, PIPELINE,
};
use crate::columns::{CATEGORY, CUSTOMER_ID, LABEL, LIMIT};
use crate::error::Error;
use crate::manifest::to_json_text;
use crate::model::features::{self, Raw};
use crate::model::{Assigned, Distributions, FittedModel, Samples};
use crate::pipeline::Pipeline;
use crate::publish::ArtefactFiles;
use crate::rfm::{CapPolicy, by_snapshot};
use crate::score::FrozenCutPoints;
use crate::tables::TableId;

/// Parameters that were fitted to all customers of the newest snapshot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FittedParams {
    snapshot: chrono::NaiveDate,
    /// `None` if scores are ranks.
    cut_points: Option<CutPointsRecord>,
    /// Monetary value at which outliers are capped.
    limit: Option<f64>,
    categories: Option<Vec<String>>,
}

impl FittedParams {
    /// The parameters of a run. Its cut points are the frozen ones, or those of its newest
    /// snapshot.
    pub(crate) fn new(
        p: &Pipeline,
        run: &SegmentedRun,
        frozen: Option<&FrozenCutPoints>,
    ) -> Result<Self, Error> {
        Self::of_run(p, run, frozen).map_err(Error::engine("score"))
    }

    fn of_run(
        p: &Pipeline,
        run: &SegmentedRun,
        frozen: Option<&FrozenCutPoints>,
    ) -> PolarsResult<Self> {
        let segmented = &run.segmented;
        let newest = segmented.dates.last().copied();
        let newest = newest.ok_or_else(|| polars_err!(NoData: "the run has no snapshot"))?;
        let frozen = match frozen {
            Some(frozen) => frozen.clone(),
            None => FrozenCutPoints::new(&segmented.frame, &segmented.cuts, newest)?,
        };
        let ranked = p.score.by_rank().contains(&true);
        let newest_part = |id: TableId| -> PolarsResult<Option<DataFrame>> {
            let Some(table) = run.tables.get(&id) else { return Ok(None) };
            let parts = by_snapshot(table)?;
            Ok(parts.into_iter().find(|(date, _)| *date == newest).map(|(_, part)| part))
        };
        let caps = p.rfm.cap.as_ref().is_some_and(|cap| cap.policy == CapPolicy::Winsorise);
        let limit = match newest_part(TableId::Outliers)? {
            Some(outliers) if caps => outliers.column(LIMIT)?.f64()?.first(),
            _ => None,
        };
        let categories = match newest_part(TableId::TopCategories)? {
            Some(top) => Some(features::text(&top, CATEGORY)?.iter().map(str::to_owned).collect()),
            None => None,
        };
        Ok(Self {
            snapshot: newest,
            cut_points: (!ranked).then(|| CutPointsRecord::from(&frozen)),
            limit,
            categories,
        })
    }

    #[cfg(feature = "spark")]
    pub(crate) fn of_cut_points(frozen: &FrozenCutPoints) -> Self {
        let cut_points = Some(CutPointsRecord::from(frozen));
        Self { snapshot: frozen.date, cut_points, limit: None, categories: None }
    }
}

/// The files of the artefact.
pub(crate) fn artefact_files(
    p: &Pipeline,
    fitted: FittedParams,
    assigned: &Assigned,
) -> Result<ArtefactFiles, Error> {
    let json = |value: &Value| to_json_text(value).into_bytes();
    let mut texts = vec![
        (PIPELINE.to_owned(), json(&p.portable.pipeline)),
        (MAP.to_owned(), json(&p.portable.map)),
    ];
    for (name, path) in &p.portable.files {
        let bytes =
            std::fs::read(path).map_err(|source| Error::Input { path: path.clone(), source })?;
        texts.push((name.clone(), bytes));
    }
    let mut tables = Vec::with_capacity(assigned.trained.len());
    for model in &assigned.trained {
        let table = training_table(model).map_err(Error::engine("model"))?;
        tables.push((format!("{}.parquet", model.params.name), table));
    }
    let mut distributions = Distributions::default();
    let of_clusterings = assigned.clustered.iter().map(|clustered| &clustered.model.distributions);
    let of_models = assigned.trained.iter().map(|model| &model.distributions);
    of_clusterings.chain(of_models).for_each(|other| distributions.extend(other));
    let percentiles = (!distributions.is_empty()).then(|| distributions.hash());
    if percentiles.is_some() {
        let table = distributions.to_frame().map_err(Error::engine("model"))?;
        tables.push((PERCENTILES.to_owned(), table));
    }
    let record = Artefact {
        format: artefact::FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pipeline: p.name.clone(),
        definition_hash: p.definition_hash(),
        definition: p.definition.clone(),
        snapshot: fitted.snapshot.to_string(),
        cut_points: fitted.cut_points,
        limit: fitted.limit,
        categories: fitted.categories,
        models: assigned.trained.iter().map(ModelRecord::from).collect(),
        clusterings: assigned
            .clustered
            .iter()
            .map(|clustered| ClusteringRecord::from(&clustered.model))
            .collect(),
        btyd: assigned
            .btyd
            .iter()
            .map(|run| (run.params.name.clone(), run.fitted.clone()))
            .collect(),
        percentiles,
        files: texts.iter().map(|(name, bytes)| (name.clone(), artefact::hash(bytes))).collect(),
        blake3: String::new(),
    };
    Ok(ArtefactFiles { texts, tables, record })
}

/// Training customers of a model: customer_id, its features, label.
fn training_table(model: &FittedModel) -> PolarsResult<DataFrame> {
    let Samples { customers, labels, names } = &model.samples;
    let ids: Vec<&str> = customers.ids.iter().collect();
    let mut columns = vec![Column::new(CUSTOMER_ID.into(), ids)];
    for (feature, raw) in model.params.features.iter().zip(&customers.raw) {
        let name = PlSmallStr::from_str(&feature.column);
        columns.push(match raw {
            Raw::Numbers(values) => Column::new(name, values),
            Raw::Texts(values) => Column::new(name, values),
        });
    }
    let labels: Vec<&str> = labels.iter().map(|label| names[*label].as_str()).collect();
    columns.push(Column::new(LABEL.into(), labels));
    DataFrame::new(customers.ids.len(), columns)
}
