//! Time: grids of snapshots, what they say of each other, kept cut points, and what stays as it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use custseg::pipeline::{self, How, Outcome};
use polars::prelude::*;

use super::harness::{Shop, floats, hashes, load, reference, table, texts};

const BACK: [&str; 3] = ["previous_segment", "segment_since", "snapshots_in_segment"];

/// Runs the Online Retail pipeline without models into a folder.
fn retail(to: &Path, set: &[&str]) -> Option<()> {
    let source = reference("online-retail/online_retail.parquet")?;
    let mut all = vec![
        format!("ingest.transactions.paths=[\"{}\"]", source.display()),
        format!("publish.to=\"{}\"", to.display()),
        "models={}".to_owned(),
    ];
    all.extend(set.iter().map(|text| (*text).to_owned()));
    pipeline::run(&load("pipelines/online_retail.yaml", &all), How::default()).unwrap();
    Some(())
}

fn snapshot(to: &Path, date: &str) -> DataFrame {
    table(to, &format!("segments/snapshot={date}/part-0"))
}

fn month_ends() -> Vec<String> {
    (1..=12).map(|month| format!("2011-{month:02}-01")).collect()
}

/// Every month-end of a grid is the single run for that date, but for what looks back; with a trailing window too.
#[test]
fn twelve_month_ends_equal_twelve_runs() {
    let folder = tempfile::tempdir().unwrap();
    let grid = "rfm.snapshots={every: 1mo, from: 2011-01-01, until: 2011-12-01}";
    let features = "rfm.features=[tenure_days, mean_gap_days, gap_days_std, average_order_value]";
    for window in ["rfm.window=all", "rfm.window=90d"] {
        let many = folder.path().join("many");
        if retail(&many, &[grid, window, features]).is_none() {
            return;
        }
        for date in month_ends() {
            let one = folder.path().join("one");
            retail(&one, &[&format!("rfm.snapshots={date}"), window, features]);
            let (one, of_many) =
                (snapshot(&one, &date).drop_many(BACK), snapshot(&many, &date).drop_many(BACK));
            assert!(one.height() > 300 && one.equals_missing(&of_many), "{date}");
        }
    }
}

/// Three customers over three days; the map names by recency and frequency alone.
fn three_days() -> Shop {
    // At 3 January: 1 and 2 and 3 bought once, 3 last. At 5 January 1 has come back twice. At 9 January nothing has changed but time.
    let csv = "customer,bought,price,units,order\n\
               1,2024-01-01 09:00,1,1,a\n2,2024-01-01 09:00,2,1,b\n3,2024-01-02 09:00,4,1,c\n\
               1,2024-01-03 09:00,1,1,d\n1,2024-01-04 09:00,1,1,e\n4,2024-01-08 09:00,8,1,f\n";
    Shop::of(csv)
}

#[test]
fn a_snapshot_looks_back_at_the_ones_before() {
    let shop = three_days();
    shop.run(&["--set", "rfm.snapshots=[2024-01-03, 2024-01-05, 2024-01-09]"]);
    let columns = |date: &str| {
        let table = shop.table(&format!("segments/snapshot={date}/part-0"));
        let names =
            ["customer_id", "segment", "previous_segment", "segment_since", "snapshots_in_segment"];
        let columns = names.map(|name| texts(&table, name));
        (0..table.height())
            .map(|row| columns.each_ref().map(|column| column[row].clone()).join("|"))
            .collect::<Vec<_>>()
    };
    // Type-7 cut points of the recencies {1, 2, 2} are 1.4, 1.8, 2, 2: scores 5 and 2; all frequencies are 1.
    assert_eq!(
        columns("2024-01-03"),
        ["1|Rest||2024-01-03|1", "2|Rest||2024-01-03|1", "3|Rest||2024-01-03|1"]
    );
    // Recencies {1, 4, 3} with cut points 1.8, 2.6, 3.2, 3.6: scores 5, 1, 3; frequencies {3, 1, 1}: 5, 1, 1.
    assert_eq!(
        columns("2024-01-05"),
        ["1|Best|Rest|2024-01-05|1", "2|Gone|Rest|2024-01-05|1", "3|Rest|Rest|2024-01-03|2"]
    );
    // Recencies {5, 8, 7, 1}: cut points 3.4, 5.4, 6.6, 7.4, so scores 4, 1, 2, 5.
    assert_eq!(
        columns("2024-01-09"),
        [
            "1|Best|Best|2024-01-05|2",
            "2|Gone|Gone|2024-01-05|2",
            "3|Rest|Rest|2024-01-03|3",
            "4|Rest||2024-01-09|1"
        ]
    );
}

#[test]
fn migration_tells_behaviour_from_cut_points() {
    let shop = three_days();
    shop.run(&["--set", "rfm.snapshots=[2024-01-03, 2024-01-05, 2024-01-09]"]);
    let table = shop.table("migration");
    let names =
        table.get_column_names().into_iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let columns: Vec<Vec<String>> = names.iter().map(|name| texts(&table, name)).collect();
    let rows: Vec<String> = (0..table.height())
        .map(|row| columns.iter().map(|column| column[row].as_str()).collect::<Vec<_>>().join("|"))
        .collect();
    // By the cut points of 3 January (recency 1.4, 1.8, 2, 2; frequency all 1) the values of 5 January score: customer 1 recency 1, 5, and
    // frequency 3, 5: Best, so it moved by behaviour; customer 2 recency 4, 1: Gone, by behaviour; customer 3 recency 3, 1: it would be
    // Gone, but stayed. By those of 5 January nobody but the newcomer moves.
    assert_eq!(
        rows,
        [
            "2024-01-03|2024-01-05|Rest|Best|1|3.0|1|0|3.0|0.0",
            "2024-01-03|2024-01-05|Rest|Rest|1|4.0|0|0|0.0|0.0",
            "2024-01-03|2024-01-05|Rest|Gone|1|2.0|1|0|2.0|0.0",
            "2024-01-05|2024-01-09||Rest|1|8.0|1|0|8.0|0.0",
            "2024-01-05|2024-01-09|Best|Best|1|3.0|0|0|0.0|0.0",
            "2024-01-05|2024-01-09|Rest|Rest|1|4.0|0|0|0.0|0.0",
            "2024-01-05|2024-01-09|Gone|Gone|1|2.0|0|0|0.0|0.0",
        ]
    );
}

/// Nobody buys, everybody ages alike, and newcomers change the quantiles: who moves then moves by the cut points alone.
#[test]
fn newcomers_move_others_by_the_cut_points() {
    let mut csv = "customer,bought,price,units,order\n".to_owned();
    for i in 1..=5 {
        csv += &format!("{i},2024-01-01 09:00,{i},1,a{i}\n");
    }
    csv += "1,2024-01-01 10:00,1,1,b1\n2,2024-01-01 10:00,1,1,b2\n";
    for i in 6..=9 {
        csv += &(0..4).map(|n| format!("{i},2024-01-01 0{n}:00,1,1,{i}{n}\n")).collect::<String>();
    }
    // 6 to 9 come late to the source by a shift of their day.
    let csv = csv
        .lines()
        .map(|line| {
            if line.starts_with(['6', '7', '8', '9']) {
                line.replace("01-01", "01-03")
            } else {
                line.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join("\n");
    let frequency_alone = "score.recency={method: fixed, cut_points: [1000, 1001, 1002, 1003]}";
    let shop = Shop::of(csv);
    shop.run(&["--set", "rfm.snapshots=[2024-01-02, 2024-01-04]", "--set", frequency_alone]);
    let migration = shop.table("migration");
    let moved: Vec<usize> = (0..migration.height())
        .filter(|row| {
            let (from, to) = (texts(&migration, "from_segment"), texts(&migration, "to_segment"));
            !from[*row].is_empty() && from[*row] != to[*row]
        })
        .collect();
    // At 2 January frequencies are 2, 2, 1, 1, 1 with cut points 1, 1, 1.4, 2: 1 and 2 score 4 and are Best. At 4 January they are
    // 2, 2, 1, 1, 1, 4, 4, 4, 4 with cut points 1, 2, 3.6, 4: they score 2 and are the rest, and have done nothing.
    assert_eq!(moved.len(), 1);
    assert_eq!(texts(&migration, "from_segment")[moved[0]], "Best");
    assert_eq!(texts(&migration, "to_segment")[moved[0]], "Rest");
    assert_eq!(floats(&migration, "customers_by_cut_points")[moved[0]], 2.0);
    assert_eq!(floats(&migration, "customers_by_behaviour")[moved[0]], 0.0);
}

/// Over a year of a real shop: what flows into a segment is its size, and the two parts add up to the whole, in customers and money.
#[test]
fn migration_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let grid = "rfm.snapshots={every: 1mo, from: 2011-01-01, until: last}";
    // A window, so that customers leave as well as come.
    if retail(folder.path(), &[grid, "rfm.window=120d"]).is_none() {
        return;
    }
    let table = table(folder.path(), "migration");
    let (from, to) = (texts(&table, "from"), texts(&table, "to"));
    let (was, is) = (texts(&table, "from_segment"), texts(&table, "to_segment"));
    let customers = floats(&table, "customers");
    let (behaviour, cuts) =
        (floats(&table, "customers_by_behaviour"), floats(&table, "customers_by_cut_points"));
    let money =
        ["money", "money_by_behaviour", "money_by_cut_points"].map(|name| floats(&table, name));
    let (mut left, mut by_cuts) = (0.0, 0.0);
    for row in 0..table.height() {
        let expected = if was[row] == is[row] { 0.0 } else { customers[row] };
        assert_eq!(behaviour[row] + cuts[row], expected);
        let expected = if was[row] == is[row] { 0.0 } else { money[0][row] };
        assert!((money[1][row] + money[2][row] - expected).abs() < 1e-6);
        left += if is[row].is_empty() { customers[row] } else { 0.0 };
        by_cuts += cuts[row];
    }
    assert!(left > 500.0 && by_cuts > 100.0, "{left} left, {by_cuts} moved by the cut points");
    let months = month_ends();
    for pair in months.windows(2) {
        let of_pair = |row: &usize| from[*row] == pair[0] && to[*row] == pair[1];
        for (date, side) in [(&pair[0], &was), (&pair[1], &is)] {
            let segments = texts(&snapshot(folder.path(), date), "segment");
            for name in ["Champions", "Loyal", "Hibernating", "Promising"] {
                let flow: f64 = (0..table.height())
                    .filter(of_pair)
                    .filter(|row| side[*row] == name)
                    .map(|row| customers[row])
                    .sum();
                assert_eq!(
                    flow,
                    segments.iter().filter(|segment| *segment == name).count() as f64,
                    "{date} {name}"
                );
            }
        }
    }
}

/// 34.6 % of customers get another segment after 91 days (the reference notes, section 5); the indices from DuckDB and numpy over the raw lines.
#[test]
fn online_retail_drifts_in_91_days() {
    let folder = tempfile::tempdir().unwrap();
    let dates = ["rfm.snapshots=2011-12-10", "rfm.snapshots=[2011-09-10, 2011-12-10]"];
    let cuts = ["score.cut_points={frozen: 2011-09-10}", "score.cut_points=refit"];
    for (dates, cuts) in dates.into_iter().zip(cuts) {
        if retail(folder.path(), &[dates, cuts]).is_none() {
            return;
        }
        let drift = table(folder.path(), "drift");
        assert_eq!(
            texts(&drift, "dimension"),
            ["recency_days", "frequency", "monetary", "segment"]
        );
        assert_eq!(texts(&drift, "base"), ["2011-09-10"; 4]);
        let close = |name: &str, expected: [f64; 4]| {
            for (found, expected) in floats(&drift, name).into_iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-12 || expected.is_nan(),
                    "{name}: {found} {expected}"
                );
            }
        };
        close(
            "psi",
            [
                0.090_013_734_765_746_46,
                0.024_422_724_409_799_583,
                0.019_483_807_397_940_59,
                f64::NAN,
            ],
        );
        let of = |customers: f64| customers / 4338.0;
        close("moved", [of(1121.0), of(1515.0), of(825.0), of(1501.0)]);
        assert!((floats(&drift, "moved")[3] - 0.346).abs() < 0.0005);
    }
    // Under kept cut points nobody moves because of them.
    retail(
        folder.path(),
        &["rfm.snapshots=[2011-09-10, 2011-12-10]", "score.cut_points={frozen: 2011-09-10}"],
    );
    assert_eq!(
        floats(&table(folder.path(), "migration"), "customers_by_cut_points").iter().sum::<f64>(),
        0.0
    );
    // At its own snapshot a yardstick is what it would be anew.
    retail(&folder.path().join("refit"), &["rfm.snapshots=[2011-09-10]"]);
    let [kept, refit] = [folder.path().to_owned(), folder.path().join("refit")]
        .map(|to| snapshot(&to, "2011-09-10"));
    assert!(kept.equals_missing(&refit));
}

/// The rates of the reference notes, section 1e, which give two digits; and an interval that holds what it should.
#[test]
fn segments_of_online_retail_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let set =
        ["score.method=percent_rank", "evaluate.validity.horizon=91d", "rfm.snapshots=2011-12-10"];
    if retail(folder.path(), &set).is_none() {
        return;
    }
    // The snapshot whose 91 days end with the published one is looked at though it is not published.
    let validity = table(folder.path(), "validity");
    assert_eq!(texts(&validity, "snapshot"), ["2011-09-10"; 11]);
    let expected = [
        ("Hibernating", 0.34),
        ("Promising", 0.43),
        ("About to Sleep", 0.44),
        ("New", 0.51),
        ("At Risk", 0.51),
        ("Cannot Lose", 0.53),
        ("Need Attention", 0.53),
        ("Potential Loyalist", 0.61),
        ("Loyal", 0.79),
        ("Champions", 0.85),
    ];
    let names = texts(&validity, "segment");
    let at = |column: &str, row: usize| floats(&validity, column)[row];
    for (name, rate) in expected {
        let row = names.iter().position(|found| found == name).unwrap();
        assert!((at("buy_rate", row) - rate).abs() < 0.0051, "{name}: {}", at("buy_rate", row));
        let (n, p) = (at("customers", row), at("buy_rate", row));
        assert_eq!(at("buyers", row), (p * n).round());
        // The bootstrap of a rate is close to the normal interval.
        let wald = 1.96 * (p * (1.0 - p) / n).sqrt();
        assert!(
            (at("buy_rate_high", row) - at("buy_rate_low", row) - 2.0 * wald).abs()
                < 0.35 * wald + 1.01 / n,
            "{name}"
        );
        assert!(
            at("money_mean_low", row) < at("money_mean", row)
                && at("money_mean", row) < at("money_mean_high", row)
        );
    }
    // Champions are 14 % of customers and 48 % of later money.
    let champions = names.iter().position(|found| found == "Champions").unwrap();
    assert!((at("money_share", champions) - 0.48).abs() < 0.005);
    assert!((at("customers", champions) / at("customers", 0) - 0.14).abs() < 0.005);
    let sum = |column: &str| floats(&validity, column)[1..].iter().sum::<f64>();
    assert!(
        (sum("money") - at("money", 0)).abs() < 1e-6 && (sum("money_share") - 1.0).abs() < 1e-12
    );
}

/// A gate that fails keeps results from readers, unless they are published anyway.
#[test]
fn a_gate_that_fails_exits_1() {
    let shop = three_days();
    let snapshots = "rfm.snapshots=[2024-01-03, 2024-01-05]";
    // One of three has another segment under the cut points of 3 January: customer 3, who would be Gone.
    let gate = |bound: &str| {
        format!(
            "evaluate.gates={{drift.segment.moved: \"{bound}\", drift.frequency.psi: \">= 0\"}}"
        )
    };
    let run = |bound: &str, more: &[&str]| {
        let args = ["-q", "run", "shop.yaml", "--set", snapshots, "--set", &gate(bound)];
        shop.custseg(&[&args[..], more].concat())
    };
    let failed = run("< 0.33", &[]);
    assert_eq!((failed.code, failed.stdout.as_str()), (1, ""));
    insta::with_settings!({filters => vec![("[0-9a-f]{16}", "[run]")]}, {
        insta::assert_snapshot!("gate_failed", failed.stderr);
    });
    assert!(!shop.path("out/current").exists());
    let kept = fs::read_dir(shop.path("out/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir());
    assert!(kept.unwrap().join("segments").exists());
    assert_eq!(run("< 0.33", &["--publish-anyway"]).code, 0);
    assert!(shop.path("out/current/segments").exists());
    assert_eq!(run("<= 0.34", &[]).code, 0);
    // A figure that was not measured lets nobody pass.
    let args = ["-q", "run", "shop.yaml", "--set", &gate("<= 1")];
    let unmeasured = shop.custseg(&args);
    assert_eq!(unmeasured.code, 1);
    assert!(
        unmeasured.stderr.contains("drift.segment.moved: not measured"),
        "{}",
        unmeasured.stderr
    );
}

/// What is new is measured, what is not stays the same file, and all of it is what a whole run would give.
#[test]
fn only_new_measures_what_has_changed() {
    let head = "customer,bought,price,units,order\n";
    let months = ["2024-01", "2024-02", "2024-03"];
    let lines = |month: &str| -> String {
        (1..=9).map(|i| format!("{i},{month}-0{i} 09:00,{i},1,{month}{i}\n")).collect()
    };
    let shop = Shop::of(head).edit("paths: [shop.csv]", "paths: [\"month-*.csv\"]");
    let write = |name: &str, text: &str| {
        fs::write(shop.path(&format!("month-{name}.csv")), format!("{head}{text}")).unwrap()
    };
    months.iter().for_each(|month| write(month, &lines(month)));
    let grid = "rfm.snapshots={every: 1mo, from: 2024-02-01}";
    let measured = |more: &[&str]| -> (i32, Vec<String>) {
        let run = [&["-q", "run", "shop.yaml", "--only-new", "--set", grid], more].concat();
        let outcome = shop.custseg(&run);
        let line: serde_json::Value =
            serde_json::from_str(outcome.stdout.trim()).unwrap_or_default();
        let dates = line["measured"].as_array().into_iter().flatten();
        (outcome.code, dates.map(|date| date.as_str().unwrap().to_owned()).collect())
    };
    let inode = |date: &str| {
        fs::metadata(shop.path(&format!("out/current/segments/snapshot={date}/part-0.parquet")))
            .unwrap()
            .ino()
    };
    let equal_to_a_whole_run = |more: &[&str]| {
        let set = ["--set", grid, "--set", "publish.to=whole"];
        assert_eq!(shop.custseg(&[&["-q", "run", "shop.yaml"], &set[..], more].concat()).code, 0);
        assert_eq!(hashes(&shop.path("out")), hashes(&shop.path("whole")));
    };
    let all = ["2024-02-01", "2024-03-01", "2024-03-10"].map(str::to_owned).to_vec();
    assert_eq!(measured(&[]), (0, all));
    assert_eq!(measured(&[]), (0, vec![]));
    assert_eq!(measured(&["--skip-code"]), (99, vec![]));
    // A month more: its snapshots are new, the earlier ones are the same files.
    let before = [inode("2024-02-01"), inode("2024-03-01")];
    write("2024-04", &lines("2024-04"));
    assert_eq!(measured(&[]), (0, vec!["2024-04-01".to_owned(), "2024-04-10".to_owned()]));
    assert_eq!([inode("2024-02-01"), inode("2024-03-01")], before);
    equal_to_a_whole_run(&[]);
    // A line that comes late touches the snapshots after it.
    write("2024-02-late", "77,2024-02-20 09:00,5,1,late\n");
    let touched = ["2024-03-01", "2024-04-01", "2024-04-10"].map(str::to_owned).to_vec();
    assert_eq!(measured(&[]), (0, touched));
    assert_eq!(inode("2024-02-01"), before[0]);
    equal_to_a_whole_run(&[]);
    // A line that is rejected touches none; the ledger is new all the same.
    write("2024-03-bad", "8,2024-03-05 09:00,0,1,free\n");
    assert_eq!(measured(&[]), (0, vec![]));
    equal_to_a_whole_run(&[]);
    // Other definitions measure everything.
    assert_eq!(measured(&["--set", "score.method=rank"]).1.len(), 4);
    // With a window, only those within it.
    let window = ["--set", "rfm.window=40d"];
    assert_eq!(measured(&window).1.len(), 4);
    write("2024-01-late", "88,2024-01-20 09:00,5,1,later\n");
    assert_eq!(measured(&window), (0, vec!["2024-02-01".to_owned()]));
    equal_to_a_whole_run(&window);
}

/// Attributes, outliers, categories and returns that are matched are looked at too.
#[test]
fn only_new_sees_what_stands_beside_the_lines() {
    let head = "customer,bought,price,units,order,product\n";
    let lines: String =
        (1..=9).map(|i| format!("{i},2024-01-0{i} 09:00,{i},2,A{i},P{}\n", i % 3)).collect();
    let shop = Shop::of(format!("{head}{lines}"))
        .edit("unit_price: price }", "unit_price: price, category: product, product_id: product }")
        .edit("paths: [shop.csv]", "paths: [shop.csv, more.csv]")
        .edit("  timezone", "  customers: { paths: [people.csv], key: id, attributes: [city] }\n  timezone")
        .edit(
            "order_id_prefix: C }",
            "order_id_prefix: C, policy: match }\n  - cap_outliers: { quantile: 0.9, policy: winsorise }",
        )
        .edit(
            "snapshots: last",
            "snapshots: [2024-01-05, 2024-01-10, 2024-01-20], top_categories: 2, features: [n_products]",
        );
    let write = |name: &str, text: &str| fs::write(shop.path(name), text).unwrap();
    write("people.csv", "id,city\n1,Ulm\n2,Bonn\n");
    write("more.csv", head);
    let measured = || -> Vec<String> {
        let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--only-new"]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(shop.custseg(&["-q", "run", "shop.yaml", "--set", "publish.to=whole"]).code, 0);
        assert_eq!(hashes(&shop.path("out")), hashes(&shop.path("whole")));
        let line: serde_json::Value = serde_json::from_str(outcome.stdout.trim()).unwrap();
        line["measured"]
            .as_array()
            .unwrap()
            .iter()
            .map(|date| date.as_str().unwrap()[8..].to_owned())
            .collect()
    };
    assert_eq!(measured(), ["05", "10", "20"]);
    // Customer 2 returns on 12 January what it bought on the 2nd.
    write("more.csv", &format!("{head}2,2024-01-12 09:00,2,-2,CA2,P2\n"));
    assert_eq!(measured(), ["20"]);
    write("people.csv", "id,city\n1,Ulm\n2,Berlin\n");
    assert_eq!(measured(), ["05", "10", "20"]);
}

#[test]
fn a_published_outcome_tells_what_stayed() {
    let shop = three_days();
    let request =
        custseg::config::Request { pipeline: Some(shop.path("shop.yaml")), ..Default::default() };
    let p = custseg::config::load(&request).unwrap();
    let how = How { only_new: true, ..How::default() };
    assert!(
        matches!(pipeline::run(&p, how).unwrap(), Outcome::Published { stayed, .. } if stayed.is_empty())
    );
    assert!(matches!(pipeline::run(&p, how).unwrap(), Outcome::NothingNew(_)));
    // A published run that is damaged is nothing to build on.
    fs::write(shop.path("out/current/ledger.parquet"), "").unwrap();
    assert!(
        matches!(pipeline::run(&p, how).unwrap(), Outcome::Published { stayed, .. } if stayed.is_empty())
    );
}

/// Of scores by rank no cut points say what another snapshot's would make of a customer, so none is said to have drifted.
#[test]
fn scores_by_rank_do_not_drift() {
    let shop = three_days();
    let set = ["--set", "score.method=rank", "--set", "rfm.snapshots=[2024-01-03, 2024-01-05]"];
    shop.run(&set);
    let drift = shop.table("drift");
    assert_eq!(drift.height(), 4);
    assert!(
        ["psi", "moved", "money_moved"]
            .iter()
            .all(|name| floats(&drift, name).iter().all(|value| value.is_nan()))
    );
    let migration = shop.table("migration");
    assert!(floats(&migration, "customers").iter().sum::<f64>() == 3.0);
    assert!(floats(&migration, "customers_by_behaviour").iter().all(|value| value.is_nan()));
    let gate = "evaluate.gates={drift.segment.moved: \"<= 1\"}";
    let refused = shop.custseg(&[&["check", "shop.yaml", "--set", gate], &set[..]].concat());
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("scores by rank have no cut points that could drift"),
        "{}",
        refused.stderr
    );
}

/// A snapshot that validity would look at, but at which nobody had been there long enough, is left out.
#[test]
fn validity_needs_nobody_to_have_been_there() {
    let shop = three_days();
    shop.run(&["--set", "rfm.min_history_days=4", "--set", "evaluate.validity.horizon=5d"]);
    assert_eq!(shop.table("validity").height(), 0);
}

/// Categories without a name make an empty table, which stays one.
#[test]
fn only_new_over_categories_that_are_all_empty() {
    let csv = "customer,bought,price,units,order,kind\n1,2024-01-01 09:00,1,1,a,\n2,2024-01-02 09:00,1,1,b,\n";
    let shop = Shop::of(csv)
        .edit("unit_price: price }", "unit_price: price, category: kind }")
        .edit("snapshots: last", "snapshots: 2024-01-03, top_categories: 2");
    shop.run(&[]);
    fs::write(shop.path("shop.csv"), format!("{csv}3,2024-01-02 09:00,0,1,c,\n")).unwrap();
    shop.run(&["--only-new"]);
    assert_eq!(shop.table("top_categories").height(), 0);
}

/// A run that was published though a gate failed is good only for those who want it so.
#[test]
fn only_new_remembers_a_failed_gate() {
    let shop = three_days();
    let gate = "evaluate.gates={drift.segment.moved: \"<= 0\"}";
    let run = |more: &[&str]| {
        let args = [
            "-q",
            "run",
            "shop.yaml",
            "--only-new",
            "--set",
            gate,
            "--set",
            "rfm.snapshots=[2024-01-03, 2024-01-05]",
        ];
        shop.custseg(&[&args[..], more].concat()).code
    };
    assert_eq!(run(&[]), 1);
    assert_eq!(run(&["--publish-anyway"]), 0);
    // What the failed try left behind is gone with it.
    let left: Vec<String> = fs::read_dir(shop.path("out/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(left.len() == 1 && !left[0].ends_with(".failed"), "{left:?}");
    assert_eq!(run(&["--publish-anyway", "--skip-code"]), 99);
    assert_eq!(run(&["--skip-code"]), 1);
}

/// A table that the manifest does not name would be read with the others, so such a run is not whole.
#[test]
fn a_strange_table_is_no_part_of_a_run() {
    let shop = three_days();
    shop.run(&[]);
    let folder = shop.path("out/current/segments/snapshot=2024-01-09");
    fs::copy(folder.join("part-0.parquet"), folder.join("part-1.parquet")).unwrap();
    let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--only-new", "--skip-code"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(!folder.join("part-1.parquet").exists());
}

/// Attributes may be bytes that are no text.
#[test]
fn attributes_may_be_bytes() {
    let shop = three_days().edit(
        "  timezone",
        "  customers: { paths: [people.parquet], key: id, attributes: [secret] }\n  timezone",
    );
    let secret = Column::new("secret".into(), [&[0xffu8, 0x00][..], &[0xfe], &[]]);
    let mut people =
        DataFrame::new(3, vec![Column::new("id".into(), ["1", "2", "3"]), secret]).unwrap();
    ParquetWriter::new(fs::File::create(shop.path("people.parquet")).unwrap())
        .finish(&mut people)
        .unwrap();
    shop.run(&[]);
    assert_eq!(
        shop.table("segments/snapshot=2024-01-09/part-0").column("secret").unwrap().dtype(),
        &DataType::Binary
    );
}
