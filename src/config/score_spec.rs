//! The shape of `score`, unchecked, as `spec` is that of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How values become scores from 1 to n, n best.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = [{ "not": { "required": ["compat", "method"] } }, { "not": {
    "properties": { "method": { "const": "fixed" } }, "required": ["method"],
} }]))]
pub struct ScoreSpec {
    /// Number of bins a dimension, and so the best score; 5 unless `compat` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 10))]
    pub bins: Option<u8>,
    /// How values become bins.
    ///
    /// `quantile`: cut points at i/n by linear interpolation (type 7); a value equal to a cut point takes the lower
    /// bin, so equal values always share a score. `rank`: n-tiles by (value, customer_id), as SQL's NTILE; equal values may be
    /// parted. `percent_rank`: (lowest rank - 1)/(customers - 1), at least i/n for i bins up, as SQL's PERCENT_RANK.
    /// `r_rfm`: as the R package rfm does it, the quantile plus one, and a value equal to a cut point takes the upper bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<ScoreMethod>,
    /// Scores exactly as another tool does, in place of `method`. `r_rfm`: the R package rfm. `pandas_qcut_first`: pd.qcut of recency and monetary
    /// value, and of frequency's rank(method="first"), customers in the order of their ids. `pymc_marketing`: quartiles by
    /// pd.qcut(duplicates="drop"), so that the best score may be below 4; frequency counts days and monetary value is a
    /// mean by day. `klaviyo`: thirds of the average percentile rank; recency 3 up to 180 days, 2 up to 365. `dbt`: quintiles of SQL's
    /// PERCENT_RANK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
    /// What differs for recency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recency: Option<DimensionSpec>,
    /// What differs for frequency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency: Option<DimensionSpec>,
    /// What differs for monetary value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monetary: Option<DimensionSpec>,
    /// Weights of the three scores in `rfm_score`, their weighted mean; without them there is no such column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsSpec>,
    /// Whose cut points hold: `refit`, each snapshot's own; or `{ frozen: 2011-09-10 }`, those of the customers at that date; or
    /// `{ frozen: path }`, those of an earlier run, by its folder or its artefact's (`model`), relative to this file.
    #[serde(default)]
    pub cut_points: CutPointsSpec,
}

/// Whose cut points hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CutPointsSpec {
    /// Each snapshot's own.
    Named(CutPointsName),
    /// Those of an earlier snapshot.
    Frozen(FrozenSpec),
}

impl Default for CutPointsSpec {
    fn default() -> Self {
        Self::Named(CutPointsName::Refit)
    }
}

/// Each snapshot's own cut points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum CutPointsName {
    Refit,
}

/// Cut points of an earlier snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["frozen"]))]
pub struct FrozenSpec {
    /// A date, or the folder of a run or of its artefact.
    #[serde(default)]
    pub frozen: String,
}

/// How bins are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum ScoreMethod {
    #[default]
    Quantile,
    Rank,
    PercentRank,
    Fixed,
    RRfm,
}

/// Another tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as for clean_spec::LineColumn")]
pub enum Compat {
    RRfm,
    PandasQcutFirst,
    PymcMarketing,
    Klaviyo,
    Dbt,
}

/// What differs for one dimension.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = [{
    "if": { "properties": { "method": { "const": "fixed" } }, "required": ["method"] },
    "then": { "required": ["cut_points"] }, "else": { "not": { "required": ["cut_points"] } },
}]))]
pub struct DimensionSpec {
    /// How values become bins; `fixed` needs `cut_points`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<ScoreMethod>,
    /// Number of bins, not more than `score.bins`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 10))]
    pub bins: Option<u8>,
    /// Cut points of `fixed`, ascending, one fewer than bins; a value equal to one takes the lower bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 9))]
    pub cut_points: Option<Vec<f64>>,
    /// Gives values of zero and less the lowest score, and cuts the others into the bins that are left.
    #[serde(default)]
    pub zero_apart: bool,
}

/// Weights; they need not add up to one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightsSpec {
    /// Of the recency score.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub recency: f64,
    /// Of the frequency score.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub frequency: f64,
    /// Of the monetary score.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub monetary: f64,
}
