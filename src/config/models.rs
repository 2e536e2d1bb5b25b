//! Checks the models: columns that there are, targets that can be learnt, options that go together.

use super::checker::Checker;
use super::ingest_spec::CustomersSpec;
use super::model_spec::*;
use super::problem::{Kind, hint};
use super::source::keyed;
use super::spec::{FeatureSpec, PipelineSpec};
use crate::columns::*;
use crate::model::{
    Balance, Calibration, Encoding, FeatureParams, K, KmeansParams, Metric, Missing, ModelParams,
    Scaling, Target, TunedBy, Tuning, Voting, Weights as VoteWeights,
};

/// Columns that a segment is a function of; a label that is, too, can only be recovered by them.
const OF_SCORES: [&str; 9] = [
    RECENCY_DAYS,
    FREQUENCY,
    MONETARY,
    AVERAGE_ORDER_VALUE,
    R_SCORE,
    F_SCORE,
    M_SCORE,
    RFM_SCORE,
    SEGMENT,
];

/// The checked models and clusterings; of what is wrong `checker` has been told.
pub(super) fn models(
    spec: &PipelineSpec,
    apart: bool,
    checker: &mut Checker<'_>,
) -> (Vec<ModelParams>, Vec<KmeansParams>) {
    let (mut models, mut clusterings) = (Vec::new(), Vec::new());
    let columns = Columns::of(spec, apart);
    for (name, model) in &spec.models {
        let at = format!("/models/{name}");
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            checker.wrong(
                &at,
                format!("model name `{name}` heads columns: letters, digits and `_` only"),
            );
        }
        if model.kmeans.is_some() && name == SEGMENT {
            checker.wrong(
                &at,
                "a clustering cannot be called `segment`: tables of groups call the segments so"
                    .to_owned(),
            );
        }
        let features = features(model, &columns, &at, checker);
        match &model.kmeans {
            Some(kmeans) => {
                clusterings.extend(clustering(name, model, kmeans, features, &at, checker))
            }
            None => models.extend(knn(name, model, features, spec, &at, checker)),
        }
    }
    (models, clusterings)
}

/// The columns that the segments will have.
struct Columns {
    numbers: Vec<String>,
    texts: Vec<String>,
}

impl Columns {
    fn of(spec: &PipelineSpec, apart: bool) -> Self {
        let mut numbers = [RECENCY_DAYS, FREQUENCY, MONETARY, R_SCORE, F_SCORE, M_SCORE]
            .map(str::to_owned)
            .to_vec();
        if apart {
            numbers.push(RETURNED_MONEY.to_owned());
        }
        if spec.score.weights.is_some() {
            numbers.push(RFM_SCORE.to_owned());
        }
        numbers.extend(spec.rfm.features.iter().map(|feature| {
            match feature {
                FeatureSpec::TenureDays => TENURE_DAYS,
                FeatureSpec::MeanGapDays => MEAN_GAP_DAYS,
                FeatureSpec::GapDaysStd => GAP_DAYS_STD,
                FeatureSpec::AverageOrderValue => AVERAGE_ORDER_VALUE,
                FeatureSpec::NProducts => N_PRODUCTS,
            }
            .to_owned()
        }));
        numbers.extend(
            spec.rfm
                .ratios
                .iter()
                .map(|ratio| ratio_name(ratio.of.name(), &ratio.recent, &ratio.over)),
        );
        numbers.extend((1..=usize::from(spec.rfm.top_categories)).map(category_share));
        let attributes =
            spec.ingest.customers.iter().flat_map(|customers| customers.attributes.clone());
        Self { numbers, texts: [SEGMENT.to_owned()].into_iter().chain(attributes).collect() }
    }
}

fn features(
    model: &ModelSpec,
    columns: &Columns,
    at: &str,
    checker: &mut Checker<'_>,
) -> Vec<FeatureParams> {
    let mut found: Vec<FeatureParams> = Vec::with_capacity(model.features.len());
    for (i, feature) in model.features.iter().enumerate() {
        let at = format!("{at}/features/{i}");
        let (full, place) = match feature {
            FeatureItemSpec::Name(column) => {
                (FeatureItem { column: column.clone(), ..FeatureItem::default() }, at.clone())
            }
            FeatureItemSpec::Full(full) => (full.clone(), format!("{at}/column")),
        };
        let text = columns.texts.contains(&full.column);
        if !text && !columns.numbers.contains(&full.column) {
            let message = format!("`{}` is no feature", full.column);
            let names = columns.numbers.iter().chain(&columns.texts).map(String::as_str);
            checker.problem(Kind::Config, &place, message, Some(hint(&full.column, names)));
            continue;
        }
        if found.iter().any(|other| other.column == full.column) {
            checker.wrong(&place, format!("feature `{}` is named twice", full.column));
        }
        let encode =
            full.encode.unwrap_or(if text { EncodeSpec::OneHot } else { EncodeSpec::Number });
        let wrong = |given: bool, key: &str, checker: &mut Checker<'_>| {
            if given {
                checker.wrong(
                    &format!("{at}/{key}"),
                    format!("`{key}` does not go with this encoding"),
                );
            }
        };
        wrong(full.order.is_some() && encode != EncodeSpec::Ordinal, "order", checker);
        wrong(full.log1p.is_some() && encode != EncodeSpec::Number, "log1p", checker);
        wrong(full.scale.is_some() && encode == EncodeSpec::OneHot, "scale", checker);
        let order = full.order.as_deref().unwrap_or_default();
        if let Some(twice) =
            order.iter().enumerate().position(|(i, value)| order[..i].contains(value))
        {
            checker.wrong(
                &format!("{at}/order/{twice}"),
                format!("`{}` is named twice", order[twice]),
            );
        }
        if encode == EncodeSpec::Ordinal && full.order.is_none() {
            checker.wrong(&at, "`ordinal` needs the `order` of its values");
        }
        let scale = match full.scale.unwrap_or(ScaleSpec::Standard) {
            ScaleSpec::Standard => Scaling::Standard,
            ScaleSpec::Robust => Scaling::Robust,
            ScaleSpec::Minmax => Scaling::Minmax,
            ScaleSpec::None => Scaling::None,
        };
        let encoding = match encode {
            EncodeSpec::Number => Encoding::Number { log1p: full.log1p.unwrap_or(true), scale },
            EncodeSpec::OneHot => Encoding::OneHot,
            EncodeSpec::Ordinal => {
                Encoding::Ordinal { order: full.order.unwrap_or_default(), scale }
            }
        };
        let missing = match full.missing.unwrap_or(MissingSpec::Median) {
            MissingSpec::Median => Missing::Median,
            MissingSpec::Drop => Missing::Drop,
            MissingSpec::Fail => Missing::Fail,
        };
        found.push(FeatureParams {
            column: full.column,
            encoding,
            weight: full.weight.unwrap_or(1.0),
            missing,
        });
    }
    found
}

fn knn(
    name: &str,
    model: &ModelSpec,
    features: Vec<FeatureParams>,
    spec: &PipelineSpec,
    at: &str,
    checker: &mut Checker<'_>,
) -> Option<ModelParams> {
    let target = target(model, spec, at, checker);
    let of_scores = features.iter().any(|feature| OF_SCORES.contains(&feature.column.as_str()));
    let ahead = target.as_ref().is_some_and(|target| target.horizon().is_some());
    let share = features
        .iter()
        .find(|feature| (1..=50).any(|place| feature.column == category_share(place)));
    if let Some(share) = share.filter(|_| ahead) {
        let message = format!(
            "`{}` is of another category at another snapshot, so that nothing can be learnt from it",
            share.column
        );
        checker.wrong(&format!("{at}/features"), message);
    }
    let circular = match &target {
        Some(Target::Segment) => of_scores,
        // Clusters are a function of what they were made by.
        Some(Target::Clusters(clusters)) => {
            let made_by = spec.models.get(clusters).map(|model| &model.features);
            let column = |item: &FeatureItemSpec| match item {
                FeatureItemSpec::Name(column) => column.clone(),
                FeatureItemSpec::Full(full) => full.column.clone(),
            };
            let made_by: Vec<String> = made_by.into_iter().flatten().map(column).collect();
            features.iter().any(|feature| made_by.contains(&feature.column))
        }
        _ => false,
    };
    let k = match &model.k {
        None => K::Fixed(15),
        Some(KSpec::Fixed(k)) => K::Fixed(*k as usize),
        Some(KSpec::Tuned(TuneSpec { tune, by, folds })) => {
            let mut candidates: Vec<usize> = tune.iter().map(|k| *k as usize).collect();
            candidates.sort_unstable();
            candidates.dedup();
            let by = match by {
                TuneBySpec::Accuracy => TunedBy::Accuracy,
                TuneBySpec::BalancedAccuracy => TunedBy::BalancedAccuracy,
                TuneBySpec::MacroF1 => TunedBy::MacroF1,
            };
            K::Tuned(Tuning { candidates, folds: *folds as usize, by })
        }
    };
    let voting = Voting {
        weights: match model.weights.unwrap_or_default() {
            Weights::Uniform => VoteWeights::Uniform,
            Weights::Distance => VoteWeights::Distance,
        },
        metric: match &model.metric {
            None | Some(MetricSpec::Named(MetricName::Euclidean)) => Metric::Euclidean,
            Some(MetricSpec::Named(MetricName::Manhattan)) => Metric::Manhattan,
            Some(MetricSpec::Named(MetricName::Cosine)) => Metric::Cosine,
            Some(MetricSpec::Minkowski(MinkowskiSpec { minkowski })) => {
                Metric::Minkowski(*minkowski)
            }
        },
        balance: match model.class_balance {
            None | Some(BalanceSpec::None) => Balance::None,
            Some(BalanceSpec::Prior) => Balance::Prior,
            Some(BalanceSpec::SqrtPrior) => Balance::SqrtPrior,
        },
    };
    let calibration = match model.calibration {
        None | Some(CalibrationSpec::None) => Calibration::None,
        Some(CalibrationSpec::Isotonic) => Calibration::Isotonic,
        Some(CalibrationSpec::Platt) => Calibration::Platt,
    };
    let name = name.to_owned();
    let (abstain, holdout, seed) = (model.abstain, model.holdout.unwrap_or(0.2), model.seed);
    Some(ModelParams {
        name,
        target: target?,
        circular,
        features,
        k,
        voting,
        calibration,
        abstain,
        holdout,
        seed,
    })
}

fn target(
    model: &ModelSpec,
    spec: &PipelineSpec,
    at: &str,
    checker: &mut Checker<'_>,
) -> Option<Target> {
    let other = match &model.target {
        None | Some(TargetSpec::Named(TargetName::Segment)) => return Some(Target::Segment),
        Some(TargetSpec::Other(other)) => other,
    };
    let at = format!("{at}/target");
    let days = |text: &Option<String>| {
        text.as_ref().and_then(|text| text.strip_suffix('d')?.parse::<u32>().ok())
    };
    let named = [
        other.segment_in.is_some(),
        other.buys_in.is_some(),
        other.labels.is_some(),
        other.clusters.is_some(),
    ];
    if named.iter().filter(|named| **named).count() != 1 {
        checker.wrong(&at, "expected one of `segment_in`, `buys_in`, `labels` and `clusters`");
        return None;
    }
    if other.labels.is_none()
        && (other.key.is_some() || other.label.is_some() || other.csv.is_some())
    {
        checker.wrong(&at, "`key`, `label` and `csv` are those of a label file");
    }
    if let Some(name) = &other.clusters {
        if spec.models.get(name).is_none_or(|model| model.kmeans.is_none()) {
            let known = spec
                .models
                .iter()
                .filter(|(_, model)| model.kmeans.is_some())
                .map(|(name, _)| name.as_str());
            let message = format!("no clustering is called `{name}`");
            checker.problem(
                Kind::Config,
                &format!("{at}/clusters"),
                message,
                Some(hint(name, known)),
            );
            return None;
        }
        return Some(Target::Clusters(name.clone()));
    }
    if let Some(path) = &other.labels {
        let file = CustomersSpec {
            paths: vec![path.clone()],
            csv: other.csv.as_deref().cloned().unwrap_or_default(),
            key: other.key.clone().unwrap_or_else(|| CUSTOMER_ID.to_owned()),
            attributes: vec![other.label.clone().unwrap_or_else(|| LABEL.to_owned())],
        };
        return keyed(&file, &format!("{at}/labels"), checker).map(Target::Labels);
    }
    days(&other.segment_in).map(Target::SegmentIn).or(days(&other.buys_in).map(Target::BuysIn))
}

fn clustering(
    name: &str,
    model: &ModelSpec,
    kmeans: &KmeansSpec,
    features: Vec<FeatureParams>,
    at: &str,
    checker: &mut Checker<'_>,
) -> Option<KmeansParams> {
    let given = [
        ("target", model.target.is_some()),
        ("k", model.k.is_some()),
        ("weights", model.weights.is_some()),
        ("metric", model.metric.is_some()),
        ("class_balance", model.class_balance.is_some()),
        ("calibration", model.calibration.is_some()),
        ("abstain", model.abstain.is_some()),
        ("holdout", model.holdout.is_some()),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| *given) {
        checker.wrong(
            &format!("{at}/{key}"),
            format!("`{key}` is of a KNN; a clustering has `features`, `seed` and `kmeans`"),
        );
    }
    let (clusters, chosen) = match kmeans.k {
        ClustersSpec::Fixed(k) => ([k as usize; 2], Some(k as usize)),
        ClustersSpec::Sweep(SweepSpec { sweep: [from, to], take }) => {
            if from > to {
                checker.wrong(
                    &format!("{at}/kmeans/k/sweep"),
                    format!("expected [lowest, highest], found [{from}, {to}]"),
                );
                return None;
            }
            if take.is_some_and(|take| !(from..=to).contains(&take)) {
                checker.wrong(
                    &format!("{at}/kmeans/k/take"),
                    format!("expected a number from {from} to {to}"),
                );
            }
            ([from as usize, to as usize], take.map(|take| take as usize))
        }
    };
    let (name, restarts, seed) = (name.to_owned(), kmeans.restarts, model.seed);
    Some(KmeansParams { name, features, clusters, chosen, restarts, seed })
}
