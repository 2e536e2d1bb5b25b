//! Pipelines that `init` writes: right, or with a question that `check` refuses.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::cases::{copy, difference, published};
use super::harness::{custseg, fixtures};

/// What a draft leads to.
#[derive(Debug, PartialEq)]
enum Draft {
    Right,
    Asks,
}

/// Writes a pipeline for files and runs it.
fn draft(folder: &Path, files: &[&str], answer: &Value) -> Draft {
    let outcome = custseg(folder, &[&["init", "--name", "draft"], files].concat());
    assert_eq!(outcome.code, 0, "{files:?}: {}", outcome.stderr);
    let yaml = fs::read_to_string(folder.join("draft.yaml")).unwrap();
    let check = custseg(folder, &["-q", "check", "draft.yaml"]);
    if yaml.contains("TODO:") {
        assert!(outcome.stdout.contains("to answer: "), "{}", outcome.stdout);
        assert_eq!(check.code, 2, "{yaml}");
        return Draft::Asks;
    }
    assert_eq!(check.code, 0, "{yaml}\n{}", check.stderr);
    let run = custseg(folder, &["-q", "run", "draft.yaml"]);
    assert_eq!(run.code, 0, "{yaml}\n{}", run.stderr);
    let different = difference(answer, &published(folder, "draft.yaml"));
    assert_eq!(different, None, "{yaml}");
    Draft::Right
}

#[test]
fn drafts_for_exports_are_right_or_ask() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures().join("recipes"), folder.path());
    let expected = fs::read_to_string(folder.path().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    for (pipeline, files, outcome) in [
        ("woocommerce/pipeline", &["orders.csv"][..], Draft::Right),
        ("header_in_row_4/pipeline", &["report.csv"], Draft::Right),
        ("integer_dates/pipeline", &["sales.parquet"], Draft::Right),
        ("ipc/sales", &["sales.arrow"], Draft::Right),
        ("keep_last/pipeline", &["status_history.csv"], Draft::Right),
        ("dialects/utf16", &["utf16.csv"], Draft::Right),
        ("dialects/pipe", &["pipe.txt"], Draft::Right),
        ("dialects/quotes", &["quotes.csv"], Draft::Right),
        ("dialects/escapes", &["escapes.csv"], Draft::Right),
        ("dialects/tabs", &["tabs.tsv"], Draft::Right),
        ("dialects/sep", &["sep.csv"], Draft::Right),
        ("dialects/trailing", &["trailing.csv"], Draft::Right),
        ("dialects/cp932", &["cp932.csv"], Draft::Right),
        ("dialects/zip", &["orders.zip"], Draft::Right),
        (
            "olist/pipeline",
            &[
                "olist_orders_dataset.csv",
                "olist_order_items_dataset.csv",
                "olist_customers_dataset.csv",
            ],
            Draft::Right,
        ),
        // Instants have no day without a time zone.
        ("shopify/pipeline", &["orders_export.csv"], Draft::Asks),
        ("stripe/pipeline", &["unified_payments.csv"], Draft::Asks),
        ("jsonl_orders/pipeline", &["orders.jsonl"], Draft::Asks),
        ("refunds_by_status/pipeline", &["orders.csv"], Draft::Asks),
        ("dialects/noheader", &["noheader.csv"], Draft::Asks),
    ] {
        let name = pipeline.split('/').next().unwrap();
        let answer = &expected[format!("{pipeline}.yaml")]["answers"][0];
        let found = draft(&folder.path().join(name), files, answer);
        assert_eq!(found, outcome, "{pipeline}");
        fs::remove_file(folder.path().join(name).join("draft.yaml")).unwrap();
        let _ = fs::remove_dir_all(folder.path().join(name).join("draft-results"));
    }
}

/// Cancellations are subtracted, where the recipe drops them.
#[test]
fn sheets_with_equal_columns_are_all_read() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures().join("recipes"), folder.path());
    let path = folder.path().join("online_retail_ii");
    let outcome = custseg(&path, &["init", "online_retail_II.xlsx"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let yaml = fs::read_to_string(path.join("online_retail_ii.yaml")).unwrap();
    for line in ["sheet: all", "customer_id: Customer ID", "order_id_prefix: C, policy: net"] {
        assert!(yaml.contains(line), "{line}: {yaml}");
    }
    let run = custseg(&path, &["-q", "run"]);
    let again = custseg(
        &path,
        &["-q", "run", "pipeline.yaml", "--set", "clean.1.cancellations.policy=net"],
    );
    assert_eq!((run.code, again.code), (2, 0), "{} {}", run.stderr, again.stderr);
    let run = custseg(&path, &["-q", "run", "online_retail_ii.yaml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let [draft, recipe] = ["online_retail_ii.yaml", "pipeline.yaml"].map(|p| published(&path, p));
    assert_eq!(draft, recipe);
}

#[test]
fn answered_questions_give_the_right_numbers() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures().join("recipes/shopify"), folder.path());
    let expected = fs::read_to_string(fixtures().join("recipes/expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let outcome = custseg(folder.path(), &["init", "orders_export.csv"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("orders_export.yaml written"), "{}", outcome.stdout);
    let path = folder.path().join("orders_export.yaml");
    let yaml =
        fs::read_to_string(&path).unwrap().replace("timezone: TODO", "timezone: Europe/Berlin");
    fs::write(&path, yaml).unwrap();
    let run = custseg(folder.path(), &["-q", "run", "orders_export.yaml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let answer = &expected["shopify/pipeline.yaml"]["answers"][0];
    assert_eq!(difference(answer, &published(folder.path(), "orders_export.yaml")), None);
}

#[test]
fn undecided_values_become_questions() {
    let folder = tempfile::tempdir().unwrap();
    for (rows, question) in [
        ("a,1,03/04/2011,5\nb,2,05/04/2011,7\n", "reads as both"),
        ("a,1,2024-01-05,1.234\nb,2,2024-01-06,2.500\n", "a thousand times larger"),
        ("a,1,yesterday,5\n", "TODO: strftime notation"),
        ("a,1,2024-01-05,5\nb,1,2024-01-06,7\n", "orders are shared by customers"),
        ("a,1,2024-01-05,5\na,1,2024-01-05,5\n", "`exact`, or no such step"),
    ] {
        let csv = format!("customer_id,order_id,order_date,amount\n{rows}");
        fs::write(folder.path().join("t.csv"), csv).unwrap();
        let outcome = custseg(folder.path(), &["init", "--stdout", "t.csv"]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(outcome.stdout.contains(question), "{question}: {}", outcome.stdout);
        fs::write(folder.path().join("t.yaml"), &outcome.stdout).unwrap();
        assert_eq!(custseg(folder.path(), &["check", "t.yaml"]).code, 2);
    }
    for (csv, question) in [
        ("customer_name,order_id,order_date,amount\na,1,2024-01-05,5\n", "exactly such a name"),
        ("customer,order_id,date,amount,price\na,1,2024-01-05,2,9.50\n", "question about money"),
        ("customer,order_id,date,net_total,total\na,1,2024-01-05,2,3\n", "question about money"),
        (
            "customer,order_id,date,quantity,unit_price,amount\na,1,2024-01-05,2,9.50,17\n",
            "question about money",
        ),
        ("customer,order_id,date,amount,type\na,1,2024-01-05,2,refund\n", "give money back"),
        ("customer,order_id,date,amount,is_cancelled\na,1,2024-01-05,2,True\n", "give money back"),
        (
            "customer,order_id,date,amount,currency\na,1,2024-01-05,2,EUR\nb,2,2024-01-05,2,JPY\n",
            "rates",
        ),
    ] {
        fs::write(folder.path().join("t.csv"), csv).unwrap();
        let outcome = custseg(folder.path(), &["init", "--stdout", "t.csv"]);
        assert!(outcome.stdout.contains(question), "{question}: {}", outcome.stdout);
        assert!(outcome.stdout.contains("TODO"), "{}", outcome.stdout);
        fs::write(folder.path().join("t.yaml"), &outcome.stdout).unwrap();
        let check = custseg(folder.path(), &["check", "t.yaml"]);
        assert!([2, 4].contains(&check.code), "{}", outcome.stdout);
    }
    fs::remove_file(folder.path().join("t.yaml")).unwrap();
    fs::write(folder.path().join("t.yaml"), "").unwrap();
    assert_eq!(custseg(folder.path(), &["init", "t.csv"]).code, 2);
    assert_eq!(custseg(folder.path(), &["init", "--force", "t.csv"]).code, 0);
    assert_eq!(custseg(folder.path(), &["init", "nowhere.csv"]).code, 3);
}

/// A large sorted file begins with the first days of a year, which do not decide.
#[test]
fn later_rows_of_a_large_file_decide() {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = "customer_id,order_id,order_date,amount,note\n".to_owned();
    let first = chrono::NaiveDate::from_ymd_opt(2024, 1, 1).unwrap();
    for row in 0..420_000u64 {
        let day = first + chrono::Days::new(row / 40_000);
        let day = if row < 400_000 { day } else { day + chrono::Days::new(70) };
        let date = day.format("%-m/%-d/%Y");
        csv += &format!("customer {},order {row},{date},1.50,a note of some length\n", row % 977);
    }
    assert!(csv.len() > 17 << 20, "{}", csv.len());
    fs::write(folder.path().join("t.csv"), csv).unwrap();
    let outcome = custseg(folder.path(), &["init", "--stdout", "t.csv"]);
    assert!(outcome.stdout.contains("datetime_formats: [\"%m/%d/%Y\"]"), "{}", outcome.stdout);
}

/// Exports of overlapping months have orders twice, which differ in their state.
#[test]
fn overlapping_files_are_a_question() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    let header = "customer,order_id,line,date,amount,note\n";
    let write = |name: &str, rows: &str| {
        fs::write(folder.path().join("in").join(name), format!("{header}{rows}")).unwrap();
    };
    write("2024-01.csv", "1,a,1,2024-01-05,10,x\n2,b,1,2024-01-31,20,open\n");
    write("2024-02.csv", "2,b,1,2024-01-31,20,shipped\n3,c,1,2024-02-05,30,x\n");
    let outcome = custseg(folder.path(), &["init", "in", "--name", "shop"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(
        outcome.stdout.contains("order b is in the first and in the last file"),
        "{}",
        outcome.stdout
    );
    let check = custseg(folder.path(), &["check", "shop.yaml"]);
    assert_eq!(check.code, 2);
    assert!(check.stderr.contains("`drop_duplicates` is still TODO"), "{}", check.stderr);
    write("2024-02.csv", "3,c,1,2024-02-05,30,x\n");
    let outcome = custseg(folder.path(), &["init", "in", "--name", "shop", "--force"]);
    assert!(!outcome.stdout.contains("first and in the last file"), "{}", outcome.stdout);
}
