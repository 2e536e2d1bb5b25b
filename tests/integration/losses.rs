//! Rows that are lost, ids that are doubtful and files that are exchanged are never silent.

use std::fs;

use super::harness::{Outcome, Shop, floats};

const HEAD: &str = "order,product,units,bought,price,customer,country\n";

/// `good` lines of as many customers, then `bad` lines without a number.
fn lines(good: usize, bad: usize) -> String {
    let line = |n: usize, price: &str| format!("A{n},P1,1,2024-01-05 10:00,{price},{n},UK\n");
    let good_lines = (1..=good).map(|n| line(n, "2.00"));
    let bad_lines = (good + 1..=good + bad).map(|n| line(n, "two"));
    HEAD.to_owned() + &good_lines.chain(bad_lines).collect::<String>()
}

fn run(csv: &str, set: &[&str]) -> (Shop, Outcome) {
    let shop = Shop::with_csv(csv);
    let set: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    let outcome = shop.custseg(&[&["run", "shop.yaml"], set.as_slice()].concat());
    (shop, outcome)
}

#[test]
fn unparsable_rows_are_bounded() {
    // 1 of 100 rows is the default bound, which applies from 20 rows on.
    for (good, bad, set, code) in [
        (99, 1, "", 0),
        (98, 2, "", 3),
        (19, 1, "", 3),
        (18, 1, "", 0),
        (18, 1, "ingest.max_rejected=0", 3),
        (50, 50, "ingest.max_rejected=0.5", 0),
        (49, 51, "ingest.max_rejected=0.5", 3),
    ] {
        let set: Vec<&str> = if set.is_empty() { Vec::new() } else { vec![set] };
        let (shop, outcome) = run(&lines(good, bad), &set);
        assert_eq!(outcome.code, code, "{good} {bad}: {}", outcome.stderr);
        let share = format!("{bad} of {} rows", good + bad);
        // A failed run says it once, in its error.
        let level = if code == 0 { "WARN orders" } else { "error: orders" };
        assert!(outcome.stderr.contains(&format!("{level}: {share}")), "{}", outcome.stderr);
        let example = format!("first: `shop.csv`, row {}: two", good + 1);
        assert!(outcome.stderr.contains(&example), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("`csv.decimal`, `csv.thousands`"), "{}", outcome.stderr);
        assert_eq!(shop.path("out/current").exists(), code == 0);
    }
}

#[test]
fn page_and_ledger_say_what_is_lost() {
    let (shop, outcome) = run(&lines(18, 1), &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let page = fs::read_to_string(shop.path("out/current/report.html")).unwrap();
    let warning = "1 of 19 rows (5.3 %) could not be read and are missing in all numbers: \
                   unit_price not a number (1)";
    assert!(page.contains(warning));
    assert!(!page.contains("No warnings"));
    let ledger = shop.table("ledger");
    assert_eq!(floats(&ledger, "rows_left")[0], 19.0);
    // The money of the unreadable line is unknown.
    assert!(floats(&ledger, "money_left")[0].is_nan());
    assert_eq!(floats(&ledger, "money_left").last(), Some(&36.0));
}

#[test]
fn doubtful_ids_and_dates_are_warned_of() {
    let line = |n: usize, day: &str, id: &str| format!("A{n},P1,1,{day} 10:00,2.00,{id},UK\n");
    let plain: String = (1..=30).map(|n| line(n, "2024-01-05", &n.to_string())).collect();
    for (extra, warning) in [
        (line(31, "2024-01-05", "Ana") + &line(32, "2024-01-05", "ANA"), "differ only in case"),
        (line(31, "2024-01-05", "007"), "such as `007` and `7`"),
        (line(31, "2024-01-05", "NA"), "customer id `NA` looks like a missing value"),
        (line(31, "2042-01-05", "31"), "order `A31` of customer `31` on 2042-01-05"),
    ] {
        let (shop, outcome) = run(&format!("{HEAD}{plain}{extra}"), &[]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(warning), "{warning}: {}", outcome.stderr);
        let page = fs::read_to_string(shop.path("out/current/report.html")).unwrap();
        assert!(page.contains("Warning: "), "{warning}");
    }
    let (_, outcome) = run(&format!("{HEAD}{plain}"), &[]);
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
}

#[test]
fn exchanged_files_give_another_run() {
    let shop = Shop::with_csv(lines(3, 0)).edit(
        "  timezone:",
        "  customers: { paths: [a.csv], key: customer, attributes: [country] }\n  timezone:",
    );
    let run_id = |transactions: &str, customers: &str| {
        fs::write(shop.path("shop.csv"), transactions).unwrap();
        fs::write(shop.path("a.csv"), customers).unwrap();
        shop.run(&[]);
        let text = fs::read_to_string(shop.path("out/current/manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let inputs = manifest["inputs"].as_array().unwrap();
        let roles: Vec<&str> = inputs.iter().map(|input| input["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["transactions", "customers"]);
        manifest["run_id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (lines(3, 0), lines(4, 0));
    assert_ne!(run_id(&first, &second), run_id(&second, &first));
}
