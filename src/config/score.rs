//! Checks how values become scores: cut points that go with their bins, presets that go with what is measured.

use chrono::NaiveDate;

use super::checker::Checker;
use super::problem::Kind;
use super::score_spec::*;
use super::spec::{Frequency, MonetarySpec, RfmSpec};
use crate::artefact::{ArtefactError, Opened, Which, differences};
use crate::score::{Cutting, DimensionParams, Method, ScoreParams};

/// Bins of all dimensions: as asked, or as the preset has them.
pub(super) fn bins(spec: &ScoreSpec) -> u8 {
    let of_preset = match spec.compat {
        Some(Compat::Klaviyo) => 3,
        Some(Compat::PymcMarketing) => 4,
        Some(Compat::RRfm | Compat::PandasQcutFirst | Compat::Dbt) | None => 5,
    };
    spec.bins.unwrap_or(of_preset)
}

/// The checked options; what an artefact's cut points have to agree with is in `definitions`. Of what is wrong `checker` has been told.
pub(super) fn score(
    spec: &ScoreSpec,
    rfm: &RfmSpec,
    definitions: &serde_json::Value,
    checker: &mut Checker<'_>,
) -> ScoreParams {
    if spec.compat.is_some() && spec.method.is_some() {
        checker.wrong("/score/method", "`compat` already says how values become bins");
    }
    if let Some(compat @ (Compat::Klaviyo | Compat::PymcMarketing)) = spec.compat {
        let own = ScoreSpec { compat: Some(compat), ..ScoreSpec::default() };
        if bins(spec) != bins(&own) {
            checker.wrong("/score/bins", format!("this preset has {} bins", bins(&own)));
        }
    }
    if spec.compat == Some(Compat::PymcMarketing) {
        let of_days =
            rfm.frequency == Frequency::Days && rfm.monetary == Some(MonetarySpec::MeanPerDay);
        if !of_days {
            let message =
                "pymc-marketing counts days with a purchase, and the mean spent on one".to_owned();
            let hint = "set `rfm: { frequency: days, monetary: mean_per_day }`".to_owned();
            checker.problem(Kind::Config, "/score/compat", message, Some(hint));
        }
    }
    let of_all = match (spec.compat, spec.method.unwrap_or_default()) {
        (Some(compat), _) => preset(compat),
        (None, ScoreMethod::Fixed) => {
            checker.wrong(
                "/score/method",
                "cut points stand with the dimension that they cut: `score.recency.cut_points`",
            );
            [Method::Quantile, Method::Quantile, Method::Quantile]
        }
        (None, method) => [method; 3].map(|method| named(method, &None)),
    };
    let all = bins(spec);
    let own =
        [("recency", &spec.recency), ("frequency", &spec.frequency), ("monetary", &spec.monetary)];
    let mut dimensions = own.into_iter().zip(of_all).map(|((name, own), method)| {
        let own = own.clone().unwrap_or_default();
        dimension(&own, &format!("/score/{name}"), method, all, checker)
    });
    let dimensions: [DimensionParams; 3] = std::array::from_fn(|_| {
        // There are three of them.
        dimensions.next().unwrap_or(DimensionParams {
            method: Method::Quantile,
            bins: all,
            zero_apart: false,
        })
    });
    let weights = spec.weights.and_then(|WeightsSpec { recency, frequency, monetary }| {
        let sum = recency + frequency + monetary;
        if sum <= 0.0 {
            checker.wrong("/score/weights", "expected one weight above 0 at least");
        }
        (sum > 0.0).then(|| [recency, frequency, monetary].map(|weight| weight / sum))
    });
    let cutting = cutting(spec, &dimensions, definitions, checker);
    ScoreParams { dimensions, weights, cutting }
}

/// Whose cut points hold.
fn cutting(
    spec: &ScoreSpec,
    dimensions: &[DimensionParams; 3],
    definitions: &serde_json::Value,
    checker: &mut Checker<'_>,
) -> Cutting {
    let CutPointsSpec::Frozen(FrozenSpec { frozen }) = &spec.cut_points else {
        return Cutting::Refit;
    };
    if dimensions
        .iter()
        .any(|dimension| matches!(dimension.method, Method::Rank | Method::RankQcut))
    {
        checker.wrong(
            "/score/cut_points",
            "scores by rank part equal values, so there are no cut points to keep",
        );
    }
    match NaiveDate::parse_from_str(frozen, "%Y-%m-%d") {
        Ok(date) => Cutting::AsOf(date),
        Err(_) if frozen.len() == 10 && frozen.chars().all(|c| c.is_ascii_digit() || c == '-') => {
            checker.wrong("/score/cut_points/frozen", format!("`{frozen}` is not a date"));
            Cutting::Refit
        }
        Err(_) => {
            let opened = Opened::at(&checker.base().join(frozen));
            let kept = opened.and_then(|opened| {
                match differences(definitions, &opened.record.definition, Which::Scores) {
                    Some(words) => Err(ArtefactError::Differs(words)),
                    None => opened.record.yardstick(),
                }
            });
            kept.map_or_else(
                |error| {
                    let kind = match error {
                        ArtefactError::Io { .. } | ArtefactError::Absent(_) => Kind::Input,
                        _ => Kind::Config,
                    };
                    let hint =
                        "a date such as 2011-09-10, or the folder of a run or of its artefact";
                    checker.problem(
                        kind,
                        "/score/cut_points/frozen",
                        error.to_string(),
                        Some(hint.to_owned()),
                    );
                    Cutting::Refit
                },
                Cutting::Given,
            )
        }
    }
}

fn dimension(
    own: &DimensionSpec,
    at: &str,
    method: Method,
    all: u8,
    checker: &mut Checker<'_>,
) -> DimensionParams {
    let method = own.method.map_or(method, |method| named(method, &own.cut_points));
    let given = own.cut_points.as_ref().map(|points| points.len() as u8 + 1);
    let fixed = matches!(method, Method::Fixed(_));
    match (fixed, &own.cut_points) {
        (true, None) if own.method.is_some() => {
            checker.wrong(&format!("{at}/method"), "`fixed` needs `cut_points`")
        }
        (false, Some(_)) => {
            checker.wrong(&format!("{at}/cut_points"), "cut points are for `method: fixed`")
        }
        (true, Some(points)) if points.windows(2).any(|pair| pair[0] >= pair[1]) => {
            checker.wrong(&format!("{at}/cut_points"), "expected cut points in ascending order");
        }
        _ => {}
    }
    let bins = own.bins.or(given).unwrap_or(all);
    if fixed && given.is_some_and(|given| given != bins) {
        let message = format!("{bins} bins have {} cut points", bins - 1);
        checker.wrong(&format!("{at}/cut_points"), message);
    }
    if bins > all {
        checker.wrong(
            &format!("{at}/bins"),
            format!("{bins} bins are more than the {all} of `score.bins`"),
        );
    }
    let by_rank = matches!(method, Method::Rank | Method::RankQcut);
    if own.zero_apart && (fixed || by_rank || bins < 3 || at.ends_with("recency")) {
        let message = "zeros stand apart where quantiles of three bins or more cut frequency or monetary value";
        checker.wrong(&format!("{at}/zero_apart"), message);
    }
    DimensionParams { method, bins, zero_apart: own.zero_apart }
}

fn named(method: ScoreMethod, cut_points: &Option<Vec<f64>>) -> Method {
    match method {
        ScoreMethod::Quantile => Method::Quantile,
        ScoreMethod::Rank => Method::Rank,
        ScoreMethod::PercentRank => Method::PercentRank,
        ScoreMethod::Fixed => Method::Fixed(cut_points.clone().unwrap_or_default()),
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
