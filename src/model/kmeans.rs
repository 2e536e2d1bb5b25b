//! K-Means: the best of several starts for each number of clusters, which number to use, and names
//! for the clusters.

use polars::prelude::*;
use rayon::prelude::*;

use super::features::{Customers, Encoding, FeatureParams, signed_log1p};
use super::lloyd::{Clustering, best_start, nearest, squared};
use super::output::{ModelOutput, add_output_columns};
use super::percentiles::Distributions;
use super::point_matrix::Projection;
use super::space::Space;
use super::{Labels, ModelError};
use crate::columns::{FREQUENCY, MONETARY, RECENCY_DAYS};

/// A cluster above this share of the customers is reported: the clustering separates almost none,
/// however good its silhouette.
pub(super) const DOMINANT_SHARE: f64 = 0.95;

#[derive(Debug, Clone, PartialEq)]
pub struct KmeansParams {
    /// Prefix of the output columns.
    pub name: String,
    /// At least one.
    pub features: Vec<FeatureParams>,
    /// Lowest and highest candidate for k, at least 1.
    pub clusters: [usize; 2],
    /// The k to use, one of the candidates; by default the knee of the sums of squares.
    pub chosen: Option<usize>,
    /// Number of starts, at least 1.
    pub restarts: u32,
    pub seed: u64,
}

/// Clustering of a snapshot for every candidate k.
#[derive(Debug, Clone)]
pub struct Clustered {
    pub model: ClusterModel,
    pub projection: Projection,
    /// One clustering a candidate, by ascending k, over the points of the projection.
    pub candidates: Vec<Clustering>,
    pub chosen: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ClusterModel {
    pub params: KmeansParams,
    pub space: Space,
    /// The snapshot that customers are compared with.
    pub distributions: Distributions,
    pub centroids: Vec<Vec<f64>>,
    /// Cluster names, in the order of the centroids.
    pub names: Vec<String>,
}

/// Fails on fewer distinct customers than clusters, and on a missing value of a required feature.
pub fn cluster(params: &KmeansParams, newest: &DataFrame) -> Result<Clustered, ModelError> {
    let distributions = Distributions::of(&params.features, newest)?;
    let customers = Customers::read(&params.features, newest, &distributions)?;
    let space = Space::fit(&params.name, &params.features, &customers)?;
    let projection = space.project(&customers)?;
    let points = &projection.points;
    let n_distinct = points.distinct().count();
    let [lowest, highest] = params.clusters;
    let required = params.chosen.unwrap_or(lowest);
    if n_distinct < required {
        let model = params.name.clone();
        return Err(ModelError::TooManyClusters { model, k: required, customers: n_distinct });
    }
    let candidates = (lowest..=highest.min(n_distinct)).into_par_iter().map(|k| {
        let best = best_start(points, k, params.restarts, params.seed);
        best.ok_or_else(|| ModelError::NoClustering {
            model: params.name.clone(),
            k,
            starts: params.restarts,
        })
    });
    let candidates: Vec<Clustering> = candidates.collect::<Result<_, _>>()?;
    let chosen = params.chosen.map_or_else(|| knee(&candidates), |k| k - lowest);
    let names = cluster_names(params, &candidates[chosen], newest, &projection)?;
    let centroids = candidates[chosen].centroids.clone();
    let model = ClusterModel { params: params.clone(), space, distributions, centroids, names };
    Ok(Clustered { model, projection, candidates, chosen })
}

/// Index of the k whose sum of squares is farthest below the line from the first to the last k
/// (Satopää et al. 2011). Ties go to the lowest k.
fn knee(candidates: &[Clustering]) -> usize {
    let (Some(first), Some(last)) = (candidates.first(), candidates.last()) else { return 0 };
    let width = (last.k - first.k) as f64;
    let height = first.wcss - last.wcss;
    if width == 0.0 || height <= 0.0 {
        return 0;
    }
    let depth =
        |c: &Clustering| 1.0 - (c.k - first.k) as f64 / width - (c.wcss - last.wcss) / height;
    let depths = candidates.iter().map(depth).enumerate().rev();
    depths.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(idx, _)| idx)
}

/// Names such as "1 high spend, frequent". Numbers rank the clusters by mean monetary value,
/// highest first. Words name what sets a cluster apart: the measures and features whose mean
/// differs by at least half a standard deviation, the largest difference first, of logarithms.
fn cluster_names(
    params: &KmeansParams,
    clustering: &Clustering,
    newest: &DataFrame,
    projection: &Projection,
) -> PolarsResult<Vec<String>> {
    const NOTABLE: f64 = 0.5;
    const WORDS: usize = 3;
    let is_number = |feature: &&FeatureParams| matches!(feature.encoding, Encoding::Number { .. });
    let features = params.features.iter().filter(is_number).map(|feature| feature.column.as_str());
    let measures = [RECENCY_DAYS, FREQUENCY, MONETARY];
    let mut columns: Vec<&str> = measures.to_vec();
    columns.extend(features.filter(|name| !measures.contains(name)));
    let mut monetary = vec![0.0; clustering.k];
    let mut differences: Vec<Vec<(&str, f64)>> = vec![Vec::new(); clustering.k];
    for name in columns {
        let column = newest.column(name)?.cast(&DataType::Float64)?;
        let values: Vec<Option<f64>> = projection.with_point(column.f64()?.iter()).collect();
        if name == MONETARY {
            monetary = means(values.iter().copied(), clustering);
        }
        let logarithms = || values.iter().map(|value| value.map(signed_log1p));
        let known: Vec<f64> = logarithms().flatten().collect();
        let n = known.len() as f64;
        let mean = known.iter().sum::<f64>() / n;
        let deviation = (known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        for (code, of_cluster) in means(logarithms(), clustering).into_iter().enumerate() {
            let difference = (of_cluster - mean) / deviation;
            if difference.abs() >= NOTABLE {
                differences[code].push((name, difference));
            }
        }
    }
    let mut order: Vec<usize> = (0..clustering.k).collect();
    order.sort_by(|&a, &b| monetary[b].total_cmp(&monetary[a]).then(a.cmp(&b)));
    let mut names = vec![String::new(); clustering.k];
    for (rank, code) in order.into_iter().enumerate() {
        let notable = &mut differences[code];
        // Stable: equal differences stay in the order of the columns.
        notable.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let words: Vec<String> =
            notable.iter().take(WORDS).map(|(name, difference)| word(name, *difference)).collect();
        let words = if words.is_empty() { "average".to_owned() } else { words.join(", ") };
        names[code] = format!("{} {words}", rank + 1);
    }
    Ok(names)
}

fn word(column: &str, difference: f64) -> String {
    let is_high = difference > 0.0;
    match (column, is_high) {
        (RECENCY_DAYS, true) => "lapsed".to_owned(),
        (RECENCY_DAYS, false) => "recent".to_owned(),
        (FREQUENCY, true) => "frequent".to_owned(),
        (FREQUENCY, false) => "rare".to_owned(),
        (MONETARY, true) => "high spend".to_owned(),
        (MONETARY, false) => "low spend".to_owned(),
        (other, true) => format!("high {other}"),
        (other, false) => format!("low {other}"),
    }
}

/// Mean of the known values of each cluster. NaN without one.
fn means(values: impl Iterator<Item = Option<f64>>, clustering: &Clustering) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); clustering.k];
    for (value, &code) in values.zip(&clustering.codes) {
        if let Some(value) = value {
            sums[code].0 += value;
            sums[code].1 += 1.0;
        }
    }
    sums.into_iter().map(|(sum, n)| sum / n).collect()
}

impl Clustered {
    pub fn chosen_clustering(&self) -> &Clustering {
        &self.candidates[self.chosen]
    }

    /// Cluster name of every customer. Customers without a point have none.
    pub(crate) fn labels(&self) -> Labels {
        let codes = self.chosen_clustering().codes.iter();
        let names = codes.map(|code| self.model.names[*code].as_str());
        self.projection.for_customers(names).collect()
    }
}

impl ClusterModel {
    pub(crate) fn with_distributions(self, distributions: &Distributions) -> Self {
        Self { distributions: distributions.clone(), ..self }
    }

    /// Adds the clustering's columns to `frame`, whose last rows are `customers`: null in the rows
    /// before them.
    ///
    /// Novelty is the distance to the centroid. Margin is the extra distance of the next centroid
    /// relative to its distance, or 1 without a next. Confidence is null.
    pub fn add_columns(
        &self,
        frame: &mut DataFrame,
        customers: &DataFrame,
    ) -> Result<(), ModelError> {
        let features = &self.params.features;
        let customers = Customers::read(features, customers, &self.distributions)?;
        let projection = self.space.project(&customers)?;
        let outputs = projection.points.iter().map(|point| self.output(point));
        let outputs: Vec<_> = projection.for_customers(outputs).collect();
        Ok(add_output_columns(frame, &self.params.name, &outputs)?)
    }

    fn output(&self, point: &[f64]) -> ModelOutput<'_> {
        let code = nearest(&self.centroids, point);
        let distance = |centroid: &Vec<f64>| squared(point, centroid).sqrt();
        let novelty = distance(&self.centroids[code]);
        let others = self.centroids.iter().enumerate().filter(|(other, _)| *other != code);
        let next = others.map(|(_, centroid)| distance(centroid)).min_by(f64::total_cmp);
        let margin = match next {
            Some(next) if next > 0.0 => (next - novelty) / next,
            _ => 1.0,
        };
        let label = Some(self.names[code].as_str());
        ModelOutput { label, confidence: None, margin, novelty, probability: None }
    }
}
