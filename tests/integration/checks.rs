//! Checks on lines, each against the fixture shop (lines: see `harness`).

use std::fs;

use serde_json::Value;

use super::harness::Shop;

fn check_result(shop: &Shop, folder: &str) -> Value {
    let text = fs::read_to_string(shop.path(folder).join("checks.json")).unwrap();
    let results: Value = serde_json::from_str(&text).unwrap();
    results[0].clone()
}

/// The check, whether it passes, measured value, failing lines, the first of them.
type Case = (&'static str, bool, f64, Option<u64>, Option<&'static str>);

const CASES: [Case; 17] = [
    ("row_count: {min: 12, max: 12", true, 12.0, None, None),
    ("row_count: {max: 11", false, 12.0, None, None),
    ("row_count: {min: 5, of: accepted", true, 5.0, None, None),
    ("row_count: {min: 6, of: accepted", false, 5.0, None, None),
    ("missing_share: {column: customer_id, max_share: 0.1", true, 1.0 / 12.0, Some(1), None),
    (
        "missing_share: {column: customer_id, max_share: 0.08",
        false,
        1.0 / 12.0,
        Some(1),
        Some("shop.csv, row 7"),
    ),
    ("missing_share: {column: customer_id, max_share: 0, of: accepted", true, 0.0, Some(0), None),
    (
        "range: {column: unit_price, max: 20, of: accepted",
        false,
        0.2,
        Some(1),
        Some("shop.csv, row 11"),
    ),
    ("range: {column: unit_price, max: 20, max_share: 0.2, of: accepted", true, 0.2, Some(1), None),
    ("range: {column: quantity, min: 0", false, 1.0 / 12.0, Some(1), Some("shop.csv, row 3")),
    ("range: {column: price, min: 0, max: 25.25", true, 0.0, Some(0), None),
    (
        "accepted_values: {column: country, values: [UK]",
        false,
        0.25,
        Some(3),
        Some("shop.csv, row 4"),
    ),
    ("accepted_values: {column: country, values: [UK, FR]", true, 0.0, Some(0), None),
    ("unique: {columns: [order_id, product]", false, 1.0, Some(1), Some("shop.csv, row 12")),
    ("unique: {columns: [order_id, product], of: accepted", true, 0.0, Some(0), None),
    (
        "referential: {column: product, paths: [products.csv], key: sku",
        false,
        1.0 / 12.0,
        Some(1),
        Some("shop.csv, row 5"),
    ),
    ("freshness: {max_days: 3", true, 3.0, None, None),
];

#[test]
fn checks_report_measured_value_and_first_failing_line() {
    for (check, passes, measured, lines, first) in CASES {
        let shop = Shop::fixture();
        fs::write(shop.path("products.csv"), "sku,name\nP1,one\nP2,two\n").unwrap();
        for severity in ["warn", "fail"] {
            let set = format!("checks=[{{{check}, severity: {severity}}}}}]");
            let outcome =
                shop.custseg(&["run", "shop.yaml", "--as-of", "2024-03-04", "--set", &set]);
            let succeeds = passes || severity == "warn";
            assert_eq!(outcome.code, if succeeds { 0 } else { 3 }, "{check}: {}", outcome.stderr);
            let folder = if succeeds { "out/current".to_owned() } else { failed_run(&shop) };
            let result = check_result(&shop, &folder);
            assert_eq!(result["passed"], passes, "{check}");
            assert!(
                (result["measured"].as_f64().unwrap() - measured).abs() < 1e-12,
                "{check}: {result}"
            );
            assert_eq!(
                (result["lines"].as_u64(), result["first"].as_str()),
                (lines, first),
                "{check}"
            );
        }
    }
}

/// Folder of the only failed run.
fn failed_run(shop: &Shop) -> String {
    let runs = fs::read_dir(shop.path("out/runs")).unwrap();
    let names = runs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let failed: Vec<String> = names.filter(|name| name.ends_with(".failed")).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    format!("out/runs/{}", failed[0])
}

/// All checks are evaluated and reported, passed ones too. The published run stays.
#[test]
fn failed_check_publishes_nothing_and_reports_all_checks() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let before = fs::read_link(shop.path("out/current")).unwrap();
    let checks = "checks=[{row_count: {min: 100}}, \
        {range: {column: unit_price, max: 9, severity: warn}}, \
        {unique: {columns: [order_id]}}, {accepted_values: {column: country, values: [UK, FR]}}]";
    let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--set", checks]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, ""));
    let filters = vec![(r"[0-9a-f]{16}", "[run]"), (r"/tmp/[^/ ]+", "[tmp]")];
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!(outcome.stderr);
    });
    assert_eq!(fs::read_link(shop.path("out/current")).unwrap(), before);
    let mut names: Vec<String> = fs::read_dir(shop.path(&failed_run(&shop)))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["checks.json", "ledger.parquet", "rejects.parquet", "report.html"]);
}

/// One of the six lines that reach `drop_duplicates` is removed; `ingest` rejects three of twelve.
#[test]
fn step_that_rejects_more_than_max_share_fails_the_run() {
    for (step, share, passes) in [
        ("3={drop_duplicates: exact, max_share: 0.16}", 1.0 / 6.0, false),
        ("3={drop_duplicates: exact, max_share: 0.17}", 1.0 / 6.0, true),
        // Nine lines can be parsed; one of them has no customer id.
        ("0={drop_missing: [customer_id], max_share: 0.12}", 1.0 / 9.0, true),
        ("0={drop_missing: [customer_id], max_share: 0.11}", 1.0 / 9.0, false),
        // Both reasons of a step count towards one share: one of seven lines has no positive price.
        ("2={keep_positive: [quantity, unit_price], max_share: 0}", 1.0 / 7.0, false),
    ] {
        let shop = Shop::fixture();
        let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--set", &format!("clean.{step}")]);
        assert_eq!(outcome.code, if passes { 0 } else { 3 }, "{step}: {}", outcome.stderr);
        let folder = if passes { "out/current".to_owned() } else { failed_run(&shop) };
        assert!(
            (check_result(&shop, &folder)["measured"].as_f64().unwrap() - share).abs() < 1e-12,
            "{step}"
        );
    }
}
