//! Scores by rank, which may split equal values. Rows must be sorted by customer_id, which breaks
//! ties.

use polars::prelude::*;

use super::{Dimension, DimensionParams, Method};

/// The score by rank among `n` customers, u8. `None` for methods that use cut points.
pub(super) fn score(params: &DimensionParams, dimension: Dimension, n: usize) -> Option<Expr> {
    let n = n as i64;
    let bins = i64::from(params.bins);
    let descending = params.method == Method::Rank && dimension.reversed();
    let options = RankOptions { method: RankMethod::Ordinal, descending };
    // Zero-based.
    let rank = col(dimension.value()).rank(options, None).cast(DataType::Int64) - lit(1i64);
    match params.method {
        Method::Rank => {
            // n-tiles, as SQL's NTILE from the worst customer to the best: the first n mod bins
            // tiles have one more customer.
            let size = n / bins;
            let larger = n % bins;
            let in_larger = lit(larger * (size + 1));
            let tile_if_larger = rank.clone().floor_div(lit(size + 1));
            let tile_otherwise =
                (rank.clone() - in_larger.clone()).floor_div(lit(size.max(1))) + lit(larger);
            let tile = when(rank.lt(in_larger)).then(tile_if_larger).otherwise(tile_otherwise);
            Some(tile.cast(DataType::UInt8) + lit(1u8))
        }
        Method::RankQcut => {
            // pandas.qcut over rank(method="first"): type-7 quantiles of 1..n; a rank equal to a
            // cut point is in the lower bin.
            let rank = rank * lit(bins);
            let is_above = |i: i64| rank.clone().gt(lit(i * (n - 1))).cast(DataType::UInt8);
            let bin = (1..bins).map(is_above).fold(lit(0u8), |bin, is_above| bin + is_above);
            Some(if dimension.reversed() { lit(params.bins) - bin } else { bin + lit(1u8) })
        }
        _ => None,
    }
}
