//! Scores that part equal values: by rank, ties in the order of customer_id. The rows have to stand in that order.

use polars::prelude::*;

use super::{Dimension, DimensionParams, Method};

/// The score by rank, u8, among `n` customers; `None` for the methods that go by cut points.
pub(super) fn score(params: &DimensionParams, dimension: Dimension, n: usize) -> Option<Expr> {
    let (n, bins) = (n as i64, i64::from(params.bins));
    let ordinal = |descending: bool| {
        let options = RankOptions { method: RankMethod::Ordinal, descending };
        col(dimension.value()).rank(options, None).cast(DataType::Int64) - lit(1i64)
    };
    Some(match params.method {
        // n-tiles, as SQL's NTILE over customers from the worst to the best: the first n mod bins hold one more.
        Method::Rank => {
            let rank = ordinal(dimension.reversed());
            let (size, more) = (n / bins, n % bins);
            let large = rank.clone().floor_div(lit(size + 1));
            let small =
                (rank.clone() - lit(more * (size + 1))).floor_div(lit(size.max(1))) + lit(more);
            let tile = when(rank.lt(lit(more * (size + 1)))).then(large).otherwise(small);
            tile.cast(DataType::UInt8) + lit(1u8)
        }
        // pandas.qcut over rank(method="first"): type-7 quantiles of 1..n, a rank on a cut point in the lower bin.
        Method::RankQcut => {
            let rank = ordinal(false);
            let passed =
                |i: i64| (rank.clone() * lit(bins)).gt(lit(i * (n - 1))).cast(DataType::UInt8);
            let bin = (1..bins).map(passed).fold(lit(0u8), |sum, one| sum + one);
            if dimension.reversed() { lit(params.bins) - bin } else { bin + lit(1u8) }
        }
        _ => return None,
    })
}
