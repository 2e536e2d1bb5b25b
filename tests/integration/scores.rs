//! How values become scores: every method against a plain loop, and other tools' scores against what those tools give.

use chrono::NaiveDate;
use custseg::columns::{CUSTOMER_ID, SNAPSHOT};
use custseg::rfm::Snapshots;
use custseg::score::{self, Cutting, Dimension, DimensionParams, Method, ScoreParams};
use polars::prelude::*;
use proptest::prelude::*;

use super::harness::{Shop, floats, reference, root, table, texts};

/// Snapshots of customers "000", "001" … with these values.
fn snapshots(values: &[(i32, u32, f64)]) -> Snapshots {
    let date = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap();
    let ids: Vec<String> = (0..values.len()).map(|i| format!("{i:03}")).collect();
    let mut frame = df![
        SNAPSHOT => vec![date; values.len()],
        CUSTOMER_ID => ids,
        Dimension::Recency.value() => values.iter().map(|v| v.0).collect::<Vec<_>>(),
        Dimension::Frequency.value() => values.iter().map(|v| v.1).collect::<Vec<_>>(),
        Dimension::Monetary.value() => values.iter().map(|v| v.2).collect::<Vec<_>>(),
    ]
    .unwrap();
    frame.align_chunks();
    Snapshots { frame, dates: vec![date], tables: Vec::new() }
}

fn scored(method: &Method, bins: u8, zero_apart: bool, values: &[(i32, u32, f64)]) -> [Vec<u8>; 3] {
    let of = |apart: bool| DimensionParams { method: method.clone(), bins, zero_apart: apart };
    let params = ScoreParams {
        dimensions: [of(false), of(zero_apart), of(zero_apart)],
        weights: None,
        cutting: Cutting::Refit,
    };
    let frame = score::score(&params, snapshots(values), None).unwrap().frame;
    Dimension::ALL.map(|d| {
        frame.column(d.score()).unwrap().u8().unwrap().iter().map(Option::unwrap).collect()
    })
}

/// Scores of one dimension by a plain loop, from values in the order of customer_id; `good` is higher for better customers.
fn by_hand(method: &Method, bins: usize, good: &[f64]) -> Vec<usize> {
    let n = good.len();
    let worse = |x: f64| good.iter().filter(|other| **other < x).count();
    let equal = |x: f64| good.iter().filter(|other| **other == x).count();
    let ordinal =
        |i: usize| worse(good[i]) + good[..i].iter().filter(|other| **other == good[i]).count();
    let one = |i: usize| match method {
        Method::Rank => (1..=bins)
            .find(|tile| {
                ordinal(i) < (1..=*tile).map(|t| n / bins + usize::from(t <= n % bins)).sum()
            })
            .unwrap(),
        Method::PercentRank => {
            1 + (1..bins).filter(|k| worse(good[i]) * bins >= k * (n - 1).max(1)).count()
        }
        Method::AverageRank => {
            let average = worse(good[i]) as f64 + (equal(good[i]) as f64 + 1.0) / 2.0;
            1 + (1..bins).filter(|k| average * bins as f64 > (*k * n) as f64).count()
        }
        _ => unreachable!(),
    };
    (0..n).map(one).collect()
}

fn customers() -> impl Strategy<Value = Vec<(i32, u32, f64)>> {
    prop::collection::vec(
        (1..30i32, 0..6u32, (0..40u32).prop_map(|pence| f64::from(pence) / 4.0)),
        1..60,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ranks_are_those_of_a_plain_loop(values in customers(), bins in 2..=10u8) {
        for method in [Method::Rank, Method::PercentRank, Method::AverageRank] {
            let found = scored(&method, bins, false, &values);
            let good = [
                values.iter().map(|v| -f64::from(v.0)).collect::<Vec<_>>(),
                values.iter().map(|v| f64::from(v.1)).collect(),
                values.iter().map(|v| v.2).collect(),
            ];
            for (found, good) in found.iter().zip(&good) {
                let expected = by_hand(&method, usize::from(bins), good);
                let found: Vec<usize> = found.iter().map(|score| usize::from(*score)).collect();
                prop_assert_eq!(&found, &expected, "{:?} {:?}", method, good);
            }
        }
    }

    /// Under any method scores rise with what is better; those that go by cut points never part equal values; and with zeros
    /// apart the lowest score is theirs alone.
    #[test]
    fn scores_are_monotone_and_equal_values_share_them(values in customers(), bins in 3..=10u8) {
        let by_value = [Method::Quantile, Method::PercentRank, Method::RRfm, Method::QcutDrop, Method::AverageRank];
        for method in by_value.iter().chain(&[Method::Rank, Method::RankQcut]) {
            let scores = scored(method, bins, false, &values);
            let parts = matches!(method, Method::Rank | Method::RankQcut);
            for i in 0..values.len() {
                for j in 0..values.len() {
                    let better = [values[i].0 < values[j].0, values[i].1 > values[j].1, values[i].2 > values[j].2];
                    let equal = [values[i].0 == values[j].0, values[i].1 == values[j].1, values[i].2 == values[j].2];
                    for d in 0..3 {
                        prop_assert!((1..=bins).contains(&scores[d][i]));
                        prop_assert!(!better[d] || scores[d][i] >= scores[d][j], "{:?}", method);
                        prop_assert!(!equal[d] || parts || scores[d][i] == scores[d][j], "{:?}", method);
                    }
                }
            }
        }
        let [_, f, m] = scored(&Method::Quantile, bins, true, &values);
        for (i, value) in values.iter().enumerate() {
            prop_assert_eq!(f[i] == 1, value.1 == 0);
            prop_assert_eq!(m[i] == 1, value.2 == 0.0);
        }
    }
}

/// Online Retail under each preset: counts of segments published for those tools, or given by DuckDB (see below).
#[test]
fn presets_score_as_their_tools_do() {
    let Some(source) = reference("online-retail/online_retail.parquet") else { return };
    let days = "rfm={frequency: days, monetary: mean_per_day}";
    let gallery: [(&str, &str, &[&str], &str); 4] = [
        (
            "r_rfm",
            "r_rfm",
            &[],
            "Potential Loyalist 1280, Lost 772, Loyal Customers 687, About To Sleep 631, New Customers 356, \
            Champions 324, Promising 98, Can't Lose Them 81, At Risk 63, Need Attention 32, Others 14",
        ),
        (
            "klaviyo",
            "klaviyo",
            &[],
            "Champions 1658, Recent 1005, Loyal 975, At risk 536, Needs attention 92, Inactive 72",
        ),
        (
            "pandas_qcut_first",
            "dbt_rf",
            &[],
            "Hibernating 1071, Loyal 819, Champions 633, At Risk 593, \
            Potential Loyalist 484, About to Sleep 352, Need Attention 187, Promising 94, Cannot Lose 63, New 42",
        ),
        (
            "pymc_marketing",
            "pymc_marketing",
            &[days],
            "Inactive Customer 1369, At Risk Customer 891, Top Spender 715, \
            Other 646, Premium Customer 548, Repeat Customer 169",
        ),
    ];
    for (compat, map, set, expected) in gallery {
        let map = format!("segment.map=../config/segments/{map}.yaml");
        let to = run(
            &source,
            &[&[format!("score={{compat: {compat}}}").as_str(), &map, "models={}"], set].concat(),
        );
        let profile = table(to.path(), "segment_profile");
        let mut found: Vec<(String, String)> = texts(&profile, "segment")
            .into_iter()
            .zip(texts(&profile, "customers"))
            .filter(|(_, n)| n != "0")
            .collect();
        let mut expected: Vec<(String, String)> = expected
            .split(", ")
            .map(|one| {
                one.rsplit_once(' ').map(|(name, n)| (name.to_owned(), n.to_owned())).unwrap()
            })
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{compat}");
    }
}

/// DuckDB 1.x: percent_rank() with `>=` and ntile(5), ordered by the value from the worst and by customer; sums of score ×
/// customer number over Online Retail.
#[test]
fn ranks_are_those_of_sql() {
    let Some(source) = reference("online-retail/online_retail.parquet") else { return };
    for (score, expected) in [
        ("score={compat: dbt}", [198_345_527.0, 174_296_794.0, f64::NAN]),
        ("score={method: rank}", [199_044_967.0, 201_018_745.0, 198_090_084.0]),
    ] {
        let to = run(&source, &[score, "models={}"]);
        let segments = table(to.path(), "segments/snapshot=2011-12-10/part-0");
        let ids = floats(&segments, "customer_id");
        for (name, expected) in ["r_score", "f_score", "m_score"].into_iter().zip(expected) {
            let sum: f64 =
                floats(&segments, name).iter().zip(&ids).map(|(score, id)| score * id).sum();
            assert!(expected.is_nan() || sum == expected, "{score} {name}: {sum}");
        }
    }
}

/// Shares of scores that change with the definition, as published for Online Retail.
#[test]
fn sensitivity_of_online_retail() {
    let Some(source) = reference("online-retail/online_retail.parquet") else { return };
    let to = run(&source, &["evaluate={sensitivity: true}", "models={}"]);
    let sensitivity = table(to.path(), "sensitivity");
    let moved: Vec<(String, String)> = texts(&sensitivity, "alternative")
        .into_iter()
        .zip(
            floats(&sensitivity, "score_moved").iter().map(|share| format!("{:.1}", share * 100.0)),
        )
        .collect();
    for (alternative, share) in
        [("lines", "56.4"), ("units", "55.3"), ("days", "8.7"), ("mean_per_order", "63.0")]
    {
        assert!(
            moved.contains(&(alternative.to_owned(), share.to_owned())),
            "{alternative}: {moved:?}"
        );
    }
    // No return is kept here, so that gross is net; and money does not name the segments of the default map.
    assert_eq!(moved.iter().find(|(name, _)| name == "gross").unwrap().1, "0.0");
    assert_eq!(floats(&sensitivity, "segment_moved").last(), Some(&0.0));
}

fn run(source: &std::path::Path, set: &[&str]) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let paths = [
        format!("ingest.transactions.paths=[{}]", source.display()),
        format!("publish.to={}", to.path().display()),
    ];
    let set: Vec<String> =
        paths.into_iter().chain(set.iter().map(|one| (*one).to_owned())).collect();
    custseg::pipeline::run(
        &super::harness::load("pipelines/online_retail.yaml", &set),
        Default::default(),
    )
    .unwrap();
    to
}

/// The shop's customers by other definitions. 1001: A1 with 3.00 and 4.00, less 3.00; 1002: 10.00 and 0.30; 1003: 101.00.
#[test]
fn monetary_and_window_by_hand() {
    let shop =
        Shop::fixture().edit("{ order_id_prefix: C }", "{ order_id_prefix: C, policy: net }");
    let monetary = |set: &str| {
        let segments = shop.run(&["--set", set]).table("segments/snapshot=2024-03-02/part-0");
        (texts(&segments, "customer_id"), floats(&segments, "monetary"))
    };
    let all = ["1001", "1002", "1003"].map(str::to_owned).to_vec();
    assert_eq!(monetary("rfm.monetary=net"), (all.clone(), vec![4.0, 10.3, 101.0]));
    assert_eq!(monetary("rfm.monetary=gross"), (all.clone(), vec![7.0, 10.3, 101.0]));
    assert_eq!(monetary("rfm.monetary=mean_per_order"), (all.clone(), vec![4.0, 5.15, 101.0]));
    assert_eq!(monetary("rfm.monetary=mean_per_day"), (all, vec![4.0, 5.15, 101.0]));
    // The 30 days before 2 March begin on 1 February: 1001's lines lie before, both of 1002's within.
    assert_eq!(monetary("rfm.window=30d"), (vec!["1002".into(), "1003".into()], vec![10.3, 101.0]));
    assert_eq!(monetary("rfm.window=2d"), (vec!["1002".into(), "1003".into()], vec![0.3, 101.0]));
    // Known for 21 days or more on 2 March: since 10 February at the latest.
    assert_eq!(monetary("rfm.min_history_days=21").0, ["1001", "1002"]);
    assert_eq!(monetary("rfm.min_history_days=22").0, ["1001"]);
    let outcome = shop.custseg(&["-q", "run", "shop.yaml", "--set", "rfm.min_history_days=900"]);
    assert_eq!(outcome.code, 3);
    assert!(outcome.stderr.contains("no customer is left"), "{}", outcome.stderr);
}

/// 1001 bought on 5 January and came back to nothing; 1002 on 10 February and 1 March, 20 days later; P1 and P2 are two products.
#[test]
fn further_columns_by_hand() {
    let shop = Shop::fixture().edit("order_id: order,", "order_id: order, product_id: product,");
    let set =
        "rfm.features=[tenure_days, mean_gap_days, gap_days_std, average_order_value, n_products]";
    let segments = shop.run(&["--set", set]).table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "tenure_days"), ["57", "21", "2"]);
    assert_eq!(texts(&segments, "mean_gap_days"), ["", "20.0", ""]);
    assert_eq!(texts(&segments, "gap_days_std"), ["", "", ""]);
    assert_eq!(floats(&segments, "average_order_value"), [7.0, 5.15, 101.0]);
    assert_eq!(texts(&segments, "n_products"), ["2", "2", "1"]);
    let explained = shop.custseg(&["explain", "shop.yaml", "--set", set]).stdout;
    assert_eq!(explained.matches("CSV SCAN").count(), 1);
}

/// Until 1 March 1001 spent 3.00 of 7.00 on P1 and 1002 all of 10.00; then 1003's 101.00 are P1 too, and 1002's 0.30 are P2.
#[test]
fn shares_in_the_categories_that_sell_most() {
    let shop = Shop::fixture().edit("order_id: order,", "order_id: order, category: product,");
    let shop =
        shop.edit("snapshots: last", "snapshots: [2024-02-20, 2024-03-02], top_categories: 2");
    shop.run(&[]);
    let top = shop.table("top_categories");
    let row = |i: usize| {
        ["snapshot", "place", "category", "money"]
            .map(|name| texts(&top, name)[i].clone())
            .join(" ")
    };
    let expected = [
        "2024-02-20 1 P1 13.0",
        "2024-02-20 2 P2 4.0",
        "2024-03-02 1 P1 114.0",
        "2024-03-02 2 P2 4.3",
    ];
    assert_eq!((0..4).map(row).collect::<Vec<_>>(), expected);
    let shares = |date: &str, place: usize| {
        floats(
            &shop.table(&format!("segments/snapshot={date}/part-0")),
            &format!("category_{place}_share"),
        )
    };
    assert_eq!(shares("2024-02-20", 1), [3.0 / 7.0, 1.0]);
    assert_eq!(shares("2024-03-02", 1), [3.0 / 7.0, 1000.0 / 1030.0, 1.0]);
    assert_eq!(shares("2024-03-02", 2), [4.0 / 7.0, 30.0 / 1030.0, 0.0]);
    assert_eq!(shop.custseg(&["explain", "shop.yaml"]).stdout.matches("CSV SCAN").count(), 1);
}

/// Rows in any order give the same bytes, whatever the method: where equal values are parted, customer_id decides.
#[test]
fn shuffling_changes_nothing_under_any_method() {
    let line = |i: u32| {
        format!("o{i},P1,1,2024-01-{:02} 10:00,{}.00,{}\n", 1 + i * 7 % 20, 1 + i % 3, 100 + i % 37)
    };
    let lines: Vec<String> = (0..90).map(line).collect();
    let shuffled: Vec<&String> = (0..90).map(|i| &lines[i * 53 % 90]).collect();
    let csv = |lines: &[&String]| {
        let lines: String = lines.iter().map(|line| line.as_str()).collect();
        format!("order,product,units,bought,price,customer\n{lines}")
    };
    let (one, other) = (Shop::of(csv(&lines.iter().collect::<Vec<_>>())), Shop::of(csv(&shuffled)));
    for method in [
        "method: quantile",
        "method: rank",
        "method: percent_rank",
        "method: r_rfm",
        "compat: pandas_qcut_first",
        "compat: dbt",
    ] {
        let set = format!("score={{{method}}}");
        one.run(&["--set", &set]);
        other.run(&["--set", &set]);
        assert_eq!(
            super::harness::hashes(&one.path("out")),
            super::harness::hashes(&other.path("out")),
            "{method}"
        );
    }
}

/// The same over Online Retail by DuckDB: sums and means over customers, with its `stddev_samp` of the gaps.
#[test]
fn further_columns_of_online_retail() {
    let Some(source) = reference("online-retail/online_retail.parquet") else { return };
    let set =
        "rfm.features=[tenure_days, mean_gap_days, gap_days_std, average_order_value, n_products]";
    let to = run(&source, &[set, "models={}"]);
    let segments = table(to.path(), "segments/snapshot=2011-12-10/part-0");
    let known = |name: &str| {
        floats(&segments, name).into_iter().filter(|x| !x.is_nan()).collect::<Vec<f64>>()
    };
    let mean = |name: &str| known(name).iter().sum::<f64>() / known(name).len() as f64;
    assert_eq!(known("tenure_days").iter().sum::<f64>(), 970_979.0);
    assert_eq!(known("n_products").iter().sum::<f64>(), 266_792.0);
    assert_eq!((known("mean_gap_days").len(), known("gap_days_std").len()), (2790, 1916));
    let expected = [
        ("average_order_value", 419.166289439),
        ("mean_gap_days", 78.42671569),
        ("gap_days_std", 38.90305283),
    ];
    for (name, expected) in expected {
        assert!((mean(name) - expected).abs() < 1e-8, "{name}: {}", mean(name));
    }
}

/// Given cut points, bins and weights a dimension: recency {57, 1, 2}, frequency {1, 2, 1}, money {7, 10.3, 101}.
#[test]
fn each_dimension_may_be_cut_its_own_way() {
    let shop = Shop::fixture();
    let set = "score={recency: {method: fixed, cut_points: [1, 30]}, frequency: {method: fixed, cut_points: [1]}, \
        monetary: {bins: 3}, weights: {recency: 1, monetary: 3}}";
    let segments = shop.run(&["--set", set]).table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "rfm_code"), ["111", "322", "213"]);
    assert_eq!(floats(&segments, "rfm_score"), [1.0, 2.25, 2.75]);
    let bins = shop.table("score_bins");
    assert_eq!(texts(&bins, "asked_bins"), ["3", "3", "3", "2", "2", "3", "3", "3"]);
}

/// What `lint` says of every shipped map, and of one that leaves codes and segments out.
#[test]
fn maps_are_linted() {
    let folder = root().join("config/segments");
    let mut told = String::new();
    for name in ["dbt_rf", "default", "klaviyo", "putler", "pymc_marketing", "r_rfm"] {
        let outcome = super::harness::custseg(&folder, &["lint", &format!("{name}.yaml")]);
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.stderr);
        assert!(!outcome.stdout.contains("unreachable"), "{name}");
        told += &outcome.stdout;
    }
    for figure in ["uncovered    10:", "overlapping  58:", "uncovered    18:"] {
        assert!(told.contains(figure), "{figure} is not in\n{told}");
    }
    insta::assert_snapshot!("lint_of_shipped_maps", told);
    let shop = Shop::fixture();
    let map = "name: gaps\nbins: 2\nsegments:\n  - { name: A, description: '', action: '' }\n  - { name: B, description: '', action: '' }\n  \
        - { name: C, description: '', action: '' }\nrules:\n  - { segment: A, r: [2, 2] }\n  - { segment: B, r: [2, 2], f: [2, 2] }\n  \
        - { segment: B, codes: ['111'] }\n  - { segment: A, values: 'recency_days <= 30' }\n";
    std::fs::write(shop.path("map.yaml"), map).unwrap();
    for file in ["map.yaml", "shop.yaml"] {
        let outcome = shop.custseg(&["lint", file]);
        assert_eq!(outcome.code, 2);
        insta::assert_snapshot!(
            "lint_of_a_map_with_gaps",
            format!("{}{}", outcome.stdout, outcome.stderr)
        );
    }
}

/// Over the scores that a run reached there may be less to say: nobody of the shop has r 2, r 4, f 2 to f 4, or m 2 or m 4.
#[test]
fn lint_looks_at_the_scores_that_a_run_reached() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let outcome = shop.custseg(&["lint", "shop.yaml", "--manifest", "out/current/manifest.json"]);
    assert!(
        outcome.stdout.contains("over 18 codes of the scores that the run reached"),
        "{}{}",
        outcome.stdout,
        outcome.stderr
    );
}

#[test]
fn rules_on_means_codes_and_values() {
    let shop = Shop::fixture();
    let map = "name: mixed\nbins: 5\nsegments:\n  - { name: Fresh, description: '', action: '' }\n  - { name: Mean, description: '', action: '' }\n  \
        - { name: Listed, description: '', action: '' }\n  - { name: Rest, description: '', action: '' }\nrules:\n  \
        - { segment: Fresh, values: 'recency_days <= 1 AND monetary > 10' }\n  - { segment: Mean, fm: [2.5, 3] }\n  \
        - { segment: Listed, codes: ['111', '315'] }\notherwise: Rest\n";
    std::fs::write(shop.path("map.yaml"), map).unwrap();
    // Codes 111, 553 and 315: 1002 is fresh, the mean of 1 and 5 is 3.
    let segments = shop.run(&[]).table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "segment"), ["Listed", "Fresh", "Mean"]);
}

/// Cut points of money are 8.32, 9.64, 28.44 and 64.72; of frequency 1, 1, 1.2 and 1.6; of recency 1.4, 1.8, 13 and 35.
#[test]
fn why_a_customer_is_where_it_is() {
    let shop = Shop::fixture();
    let outcome = shop.custseg(&["-q", "why", "shop.yaml", "1001"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    insta::assert_snapshot!(outcome.stdout);
    let outcome = shop.custseg(&["-q", "why", "shop.yaml", "nobody"]);
    assert_eq!(outcome.code, 2);
    // The segments say the same where they are asked to.
    let segments =
        shop.run(&["--set", "segment.why=true"]).table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "rule"), ["2", "1", ""]);
    let change = |name: &str| -> Vec<String> {
        floats(&segments, name).iter().map(|by| format!("{by:.2}")).collect()
    };
    assert_eq!(change("recency_days_to_next"), ["-22.00", "NaN", "-1.00"]);
    assert_eq!(change("frequency_to_next"), ["1.00", "NaN", "1.00"]);
    assert_eq!(change("monetary_to_next"), ["1.33", "18.15", "NaN"]);
    assert_eq!(texts(&segments, "recency_days_next_segment"), ["Rest", "", "Rest"]);
    assert_eq!(texts(&segments, "frequency_next_segment"), ["Gone", "", "Rest"]);
    assert_eq!(texts(&segments, "monetary_next_segment"), ["Gone", "Best", ""]);
}

/// At a cut point with a fraction, one unit of money more is what it takes: 1002 spent 10.30 on the very point.
#[test]
fn one_penny_beyond_a_cut_point() {
    let shop = Shop::fixture();
    let set = "score.monetary={method: fixed, cut_points: [1, 6.6, 10.3, 67.6]}";
    let segments = shop
        .run(&["--set", set, "--set", "segment.why=true"])
        .table("segments/snapshot=2024-03-02/part-0");
    assert_eq!(texts(&segments, "m_score"), ["3", "3", "5"]);
    assert_eq!(texts(&segments, "monetary_to_next"), ["3.31", "0.01", ""]);
}

/// A rule that asks after values is not the one that named a customer who does not fulfil it.
#[test]
fn why_names_the_rule_that_really_matched() {
    let shop = Shop::fixture();
    let map = "name: two\nbins: 5\nsegments:\n  - { name: A, description: '', action: '' }\nrules:\n  \
        - { segment: A, values: 'monetary > 1000' }\n  - { segment: A, r: [1, 5] }\n";
    std::fs::write(shop.path("map.yaml"), map).unwrap();
    let outcome = shop.custseg(&["-q", "why", "shop.yaml", "1001"]);
    assert!(outcome.stdout.contains("rule 2 of map two names A"), "{}", outcome.stdout);
}

/// Units that stand for something else are counted up to what 32 bits hold; nobody loses its segment by it.
#[test]
fn units_beyond_32_bits() {
    let csv = "order,product,units,bought,price,customer\na,P1,5000000000,2024-01-05 10:00,0.01,1\nb,P1,2,2024-01-05 10:00,1.00,2\n";
    let segments = Shop::of(csv)
        .run(&["--set", "rfm.frequency=units"])
        .table("segments/snapshot=2024-01-06/part-0");
    assert_eq!(floats(&segments, "frequency"), [4_294_967_295.0, 2.0]);
    assert_eq!(segments.column("segment").unwrap().null_count(), 0);
}
