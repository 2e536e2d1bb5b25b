//! K-Means on smartcore, from many starts.
//!
//! smartcore's `KMeans` starts once and keeps its centroids to itself, but it is seeded and says which cluster each customer is
//! in; so it is started anew from one seed after another, centroids are the means of those who are in a cluster, and the start with
//! the least within-cluster sum of squares is kept. A start that leaves a cluster empty does not count.

use polars::prelude::*;
use rayon::prelude::*;
use smartcore::cluster::kmeans::{KMeans, KMeansParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

use super::features::{Customers, FeatureParams};
use super::points::{Points, Standing};
use super::space::{NoValue, Space};
use super::{Labels, ModelError};
use crate::columns::{self, FREQUENCY, MONETARY, RECENCY_DAYS};

/// Rounds after which a start is ended.
const MAX_ROUNDS: usize = 300;

/// Above this share of the customers one cluster tells nobody apart, however good its silhouette.
pub const TOO_LARGE: f64 = 0.95;

/// Checked options of a clustering.
#[derive(Debug, Clone, PartialEq)]
pub struct KmeansParams {
    /// Heads the clustering's output columns.
    pub name: String,
    /// What customers are compared by; at least one.
    pub features: Vec<FeatureParams>,
    /// The lowest and the highest number of clusters that are tried, at least 1.
    pub clusters: [usize; 2],
    /// The number that is taken; where none is named, the one at which the sum of squares bends most.
    pub chosen: Option<usize>,
    /// Number of starts, at least 1.
    pub restarts: u32,
    /// Seed of the first start.
    pub seed: u64,
}

/// Customers in so many clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Clustering {
    /// Number of clusters.
    pub k: usize,
    /// Sum of the squared distances of customers to the centroid of their cluster.
    pub wcss: f64,
    /// Cluster of each customer.
    pub codes: Vec<usize>,
    /// Centroids.
    pub centroids: Vec<Vec<f64>>,
}

/// What came of a clustering.
#[derive(Debug, Clone)]
pub struct Clustered {
    /// The clusters that are taken.
    pub places: Places,
    /// Where the customers stand; those who were dropped for want of a value do nowhere.
    pub standing: Standing,
    /// What each number of clusters gave, ascending, over the customers that stand somewhere.
    pub tried: Vec<Clustering>,
    /// Index of the number that is taken.
    pub chosen: usize,
}

/// Clusters, by their centroids.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    /// Options of the clustering.
    pub params: KmeansParams,
    /// The space that customers are compared in.
    pub space: Space,
    /// Centroids in it.
    pub centroids: Vec<Vec<f64>>,
    /// Names of the clusters, in the same order.
    pub names: Vec<String>,
}

/// Clusters the customers of a snapshot.
///
/// # Errors
/// Fewer customers than clusters, or one without a value that it has to have.
pub fn cluster(params: &KmeansParams, newest: &DataFrame) -> Result<Clustered, ModelError> {
    let customers = Customers::of(&params.features, newest)?;
    let space =
        Space::fit(&params.features, &customers).map_err(|error| no_value(params, error))?;
    let standing =
        space.stand(&params.features, &customers).map_err(|error| no_value(params, error))?;
    let points = &standing.points;
    let spots = points.distinct();
    let [from, to] = params.clusters;
    let most = params.chosen.unwrap_or(from);
    if spots.len() < most {
        return Err(ModelError::TooManyClusters {
            model: params.name.clone(),
            k: most,
            customers: spots.len(),
        });
    }
    let tried: Vec<Clustering> = (from..=to.min(spots.len()))
        .map(|k| best(params, points, k))
        .collect::<Result<Vec<_>, String>>()
        .map_err(|reason| ModelError::Smartcore { model: params.name.clone(), reason })?;
    let chosen = match params.chosen {
        Some(k) => tried.iter().position(|one| one.k == k).unwrap_or(0),
        None => knee(&tried),
    };
    let names = names(&tried[chosen], newest, &standing.placed)?;
    let places =
        Places { params: params.clone(), space, centroids: tried[chosen].centroids.clone(), names };
    Ok(Clustered { places, standing, tried, chosen })
}

fn no_value(params: &KmeansParams, error: NoValue) -> ModelError {
    ModelError::NoValue {
        model: params.name.clone(),
        feature: error.feature,
        customer: error.customer,
    }
}

/// The best of the starts.
fn best(params: &KmeansParams, points: &Points, k: usize) -> Result<Clustering, String> {
    if k == 1 {
        return Ok(of_codes(points, vec![0; points.len()], 1));
    }
    let matrix = DenseMatrix::new(points.len(), points.axes(), points.values().to_vec(), false);
    let matrix = matrix.map_err(|error| error.to_string())?;
    let start = |restart: u32| -> Result<Option<Clustering>, String> {
        let parameters = KMeansParameters {
            k,
            max_iter: MAX_ROUNDS,
            seed: Some(params.seed.wrapping_add(u64::from(restart))),
        };
        let fitted: KMeans<f64, i32, DenseMatrix<f64>, Vec<i32>> =
            KMeans::fit(&matrix, parameters).map_err(|error| error.to_string())?;
        let codes = fitted.predict(&matrix).map_err(|error| error.to_string())?;
        let codes: Vec<usize> =
            codes.into_iter().map(|code| usize::try_from(code).unwrap_or(0)).collect();
        Ok(settled(points, codes, k))
    };
    let found: Vec<Option<Clustering>> =
        (0..params.restarts).into_par_iter().map(start).collect::<Result<_, _>>()?;
    let best = found.into_iter().flatten().min_by(|a, b| a.wcss.total_cmp(&b.wcss));
    best.ok_or_else(|| {
        format!("none of {} starts found {k} clusters; raise `restarts`", params.restarts)
    })
}

/// Moves customers to the nearest centroid until none moves, and then one by one wherever the sum of squares gets less, as Hartigan
/// and Wong do it (1979); `None` where a cluster is left empty.
fn settled(points: &Points, mut codes: Vec<usize>, k: usize) -> Option<Clustering> {
    for _ in 0..MAX_ROUNDS {
        if !(0..k).all(|code| codes.contains(&code)) {
            return None;
        }
        let found = of_codes(points, codes, k);
        let nearest: Vec<usize> =
            points.iter().map(|point| nearest(&found.centroids, point)).collect();
        if nearest != found.codes {
            codes = nearest;
            continue;
        }
        match moved_one_by_one(points, &found) {
            Some(better) => codes = better,
            None => return Some(found),
        }
    }
    None
}

/// The clusters after one round in which every customer moves if that alone makes the sum of squares less; `None` where none does.
fn moved_one_by_one(points: &Points, found: &Clustering) -> Option<Vec<usize>> {
    // What is gained by less than this is rounding.
    const LEAST: f64 = 1e-9;
    let mut codes = found.codes.clone();
    let mut centroids = found.centroids.clone();
    let mut sizes = vec![0.0f64; found.k];
    codes.iter().for_each(|&code| sizes[code] += 1.0);
    let mut moved = false;
    for (point, code) in points.iter().zip(&mut codes) {
        let own = *code;
        if sizes[own] < 2.0 {
            continue;
        }
        let gain = sizes[own] / (sizes[own] - 1.0) * squared(point, &centroids[own]);
        let costs = (0..found.k).filter(|other| *other != own);
        let costs = costs.map(|other| {
            (other, sizes[other] / (sizes[other] + 1.0) * squared(point, &centroids[other]))
        });
        let Some((other, cost)) = costs.min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        if cost + LEAST * (1.0 + gain) >= gain {
            continue;
        }
        for (axis, x) in point.iter().enumerate() {
            centroids[own][axis] += (centroids[own][axis] - x) / (sizes[own] - 1.0);
            centroids[other][axis] += (x - centroids[other][axis]) / (sizes[other] + 1.0);
        }
        sizes[own] -= 1.0;
        sizes[other] += 1.0;
        (*code, moved) = (other, true);
    }
    moved.then_some(codes)
}

/// The centroid that is nearest to a point; the first among equals.
fn nearest(centroids: &[Vec<f64>], point: &[f64]) -> usize {
    let distances = centroids.iter().map(|centroid| squared(point, centroid)).enumerate();
    distances.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(code, _)| code)
}

fn of_codes(points: &Points, codes: Vec<usize>, k: usize) -> Clustering {
    let width = points.axes();
    let (mut centroids, mut sizes) = (vec![vec![0.0; width]; k], vec![0.0f64; k]);
    for (point, &code) in points.iter().zip(&codes) {
        sizes[code] += 1.0;
        centroids[code].iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
    }
    for (centroid, size) in centroids.iter_mut().zip(&sizes) {
        centroid.iter_mut().for_each(|sum| *sum /= size);
    }
    let wcss =
        points.iter().zip(&codes).map(|(point, &code)| squared(point, &centroids[code])).sum();
    Clustering { k, wcss, codes, centroids }
}

/// The squared Euclidean distance.
pub fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// Index of the number at which the sum of squares lies farthest below the line from the first to the last (Satopää et al. 2011).
fn knee(tried: &[Clustering]) -> usize {
    let (Some(first), Some(last)) = (tried.first(), tried.last()) else { return 0 };
    let (width, height) = ((last.k - first.k) as f64, first.wcss - last.wcss);
    if width == 0.0 || height <= 0.0 {
        return 0;
    }
    let below =
        |one: &Clustering| 1.0 - (one.k - first.k) as f64 / width - (one.wcss - last.wcss) / height;
    let deepest = tried
        .iter()
        .enumerate()
        .max_by(|(i, a), (j, b)| below(a).total_cmp(&below(b)).then(j.cmp(i)));
    deepest.map_or(0, |(idx, _)| idx)
}

/// "1 recent, frequent, high spend": clusters are numbered by their mean monetary value, highest first, and told by how their means of
/// recency, frequency and monetary value lie to the median customer.
fn names(
    clustering: &Clustering,
    newest: &DataFrame,
    placed: &[bool],
) -> PolarsResult<Vec<String>> {
    let mut means = vec![[0.0f64; 3]; clustering.k];
    let mut middles = [0.0f64; 3];
    for (axis, name) in [RECENCY_DAYS, FREQUENCY, MONETARY].into_iter().enumerate() {
        let column = newest.column(name)?.cast(&DataType::Float64)?;
        let values: Vec<f64> = column.f64()?.iter().map(Option::unwrap_or_default).collect();
        let values: Vec<f64> = values
            .into_iter()
            .zip(placed)
            .filter(|(_, placed)| **placed)
            .map(|(value, _)| value)
            .collect();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        middles[axis] = crate::rfm::quantile::type_7(&sorted, 1, 2).unwrap_or_default();
        let mut sizes = vec![0.0f64; clustering.k];
        for (value, &code) in values.iter().zip(&clustering.codes) {
            means[code][axis] += value;
            sizes[code] += 1.0;
        }
        means.iter_mut().zip(&sizes).for_each(|(mean, size)| mean[axis] /= size);
    }
    let mut order: Vec<usize> = (0..clustering.k).collect();
    order.sort_by(|&a, &b| means[b][2].total_cmp(&means[a][2]).then(a.cmp(&b)));
    let mut names = vec![String::new(); clustering.k];
    for (rank, code) in order.into_iter().enumerate() {
        let [r, f, m] = means[code];
        let recency = if r <= middles[0] { "recent" } else { "lapsed" };
        let frequency = if f > middles[1] { "frequent" } else { "rare" };
        let monetary = if m > middles[2] { "high spend" } else { "low spend" };
        names[code] = format!("{} {recency}, {frequency}, {monetary}", rank + 1);
    }
    Ok(names)
}

impl Clustered {
    /// The clustering that is taken.
    pub fn taken(&self) -> &Clustering {
        &self.tried[self.chosen]
    }

    /// The share of customers in the largest cluster.
    pub fn largest_share(&self) -> f64 {
        let taken = self.taken();
        let size = |code: usize| taken.codes.iter().filter(|other| **other == code).count();
        let largest = (0..taken.k).map(size).max().unwrap_or(0);
        largest as f64 / taken.codes.len().max(1) as f64
    }

    /// Name of the cluster of every customer; `None` for those who were dropped.
    pub fn labels(&self) -> Labels {
        self.places.labels(&self.standing)
    }
}

impl Places {
    /// Where the customers of a table stand.
    ///
    /// # Errors
    /// A customer without a value that it has to have.
    pub fn stand(&self, frame: &DataFrame) -> Result<Standing, ModelError> {
        let customers = Customers::of(&self.params.features, frame)?;
        self.space
            .stand(&self.params.features, &customers)
            .map_err(|error| no_value(&self.params, error))
    }

    fn labels(&self, standing: &Standing) -> Labels {
        let label = |point: &[f64]| self.names[nearest(&self.centroids, point)].as_str();
        standing.iter().map(|point| point.map(label)).collect()
    }

    /// Adds `<name>_label`, and as `<name>_novelty` the distance to the centroid; `<name>_margin` is how much farther the next centroid
    /// is, by its distance, 1 where there is no other. Null in the first `older` rows. `<name>_confidence` is null: nobody votes.
    ///
    /// # Errors
    /// What Polars says of columns of another length.
    pub fn add_columns(
        &self,
        frame: &mut DataFrame,
        standing: &Standing,
        older: usize,
    ) -> PolarsResult<()> {
        let measure = |point: &[f64]| {
            let mut distances: Vec<f64> =
                self.centroids.iter().map(|centroid| squared(point, centroid).sqrt()).collect();
            distances.sort_by(f64::total_cmp);
            let margin = match distances.as_slice() {
                [own, next, ..] if *next > 0.0 => (next - own) / next,
                _ => 1.0,
            };
            (distances.first().copied().unwrap_or_default(), margin)
        };
        let measured: Vec<Option<(f64, f64)>> = std::iter::repeat_n(None, older)
            .chain(standing.iter().map(|point| point.map(measure)))
            .collect();
        let labels = self.labels(standing);
        let labels: Vec<Option<&str>> =
            std::iter::repeat_n(None, older).chain(labels.iter()).collect();
        let (name, height) = (&self.params.name, labels.len());
        let number = |of: fn(&(f64, f64)) -> f64| {
            measured.iter().map(|one| one.as_ref().map(of)).collect::<Vec<_>>()
        };
        frame.with_column(Column::new(columns::label(name).into(), labels))?;
        frame.with_column(Column::full_null(
            columns::confidence(name).into(),
            height,
            &DataType::Float64,
        ))?;
        frame.with_column(Column::new(
            columns::margin(name).into(),
            number(|(_, margin)| *margin),
        ))?;
        frame.with_column(Column::new(
            columns::novelty(name).into(),
            number(|(distance, _)| *distance),
        ))?;
        Ok(())
    }
}
