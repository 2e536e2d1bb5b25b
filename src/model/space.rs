//! The space that customers are compared in: features as axes, fitted to the training customers alone.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::features::{Customers, Encoding, FeatureParams, Missing, Raw, Scaling, signed_log1p};
use super::points::{Points, Standing};
use crate::rfm::quantile::type_7;

/// Customers that are placed at once.
const TOGETHER: usize = 4096;

/// The fitted axes of every feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// One a feature, in their order.
    pub axes: Vec<Axes>,
}

/// The fitted axes of one feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Axes {
    /// What is taken off.
    pub centre: f64,
    /// What is divided by; 1 where the training customers do not differ.
    pub spread: f64,
    /// What stands for a missing number, before it is scaled.
    pub fill: f64,
    /// Whether an axis tells who has no value.
    pub indicator: bool,
    /// Values that have an axis each.
    pub levels: Vec<String>,
}

/// A feature that a customer has no value for, where that is not to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoValue {
    /// Column of the feature.
    pub feature: String,
    /// The customer; empty where it is all of them.
    pub customer: String,
}

impl Space {
    /// Fits to some customers.
    ///
    /// # Errors
    /// A missing value of a feature that has to have one, and a feature of numbers that nobody has.
    pub fn fit(features: &[FeatureParams], customers: &Customers) -> Result<Self, NoValue> {
        // Those who are dropped have no say.
        let complete = customers.complete(features);
        let kept = (complete.len() < customers.len()).then(|| customers.at(&complete));
        let customers = kept.as_ref().unwrap_or(customers);
        let one = |(feature, raw): (&FeatureParams, &Raw)| fit(feature, raw, customers);
        let axes: Vec<Result<Axes, NoValue>> =
            features.par_iter().zip(&customers.raw).map(one).collect();
        Ok(Self { axes: axes.into_iter().collect::<Result<_, _>>()? })
    }

    /// Where customers stand; those who are dropped for want of a value do nowhere.
    ///
    /// # Errors
    /// A missing value of a feature that has to have one.
    pub fn stand(
        &self,
        features: &[FeatureParams],
        customers: &Customers,
    ) -> Result<Standing, NoValue> {
        let width = self.width(features);
        let starts: Vec<usize> = (0..customers.len()).step_by(TOGETHER).collect();
        let part = |start: &usize| {
            let rows = *start..(start + TOGETHER).min(customers.len());
            let (mut values, mut placed) =
                (Vec::with_capacity(rows.len() * width), Vec::with_capacity(rows.len()));
            for row in rows {
                let before = values.len();
                let stands = self.place(features, customers, row, &mut values)?;
                placed.push(stands);
                if !stands {
                    values.truncate(before);
                }
            }
            Ok((values, placed))
        };
        let parts: Vec<Result<_, NoValue>> = starts.par_iter().map(part).collect();
        let (mut values, mut placed) = (Vec::new(), Vec::with_capacity(customers.len()));
        // The first of the customers without a value is told, whoever found one first.
        for part in parts {
            let (of_part, placed_part) = part?;
            values.extend_from_slice(&of_part);
            placed.extend_from_slice(&placed_part);
        }
        let len = placed.iter().filter(|placed| **placed).count();
        Ok(Standing { points: Points::new(width, len, values), placed })
    }

    /// Number of axes.
    fn width(&self, features: &[FeatureParams]) -> usize {
        let of = |(feature, axes): (&FeatureParams, &Axes)| {
            let own = if feature.encoding == Encoding::OneHot { axes.levels.len() } else { 1 };
            own + usize::from(axes.indicator)
        };
        features.iter().zip(&self.axes).map(of).sum()
    }

    /// Appends where a customer stands, and says whether it stands anywhere.
    fn place(
        &self,
        features: &[FeatureParams],
        customers: &Customers,
        row: usize,
        point: &mut Vec<f64>,
    ) -> Result<bool, NoValue> {
        for ((feature, axes), raw) in features.iter().zip(&self.axes).zip(&customers.raw) {
            let (number, text) = match raw {
                Raw::Numbers(values) => {
                    (values[row].map(|value| transformed(&feature.encoding, value)), None)
                }
                Raw::Texts(values) => {
                    (place(&feature.encoding, values[row].as_deref()), values[row].as_deref())
                }
            };
            let missing = match feature.encoding {
                Encoding::OneHot => text.is_none(),
                _ => number.is_none(),
            };
            match (missing, feature.missing) {
                (true, Missing::Drop) => return Ok(false),
                (true, Missing::Fail) => return Err(no_value(feature, customers, row)),
                _ => {}
            }
            match feature.encoding {
                Encoding::OneHot => {
                    let axis = |level: &String| {
                        feature.weight * f64::from(u8::from(text == Some(level.as_str())))
                    };
                    point.extend(axes.levels.iter().map(axis));
                }
                _ => point.push(
                    (number.unwrap_or(axes.fill) - axes.centre) / axes.spread * feature.weight,
                ),
            }
            if axes.indicator {
                point.push(feature.weight * f64::from(u8::from(missing)));
            }
        }
        Ok(true)
    }
}

fn no_value(feature: &FeatureParams, customers: &Customers, row: usize) -> NoValue {
    NoValue {
        feature: feature.column.clone(),
        customer: customers.ids.iter().nth(row).unwrap_or_default().to_owned(),
    }
}

fn fit(feature: &FeatureParams, raw: &Raw, customers: &Customers) -> Result<Axes, NoValue> {
    let plain = Axes { centre: 0.0, spread: 1.0, fill: 0.0, indicator: false, levels: Vec::new() };
    if let (Encoding::OneHot, Raw::Texts(texts)) = (&feature.encoding, raw) {
        let row =
            texts.iter().position(Option::is_none).filter(|_| feature.missing == Missing::Fail);
        if let Some(row) = row {
            return Err(no_value(feature, customers, row));
        }
        let levels: BTreeSet<&String> = texts.iter().flatten().collect();
        return Ok(Axes { levels: levels.into_iter().cloned().collect(), ..plain });
    }
    let values: Vec<Option<f64>> = match raw {
        Raw::Numbers(values) => values
            .iter()
            .map(|value| value.map(|value| transformed(&feature.encoding, value)))
            .collect(),
        Raw::Texts(texts) => {
            texts.iter().map(|text| place(&feature.encoding, text.as_deref())).collect()
        }
    };
    let missing = values.iter().position(Option::is_none);
    if let Some(row) = missing.filter(|_| feature.missing == Missing::Fail) {
        return Err(no_value(feature, customers, row));
    }
    let indicator = missing.is_some() && feature.missing == Missing::Median;
    let mut known: Vec<f64> = values.into_iter().flatten().collect();
    let Some(fill) = ({
        // Sums of floats depend on their order, medians need one.
        known.par_sort_unstable_by(f64::total_cmp);
        type_7(&known, 1, 2)
    }) else {
        return Err(NoValue { feature: feature.column.clone(), customer: String::new() });
    };
    let scale = match &feature.encoding {
        Encoding::Number { scale, .. } | Encoding::Ordinal { scale, .. } => *scale,
        Encoding::OneHot => Scaling::None,
    };
    // Filled values count in the mean as they will among the customers.
    let filled = || {
        known.iter().copied().chain(std::iter::repeat_n(
            fill,
            if indicator { customers.len() - known.len() } else { 0 },
        ))
    };
    let (centre, spread) = match scale {
        Scaling::None => (0.0, 1.0),
        Scaling::Standard => {
            let n = filled().count() as f64;
            let mean = filled().sum::<f64>() / n;
            (mean, (filled().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt())
        }
        Scaling::Robust => {
            let mut all: Vec<f64> = filled().collect();
            all.par_sort_unstable_by(f64::total_cmp);
            let quartile = |i: usize| type_7(&all, i, 4).unwrap_or_default();
            (quartile(2), quartile(3) - quartile(1))
        }
        Scaling::Minmax => {
            let ends = [known.first(), known.last()].map(|end| end.copied().unwrap_or_default());
            (ends[0], ends[1] - ends[0])
        }
    };
    // A constant feature is only centred, since it tells nobody apart.
    Ok(Axes { centre, spread: if spread > 0.0 { spread } else { 1.0 }, fill, indicator, ..plain })
}

fn transformed(encoding: &Encoding, value: f64) -> f64 {
    if matches!(encoding, Encoding::Number { log1p: true, .. }) {
        signed_log1p(value)
    } else {
        value
    }
}

/// Place of a text in the list of its feature.
fn place(encoding: &Encoding, text: Option<&str>) -> Option<f64> {
    let Encoding::Ordinal { order, .. } = encoding else { return None };
    text.and_then(|text| order.iter().position(|known| known == text)).map(|place| place as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(scale: Scaling, missing: Missing) -> FeatureParams {
        FeatureParams {
            column: "x".into(),
            encoding: Encoding::Number { log1p: false, scale },
            weight: 2.0,
            missing,
        }
    }

    fn of(values: &[Option<f64>]) -> Customers {
        let ids = (0..values.len()).map(|i| i.to_string()).collect();
        Customers { ids, raw: vec![Raw::Numbers(values.to_vec())] }
    }

    fn points(
        feature: &FeatureParams,
        train: &[Option<f64>],
        asked: &[Option<f64>],
    ) -> Vec<Option<Vec<f64>>> {
        let features = std::slice::from_ref(feature);
        told(&Space::fit(features, &of(train)).unwrap().stand(features, &of(asked)).unwrap())
    }

    fn told(standing: &Standing) -> Vec<Option<Vec<f64>>> {
        standing.iter().map(|point| point.map(<[f64]>::to_vec)).collect()
    }

    #[test]
    fn scales_are_fitted_to_the_training_customers() {
        let train = [Some(1.0), Some(3.0), Some(8.0)];
        let at = |scale, x: f64| {
            points(&number(scale, Missing::Fail), &train, &[Some(x)])[0].clone().unwrap()[0]
        };
        // Mean 4, variance (9 + 1 + 16) / 3; median 3, quartiles 2 and 5.5; ends 1 and 8. The weight is 2.
        assert!((at(Scaling::Standard, 8.0) - 2.0 * 4.0 / (26.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(at(Scaling::Robust, 10.0), 2.0 * 7.0 / 3.5);
        assert_eq!(at(Scaling::Minmax, 15.0), 2.0 * 2.0);
        assert_eq!(at(Scaling::None, 5.0), 10.0);
        // A constant feature is only centred.
        let constant = points(
            &number(Scaling::Standard, Missing::Fail),
            &[Some(5.0), Some(5.0)],
            &[Some(6.0)],
        );
        assert_eq!(constant, [Some(vec![2.0])]);
    }

    #[test]
    fn missing_values_are_filled_told_dropped_or_refused() {
        let (train, asked) = ([Some(1.0), None, Some(3.0), Some(8.0)], [None, Some(4.0)]);
        let median = points(&number(Scaling::None, Missing::Median), &train, &asked);
        assert_eq!(median, [Some(vec![6.0, 2.0]), Some(vec![8.0, 0.0])]);
        assert_eq!(
            points(&number(Scaling::None, Missing::Drop), &train, &asked),
            [None, Some(vec![8.0])]
        );
        let refused = Space::fit(&[number(Scaling::None, Missing::Fail)], &of(&train));
        assert_eq!(refused.unwrap_err(), NoValue { feature: "x".into(), customer: "1".into() });
    }

    #[test]
    fn text_becomes_axes_or_places() {
        let texts = |texts: &[Option<&str>]| {
            let ids = (0..texts.len()).map(|i| i.to_string()).collect();
            let texts = texts.iter().map(|text| text.map(str::to_owned)).collect();
            Customers { ids, raw: vec![Raw::Texts(texts)] }
        };
        let at = |encoding: Encoding| {
            let features = [FeatureParams {
                column: "x".into(),
                encoding,
                weight: 1.0,
                missing: Missing::Median,
            }];
            let space = Space::fit(&features, &texts(&[Some("b"), Some("a"), None])).unwrap();
            told(&space.stand(&features, &texts(&[Some("b"), Some("new"), None])).unwrap())
        };
        assert_eq!(
            at(Encoding::OneHot),
            [Some(vec![0.0, 1.0]), Some(vec![0.0, 0.0]), Some(vec![0.0, 0.0])]
        );
        let order = ["a", "c", "b"].map(str::to_owned).to_vec();
        // Places 2 and 0 of the training customers have the median 1, and one of them has none.
        let ordinal = at(Encoding::Ordinal { order, scale: Scaling::None });
        assert_eq!(ordinal, [Some(vec![2.0, 0.0]), Some(vec![1.0, 1.0]), Some(vec![1.0, 1.0])]);
    }
}
