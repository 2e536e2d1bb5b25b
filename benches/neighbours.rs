//! The neighbours of 20,000 customers among 20,000 others, on three features and on eight, and a sweep of K-Means.
//!
//! The customers are made up. Where `$CUSTSEG_BENCH` names a folder, points and answers are written there, for
//! `benches/compare.py` to hold scikit-learn's against them.

#![expect(clippy::expect_used, reason = "a bench that cannot go on has failed")]

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use custseg::config::{self, Request};
use custseg::ingest::Reading;
use custseg::model::knn::Knn;
use custseg::model::points::Points;
use custseg::model::{
    Balance, Encoding, FeatureParams, KmeansParams, Metric, Missing, Scaling, Voting, Weights,
    kmeans,
};
use custseg::pipeline;
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

/// Segmented customers of a made-up shop, in the order of their ids.
fn customers(folder: &Path) -> DataFrame {
    let lines = folder.join("customers.parquet");
    let simulation =
        Simulation { customers: 60_000, lines: 4_000_000, seed: 1, shape: Shape::OnlineRetail };
    write::write(&simulation, &lines).expect("made-up lines");
    let set = [
        format!("ingest.transactions.paths=[{}]", lines.display()),
        format!("rfm.features=[{}]", FEATURES[3..].join(", ")),
        "models={}".to_owned(),
    ];
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let pipeline = Some(root.join("pipelines/online_retail.yaml"));
    let p = config::load(&Request { pipeline, set: set.into(), ..Request::default() })
        .expect("a good pipeline");
    let lines = pipeline::mark(&p, Reading::Rows, None).expect("a plan");
    let book = pipeline::scan(&p, lines, None, None).expect("a scan");
    let dates = custseg::rfm::dates(&p.rfm, &book).expect("dates");
    let snapshots = pipeline::rfm(&p, &book, None, None, dates).expect("snapshots");
    let scored = pipeline::score(&p, snapshots, None).expect("scores");
    pipeline::segment(&p, scored).expect("segments").frame
}

/// Standardised columns; all but days as logarithms, and what is missing as zero.
fn points(customers: &DataFrame, rows: Range<usize>, width: usize) -> Points {
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
    Points::new(width, len, rows.flat_map(|row| axes.iter().map(move |axis| axis[row])).collect())
}

/// Writes points with a code each.
fn told(path: &Path, points: &Points, codes: &[usize]) {
    let mut text = String::new();
    for (point, code) in points.iter().zip(codes) {
        point.iter().for_each(|x| write!(text, "{x:e},").expect("text"));
        writeln!(text, "{code}").expect("text");
    }
    fs::write(path, text).expect("a file");
}

fn neighbours(c: &mut Criterion) {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let given = std::env::var_os("CUSTSEG_BENCH").map(PathBuf::from);
    let folder = given.as_deref().unwrap_or(scratch.path());
    let customers = customers(folder);
    assert!(customers.height() >= 2 * CUSTOMERS, "{} customers", customers.height());
    let segments = customers.column("segment").expect("segments").str().expect("text");
    let names: Vec<&str> = segments.iter().flatten().collect();
    let mut known = names.clone();
    known.sort_unstable();
    known.dedup();
    let labels: Vec<usize> =
        names.iter().map(|name| known.binary_search(name).unwrap_or(0)).collect();
    let mut group = c.benchmark_group("neighbours");
    group.sample_size(10);
    for width in [3, 8] {
        let [train, asked] =
            [0..CUSTOMERS, CUSTOMERS..2 * CUSTOMERS].map(|rows| points(&customers, rows, width));
        let voting =
            Voting { weights: Weights::Uniform, metric: Metric::Euclidean, balance: Balance::None };
        let knn = Knn::fit(voting, &train, &labels[..CUSTOMERS], known.len()).expect("a model");
        let answers = || {
            let queries = (0..asked.len()).into_par_iter().map(|place| (asked.at(place), None));
            knn.ask(queries, K, |vote, _| vote.label)
        };
        group.bench_function(format!("knn_{width}"), |b| b.iter(answers));
        let answers = answers();
        told(&folder.join(format!("train_{width}.csv")), &train, &labels[..CUSTOMERS]);
        told(&folder.join(format!("asked_{width}.csv")), &asked, &answers);
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
    let some = customers.head(Some(CUSTOMERS));
    group.bench_function("kmeans_sweep", |b| {
        b.iter(|| kmeans::cluster(&params, &some).expect("clusters"))
    });
    let clustered = kmeans::cluster(&params, &some).expect("clusters");
    let wcss: String =
        clustered.tried.iter().map(|one| format!("{},{:e}\n", one.k, one.wcss)).collect();
    fs::write(folder.join("wcss.csv"), wcss).expect("a file");
    told(&folder.join("kmeans.csv"), &clustered.standing.points, &vec![0; CUSTOMERS]);
    group.finish();
}

criterion_group!(benches, neighbours);
criterion_main!(benches);
