//! Quantiles, in the one definition that the pipeline uses.

/// The i/n quantile by linear interpolation between order statistics (type 7 of Hyndman & Fan
/// 1996): the value at position (N − 1)·i/n of N sorted values, counted from 0. `None` for no
/// values.
///
/// The position is computed in integers. A rounded position could fall beside an order statistic,
/// and that value would then be on the wrong side of its own cut point.
pub fn type_7(sorted: &[f64], i: usize, n: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let below = last * i / n;
    let remainder = last * i % n;
    let lower = sorted[below];
    if remainder == 0 {
        return Some(lower);
    }
    Some(lower + (sorted[below + 1] - lower) * (remainder as f64 / n as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_between_order_statistics() {
        // R: quantile(c(1, 2, 4, 8, 16), c(.2, .4, .5, .6, .8)) gives 1.8 3.2 4.0 5.6 9.6.
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        for (i, n, expected) in [(1, 5, 1.8), (2, 5, 3.2), (1, 2, 4.0), (3, 5, 5.6), (4, 5, 9.6)] {
            let quantile = type_7(&values, i, n).unwrap();
            assert!((quantile - expected).abs() < 1e-12, "{i}/{n}: {quantile}");
        }
        assert_eq!(type_7(&[], 1, 5), None);
        assert_eq!(type_7(&[3.5], 4, 5), Some(3.5));
    }

    #[test]
    fn whole_position_returns_the_order_statistic() {
        // All sizes N at which (N − 1)·i/10 is an integer.
        for size in 1..2000usize {
            let values: Vec<f64> = (0..size).map(|v| v as f64 / 3.0).collect();
            for i in 1..10 {
                if (size - 1) * i % 10 == 0 {
                    assert_eq!(type_7(&values, i, 10), Some(values[(size - 1) * i / 10]));
                }
            }
        }
    }
}
