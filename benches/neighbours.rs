//! KNN of 20,000 simulated customers among 20,000 others, with three and eight features, and a
//! K-Means sweep.
//!
//! If `$CUSTSEG_BENCH` names a folder, points and results are written there for
//! `benches/compare.py`, which compares them with scikit-learn.

#![expect(clippy::expect_used, reason = "a panic fails the bench")]

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use custseg::config::{self, Request};
use custseg::model::knn::Knn;
use custseg::model::point_matrix::PointMatrix;
use custseg::model::{
    Balance, Encoding, FeatureParams, KmeansParams, Metric, Missing, Scaling, Voting, Weights,
    kmeans,
};
use custseg::progress::Silent;
use custseg::session::{self, Outcome, RunOptions};
use custseg::simulate::{Shape, Simulation, write};
use polars::prelude::*;
use rayon::prelude::*;

const CUSTOMERS: usize = 20_000;
const K: usize = 15;
const FEATURES: [&str; 8] = [
    "recency_days",
    "frequency",
    "monetary",
    "tenure_days",
    "mean_gap_days",
    "gap_days_std",
    "average_order_value",
    "n_products",
];

/// Segmented customers of a simulated shop, in the order of their ids.
fn customers(folder: &Path) -> DataFrame {
    let lines = folder.join("customers.parquet");
    let simulation =
        Simulation { customers: 60_000, lines: 4_000_000, seed: 1, shape: Shape::OnlineRetail };
    write::write(&simulation, &lines).expect("simulated lines");
    let set = [
        format!("ingest.transactions.paths=[{}]", lines.display()),
        format!("rfm.features=[{}]", FEATURES[3..].join(", ")),
        format!("publish.to={}", folder.join("out").display()),
        "models={}".to_owned(),
    ];
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let pipeline = Some(root.join("pipelines/online_retail.yaml"));
    let p = config::load(&Request { pipeline, set: set.into(), ..Request::default() })
        .expect("a valid pipeline");
    match session::run(&p, RunOptions::default(), Arc::new(Silent)).expect("a run") {
        Outcome::Published { tables, .. } => tables.segments,
        Outcome::UpToDate(_) => unreachable!("the run is not incremental"),
    }
}

/// Standardised features. Values other than days are log-transformed; nulls become zero.
fn points(customers: &DataFrame, rows: Range<usize>, width: usize) -> PointMatrix {
    let axis = |name: &&str| -> Vec<f64> {
        let column =
            customers.column(name).expect("a feature").cast(&DataType::Float64).expect("numbers");
        let values = column.f64().expect("floats").iter().map(|value| value.unwrap_or(0.0));
        let values: Vec<f64> = values
            .map(|value| if name.ends_with("_days") { value } else { value.max(0.0).ln_1p() })
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviation =
            (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        values.into_iter().map(|value| (value - mean) / deviation).collect()
    };
    let axes: Vec<Vec<f64>> = FEATURES[..width].iter().map(axis).collect();
    let len = rows.len();
    PointMatrix::new(
        width,
        len,
        rows.flat_map(|row| axes.iter().map(move |axis| axis[row])).collect(),
    )
}

/// Writes a CSV row a point: its coordinates and its code.
fn write_points(path: &Path, points: &PointMatrix, codes: &[usize]) {
    let mut text = String::new();
    for (point, code) in points.iter().zip(codes) {
        point.iter().for_each(|x| write!(text, "{x:e},").expect("text"));
        writeln!(text, "{code}").expect("text");
    }
    fs::write(path, text).expect("a file");
}

fn neighbours(c: &mut Criterion) {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let results = std::env::var_os("CUSTSEG_BENCH").map(PathBuf::from);
    let folder = results.as_deref().unwrap_or(temp.path());
    let customers = customers(folder);
    assert!(customers.height() >= 2 * CUSTOMERS, "{} customers", customers.height());
    let segments = customers.column("segment").expect("segments").str().expect("text");
    let names: Vec<&str> = segments.iter().flatten().collect();
    let mut classes = names.clone();
    classes.sort_unstable();
    classes.dedup();
    let labels: Vec<usize> =
        names.iter().map(|name| classes.binary_search(name).expect("a class")).collect();
    let mut group = c.benchmark_group("neighbours");
    group.sample_size(10);
    for width in [3, 8] {
        let [train, queries] =
            [0..CUSTOMERS, CUSTOMERS..2 * CUSTOMERS].map(|rows| points(&customers, rows, width));
        let voting =
            Voting { weights: Weights::Uniform, metric: Metric::Euclidean, balance: Balance::None };
        let knn =
            Knn::fit(voting, K, &train, &labels[..CUSTOMERS], classes.len()).expect("a model");
        let classify = || {
            let rows = (0..queries.len()).into_par_iter().map(|row| (queries.row(row), 0..0));
            knn.predict(rows, K, |vote, _| vote.label)
        };
        group.bench_function(format!("knn_{width}"), |b| b.iter(classify));
        let labels_found = classify();
        write_points(&folder.join(format!("train_{width}.csv")), &train, &labels[..CUSTOMERS]);
        write_points(&folder.join(format!("queries_{width}.csv")), &queries, &labels_found);
    }
    let feature = |name: &&str| FeatureParams {
        column: (*name).to_owned(),
        encoding: Encoding::Number { log1p: !name.ends_with("_days"), scale: Scaling::Standard },
        weight: 1.0,
        missing: Missing::Median,
    };
    let params = KmeansParams {
        name: "groups".to_owned(),
        features: FEATURES[..3].iter().map(feature).collect(),
        clusters: [2, 8],
        chosen: None,
        restarts: 10,
        seed: 1,
    };
    let subset = customers.head(Some(CUSTOMERS));
    group.bench_function("kmeans_sweep", |b| {
        b.iter(|| kmeans::cluster(&params, &subset).expect("clusters"))
    });
    let clustered = kmeans::cluster(&params, &subset).expect("clusters");
    let wcss: String =
        clustered.candidates.iter().map(|run| format!("{},{:e}\n", run.k, run.wcss)).collect();
    fs::write(folder.join("wcss.csv"), wcss).expect("a file");
    write_points(&folder.join("kmeans.csv"), &clustered.projection.points, &vec![0; CUSTOMERS]);
    group.finish();
}

criterion_group!(benches, neighbours);
criterion_main!(benches);
