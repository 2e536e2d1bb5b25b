//! Published numbers of real data sets: UCI Online Retail (by pandas), the sample of the R package
//! rfm, and the CDNOW master file.

use std::path::{Path, PathBuf};

use super::harness::{floats, hashes, load, reference, root, run_pipeline, table, texts};
use polars::prelude::DataFrame;
use tempfile::TempDir;

/// Runs a pipeline of the repository over another source; returns the folder of the results.
fn run(yaml: &str, source: &Path, set: &[&str]) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    let mut all = vec![
        format!("ingest.transactions.paths=[\"{}\"]", source.display()),
        format!("publish.to=\"{}\"", to.path().display()),
    ];
    all.extend(set.iter().map(|text| (*text).to_owned()));
    run_pipeline(&load(yaml, &all), Default::default());
    to
}

fn online_retail(file: &str) -> PathBuf {
    reference(&format!("online-retail/{file}"))
}

const RETAIL: &str = "pipelines/online_retail.yaml";

/// (rows, customers, orders, money) left after the last ledger row of a step.
fn left(ledger: &DataFrame, step: &str) -> (f64, f64, f64, String) {
    let row = texts(ledger, "step").iter().rposition(|found| found == step).unwrap();
    let [rows, customers, orders, money] =
        ["rows_left", "customers_left", "orders_left", "money_left"]
            .map(|name| floats(ledger, name)[row]);
    (rows, customers, orders, format!("{money:.3}"))
}

#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn online_retail_ledger_equals_pandas() {
    let source = online_retail("online_retail.parquet");
    let to = run(RETAIL, &source, &["clean.3.drop_duplicates=exact"]);
    let ledger = table(to.path(), "ledger");
    assert_eq!(left(&ledger, "raw"), (541_909.0, 4_372.0, 25_900.0, "9747747.934".to_owned()));
    assert_eq!(
        left(&ledger, "drop_missing"),
        (406_829.0, 4_372.0, 22_190.0, "8300065.814".to_owned())
    );
    assert_eq!(
        left(&ledger, "cancellations"),
        (397_924.0, 4_339.0, 18_536.0, "8911407.904".to_owned())
    );
    assert_eq!(
        left(&ledger, "keep_positive"),
        (397_884.0, 4_338.0, 18_532.0, "8911407.904".to_owned())
    );
    assert_eq!(
        left(&ledger, "drop_duplicates"),
        (392_692.0, 4_338.0, 18_532.0, "8887208.894".to_owned())
    );
    // Raw lines are accepted or rejected, in rows and in money.
    let rejects = table(to.path(), "rejects");
    assert_eq!(rejects.height(), 541_909 - 392_692);
    assert_eq!(floats(&ledger, "rows").iter().sum::<f64>(), 149_217.0);
    let removed: f64 = floats(&ledger, "money").iter().sum();
    assert!((removed - (9_747_747.934 - 8_887_208.894)).abs() < 1e-6, "{removed}");
}

/// Net of cancellations, money is the raw money of known customers; 54 of them have zero or less.
#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn online_retail_net_of_cancellations_equals_pandas() {
    let source = online_retail("online_retail.parquet");
    let dates = "rfm.snapshots=[2011-11-01, 2011-12-10]";
    let to = run(RETAIL, &source, &["clean.1.cancellations.policy=net", "models={}", dates]);
    let (rows, customers, _, money) = left(&table(to.path(), "ledger"), "keep_positive");
    assert_eq!((rows, customers, money.as_str()), (406_789.0, 4_371.0, "8300065.814"));
    let segments = table(to.path(), "segments/snapshot=2011-12-10/part-0");
    assert_eq!(segments.height(), 4_371);
    let monetary = floats(&segments, "monetary");
    assert_eq!(monetary.iter().filter(|money| **money <= 0.0).count(), 54);
    // Customer 12346 bought 74,215 units on 18 January and cancelled them within minutes.
    let row = texts(&segments, "customer_id").iter().position(|id| id == "12346").unwrap();
    assert_eq!((monetary[row], floats(&segments, "frequency")[row]), (0.0, 1.0));
}

/// Customers 12346 and 16446 bought 74,215 and 80,995 units and cancelled them within minutes.
#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn online_retail_returns_are_matched() {
    let source = online_retail("online_retail.parquet");
    let to = run(RETAIL, &source, &["clean.1.cancellations.policy=match", "models={}"]);
    let segments = table(to.path(), "segments/snapshot=2011-12-10/part-0");
    let value = |id: &str, name: &str| {
        let row = texts(&segments, "customer_id").iter().position(|found| found == id).unwrap();
        floats(&segments, name)[row]
    };
    // 12346 bought nothing else. 16446 also bought two items for 2.90 on 18 May.
    assert_eq!((value("12346", "frequency"), value("12346", "monetary")), (0.0, 0.0));
    assert_eq!(
        (value("16446", "frequency"), value("16446", "monetary"), value("16446", "recency_days")),
        (1.0, 2.9, 206.0)
    );
    let returns = table(to.path(), "returns");
    let pairs: Vec<(String, String)> =
        texts(&returns, "order_id").into_iter().zip(texts(&returns, "matched_order_id")).collect();
    for (cancellation, order) in [("C541433", "541431"), ("C581484", "581483")] {
        assert!(pairs.contains(&(cancellation.to_owned(), order.to_owned())), "{cancellation}");
    }
    // The purchase and the cancellation of 16446 are on 9 December, after this snapshot.
    let before = run(
        RETAIL,
        &source,
        &["clean.1.cancellations.policy=match", "models={}", "rfm.snapshots=2011-12-09"],
    );
    let segments = table(before.path(), "segments/snapshot=2011-12-09/part-0");
    let row = texts(&segments, "customer_id").iter().position(|id| id == "16446").unwrap();
    assert_eq!(floats(&segments, "monetary")[row], 2.9);
}

/// Cancellations in November and December do not affect the snapshot of 1 November.
#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn cancellation_does_not_change_earlier_snapshots() {
    let source = online_retail("online_retail.parquet");
    for policy in ["drop", "net", "separate", "match"] {
        let policy_set = format!("clean.1.cancellations.policy={policy}");
        let all = run(
            RETAIL,
            &source,
            &[&policy_set, "models={}", "rfm.snapshots=[2011-11-01, 2011-12-10]"],
        );
        let range = "clean.3={date_range: {until: 2011-11-01}}";
        let until =
            run(RETAIL, &source, &[&policy_set, "models={}", range, "rfm.snapshots=2011-11-01"]);
        let name = "segments/snapshot=2011-11-01/part-0";
        assert!(table(all.path(), name).equals_missing(&table(until.path(), name)), "{policy}");
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "found {found}, expected {expected}");
}

#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn online_retail_rfm_equals_pandas() {
    let source = online_retail("online_retail.parquet");
    let to = run(RETAIL, &source, &[]);
    let segments = table(to.path(), "segments/snapshot=2011-12-10/part-0");
    let [r, f, m] = ["recency_days", "frequency", "monetary"].map(|name| floats(&segments, name));
    assert_eq!(r.len(), 4338);
    assert_close(mean(&r), 93.06, 0.005);
    assert_eq!(median(&r), 51.0);
    assert_close(mean(&f), 4.27, 0.005);
    assert_close(f.iter().filter(|f| **f == 1.0).count() as f64 / 4338.0, 0.344, 0.0005);
    assert_close(mean(&m), 2054.27, 0.005);
    assert_close(median(&m), 674.485, 1e-9);
    let bins = table(to.path(), "score_bins");
    let (dimension, uppers) = (texts(&bins, "dimension"), floats(&bins, "upper"));
    let cut_points = |name: &str| -> Vec<f64> {
        let uppers = dimension
            .iter()
            .zip(&uppers)
            .filter(|(found, upper)| *found == name && !upper.is_nan());
        let mut cuts: Vec<f64> = uppers.map(|(_, upper)| *upper).collect();
        cuts.sort_by(f64::total_cmp);
        cuts
    };
    for (name, expected, tolerance) in [
        ("recency_days", [13.8, 33.0, 72.0, 180.0], 1e-9),
        ("frequency", [1.0, 2.0, 3.0, 6.0], 0.0),
        ("monetary", [250.194, 490.096, 942.276, 2058.426], 5e-4),
    ] {
        let found = cut_points(name);
        assert_eq!(found.len(), 4, "{name}");
        found
            .iter()
            .zip(expected)
            .for_each(|(found, expected)| assert_close(*found, expected, tolerance));
    }
}

#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn online_retail_csv_and_parquet_give_the_same_bytes() {
    let parquet = online_retail("online_retail.parquet");
    let csv = online_retail("online_retail.csv.zst");
    let dates = "rfm.snapshots=[2011-06-01, 2011-12-10]";
    let exact = "clean.3.drop_duplicates=exact";
    let from_parquet = run(RETAIL, &parquet, &[dates, exact]);
    let from_csv = run(RETAIL, &csv, &[dates, exact]);
    assert_eq!(hashes(from_parquet.path()), hashes(from_csv.path()));
    let rejects = |to: &TempDir| {
        let table = table(to.path(), "rejects");
        let mut rows: Vec<_> =
            texts(&table, "source_row").into_iter().zip(texts(&table, "reason")).collect();
        rows.sort();
        rows
    };
    assert!(rejects(&from_parquet) == rejects(&from_csv));
}

/// KNN with k = 5 re-learns the rules with an accuracy of 0.94 or more, published as `recovery`.
#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn online_retail_recovery_is_at_least_94_percent() {
    let source = online_retail("online_retail.parquet");
    let to = run(RETAIL, &source, &["models.assign.k=5"]);
    let metrics = table(to.path(), "metrics");
    let of_models = texts(&metrics, "model").into_iter().zip(texts(&metrics, "protocol"));
    assert!(
        of_models
            .filter(|(model, _)| model.starts_with("assign"))
            .all(|(_, protocol)| protocol == "recovery")
    );
    let value = |model: &str| {
        let rows = texts(&metrics, "model")
            .into_iter()
            .zip(texts(&metrics, "metric"))
            .zip(texts(&metrics, "label"));
        let row = rows.into_iter().position(|((m, metric), label)| {
            m == model && metric == "accuracy" && label.is_empty()
        });
        floats(&metrics, "value")[row.unwrap()]
    };
    assert!(value("assign") >= 0.94, "{}", value("assign"));
    // The majority class is Hibernating, 1,335 of 4,338.
    assert_close(value("assign:majority"), 1335.0 / 4338.0, 0.002);
}

const R_RFM: &str = "
name: r_rfm
ingest:
  transactions:
    paths: [none]
    csv: { datetime_formats: ['%Y-%m-%d'] }
    columns: { customer_id: customer_id, ordered_at: order_date, amount: revenue }
  money: { scale: 0 }
rfm: { snapshots: 2006-12-31, frequency: lines }
score: { method: r_rfm }
segment: { map: MAP }
publish: { to: none }
";

/// Cut points, every score, and the segment counts of the vignette.
#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn r_rfm_sample_equals_the_r_package() {
    let source = reference("r-rfm/rfm_data_orders.csv");
    let folder = tempfile::tempdir().unwrap();
    let yaml = folder.path().join("r_rfm.yaml");
    let map = root().join("config/segments/r_rfm.yaml").display().to_string();
    std::fs::write(&yaml, R_RFM.replace("MAP", &map)).unwrap();
    let to = run(&yaml.display().to_string(), &source, &[]);

    let bins = table(to.path(), "score_bins");
    let (dimension, uppers) = (texts(&bins, "dimension"), floats(&bins, "upper"));
    let expected = [
        ("recency_days", [115.0, 181.0, 297.4, 482.0]),
        ("frequency", [4.0, 5.0, 6.0, 8.0]),
        ("monetary", [255.8, 382.0, 506.4, 666.0]),
    ];
    for (name, expected) in expected {
        let mut found: Vec<f64> = dimension
            .iter()
            .zip(&uppers)
            .filter(|(d, u)| *d == name && !u.is_nan())
            .map(|(_, u)| *u)
            .collect();
        found.sort_by(f64::total_cmp);
        found
            .iter()
            .zip(expected)
            .for_each(|(found, expected)| assert_close(*found, expected, 1e-9));
    }

    let segments = table(to.path(), "segments/snapshot=2006-12-31/part-0");
    let expected = std::fs::read_to_string(reference("r-rfm/expected_rfm_orders.csv")).unwrap();
    let mut expected: Vec<Vec<&str>> =
        expected.lines().skip(1).map(|line| line.split(',').collect()).collect();
    expected.sort_by_key(|row| row[0]);
    assert_eq!(expected.len(), 995);
    let found = [
        "customer_id",
        "recency_days",
        "frequency",
        "monetary",
        "r_score",
        "f_score",
        "m_score",
        "rfm_code",
    ]
    .map(|name| texts(&segments, name));
    for (i, row) in expected.iter().enumerate() {
        // Column 1 is the date of the last order.
        let columns = [0, 2, 3, 4, 5, 6, 7, 8];
        for (found, column) in found.iter().zip(columns) {
            let found = found[i].trim_end_matches(".0");
            assert_eq!(found, row[column], "{row:?}");
        }
    }

    let profile = table(to.path(), "segment_profile");
    let vignette =
        std::fs::read_to_string(reference("r-rfm/expected_segments_orders_vignette.csv")).unwrap();
    let mut named = 0.0;
    for line in vignette.lines().skip(1) {
        let row: Vec<&str> = line.split(',').collect();
        let index = texts(&profile, "segment").iter().position(|name| name == row[0]).unwrap();
        let customers = floats(&profile, "customers")[index];
        assert_eq!(customers, row[1].parse::<f64>().unwrap(), "{line}");
        // The vignette counts the rows of the sample as orders.
        let orders: f64 = texts(&segments, "segment")
            .iter()
            .zip(floats(&segments, "frequency"))
            .filter(|(name, _)| *name == row[0])
            .map(|(_, frequency)| frequency)
            .sum();
        assert_eq!(orders, row[2].parse::<f64>().unwrap(), "{line}");
        assert_eq!(floats(&profile, "money")[index], row[3].parse::<f64>().unwrap(), "{line}");
        named += customers;
    }
    assert_eq!(named, 995.0);
}

/// The totals that the authors publish: 23,570 customers, 69,659 rows, $2,500,315.63.
#[test]
fn cdnow_totals_equal_the_published_ones() {
    let to = run("pipelines/cdnow.yaml", &root().join("data/raw/cdnow.csv"), &[]);
    let ledger = table(to.path(), "ledger");
    // 2,068 rows are further purchases on the same day. 80 rows of $0.00 are rejected; 68 customers
    // have no other rows.
    assert_eq!(
        left(&ledger, "raw"),
        (69_659.0, 23_570.0, 69_659.0 - 2_068.0, "2500315.630".to_owned())
    );
    let (rows, customers, _, money) = left(&ledger, "keep_positive");
    assert_eq!((rows, customers, money), (69_579.0, 23_502.0, "2500315.630".to_owned()));
    let segments = table(to.path(), "segments/snapshot=1998-07-01/part-0");
    assert_eq!(segments.height(), 23_502);
    let ids = texts(&segments, "customer_id");
    assert!(ids.is_sorted() && ids[0] == "00001", "leading zeros are kept and ids sorted by bytes");
}
