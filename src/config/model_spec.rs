//! The shape of `models`, before its values are checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_spec::CsvSpec;
use crate::model::{Balance, Calibration, K, Metric, Missing, ProcessKind, Scaling, Weights};

/// One model: a KNN classifier, a clustering if `kmeans` is set, or a model of what customers will
/// buy and spend if `btyd` is set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSpec {
    /// What a KNN predicts. `segment` (default): the segment at the same snapshot. `{ segment_in:
    /// 90d }`: the segment 90 days later, `inactive` without a line within `rfm.window`.
    /// `{ buys_in: 90d }`: a purchase within 90 days. `{ labels: file.csv }`: labels from a file,
    /// which may cover only some customers. `{ clusters: name }`: the clusters of a clustering.
    pub target: Option<TargetSpec>,
    /// Columns of the segments to use as features, by name or with their encoding. Default:
    /// `recency_days`, `frequency` and `monetary`. If the target is `segment_in` or `buys_in`, they
    /// are scaled by `percentile` and weighted 1, 2 and 0.5.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub features: Vec<FeatureItemSpec>,
    /// What a forecast (`segment_in`, `buys_in`) trains on. Default: the newest pair of snapshots
    /// whose labels are known.
    pub train: Option<TrainSpec>,
    /// Number of neighbours. Default: 15. For `segment_in` and `buys_in` 151, but at most a tenth
    /// of the training customers. `{ tune: [5, 15, 51] }` chooses the largest candidate within one
    /// standard error of the best.
    pub k: Option<K>,
    /// Weight of a neighbour's vote: `distance` (default), which is 1/distance so that exact
    /// matches outvote all others, or `uniform`.
    pub weights: Option<Weights>,
    /// Distance metric: `euclidean` (default), `manhattan`, `cosine`, or `{ minkowski: 3 }`.
    pub metric: Option<Metric>,
    /// Correction for label frequency. Divides the votes for a label by nothing (`none`, default),
    /// by the label's share of the training customers (`prior`), or by its square root
    /// (`sqrt_prior`, default for `segment_in`).
    pub class_balance: Option<Balance>,
    /// Calibration on the training customers: `none` (default), `isotonic` (isotonic regression),
    /// or `platt` (logistic curve). Calibrates the confidence, or with two labels the probability
    /// of the second. The label stays the one with the most votes.
    pub calibration: Option<Calibration>,
    /// Confidence threshold. Below it, the predicted label is null. Default: no threshold.
    #[schemars(range(min = 0, max = 1))]
    pub abstain: Option<f64>,
    /// Share of each label's customers that is held out to measure the model, if the labels are
    /// from the same snapshot. Default: 0.2.
    #[schemars(range(min = 0.01, max = 0.9))]
    pub holdout: Option<f64>,
    /// Random seed of the holdout and the folds (by a hash of customer_id), and of the cluster
    /// initialisation.
    #[serde(default = "super::spec::seed")]
    pub seed: u64,
    /// Make the model a K-Means clustering.
    pub kmeans: Option<KmeansSpec>,
    /// Make the model a buy-till-you-die model: probability of being active, expected purchases and
    /// money, and customer lifetime value (CLV).
    pub btyd: Option<BtydSpec>,
}

/// What customers will buy and spend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BtydSpec {
    /// How customers buy and leave: `mbg_nbd` (default), `bg_nbd`, or `pareto_nbd`. Of `bg_nbd`, a
    /// customer with one purchase is active with probability 1.
    pub model: ProcessKind,
    /// Days to predict, such as `90d`.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,3}d$"))]
    pub horizon: String,
    /// Discount rate of CLV per year: 0.1 is 10 %.
    #[schemars(range(min = 0, max = 10))]
    pub discount_rate: f64,
}

impl Default for BtydSpec {
    fn default() -> Self {
        Self { model: ProcessKind::default(), horizon: "365d".to_owned(), discount_rate: 0.1 }
    }
}

/// Pairs of snapshots that a forecast trains on: features at the earlier, labels at the later. All
/// labels are known when the forecast is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSpec {
    /// Number of pairs. Fewer are used if the source does not go back far enough.
    #[schemars(range(min = 1, max = 100))]
    pub pairs: u32,
    /// Days between two pairs, such as `30d`.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,3}d$"))]
    pub every: String,
}

impl Default for TrainSpec {
    fn default() -> Self {
        Self { pairs: 1, every: "30d".to_owned() }
    }
}

/// What a KNN predicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetSpec {
    Segment,
    /// Another target.
    #[serde(untagged)]
    Other(OtherTargetSpec),
}

/// Another target: exactly one of `segment_in`, `buys_in`, `labels` and `clusters`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct OtherTargetSpec {
    /// The segment this many days later, such as `90d`.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,3}d$"))]
    pub segment_in: Option<String>,
    /// Whether the customer buys within this many days, such as `90d`.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,3}d$"))]
    pub buys_in: Option<String>,
    /// Label file (CSV, Parquet or Excel), relative to this file.
    pub labels: Option<String>,
    /// Column of the label file with the customer id. Default: `customer_id`.
    pub key: Option<String>,
    /// Column of the label file with the label. Default: `label`.
    pub label: Option<String>,
    /// CSV format of the label file.
    pub csv: Option<Box<CsvSpec>>,
    /// Name of the clustering whose clusters are predicted.
    pub clusters: Option<String>,
}

/// A feature, by name or with its encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FeatureItemSpec {
    /// A column with the default encoding: log1p and standardisation for numbers, one-hot for
    /// `segment` and customer attributes.
    Name(String),
    /// A column with its encoding.
    Full(FeatureItem),
}

/// A column with its encoding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["column"]))]
pub struct FeatureItem {
    /// Column of the segments.
    pub column: String,
    /// Encoding: `number`, `one_hot` (one axis per value), or `ordinal` (position in `order`).
    /// Default: `one_hot` for `segment` and customer attributes, `number` for all others.
    pub encode: Option<EncodeSpec>,
    /// Values of an `ordinal` feature, from lowest to highest.
    #[schemars(length(min = 2))]
    pub order: Option<Vec<String>>,
    /// Apply sign(x) · log(1 + |x|) to numbers before scaling. Default: true.
    pub log1p: Option<bool>,
    /// Scaling of numbers and ordinals, fitted on the training customers: `standard` (default, mean
    /// and standard deviation), `robust` (median and interquartile range), `minmax`, or `none`.
    /// `percentile` is a number's rank among the customers of the same snapshot, 0 to 1.
    pub scale: Option<Scaling>,
    /// Factor for the feature's contribution to the distance. Default: 1.
    #[schemars(range(min = 0.000_001, max = 1_000_000))]
    pub weight: Option<f64>,
    /// How missing values are treated: `median` (default) imputes the median and adds an axis that
    /// marks imputed customers; `drop` leaves these customers without a prediction; `fail` fails
    /// the run.
    pub missing: Option<Missing>,
}

/// A K-Means clustering.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KmeansSpec {
    /// Number of clusters. Default: 4. `{ sweep: [1, 14] }` tries a range and chooses the elbow of
    /// the within-cluster sum of squares.
    pub k: ClustersSpec,
    /// Number of random initialisations. The best result is kept.
    #[schemars(range(min = 1, max = 1000))]
    pub restarts: u32,
}

impl Default for KmeansSpec {
    fn default() -> Self {
        Self { k: ClustersSpec::Fixed(4), restarts: 10 }
    }
}

/// A number of clusters, or a range to try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ClustersSpec {
    /// A fixed number.
    Fixed(#[schemars(range(min = 1, max = 100))] u32),
    /// A range to try.
    Sweep(SweepSpec),
}

/// A range of numbers of clusters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["sweep"]))]
pub struct SweepSpec {
    /// Lowest and highest number of clusters, inclusive, such as [1, 14].
    #[schemars(inner(range(min = 1, max = 100)))]
    pub sweep: [u32; 2],
    /// Number of clusters to use instead of the elbow.
    #[schemars(range(min = 1, max = 100))]
    pub take: Option<u32>,
}

/// Encoding of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodeSpec {
    Number,
    OneHot,
    Ordinal,
}

/// The features of a model that names none.
pub(super) fn default_features(horizon: Option<u32>) -> Vec<FeatureItemSpec> {
    use crate::columns::{FREQUENCY, MONETARY, RECENCY_DAYS};
    // Of 16 sets of features and weights, the best at four dates of CDNOW and Online Retail.
    let features = [(RECENCY_DAYS, 1.0), (FREQUENCY, 2.0), (MONETARY, 0.5)];
    let feature = |(name, weight): (&str, f64)| {
        let column = name.to_owned();
        if horizon.is_some() {
            let (scale, weight) = (Some(Scaling::Percentile), Some(weight));
            FeatureItemSpec::Full(FeatureItem { column, scale, weight, ..FeatureItem::default() })
        } else {
            FeatureItemSpec::Name(column)
        }
    };
    features.map(feature).to_vec()
}
