//! Cohesion: how close the customers of a segment lie to each other, in a named feature space.
//!
//! Rule segments are boxes, not clouds: a low or negative silhouette says that boxes touch, not that a map is bad.

use polars::prelude::*;
use rayon::prelude::*;

use crate::columns::*;
use crate::model::features::signed_log1p;
use crate::model::scale::Standardiser;
use crate::rfm::by_snapshot;

/// The feature space, in words.
const LOG_SPACE: &str = "recency_days, frequency, monetary; log1p, standardised";

/// Above this many distinct points the exact silhouette, whose cost is quadratic, is left null.
const EXACT_LIMIT: usize = 50_000;

/// One row a (snapshot, segment), and one for the whole with a null segment.
///
/// Columns: `snapshot` date, `grouping` text (`segment`), `space` text, `segment` text (null for the whole),
/// `customers` u32, `silhouette` f64 (mean over the row's customers; 0 for a customer alone in its segment; null where
/// there is one segment only or there are more than 50,000 distinct customers), `wcss` f64.
///
/// # Errors
/// What Polars says.
pub fn cohesion(segments: &DataFrame) -> PolarsResult<DataFrame> {
    let (mut snapshots, mut names, mut customers) = (Vec::new(), Vec::new(), Vec::<u32>::new());
    let (mut silhouettes, mut sums) = (Vec::new(), Vec::new());
    for (snapshot, frame) in by_snapshot(segments)? {
        let (clouds, labels) = clouds(&frame)?;
        let widths = silhouette_sums(&clouds);
        let total: f64 = widths.iter().flatten().sum();
        let n: usize = clouds.iter().map(Cloud::len).sum();
        let wcss: Vec<f64> = clouds.iter().map(Cloud::wcss).collect();
        let mean = |sum: f64, n: usize| widths.is_some().then(|| sum / n as f64);
        snapshots.extend(std::iter::repeat_n(snapshot, clouds.len() + 1));
        names.push(None);
        customers.push(n as u32);
        silhouettes.push(mean(total, n));
        sums.push(wcss.iter().sum());
        for (idx, (cloud, label)) in clouds.iter().zip(labels).enumerate() {
            names.push(Some(label));
            customers.push(cloud.len() as u32);
            silhouettes.push(mean(widths.as_ref().map_or(0.0, |w| w[idx]), cloud.len()));
            sums.push(wcss[idx]);
        }
    }
    let height = names.len();
    df![
        SNAPSHOT => snapshots,
        GROUPING => vec![SEGMENT; height],
        SPACE => vec![LOG_SPACE; height],
        SEGMENT => names,
        CUSTOMERS => customers,
        SILHOUETTE => silhouettes,
        WCSS => sums,
    ]
}

/// The distinct points of one segment with the customers that stand on each, column by column, so that the inner loop
/// over points runs in vector registers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cloud {
    axes: [Vec<f64>; 3],
    weight: Vec<f64>,
}

impl Cloud {
    /// A cloud of points, equal ones merged.
    pub fn of(mut points: Vec<[f64; 3]>) -> Self {
        points.sort_by(|a, b| {
            a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
        let mut cloud = Self::default();
        let mut last: Option<[f64; 3]> = None;
        for point in points {
            match (last == Some(point), cloud.weight.last_mut()) {
                (true, Some(weight)) => *weight += 1.0,
                _ => {
                    cloud.weight.push(1.0);
                    for (axis, x) in cloud.axes.iter_mut().zip(point) {
                        axis.push(x);
                    }
                }
            }
            last = Some(point);
        }
        cloud
    }

    /// Customers in the cloud.
    pub fn len(&self) -> usize {
        self.weight.iter().sum::<f64>() as usize
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.weight.is_empty()
    }

    fn point(&self, idx: usize) -> [f64; 3] {
        [0, 1, 2].map(|axis| self.axes[axis][idx])
    }

    /// Sum of the distances from a point to every customer of the cloud.
    fn distance_sum(&self, point: [f64; 3]) -> f64 {
        // Sixteen running sums let the compiler keep several square roots in flight; their order is fixed, so the
        // result is the same on every machine and for any number of threads.
        const LANES: usize = 16;
        let [xs, ys, zs] = &self.axes;
        let mut lanes = [0.0f64; LANES];
        let blocks = self.weight.len() / LANES * LANES;
        let chunks = xs[..blocks].chunks_exact(LANES).zip(ys[..blocks].chunks_exact(LANES));
        let rest = zs[..blocks].chunks_exact(LANES).zip(self.weight[..blocks].chunks_exact(LANES));
        for ((x, y), (z, weight)) in chunks.zip(rest) {
            for lane in 0..LANES {
                let (dx, dy, dz) = (x[lane] - point[0], y[lane] - point[1], z[lane] - point[2]);
                lanes[lane] += weight[lane] * (dx * dx + dy * dy + dz * dz).sqrt();
            }
        }
        let mut sum: f64 = lanes.iter().sum();
        for idx in blocks..self.weight.len() {
            let (dx, dy, dz) = (xs[idx] - point[0], ys[idx] - point[1], zs[idx] - point[2]);
            sum += self.weight[idx] * (dx * dx + dy * dy + dz * dz).sqrt();
        }
        sum
    }

    /// Sum of squared distances to the centroid.
    pub fn wcss(&self) -> f64 {
        let n: f64 = self.weight.iter().sum();
        let weighed = |axis: &[f64], of: &dyn Fn(f64) -> f64| -> f64 {
            axis.iter().zip(&self.weight).map(|(x, w)| of(*x) * w).sum()
        };
        self.axes
            .iter()
            .map(|axis| {
                let centre = weighed(axis, &|x| x) / n;
                weighed(axis, &|x| (x - centre).powi(2))
            })
            .sum()
    }
}

/// Sum of the silhouettes of each cloud's customers; `None` where they are not defined or too many to compare.
///
/// The silhouette of a customer is (b − a)/max(a, b), with a the mean distance to the others of its cloud and b the
/// smallest mean distance to another cloud; 0 for a customer alone in its cloud (Rousseeuw 1987).
pub fn silhouette_sums(clouds: &[Cloud]) -> Option<Vec<f64>> {
    let points: usize = clouds.iter().map(|cloud| cloud.weight.len()).sum();
    if clouds.len() < 2 || points > EXACT_LIMIT {
        return None;
    }
    let one = |own: usize, idx: usize| -> f64 {
        let point = clouds[own].point(idx);
        let size = clouds[own].len() as f64;
        if size <= 1.0 {
            return 0.0;
        }
        let a = clouds[own].distance_sum(point) / (size - 1.0);
        let others = clouds.iter().enumerate().filter(|(other, _)| *other != own);
        let b = others.map(|(_, cloud)| cloud.distance_sum(point) / cloud.len() as f64).fold(f64::INFINITY, f64::min);
        let widest = a.max(b);
        if widest > 0.0 { (b - a) / widest } else { 0.0 }
    };
    let sum = |own: usize| -> f64 {
        let widths: Vec<f64> = (0..clouds[own].weight.len()).into_par_iter().map(|idx| one(own, idx)).collect();
        widths.iter().zip(&clouds[own].weight).map(|(width, weight)| width * weight).sum()
    };
    Some((0..clouds.len()).map(sum).collect())
}

/// The customers of one snapshot as clouds in the log space, one a segment, ascending by name.
fn clouds(frame: &DataFrame) -> PolarsResult<(Vec<Cloud>, Vec<String>)> {
    let mut points = vec![[0.0; 3]; frame.height()];
    for (axis, name) in [RECENCY_DAYS, FREQUENCY, MONETARY].into_iter().enumerate() {
        let values = frame.column(name)?.cast(&DataType::Float64)?;
        for (point, value) in points.iter_mut().zip(values.f64()?.iter()) {
            point[axis] = signed_log1p(value.unwrap_or_default());
        }
    }
    let scale = Standardiser::fit(points.iter().map(<[f64; 3]>::as_slice));
    let segments = frame.column(SEGMENT)?.str()?.clone();
    let mut names: Vec<&str> = segments.iter().flatten().collect();
    names.sort_unstable();
    names.dedup();
    let mut members: Vec<Vec<[f64; 3]>> = vec![Vec::new(); names.len()];
    for (point, name) in points.iter().zip(segments.iter().flatten()) {
        let scaled = scale.apply(point);
        members[names.binary_search(&name).unwrap_or_default()].push([scaled[0], scaled[1], scaled[2]]);
    }
    Ok((members.into_iter().map(Cloud::of).collect(), names.into_iter().map(str::to_owned).collect()))
}
