//! The SQL for Spark, and the options that it does not support. `tests/spark` runs it on engines.

use std::fs;
use std::process::Command;

use insta::assert_snapshot;

use crate::harness::{Shop, custseg, fixtures, root};

/// The SQL of the fixture shop with these options, its folder replaced by `/shop`.
fn plan(set: &[&str]) -> String {
    let shop = Shop::fixture();
    let mut args = vec!["plan", "shop.yaml", "--engine", "spark", "--format", "sql"];
    args.extend(set.iter().flat_map(|set| ["--set", set]));
    let outcome = shop.custseg(&args);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let folder = shop.folder.path().canonicalize().unwrap();
    outcome.stdout.replace(folder.to_str().unwrap(), "/shop")
}

const FAIL: &str = "ingest.transactions.csv.on_bad_row=fail";

#[test]
fn sql_of_the_fixture_pipeline() {
    assert_snapshot!(plan(&[FAIL]));
}

#[test]
fn sql_of_a_pipeline_with_many_options() {
    assert_snapshot!(plan(&[
        FAIL,
        "ingest.transactions.csv.datetime_formats=['%Y-%m-%d %H:%M', '%F']",
        "clean=[{drop_missing: [customer_id, order_id]}, \
         {cancellations: {order_id_prefix: \"C'\", policy: separate}}, \
         {non_product_lines: {codes: [POST], pattern: '^(M|D)$'}}, \
         {date_range: {from: 2024-01-01, until: 2024-06-01}}]",
        "ingest.transactions.columns.product_id=product",
        "rfm.snapshots={every: 1mo, from: 2024-02-01}",
        "rfm.frequency=units",
        "rfm.monetary=mean_per_day",
        "rfm.window=90d",
        "rfm.min_history_days=7",
        "rfm.features=[tenure_days, mean_gap_days, average_order_value]",
        "rfm.ratios=[{of: monetary, recent: 30d, over: 60d}, \
         {of: frequency, recent: 30d, over: 60d}]",
        "score={bins: 5, recency: {method: fixed, cut_points: [7, 14, 30, 60]}, \
         frequency: {separate_zeros: true}, \
         weights: {recency: 0.2, frequency: 0.3, monetary: 0.5}}",
    ]));
}

/// Every unsupported option, reported by name.
#[test]
fn unsupported_options_are_reported_by_name() {
    let shop = Shop::fixture();
    let set = [
        "ingest.transactions.csv.encoding=latin1",
        "ingest.transactions.csv.decimal=','",
        "ingest.transactions.csv.datetime_formats=['%d %b %Y']",
        "ingest.transactions.columns.product_id=product",
        "ingest.transactions.columns.category=country",
        "clean=[{where: 'unit_price < 10'}, {cancellations: {order_id_prefix: C, policy: match}}, \
         {drop_duplicates: [order_id]}, \
         {non_product_lines: {pattern: '\\d+'}}, {cap_outliers: {quantile: 0.99}}]",
        "checks=[{unique: {columns: [order_id]}}]",
        "rfm.features=[gap_days_std, n_products]",
        "rfm.top_categories=2",
        "score.method=rank",
        "segment.why=true",
        "publish.rejects=mapped",
        "models={later: {target: {segment_in: 30d}, features: [recency_days], k: 1}, \
         groups: {features: [monetary], kmeans: {k: 2}}}",
        "evaluate={sensitivity: true, validity: {horizon: 30d}}",
    ];
    let args: Vec<&str> = ["plan", "shop.yaml"]
        .into_iter()
        .chain(set.iter().flat_map(|set| ["--set", *set]))
        .collect();
    let outcome = shop.custseg(&args);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert_snapshot!(outcome.stderr);
}

#[test]
fn unsupported_run_fails_before_connecting() {
    let shop = Shop::fixture();
    let outcome = shop.custseg(&["run", "shop.yaml", "--engine", "sc://nowhere.invalid"]);
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(!shop.path("out").exists());
    #[cfg(not(feature = "spark"))]
    assert_eq!(
        outcome.stderr,
        "error: this program was built without the feature `spark`: cargo install --path . --features spark\n"
    );
}

/// `--engine` overrides the engine of the pipeline.
#[test]
fn engine_option_overrides_the_pipeline() {
    let shop = Shop::fixture();
    let yaml = fs::read_to_string(shop.path("shop.yaml")).unwrap()
        + "engine: { spark: { remote: \"sc://nowhere.invalid\" } }\n";
    fs::write(shop.path("shop.yaml"), yaml).unwrap();
    shop.run(&["--engine", "local"]);
    assert_eq!(shop.custseg(&["run", "shop.yaml"]).code, 2);
    let outcome = shop.custseg(&["check", "shop.yaml"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("csv.on_bad_row: reject"), "{}", outcome.stderr);
    let outcome = shop.custseg(&["run", "shop.yaml", "--engine", "spark"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("--engine"), "{}", outcome.stderr);
}

#[test]
fn default_build_has_no_spark_client() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args([
        "tree",
        "--locked",
        "--offline",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let depends_on = |name: &str| tree.lines().any(|line| line.starts_with(&format!("{name} ")));
    assert!(depends_on("polars") && depends_on("smartcore"));
    assert!(!["apache-spark-connect", "tonic", "prost"].iter().any(|name| depends_on(name)));
}

#[test]
fn help_of_plan() {
    assert_snapshot!(custseg(&fixtures(), &["plan", "--help"]).stdout);
}
