//! The shape of `score`, before its values are checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How values become scores from 1 (worst) to n (best).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("allOf" = [{ "not": { "required": ["compat", "method"] } }, { "not": {
    "properties": { "method": { "const": "fixed" } }, "required": ["method"],
} }]))]
pub struct ScoreSpec {
    /// Number of bins per dimension, which is also the best score. Default: 5, or the number of
    /// bins of the `compat` preset.
    #[schemars(range(min = 2, max = 10))]
    pub bins: Option<u8>,
    /// Binning method. Default: `quantile`.
    ///
    /// `quantile`: cut points at the i/n quantiles (linear interpolation, type 7). A value equal to
    /// a cut point is in the lower bin, so equal values always have the same score. `rank`: n-tiles
    /// by (value, customer_id), like SQL's NTILE. Equal values may have different scores.
    /// `percent_rank`: (lowest rank - 1)/(customers - 1), at least i/n for i bins up, like SQL's
    /// PERCENT_RANK. `r_rfm`: like the R package rfm, quantiles plus one, and a value equal to a
    /// cut point is in the upper bin. `fixed` is only valid per dimension.
    pub method: Option<ScoreMethod>,
    /// Preset that reproduces the scores of another tool, instead of `method`. `r_rfm`: the R
    /// package rfm. `pandas_qcut_first`: pd.qcut of recency and monetary value, and of frequency's
    /// rank(method="first") with customers sorted by id. `pymc_marketing`: quartiles by
    /// pd.qcut(duplicates="drop"), so the best score may be below 4; requires `frequency: days` and
    /// `monetary: mean_per_day`. `klaviyo`: terciles of the average percentile rank, and recency
    /// score 3 up to 180 days, 2 up to 365. `dbt`: quintiles of SQL's PERCENT_RANK.
    pub compat: Option<Compat>,
    /// Overrides for recency.
    pub recency: Option<DimensionSpec>,
    /// Overrides for frequency.
    pub frequency: Option<DimensionSpec>,
    /// Overrides for monetary value.
    pub monetary: Option<DimensionSpec>,
    /// Weights of the three scores. If set, the column `rfm_score` is their weighted mean.
    pub weights: Option<WeightsSpec>,
    /// Source of the cut points. `refit` (default): computed at each snapshot. `{ frozen:
    /// 2011-09-10 }`: computed from the customers at that date. `{ frozen: path }`: taken from an
    /// earlier run, by the folder of the run or of its artefact (`model`).
    pub cut_points: CutPointsSpec,
}

/// Source of the cut points.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutPointsSpec {
    #[default]
    Refit,
    /// Cut points of an earlier snapshot.
    Frozen(
        /// A date, or the folder of a run or of its artefact.
        String,
    ),
}

/// Binning method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScoreMethod {
    #[default]
    Quantile,
    Rank,
    PercentRank,
    Fixed,
    RRfm,
}

/// A tool whose scores are reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compat {
    RRfm,
    PandasQcutFirst,
    PymcMarketing,
    Klaviyo,
    Dbt,
}

/// Overrides for one dimension.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("allOf" = [{
    "if": { "properties": { "method": { "const": "fixed" } }, "required": ["method"] },
    "then": { "required": ["cut_points"] }, "else": { "not": { "required": ["cut_points"] } },
}]))]
pub struct DimensionSpec {
    /// Binning method. `fixed` requires `cut_points`.
    pub method: Option<ScoreMethod>,
    /// Number of bins, at most `score.bins`.
    #[schemars(range(min = 2, max = 10))]
    pub bins: Option<u8>,
    /// Cut points for `fixed`, ascending, one fewer than bins, such as [30, 90, 180, 365]. A value
    /// equal to a cut point is in the lower bin.
    #[schemars(length(min = 1, max = 9))]
    pub cut_points: Option<Vec<f64>>,
    /// Give values of zero or less the lowest score, and bin the other values into the remaining
    /// scores. Requires a quantile method with at least 3 bins, on frequency or monetary.
    pub separate_zeros: bool,
}

/// Weights of the scores. They are normalised to a sum of 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WeightsSpec {
    /// Weight of the recency score.
    #[schemars(range(min = 0))]
    pub recency: f64,
    /// Weight of the frequency score.
    #[schemars(range(min = 0))]
    pub frequency: f64,
    /// Weight of the monetary score.
    #[schemars(range(min = 0))]
    pub monetary: f64,
}
