//! Compiles `score`: methods, bins, presets and frozen cut points.

use std::path::Path;

use chrono::NaiveDate;
use serde_json::Value as Json;

use super::diagnostics::Kind;
use super::score_spec::*;
use super::spec::RfmSpec;
use super::validator::Validator;
use crate::artefact::{ArtefactError, DiffScope, StoredArtefact, differences};
use crate::rfm::{Frequency, Monetary};
use crate::score::{CutPointSource, DimensionParams, FrozenCutPoints, Method, ScoreParams};

/// The number of bins of all dimensions.
pub(super) fn bins(spec: &ScoreSpec) -> u8 {
    spec.bins.unwrap_or(default_bins(spec.compat))
}

fn default_bins(compat: Option<Compat>) -> u8 {
    match compat {
        Some(Compat::Klaviyo) => 3,
        Some(Compat::PymcMarketing) => 4,
        Some(Compat::RRfm | Compat::PandasQcutFirst | Compat::Dbt) | None => 5,
    }
}

/// `definition` must agree with that of the artefact that cut points are read from.
pub(super) fn score(
    spec: &ScoreSpec,
    rfm: &RfmSpec,
    definition: &Json,
    validator: &mut Validator<'_>,
) -> ScoreParams {
    let all_bins = bins(spec);
    if spec.compat.is_some() && spec.method.is_some() {
        validator.report_invalid("/score/method", "`method` cannot be combined with `compat`");
    }
    let preset_bins = default_bins(spec.compat);
    if matches!(spec.compat, Some(Compat::Klaviyo | Compat::PymcMarketing))
        && all_bins != preset_bins
    {
        let message = format!("this preset requires {preset_bins} bins, found {all_bins}");
        validator.report_invalid("/score/bins", message);
    }
    let is_daily = rfm.frequency == Frequency::Days && rfm.monetary == Some(Monetary::MeanPerDay);
    if spec.compat == Some(Compat::PymcMarketing) && !is_daily {
        let message = "`pymc_marketing` requires frequency in days and monetary value per day";
        let hint = "set `rfm: { frequency: days, monetary: mean_per_day }`";
        validator.report_with_hint("/score/compat", message, hint);
    }
    let [recency, frequency, monetary] = match (spec.compat, spec.method) {
        (Some(compat), _) => preset(compat),
        (None, Some(ScoreMethod::Fixed)) => {
            let message = "`fixed` cannot apply to all dimensions";
            let hint = "set cut points per dimension: `score.recency.cut_points`";
            validator.report_with_hint("/score/method", message, hint);
            [Method::Quantile, Method::Quantile, Method::Quantile]
        }
        (None, named) => std::array::from_fn(|_| method(named.unwrap_or_default(), &[])),
    };
    let dimensions = [
        ("recency", &spec.recency, recency),
        ("frequency", &spec.frequency, frequency),
        ("monetary", &spec.monetary, monetary),
    ]
    .map(|(name, own, method)| {
        let default = DimensionParams { method, bins: all_bins, separate_zeros: false };
        match own {
            Some(own) => dimension(own, default, &format!("/score/{name}"), validator),
            None => default,
        }
    });
    let weights = spec.weights.and_then(|WeightsSpec { recency, frequency, monetary }| {
        let sum = recency + frequency + monetary;
        if sum <= 0.0 {
            validator.report_invalid("/score/weights", "expected at least one weight above 0");
        }
        (sum > 0.0).then(|| [recency, frequency, monetary].map(|weight| weight / sum))
    });
    let mut params = ScoreParams { dimensions, weights, cut_points: CutPointSource::Refit };
    if let CutPointsSpec::Frozen(frozen) = &spec.cut_points {
        if params.by_rank().contains(&true) {
            let message = "cannot freeze cut points: scores by rank have none";
            validator.report_invalid("/score/cut_points", message);
        }
        params.cut_points = cut_point_source(frozen, definition, validator);
    }
    params
}

/// The date or path of frozen cut points; reports an invalid one.
fn cut_point_source(
    frozen: &str,
    definition: &Json,
    validator: &mut Validator<'_>,
) -> CutPointSource {
    const POINTER: &str = "/score/cut_points/frozen";
    const HINT: &str =
        "expected a date such as 2011-09-10, or the folder of a run or of its artefact";
    if let Ok(date) = NaiveDate::parse_from_str(frozen, "%Y-%m-%d") {
        return CutPointSource::AsOf(date);
    }
    if frozen.len() == 10 && frozen.chars().all(|c| c.is_ascii_digit() || c == '-') {
        validator.report_with_hint(POINTER, format!("`{frozen}` is not a date"), HINT);
        return CutPointSource::Refit;
    }
    match read_cut_points(&validator.document.base(POINTER).join(frozen), definition) {
        Ok(cut_points) => CutPointSource::Given(cut_points),
        Err(error) => {
            let kind = match error {
                ArtefactError::Io { .. } | ArtefactError::Absent(_) => Kind::Input,
                _ => Kind::Config,
            };
            validator.report(kind, POINTER, error.to_string(), Some(HINT.to_owned()));
            CutPointSource::Refit
        }
    }
}

fn read_cut_points(path: &Path, definition: &Json) -> Result<FrozenCutPoints, ArtefactError> {
    let artefact = StoredArtefact::open(path)?;
    match differences(definition, &artefact.record.definition, DiffScope::Scores) {
        Some(difference) => Err(ArtefactError::Differs(difference)),
        None => artefact.record.frozen(),
    }
}

/// One dimension with its own options; `default` applies to all dimensions.
fn dimension(
    spec: &DimensionSpec,
    default: DimensionParams,
    pointer: &str,
    validator: &mut Validator<'_>,
) -> DimensionParams {
    let cut_points = spec.cut_points.as_deref();
    let method = match spec.method {
        // Missing cut points are reported below.
        Some(named) => method(named, cut_points.unwrap_or(&[])),
        None => default.method,
    };
    let is_fixed = matches!(method, Method::Fixed(_));
    let bins_of_points = cut_points.map(|points| points.len() as u8 + 1);
    let bins = spec.bins.or(bins_of_points).unwrap_or(default.bins);
    let cut_points_pointer = format!("{pointer}/cut_points");
    match cut_points {
        None if spec.method == Some(ScoreMethod::Fixed) => {
            validator.report_invalid(&format!("{pointer}/method"), "`fixed` requires `cut_points`");
        }
        Some(_) if !is_fixed => {
            let message = "`cut_points` requires `method: fixed`";
            validator.report_invalid(&cut_points_pointer, message);
        }
        Some(points) if points.array_windows().any(|[low, high]| low >= high) => {
            let message = "expected cut points in ascending order";
            validator.report_invalid(&cut_points_pointer, message);
        }
        _ => {}
    }
    if is_fixed && bins_of_points.is_some_and(|count| count != bins) {
        let message = format!("{bins} bins require {} cut points", bins - 1);
        validator.report_invalid(&cut_points_pointer, message);
    }
    if bins > default.bins {
        let message =
            format!("expected at most {} bins (`score.bins`), found {bins}", default.bins);
        validator.report_invalid(&format!("{pointer}/bins"), message);
    }
    let is_rank = matches!(method, Method::Rank | Method::RankQcut);
    if spec.separate_zeros && (is_fixed || is_rank || bins < 3 || pointer.ends_with("recency")) {
        let message = "`separate_zeros` requires a quantile method with at least 3 bins, on \
                       frequency or monetary";
        validator.report_invalid(&format!("{pointer}/separate_zeros"), message);
    }
    DimensionParams { method, bins, separate_zeros: spec.separate_zeros }
}

fn method(named: ScoreMethod, cut_points: &[f64]) -> Method {
    match named {
        ScoreMethod::Quantile => Method::Quantile,
        ScoreMethod::Rank => Method::Rank,
        ScoreMethod::PercentRank => Method::PercentRank,
        ScoreMethod::Fixed => Method::Fixed(cut_points.to_vec()),
        ScoreMethod::RRfm => Method::RRfm,
    }
}

/// Methods of recency, frequency and monetary value.
fn preset(compat: Compat) -> [Method; 3] {
    match compat {
        Compat::RRfm => [Method::RRfm, Method::RRfm, Method::RRfm],
        Compat::PandasQcutFirst => [Method::Quantile, Method::RankQcut, Method::Quantile],
        Compat::PymcMarketing => [Method::QcutDrop, Method::QcutDrop, Method::QcutDrop],
        Compat::Klaviyo => {
            [Method::Fixed(vec![180.0, 365.0]), Method::AverageRank, Method::AverageRank]
        }
        Compat::Dbt => [Method::PercentRank, Method::PercentRank, Method::PercentRank],
    }
}
