//! Compiles `models`: features exist, targets can be learned, options fit together.

use super::diagnostics::hint;
use super::ingest_spec::CustomersSpec;
use super::model_spec::*;
use super::rfm::days;
use super::source::lookup;
use super::spec::PipelineSpec;
use super::validator::Validator;
use crate::clean::ReturnPolicy;
use crate::columns::*;
use crate::model::{
    Balance, BtydParams, Calibration, Encoding, FeatureParams, K, KmeansParams, Missing,
    ModelParams, Scaling, Target, TrainingPairs, Tuning, Voting, Weights,
};

/// The models of a pipeline by kind.
#[derive(Default)]
pub(super) struct Models {
    pub(super) knn: Vec<ModelParams>,
    pub(super) clusterings: Vec<KmeansParams>,
    pub(super) btyd: Vec<BtydParams>,
}

/// The valid models; reports problems of the others.
pub(super) fn models(
    spec: &PipelineSpec,
    returns: ReturnPolicy,
    validator: &mut Validator<'_>,
) -> Models {
    let mut models = Models::default();
    let columns = FeatureColumns::new(spec, returns);
    let mut compiler = ModelCompiler { spec, columns, validator };
    for (name, model) in &spec.models {
        let at = format!("/models/{name}");
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let message = format!("invalid model name `{name}`: expected letters, digits and `_`");
            compiler.validator.report_invalid(&at, message);
        }
        let is_same = |other: &&String| *other < name && other.eq_ignore_ascii_case(name);
        if let Some(other) = spec.models.keys().find(is_same) {
            let message = format!("models `{other}` and `{name}` differ only in case");
            compiler.validator.report_invalid(&at, message);
        }
        let added = match model.btyd {
            Some(_) => btyd_columns(name).to_vec(),
            None => [&model_columns(name)[..], &[probability(name)]].concat(),
        };
        if let Some(column) = added.iter().find(|column| compiler.columns.contains(column)) {
            let message = format!("the model adds the column `{column}`, which exists already");
            compiler.validator.report_with_hint(&at, message, "rename the model or the attribute");
        }
        match (&model.kmeans, &model.btyd) {
            (Some(_), Some(_)) => {
                let message = "expected one of `kmeans` and `btyd`";
                compiler.validator.report_invalid(&at, message);
            }
            (Some(kmeans), None) => {
                models.clusterings.extend(compiler.clustering(name, model, kmeans, &at));
            }
            (None, Some(btyd)) => models.btyd.extend(compiler.btyd(name, model, btyd, &at)),
            (None, None) => models.knn.extend(compiler.knn(name, model, &at)),
        }
    }
    models
}

/// Columns of the segments that features may use.
struct FeatureColumns {
    numbers: Vec<String>,
    texts: Vec<String>,
}

impl FeatureColumns {
    fn new(spec: &PipelineSpec, returns: ReturnPolicy) -> Self {
        let mut numbers = vec![RECENCY_DAYS, FREQUENCY, MONETARY, R_SCORE, F_SCORE, M_SCORE];
        if returns == ReturnPolicy::Separate {
            numbers.push(RETURNED_MONEY);
        }
        if spec.score.weights.is_some() {
            numbers.push(RFM_SCORE);
        }
        numbers.extend(spec.rfm.features.iter().map(|feature| feature.column()));
        let ratios = spec.rfm.ratios.iter();
        let ratios = ratios.map(|ratio| ratio_name(ratio.of.name(), &ratio.recent, &ratio.over));
        let n_categories = usize::from(spec.rfm.top_categories).max(spec.rfm.categories.len());
        let shares = (1..=n_categories).map(category_share);
        let attributes = spec.ingest.customers.iter().flat_map(|c| c.attributes.iter().cloned());
        Self {
            numbers: numbers.into_iter().map(str::to_owned).chain(ratios).chain(shares).collect(),
            texts: [SEGMENT.to_owned()].into_iter().chain(attributes).collect(),
        }
    }
}

impl FeatureColumns {
    fn contains(&self, column: &str) -> bool {
        self.numbers.iter().chain(&self.texts).any(|other| other == column)
    }
}

struct ModelCompiler<'a, 'd> {
    spec: &'a PipelineSpec,
    columns: FeatureColumns,
    validator: &'a mut Validator<'d>,
}

impl ModelCompiler<'_, '_> {
    fn features(&mut self, items: &[FeatureItemSpec], at: &str) -> Vec<FeatureParams> {
        let mut features: Vec<FeatureParams> = Vec::with_capacity(items.len());
        for (i, spec) in items.iter().enumerate() {
            let at = format!("{at}/features/{i}");
            let (item, column_pointer) = match spec {
                FeatureItemSpec::Name(_) => (FeatureItem::default(), at.clone()),
                FeatureItemSpec::Full(item) => (item.clone(), format!("{at}/column")),
            };
            let column = column_of(spec);
            let is_text = self.columns.texts.contains(column);
            if !is_text && !self.columns.numbers.contains(column) {
                let names = self.columns.numbers.iter().chain(&self.columns.texts);
                let hint = hint(column, names.map(String::as_str));
                let message = format!("unknown feature `{column}`");
                self.validator.report_with_hint(&column_pointer, message, hint);
                continue;
            }
            if features.iter().any(|other| other.column == *column) {
                let message = format!("duplicate feature `{column}`");
                self.validator.report_invalid(&column_pointer, message);
            }
            let default_encode = if is_text { EncodeSpec::OneHot } else { EncodeSpec::Number };
            let encode = item.encode.unwrap_or(default_encode);
            let missing = item.missing.unwrap_or(Missing::Median);
            let weight = item.weight.unwrap_or(1.0);
            let encoding = self.encoding(item, encode, &at);
            features.push(FeatureParams { column: column.clone(), encoding, weight, missing });
        }
        features
    }

    fn encoding(&mut self, item: FeatureItem, encode: EncodeSpec, at: &str) -> Encoding {
        let not_applicable = [
            ("order", item.order.is_some() && encode != EncodeSpec::Ordinal),
            ("log1p", item.log1p.is_some() && encode != EncodeSpec::Number),
            ("scale", item.scale.is_some() && encode == EncodeSpec::OneHot),
        ];
        let is_percentile = item.scale == Some(Scaling::Percentile);
        if is_percentile && item.log1p == Some(true) {
            let message = "`log1p` has no effect on percentiles; remove it";
            self.validator.report_invalid(&format!("{at}/log1p"), message);
        }
        if is_percentile && encode == EncodeSpec::Ordinal {
            let message = "`percentile` applies to numbers only";
            self.validator.report_invalid(&format!("{at}/scale"), message);
        }
        self.report_set_keys(&not_applicable, at, "does not apply to this encoding");
        if encode == EncodeSpec::Ordinal && item.order.is_none() {
            self.validator.report_invalid(at, "`ordinal` requires `order`");
        }
        let order = item.order.unwrap_or_default();
        let duplicate = (0..order.len()).find(|i| order[..*i].contains(&order[*i]));
        if let Some(i) = duplicate {
            let message = format!("duplicate value `{}`", order[i]);
            self.validator.report_invalid(&format!("{at}/order/{i}"), message);
        }
        let scale = item.scale.unwrap_or(Scaling::Standard);
        match encode {
            EncodeSpec::Number => {
                Encoding::Number { log1p: item.log1p.unwrap_or(!is_percentile), scale }
            }
            EncodeSpec::OneHot => Encoding::OneHot,
            EncodeSpec::Ordinal => Encoding::Ordinal { order, scale },
        }
    }

    /// Reports the keys that are set, each with a reason.
    fn report_set_keys(&mut self, keys: &[(&str, bool)], at: &str, reason: &str) {
        for (key, is_set) in keys {
            if *is_set {
                self.validator.report_invalid(&format!("{at}/{key}"), format!("`{key}` {reason}"));
            }
        }
    }

    fn knn(&mut self, name: &str, model: &ModelSpec, at: &str) -> Option<ModelParams> {
        let target = self.target(model, at);
        let horizon = target.as_ref().and_then(Target::horizon);
        let features = self.features(&feature_items(model, horizon), at);
        let pairs = self.training_pairs(model, horizon, at);
        let is_category_share = |column: &str| (1..=50).any(|rank| column == category_share(rank));
        if horizon.is_some()
            && self.spec.rfm.categories.is_empty()
            && let Some(share) = features.iter().find(|feature| is_category_share(&feature.column))
        {
            let message = format!(
                "`{}` is not supported for later labels: its category differs between snapshots; \
                 name the categories in `rfm.categories`",
                share.column
            );
            self.validator.report_invalid(&format!("{at}/features"), message);
        }
        let circular = match &target {
            Some(Target::Segment) => {
                features.iter().any(|feature| determines_segment(&feature.column))
            }
            // Clusters are a function of the features of their clustering.
            Some(Target::Clusters(clustering)) => {
                feature_items(&self.spec.models[clustering], None)
                    .iter()
                    .any(|spec| features.iter().any(|feature| feature.column == *column_of(spec)))
            }
            _ => false,
        };
        let (default_k, default_balance) = match target {
            Some(Target::SegmentIn(_)) => (K::AtMost(151), Balance::SqrtPrior),
            Some(Target::BuysIn(_)) => (K::AtMost(151), Balance::None),
            _ => (K::Fixed(15), Balance::None),
        };
        let mut k = model.k.clone().unwrap_or(default_k);
        if let K::Tuned(Tuning { candidates, .. }) = &mut k {
            candidates.sort_unstable();
            candidates.dedup();
        }
        Some(ModelParams {
            name: name.to_owned(),
            target: target?,
            circular,
            features,
            pairs,
            k,
            voting: Voting {
                weights: model.weights.unwrap_or(Weights::Distance),
                metric: model.metric.unwrap_or_default(),
                balance: model.class_balance.unwrap_or(default_balance),
            },
            calibration: model.calibration.unwrap_or(Calibration::None),
            abstain: model.abstain,
            holdout: model.holdout.unwrap_or(0.2),
            seed: model.seed,
        })
    }

    fn training_pairs(
        &mut self,
        model: &ModelSpec,
        horizon: Option<u32>,
        at: &str,
    ) -> TrainingPairs {
        if model.train.is_some() && horizon.is_none() {
            let message = "`train` requires the target `segment_in` or `buys_in`";
            self.validator.report_invalid(&format!("{at}/train"), message);
        }
        let TrainSpec { pairs, every } = model.train.clone().unwrap_or_default();
        TrainingPairs { count: pairs, every: days(&every).unwrap_or(1) }
    }

    fn target(&mut self, model: &ModelSpec, at: &str) -> Option<Target> {
        let spec = match &model.target {
            None | Some(TargetSpec::Segment) => return Some(Target::Segment),
            Some(TargetSpec::Other(spec)) => spec,
        };
        let at = format!("{at}/target");
        let OtherTargetSpec { segment_in, buys_in, labels, key, label, csv, clusters } = spec;
        let target = match (segment_in, buys_in, labels, clusters) {
            (Some(text), None, None, None) => days(text).map(Target::SegmentIn),
            (None, Some(text), None, None) => days(text).map(Target::BuysIn),
            (None, None, Some(path), None) => {
                let file = CustomersSpec {
                    paths: vec![path.clone()],
                    csv: csv.as_deref().cloned().unwrap_or_default(),
                    key: key.clone().unwrap_or_else(|| CUSTOMER_ID.to_owned()),
                    attributes: vec![label.clone().unwrap_or_else(|| LABEL.to_owned())],
                    ..CustomersSpec::default()
                };
                lookup(&file, &format!("{at}/labels"), self.validator)
                    .map(|labels| Target::Labels(Box::new(labels)))
            }
            (None, None, None, Some(name)) => self.clusters(name, &format!("{at}/clusters")),
            _ => {
                let message =
                    "expected exactly one of `segment_in`, `buys_in`, `labels` and `clusters`";
                return self.validator.fail(&at, message);
            }
        };
        if labels.is_none() && (key.is_some() || label.is_some() || csv.is_some()) {
            self.validator.report_invalid(&at, "`key`, `label` and `csv` require `labels`");
        }
        target
    }

    fn clusters(&mut self, name: &str, pointer: &str) -> Option<Target> {
        let clusterings = self.spec.models.iter().filter(|(_, model)| model.kmeans.is_some());
        let names = clusterings.map(|(name, _)| name.as_str());
        if names.clone().any(|known| known == name) {
            return Some(Target::Clusters(name.to_owned()));
        }
        let hint = hint(name, names);
        self.validator.fail_with_hint(pointer, format!("unknown clustering `{name}`"), hint)
    }

    fn btyd(
        &mut self,
        name: &str,
        model: &ModelSpec,
        btyd: &BtydSpec,
        at: &str,
    ) -> Option<BtydParams> {
        let reason = "applies to KNN models only; this model accepts `btyd`";
        self.report_set_keys(&knn_only(model), at, reason);
        self.report_set_keys(&[("features", !model.features.is_empty())], at, reason);
        if days(&self.spec.rfm.window).is_some() {
            let message = "`btyd` needs all purchases of a customer: it cannot be combined with \
                           `rfm.window`";
            self.validator.report_invalid(at, message);
        }
        if self.spec.ingest.customers_summary.is_some() {
            let message =
                "`btyd` needs purchases with dates, which `customers_summary` does not have";
            self.validator.report_invalid(at, message);
        }
        Some(BtydParams {
            name: name.to_owned(),
            process: btyd.model,
            horizon: days(&btyd.horizon)?,
            discount_rate: btyd.discount_rate,
        })
    }

    fn clustering(
        &mut self,
        name: &str,
        model: &ModelSpec,
        kmeans: &KmeansSpec,
        at: &str,
    ) -> Option<KmeansParams> {
        if name == SEGMENT {
            let message = "a clustering cannot be named `segment`: result tables use this name \
                           for the segments";
            self.validator.report_invalid(at, message);
        }
        let features = self.features(&feature_items(model, None), at);
        let reason = "applies to KNN models only; k-means accepts `features`, `seed` and `kmeans`";
        self.report_set_keys(&knn_only(model), at, reason);
        let (clusters, chosen) = match kmeans.k {
            ClustersSpec::Fixed(k) => ([k, k], Some(k)),
            ClustersSpec::Sweep(SweepSpec { sweep: [from, to], take }) => {
                if from > to {
                    let message = format!("expected [lowest, highest], found [{from}, {to}]");
                    return self.validator.fail(&format!("{at}/kmeans/k/sweep"), message);
                }
                if take.is_some_and(|take| !(from..=to).contains(&take)) {
                    let message = format!("expected a number from {from} to {to}");
                    self.validator.report_invalid(&format!("{at}/kmeans/k/take"), message);
                }
                ([from, to], take)
            }
        };
        Some(KmeansParams {
            name: name.to_owned(),
            features,
            clusters: clusters.map(|k| k as usize),
            chosen: chosen.map(|k| k as usize),
            restarts: kmeans.restarts,
            seed: model.seed,
        })
    }
}

/// The features of a model, by default recency, frequency and monetary value.
fn feature_items(model: &ModelSpec, horizon: Option<u32>) -> Vec<FeatureItemSpec> {
    if model.features.is_empty() { default_features(horizon) } else { model.features.clone() }
}

/// The options of KNN models, and whether each is set.
fn knn_only(model: &ModelSpec) -> [(&'static str, bool); 9] {
    [
        ("train", model.train.is_some()),
        ("target", model.target.is_some()),
        ("k", model.k.is_some()),
        ("weights", model.weights.is_some()),
        ("metric", model.metric.is_some()),
        ("class_balance", model.class_balance.is_some()),
        ("calibration", model.calibration.is_some()),
        ("abstain", model.abstain.is_some()),
        ("holdout", model.holdout.is_some()),
    ]
}

fn column_of(spec: &FeatureItemSpec) -> &String {
    match spec {
        FeatureItemSpec::Name(column) => column,
        FeatureItemSpec::Full(item) => &item.column,
    }
}

/// Whether a model of the segment that uses this column is circular.
fn determines_segment(column: &str) -> bool {
    const VALUES: [&str; 4] = [RECENCY_DAYS, FREQUENCY, MONETARY, AVERAGE_ORDER_VALUE];
    const SCORES: [&str; 5] = [R_SCORE, F_SCORE, M_SCORE, RFM_SCORE, SEGMENT];
    VALUES.contains(&column) || SCORES.contains(&column)
}
