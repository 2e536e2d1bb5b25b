//! `changes`: the segments of a run with one snapshot beside those of the run before.

use std::fs;

use serde_json::Value;

use super::harness::{Shop, floats, texts};

/// The fixture shop, run as of 1 March. Customer 1001 is its only customer until 10 February, and
/// 1002 joins then. 1003 joins on 29 February.
fn as_of(shop: &Shop, date: &str) -> Value {
    let outcome = shop.custseg(&["run", "shop.yaml", "--as-of", date, "--allow-older"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    manifest(shop)
}

fn manifest(shop: &Shop) -> Value {
    let text = fs::read_to_string(shop.path("out/current/manifest.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// From, to, customers, money.
fn changes(shop: &Shop) -> Vec<(String, String, f64, f64)> {
    let table = shop.table("changes");
    let from = texts(&table, "from_segment");
    let rows = from.into_iter().zip(texts(&table, "to_segment"));
    let numbers = floats(&table, "customers").into_iter().zip(floats(&table, "money"));
    let mut rows: Vec<_> =
        rows.zip(numbers).map(|((from, to), (n, money))| (from, to, n, money)).collect();
    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    rows
}

#[test]
fn run_is_compared_with_the_run_before() {
    let shop = Shop::fixture();
    let first = as_of(&shop, "2024-02-29");
    assert_eq!(first.get("compared_with"), None);
    assert!(!shop.path("out/current/changes.parquet").exists());
    let segments = |date: &str| {
        let table = shop.table(&format!("segments/snapshot={date}/part-0"));
        texts(&table, "customer_id").into_iter().zip(texts(&table, "segment")).collect::<Vec<_>>()
    };
    let before = segments("2024-02-29");
    assert_eq!(before.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["1001", "1002"]);
    let second = as_of(&shop, "2024-03-02");
    let compared = &second["compared_with"];
    assert_eq!(compared["run_id"], first["run_id"]);
    assert_eq!(
        (&compared["snapshot"], &compared["differences"]),
        (&"2024-02-29".into(), &Value::Null)
    );
    let now = segments("2024-03-02");
    // 1003 is new. All money is of now: 7.00, 10.30 and 101.00.
    let mut expected: Vec<_> = [("1001", 7.0), ("1002", 10.3), ("1003", 101.0)]
        .into_iter()
        .map(|(id, money)| {
            let of = |all: &[(String, String)]| {
                let found = all.iter().find(|(other, _)| other == id);
                found.map_or_else(String::new, |(_, segment)| segment.clone())
            };
            (of(&before), of(&now), 1.0, money)
        })
        .collect();
    expected.sort_by(|a: &(String, String, f64, f64), b| a.partial_cmp(b).unwrap());
    assert_eq!(changes(&shop), expected);
    // `diff` of the two runs counts the same moves.
    let runs = [&first, &second].map(|run| format!("out/runs/{}", run["run_id"].as_str().unwrap()));
    let diff = shop.custseg(&["diff", &runs[0], &runs[1], "--json"]);
    let diff: Value = serde_json::from_str(&diff.stdout).unwrap();
    assert_eq!(diff["moves"].as_array().unwrap().len(), expected.len());
    // The same run again is compared with the same run, and stays as it is.
    let again = as_of(&shop, "2024-03-02");
    assert_eq!(again, second);
    // A list of those who entered needs no other run by name.
    let entered = shop.custseg(&["export", "out", "--what", "entered"]);
    let ids: Vec<&str> = entered.stdout.lines().skip(1).map(|line| &line[..4]).collect();
    assert_eq!(ids, ["1003"], "{}", entered.stderr);
    let page = fs::read_to_string(shop.path("out/current/report.html")).unwrap();
    assert!(page.contains("Since 2024-02-29, "), "no comparison on the page");
    assert!(page.contains(first["run_id"].as_str().unwrap()));
    let again = shop.custseg(&["report", "out", "--out", "-"]);
    assert!(again.stdout == page, "the second rendering differs");
}

/// Neither a run of other dates, nor a later one, nor one of another pipeline is the run before.
/// Another definition is named.
#[test]
fn run_before_is_an_earlier_one_of_the_same_pipeline() {
    let shop = Shop::fixture();
    let first = as_of(&shop, "2024-02-29");
    let later = as_of(&shop, "2024-03-02");
    let middle = as_of(&shop, "2024-03-01");
    assert_eq!(middle["compared_with"]["run_id"], first["run_id"]);
    assert_eq!(later["compared_with"]["run_id"], first["run_id"]);
    let set = ["--set", "rfm.frequency=units", "--as-of", "2024-03-02"];
    shop.run(&set);
    let changed = manifest(&shop);
    assert_eq!(changed["compared_with"]["run_id"], middle["run_id"]);
    let differences = changed["compared_with"]["differences"].as_str().unwrap();
    assert!(differences.contains("rfm.frequency"), "{differences}");
    // Several snapshots have the table `migration` instead.
    shop.run(&["--set", "rfm.snapshots=[2024-02-29, 2024-03-02]"]);
    assert_eq!(manifest(&shop).get("compared_with"), None);
    assert!(!shop.path("out/current/changes.parquet").exists());
    shop.run(&["--set", "name=other", "--as-of", "2024-03-02", "--force"]);
    assert_eq!(manifest(&shop).get("compared_with"), None);
}
