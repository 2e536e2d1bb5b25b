//! BTYD models against published figures.
//!
//! Parameters, log-likelihoods and predictions: Fader, Hardie & Lee (2005), Fader & Hardie's notes
//! 018, 025 and 039, and the tests of CLVTools and pymc-marketing, which agree to the digits given.
//! The sample is one customer in ten of CDNOW, in the order of the sample's ids.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use polars::prelude::*;
use serde_json::Value;

use super::harness::{Outcome, custseg, fixtures, floats, root, table, texts};

const MODELS: &str = "  bg: { btyd: { model: bg_nbd, horizon: 273d } }
  mbg: { btyd: { horizon: 273d } }
  pareto: { btyd: { model: pareto_nbd, horizon: 273d } }
";

/// The ids of the sample's customers in the master data set.
fn sample_ids() -> Vec<String> {
    let text = fs::read_to_string(fixtures().join("cdnow_sample.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A folder with the sample's purchases and a pipeline over them. Rows of $0.00 are kept.
fn sample(snapshot: &str, models: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ids: std::collections::HashSet<String> = sample_ids().into_iter().collect();
    let all = fs::read_to_string(root().join("data/raw/cdnow.csv")).unwrap();
    let is_kept = |line: &&str| line.starts_with("customer_id") || ids.contains(&line[..5]);
    let kept: Vec<&str> = all.lines().filter(is_kept).collect();
    assert_eq!(kept.len(), 6919 + 1);
    fs::write(folder.path().join("sample.csv"), kept.join("\n")).unwrap();
    write_pipeline(folder.path(), "sample.csv", snapshot, models);
    folder
}

fn write_pipeline(folder: &Path, source: &str, snapshot: &str, models: &str) {
    let yaml = format!(
        "name: sample
ingest:
  transactions:
    paths: [{source}]
    csv: {{ datetime_formats: [\"%Y-%m-%d\"] }}
    columns: {{ customer_id: customer_id, ordered_at: date, amount: dollar_value }}
  timezone: America/New_York
  money: {{ scale: 2, currency: USD }}
rfm: {{ snapshots: {snapshot} }}
segment: default
models:
{models}
publish: {{ to: out }}
"
    );
    fs::write(folder.join("sample.yaml"), yaml).unwrap();
}

fn run(folder: &Path) -> Outcome {
    let outcome = custseg(folder, &["-q", "run", "sample.yaml"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome
}

/// The fitted models of a run's artefact, by name.
fn fitted(folder: &Path) -> Value {
    let path = folder.join("out/current/model/artefact.json");
    let record: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    record["btyd"].clone()
}

fn assert_near(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}

/// Values of a column by customer.
fn by_customer(folder: &Path, snapshot: &str, column: &str) -> BTreeMap<String, f64> {
    let segments = table(&folder.join("out"), &format!("segments/snapshot={snapshot}/part-0"));
    texts(&segments, "customer_id").into_iter().zip(floats(&segments, column)).collect()
}

#[test]
fn models_of_the_sample_equal_the_published_figures() {
    let folder = sample("1997-10-01", MODELS);
    run(folder.path());
    let fitted = fitted(folder.path());
    let expected = [
        ("bg", [0.242595, 4.413602, 0.79292, 2.42591], -9582.4292),
        ("mbg", [0.524843, 6.183085, 0.89136, 1.61400], -9582.1357),
        ("pareto", [0.553277, 10.57768, 0.60624, 11.66873], -9594.9762),
    ];
    for (model, parameters, log_likelihood) in expected {
        let found = &fitted[model]["process"]["parameters"];
        for (i, expected) in parameters.into_iter().enumerate() {
            assert_near(found[i].as_f64().unwrap(), expected, 1.5e-5, model);
        }
        let found = fitted[model]["log_likelihood"].as_f64().unwrap();
        assert_near(found, log_likelihood, 5.1e-5, model);
        let spend = &fitted[model]["spend"];
        for (name, expected) in [("p", 6.24957), ("q", 3.74422), ("v", 15.44352)] {
            assert_near(spend[name].as_f64().unwrap(), expected, 1.5e-5, name);
        }
        let found = fitted[model]["spend_log_likelihood"].as_f64().unwrap();
        assert_near(found, -4055.9177, 5.1e-5, model);
        assert_eq!(fitted[model]["customers"], 2357);
        assert_eq!(fitted[model]["repeaters"], 946);
    }
    // Probability of being active, expected purchases in 39 weeks: BG, MBG, Pareto.
    let customers = [
        ("00004", [0.7266, 0.7061, 0.8691], [1.2260, 1.2628, 1.4552]),
        ("00021", [0.2124, 0.1710, 0.1680], [0.2034, 0.1889, 0.1711]),
        ("00050", [1.0000, 0.3897, 0.2951], [0.1948, 0.1540, 0.1071]),
        ("00111", [0.6418, 0.6227, 0.7495], [3.3376, 3.1672, 3.7121]),
        ("03501", [0.0409, 0.0464, 0.1093], [0.7485, 0.8044, 1.8970]),
        ("15562", [0.9689, 0.9655, 0.9979], [20.7489, 19.4466, 20.1148]),
        ("01760", [0.9692, 0.9659, 0.9962], [20.0552, 18.9519, 19.5958]),
    ];
    let models = ["bg", "mbg", "pareto"];
    for (i, model) in models.into_iter().enumerate() {
        let column =
            |name: &str| by_customer(folder.path(), "1997-10-01", &format!("{model}_{name}"));
        let (alive, purchases) = (column("alive"), column("purchases"));
        for (id, expected_alive, expected_purchases) in customers {
            assert_near(alive[id], expected_alive[i], 5.1e-5, id);
            assert_near(purchases[id], expected_purchases[i], 6e-5, id);
        }
        let total: f64 = purchases.values().sum();
        assert_near(total, [1653.4, 1576.7, 1665.5][i], 0.05, model);
        // Sample ids 1 to 10.
        let spend = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17];
        let value = column("purchase_value");
        for (id, expected) in sample_ids().iter().zip(spend) {
            assert_near(value[id], expected, 0.0051, id);
        }
        let money = column("spend");
        assert!(money.iter().all(|(id, all)| (all - purchases[id] * value[id]).abs() < 1e-9));
    }
}

#[test]
fn trial_and_tracking_of_the_sample_equal_the_published_figures() {
    let folder = sample("1998-07-01", MODELS);
    run(folder.path());
    let to = folder.path().join("out");
    let metrics = table(&to, "metrics");
    let columns = ["model", "protocol", "metric"].map(|name| texts(&metrics, name));
    let values = floats(&metrics, "value");
    let value = |model: &str, metric: &str| {
        let is_wanted = |row: &usize| {
            [model, "out_of_time", metric]
                .iter()
                .zip(&columns)
                .all(|(text, all)| all[*row] == *text)
        };
        values[(0..metrics.height()).find(is_wanted).unwrap()]
    };
    // Expected purchases, correlation and mean absolute error, AUC.
    let expected = [
        ("bg", 1653.4, 0.6256, 0.785, 0.773),
        ("mbg", 1576.7, 0.6272, 0.765, 0.773),
        ("pareto", 1665.5, 0.6302, 0.755, 0.779),
    ];
    for (model, purchases, correlation, error, auc) in expected {
        assert_near(value(model, "purchases_expected"), purchases, 0.05, model);
        assert_near(value(model, "purchases_actual"), 1882.0, 0.0, model);
        assert_near(value(model, "spend_actual"), 70_976.39, 0.005, model);
        assert_near(value(model, "correlation"), correlation, 1e-4, model);
        assert_near(value(model, "mean_absolute_error"), error, 5.1e-4, model);
        assert_near(value(model, "auc"), auc, 5.1e-4, model);
        let baseline = format!("{model}:past_rate");
        assert_near(value(&baseline, "purchases_expected"), 2930.0, 0.5, model);
        assert_near(value(&baseline, "mean_absolute_error"), 1.024, 5.1e-4, model);
    }
    let tracking = table(&to, "tracking");
    let models = texts(&tracking, "model");
    let [weeks, actual, expected] =
        ["week", "actual", "expected"].map(|name| floats(&tracking, name));
    let published = [
        (13.0, 828.0, 709.0, 698.8),
        (26.0, 1746.0, 1726.9, 1733.1),
        (39.0, 2457.0, 2494.0, 2524.9),
        (52.0, 3183.0, 3127.7, 3184.4),
        (65.0, 3844.0, 3675.0, 3757.9),
        (78.0, 4339.0, 4160.6, 4270.0),
    ];
    for (week, actually, bg, pareto) in published {
        for (model, expectation) in [("bg", bg), ("pareto", pareto)] {
            let row = (0..weeks.len()).find(|row| weeks[*row] == week && models[*row] == model);
            let row = row.unwrap();
            assert_eq!(actual[row], actually, "week {week}");
            assert_near(expected[row], expectation, 0.051, &format!("{model}, week {week}"));
        }
    }
    let lift = table(&to, "lift");
    let gain = floats(&lift, "gain");
    assert_eq!(lift.height(), 3 * 2 * 10);
    assert!(gain.iter().skip(9).step_by(10).all(|all| (all - 1.0).abs() < 1e-12), "{gain:?}");
}

#[test]
fn models_of_all_customers_equal_the_published_figures() {
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("data/raw/cdnow.csv");
    write_pipeline(folder.path(), &source.display().to_string(), "1997-10-01", MODELS);
    run(folder.path());
    let fitted = fitted(folder.path());
    for (model, expected) in [("bg", -95368.444), ("mbg", -95336.958), ("pareto", -95415.119)] {
        assert_near(fitted[model]["log_likelihood"].as_f64().unwrap(), expected, 5.1e-4, model);
    }
}

/// Customers who first buy after the model was fitted are not part of its trial: neither their
/// purchases nor what is expected of them.
#[test]
fn later_customers_do_not_change_the_trial() {
    let folder = sample("1998-07-01", "  mbg: { btyd: { horizon: 273d } }\n");
    let path = folder.path().join("sample.csv");
    let mut csv = fs::read_to_string(&path).unwrap();
    for i in 0..100 {
        csv += &format!("\nnew{i},1998-02-{:02},1,10.00\nnew{i},1998-06-20,1,12.00", 1 + i % 28);
    }
    fs::write(&path, csv).unwrap();
    run(folder.path());
    let to = folder.path().join("out");
    let tracking = table(&to, "tracking");
    let last = tracking.height() - 1;
    assert_eq!(floats(&tracking, "actual")[last], 4339.0);
    let metrics = table(&to, "metrics");
    let metric = |name: &str| {
        let row = texts(&metrics, "metric").iter().position(|metric| metric == name).unwrap();
        (floats(&metrics, "value")[row], floats(&metrics, "n")[row])
    };
    assert_eq!(metric("purchases_actual"), (1882.0, 2357.0));
    assert_near(metric("purchases_expected").0, 1576.7, 0.05, "expected");
    let segments = table(&to, "segments/snapshot=1998-07-01/part-0");
    assert_eq!(segments.height(), 2457);
    assert!(floats(&segments, "mbg_alive").iter().all(|alive| (0.0..=1.0).contains(alive)));
}

/// Purchases without differences between customers, and equal amounts, have no finite maximum of
/// the likelihood. All numbers stay finite, and close to what everybody does.
#[test]
fn customers_without_differences_have_finite_values() {
    let rows = |amount: &str| {
        let mut csv = "customer_id,date,dollar_value\n".to_owned();
        for customer in 0..200u64 {
            let first: chrono::NaiveDate = "2022-01-01".parse().unwrap();
            let first = first + chrono::Days::new(customer % 90);
            // Every second customer leaves after two purchases, all buy every 20 days.
            let purchases = if customer % 2 == 0 { 2 } else { 12 };
            for i in 0..purchases {
                let day = first + chrono::Days::new(20 * i);
                csv += &format!("c{customer},{day},{amount}\n");
            }
        }
        csv
    };
    let eight_rows = "customer_id,date,dollar_value\nc0,2022-01-02,18\nc1,2022-01-15,14\n\
                      c2,2022-01-04,11\nc2,2022-01-05,17\nc3,2022-01-16,16\nc4,2022-01-13,11\n\
                      c4,2022-01-16,13\nc5,2022-01-09,10\n";
    for (csv, mean) in [
        (rows("100000"), Some(100_000.0)),
        (rows("49.95"), Some(49.95)),
        (eight_rows.to_owned(), None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sample.csv"), csv).unwrap();
        write_pipeline(folder.path(), "sample.csv", "last", MODELS);
        run(folder.path());
        let segments = fs::read_dir(folder.path().join("out/current/segments")).unwrap();
        let path = segments.map(|entry| entry.unwrap().path()).next().unwrap();
        let file = fs::File::open(path.join("part-0.parquet")).unwrap();
        let segments = ParquetReader::new(file).finish().unwrap();
        for model in ["bg", "mbg", "pareto"] {
            for column in ["alive", "purchases", "purchase_value", "spend", "clv"] {
                let values = floats(&segments, &format!("{model}_{column}"));
                assert!(
                    values.iter().all(|value| value.is_finite()),
                    "{model}_{column}: {values:?}"
                );
            }
            if let Some(mean) = mean {
                let values = floats(&segments, &format!("{model}_purchase_value"));
                assert!(values.iter().all(|value| (value / mean - 1.0).abs() < 1e-9), "{values:?}");
            }
        }
    }
}

/// The lifetime value of the package `lifetimes` for this customer, in its correct unit: 12 months
/// of 4.345 weeks at 1 % a month.
#[test]
fn lifetime_value_is_discounted_at_the_end_of_each_month() {
    let models = "  year: { btyd: { model: bg_nbd, horizon: 365d, discount_rate: 0.12682503 } }\n";
    let folder = sample("1997-10-01", models);
    run(folder.path());
    let clv = by_customer(folder.path(), "1997-10-01", "year_clv");
    let spend = by_customer(folder.path(), "1997-10-01", "year_spend");
    assert_near(clv["00004"], 36.28, 0.02, "clv");
    assert!(spend.iter().all(|(id, spend)| clv[id] < *spend));
}

#[test]
fn scores_of_the_artefact_equal_those_of_the_run() {
    let folder = sample("1998-07-01", "  value: { btyd: { horizon: 90d } }\n");
    run(folder.path());
    let args = ["-q", "score", "--model", "out", "sample.csv", "--to", "scored.parquet"];
    let outcome = custseg(folder.path(), &args);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let file = fs::File::open(folder.path().join("scored.parquet")).unwrap();
    let scored = ParquetReader::new(file).finish().unwrap();
    let ids = texts(&scored, "customer_id");
    for column in
        ["value_alive", "value_purchases", "value_purchase_value", "value_spend", "value_clv"]
    {
        let run = by_customer(folder.path(), "1998-07-01", column);
        for (id, value) in ids.iter().zip(floats(&scored, column)) {
            assert_eq!(run[id], value, "{column} of {id}");
        }
    }
    let why = custseg(folder.path(), &["why", "sample.yaml", "00004"]);
    assert!(
        why.stdout.contains("model value (MBG/NBD and Gamma-Gamma): active with"),
        "{}",
        why.stdout
    );
}

#[test]
fn purchases_that_cannot_be_predicted_from_are_reported() {
    let one_each =
        "customer_id,date,dollar_value\na,2024-01-01,5\nb,2024-01-05,6\nc,2024-02-01,7\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sample.csv"), one_each).unwrap();
    write_pipeline(folder.path(), "sample.csv", "last", "  value: { btyd: {} }\n");
    let outcome = custseg(folder.path(), &["-q", "run", "sample.yaml"]);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let message = "models.value: fewer than two customers bought again with positive money";
    assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    // Few customers, and no history for a trial: a warning each.
    let few = "customer_id,date,dollar_value\na,2024-01-01,5\na,2024-01-21,6\nb,2024-01-05,6\n\
               b,2024-02-01,7\nc,2024-02-01,7\nc,2024-02-05,3\nd,2024-01-02,9\n";
    fs::write(folder.path().join("sample.csv"), few).unwrap();
    let outcome = custseg(folder.path(), &["run", "sample.yaml"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("few customers bought again"), "{}", outcome.stderr);
    let invalid = [
        ("value: { btyd: {}, k: 3 }", "`k` applies to KNN models only; this model accepts `btyd`"),
        ("value: { btyd: {}, kmeans: {} }", "expected one of `kmeans` and `btyd`"),
    ];
    for (model, message) in invalid {
        write_pipeline(folder.path(), "sample.csv", "last", &format!("  {model}\n"));
        let outcome = custseg(folder.path(), &["check", "sample.yaml"]);
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    }
    fs::write(folder.path().join("people.csv"), "id,value_clv\na,1\n").unwrap();
    write_pipeline(folder.path(), "sample.csv", "last", "  value: { btyd: {} }\n");
    let customers = "ingest.customers={ paths: [people.csv], key: id, attributes: [value_clv] }";
    let outcome = custseg(folder.path(), &["check", "sample.yaml", "--set", customers]);
    let message = "the model adds the column `value_clv`, which exists already";
    assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    write_pipeline(folder.path(), "sample.csv", "last, window: 365d", "  value: { btyd: {} }\n");
    let outcome = custseg(folder.path(), &["check", "sample.yaml"]);
    assert!(outcome.stderr.contains("cannot be combined with `rfm.window`"), "{}", outcome.stderr);
}
