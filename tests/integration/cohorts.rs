//! Cohorts by first purchase: retention and money in the periods after it.

use std::path::Path;

use polars::prelude::*;

use super::harness::{Shop, floats, load, reference, root, run_pipeline, table, texts};

/// Cohort, period, customers, buyers, money and completeness of each row.
fn rows(cohorts: &DataFrame) -> Vec<String> {
    let columns = ["cohort", "period", "customers", "buyers", "money", "complete"];
    let columns = columns.map(|name| texts(cohorts, name));
    (0..cohorts.height())
        .map(|row| columns.each_ref().map(|column| column[row].clone()).join("|"))
        .collect()
}

/// Customer 1 buys in January (twice), March and April, customer 2 in January and February,
/// customer 3 first in March. The snapshot is 9 April.
#[test]
fn cohorts_count_buyers_by_period() {
    let shop = Shop::with_csv(
        "customer,bought,price,units,order\n\
         1,2024-01-01 09:00,1,1,a\n1,2024-01-31 23:00,2,1,b\n1,2024-03-03 09:00,4,1,c\n\
         1,2024-04-08 09:00,8,1,d\n2,2024-01-15 09:00,16,1,e\n2,2024-02-29 09:00,32,1,f\n\
         3,2024-03-31 09:00,64,1,g\n",
    );
    shop.run(&["--set", "evaluate.cohorts={ periods: 2 }"]);
    let cohorts = shop.table("cohorts");
    assert_eq!(
        rows(&cohorts),
        [
            "2024-01-01|0|2|2|19.0|true",
            "2024-01-01|1|2|1|32.0|true",
            "2024-01-01|2|2|1|4.0|true",
            "2024-03-01|0|1|1|64.0|true",
            "2024-03-01|1|1|0|0.0|false",
        ]
    );
    assert_eq!(floats(&cohorts, "retention"), [1.0, 0.5, 0.5, 1.0, 0.0]);
    assert_eq!(floats(&cohorts, "money_mean"), [9.5, 16.0, 2.0, 64.0, 0.0]);
    assert_eq!(floats(&cohorts, "cumulative_money_mean"), [9.5, 25.5, 27.5, 64.0, 64.0]);
    shop.run(&["--set", "evaluate.cohorts={ by: quarter, periods: 1 }"]);
    assert_eq!(
        rows(&shop.table("cohorts")),
        ["2024-01-01|0|3|3|119.0|true", "2024-01-01|1|3|1|8.0|false"]
    );
    // 1 January 2024 is a Monday.
    shop.run(&["--set", "evaluate.cohorts={ by: week, periods: 4 }"]);
    let weeks = rows(&shop.table("cohorts"));
    assert_eq!(weeks[0], "2024-01-01|0|1|1|1.0|true");
    assert_eq!(weeks[4], "2024-01-01|4|1|1|2.0|true");
    assert_eq!(weeks[5], "2024-01-15|0|1|1|16.0|true");
    assert_eq!(weeks.last().unwrap(), "2024-03-25|2|1|0|0.0|false");
    // Nothing is known of the days after 8 April.
    shop.run(&["--set", "evaluate.cohorts={}", "--as-of", "2024-12-01"]);
    let months = rows(&shop.table("cohorts"));
    assert_eq!(months[3], "2024-01-01|3|2|1|8.0|false");
    assert_eq!(months.len(), 6, "{months:?}");
    let invalid = shop.custseg(&["check", "shop.yaml", "--set", "evaluate.cohorts={ by: day }"]);
    assert_eq!(invalid.code, 2, "{}", invalid.stderr);
}

/// Under the policy `match` an order that was returned whole is no first purchase, and its money is
/// in the first period: all money is that of the segments.
#[test]
fn returned_orders_are_no_first_purchase() {
    let shop = Shop::with_csv(
        "customer,bought,price,units,order,product\n\
         1,2024-01-05 09:00,4,1,a,p\n1,2024-01-20 09:00,4,-1,Ca,p\n1,2024-03-05 09:00,8,1,b,p\n\
         2,2024-01-05 09:00,2,3,c,p\n2,2024-03-01 09:00,2,-1,Cc,p\n",
    );
    let shop = shop.edit("unit_price: price }", "unit_price: price, product_id: product }");
    let shop = shop.edit("{ order_id_prefix: C }", "{ order_id_prefix: C, policy: match }");
    shop.run(&["--set", "evaluate.cohorts={ periods: 3 }", "--as-of", "2024-03-06"]);
    assert_eq!(
        rows(&shop.table("cohorts")),
        [
            "2024-01-01|0|1|1|6.0|true",
            "2024-01-01|1|1|0|0.0|true",
            "2024-01-01|2|1|0|-2.0|false",
            "2024-03-01|0|1|1|8.0|false",
        ]
    );
}

/// The size of the table, and sums of buyers, (period + 1) × buyers, money and period × money.
fn sums(cohorts: &DataFrame) -> [f64; 5] {
    let [period, buyers, money] = ["period", "buyers", "money"].map(|name| floats(cohorts, name));
    let sum = |value: &dyn Fn(usize) -> f64| (0..cohorts.height()).map(value).sum::<f64>();
    let size = buyers.iter().filter(|buyers| **buyers > 0.0).count() as f64;
    [
        size,
        sum(&|i| buyers[i]),
        sum(&|i| (period[i] + 1.0) * buyers[i]),
        sum(&|i| money[i]),
        sum(&|i| period[i] * money[i]),
    ]
}

fn assert_sums(to: &Path, expected: [f64; 5]) {
    let found = sums(&table(to, "cohorts"));
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() < 0.01, "{found} {expected}");
    }
}

/// By DuckDB: `date_diff` between `date_trunc` of the day and of the customer's first day.
#[test]
#[ignore = "needs CUSTSEG_REFERENCE_DATA"]
fn cohorts_of_online_retail_equal_duckdb() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let source = reference("online-retail/online_retail.parquet");
    for (by, expected) in [
        ("week", [580.0, 7_560.0, 28_828.0, 3_530_703.703, 9_995_511.7]),
        ("quarter", [15.0, 9_373.0, 19_968.0, 8_911_407.904, 14_880_809.152]),
        ("month", [91.0, 13_054.0, 61_157.0, 8_911_407.904, 41_399_454.288]),
    ] {
        let set = [
            format!("ingest.transactions.paths=[\"{}\"]", source.display()),
            format!("publish.to=\"{}\"", to.display()),
            "models={}".to_owned(),
            format!("evaluate.cohorts={{ by: {by} }}"),
        ];
        run_pipeline(&load("pipelines/online_retail.yaml", &set), Default::default());
        assert_sums(&to, expected);
    }
    // The figures of this cohort are in many notebooks about these data.
    let buyers = floats(&table(&to, "cohorts"), "buyers");
    assert_eq!(buyers[..6], [885.0, 324.0, 286.0, 340.0, 321.0, 352.0]);
}

/// By DuckDB, as above.
#[test]
fn cohorts_of_cdnow_equal_duckdb() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let set = [
        format!("publish.to=\"{}\"", to.display()),
        "models={}".to_owned(),
        "evaluate.cohorts={}".to_owned(),
    ];
    assert!(root().join("data/raw/cdnow.csv").exists());
    run_pipeline(&load("pipelines/cdnow.yaml", &set), Default::default());
    assert_sums(&to, [40.0, 48_981.0, 197_277.0, 2_187_895.22, 7_572_121.73]);
}
