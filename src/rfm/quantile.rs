//! Quantiles, by the one definition that the pipeline uses.

/// The i/n quantile by linear interpolation between order statistics (type 7 of Hyndman & Fan 1996): with N sorted
/// values, at position (N − 1)·i/n counted from 0.
///
/// The position is taken in whole numbers. In floats it can fall a hair beside the value that it means, and that value
/// would then land on the wrong side of its own cut point.
pub fn type_7(sorted: &[f64], i: usize, n: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let (below, rest) = (last * i / n, last * i % n);
    let lower = sorted[below];
    match rest {
        0 => Some(lower),
        _ => Some(lower + (sorted[below + 1] - lower) * (rest as f64 / n as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_7_interpolates_between_order_statistics() {
        // R: quantile(c(1, 2, 4, 8, 16), c(.2, .4, .5, .6, .8)) gives 1.8 3.2 4.0 5.6 9.6.
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        for (i, n, expected) in [(1, 5, 1.8), (2, 5, 3.2), (1, 2, 4.0), (3, 5, 5.6), (4, 5, 9.6)] {
            let found = type_7(&values, i, n).unwrap();
            assert!((found - expected).abs() < 1e-12, "{i}/{n}: {found}");
        }
        assert_eq!(type_7(&[], 1, 5), None);
        assert_eq!(type_7(&[3.5], 4, 5), Some(3.5));
    }

    #[test]
    fn a_cut_point_that_falls_on_a_value_is_that_value() {
        // For every size at which (N − 1)·i/n is whole, the quantile must be the order statistic itself.
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
