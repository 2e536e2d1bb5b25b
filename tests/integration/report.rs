//! The page of a run. What browsers make of it is in `tests/browser`.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::harness::{Shop, custseg, fixtures, floats, reference, root, texts};

/// What a pipeline publishes as its page.
fn page(shop: &Shop) -> String {
    fs::read_to_string(shop.path("out/current/report.html")).unwrap()
}

/// The values of an attribute, in order.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let begins = format!(" {name}=\"");
    page.split(begins.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Every chart has its numbers, every link an end, every name one place.
fn holds(page: &str) {
    let ids = attributes(page, "id");
    let distinct: HashSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "an id stands twice");
    for link in attributes(page, "href").into_iter().filter_map(|link| link.strip_prefix('#')) {
        assert!(distinct.contains(link), "nothing has the id {link}");
    }
    assert_eq!(page.matches("<figure").count(), page.matches("<table").count());
    assert_eq!(page.matches("class=\"chart\"").count(), page.matches("<svg").count());
    assert!(page.matches("<svg").count() > 0);
    for word in
        ["could not be drawn", "NaN", "inf\"", "<script", "http://", "https://", "@import", "url("]
    {
        // The name of SVG's own language is no place that is asked.
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!page.contains(word), "{word}");
    }
}

/// The fixture's pipeline over sixty customers.
fn everything_but_models() -> Shop {
    let mut csv = String::from("order,product,units,bought,price,customer,country\n");
    for customer in 0..60 {
        for order in 0..=(customer % 7) {
            let (month, day) = (1 + (order * 2 + customer) % 11, 1 + customer % 27);
            csv += &format!(
                "{customer}-{order},P{order},{},2024-{month:02}-{day:02} 10:00,{}.50,c{customer:02},UK\n",
                1 + customer % 3,
                1 + order
            );
        }
    }
    Shop::of(csv)
}

/// A pipeline that has every section.
fn everything() -> Shop {
    everything_but_models()
        .edit("rfm: { snapshots: last }", "rfm: { snapshots: { every: 2mo, from: 2024-04-01, until: last } }")
        .edit("score:", "checks:\n  - row_count: { min: 1000, severity: warn }\nscore:")
        .edit(
            "publish: { to: out }",
            "models:\n  same: { target: segment, features: [recency_days, frequency, monetary], k: 3 }\n  \
             later: { target: { segment_in: 60d }, features: [recency_days, frequency], k: { tune: [3, 5] } }\n  \
             near: { features: [recency_days, frequency, monetary], kmeans: { k: { sweep: [1, 5] } } }\n\
             evaluate: { sensitivity: true, validity: { horizon: 60d } }\npublish: { to: out }",
        )
}

#[test]
fn a_page_has_every_section_and_is_drawn_again_byte_for_byte() {
    let shop = everything();
    shop.run(&[]);
    let page = page(&shop);
    holds(&page);
    for id in ["ledger", "segments", "values", "time", "models", "clusters", "guide"] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    let charts = [
        "ledger-rows",
        "ledger-money",
        "segment-sizes",
        "pareto",
        "validity",
        "sensitivity",
        "cells-customers",
        "cells-money",
        "values-recency_days",
        "values-frequency",
        "values-monetary",
        "cuts",
        "time-shares",
        "migration",
        "causes",
        "drift",
        "protocols",
        "confusion-same",
        "confusion-later",
        "reliability-later",
        "tuning-later",
        "certain-same",
        "elbow-near",
        "silhouette-near",
        "silhouettes-near",
        "silhouettes-segment",
        "centroids-near",
        "cohesion",
    ];
    for id in charts {
        assert!(page.contains(&format!("<figure id=\"{id}\"")), "{id}");
    }
    assert!(page.contains("Warning: row_count, raw lines: found"));
    // Nothing but the published files is asked.
    fs::remove_file(shop.path("shop.csv")).unwrap();
    fs::remove_file(shop.path("out/current/report.html")).unwrap();
    let again = shop.custseg(&["report", "out", "--out", "-"]);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""));
    assert!(again.stdout == page, "drawn again, the page is another");
    let told = shop.custseg(&["report", "out"]);
    assert_eq!((told.code, told.stdout.as_str()), (0, "report.html\n"));
    assert!(fs::read_to_string(shop.path("report.html")).unwrap() == page);
}

/// Customers, segments, actions, reasons and files; pipelines and models cannot be called so.
#[test]
fn names_that_are_markup_stay_text() {
    let csv = fs::read_to_string(fixtures().join("shop.csv"))
        .unwrap()
        .replace("1001", "<script>alert('c')</script>");
    let shop = Shop::of(&csv)
        .edit("shop.csv", "<b>.csv")
        .edit("order_id_prefix: C", "order_id_prefix: \"<script>\"")
        .edit(
            "publish:",
            "models:\n  near: { target: segment, features: [monetary], k: 1 }\npublish:",
        );
    fs::write(shop.path("<b>.csv"), csv.replace("CA1", "<script>A1")).unwrap();
    let map = fs::read_to_string(shop.path("map.yaml")).unwrap();
    let map = map
        .replace("Gone", "\"<script>alert(2)</script>\"")
        .replace("Ask.", "\"</td><script>alert(3)</script>\"");
    fs::write(shop.path("map.yaml"), map).unwrap();
    shop.run(&[]);
    let page = page(&shop);
    holds(&page);
    for text in [
        "alert(&#39;c&#39;)&#60;/script&#62;",
        "alert(2)&#60;",
        "&#60;/td&#62;&#60;script&#62;alert(3)",
        "&#60;b&#62;.csv",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

/// One customer, money below nothing, nothing at all, names without end: there is a page.
#[test]
fn every_shop_has_a_page() {
    let head = "order,product,units,bought,price,customer,country\n";
    let long = "n".repeat(5000);
    for (name, lines) in [
        ("one customer", "A,P,1,2024-01-05 10:00,1.50,1,UK\n".to_owned()),
        ("two alike", "A,P,1,2024-01-05 10:00,1.50,1,UK\nB,P,1,2024-01-05 10:00,1.50,2,UK\n".to_owned()),
        ("worth nothing", "A,P,1,2024-01-05 10:00,0.00,1,UK\nB,P,1,2024-01-06 10:00,0.00,2,UK\n".to_owned()),
        (
            "worth less",
            "A,P,1,2024-01-05 10:00,1.00,1,UK\nCA,P,-9,2024-01-06 10:00,1.00,1,UK\nB,P,1,2024-01-06 10:00,0.01,2,UK\n"
                .to_owned(),
        ),
        ("huge", "A,P,1,2024-01-05 10:00,1.00,1,UK\nB,P,900000000,1990-01-06 10:00,90000000.00,2,UK\n".to_owned()),
        ("long", format!("A,P,1,2024-01-05 10:00,1.00,{long},UK\n")),
    ] {
        let shop = Shop::of(format!("{head}{lines}"))
            .edit("{ order_id_prefix: C }", "{ order_id_prefix: C, policy: net }")
            .edit("  - keep_positive: [quantity, unit_price]\n", "")
            .edit("publish:", "models:\n  near: { features: [monetary], kmeans: { k: 1 } }\npublish:");
        let outcome = shop.custseg(&["run", "shop.yaml"]);
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.stderr);
        holds(&page(&shop));
    }
}

/// Found by a reader of pages: what was called money, orders, bins or behaviour and was something else.
#[test]
fn the_page_says_what_its_numbers_are() {
    let months = (
        "rfm: { snapshots: last }",
        "rfm: { snapshots: { every: 2mo, from: 2024-04-01, until: last } }",
    );
    let rank = ("score: { bins: 5 }", "score: { bins: 5, method: rank }");
    for (name, edits, said, unsaid) in [
        ("sums", vec![], "of all monetary value, which is all that was spent.", "mean of an order"),
        (
            "means",
            vec![(
                "rfm: { snapshots: last }",
                "rfm: { snapshots: last, monetary: mean_per_order }",
            )],
            "Monetary value is the mean of an order.",
            "id=\"pareto\"",
        ),
        (
            "returns",
            vec![("prefix: C }", "prefix: C, policy: net }")],
            "all that was spent, less what came back",
            "returns left aside",
        ),
        (
            "returns apart",
            vec![("prefix: C }", "prefix: C, policy: separate }")],
            "all that was spent, returns left aside",
            "less what came back",
        ),
        (
            "units",
            vec![("rfm: { snapshots: last }", "rfm: { snapshots: last, frequency: units }")],
            ">units a customer<",
            ">orders a customer<",
        ),
        (
            "window",
            vec![("rfm: { snapshots: last }", "rfm: { snapshots: last, window: 90d }")],
            "all that was spent within 90d",
            "id=\"time\"",
        ),
        ("causes", vec![months], "the two are told apart", "id=\"models\""),
        (
            "no causes",
            vec![months, rank],
            "snapshots, from 2024-04-01 to",
            "the two are told apart",
        ),
    ] {
        let mut shop = everything_but_models();
        for (from, to) in edits {
            shop = shop.edit(from, to);
        }
        shop.run(&[]);
        let page = page(&shop);
        holds(&page);
        assert!(page.contains(said) && !page.contains(unsaid), "{name}");
    }
}

/// A model that is right less often than its baseline is called that; one that abstains is said to.
#[test]
fn models_that_are_no_better_than_nothing_are_told_of_first() {
    let shop = everything_but_models().edit(
        "publish:",
        "models:\n  bad: { target: segment, features: [tenure_days], k: 1, abstain: 1.0 }\n  \
         good: { target: segment, features: [recency_days, frequency], k: 3 }\npublish:",
    );
    let shop =
        shop.edit("rfm: { snapshots: last }", "rfm: { snapshots: last, features: [tenure_days] }");
    shop.run(&[]);
    let page = page(&shop);
    let metrics = shop.table("metrics");
    let accuracy = |model: &str| {
        let row = (0..metrics.height()).find(|row| {
            texts(&metrics, "model")[*row] == model
                && texts(&metrics, "metric")[*row] == "accuracy"
                && texts(&metrics, "label")[*row].is_empty()
        });
        floats(&metrics, "value")[row.unwrap()]
    };
    for model in ["bad", "good"] {
        let worse = accuracy(model) < accuracy(&format!("{model}:majority"));
        assert_eq!(
            page.contains(&format!("Warning: model {model} is right for")),
            worse,
            "{model}"
        );
    }
    assert!(page.contains("It abstains below a confidence of 1; here it had to answer."));
}

#[test]
fn a_run_whose_checks_failed_leaves_a_page_that_says_so() {
    let shop = Shop::fixture().edit("score:", "checks:\n  - row_count: { min: 1000 }\nscore:");
    let outcome = shop.custseg(&["run", "shop.yaml"]);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let folder = fs::read_dir(shop.path("out/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .next()
        .unwrap();
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    holds(&page);
    assert!(
        page.contains("Check failed: row_count, raw lines: found")
            && page.contains("expected at least 1000. Nothing was published.")
    );
}

/// A rename would have put a file in the place of a device.
#[test]
fn a_page_or_table_for_a_device_is_written_to_it() {
    let shop = Shop::fixture();
    shop.run(&[]);
    for (args, device) in [
        (vec!["report", "out", "--out"], "pipe"),
        (vec!["score", "--model", "out", "shop.csv", "--to"], "pipe.csv"),
    ] {
        let pipe = shop.path(device);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        let outcome = shop.custseg(&[&args[..], &[device]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(reader.join().unwrap().len() > 100);
        assert!(!fs::metadata(pipe).unwrap().is_file());
    }
}

#[test]
fn what_is_no_run_has_no_page() {
    let shop = Shop::fixture();
    let outcome = shop.custseg(&["report", "nowhere"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (4, ""));
    assert!(outcome.stderr.contains("nowhere"), "{}", outcome.stderr);
    shop.run(&[]);
    for place in ["no/such/folder/report.html", "out"] {
        let outcome = shop.custseg(&["report", "out", "--out", place]);
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    }
}

/// 4,338 customers, five models and a sweep: half a second and two megabytes are the bars.
#[test]
fn the_page_of_online_retail_is_small_and_soon_drawn() {
    let Some(data) = reference("online-retail/online_retail.parquet") else { return };
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let pipeline = root().join("pipelines/online_retail.yaml");
    let paths = format!("ingest.transactions.paths=[{}]", data.canonicalize().unwrap().display());
    let args = [
        "-q",
        "run",
        pipeline.to_str().unwrap(),
        "--set",
        &format!("publish.to={}", to.display()),
        "--set",
        &paths,
    ];
    let outcome = custseg(Path::new("."), &args);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let start = Instant::now();
    let page = custseg(Path::new("."), &["report", to.to_str().unwrap(), "--out", "-"]);
    let took = start.elapsed();
    assert_eq!(page.code, 0, "{}", page.stderr);
    holds(&page.stdout);
    assert!(page.stdout.len() < 2_000_000, "{} bytes", page.stdout.len());
    assert!(took.as_secs_f64() < 0.5, "{took:?}");
    // Published elsewhere: 4,338 customers and 8,911,407.904 by pandas and DuckDB.
    assert!(page.stdout.contains("data-fact=\"customers\" data-value=\"4338\">4,338<"));
    assert!(page.stdout.contains(">8,911,408 GBP<"));
}

/// Every column of every table is told of, and the page that tells of them is fresh. `INSTA_UPDATE=always` writes it.
#[test]
fn the_page_of_columns_is_whole_and_fresh() {
    let shop = everything()
        .edit("columns: { customer_id: customer,", "columns: { product_id: product, category: product, customer_id: customer,")
        .edit("cancellations: { order_id_prefix: C }", "cancellations: { order_id_prefix: C, policy: match }")
        .edit("  - drop_duplicates: exact", "  - cap_outliers: { quantile: 0.9, policy: report }")
        .edit("{ every: 2mo, from: 2024-04-01, until: last } }", "{ every: 2mo, from: 2024-04-01, until: last }, top_categories: 2, features: [tenure_days, mean_gap_days, gap_days_std, average_order_value, n_products] }")
        .edit("segment: { map: map.yaml }", "segment: { map: map.yaml, why: true }");
    let csv = fs::read_to_string(shop.path("shop.csv")).unwrap();
    fs::write(shop.path("shop.csv"), csv + "C1,P0,-1,2024-11-20 10:00,1.50,c00,UK\n").unwrap();
    shop.run(&[]);
    let outcome = shop.custseg(&["inspect", "out", "--columns"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let tables: Vec<&str> =
        outcome.stdout.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(tables.len(), 19, "{tables:?}");
    assert!(!outcome.stdout.contains("carried along"), "{}", outcome.stdout);
    let file = root().join("docs/outputs.md");
    let head = "# What comes out\n\nEvery table under `current/`, with every column. Made by `custseg inspect RUN --columns`, of a run with three models: \
                `same` and `later`\nare KNN, `near` is a clustering. Names, types and order are a promise: a change is told in `CHANGELOG.md`.\n\n";
    let page = format!("{head}{}\n", outcome.stdout.trim_end());
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&file, &page).unwrap();
    }
    assert!(
        fs::read_to_string(file).unwrap() == page,
        "docs/outputs.md is not fresh: run the tests with INSTA_UPDATE=always"
    );
}
