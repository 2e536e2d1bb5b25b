//! Feature space: features as scaled axes, fitted to the training customers only.

use std::collections::BTreeSet;
use std::iter::repeat_n;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::ModelError;
use super::features::{Customers, Encoding, FeatureParams, Missing, Raw, Scaling, signed_log1p};
use super::point_matrix::{PointMatrix, Projection};
use crate::rfm::quantile::type_7;

/// Customers projected by one task.
const CHUNK: usize = 4096;

#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// Name of the model or clustering, for error messages.
    pub model: String,
    pub features: Vec<FeatureParams>,
    /// One entry a feature, in the order of the features.
    pub axes: Vec<Axes>,
}

/// Scaling and encoding of one feature, as serialised in artefacts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Axes {
    /// Column of the segments table.
    pub column: String,
    /// Subtracted from a number, after its logarithm if the feature is logarithmic.
    pub centre: f64,
    /// Divides values. 0 if the training customers have one value, but for rounding errors: the
    /// feature then contributes nothing.
    pub spread: f64,
    /// Replaces a missing number before scaling.
    pub fill: f64,
    /// Whether an extra axis marks missing values.
    pub indicator: bool,
    /// One-hot values, one axis each.
    pub levels: Vec<String>,
}

impl Space {
    /// Fits to training customers. Fails on a missing value of a [`Missing::Fail`] feature, and on
    /// a numeric feature without any value.
    pub fn fit(
        model: &str,
        features: &[FeatureParams],
        customers: &Customers,
    ) -> Result<Self, ModelError> {
        let is_complete = |row: &usize| {
            features.iter().zip(&customers.raw).all(|(feature, raw)| {
                feature.missing != Missing::Drop
                    || !Encoded::new(&feature.encoding, raw, *row).is_missing()
            })
        };
        let complete: Vec<usize> = (0..customers.ids.len()).filter(is_complete).collect();
        let selected = (complete.len() < customers.ids.len()).then(|| customers.select(&complete));
        let Customers { ids, raw } = selected.as_ref().unwrap_or(customers);
        let fitted: Vec<Result<Axes, Option<usize>>> = features
            .par_iter()
            .zip(raw)
            .map(|(feature, raw)| Axes::fit(feature, raw, ids.len()))
            .collect();
        let mut space =
            Self { model: model.to_owned(), features: features.to_vec(), axes: Vec::new() };
        for (feature, axes) in features.iter().zip(fitted) {
            let axes =
                axes.map_err(|row| space.no_value(feature, row.map(|row| ids.value(row))))?;
            space.axes.push(axes);
        }
        Ok(space)
    }

    /// `customer` is `None` if no customer has a value.
    fn no_value(&self, feature: &FeatureParams, customer: Option<&str>) -> ModelError {
        let reason = match customer {
            Some(id) => format!("customer `{id}` has no usable value"),
            None => "no customer has a usable value".to_owned(),
        };
        let feature = feature.column.clone();
        ModelError::NoValue { model: self.model.clone(), feature, reason }
    }

    /// Points of customers. Customers without a value of a [`Missing::Drop`] feature have none.
    /// Fails on a missing value of a [`Missing::Fail`] feature.
    pub fn project(&self, customers: &Customers) -> Result<Projection, ModelError> {
        let chunks: Vec<Result<_, ModelError>> = (0..customers.ids.len())
            .into_par_iter()
            .chunks(CHUNK)
            .map(|rows| self.project_rows(customers, rows))
            .collect();
        let (values, has_point): (Vec<Vec<f64>>, Vec<Vec<bool>>) =
            chunks.into_iter().collect::<Result<_, _>>()?;
        let has_point = has_point.concat();
        let width = self.features.iter().zip(&self.axes).map(|(f, axes)| axes.width(f)).sum();
        let len = has_point.iter().filter(|has| **has).count();
        Ok(Projection { points: PointMatrix::new(width, len, values.concat()), has_point })
    }

    /// Row-major values of the customers that have a point, and which do.
    fn project_rows(
        &self,
        customers: &Customers,
        rows: Vec<usize>,
    ) -> Result<(Vec<f64>, Vec<bool>), ModelError> {
        let mut values = Vec::new();
        let mut has_point = Vec::with_capacity(rows.len());
        'customers: for row in rows {
            let start = values.len();
            for ((feature, axes), raw) in self.features.iter().zip(&self.axes).zip(&customers.raw) {
                let encoded = Encoded::new(&feature.encoding, raw, row);
                let missing = encoded.is_missing();
                match feature.missing {
                    Missing::Drop if missing => {
                        values.truncate(start);
                        has_point.push(false);
                        continue 'customers;
                    }
                    Missing::Fail if missing => {
                        return Err(self.no_value(feature, Some(customers.ids.value(row))));
                    }
                    _ => {}
                }
                let weight = feature.weight;
                match encoded {
                    Encoded::Level(text) => {
                        let is_level = |level: &String| f64::from(text == Some(level.as_str()));
                        values.extend(axes.levels.iter().map(|level| weight * is_level(level)));
                    }
                    Encoded::Number(x) => {
                        let centred = x.unwrap_or(axes.fill) - axes.centre;
                        let scaled = if axes.spread > 0.0 { centred / axes.spread } else { 0.0 };
                        values.push(scaled * weight);
                    }
                }
                if axes.indicator {
                    values.push(weight * f64::from(missing));
                }
            }
            has_point.push(true);
        }
        Ok((values, has_point))
    }
}

/// A value of one customer before scaling.
enum Encoded<'a> {
    Level(Option<&'a str>),
    Number(Option<f64>),
}

impl<'a> Encoded<'a> {
    fn new(encoding: &Encoding, raw: &'a Raw, row: usize) -> Self {
        match (encoding, raw) {
            (Encoding::Ordinal { order, .. }, Raw::Texts(texts)) => {
                let text = texts[row].as_ref();
                let rank = text.and_then(|text| order.iter().position(|known| known == text));
                Self::Number(rank.map(|rank| rank as f64))
            }
            (_, Raw::Texts(texts)) => Self::Level(texts[row].as_deref()),
            (Encoding::Number { log1p: true, .. }, Raw::Numbers(numbers)) => {
                Self::Number(numbers[row].map(signed_log1p))
            }
            (_, Raw::Numbers(numbers)) => Self::Number(numbers[row]),
        }
    }

    fn number(self) -> Option<f64> {
        if let Self::Number(number) = self { number } else { None }
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Level(None) | Self::Number(None))
    }
}

impl Axes {
    /// Fits to `n` customers. The error is a customer without a value, or `None` if all have none.
    fn fit(feature: &FeatureParams, raw: &Raw, n: usize) -> Result<Self, Option<usize>> {
        let encoded = |row: usize| Encoded::new(&feature.encoding, raw, row);
        if feature.missing == Missing::Fail
            && let Some(row) = (0..n).find(|row| encoded(*row).is_missing())
        {
            return Err(Some(row));
        }
        let unscaled = Self { column: feature.column.clone(), spread: 1.0, ..Self::default() };
        let scale = match (&feature.encoding, raw) {
            (Encoding::OneHot, Raw::Texts(texts)) => {
                let levels: BTreeSet<&String> = texts.iter().flatten().collect();
                return Ok(Self { levels: levels.into_iter().cloned().collect(), ..unscaled });
            }
            (Encoding::OneHot, Raw::Numbers(_)) => Scaling::None,
            (Encoding::Number { scale, .. } | Encoding::Ordinal { scale, .. }, _) => *scale,
        };
        let mut values: Vec<f64> = (0..n).filter_map(|row| encoded(row).number()).collect();
        // Sorted before the mean too: sums of floats depend on their order.
        values.par_sort_unstable_by(f64::total_cmp);
        let fill = type_7(&values, 1, 2).ok_or(None)?;
        let n_missing = n - values.len();
        let indicator = n_missing > 0 && feature.missing == Missing::Median;
        if indicator {
            // Imputed customers count as they will be projected.
            values.extend(repeat_n(fill, n_missing));
        }
        let (mean, deviation) = centre_and_spread(Scaling::Standard, &mut values).ok_or(None)?;
        let (centre, spread) = centre_and_spread(scale, &mut values).ok_or(None)?;
        let is_constant = scale != Scaling::None
            && scale != Scaling::Percentile
            && is_rounding_error(deviation, mean, values.len());
        // The quartiles of other features may be equal.
        let spread = match spread {
            _ if is_constant => 0.0,
            spread if spread > 0.0 => spread,
            _ => 1.0,
        };
        Ok(Self { centre, spread, fill, indicator, ..unscaled })
    }

    fn width(&self, feature: &FeatureParams) -> usize {
        let is_one_hot = feature.encoding == Encoding::OneHot;
        usize::from(self.indicator) + if is_one_hot { self.levels.len() } else { 1 }
    }
}

/// Whether the spread of n values is within the rounding error of their mean: the rule of
/// scikit-learn's `StandardScaler`.
fn is_rounding_error(spread: f64, centre: f64, n: usize) -> bool {
    let n = n as f64;
    spread.powi(2) <= n * f64::EPSILON * spread.powi(2) + (n * centre * f64::EPSILON).powi(2)
}

/// Parameters of a scaling. Reorders the values. `None` without values.
fn centre_and_spread(scale: Scaling, values: &mut [f64]) -> Option<(f64, f64)> {
    // Sums of floats depend on their order, which is part of the published numbers.
    if scale != Scaling::Standard {
        values.par_sort_unstable_by(f64::total_cmp);
    }
    let quartile = |i: usize| type_7(values, i, 4);
    Some(match scale {
        Scaling::Percentile | Scaling::None => (0.0, 1.0),
        Scaling::Standard => {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            (mean, (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
        }
        Scaling::Robust => (quartile(2)?, quartile(3)? - quartile(1)?),
        Scaling::Minmax => (quartile(0)?, quartile(4)? - quartile(0)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(scale: Scaling, missing: Missing) -> FeatureParams {
        let encoding = Encoding::Number { log1p: false, scale };
        FeatureParams { column: "x".into(), encoding, weight: 2.0, missing }
    }

    fn numbers(values: &[Option<f64>]) -> Customers {
        let ids = (0..values.len()).map(|i| i.to_string()).collect();
        Customers { ids, raw: vec![Raw::Numbers(values.to_vec())] }
    }

    fn texts(values: [Option<&str>; 3]) -> Customers {
        let texts = values.iter().map(|text| text.map(str::to_owned)).collect();
        Customers { ids: ["0", "1", "2"].into_iter().collect(), raw: vec![Raw::Texts(texts)] }
    }

    fn points(
        feature: FeatureParams,
        train: &Customers,
        queries: &Customers,
    ) -> Vec<Option<Vec<f64>>> {
        let projection = Space::fit("m", &[feature], train).unwrap().project(queries).unwrap();
        projection.for_customers(projection.points.iter().map(<[f64]>::to_vec)).collect()
    }

    #[test]
    fn scales_are_fitted_to_the_training_customers() {
        let train = numbers(&[Some(1.0), Some(3.0), Some(8.0)]);
        let scaled = |train: &Customers, scale, x: f64| {
            let points = points(numeric(scale, Missing::Fail), train, &numbers(&[Some(x)]));
            points[0].clone().unwrap()[0]
        };
        // Mean 4, variance (9 + 1 + 16) / 3. Median 3, quartiles 2 and 5.5. Range 1 to 8. Weight 2.
        let cases = [
            (Scaling::Standard, 8.0, 2.0 * 4.0 / (26.0f64 / 3.0).sqrt()),
            (Scaling::Robust, 10.0, 2.0 * 7.0 / 3.5),
            (Scaling::Minmax, 15.0, 2.0 * 2.0),
            (Scaling::None, 5.0, 10.0),
        ];
        for (scale, x, expected) in cases {
            assert!((scaled(&train, scale, x) - expected).abs() < 1e-15, "{scale:?}");
        }
        // A feature that is constant but for rounding errors contributes nothing. The quartiles of
        // another may be equal: it is centred.
        let constant = numbers(&[Some(0.3), Some(0.1 + 0.2), Some(0.3)]);
        for scale in [Scaling::Standard, Scaling::Robust, Scaling::Minmax] {
            assert_eq!(scaled(&constant, scale, 6.0), 0.0, "{scale:?}");
        }
        let mostly_equal = numbers(&[5.0, 5.0, 5.0, 5.0, 9.0].map(Some));
        assert_eq!(scaled(&mostly_equal, Scaling::Robust, 6.0), 2.0);
    }

    #[test]
    fn missing_values_are_imputed_dropped_or_rejected() {
        let train = numbers(&[Some(1.0), None, Some(3.0), Some(8.0)]);
        let queries = numbers(&[None, Some(4.0)]);
        let median = points(numeric(Scaling::None, Missing::Median), &train, &queries);
        assert_eq!(median, [Some(vec![6.0, 2.0]), Some(vec![8.0, 0.0])]);
        let dropped = points(numeric(Scaling::None, Missing::Drop), &train, &queries);
        assert_eq!(dropped, [None, Some(vec![8.0])]);
        let error = Space::fit("m", &[numeric(Scaling::None, Missing::Fail)], &train).unwrap_err();
        let message = "models.m: feature `x`: customer `1` has no usable value; ";
        assert!(error.to_string().starts_with(message), "{error}");
    }

    #[test]
    fn text_is_encoded_one_hot_or_ordinal() {
        let encoded = |encoding: Encoding| {
            let train = texts([Some("b"), Some("a"), None]);
            let median = numeric(Scaling::None, Missing::Median);
            let feature = FeatureParams { encoding, weight: 1.0, ..median };
            points(feature, &train, &texts([Some("b"), Some("new"), None]))
        };
        let one_hot = encoded(Encoding::OneHot);
        assert_eq!(one_hot, [Some(vec![0.0, 1.0]), Some(vec![0.0, 0.0]), Some(vec![0.0, 0.0])]);
        let order = ["a", "c", "b"].map(str::to_owned).to_vec();
        // The training ranks 2 and 0 have the median 1. One training customer has no value.
        let ordinal = encoded(Encoding::Ordinal { order, scale: Scaling::None });
        assert_eq!(ordinal, [Some(vec![2.0, 0.0]), Some(vec![1.0, 1.0]), Some(vec![1.0, 1.0])]);
    }
}
